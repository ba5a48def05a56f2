"""Where nothing is shown, a sentence says why, and what it offers shows what was promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.boxes import BoxFilter, make_rows
from microscope_qc.core.hiding import Hider
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.review.why_nothing import elsewhere, lift, why_nothing, why_words


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three CRK of a run (0.2, 0.3, 0.9) and a drawn COP on S1, an unsure CRK of a run on S2, nothing on S3."""
    paths = []
    for number in (1, 2, 3):
        paths.append(tmp_path / f"S{number}.png")
        Image.fromarray(np.full((100, 200), 40 * number, np.uint8)).save(paths[-1])
    made = Project.create(tmp_path / "cell.mqc", slides=paths)
    codes = {defect.code: defect.id for defect in made.classes}
    sides = {"y0": 10.0, "y1": 20.0}
    for slide, confidences in zip(made.slides, ([0.2, 0.3, 0.9], [0.2]), strict=False):
        made.slides.set_pixel_size(slide.id, 0.5)
        run = made.runs.start(slide.id, RunPlan(model="m"))
        left = 40.0 * np.arange(len(confidences))
        made.runs.add_findings(
            run.id, make_rows(len(left), class_id=codes["CRK"], x0=left, x1=left + 30, confidence=confidences, **sides)
        )
        made.runs.finish(run.id, "finished")
    made.boxes.add(made.slides[0].id, make_rows(1, class_id=codes["COP"], x0=150, x1=180, **sides))
    return made


def said(project: Project, *slides: str) -> str:
    ids = [slide.id for slide in project.slides if slide.name in slides]
    return why_words(project, why_nothing(project, ids), "on this slide")


def shown(project: Project) -> int:
    return sum(int(project.boxes.shown(slide.id).sum()) for slide in project.slides[:1])


@pytest.mark.parametrize(
    ("limit", "changes", "sentence", "by", "count"),
    [
        (0.95, {"text": "crack"}, "3 findings fit “crack”, but the confidence limit 0.95 hides them.", Hider.LIMIT, 3),
        (0.0, {"text": "crack", "only_chosen": True}, "3 findings fit “crack”, but “chosen” (for the SEM) hides them.",
         Hider.CHOSEN, 3),
        (0.0, {"only_chosen": True}, "All 4 findings are hidden: “chosen” (for the SEM) hides them.", Hider.CHOSEN, 4),
        (0.5, {"text": "crack confidence<0.25"},
         "1 finding fits “crack confidence<0.25”, but the confidence limit 0.50 hides it.", Hider.LIMIT, 1),
        (0.95, {"text": "crack", "size_um": (90.0, 99.0)},
         "3 findings fit “crack”, but the confidence limit 0.95 and the filter by size hide them.",
         Hider.LIMIT | Hider.SIZE, 3),
        (0.0, {"text": "crack", "min_confidence": 0.92, "max_confidence": 0.95},
         "3 findings fit “crack”, but the filter by confidence (0.92 to 0.95) hides them.", Hider.CONFIDENCE, 3),
    ],
)  # fmt: skip
def test_what_hides_findings_is_named_and_can_be_lifted_alone(project, limit, changes, sentence, by, count):
    project.inclusion.set_limit(limit)
    project.filters.set(BoxFilter(**changes))
    first = project.slides[0]
    why = why_nothing(project, [first.id])
    assert shown(project) == 0
    assert why_words(project, why, "on this slide") == sentence
    assert why.hiding is not None and (why.hiding.by, why.hiding.count) == (by, count)
    lift(project, why.hiding.by, [first.id])
    assert shown(project) == count
    assert project.filters.current.text == changes.get("text", ""), "the search stays"


def test_a_detection_that_is_switched_off_is_named_and_only_those_of_the_slide_come_back(project):
    for run in project.runs:
        project.runs.show(run.id, False)
    project.filters.set(BoxFilter(text="crk"))
    assert said(project, "S2") == "1 finding fits “crk”, but detections that are switched off hide it."
    why = why_nothing(project, [project.slides[1].id])
    assert why.hiding is not None
    lift(project, why.hiding.by, [project.slides[1].id])
    assert [run.shown for run in project.runs] == [False, True]
    assert said(project, "S1") == "3 findings fit “crk”, but a detection that is switched off hides them."


def test_where_nothing_fits_that_is_said_and_other_slides_are_counted(project):
    project.filters.set(BoxFilter(text="crack"))
    assert said(project, "S3") == "There are no findings on this slide yet."
    project.filters.set(BoxFilter(text="burnt"))
    assert said(project, "S1") == "None of the 4 findings on this slide fits “burnt”."
    project.filters.set(BoxFilter(text="class=QQQ"))
    assert said(project, "S1").startswith("The search cannot be read at character 7, “QQQ”: there is no class QQQ.")
    project.inclusion.set_limit(0.5)
    project.filters.set(BoxFilter(text="crack"))
    ids = [slide.id for slide in project.slides]
    assert list(elsewhere(project, ids)) == list(zip(ids, (3, 1, 0), strict=True))
