"""CSV and XLSX as spreadsheets and people write them."""

from __future__ import annotations

import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core import sheets
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import WriteError
from microscope_qc.core.sheets import read_records, read_sheet, write_sheet

ROWS = [["slide", "batch", "Grösse"], ["S1", "=1+1", "0,35"], ["S 2", "'quoted", ""]]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_tables_of_every_language_are_read(tmp_path, mark, encoding):
    path = tmp_path / "a.csv"
    text = "\r\n".join(mark.join(f'"{cell}"' for cell in row) for row in ROWS)
    path.write_bytes(text.encode(encoding))
    assert read_sheet(path) == ROWS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b;c\n3;61,15;11,07\n4;60,00;12,00\n", [["a", "b", "c"], ["3", "61,15", "11,07"], ["4", "60,00", "12,00"]]),
        ("1,5;2,5\n3,5;4,5", [["1,5", "2,5"], ["3,5", "4,5"]]),
        ('a,note\n1,x;y;z\n2,"u;v, w"\n', [["a", "note"], ["1", "x;y;z"], ["2", "u;v, w"]]),
        ("\n\nTitle\na\tb\n1,5\t2;5\n", [[], [], ["Title"], ["a", "b"], ["1,5", "2;5"]]),
        ('a, "b, c"\r1,2\r', [["a", "b, c"], ["1", "2"]]),
        ("sep=|\r\na|b\r\n1,5|2\r\n", [["a", "b"], ["1,5", "2"]]),
        ("sep=,\na;x,b\n1;y,2\n", [["a;x", "b"], ["1;y", "2"]]),
    ],
)
def test_the_separator_is_what_the_lines_agree_on_or_say(tmp_path, text, rows):
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_sheet(tmp_path / "a.csv") == rows


def test_a_cell_may_be_long(tmp_path):
    (tmp_path / "a.csv").write_text(f"a,b\n{'x' * 200_000},2\n")
    assert len(read_sheet(tmp_path / "a.csv")[1][0]) == 200_000


def test_columns_are_found_by_their_names_whatever_their_case_and_place(tmp_path):
    (tmp_path / "a.csv").write_text("\nMarks of today\n Name ;Stage X (mm);stage_y_MM;other\n;;\nM1;10,5;-3;\nM2;1\n")
    records = read_records(tmp_path / "a.csv", needed=("name", "stage_x_mm", "stage_y_mm"))
    assert [(record.line, record.get("name"), record.get("stage_x_mm")) for record in records] == [
        (5, "M1", "10,5"), (6, "M2", "1"),
    ]  # fmt: skip
    assert records[1].get("stage_y_mm") == "" and "other" in records[0].cells


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("a,b\n1,2\n", "lacks the columns x, y"), ("x,y,X\n1,2,3\n", "two columns x")],
)
def test_a_table_without_its_columns_says_which(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ExchangeError, match=words) as caught:
        read_records(tmp_path / "a.csv", needed=("x", "y"))
    assert caught.value.hint


def test_the_line_that_names_the_separator_is_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=;\nslide;batch\n S1 ;4\n")
    assert read_sheet(path) == [["slide", "batch"], ["S1", "4"]]


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_what_is_written_comes_back_and_is_never_a_formula(tmp_path, name):
    rows = [["S1", "=cmd|' /C calc'!A1", 2.85, None], ["S2", "@x", -0.5, "'=a"]]
    path = write_sheet(tmp_path / name, ["slide", "batch", "capacity", "note"], rows)
    wanted = [["S1", "=cmd|' /C calc'!A1", "2.85", ""], ["S2", "@x", "-0.5", "'=a"]]
    found = read_sheet(path)
    assert [row + [""] * (4 - len(row)) for row in found] == [["slide", "batch", "capacity", "note"], *wanted]
    if name == "a.csv":
        assert "'=cmd" in path.read_text(encoding="utf-8")
    else:
        from openpyxl import load_workbook

        sheet = load_workbook(path).active
        assert sheet["B2"].data_type == "s" and sheet["C2"].value == 2.85


def test_numbers_and_dates_of_a_workbook(tmp_path):
    from datetime import date

    from openpyxl import Workbook

    book = Workbook()
    book.active.append([1.1, 3, True, date(2018, 2, 8), None, "x"])
    book.save(tmp_path / "a.xlsx")
    assert read_sheet(tmp_path / "a.xlsx") == [["1.1", "3", "True", "2018-02-08 00:00:00", "", "x"]]


def test_formulas_of_a_workbook_have_their_results_or_are_said(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append([2, "=A1*2"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(ExchangeError, match=r"a\.xlsx: the cell B1 is a formula without a stored result"):
        read_sheet(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as packed, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as made:
        for entry in packed.namelist():
            made.writestr(entry, packed.read(entry).replace(b"<v></v>", b"<v>4</v>").replace(b"<v />", b"<v>4</v>"))
    assert read_sheet(tmp_path / "b.xlsx") == [["2", "4"]]


def test_a_share_of_a_workbook_is_read_as_it_is_shown_and_a_wrong_size_leaves_nothing_out(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append([0.3, 0.1 + 0.2])
    book.active["A1"].number_format = "0.0%"
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as packed, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as made:
        for entry in packed.namelist():
            made.writestr(entry, packed.read(entry).replace(b'<dimension ref="A1:B1"', b'<dimension ref="A1"'))
    assert read_sheet(tmp_path / "b.xlsx") == [["30%", "0.3"]]


def damaged(tmp_path, name):
    path = tmp_path / name
    if name == "bomb.xlsx":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("xl/worksheets/sheet1.xml", b"0" * 3_000_000)
    elif name == "empty.xlsx":
        with zipfile.ZipFile(path, "w"):
            pass
    elif name == "text.xlsx":
        path.write_text("slide,batch")
    elif name == "picture.csv":
        path.write_bytes(b"\x89PNG\0\0")
    elif name == "long.csv":
        path.write_text("x\n" * 12)
    return path


@pytest.mark.parametrize("name", ["bomb.xlsx", "empty.xlsx", "text.xlsx", "picture.csv", "missing.csv", "long.csv"])
def test_a_damaged_file_gives_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.setattr(sheets, "LARGEST_UNPACKED", 2_000_000)
    with pytest.raises(ExchangeError, match=name.replace(".", r"\.")) as caught:
        read_sheet(damaged(tmp_path, name), most_rows=10)
    assert caught.value.hint


@given(st.binary(max_size=200) | st.text(st.sampled_from("a1,;\t\"'\r\n=sep |\0"), max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("wild")
    for name in ("a.csv", "a.xlsx"):
        (folder / name).write_bytes(raw)
        try:
            assert all(isinstance(cell, str) for row in read_sheet(folder / name) for cell in row)
        except ExchangeError as error:
            assert error.message and error.hint


def test_a_file_that_is_too_large_is_not_opened(tmp_path):
    (tmp_path / "a.csv").write_text("slide")
    with pytest.raises(ExchangeError, match="too large for a table of specimens"):
        read_sheet(tmp_path / "a.csv", what="table of specimens", largest_bytes=3)


def test_a_table_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("a.csv", "a.xlsx"):
        with pytest.raises(WriteError):
            write_sheet(tmp_path / "file" / name, ["slide"], [])
