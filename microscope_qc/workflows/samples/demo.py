"""The sample: a drawn slide with known defects, taken through the whole program.

:func:`sample` draws a slide and makes a project from it; :func:`demo` continues with detection, stage marks, choosing
the worst findings, every export, and precision and recall against the truth.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from microscope_qc.core.boxes import ReviewState, coordinates
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.project import Project

T = TypeVar("T")

DEMO_SEED = 2026
"""The bundled detector has never seen a slide of this seed."""

DEMO_SIZE_PX = 8192
BUNDLED_DETECTOR = "li-ion"
CHOSEN = 20
SLIDE_NAME = "slide.ome.zarr"
PROJECT_NAME = "project.mqc"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Results of the demo. Precision and recall: same class, IoU 0.5, all findings shown at the default confidence."""

    project: Path
    slide: str
    findings: int
    chosen: int
    defects: int
    precision: float
    recall: float
    confidence: float
    seconds: float
    files: tuple[Path, ...]


def sample_folder() -> Path:
    """Default folder of the sample, in the user's documents."""
    from platformdirs import user_documents_path

    return user_documents_path() / "Microscope QC" / "Sample"


def sample(out: Path, *, size: int, seed: int = DEMO_SEED) -> Job[Path]:
    """Draw a slide of ``size`` x ``size`` px into ``out`` and make a project from it; return the project's path.

    What is already there is kept: an existing project is returned unchanged.
    """
    from microscope_qc.workflows.samples import synth

    out = Path(out)
    slide, project_path = out / SLIDE_NAME, out / PROJECT_NAME
    truth = synth.truth_path(slide)
    if project_path.exists():
        return project_path
    if not (slide.exists() and truth.exists()):
        yield from _named(synth.make("electrode", slide, shape=(size, size), seed=seed), "Drawing the slide")
    Project.create(project_path, slides=[slide]).close()
    return project_path


def demo(
    out: Path,
    *,
    size: int = DEMO_SIZE_PX,
    seed: int = DEMO_SEED,
    model: str = BUNDLED_DETECTOR,
    device: str = "auto",
    ready: bool = False,
) -> Job[DemoResult]:
    """Make the sample in ``out``, find its defects, choose the worst and write every export.

    With ``ready`` it is the one that comes with the program, with its findings, see :func:`ready_sample`. When repeated
    in the same folder, it keeps the slide, the project and everything the user has reviewed in it.

    Raises
    ------
    InputError
        When ``out`` contains something else.
    """
    from microscope_qc.workflows.detection.run import detect
    from microscope_qc.workflows.samples import synth
    from microscope_qc.workflows.samples.ready import SLIDE_NAME as READY_SLIDE
    from microscope_qc.workflows.samples.ready import ready_sample

    started = time.monotonic()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder.", hint="Choose another folder (--out on the command line).")
    project_path = yield from ready_sample(out) if ready else sample(out, size=size, seed=seed)
    with Project.open(project_path) as project:
        slide = project.slides[0]
        if not any(run.state == "finished" for run in project.runs):
            yield from _named(detect(project, slide.id, model, device=device), "Finding defects")
        if not project.marks.of_slide(slide.id):
            place_simulated_marks(project, slide.id, seed=seed)
        if not project.boxes.rows(slide.id)["chosen"].any():
            choose_worst(project, slide.id, CHOSEN)
        files = yield from write_results(project, slide.id, out)
        truth = out / "truth.json"
        atomic_write(truth, synth.truth_path(out / (READY_SLIDE if ready else SLIDE_NAME)).read_bytes())
        score = score_against_truth(project, slide.id, truth)
        rows = project.boxes.rows(slide.id)
        return DemoResult(
            project=project_path,
            slide=slide.name,
            findings=len(rows),
            chosen=int(rows["chosen"].sum()),
            defects=score["true_positives"] + score["missed"],
            precision=score["precision"] or 0.0,
            recall=score["recall"] or 0.0,
            confidence=project.inclusion.current.confidence_limit,
            seconds=time.monotonic() - started,
            files=(*files, truth),
        )


