"""``classes``, ``marks``, ``alignments`` and ``bookmarks``."""

from __future__ import annotations

import json

import pytest

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.project import Project


def codes(told, cell) -> list[str]:
    return [row["code"] for row in told("classes", cell)]


def test_classes_are_listed_added_and_changed(cell, told):
    listed = told("classes", cell)
    assert [(row["code"], row["findings"]) for row in listed if row["findings"]] == [("ACP", 2), ("CRK", 4)]
    assert listed[0] | {"colour": "", "description": ""} == {
        "code": "ACP", "name": "Anode carbon particle", "colour": "", "key": "1", "description": "", "weight": 1.0,
        "position": 0, "box_size_um": None, "example_box": 0, "example_picture": "", "group": "Anode",
        "counting": 2, "findings": 2,
    }  # fmt: skip
    done = told("classes", cell, "add", "DLM", "Delamination", "--colour", "#102030", "--weight", 2, "--box-size", 12)
    assert done["step"]["title"] == "Add class DLM"
    told("classes", cell, "add", "XYZ")
    assert told("classes", cell, "rename", "XYZ", "ZYX", text=True) == "Rename class XYZ to ZYX.\n"
    told("classes", cell, "edit", "DLM", "--name", "Delaminated", "--key", "1")
    rows = {row["code"]: row for row in told("classes", cell)}
    delaminated = rows["DLM"]
    assert (delaminated["name"], delaminated["colour"], delaminated["weight"]) == ("Delaminated", "#102030", 2.0)
    assert (delaminated["box_size_um"], delaminated["key"], rows["ACP"]["key"]) == (12.0, "1", "")
    assert rows["ZYX"]["name"] == "XYZ"
    title = told("classes", cell, "edit", "DLM", "--group", "Cathode", text=True)
    assert title == "Group of class DLM: Cathode.\n"
    assert {row["code"]: row["group"] for row in told("classes", cell)}["DLM"] == "Cathode"
    told("classes", cell, "edit", "DLM", "--group", "")
    assert {row["code"]: row["group"] for row in told("classes", cell)}["DLM"] == ""
    told("classes", cell, "edit", "DLM", "--no-box-size")
    assert {row["code"]: row for row in told("classes", cell)}["DLM"]["box_size_um"] is None
    told("history", cell, "undo", 7)
    assert told("classes", cell) == listed
    assert "Anode carbon particle" in told("classes", cell, text=True)


def test_classes_are_merged_reordered_and_deleted(cell, told):
    before = told("classes", cell)
    assert "(4 findings)" in told("classes", cell, "merge", "CRK", "GEO", "--into", "ACP")["step"]["title"]
    assert told("classes", cell)[0]["findings"] == 6
    assert not {"CRK", "GEO"} & set(codes(told, cell))
    told("classes", cell, "order", "COP", "PRA")
    assert codes(told, cell)[:3] == ["COP", "PRA", "ACP"]
    told("classes", cell, "delete", "ACP", "--move-to", "PRA")
    assert told("review", cell, "--where", "class=PRA")["matching"] == 6
    told("classes", cell, "delete", "PRA", "--with-findings")
    told("classes", cell, "delete", "COP")
    assert told("review", cell, "--all")["matching"] == 0
    told("history", cell, "undo", 5)
    assert told("classes", cell) == before


def test_classes_count_what_counts_beside_what_is_stored(cell, told):
    def of(row):
        return row["counting"], row["findings"]

    assert {of(row)[0] - of(row)[1] for row in told("classes", cell)} == {0}
    told("runs", cell, "limit", "1")
    rows = told("classes", cell)
    assert (
        sum(row["counting"] for row in rows) == told("stats", cell)["total"]["total"] < sum(of(row)[1] for row in rows)
    )


def test_a_class_with_findings_is_not_deleted_silently(cell, told, refused):
    assert "The class CRK has 4 findings." in refused("classes", cell, "delete", "CRK")
    assert told("review", cell, "--where", "class=CRK")["matching"] == 4


