"""Undo and redo in the window: the change is named, shown and selected; large steps do not block the window."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.boxes import coordinates
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project import Project
    from microscope_qc.project.parts.history import PendingStep
    from microscope_qc.project.records import LogEntry

log = logging.getLogger(__name__)

LARGE = 20_000
"""Steps with more boxes are written by a worker; the project accepts no other command meanwhile."""


class Undoing:
    """Undoes and redoes commands."""

    def __init__(self, session: SessionState) -> None:
        self._session = session

    def undo(self) -> None:
        """Undo the last command, name it, and show where it was."""
        self.step(undo=True)

    def redo(self) -> None:
        """Redo the command that was undone last."""
        self.step(undo=False)

    def step(self, *, undo: bool) -> None:
        """Undo the last command (or redo it), name it, and show where it was.

        Raises
        ------
        MicroscopeQCError
            If it is not possible now, or not at all.
        """
        session = self._session
        project = session.project
        if project is None:
            raise InputError("No project is open.", hint="Open a slide or a project first.")
        step = project.history.prepare_step(undo=undo)
        if step is None:
            session.notice.emit("Nothing to undo." if undo else "Nothing to redo.")
            return
        before = self._places(step.entry)
        if session.jobs is None or step.entry.box_count <= LARGE:
            self._write(step)
            self._finish(step, before)
            return
        session.jobs.run(
            _job(step),
            step.title,
            on_done=lambda _: self._finish(step, before) if session.project is project else None,
            on_failed=lambda error: self._failed(project, step, error),
            on_cancelled=lambda: self._given_up(project, step),
        )
        session.history_changed.emit()  # nothing can be undone until it is done

    def _write(self, step: PendingStep) -> None:
        try:
            step.write()
        except Exception:
            step.refuse()
            raise

    def _failed(self, project: Project, step: PendingStep, error: BaseException) -> None:
        if self._session.project is not project:
            log.warning("%s was not done before the project was closed: %s", step.title, error)
            return
        step.refuse()
        self._session.history_changed.emit()
        raise error

    def _given_up(self, project: Project, step: PendingStep) -> None:
        step.give_up()
        if self._session.project is project:
            self._session.history_changed.emit()

    def _finish(self, step: PendingStep, before: np.ndarray) -> None:
        entry = step.finish()
        self._session.notice.emit(f"{'Undone' if step.undo else 'Redone'}: {entry.title}")
        self._go_to(entry, before)

    def _places(self, entry: LogEntry) -> np.ndarray:
        """(N, 4) current corners of the boxes of a history entry; without boxes, those of declared areas."""
        project = self._session.project
        if entry.slide_id is None or project is None or all(slide.id != entry.slide_id for slide in project.slides):
            return np.empty((0, 4))
        if not entry.box_count:
            return np.array([area.outline.bounds for area in project.areas.of(entry.slide_id)]).reshape(-1, 4)
        table, ids = project.boxes.table(entry.slide_id), np.array(entry.box_ids, np.int64)
        return coordinates(table.get(ids[table.has(ids)]))

    def _go_to(self, entry: LogEntry, before: np.ndarray) -> None:
        """Select what a step added or changed, and bring all it touched into view, also where it removed boxes."""
        session = self._session
        if entry.slide_id is not None and (session.slide is None or entry.slide_id != session.slide.id):
            if session.project is None or all(slide.id != entry.slide_id for slide in session.project.slides):
                return
            session.show_slide(entry.slide_id)
        ids = np.array(entry.box_ids, np.int64)
        session.selection.set(ids[session.table.has(ids)])
        touched = np.concatenate([before, self._places(entry)])
        if not entry.box_count:  # of all declared areas only those that came or went
            places, times = np.unique(touched, axis=0, return_counts=True)
            touched = places[times % 2 == 1]
        if len(touched):
            low, high = touched[:, :2].min(axis=0), touched[:, 2:].max(axis=0)
            session.area_requested.emit((*low.tolist(), *high.tolist()))


def _job(step: PendingStep) -> Job[None]:
    yield Progress(0, 0, "", "writing")
    step.write()
