"""models: what it lists and says, and what detections take from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from learning_toys import coco_folder, untrained_model
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.project import Project
from microscope_qc.workflows.models.comparison_page import MOST_SHOWN


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own"))
    return untrained_model(tmp_path / "own" / "toy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A project with one slide of half a micrometre per pixel."""
    Image.new("RGB", (300, 200), (128, 128, 128)).save(tmp_path / "S1.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "S1.png"]) as project:
        project.slides.set_pixel_size(project.slides[0].id, 0.5)
        return project.path


def test_models_are_listed_and_shown(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"toy": "user", "li-ion-ssd": "program"}.items() <= {one["name"]: one["place"] for one in listed}.items()
    assert main(["models", "list", "--project", str(path)]) == 0
    assert "toy (yours): detect, 2 classes (ACP, NEW), scans at 0.5 um per pixel" in capsys.readouterr().out
    assert main(["models", "show", "li-ion-ssd"]) == 0
    shown = capsys.readouterr().out
    assert "Licence: " in shown and "Cathode round particle" in shown and "0.976" in shown
    assert main(["models", "show", "li-ion-ssd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["map50"] > 0.9


def test_a_model_goes_out_and_comes_back(capsys: pytest.CaptureFixture[str], tmp_path: Path, path: Path) -> None:
    file = tmp_path / "toy.mqcmodel"
    for command in (
        ["export", "toy", str(file)], ["rename", "toy", "first"], ["duplicate", "first", "copy"],
        ["import", str(file), "--name", "second", "--project", str(path)], ["delete", "copy"],
    ):  # fmt: skip
        assert main(["models", *command, "--progress", "none"]) == 0, command
    capsys.readouterr()
    assert main(["models", "--project", str(path), "--json"]) == 0
    names = [(one["name"], one["place"]) for one in json.loads(capsys.readouterr().out)]
    assert names[:2] == [("second", "project"), ("first", "user")]
    assert main(["models", "delete", "li-ion-ssd"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_detection_takes_the_model_in_use(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    detect = ["detect", str(path), "--device", "cpu", "--progress", "none", "--everything", "--json"]
    assert main(detect) == 2
    assert "No model is in use" in capsys.readouterr().err
    assert main(["models", "use", str(path), "toy"]) == 0
    assert capsys.readouterr().out == "Model in use: toy.\n"
    assert main(["models", "use", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "toy"
    assert main(detect) == 0
    assert json.loads(capsys.readouterr().out)["model"].endswith("toy")
    with Project.open(path, write=False) as project:
        assert project.runs[0].plan.model_name == "toy"
    assert main(["models", "show", "toy", "--project", str(path)]) == 0
    assert "per mm²" in capsys.readouterr().out, "how fast it was here"
    assert main(["models", "use", str(path), "--none"]) == 0
    assert main(["history", str(path), "undo"]) == 0
    assert "No model in use (was toy)" in capsys.readouterr().out
    assert main(["models", "use", str(path), "toy", "--none"]) == 2


def test_two_models_are_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", pictures=3)
    for name, bias in (("a", -2.0), ("b", -3.0)):
        untrained_model(tmp_path / "own" / name, classes=("SQ", "DI"), bias=bias)
    command = ["models", "compare", "a", "b", str(data), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--out", str(tmp_path / "out.json")]) == 0
    said = capsys.readouterr().out
    assert "cannot be told from 3 places" in said and "McNemar" in said and "SQ: a AP50" in said
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["new"]["model"] == "a" and document["truth"] == 18 and document["differences"]["f1"]["p"] is None
    assert main([*command, "--iou", "50"]) == 2


def test_a_comparison_is_a_page_with_pictures_and_no_foreign_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    data = coco_folder(tmp_path / "data", pictures=3)
    document = json.loads((data / "annotations.json").read_text())
    document["categories"][0]["name"] = evil
    (data / "annotations.json").write_text(json.dumps(document))
    for name, bias in (("a", -2.0), ("b", -6.0)):
        untrained_model(tmp_path / "own" / name, classes=(evil, "DI"), bias=bias)
    page = tmp_path / "page.html"
    command = ["models", "compare", "a", "b", str(data), "--device", "cpu", "--progress", "none", "--html", str(page)]
    assert main(command) == 0
    text, said = page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "<h2>False in a</h2>" in text and "false in a:" in said
    assert 3 <= text.count("data:image/jpeg") <= 4 * MOST_SHOWN
    assert len(text) < 20e6
