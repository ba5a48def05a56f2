"""How many findings each slide has, counted by the database in one pass: for lists of many slides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.box_rows import ReviewState
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.project.database import Database, driver


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Findings of a slide by their state."""

    unreviewed: int = 0
    confirmed: int = 0
    rejected: int = 0

    @property
    def kept(self) -> int:
        """All but the rejected ones."""
        return self.unreviewed + self.confirmed

    @classmethod
    def of_states(cls, states: np.ndarray | Sequence[int]) -> StateCounts:
        """Count states."""
        numbers = np.bincount(np.asarray(states, np.int64), minlength=len(ReviewState))
        return cls(*(int(numbers[state]) for state in _ORDER))


_ORDER = (ReviewState.UNREVIEWED, ReviewState.CONFIRMED, ReviewState.REJECTED)


def count_states(folder: Path, inclusion: Inclusion | None) -> dict[int, StateCounts]:
    """Return the findings of each slide that count, by slide id; slides without any are left out.

    Any thread may call this: it reads what is committed, through a connection of its own.

    Parameters
    ----------
    folder
        Of the project.
    inclusion
        Which findings count; None counts everything that is stored.

    Raises
    ------
    ProjectError
        When the database cannot be read.
    """
    where, values = _where(inclusion)
    sql = f"SELECT slide_id, state, count(*) FROM boxes{where} GROUP BY slide_id, state"  # noqa: S608 - no text of users
    database = Database(folder, read_only=True)
    try:
        with database.begin() as connection:
            rows = driver(connection).execute(sql, values).fetchall()
    finally:
        database.close()
    found: dict[int, dict[int, int]] = {}
    for slide_id, state, count in rows:
        found.setdefault(int(slide_id), {})[int(state)] = int(count)
    return {slide_id: StateCounts(*(of.get(int(state), 0) for state in _ORDER)) for slide_id, of in found.items()}


def _where(inclusion: Inclusion | None) -> tuple[str, list[float | int]]:
    """As :meth:`Inclusion.mask` with rejected ones."""
    parts: list[str] = []
    values: list[float | int] = []
    if inclusion is not None and inclusion.confidence_limit > 0:
        parts.append("(state <> ? OR confidence IS NULL OR confidence >= ?)")
        values += [int(ReviewState.UNREVIEWED), float(np.float32(inclusion.confidence_limit))]
    if inclusion is not None and inclusion.hidden_runs:
        hidden = sorted(inclusion.hidden_runs)
        parts.append(f"run_id NOT IN ({', '.join(map(str, map(int, hidden)))})")
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values
