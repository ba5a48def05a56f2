"""How many findings each slide has, counted in one pass: for lists of many slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.arrays import Rows
from microscope_qc.core.box_rows import ReviewState
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.project.database import Database, readable
from microscope_qc.project.findings import findings


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


def count_rows(rows_of: Mapping[int, Rows], inclusion: Inclusion) -> dict[int, StateCounts]:
    """Return the findings among the rows of each slide that count, by slide id; slides without any are left out.

    Any thread may call this.
    """
    found = {}
    for slide_id, rows in rows_of.items():
        counted = rows["state"][inclusion.mask(rows, rejected=True)]
        if len(counted):
            found[slide_id] = StateCounts.of_states(counted)
    return found


def count_states(
    folder: Path, inclusion: Inclusion | None, slide_ids: Sequence[int] | None = None
) -> dict[int, StateCounts]:
    """Return the findings of each slide that count, by slide id; slides without any are left out.

    Any thread may call this: it reads what is committed, through a connection of its own.

    Parameters
    ----------
    folder
        Of the project.
    inclusion
        Which findings count; None counts everything that is stored.
    slide_ids
        Only these slides; None is all of them.

    Raises
    ------
    ProjectError
        When the database cannot be read.
    """
    hidden = inclusion.hidden_runs if inclusion is not None else frozenset()
    found: dict[int, StateCounts] = {}
    database = Database(folder, read_only=True)
    try:
        with database.begin() as connection, readable(database.name):
            for slide_id, rows, _ in findings(connection, slide_ids, hidden_runs=hidden):
                counted = rows if inclusion is None else rows[inclusion.mask(rows, rejected=True)]
                if len(counted):
                    found[slide_id] = StateCounts.of_states(counted["state"])
    finally:
        database.close()
    return found
