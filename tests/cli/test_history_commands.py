"""``history``, ``runs`` and ``slides``."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from microscope_qc.cli.parts import table
from microscope_qc.cli.project_slides import parse_um
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project


def content(path):
    """State that undo restores: rows of boxes and runs, names and pixel sizes of slides."""
    with Project.open(path, write=False) as project:
        boxes = {slide.name: project.boxes.table(slide.id).rows.tolist() for slide in project.slides}
        runs = [(run.id, run.state, run.found, run.shown) for run in project.runs]
        slides = [(slide.name, slide.pixel_size_um, slide.path) for slide in project.slides]
        return repr((boxes, runs, slides))


def test_history_is_listed_undone_and_redone(cell, told):
    listed = told("history", cell)
    assert [entry["title"] for entry in listed[:3]] == ["Detect with li-ion-ssd on S1", "Draw box", "Draw box"]
    assert (listed[0]["kind"], listed[0]["findings"], listed[0]["run"], listed[0]["slide"]) == ("run", 3, 1, "S1")
    assert len(told("history", cell, "list", "--limit", 2)) == len(told("history", cell, "--limit", 2)) == 2
    assert told("history", cell, "--limit", 0) == listed
    first = content(cell)
    assert [entry["title"] for entry in told("history", cell, "undo", 2)] == ["Draw box", "Draw box"]
    second = content(cell)
    assert first != second
    assert [entry["in_force"] for entry in told("history", cell)][:3] == [True, False, False]
    assert "Draw box" in told("history", cell, text=True)
    assert told("history", cell, "redo", 2, text=True) == "Done again: Draw box.\nDone again: Draw box.\n"
    assert content(cell) == first
    assert told("history", cell, "redo", text=True) == "There is nothing to redo.\n"
    assert told("history", cell, "redo") == []
    undone = told("history", cell, "undo", 99, text=True).splitlines()
    assert len(undone) == 4 and undone[-1] == "There is nothing more to undo."


def test_history_as_a_table_for_others(cell, told, refused, tmp_path):
    out = tmp_path / "history.csv"
    lines = told("history", cell, "export", out)["lines"]
    assert len(out.read_text(encoding="utf-8").splitlines()) == lines + 1
    assert "S1" in out.read_text(encoding="utf-8")
    refused("history", cell, "export", tmp_path / "S1.png" / "history.csv")


@pytest.mark.parametrize(
    "arguments", [["undo", "0"], ["redo", "-1"], ["undo", "x"], ["--limit", "-2"], ["list", "--limit", "-2"], ["go"]]
)
def test_history_refuses_wrong_arguments(cell, refused, arguments):
    before = content(cell)
    refused("history", cell, *arguments)
    assert content(cell) == before


def test_runs_are_listed_hidden_and_shown(cell, told):
    (run,) = told("runs", cell)
    assert (run["number"], run["slide"], run["found"], run["new"], run["left"]) == (1, "S1", 3, 3, 3)
    assert told("runs", cell, "info", 1)["plan"]["region"] == [0, 0, 100, 200]
    assert "y 0 to 100" in told("runs", cell, "info", 1, text=True)
    assert told("runs", cell, "hide", 1, text=True) == "Hide run 1.\n"
    assert told("runs", cell)[0]["shown"] is False
    assert told("stats", cell)["total"]["kept"] == 3
    assert told("runs", cell, "hide", 1)["step"] is None
    assert told("runs", cell, "show", 1)["step"]["title"] == "Show run 1"
    told("history", cell, "undo", 2)
    assert told("runs", cell, "list")[0]["shown"] is True


def test_a_run_is_deleted_with_its_findings_and_undo_restores_both(cell, told):
    before = content(cell)
    assert told("runs", cell, "delete", 1, "--dry-run")["findings"] == 3
    assert content(cell) == before
    done = told("runs", cell, "delete", 1)
    assert (done["findings"], done["step"]["title"]) == (3, "Delete run 1: 3 findings go")
    assert told("runs", cell) == []
    assert told("review", cell, "--all")["slides"] == {"S1": 2, "S2": 1}
    assert (cell / "runs" / "1").is_dir()
    assert "Everything is in order." in told("check", cell, text=True)
    told("history", cell, "undo")
    assert content(cell) == before
    assert "Everything is in order." in told("check", cell, text=True)
    told("history", cell, "redo")
    assert told("runs", cell) == []


def test_what_a_user_judged_stays_when_its_run_is_deleted(cell, told):
    told("review", cell, "--where", "confidence>=0.6", "--confirm")
    assert told("runs", cell)[0]["left"] == 1
    before = content(cell)
    words = told("runs", cell, "delete", 1, "--dry-run", text=True)
    assert "1 finding goes, 2 with work of yours stay" in words and content(cell) == before
    done = told("runs", cell, "delete", 1)
    assert (done["findings"], done["kept"], done["shared"]) == (1, 2, 0)
    assert told("review", cell, "--where", "state=confirmed")["matching"] == 2
    told("history", cell, "undo")
    assert content(cell) == before


def test_runs_are_renamed_and_shown_alone(cell, told, refused):
    with Project.open(cell) as project:
        slide = project.slides.named("S1")
        other = project.runs.start(
            slide.id, project.runs.by_id(1).plan.model_copy(update={"region": Region(0, 0, 50, 100)})
        )
        project.runs.add_findings(other.id, make_rows(1, class_id=1, x0=160, x1=170, y0=10, y1=20, confidence=0.9))
        project.runs.finish(other.id, "finished")
    assert told("runs", cell, "rename", 1, "  Monday   morning ")["name"] == "Monday morning"
    first, second = told("runs", cell)
    assert (first["name"], first["area"], second["name"], second["area"]) == ("Monday morning", "whole", "", "25 %")
    assert "Monday morning" in told("runs", cell, text=True)
    assert told("review", cell, "--where", "run=1")["findings"][0]["found_by"] == "Monday morning"
    before = content(cell)
    assert told("runs", cell, "only", 2)["step"]["title"] == "Show only run 2"
    assert [run["shown"] for run in told("runs", cell)] == [False, True]
    assert told("runs", cell, "only", 2)["step"] is None
    told("history", cell, "undo")
    assert content(cell) == before
    told("runs", cell, "rename", 1)
    assert told("runs", cell)[0]["name"] == ""
    refused("runs", cell, "rename", 1, "x" * 300)
    refused("runs", cell, "only", 7)


@pytest.mark.parametrize("arguments", [["delete", "7"], ["hide", "7"], ["info", "7"], ["delete"], ["delete", "x"]])
def test_runs_refuses_unknown_runs(cell, refused, arguments):
    refused("runs", cell, *arguments)


def test_a_running_detection_is_not_deleted(cell):
    with Project.open(cell) as project:
        project.runs.finish(1, "running")
        with pytest.raises(InputError, match="still running"):
            project.runs.delete(1)


def test_slides_are_listed_added_renamed_and_removed(cell, told, tmp_path):
    before = content(cell)
    listed = told("slides", cell)
    assert [(slide["name"], slide["pixel_size_um"], slide["findings"]) for slide in listed] == [
        ("S1", [0.5, 0.5], 5), ("S2", None, 1),
    ]  # fmt: skip
    assert (listed[0]["shape_px"], listed[0]["runs"], listed[0]["missing"]) == ([100, 200], 1, False)
    Image.fromarray(np.full((50, 70), 9, np.uint8)).save(tmp_path / "S3.png")
    assert [slide["name"] for slide in told("slides", cell, "add", tmp_path / "S3.png", tmp_path / "S1.png")] == ["S3"]
    assert told("slides", cell, "add", tmp_path / "S3.png", text=True) == "They are in the project already.\n"
    assert told("slides", cell, "rename", "S3", "third")["step"]["title"] == "Rename slide S3"
    assert told("slides", cell, "remove", "third", text=True) == "Remove slide third.\n"
    assert "with 5 findings" in told("slides", cell, "remove", "S1")["step"]["title"]
    assert [slide["name"] for slide in told("slides", cell)] == ["S2"]
    told("history", cell, "undo", 4)
    assert content(cell) == before
    words = told("slides", cell, text=True).splitlines()
    assert words[0].split()[:3] == ["Slide", "Width", "px"] and len(words) == 3


@pytest.mark.parametrize(
    ("text", "size"), [("0.25", [0.25, 0.25]), ("0.25x0.5", [0.5, 0.25]), ("0.25×0.5", [0.5, 0.25]), ("none", None)]
)
def test_the_pixel_size_is_set(cell, told, text, size):
    told("slides", cell, "set-pixel-size", text, "--slide", "S1")
    assert told("slides", cell)[0]["pixel_size_um"] == size
    told("history", cell, "undo")
    assert told("slides", cell)[0]["pixel_size_um"] == [0.5, 0.5]


@pytest.mark.parametrize("text", ["", "x", "0.5x", "1x2x3", "0,5,1", "half"])
def test_what_is_not_a_pixel_size(text):
    with pytest.raises(InputError):
        parse_um(text)


def test_a_slide_that_was_moved_is_found_again(cell, told, refused, tmp_path):
    (tmp_path / "S2.png").rename(tmp_path / "moved.png")
    assert told("slides", cell)[1]["missing"] is True
    assert "not there any more" in told("slides", cell, text=True)
    assert "its content differs" in refused("slides", cell, "locate", "S2", tmp_path / "S1.png")
    told("slides", cell, "locate", "S2", tmp_path / "moved.png")
    assert told("slides", cell)[1]["missing"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "no.png"],
        ["remove", "S9"],
        ["rename", "S1", "S2"],
        ["set-pixel-size", "0"],
        ["set-pixel-size", "-1"],
        ["set-pixel-size", "nan"],
        ["remove"],
    ],
)
def test_slides_refuses_wrong_arguments(cell, refused, arguments):
    before = content(cell)
    refused("slides", cell, *arguments)
    assert content(cell) == before


def test_several_slides_are_added_all_or_none(cell, refused, tmp_path):
    before = content(cell)
    Image.fromarray(np.full((50, 70), 9, np.uint8)).save(tmp_path / "S3.png")
    refused("slides", cell, "add", tmp_path / "S3.png", tmp_path / "S4.png")
    assert content(cell) == before


def test_flags_before_an_action_count_as_well(cell, told, capsys):
    from microscope_qc.cli import main

    capsys.readouterr()
    assert main(["runs", str(cell), "--json", "--progress", "json", "list"]) == 0
    assert capsys.readouterr().out.startswith("[")


def test_tables_have_one_line_for_each_row_whatever_is_in_it():
    lines = table([["a\nb", 1, None, True], ["c", 20.5, 3, False]], ["name", "size", "n", "so"])
    assert lines == ["name  size  n  so", "a b      1  –  yes", "c     20.5  3  no"]


def test_every_readable_slide_of_a_folder_is_added(tmp_path, told, capsys):
    from microscope_qc.cli import main

    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("b.png", "A.png"):
        Image.fromarray(np.full((50, 70), len(name) + ord(name[0]), np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no slide")
    made = told("new", tmp_path / "all.mqc", folder)
    assert [slide["name"] for slide in made["slides"]] == ["A", "b"]
    (folder / "torn.png").write_bytes((folder / "b.png").read_bytes()[:20])
    Image.fromarray(np.full((50, 70), 9, np.uint8)).save(tmp_path / "c.png")
    told("convert", tmp_path / "c.png", folder / "c.ome.zarr")
    capsys.readouterr()
    assert main(["new", str(tmp_path / "more.mqc"), str(folder)]) == 0
    captured = capsys.readouterr()
    assert "3 slides, 10 classes" in captured.out
    assert captured.err.startswith("Left out: torn.png")
    with Project.create(tmp_path / "none.mqc"):
        pass
    assert main(["slides", str(tmp_path / "none.mqc"), "add", str(folder)]) == 0
    assert [slide["name"] for slide in told("slides", tmp_path / "none.mqc")] == ["A", "b", "c"]


def test_slides_are_added_by_patterns_with_masks_and_copies_when_wanted(tmp_path, told, cell, capsys):
    from microscope_qc.cli import main

    folder = tmp_path / "tiles"
    (folder / "ground_truth").mkdir(parents=True)
    for number, name in enumerate(("t1.png", "t2.png", "ground_truth/t1_mask.png")):
        Image.fromarray(np.full((50, 70), 100 + number, np.uint8)).save(folder / name)
    (folder / "copy.png").write_bytes((folder / "t1.png").read_bytes())
    assert main(["slides", str(cell), "add", str(folder), "--progress", "none"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ("Left out: 1 mask: t1_mask.png.\nAdded copy, 70 x 50 px.\nAdded t2, 70 x 50 px.\n")
    assert captured.err == "Left out: t1.png is the same picture as copy.png. --again adds them too.\n"
    added = told("slides", cell, "add", folder, "--again", "--masks")
    assert [slide["name"] for slide in added] == ["t1_mask", "t1"]
    assert told("history", cell)[0]["title"] == "Add 2 slides"
    made = told("new", tmp_path / "g.mqc", str(folder / "t*.png"))
    assert [slide["name"] for slide in made["slides"]] == ["t1", "t2"]
    flat = told("new", tmp_path / "f.mqc", folder, "--no-subfolders", "--again")
    assert len(flat["slides"]) == 3 and flat["left_out"] == []


def test_slides_are_identified_by_their_content(tmp_path, told, cell, refused, monkeypatch):
    from microscope_qc.slides import content

    Image.fromarray(np.full((50, 70), 9, np.uint8)).save(tmp_path / "S3.png")
    monkeypatch.setattr(content, "SMALL_BYTES", 0)  # as if it were large
    told("slides", cell, "add", tmp_path / "S3.png")
    known = {row["name"]: row["content"] for row in told("slides", cell, "identify")}
    assert len(set(known.values()) - {""}) == 3
    assert told("slides", cell, "identify", text=True) == "0 slides read, 3 had been read before.\n"
    other = bytearray((tmp_path / "S3.png").read_bytes())
    (tmp_path / "copy.png").write_bytes(other)
    told("slides", cell, "locate", "S3", tmp_path / "copy.png")
    (tmp_path / "longer.png").write_bytes(other + b"x")  # the same pixels in another file
    assert "its content differs" in refused("slides", cell, "locate", "S3", tmp_path / "longer.png")
    told("slides", cell, "locate", "S3", tmp_path / "longer.png", "--force")


def test_a_folder_without_slides_is_refused(tmp_path, refused, cell):
    (tmp_path / "empty").mkdir()
    for command in (["new", tmp_path / "x.mqc", tmp_path / "empty"], ["slides", cell, "add", tmp_path / "empty"]):
        assert "holds no slide that can be read" in refused(*command)
    assert not (tmp_path / "x.mqc").exists()


def test_new_and_check_answer_as_json(tmp_path, told, cell):
    assert told("new", tmp_path / "n.mqc", "--classes", "none") == {
        "project": str(tmp_path / "n.mqc"), "classes": 0, "left_out": [], "slides": [],
    }  # fmt: skip
    checked = told("check", cell, "--history", tmp_path / "h.csv")
    assert (checked["slides"], checked["findings"], checked["runs"], checked["problems"]) == (2, 6, 1, [])
    assert checked["history_lines"] > 0


def test_the_confidence_limit_is_printed_and_set(cell, told, refused):
    assert told("runs", cell, "limit") == {"confidence_limit": 0.0}
    assert told("runs", cell, "limit", 0.5)["step"]["title"] == "Confidence limit 0.50 (was 0.00)"
    assert told("runs", cell, "limit", text=True) == "Findings of detections count from a confidence of 0.5 on.\n"
    listed = told("review", cell, "--where", "class=CRK")
    assert (listed["matching"], listed["hidden"]) == (3, 1)
    assert told("runs", cell, "limit", 0.5)["step"] is None
    refused("runs", cell, "limit", 50)
    told("history", cell, "undo")
    assert told("runs", cell, "limit")["confidence_limit"] == 0
