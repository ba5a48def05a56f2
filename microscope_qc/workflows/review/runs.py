"""What would be lost with a detection, counted before it is deleted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.project import Project


@dataclass(frozen=True, slots=True)
class RunFindings:
    """Number of findings of a run, and of those that a user has judged, chosen or written a note on."""

    count: int
    judged: int


def findings_of(project: Project, run_id: int) -> RunFindings:
    """Count the findings of a run.

    Raises
    ------
    InputError
        When there is no such run.
    """
    project.runs.by_id(run_id)
    mine = project.opinions.findings_of_run(run_id)
    judged = (mine["state"] != ReviewState.UNREVIEWED) | mine["chosen"] | (mine["note"] != "").astype(bool)
    return RunFindings(len(mine), int(np.count_nonzero(judged)))
