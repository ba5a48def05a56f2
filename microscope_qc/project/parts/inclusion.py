"""Which findings count: the confidence limit; runs are switched on and off by :class:`~.runs.Runs`."""

from __future__ import annotations

from dataclasses import replace

from microscope_qc.core.inclusion import Inclusion
from microscope_qc.project.deltas import Delta
from microscope_qc.project.records import LogEntry
from microscope_qc.project.store import Store

_ROW = 1


class InclusionPart:
    """Which findings count in every number, export and report."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def current(self) -> Inclusion:
        """Confidence limit, and the runs that are switched off."""
        return self._store.memory.inclusion

    def set_limit(self, limit: float, *, amends: LogEntry | None = None, suggested_by: str = "") -> LogEntry | None:
        """Change the confidence limit (undoable); return the log entry, None where nothing changed.

        Parameters
        ----------
        limit
            0 to 1.
        amends
            The newest command, where it set the limit too and this one continues it (a slider that is still held).
        suggested_by
            Name of the model that suggests the limit: its detection is logged with it, and it is not a step of undo.

        Raises
        ------
        InputError
            When it is not a number from 0 to 1.
        """
        self._store.require_writable()
        before = self.current
        after = replace(before, confidence_limit=float(limit) + 0.0)  # -0 is 0
        if after == before:
            return None
        was = before.confidence_limit
        if amends is not None and self._store.log.can_extend(amends):
            was = self._limit_before(amends, was)
        delta = Delta.edited("inclusion", {"id": _ROW, "confidence_limit": before.confidence_limit},
                             {"confidence_limit": after.confidence_limit})  # fmt: skip
        now = after.confidence_limit
        title = f"Confidence limit {now:.2f} (was {was:.2f})" if now != was else f"Confidence limit {now:.2f} put back"
        if suggested_by:
            return self._store.commit(f"{title}, as {suggested_by} suggests", [delta], kind="run")
        return self._store.commit(title, [delta], amends=amends)

    def _limit_before(self, entry: LogEntry, otherwise: float) -> float:
        for delta in self._store.log.deltas_of(entry):
            if delta.table == "inclusion":
                return float(delta.before["confidence_limit"][0])
        return otherwise