def test_class_sets_are_copied_from_project_to_project(cell, told, tmp_path):
    told("classes", cell, "add", "DLM", "Delamination", "--colour", "#102030")
    written = told("classes", cell, "export", tmp_path / "mine")
    assert written == {"file": str(tmp_path / "mine.classes.json"), "classes": 11}
    with Project.create(tmp_path / "other.mqc", classes=()):
        pass
    other = tmp_path / "other.mqc"
    assert told("classes", other, "import", written["file"])["step"]["title"] == "Add class set mine"
    assert codes(told, other) == codes(told, cell)
    assert told("classes", other, "import", written["file"])["step"] is None
    told("classes", other, "edit", "DLM", "--colour", "#000000")
    told("classes", other, "import", written["file"], "--update")
    assert told("classes", other)[-1]["colour"] == "#102030"
    told("classes", other, "import", "magnet")
    assert "OXA" in codes(told, other)


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "ACP"],
        ["add", ""],
        ["add", "N", "--colour", "red"],
        ["edit", "ACP"],
        ["edit", "QQQ", "--name", "x"],
        ["edit", "ACP", "--weight", "-1"],
        ["edit", "ACP", "--box-size", "1", "--no-box-size"],
        ["rename", "ACP", "CRK"],
        ["merge", "ACP", "--into", "QQQ"],
        ["merge", "ACP", "--into", "ACP"],
        ["order", "ACP", "ACP"],
        ["delete", "CRK", "--move-to", "CRK"],
        ["import", "no-such-set"],
        ["import", "no-such.classes.json"],
    ],
)
def test_classes_refuses_wrong_arguments(cell, told, refused, arguments):
    before = told("classes", cell)
    refused("classes", cell, *arguments)
    assert told("classes", cell) == before


def test_marks_are_placed_moved_and_deleted(cell, told):
    free = {"is_check": False}
    told("marks", cell, "add", "A", "--x", 3, "--y", 4.5)
    told("marks", cell, "add", "B", "--x", 1, "--y", 2, "--stage-x", 10, "--stage-y", -20, "--slide", "S2")
    assert told("marks", cell) == [
        {"name": "A", "slide": "S1", "x_px": 3.0, "y_px": 4.5, "stage_x_mm": None, "stage_y_mm": None} | free,
        {"name": "B", "slide": "S2", "x_px": 1.0, "y_px": 2.0, "stage_x_mm": 10.0, "stage_y_mm": -20.0} | free,
    ]
    told("marks", cell, "edit", "A", "--stage-x", 0, "--stage-y", 1, "--name", "A1")
    assert told("marks", cell, "--slide", "S1") == [
        {"name": "A1", "slide": "S1", "x_px": 3.0, "y_px": 4.5, "stage_x_mm": 0.0, "stage_y_mm": 1.0} | free
    ]
    assert told("marks", cell, "delete", "B", "--slide", "S2")["step"]["title"] == "Delete mark B"
    assert [mark["name"] for mark in told("marks", cell)] == ["A1"]
    told("history", cell, "undo", 4)
    assert told("marks", cell) == []
    assert told("marks", cell, text=True) == "No mark is placed yet.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "A", "--x", "1"],
        ["add", "A", "--x", "nan", "--y", "1"],
        ["add", "A", "--x", "1", "--y", "1", "--slide", "S9"],
        ["add", "there", "--x", "1", "--y", "1"],
        ["edit", "there"],
        ["edit", "A", "--x", "1"],
        ["edit", "there", "--slide", "S2", "--x", "1"],
        ["delete", "A"],
    ],
)
def test_marks_refuses_wrong_arguments(cell, told, refused, arguments):
    told("marks", cell, "add", "there", "--x", 3, "--y", 4)
    before = told("marks", cell)
    refused("marks", cell, *arguments)
    assert told("marks", cell) == before


