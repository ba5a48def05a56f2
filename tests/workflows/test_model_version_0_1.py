"""Models of version 0.1 find what they found, are measured, and are what a training starts from or say why not.

``version_0_1.zip`` beside the tests of projects holds what version 0.1 found with them. Its detector is the bundled
one, whose weights have been the same since; its anomaly model is in the file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from learning_toys import TINY_TRAINING

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.library import load_card
from microscope_qc.project import Project
from microscope_qc.slides import open_slide
from microscope_qc.workflows.detection.run import detect
from microscope_qc.workflows.learning.evaluate import Evaluation, evaluate
from microscope_qc.workflows.learning.train import train

STORED = Path(__file__).parents[1] / "project"
EXPECTED: dict[str, Any] = json.loads((STORED / "version_0_1.json").read_text(encoding="utf-8"))
DETECTOR = "li-ion-ssd"
ELECTRODE, WAVES = 1, 3
RUN_OF = {ELECTRODE: 1, WAVES: 5}
"""A finished run over the whole of each slide."""
_CODE, _CORNERS, _CONFIDENCE, _RUN = 1, slice(2, 6), 6, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(STORED / "version_0_1.zip") as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def old(folder: Path) -> Iterator[Project]:
    with Project.open(folder / "cell S1.mqc") as project:
        yield project


@pytest.fixture
def models(folder: Path) -> dict[int, str]:
    """The model that was run on each slide."""
    return {ELECTRODE: DETECTOR, WAVES: str(folder / "models" / "toy")}


def found_then(slide_id: int, *, least: float) -> list[list[Any]]:
    """What the model found on a slide in version 0.1, in the words of the file; without what a user changed since."""
    (slide,) = (slide for slide in EXPECTED["slides"] if slide["id"] == slide_id)
    (run,) = (run for run in EXPECTED["runs"] if run["id"] == RUN_OF[slide_id])
    with zipfile.ZipFile(STORED / "version_0_1.zip") as archive:
        lines = archive.read(f"cell S1.mqc/runs/{run['id']}/journal.jsonl").splitlines()
    codes = run["card"]["classes"]
    said = [
        (codes[label], *corners, confidence)
        for line in lines
        for *corners, confidence, label in json.loads(line)["candidates"]
    ]
    mine = (box for box in slide["boxes"] if box[_RUN] == run["id"] and (box[_CONFIDENCE] or 0) >= least)
    return [box for box in mine if tuple(box[_CODE : _CONFIDENCE + 1]) in said]


def pictures(folder: Path, project: Project, slide_id: int) -> Path:
    """A slide as a picture, with what was surely found on it as truth."""
    slide = project.slides.by_id(slide_id)
    with open_slide(slide.path) as file:
        pixels = file.scene(slide.scene).read_rgb8(Region(0, 0, *slide.shape_px))
    folder.mkdir()
    cv2.imwrite(str(folder / "slide.png"), pixels[..., ::-1])
    truth = found_then(slide_id, least=0.5)
    codes = sorted({box[_CODE] for box in truth})
    corners = [box[_CORNERS] for box in truth]
    document = {
        "images": [{"id": 1, "file_name": "slide.png", "height": slide.shape_px[0], "width": slide.shape_px[1]}],
        "categories": [{"id": number, "name": code} for number, code in enumerate(codes)],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": codes.index(box[_CODE]), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for number, (box, (y0, x0, y1, x1)) in enumerate(zip(truth, corners, strict=True))
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("slide_id", RUN_OF)
def test_it_finds_what_it_found(old: Project, models: dict[int, str], slide_id: int) -> None:
    done = run_job(detect(old, slide_id, models[slide_id], device="cpu"))
    assert done.state == "finished"
    found = old.opinions.of_run(done.run_id)
    codes = {defect.id: defect.code for defect in old.classes}
    corners = np.stack([found[side] for side in ("y0", "x0", "y1", "x1")], axis=1)
    before = found_then(slide_id, least=0.3)  # the weak ones depend on the last digits of a processor
    assert len(before) >= (10 if slide_id == ELECTRODE else 2)
    for box in before:
        here = np.abs(corners - box[_CORNERS]).max(axis=1) < 3
        same = [row for row in found[here] if codes[row["class_id"]] == box[_CODE]]
        assert same and same[0]["confidence"] == pytest.approx(box[_CONFIDENCE], abs=0.05), box
    (run,) = (run for run in EXPECTED["runs"] if run["id"] == RUN_OF[slide_id])
    assert len(found) == pytest.approx(run["found"], abs=3), "and nothing else"


def test_it_is_measured(old: Project, models: dict[int, str], tmp_path: Path) -> None:
    measured: dict[int, Evaluation] = {}
    for slide_id, model in models.items():
        data = pictures(tmp_path / f"pictures {slide_id}", old, slide_id)
        measured[slide_id] = run_job(evaluate(model, data, confidence=0.5, device="cpu"))
    detector, anomalies = (measured[slide_id] for slide_id in RUN_OF)
    assert detector.report.figures["recall"] == 1 and detector.report.figures["precision"] > 0.8
    assert anomalies.report.figures["auroc"] > 0.9
    assert detector.learned is anomalies.learned is None
    old_one = "Whether the model learned from some of the pictures is not known: it was trained by an older version."
    assert old_one in anomalies.sentences and old_one not in detector.sentences


def test_a_detector_is_what_a_training_starts_from(old: Project, tmp_path: Path) -> None:
    data, said = pictures(tmp_path / "pictures", old, ELECTRODE), list[str]()
    settings = TINY_TRAINING | {"epochs": 1, "learning_rate": 1e-9}
    card = run_job(train(data, tmp_path / "new", start=DETECTOR, validation=data, tell=said.append, **settings))
    before = load_card(DETECTOR)
    assert card.architecture == "ssd" and card.training["start"]["name"] == DETECTOR
    assert set(card.classes) == {box[_CODE] for box in found_then(ELECTRODE, least=0.5)} < set(before.classes)
    assert card.metrics["recall"] > 0.8, "it has not learned anything, and still knows what that one knew"
    assert not any("too good" in sentence for sentence in said), "it has learned from drawn pictures only"


def test_an_anomaly_model_says_why_not(folder: Path, models: dict[int, str], tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        run_job(train(tmp_path, tmp_path / "new", start=models[WAVES]))
    assert raised.value.message == "toy is a model for the task anomaly: a training for detect cannot start from it."
    assert raised.value.hint == "Start from a model for the same task."