def choose_worst(project: Project, slide_id: int, count: int) -> list[int]:
    """Choose the worst ``count`` of the findings that are shown for the SEM; return their ids."""
    from microscope_qc.analysis.ranking import worst_first

    rows = project.boxes.rows(slide_id)
    rows = rows[rows["state"] != ReviewState.REJECTED]
    record = project.slides.by_id(slide_id)
    order = worst_first(rows, project.classes, record.pixel_size_um)
    ids = [int(box_id) for box_id in rows["id"][order[:count]]]
    if ids:
        project.boxes.edit(ids, title=f"Choose the worst {len(ids)} for the SEM", chosen=True)
    return ids


def place_simulated_marks(project: Project, slide_id: int, *, seed: int, noise_um: float = 1.5) -> None:
    """Place three marks with the stage positions that a slightly rotated sample would have, and fit the alignment.

    The stage's y axis points up, the slide's down; ``noise_um`` is the standard deviation of a stage reading.
    """
    from microscope_qc.workflows.stage.stage import fit_registration

    record = project.slides.by_id(slide_id)
    height, width = record.shape_px
    size_y, size_x = record.pixel_size_um or (1.0, 1.0)
    angle = math.radians(1.3)
    rng = np.random.default_rng(seed)
    places = [(0.06 * height, 0.07 * width), (0.08 * height, 0.93 * width), (0.94 * height, 0.12 * width)]
    for number, (y, x) in enumerate(places, 1):
        x_um, y_um = x * size_x, -y * size_y
        noise = rng.normal(0, noise_um, 2)
        stage_x = 61_250.0 + math.cos(angle) * x_um - math.sin(angle) * y_um + noise[0]
        stage_y = 48_730.0 + math.sin(angle) * x_um + math.cos(angle) * y_um + noise[1]
        project.marks.add(slide_id, f"M{number}", y, x, stage_x_mm=stage_x / 1000, stage_y_mm=stage_y / 1000)
    fit_registration(project, slide_id, name="R1")


def write_results(project: Project, slide_id: int, out: Path) -> Job[list[Path]]:
    """Write every kind of result of a slide into a folder; return the files."""
    from microscope_qc.workflows.exchange import export
    from microscope_qc.workflows.results import report
    from microscope_qc.workflows.stage import stage

    files = [out / "overview.png", out / "overview.tif"]
    for picture in files:
        yield from _named(report.write_overview(project, picture, slide_id=slide_id, selected=True), picture.name)
    for name, target in (("csv", out / "coordinates.csv"), ("xlsx", out / "coordinates.xlsx")):
        yield from _named(stage.export_stage(project, target, format=name, slide_id=slide_id), target.name)
        files.append(target)
    for name, target in (("geojson", out / "defects.geojson"), ("coco", out / "coco.json"), ("voc", out / "voc")):
        yield from _named(export.export_boxes(project, target, name), target.name)
        files.append(target)
    page = out / "report.html"
    yield from _named(report.write_report(project, page), "Report")
    return [*files, page]


def score_against_truth(project: Project, slide_id: int, truth_file: Path) -> dict[str, Any]:
    """Precision and recall of all findings shown against the truth of a drawn slide (same class, IoU 0.5)."""
    from microscope_qc.analysis.scoring import precision_recall

    truth = json.loads(truth_file.read_text(encoding="utf-8"))
    code_of = {category["id"]: category["name"] for category in truth["categories"]}
    boxes = np.array([a["bbox"] for a in truth["annotations"]], float).reshape(-1, 4)
    true_boxes = np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1)
    true_codes = [code_of[a["category_id"]] for a in truth["annotations"]]
    rows = project.boxes.rows(slide_id)
    rows = rows[rows["state"] != ReviewState.REJECTED]
    codes = {cls.id: cls.code for cls in project.classes}
    scores = np.nan_to_num(rows["confidence"], nan=1.0)
    found = [codes[int(class_id)] for class_id in rows["class_id"]]
    return precision_recall(coordinates(rows), found, scores, true_boxes, true_codes, iou=0.5)


def _named(job: Job[T], title: str) -> Job[T]:
    """Put a title before the notes of a job's progress."""

    def tell(step: Progress) -> Progress:
        return replace(step, note=f"{title}: {step.note}" if step.note and step.note != title else title)

    return retold(job, tell)
