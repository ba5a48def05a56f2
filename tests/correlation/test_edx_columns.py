"""Tables whose columns a user must explain are read by the same reader, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.correlation.edx_columns import (
    EdxColumns,
    columns_of,
    guessed,
    heading_line,
    layout_key,
    remembered,
    rewritten,
    rewritten_sheets,
)
from microscope_qc.correlation.edx_tables import NoCompositionError, read_spectra, spectra_in

WIDE = [
    ["Report of 3 March"],
    [],
    ["Probe", "c(Ni) corr.", "c(O) corr.", "Pos X", "Pos Y", "HT"],
    ["D3", "40,0", "60,0", "1500", "2500", "15"],
    ["Mean", "40,0", "60,0", "", "", ""],
    ["D4", "30,0", "70,0", "", "", "15"],
]
WIDE_COLUMNS = EdxColumns(
    3, (("Probe", "label"), ("c(Ni) corr.", "Ni at%"), ("c(O) corr.", "O at%"), ("Pos X", "x_um"), ("Pos Y", "y_um"),
        ("HT", "kv")),
)  # fmt: skip
LONG = [
    ["Point", "Line", "Conc.", "+/-"],
    ["D3", "Ni K", "70", "1"],
    ["", "O K", "30", "1"],
    ["D4", "Oxygen", "100", "1"],
    ["total", "", "100", ""],
    ["D4", "Oxygen", "90", "1"],
]
LONG_COLUMNS = EdxColumns(1, (("Point", "label"), ("Line", "element"), ("Conc.", "wt%")))


def test_columns_of_elements() -> None:
    three, four = spectra_in(rewritten(WIDE, WIDE_COLUMNS))
    assert (three.label, three.at_percent, three.stage_mm, three.kv, three.row) == (
        "D3", {"Ni": 40, "O": 60}, (1.5, 2.5), 15, 4,
    )  # fmt: skip
    assert (four.label, four.at_percent, four.stage_mm, four.row) == ("D4", {"Ni": 30, "O": 70}, None, 6)


def test_lines_of_elements() -> None:
    found = spectra_in(rewritten(LONG, LONG_COLUMNS))
    assert [(s.label, s.wt_percent, s.row) for s in found] == [
        ("D3", {"Ni": 70, "O": 30}, 2), ("D4", {"O": 100}, 4), ("D4", {"O": 90}, 6),
    ]  # fmt: skip


def test_a_table_without_labels_is_told_by_its_lines() -> None:
    (first,) = spectra_in(rewritten(WIDE, EdxColumns(3, (("c(Ni) corr.", "O at%"), ("HT", "kv")))))[:1]
    assert first.label == "row 4" and first.kv == 15


def test_only_sheets_with_the_headings_are_read() -> None:
    assert len(rewritten_sheets([[["a"]], WIDE], WIDE_COLUMNS)) == 1
    with pytest.raises(ExchangeError, match=r"no column “Probe” in line 3"):
        rewritten_sheets([[["a"]], [["b"]]], WIDE_COLUMNS)


def test_what_columns_hold_is_guessed_and_remembered() -> None:
    rows = [["Title"], ["Spectrum", "Ni K", "Oxygen wt%", "Stage X (mm)", "Comment"], ["D3", "1,5", "2", "3", "x"]]
    assert heading_line(rows) == 2
    assert guessed(rows[1]) == {0: "label", 1: "Ni", 2: "O wt%", 3: "x_mm"}
    kept = {layout_key(WIDE[2]): WIDE_COLUMNS.to_json()}
    assert remembered(WIDE, kept) == WIDE_COLUMNS and remembered(rows, kept) is None
    with pytest.raises(InputError, match="remembered"):
        remembered(WIDE, {layout_key(WIDE[2]): {"line": "x"}})
    assert heading_line([]) == 1


@pytest.mark.parametrize(
    ("holds", "problem"),
    [
        ([("A", "Ni"), ("B", "O at%")], "amounts of Ni are atom % or weight %"),
        ([("A", "Xx at%")], "No column can hold"),
        ([("A", "label")], "the amount of an element"),
        ([("A", "element")], "amounts of the elements"),
        ([("A", "element"), ("B", "at%"), ("C", "Ni at%")], "lines or columns"),
        ([("A", "at%")], "the amount of an element"),
        ([("A", "Ni at%"), ("B", "Ni at%")], "Two columns hold Ni at%"),
        ([("A", "Ni at%"), ("B", "x_mm"), ("C", "y_um")], "x and y in one unit"),
        ([("A", "Ni at%"), ("B", "x_mm")], "x and y in one unit"),
    ],
)
def test_what_cannot_be_is_refused(holds: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        EdxColumns(1, tuple(holds))


def test_the_words_of_the_command_line() -> None:
    said = columns_of(["a = b=Ni at%", "Probe=label"], line=2)
    assert said == EdxColumns(2, (("a = b", "Ni at%"), ("Probe", "label")))
    for words, problem in ((["Ni at%"], "which column"), (["A=Ni at%"] * 2, "Two columns")):
        with pytest.raises(InputError, match=problem):
            columns_of(words)
    with pytest.raises(InputError, match="line 0"):
        columns_of(["A=Ni at%"], line=0)


def test_a_table_that_says_nothing_tells_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(";".join(row) for row in WIDE))
    with pytest.raises(NoCompositionError) as caught:
        read_spectra(path)
    assert "--column" in str(caught.value)
    found = read_spectra(path, rewrite=lambda sheets: rewritten_sheets(sheets, WIDE_COLUMNS))
    assert [spectrum.label for spectrum in found] == ["D3", "D4"]
