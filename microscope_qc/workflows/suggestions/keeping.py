"""Suggestions that are kept as a detection: an ordinary run, whose findings count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.runs.journal import JournalWriter, read_status, write_status
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.suggestions import KEPT_NAME, SuggestionSet, is_half_kept
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.suggestions.judging import open_suggestions

CONFIDENCE = 0.3
"""Suggested as the limit of a detection that is kept."""
PIECE = 20
"""So many findings are written before a window answers again."""


def keep_as_detection(project: Project, slide_id: int) -> RunRecord:
    """Make an ordinary run of what is suggested on a slide and is no finding yet.

    Raises
    ------
    InputError
        When nothing is.
    """
    return run_job(keep(project, project.slides.by_id(slide_id)))


def keep(project: Project, slide: SlideRecord, found: SuggestionSet | None = None) -> Job[RunRecord]:
    """As :func:`keep_as_detection`, a few findings in each step; what is closed before its end is deleted again.

    Parameters
    ----------
    found
        What is suggested and is no finding yet, where that is known already.

    Raises
    ------
    InputError
        When there is nothing to keep.
    """
    before = yield from finish_half_kept(project, slide.id)
    if before or found is None:
        found = open_suggestions(project, slide)
    if found is None or not len(found):
        if before:
            return before[-1]
        raise InputError(
            f"Nothing is suggested on {slide.name}.", hint="Label some defects and let it learn from them."
        )
    run = _begin(project, slide, found)
    intake = RunIntake(project, run)
    try:
        for done in intake.in_pieces(PIECE):
            yield Progress(done, len(found), "findings", "keeping them as a detection")
        return intake.finish("finished")
    except BaseException:
        intake.finish("stopped")
        project.runs.delete(run.id)
        raise


def _begin(project: Project, slide: SlideRecord, found: SuggestionSet) -> RunRecord:
    classes = [defect for defect in project.classes if defect.id in set(found.class_ids.tolist())]
    labels = {defect.id: number for number, defect in enumerate(classes)}
    height, width = slide.shape_px
    run = project.runs.start(
        slide.id,
        RunPlan(
            model_name=f"{KEPT_NAME} ({found.labels})", weights=found.round, region=Region(0, 0, height, width),
            tile_px=max(height, width), overlap_px=0, classes=tuple(defect.code for defect in classes),
            class_names=tuple(defect.name for defect in classes), confidence=CONFIDENCE, told_apart=True,
        ),
    )  # fmt: skip
    rows = np.zeros(len(found), CANDIDATE_DTYPE)
    rows["y0"], rows["x0"], rows["y1"], rows["x1"] = found.boxes.T
    rows["confidence"], rows["label"] = found.scores, [labels[number] for number in found.class_ids.tolist()]
    journal = JournalWriter(run.folder)
    journal.tile(0, rows)
    journal.close()
    write_status(run.folder, {"state": "finished", "tiles_done": 1, "tiles_total": 1})
    return run


def finish_half_kept(project: Project, slide_id: int | None = None) -> Job[list[RunRecord]]:
    """Finish what was being kept, on one slide or on all, when the program was killed; return these detections.

    One of which nothing was written yet is deleted.
    """
    finished = []
    for left in [run for run in project.runs if is_half_kept(run) and slide_id in (None, run.slide_id)]:
        run = project.runs.finish(left.id, "stopped") if left.state == "running" else left
        if read_status(run.folder).get("state") == "finished":
            finished.append((yield from _finished(project, run)))
        else:
            project.runs.delete(run.id)
    return finished


def _finished(project: Project, run: RunRecord) -> Job[RunRecord]:
    """Take in what the journal of a detection holds besides what was taken in."""
    intake = RunIntake(project, replace(run, found=0))  # of its one tile, some findings are there and some not
    try:
        for done in intake.in_pieces(PIECE, after=run.found):
            yield Progress(done, 0, "findings", "keeping them as a detection")
    except BaseException:
        intake.finish("stopped")
        raise
    return intake.finish("finished")