def test_alignments_are_listed_and_deleted(cell, told, refused, tmp_path):
    assert told("alignments", cell) == []
    (tmp_path / "marks.csv").write_text(
        "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm\nA,0,0,1,2\nB,200,0,1.1,2\nC,0,100,1,1.95\n"
    )
    told("stage", "fit", cell, "--marks", tmp_path / "marks.csv", "--name", "R1")
    (listed,) = told("alignments", cell)
    assert (listed["name"], listed["slide"], listed["model"], listed["n"]) == ("R1", "S1", "similarity", 3)
    words = told("alignments", cell, text=True).splitlines()
    assert len(words) == 2 and words[1].split()[:4] == ["R1", "S1", "similarity", "3"]
    assert told("alignments", cell, "--slide", "S2") == []
    refused("alignments", cell, "delete", "R2")
    refused("alignments", cell, "delete", "R1", "--slide", "S2")
    assert told("alignments", cell, "delete", "R1", text=True) == "Delete alignment R1.\n"
    assert told("alignments", cell) == []
    told("history", cell, "undo")
    assert told("alignments", cell) == [listed]


def test_bookmarks_are_kept_renamed_and_deleted(cell, told):
    told("bookmarks", cell, "add", "tab", "--x", 10, "--y", 20, "--zoom", 2)
    told("bookmarks", cell, "add", "edge", "--x", 1, "--y", 2)
    told("bookmarks", cell, "add", "other", "--x", 1, "--y", 2, "--slide", "S2")
    assert told("bookmarks", cell)[0] == {
        "number": 1, "slide": "S1", "name": "tab", "x_px": 10.0, "y_px": 20.0, "zoom": 2.0,
    }  # fmt: skip
    assert told("bookmarks", cell, "rename", 2, "left edge")["bookmarks"] == ["tab", "left edge"]
    assert told("bookmarks", cell, "delete", 1, text=True) == "Bookmark 1 deleted.\n"
    assert [(row["slide"], row["name"]) for row in told("bookmarks", cell, "list")] == [
        ("S1", "left edge"), ("S2", "other"),
    ]  # fmt: skip


def test_bookmarks_keep_the_other_settings_of_a_view(cell, told):
    with Project.open(cell) as project:
        project.settings.set("view:1", {"display": {"gamma": 2}, "no_conversion": True})
    told("bookmarks", cell, "add", "tab", "--x", 10, "--y", 20)
    with Project.open(cell, write=False) as project:
        kept = json.loads(json.dumps(project.settings.get("view:1")))
    assert kept == {
        "display": {"gamma": 2}, "no_conversion": True, "bookmarks": [{"name": "tab", "y": 20, "x": 10, "zoom": 1}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "a", "--x", "1"],
        ["add", " ", "--x", "1", "--y", "1"],
        ["add", "a", "--x", "nan", "--y", "1"],
        ["add", "a", "--x", "1", "--y", "1", "--zoom", "0"],
        ["rename", "1", "a"],
        ["delete", "0"],
        ["delete", "1", "--slide", "S9"],
    ],
)
def test_bookmarks_refuses_wrong_arguments(cell, told, refused, arguments):
    refused("bookmarks", cell, *arguments)
    assert told("bookmarks", cell) == []


def test_filters_are_set_saved_used_and_deleted(cell, told, refused):
    (row,) = told("filters", cell)
    assert (row["name"], row["words"], row["classes"], row["size_um"]) == (None, "all findings that count", None, None)
    counted = told("stats", cell)["total"]
    flags = ["--class", "CRK", "--class", "ACP", "--state", "unreviewed", "--found-by", 1, "--found-by", "none"]
    now = told("filters", cell, "set", *flags, "--chosen", "--text", "tab", "--min-size", 5, "--max-confidence", 0.9,
               "--disputed", "--again", "--number", 5, 3)["now"]  # fmt: skip
    assert now == {
        "name": None, "words": now["words"], "classes": ["ACP", "CRK"], "states": ["unreviewed"], "found_by": [0, 1],
        "chosen": True, "text": "tab", "size_um": [5.0, None], "confidence": [0.0, 0.9], "disputed": True,
        "again": True, "numbers": [3, 5],
    }  # fmt: skip
    assert told("stats", cell)["total"] == counted, "no number depends on a filter"
    assert told("review", cell, "--all")["matching"] == 6
    assert told("filters", cell, "save", "odd ones")["kept"] == ["odd ones"]
    assert told("filters", cell, "off", text=True) == "Shown: all findings that count.\n"
    assert told("filters", cell, "use", "odd ones")["now"] == now
    assert "odd ones" in told("filters", cell, text=True) and "(on now)" in told("filters", cell, text=True)
    refused("filters", cell, "use", "no such")
    assert told("filters", cell, "delete", "odd ones")["kept"] == []
    for arguments in (["--class", "QQQ"], ["--found-by", 7], ["--found-by", "x"], ["--min-size", 5, "--max-size", 4],
                      ["--min-confidence", 2], ["--state", "odd"], ["--text", "class=QQQ"]):  # fmt: skip
        refused("filters", cell, "set", *arguments)
    assert told("filters", cell)[0] == now


