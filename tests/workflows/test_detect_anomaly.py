"""Anomaly models are chosen, run and shown like any other model."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from anomaly_toys import blurring_autoencoder, waves

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.heatmap import HeatMap
from microscope_qc.workflows.detection.run import detect, prepare_run

SPOTS = ((60, 70), (150, 200))


def project_of(folder: Path) -> Project:
    """A project with one slide that has two odd places."""
    cv2.imwrite(str(folder / "slide.png"), waves(8, height=320, width=320, spots=SPOTS))
    project = Project.create(folder / "p.mqc", slides=[folder / "slide.png"])
    project.slides.set_pixel_size(project.slides[0].id, 0.5)
    return project


def test_an_anomaly_model_finds_odd_places_on_a_slide_of_a_project(tmp_path: Path) -> None:
    model = blurring_autoencoder(tmp_path / "toy")
    with project_of(tmp_path) as project:
        slide = project.slides[0].id
        result = run_job(detect(project, slide, model))
        assert result.state == "finished" and result.shown == len(SPOTS)
        odd = project.classes.by_code("ODD")
        assert odd.name == "Out of the ordinary"
        for y, x in SPOTS:
            rows = project.boxes.rows(slide)
            around = (rows["y0"] < y) & (y < rows["y1"]) & (rows["x0"] < x) & (x < rows["x1"])
            assert around.sum() == 1 and rows["class_id"][around] == odd.id
        heat = HeatMap.open(project.runs.by_id(result.run_id).folder)
        assert heat is not None and heat.card.classes == ("ODD",)


def test_a_model_of_another_task_is_refused_with_what_can_be_chosen(tmp_path: Path) -> None:
    model = blurring_autoencoder(tmp_path / "toy")
    card = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(card | {"task": "segment"}))
    with project_of(tmp_path) as project, pytest.raises(ModelError, match="does not find.*or an anomaly model"):
        prepare_run(project, project.slides[0].id, model)
