"""Going to findings: next and previous in review order, or those of a history entry or table row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from microscope_qc.core.errors import InputError
from microscope_qc.workflows.review.why_nothing import why_hidden

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord

FOLLOW_MS = 250
"""The canvas changes to the slide of the current finding this long after the last step: steps do not wait for it."""


class Navigation:
    """Selects findings and asks the canvas to centre them.

    ``order`` returns the ids in review order: by id until a view sorts them differently. Steps from one slide of the
    scope to another select at once; the canvas follows when the user stays at a finding.
    """

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self.order: Callable[[], np.ndarray] = self.by_id
        self._following = True
        self._follow = QTimer()
        self._follow.setSingleShot(True)
        self._follow.setInterval(FOLLOW_MS)
        self._follow.timeout.connect(self.follow_now)

    def by_id(self) -> np.ndarray:
        """Ids of the shown findings, oldest first."""
        return self._session.scoped.shown.rows()["id"].copy()

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
        if target >= len(order):
            self.say_end()
        elif target < 0:
            session.notice.emit("That was the first finding.")
        else:
            self.select_and_centre(int(order[target]))

    def say_end(self) -> None:
        """Tell the user, and the views, that there is no next finding."""
        self._session.notice.emit("That was the last finding.")
        self._session.order_ended.emit()

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
        if box_id in session.table or (session.scoped.several and box_id in session.scoped.table):
            session.selection.set([box_id], current=box_id)
            self.centre(box_id)
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
        self.follow_now()
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

    def set_following(self, following: bool) -> None:
        """Whether the canvas follows to the slide of the current finding; not while it is out of sight."""
        self._following = following
        if following:
            self.follow_now()
        else:
            self._follow.stop()

    def centre(self, box_id: int) -> None:
        """Ask the canvas to centre a finding of the scope, after a moment if it is on another slide."""
        if box_id in self._session.table:
            self._follow.stop()
            self._session.centre_requested.emit(box_id)
        elif self._following:
            self._follow.start()

    def follow_now(self) -> None:
        """Show the slide of the current finding on the canvas, if it is another one."""
        self._follow.stop()
        session = self._session
        current = session.selection.current
        slide = None if current is None else session.slide_of(current)
        if current is None or slide is None or (session.slide is not None and slide.id == session.slide.id):
            return
        session.show_slide(slide.id, keep_selection=True)
        session.centre_requested.emit(current)

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
        self._follow.stop()
        if slide_id is not None and (session.slide is None or slide_id != session.slide.id):
            if session.project is None or all(slide.id != slide_id for slide in session.project.slides):
                return
            session.show_slide(slide_id)
        ids = np.fromiter(box_ids, np.int64)
        there = session.on_screen(ids).tolist()
        session.selection.set(ids[session.has(ids)], current=there[0] if there else None)
        if there:
            session.centre_requested.emit(there[0])

    def _project(self) -> Project:
        if self._session.project is None:
            raise InputError("No project is open.", hint="Open a slide or a project first.")
        return self._session.project
