"""A blind inspection on the canvas: findings are hidden, what is drawn is timed, and matched at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.session.declaring import AreaDeclaring
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.core.outline import Outline
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.inspection import Inspection


class Inspecting:
    """Begins and ends inspections, and hides findings that are not drawn in the one that is running.

    The inspection itself is the project's: when the program ends meanwhile, it goes on with what was drawn. It is blind
    no more then, and when a user shows all findings.
    """

    changed = Signal()

    def __init__(self, session: SessionState, declaring: AreaDeclaring) -> None:
        self._session, self._declaring = session, declaring
        self._of: tuple[Project, int] | None = None  # the inspection that is running here
        self._begun_s = 0.0
        self._blind = self._applying = False
        self._timed = True
        session.boxes_changed.connect(self._on_boxes_changed)
        session.slide_changed.connect(self._on_slide_changed)
        session.filter_changed.connect(self._on_filter_changed)
        session.project_changed.connect(self._on_project_changed)

    @property
    def running(self) -> bool:
        """Whether findings are hidden, and what is drawn belongs to an inspection."""
        return self._of is not None and self._of[0] is self._session.project

    @property
    def left_open(self) -> Inspection | None:
        """An inspection that was begun before, and is not running here."""
        from microscope_qc.workflows.review.inspection import open_inspection

        project = self._session.project
        return None if project is None or self.running else open_inspection(project)

    def begin(self, bounds: tuple[float, float, float, float]) -> None:
        """Begin an inspection of the area that is picked out, or of what is in view; one that is open goes on.

        Parameters
        ----------
        bounds
            What is in view: y0, x0, y1, x1.

        Raises
        ------
        InputError
            When no slide is open, nothing of it is in view, or no class is chosen.
        """
        from microscope_qc.workflows.review.inspection import begin

        session, project = self._session, self._session.project
        if project is None or session.slide is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        there = self.left_open
        if there is None:
            there = begin(project, session.slide.id, self._area(bounds), self._declaring.class_ids)
            self._blind = self._timed = True
            words = "Findings are hidden. Draw every defect in the area"
        else:
            self._blind = self._timed = False
            if session.slide.id != there.slide_id:
                session.show_slide(there.slide_id)
            words = f"Inspection {there.number} goes on; it is not blind, as findings were to be seen. Draw the rest"
        self._of, self._begun_s = (project, there.number), time.monotonic()
        self._hide()
        session.area_requested.emit(there.outline.bounds)
        session.notice.emit(f"{words}, then end the inspection.")
        self.changed.emit()

    def end(self) -> None:
        """End the inspection: show everything again, and say who found what."""
        from microscope_qc.workflows.results.agreement import agreement_words, compared
        from microscope_qc.workflows.review.inspection import end, inspections, marked_beside

        if self._of is None or not self.running:
            raise InputError("No inspection is running.", hint="Begin one first.")
        project, number = self._of
        seconds = time.monotonic() - self._begun_s if self._timed else None
        done = end(project, number, seconds=seconds, blind=self._blind)
        self._stop()
        words = [agreement_words(compared(project, [(done, None)]))]
        for other in inspections(project):
            others = other.number != number and other.user != done.user and not other.is_open
            if others and marked_beside(project, done, other) is not None:
                words.append(agreement_words(compared(project, [(done, other)])))
        self._session.notice.emit(" ".join(words))

    def give_up(self) -> None:
        """Remove the inspection and show everything again; what was drawn stays."""
        from microscope_qc.workflows.review.inspection import drawn, inspection_named, remove

        if self._of is None or not self.running:
            raise InputError("No inspection is running.", hint="Begin one first.")
        project, number = self._of
        left = len(drawn(project, inspection_named(project, number)))
        remove(project, number)
        self._stop()
        self._session.notice.emit(f"The inspection is given up; {things(left, 'finding')} drawn in it stay.")

    # -- hiding ------------------------------------------------------------------------------------------------------

    def _area(self, bounds: tuple[float, float, float, float]) -> Outline | Region:
        session = self._session
        assert session.slide is not None
        picked = next((area for area in self._declaring.areas() if area.id == self._declaring.picked), None)
        if picked is not None:
            return picked.outline
        y0, x0, y1, x1 = bounds
        seen = Region(round(y0), round(x0), round(y1), round(x1)).clip(session.slide.shape_px)
        if seen.empty:
            raise InputError(f"Nothing of {session.slide.name} is in view.", hint="Go back to the slide first.")
        return seen

    def _hide(self) -> None:
        """Show only what was drawn in the inspection."""
        from microscope_qc.workflows.review.inspection import drawn, inspection_named

        if self._of is None or not self.running:
            return
        project, number = self._of
        known = inspection_named(project, number)
        slide = self._session.slide
        if slide is None or slide.id != known.slide_id:
            return
        self._applying = True
        try:
            self._session.shown.limit(np.sort(drawn(project, known)["id"]).astype(np.int64))
        finally:
            self._applying = False

    def _stop(self) -> None:
        self._of = None
        self._session.shown.limit(None)
        self.changed.emit()

    def _on_boxes_changed(self, _change: object) -> None:
        self._hide()

    def _on_slide_changed(self) -> None:
        self._hide()

    def _on_project_changed(self) -> None:
        if self._of is not None and self._of[0] is not self._session.project:
            self._stop()

    def _on_filter_changed(self) -> None:
        if self.running and not self._applying and not self._session.shown.limited and self._blind:
            slide = self._session.slide
            if slide is not None and self._of is not None:
                self._blind = False
                self._session.notice.emit("All findings are shown: this inspection is not blind any more.")
