"""Going to findings: next and previous in review order, or those of a history entry or table row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.workflows.review.why_nothing import why_hidden

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord


class Navigation:
    """Selects findings and asks the canvas to centre them.

    ``order`` returns the ids in review order: by id until a view sorts them differently.
    """

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self.order: Callable[[], np.ndarray] = self.by_id

    def by_id(self) -> np.ndarray:
        """Ids of the shown findings, oldest first."""
        return self._session.shown_rows()["id"].copy()

    # -- along the order of review -----------------------------------------------------------------------------------

    def next(self) -> None:
        """Select the next finding in review order and centre it."""
        self._step(+1)

    def previous(self) -> None:
        """Select the previous finding and centre it."""
        self._step(-1)

    def _step(self, step: int) -> None:
        session = self._session
        order = np.asarray(self.order(), np.int64)
        if len(order) == 0:
            return
        place = np.flatnonzero(order == (-1 if session.selection.current is None else session.selection.current))
        start = -1 if step > 0 else len(order)
        target = (int(place[0]) if len(place) else start) + step
        if not 0 <= target < len(order):
            session.notice.emit("That was the last finding." if step > 0 else "That was the first finding.")
            return
        self.select_and_centre(int(order[target]))

    def after_current(self) -> int | None:
        """The finding after the current one (asked for before a judgement that may hide the current one)."""
        current = self._session.selection.current
        order = np.asarray(self.order(), np.int64)
        place = np.flatnonzero(order == (-1 if current is None else current))
        if len(place) == 0 or place[0] + 1 >= len(order):
            return None
        return int(order[place[0] + 1])

    # -- to certain ones ---------------------------------------------------------------------------------------------

    def select_and_centre(self, box_id: int) -> None:
        """Select one box, on another slide if needed, and centre it."""
        session = self._session
        if box_id in session.table:
            session.selection.set([box_id], current=box_id)
            session.centre_requested.emit(box_id)
        else:
            self._go_to(self._project().boxes.slide_of(box_id), [box_id])

    def go_to_number(self, number: int) -> None:
        """Go to the finding with this number, on another slide if needed; say so if a filter or the limit hides it.

        Raises
        ------
        InputError
            When there is no such finding, or no longer.
        """
        project = self._project()
        self.find_number(number)
        self.select_and_centre(number)
        hidden = "" if self._session.shown.limited else why_hidden(project, number)
        if hidden:
            self._session.notice.emit(f"#{number} is selected, but not in the lists: {hidden}.")

    def find_number(self, number: int) -> SlideRecord:
        """Return the slide of the finding with this number.

        Raises
        ------
        InputError
            When there is no such finding, or no longer.
        """
        project = self._project()
        last = project.boxes.last_number
        if not 0 < number <= last:
            newest = f"The highest number so far is #{last}." if last else "There are no findings yet."
            raise InputError(f"There is no finding #{number}.", hint=newest)
        try:
            return project.slides.by_id(project.boxes.slide_of(number))
        except InputError:
            raise InputError(
                f"Finding #{number} is gone: it was deleted, or what made it was undone.",
                hint="The panel History shows when.",
            ) from None

    def show_boxes(self, box_ids: Iterable[int]) -> None:
        """Select those of some boxes that still exist, on the slide of the first of them, and go there."""
        project = self._project()
        for box_id in box_ids:
            try:
                slide_id = project.boxes.slide_of(int(box_id))
            except InputError:
                continue
            self._go_to(slide_id, box_ids)
            return
        self._session.notice.emit("These findings no longer exist.")

    def _go_to(self, slide_id: int | None, box_ids: Iterable[int]) -> None:
        session = self._session
        if slide_id is not None and (session.slide is None or slide_id != session.slide.id):
            if session.project is None or all(slide.id != slide_id for slide in session.project.slides):
                return
            session.show_slide(slide_id)
        there = [box_id for box_id in box_ids if box_id in session.table]
        session.selection.set(there)
        if there:
            session.centre_requested.emit(there[0])

    def _project(self) -> Project:
        if self._session.project is None:
            raise InputError("No project is open.", hint="Open a slide or a project first.")
        return self._session.project
