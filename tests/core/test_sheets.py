"""CSV and XLSX as spreadsheets and people write them."""

from __future__ import annotations

import zipfile

import pytest

from microscope_qc.core import sheets
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import WriteError
from microscope_qc.core.sheets import read_sheet, write_sheet

ROWS = [["slide", "batch", "Grösse"], ["S1", "=1+1", "0,35"], ["S 2", "'quoted", ""]]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_every_language_are_read(tmp_path, mark, encoding):
    path = tmp_path / "a.csv"
    text = "\r\n".join(mark.join(f'"{cell}"' for cell in row) for row in ROWS)
    path.write_bytes(text.encode(encoding))
    assert read_sheet(path) == ROWS


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
    monkeypatch.setattr(sheets, "LARGEST_ROWS", 10)
    with pytest.raises(ExchangeError, match=name.replace(".", r"\.")) as caught:
        read_sheet(damaged(tmp_path, name))
    assert caught.value.hint


def test_a_file_that_is_too_large_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "LARGEST_BYTES", 3)
    (tmp_path / "a.csv").write_text("slide")
    with pytest.raises(ExchangeError, match="too large for a table of specimens"):
        read_sheet(tmp_path / "a.csv", what="table of specimens")


def test_a_table_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("a.csv", "a.xlsx"):
        with pytest.raises(WriteError):
            write_sheet(tmp_path / "file" / name, ["slide"], [])
