"""``slides``: pixel sizes of many slides, and what is known of the specimens."""

from __future__ import annotations

import pytest

from microscope_qc.cli.project_slides import parse_um


def fields(told, cell):
    return {row["name"]: row["fields"] for row in told("slides", cell)}


def test_the_pixel_size_of_all_slides_or_of_some_is_one_step(cell, told):
    done = told("slides", cell, "set-pixel-size", "0,35")
    assert done["slides"] == ["S1", "S2"] and done["step"]["title"] == "Set pixel size of 2 slides"
    assert [row["pixel_size_um"] for row in told("slides", cell)] == [[0.35, 0.35]] * 2
    assert done["replaced_um"] == {"S1": [0.5, 0.5]}, "a size that a file gave is not replaced in silence"
    said = told("slides", cell, "set-pixel-size", "0.5x0.25", "--slide", "S2", text=True)
    assert said == "Set pixel size of S2.\nIt had another size:\n  S2: 0.35 µm\n"
    assert [row["pixel_size_um"] for row in told("slides", cell)] == [[0.35, 0.35], [0.25, 0.5]]
    assert told("slides", cell, "set-pixel-size", "0.35", "--slide", "S1", text=True) == "Nothing had to be changed.\n"
    told("history", cell, "undo", 2)
    assert [row["pixel_size_um"] for row in told("slides", cell)] == [[0.5, 0.5], None]
    assert parse_um("0,5x0,4") == (0.4, 0.5)


def test_fields_are_set_listed_written_and_taken_back(cell, told, tmp_path):
    assert told("slides", cell, "fields", text=True) == "Nothing is known of the specimens yet.\n"
    title = told("slides", cell, "set-field", "batch=A=1", "Capacity=2,85", "--slide", "S1")["step"]["title"]
    assert title == "Set batch and capacity of S1"
    told("slides", cell, "set-field", "producer=LG Chem")
    assert fields(told, cell) == {
        "S1": {"batch": "A=1", "capacity": 2.85, "producer": "LG Chem"}, "S2": {"producer": "LG Chem"},
    }  # fmt: skip
    words = told("slides", cell, "fields", text=True)
    assert "Capacity (Ah)" in words and "2.85" in words and "HcJ" not in words
    assert told("slides", cell, "fields", tmp_path / "out.xlsx", text=True).startswith("2 slides written")
    told("slides", cell, "set-field", "batch=", "capacity=", "--slide", "S1")
    assert fields(told, cell)["S1"] == {"producer": "LG Chem"}
    dry = told("slides", cell, "set-fields", tmp_path / "out.xlsx", "--dry-run", text=True)
    assert "S1: Capacity – -> 2.85 Ah\n" in dry and "2 values on 1 slide would be changed." in dry
    assert fields(told, cell)["S1"] == {"producer": "LG Chem"}
    done = told("slides", cell, "set-fields", tmp_path / "out.xlsx")
    assert [change["after"] for change in done["changes"]] == ["A=1", 2.85] and done["problems"] == []
    assert done["step"]["title"] == "Fields from out.xlsx"
    assert fields(told, cell)["S1"]["capacity"] == 2.85


def test_fields_are_filled_from_names_of_files(cell, told):
    done = told("slides", cell, "fields-from-names", "S{specimen}", "--slide", "S2")
    assert fields(told, cell) == {"S1": {}, "S2": {"specimen": "2"}} and done["slides"] == 1
    told("history", cell, "undo")
    text = told("slides", cell, "fields-from-names", "{batch}_{part}", text=True)
    assert text.startswith("Left out: S1, S2: does not fit") and fields(told, cell) == {"S1": {}, "S2": {}}


def test_fields_are_added_changed_and_removed(cell, told):
    told("slides", cell, "add-field", "Side", "--kind", "choice", "--choice", "left", "--choice", "right")
    told("slides", cell, "set-field", "side=LEFT")
    assert told("slides", cell, "edit-field", "side", "--rename", "Flank", text=True) == (
        "Rename field Side to Flank.\n"
    )
    assert fields(told, cell)["S2"] == {"Flank": "left"}
    title = told("slides", cell, "remove-field", "flank")["step"]["title"]
    assert title == "Remove field Flank with its values on 2 slides"
    assert fields(told, cell)["S2"] == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["set-field", "batch"], ["set-field", "=1"], ["set-field", "colour=red"], ["set-field", "capacity=1.234,5"],
        ["set-field", "batch=1", "--slide", "S9"], ["set-fields", "no.csv"], ["fields", "out.pdf"],
        ["fields-from-names", "{colour}"], ["add-field", "batch"], ["remove-field", "batch"], ["edit-field", "Side"],
        ["set-pixel-size", "0.5", "--slide", "S9"], ["set-pixel-size", "1.234,5"],
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(cell, told, refused, arguments):
    before = told("slides", cell)
    assert refused("slides", cell, *arguments)
    assert told("slides", cell) == before


def test_the_list_says_how_many_findings_count_and_are_left(cell, told):
    listed = told("slides", cell)
    assert [(row["findings"], row["left"], row["runs"]) for row in listed] == [(5, 5, 1), (1, 1, 0)]
    told("review", cell, "--where", "slide=S1 class=ACP", "--confirm")
    told("review", cell, "--where", "slide=S1 confidence>0.8", "--reject", "duplicate")
    assert [(row["findings"], row["left"]) for row in told("slides", cell)] == [(4, 3), (1, 1)]
    told("runs", cell, "hide", "1")
    assert [(row["findings"], row["left"]) for row in told("slides", cell)] == [(2, 1), (1, 1)]
