"""Comparison of two runs over one slide: what both found, and what only one of them found where both scanned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import coordinates
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.workflows.detection.coverage import ScannedArea, read_scanned_area


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Ids of findings: ``both`` (N, 2) holds one of the first run and the same one of the second.

    Mostly that is one finding of which both have an opinion; where the two runs made a finding each, it is a pair.
    ``beside_first`` and ``beside_second`` are findings of one run where the other did not scan (or not yet, or could
    not read the slide): nothing can be said about them.
    """

    both: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray
    beside_first: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    beside_second: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


def compare_runs(
    project: Project, first: int, second: int, *, iou: float = 0.5, min_confidence: float | None = None
) -> RunComparison:
    """Match the findings of two runs in the area that both scanned, whatever their classes.

    What is one finding in the project is the same; of the others those that overlap are, the best overlap first. Class,
    box and confidence are those that each run gave.

    Parameters
    ----------
    first, second
        Ids of runs over the same slide; whether they are shown does not matter.
    iou
        Overlap (intersection over union) from which two findings are the same.
    min_confidence
        Weaker findings that nobody has judged are left out; None takes the project's confidence limit.

    Raises
    ------
    InputError
        When the runs are over different slides, or have no area in common.
    ProjectError
        When the mask of one of them is damaged.
    """
    runs = project.runs.by_id(first), project.runs.by_id(second)
    if runs[0].slide_id != runs[1].slide_id:
        raise InputError("The two detections are on different slides.", hint="Choose two of the same slide.")
    least = project.inclusion.current.confidence_limit if min_confidence is None else min_confidence
    common_area(*runs)
    sides = [project.opinions.findings_of_run(run.id) for run in runs]
    sides = [side[Inclusion(least).mask(side, rejected=True)] for side in sides]
    (one, ids), (other, other_ids) = ((coordinates(side), side["id"]) for side in sides)
    scanned = read_scanned_area(runs[0]), read_scanned_area(runs[1])
    return compare_findings(ids, one, other_ids, other, iou=iou, scanned=scanned)


def common_area(first: RunRecord, second: RunRecord) -> Region | None:
    """The rectangle that both runs have in common, in full-resolution pixels; None where a run does not say its own.

    Outside of it, and where one of them did not scan for another reason (:mod:`coverage`), a finding of one run says
    nothing about the other.

    Raises
    ------
    InputError
        When there is no such area.
    """
    one, other = first.plan.region, second.plan.region
    if one is None or other is None:
        return None
    shared = Region(max(one.y0, other.y0), max(one.x0, other.x0), min(one.y1, other.y1), min(one.x1, other.x1))
    if shared.y0 >= shared.y1 or shared.x0 >= shared.x1:
        raise InputError(
            "The two detections scanned different parts of the slide.", hint="Compare two with an area in common."
        )
    return shared


def compare_findings(
    first_ids: np.ndarray,
    first: np.ndarray,
    second_ids: np.ndarray,
    second: np.ndarray,
    *,
    iou: float = 0.5,
    scanned: tuple[ScannedArea, ScannedArea] | None = None,
) -> RunComparison:
    """Match two sets of boxes; touches no project, so that it can run in any thread.

    Parameters
    ----------
    first_ids, second_ids : (N,) and (M,) ndarray
        What has the same id in both is the same.
    first, second : (N, 4) and (M, 4) ndarray
        y0, x0, y1, x1.
    scanned
        What the two runs scanned; None is everything.
    """
    ids = first_ids.astype(np.int64), second_ids.astype(np.int64)
    one, other = _same(*ids, first, second, iou=iou)
    within = [np.ones(len(first) + len(second), bool)] * 2
    if scanned is not None:
        within = [area.touches(np.concatenate([first, second])) for area in scanned]
    parts = [
        np.split(area, [len(first)]) for area in within
    ]  # of each run's area: findings of the first, of the second
    # a pair at the border of an area still counts as one
    known = np.logical_and.reduce([of_first[one] | of_second[other] for of_first, of_second in parts])
    known |= ids[0][one] == ids[1][other]  # both found it
    one, other = one[known], other[known]
    both = np.stack([ids[0][one], ids[1][other]], axis=1)
    alone = [_without(len(first), one), _without(len(second), other)]
    sure = [parts[side][side][alone[side]] for side in (0, 1)]
    if scanned is not None:
        sure[0] = sure[0] & scanned[1].would_find(first[alone[0]])
        sure[1] = sure[1] & scanned[0].would_find(second[alone[1]])
    only = [numbers[places[told]] for numbers, places, told in zip(ids, alone, sure, strict=True)]
    beside = [numbers[places[~told]] for numbers, places, told in zip(ids, alone, sure, strict=True)]
    return RunComparison(both, *only, *beside)


def _same(first_ids: Ints, second_ids: Ints, first: np.ndarray, second: np.ndarray, *, iou: float) -> tuple[Ints, Ints]:
    """Places of what is the same: by its id, otherwise by overlap."""
    _, one, other = np.intersect1d(first_ids, second_ids, assume_unique=True, return_indices=True)
    left = _without(len(first), one), _without(len(second), other)
    more, beside = match_by_overlap(first[left[0]], second[left[1]], iou=iou)
    return np.concatenate([one, left[0][more]]), np.concatenate([other, left[1][beside]])


def _without(count: int, taken: Ints) -> Ints:
    left = np.ones(count, bool)
    left[taken] = False
    return np.flatnonzero(left)
