"""Pictures on one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microscope_qc.core.errors import InputError
from microscope_qc.reports.contact_sheet import GAP_PX, LEAST_SIDE_PX, SheetCell, SheetMark, draw_contact_sheet
from microscope_qc.reports.contact_sheet import write_contact_sheet as write

RED, GREY = (230, 30, 30), (90, 90, 90)


def cell(side: int = 256, **mark: object) -> SheetCell:
    pixels = np.full((side, side, 3), GREY, np.uint8)
    return SheetCell(pixels, [SheetMark((60.0, 50.0, 180.0, 200.0), "#e61e1e", **mark)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (4, 2, 2), (12, 4, 3), (24, 6, 4)])
def test_pictures_stand_in_rows(count: int, columns: int, rows: int) -> None:
    sheet = draw_contact_sheet([cell()] * count)
    assert sheet.shape == (rows * (256 + GAP_PX) + GAP_PX, columns * (256 + GAP_PX) + GAP_PX, 3)
    grey = (sheet == GREY).all(axis=2)
    assert grey[GAP_PX + 10, GAP_PX + 10] and (sheet[:GAP_PX] == 255).all()


def test_a_box_is_where_it_belongs_and_dashed_where_asked() -> None:
    lines = []
    for dashed in (False, True):
        sheet = draw_contact_sheet([cell(dashed=dashed)])[GAP_PX:, GAP_PX:]
        red = (np.abs(sheet.astype(int) - RED) < 3).all(axis=2)
        ys, xs = np.nonzero(red)
        assert abs(ys.min() - 60) <= 2 and abs(ys.max() - 180) <= 2 and abs(xs.min() - 50) <= 2
        assert abs(xs.max() - 200) <= 2
        lines.append(int(red.sum()))
    assert 0.4 * lines[0] < lines[1] < 0.7 * lines[0]


def test_words_stand_at_the_box_and_a_caption_below() -> None:
    plain, told = draw_contact_sheet([cell()]), draw_contact_sheet([cell(words="CRK")])
    ys, xs = np.nonzero((plain != told).any(axis=2))
    assert 40 < ys.min() - GAP_PX < ys.max() - GAP_PX < 64 and xs.max() - GAP_PX < 100
    assert len(draw_contact_sheet([cell()], caption="Dashed: pasted.")) > len(plain)


def test_small_pictures_are_enlarged() -> None:
    assert draw_contact_sheet([cell(64)]).shape[0] == LEAST_SIDE_PX + 2 * GAP_PX


def test_only_png_is_written(tmp_path: Path) -> None:
    assert write(tmp_path / "a.PNG", [cell()]).stat().st_size > 500
    with pytest.raises(InputError, match="PNG"):
        write(tmp_path / "a.bmp", [cell()])
    assert [path.name for path in tmp_path.iterdir()] == ["a.PNG"]