def test_a_filter_that_shows_nothing_says_why(cell, told):
    done = told("filters", cell, "set", "--text", "crack", "--state", "rejected")
    assert (done["findings"], done["why_nothing"]) == (
        0, "4 findings fit “crack”, but the choice of states hides them."
    )  # fmt: skip
    assert "the choice of states hides it" in told(
        "filters", cell, "set", "--text", "#4", "--state", "rejected", text=True
    )
    done = told("filters", cell, "set", "--text", "#4")
    assert (done["findings"], done["why_nothing"]) == (1, None)


HUGE = "9" * 30


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("coverage", "remove", HUGE), "too large"),
        (("coverage", "declare", "--region", f"0,0,{'9' * 400},5"), "whole pixels"),
        (("history", "--limit", HUGE), "too large"),
        (("history", "undo", "9" * 5000), "too large"),
        (("review", "--all", "--limit", HUGE), "too large"),
        (("classes", "add", "x" * 501), "at most 500 characters"),
        (("marks", "add", " M1 ", "--x", "1", "--y", "1"), "M1 on S1 already"),
        (("marks", "edit", "M1", "--name", "M2"), "M2 on S1 already"),
        (("bookmarks", "add", "view", "--x", "nan", "--y", "1"), "not a number"),
    ],
)
def test_what_no_project_can_hold_is_refused_in_a_sentence(cell, arguments, says, capsys):
    for name in ("M1", "M2"):
        assert main(["marks", str(cell), "add", name, "--x", "1", "--y", "1"]) == 0
    command, *rest = arguments
    assert main([command, str(cell), *rest]) == 2
    assert says in capsys.readouterr().err


def test_values_may_begin_with_a_minus(cell, told):
    told("marks", cell, "add", "M1", "--x", "-1e-3", "--y", "-2.5", "--stage-x", "-1.5E+1")
    told("coverage", cell, "declare", "--region", "-5,-5,50,200")
    (mark,) = told("marks", cell)
    assert (mark["x_px"], mark["y_px"], mark["stage_x_mm"]) == (-0.001, -2.5, -15.0)
    assert told("coverage", cell)["slides"][0]["declared"][0]["area_share"] == 0.5


def test_numbers_that_a_database_cannot_hold_are_of_no_record(cell):
    with Project.open(cell) as project:
        for part in (project.areas, project.marks, project.registrations):
            with pytest.raises(InputError, match="There is no"):
                (part.remove if part is project.areas else part.delete)(10**30)
        project.inclusion.set_limit(0.5)
        project.inclusion.set_limit(-0.0)
        assert project.history.undo_title == "Confidence limit 0.00 (was 0.50)"


def test_options_take_decimal_commas_and_points_and_refuse_signs_between_thousands(cell, capsys):
    for x in ("10,5", "10.5"):
        assert main(["marks", str(cell), "add", f"at {x}", "--x", x, "--y", "1"]) == 0
    capsys.readouterr()
    assert main(["marks", str(cell), "--json"]) == 0
    assert capsys.readouterr().out.count("10.5,") == 2
    assert main(["marks", str(cell), "add", "M9", "--x", "1.234,5", "--y", "1"]) == 2
    assert "“1.234,5” is not a number. Write it as 0.35 or 0,35" in capsys.readouterr().err
