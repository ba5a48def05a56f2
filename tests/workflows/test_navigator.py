"""The stage's position: from a file, on the slide, and as the beginning of the travel list."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from microscope_qc.cli import main
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.project import Project
from microscope_qc.workflows.stage.navigator import LAST_BYTES, position_in_file, where_is
from microscope_qc.workflows.stage.stage import fit_registration


@pytest.fixture
def aligned(project: Project) -> Project:
    slide = project.slides[0]
    for name, y, x, off in (("A", 0, 0, 0.0), ("B", 0, 600, 1e-3), ("C", 400, 0, -1e-3), ("D", 400, 600, 1e-3)):
        project.marks.add(slide.id, name, y, x, stage_x_mm=10 + x / 2000 + off, stage_y_mm=20 - y / 2000)
    fit_registration(project, slide.id, name="R1")
    project.boxes.edit(np.arange(1, 6), chosen=True)
    return project


def test_the_last_whole_line_of_a_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "stage.log"
    path.write_text("1,5 2,5")
    assert position_in_file(path) == (1.5, 2.5) and position_in_file(path, unit="um") == (0.0015, 0.0025)
    path.write_text("12:00;x;y\n" + "1 2\n" * LAST_BYTES + "X=3 Y=4\nX=3 Y=4")
    assert position_in_file(path) == (3, 4)
    path.write_text("5 6\n7 8")  # 8 may become 85
    assert position_in_file(path) == (5, 6)
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="no position"):
        position_in_file(path)
    with pytest.raises(ExchangeError, match="cannot be read"):
        position_in_file(tmp_path / "none.log")


def test_what_lies_where_the_stage_is(aligned: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = aligned.boxes.table(aligned.slides[0].id).get([3])
    y, x = float(row["y0"] + row["y1"]) / 2, float(row["x0"] + row["x1"]) / 2
    found = where_is(aligned, (10 + x / 2000, 20 - y / 2000))
    assert (found["nearest"], found["registration"]) == (3, "R1") and found["distance_um"] < found["r95_um"] < 20
    assert (found["y_px"], found["x_px"]) == (pytest.approx(y, abs=3), pytest.approx(x, abs=3))
    aligned.close()
    assert main(["stage", "where", str(aligned.path), f"{10 + x / 2000}; {20 - y / 2000}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert main(["stage", "where", str(aligned.path), "nowhere"]) == 2
    assert "no position" in capsys.readouterr().err


@pytest.mark.parametrize(("start", "first"), [("10 20", "1"), ("10,3; 19,8", "5")])
def test_the_short_way_begins_where_the_stage_is(
    aligned: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str, first: str
) -> None:
    aligned.close()
    out = tmp_path / "a.csv"
    assert main(["stage", "export", str(aligned.path), str(out), "--format", "csv", "--from", start]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["defect_id"] == first
    capsys.readouterr()
