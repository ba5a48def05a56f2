"""Import, export, stats and stage through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project


@pytest.fixture
def project_path(tmp_path):
    Image.fromarray(np.full((100, 200), 90, np.uint8)).save(tmp_path / "S1.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "S1.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
    (tmp_path / "boxes.csv").write_text("slide,class,x0_px,y0_px,x1_px,y1_px,chosen\nS1,ACP,10,20,30,40,yes\n")
    return tmp_path / "cell.mqc"


def told(capsys) -> dict:
    """The one JSON document on stdout."""
    return json.loads(capsys.readouterr().out)


def test_boxes_are_imported_counted_and_exported(project_path, tmp_path, capsys):
    project, boxes = str(project_path), str(tmp_path / "boxes.csv")
    assert main(["import", project, boxes, "--dry-run", "--json", "--progress", "none"]) == 0
    assert told(capsys)["dry_run"] is True
    assert main(["import", project, boxes, "--json", "--progress", "none"]) == 0
    assert told(capsys)["boxes"] == 1
    assert main(["stats", project, "--json"]) == 0
    assert told(capsys)["total"]["states"]["unreviewed"] == 1
    out = tmp_path / "out.json"
    assert main(["export", project, str(out), "--format", "coco", "--progress", "none"]) == 0
    assert json.loads(out.read_text(encoding="utf-8"))["annotations"][0]["bbox"] == [10, 20, 20, 20]


def test_marks_to_stage_positions(project_path, tmp_path, capsys):
    project = str(project_path)
    main(["import", project, str(tmp_path / "boxes.csv"), "--progress", "none"])
    (tmp_path / "marks.csv").write_text(
        "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm\nA,0,0,1,2\nB,200,0,1.1,2\nC,0,100,1,1.95\n"
    )
    capsys.readouterr()
    assert main(["stage", "fit", project, "--marks", str(tmp_path / "marks.csv"), "--name", "R1", "--json"]) == 0
    fitted = told(capsys)
    assert (fitted["model"], fitted["mirror"], fitted["n"]) == ("similarity", False, 3)
    arguments = ["--registration", "R1", "--format", "csv", "--progress", "none"]
    assert main(["stage", "export", project, str(tmp_path / "c.csv"), *arguments]) == 0
    line = (tmp_path / "c.csv").read_text().splitlines()[1].split(",")
    assert [float(v) for v in line[2:4]] == pytest.approx([1.01, 1.985])
    main(["stage", "fit", project, "--marks", str(tmp_path / "marks.csv"), "--name", "R2", "--model", "affine"])
    capsys.readouterr()
    newest = ["stage", "export", project, str(tmp_path / "d.csv"), "--format", "csv", "--progress", "none"]
    assert main(newest) == 0
    assert "\nAligned by R2 of S1.\n" in capsys.readouterr().out
    assert main([*newest, "--registration", "R1", "--json"]) == 0
    about = told(capsys)
    assert (about["slide"], about["registration"]) == ("S1", "R1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "{project}", "{folder}/missing.json"],
        ["import", "{project}", "{folder}/S1.png"],
        ["export", "{project}", "{folder}/o", "--format", "docx"],
        ["stage", "export", "{project}", "{folder}/o", "--registration", "R9", "--format", "csv"],
        ["overview", "{project}", "{folder}/o.bmp"],
        ["report", "{project}", "{folder}/o.txt"],
        ["report", "{project}", "{folder}/o.html", "--template", "{folder}/S1.png"],
        ["report", "{project}", "{folder}/o.html", "--leave-out", "poetry"],
        ["report", "{project}", "{folder}/o.html", "--group-by", "class"],
        ["stats", "{folder}/no.mqc"],
        ["dataset", "make", "{project}", "--out", "{folder}/d", "--seed", "-1"],
        ["synth", "electrode", "{folder}/s.ome.zarr", "--size", "256", "--defects", "2000000"],
        ["compare", "{project}", "--confidence", "50"],
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_two(project_path, tmp_path, capsys, arguments):
    filled = [a.format(project=project_path, folder=tmp_path) for a in arguments]
    assert main(filled) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err and captured.err.strip()


def test_help_lists_what_is_registered(capsys):
    assert main(["export", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in FORMATS)


@pytest.mark.parametrize(
    "wrong", [["report", "--maps", "-1"], ["report", "--gallery", "-1"], ["overview", "--size", "-1"],
              ["overview", "--size", "0"], ["overview", "--size", "199"]],
)  # fmt: skip
def test_fewer_than_none_is_refused(wrong: list[str], tmp_path, capsys) -> None:
    command, *option = wrong
    assert main([command, str(tmp_path / "p.mqc"), str(tmp_path / "out.html"), *option]) == 2
    said = capsys.readouterr().err
    assert "below 0" in said or "cannot have" in said or "at least 200 px" in said


def test_an_overview_is_as_large_as_asked_for_or_it_says_that_the_slide_is_not(project_path, tmp_path, capsys) -> None:
    assert main(["overview", str(project_path), str(tmp_path / "a.png"), "--size", "30000"]) == 0
    assert "200 px; it is not shown larger" in capsys.readouterr().err
    assert main(["overview", str(project_path), str(tmp_path / "a.png")]) == 0
    assert "not shown larger" not in capsys.readouterr().err
