"""Which findings count: in every number, export and report, whatever a view shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.box_rows import ReviewState, is_claimed
from microscope_qc.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Which findings of a project count.

    Attributes
    ----------
    confidence_limit
        Findings of models below it (0 to 1) do not count, unless a user judged them.
    hidden_runs
        Ids of the runs that are switched off: what they alone found does not count, unless a user said something of it.

    Raises
    ------
    InputError
        When the limit is not a number from 0 to 1.
    """

    confidence_limit: float = 0.0
    hidden_runs: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.confidence_limit) and 0 <= self.confidence_limit <= 1):
            raise InputError(f"{self.confidence_limit} is not a confidence.", hint="Give a number from 0 to 1.")

    def mask(self, rows: np.ndarray, *, rejected: bool = False) -> Flags:
        """Return for each row (BOX_DTYPE) whether it counts; rejected findings do only with ``rejected``."""
        states = rows["state"]
        # NaN (drawn by a user) compares false: kept. What a user has judged counts, whatever the model thought of it
        keep: Flags = ~(rows["confidence"] < np.float32(self.confidence_limit))
        keep |= states != ReviewState.UNREVIEWED
        if self.hidden_runs:
            # a finding shows the opinion of a run that is switched off only where it has no other
            hidden = np.flatnonzero(np.isin(rows["run_id"], list(self.hidden_runs)))
            keep[hidden[~is_claimed(rows[hidden])]] = False
        if not rejected:
            keep &= states != ReviewState.REJECTED
        return keep
