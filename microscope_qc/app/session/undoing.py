"""Undo and redo in the window: the change is named, shown and selected; large steps do not block the window."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.boxes import coordinates
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.app.session.suggested import Suggested
    from microscope_qc.app.session.writing import Writing
    from microscope_qc.project.parts.history import PendingStep
    from microscope_qc.project.records import LogEntry

_Found = tuple[int | None, np.ndarray]
"""A slide, and (N, 4) corners of boxes on it."""
MOST_ASKED = 20


class Undoing:
    """Undoes and redoes commands."""

    def __init__(self, session: SessionState, writing: Writing, suggested: Suggested) -> None:
        self._session, self._writing, self._suggested = session, writing, suggested

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
        before = self._found(step.entry)
        self._writing.carry_out(step, lambda entry: self._finish(step, entry, before))

    def _finish(self, step: PendingStep, entry: LogEntry | None, before: _Found) -> None:
        assert entry is not None
        self._session.notice.emit(f"{'Undone' if step.undo else 'Redone'}: {entry.title}")
        self._go_to(entry, before)
        if step.undo:  # a suggestion that was judged by mistake is what the next key is for
            self._suggested.come_back(entry.box_ids)

    def _found(self, entry: LogEntry) -> _Found:
        """Where the boxes of a history entry are now; without boxes, where areas are declared."""
        project, slide_id = self._session.project, self._slide_of(entry)
        if slide_id is None or project is None or all(slide.id != slide_id for slide in project.slides):
            return None, np.empty((0, 4))
        if not entry.box_count:
            return slide_id, np.array([area.outline.bounds for area in project.areas.of(slide_id)]).reshape(-1, 4)
        table, ids = project.boxes.table(slide_id), np.array(entry.box_ids, np.int64)
        return slide_id, coordinates(table.get(ids[table.has(ids)]))

    def _slide_of(self, entry: LogEntry) -> int | None:
        """The slide of an entry; of several the one on screen, else the one of the first box that exists."""
        session, ids = self._session, np.array(entry.box_ids, np.int64)
        if entry.slide_id is not None or session.project is None:
            return entry.slide_id
        if session.slide is not None and len(session.on_screen(ids)):
            return session.slide.id
        for number in entry.box_ids[:MOST_ASKED]:
            with contextlib.suppress(InputError):  # deleted
                return session.project.boxes.slide_of(number)
        return None

    def _go_to(self, entry: LogEntry, before: _Found) -> None:
        """Select what a step added or changed, and bring all it touched into view, also where it removed boxes."""
        session = self._session
        after = self._found(entry)
        slide_id = after[0] if before[0] is None else before[0]
        if slide_id is None:
            session.selection.clear()
            return
        if session.slide is None or slide_id != session.slide.id:
            if session.project is None or all(slide.id != slide_id for slide in session.project.slides):
                return
            session.show_slide(slide_id)
        ids = np.array(entry.box_ids, np.int64)
        here = session.on_screen(ids)
        session.selection.set(ids[session.has(ids)], current=int(here[0]) if len(here) else None)
        touched = np.concatenate([places for found, places in (before, after) if found == slide_id])
        if not entry.box_count:  # of all declared areas only those that came or went
            places, times = np.unique(touched, axis=0, return_counts=True)
            touched = places[times % 2 == 1]
        if len(touched):
            low, high = touched[:, :2].min(axis=0), touched[:, 2:].max(axis=0)
            session.area_requested.emit((*low.tolist(), *high.tolist()))
