"""Removing slides with all that belongs to them: as one step, whose reading and writing any thread may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.project import findings
from microscope_qc.project.commands import Ahead
from microscope_qc.project.deltas import Delta, box_columns, columns_of
from microscope_qc.project.records import LogEntry, SlideRecord
from microscope_qc.project.store import PendingCommand, Store

_BELONGINGS = (
    "opinions", "attributes", "outlines", "measurement_links", "marks", "registrations", "areas", "run_classes", "runs",
)  # fmt: skip


class PendingRemoval:
    """Slides that are being removed: ``write`` may run in any thread, ``finish`` in that of the project.

    Until it is finished the project takes no other command.
    """

    def __init__(self, store: Store, slides: Sequence[SlideRecord]) -> None:
        self._store = store
        self._ids = [slide.id for slide in slides]
        one = slides[0] if len(slides) == 1 else None
        self.title = f"Remove slide {one.name}" if one is not None else f"Remove {len(slides)} slides"
        self._pending: PendingCommand = store.prepare(self.title, [], slide_id=None if one is None else one.id)

    @property
    def ahead(self) -> Ahead | None:
        """What it makes of the findings, where that was worked out when it was written."""
        return self._pending.ahead

    def write(self) -> None:
        """Read what belongs to the slides and remove everything in one transaction, or nothing when that fails."""
        try:
            deltas = [Delta.deleted(table, self._rows(table, "slide_id")) for table in _BELONGINGS]
            with self._store.database.begin() as connection:
                for slide_id, boxes in findings.boxes(connection, self._ids):  # deleted ones and left places, too
                    deltas.append(Delta("boxes", box_columns(boxes, slide_id), columns_of([])))
                count = sum(len(rows) for _, rows, _ in findings.findings(connection, self._ids, hidden_runs=()))
            deltas.append(Delta.deleted("slides", self._rows("slides", "id")))
        except BaseException:
            self.give_up()
            raise
        self._pending.size = count
        self._pending.title = self.title + (f" with {things(count, 'finding')}" if count else "")
        self._pending.deltas = [delta for delta in deltas if delta]
        self._pending.write()

    def finish(self) -> LogEntry | None:
        """Update memory to what was written and notify the listeners."""
        return self._pending.finish()

    def give_up(self) -> None:
        """Free the project again before anything is written."""
        self._pending.give_up()

    def _rows(self, table: str, column: str) -> list[dict[str, Any]]:
        if len(self._ids) == 1:
            return self._store.rows(table, **{column: self._ids[0]})
        wanted = set(self._ids)
        return [row for row in self._store.rows(table) if row[column] in wanted]


def prepare_removing(store: Store, slides: Sequence[SlideRecord]) -> PendingRemoval:
    """Begin to remove slides.

    Raises
    ------
    InputError
        When a detection is running on one of them.
    """
    running = {run.slide_id for run in store.memory.runs if run.state == "running"}
    for slide in slides:
        if slide.id in running:
            raise InputError(f"A detection is running on {slide.name}.", hint="Stop it first.")
    return PendingRemoval(store, slides)
