"""study: networks side by side, and two detectors over all slides, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from learning_toys import coco_folder, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan

QUIET = ["--progress", "none"]


def test_networks_are_compared_by_one_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, out, page = coco_folder(tmp_path / "data", pictures=6), tmp_path / "out", tmp_path / "page.html"
    command = [
        "study", "networks", str(data), "--out", str(out), "--network", "ssd-tiny", "--network",
        "ssd-tiny:batch=2,learning_rate=0.01", "--epochs", "1", "--crop", "64", "--tile", "192", "--timed", "1",
        "--device", "cpu", "--write", str(page), "--write", str(tmp_path / "table.xlsx"), *QUIET,
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("Networks side by side: detection") and "batch=2, learning_rate=0.01" in said
    assert "mAP50" in said and "s per picture, cpu" in said and "Measured on 1 picture or place" in said
    assert "<table>" in page.read_text() and (tmp_path / "table.xlsx").exists() and (out / "table.csv").exists()
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["settings"] for row in document["rows"]] == ["", "batch=2, learning_rate=0.01"]
    assert main([*command, "--seed", "3"]) == 2
    assert "a study of other data, or with other settings" in capsys.readouterr().err
    for wrong in (["--network", "yolo"], ["--network", "ssd-tiny:batch"], ["--share", "2"]):
        assert main([*command[:5], *wrong, *QUIET]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_studies_of_one_model_say_what_it_lacks(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, model = coco_folder(tmp_path / "data", pictures=2), untrained_model(tmp_path / "m", classes=("SQ", "DI"))
    for action, words in (("proposals", "makes no proposals"), ("steps", "slides no windows")):
        assert main(["study", action, str(model), str(data), *QUIET]) == 2
        assert words in capsys.readouterr().err


def test_two_detectors_are_put_side_by_side(capsys: pytest.CaptureFixture[str], cell: Path, tmp_path: Path) -> None:
    with Project.open(cell) as project:
        (known,) = {run.title for run in project.runs}
        run = project.runs.start(project.slides[0].id, RunPlan(model="new", model_name="new"))
        crack = next(one.id for one in project.classes if one.code == "CRK")
        rows = make_rows(1, class_id=crack, x0=[140], x1=[150], y0=10.0, y1=20.0, confidence=0.9)
        project.runs.add_findings(run.id, rows)
    command = ["study", "detectors", str(cell), "--first", known, "--second", "new", *QUIET]
    assert main([*command, "--confidence", "0.5", "--write", str(tmp_path / "t.csv"), "--json"]) == 0
    rows = {(row["slide"], row["class"]): row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["all cross-sections", "CRK"]["both"] == 1 and rows["S1", "CRK"]["only_first"] == 1
    assert f"Only {known}" in (tmp_path / "t.csv").read_text()
    assert main(["study", "detectors", str(cell), "--first", known, "--second", "none", *QUIET]) == 2
    assert f"There are detections by {known} and new" in capsys.readouterr().err
