"""A classifier from labels to findings: trained on a project, measured on it, slid over its slides, kept windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from learning_toys import CLASSES, judged_project

from microscope_qc.cli import main
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import read_card
from microscope_qc.ml.tasks.windows import with_step
from microscope_qc.project import Project
from microscope_qc.workflows.learning.preview import preview_crops

QUIET = ["--device", "cpu", "--progress", "none"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_project(tmp_path_factory.mktemp("judged"), slides=6, size=256)


@pytest.fixture(scope="module")
def model(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "windows"
    settings = (
        "--task classify --network light --crop 64 --tile 128 --epochs 12 --validate-every 6 --learning-rate 0.03"
    )
    pyramid = ["--seed", "3", "--window-step", "0.25", "--scales", "1", "1.5"]
    assert main(["train", str(project), "--out", str(out), *settings.split(), *pyramid, *QUIET]) == 0
    return out


def test_the_card_says_how_the_model_scans_and_what_it_learned(model: Path) -> None:
    card = read_card(model)
    assert card.windows is not None
    assert (card.windows.window_px, card.windows.stride_px, card.windows.scales) == (64, 16, (1.0, 1.5))
    assert card.overlap_px == 72, "no window between two tiles is missed, also of the larger ones"
    assert (card.tile_px - 96) % 16 == 0 and card.tile_px >= 128
    examples = card.training["examples"]
    assert examples["none"] == 2 * (examples["SQ"] + examples["DI"]) and card.training["sampling"] == "recrop"
    assert card.metrics["f1"] > 0.6


def test_it_finds_on_the_slides_of_the_project_what_it_learned(
    project: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Project.open(project, write=False) as opened:
        slide = opened.slides[0]
        truth = opened.boxes.table(slide.id).rows.copy()
        codes = {known.id: known.code for known in opened.classes}
    assert main(["detect", str(project), "--model", str(model), "--slide", slide.name, *QUIET, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    with Project.open(project, write=False) as opened:
        ids = [int(number) for number in truth["id"]]
        said = {number: opened.opinions.of_finding(number) for number in ids}
        found = [number for number in ids if len(said[number])]
        right = [
            number
            for number, class_id in zip(ids, truth["class_id"], strict=True)
            if len(said[number]) and codes[int(said[number]["class_id"][0])] == codes[int(class_id)]
        ]
    assert len(found) >= len(ids) / 2 and len(right) >= 0.8 * len(found)


def test_it_is_measured_on_the_project(project: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model), str(project), "--part", "all", *QUIET, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] > 0.6 and len(report["confusion"]) == len(CLASSES) + 1
    assert {"f1", "auroc", "auprc"} <= set(report) and report["learned_from"]["pictures"] > 0


def test_windows_of_another_step_fit_the_same_model(model: Path) -> None:
    card = read_card(model)
    wider = with_step(card, 0.75, stride_px=16)
    assert wider.windows is not None and wider.windows.stride_px == 48 and wider.windows.scales == (1.0, 1.5)
    assert wider.overlap_px == 24 and wider.overlap_px < wider.tile_px


def test_the_preview_shows_windows_with_their_class(project: Path) -> None:
    preview = run_job(preview_crops(project, count=24, task="classify", network="light", crop_px=64, seed=3))
    assert {len(crop.boxes) for crop in preview.crops} == {0, 1}
    for crop in preview.crops:
        assert crop.pixels.shape == (64, 64, 3)
        assert crop.boxes.tolist() in ([], [[0, 0, 64, 64]]) and len(crop.labels) == len(crop.boxes)
