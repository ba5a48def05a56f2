"""Many small pictures with boxes on one sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path
from microscope_qc.reports.fonts import font_for

GAP_PX = 8
LEAST_SIDE_PX = 240
"""Smaller pictures are enlarged: words on them would hide them."""
_PAPER = (255, 255, 255)
_SHADE = (14, 16, 18)
_DASH_PX = 6
_LETTERS_PX, _NUMBER_PX = 13, 11


@dataclass(frozen=True, slots=True)
class SheetMark:
    """A box y0, x0, y1, x1 in the pixels of its picture, its colour as #rrggbb, and what stands at it."""

    box: Sequence[float]
    colour: str
    words: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A picture, uint8 (h, w, 3), with boxes."""

    pixels: np.ndarray
    marks: Sequence[SheetMark] = field(default_factory=list)


def write_contact_sheet(path: Path | str, cells: Sequence[SheetCell], *, caption: str = "") -> Path:
    """Write pictures beside and below each other as one PNG, with a line below them.

    Raises
    ------
    InputError
        When the name does not end with .png.
    WriteError
        When the file cannot be written.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path.name} is not the name of a PNG file.", hint="End the name with .png.")
    sheet = Image.fromarray(draw_contact_sheet(cells, caption=caption))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def draw_contact_sheet(cells: Sequence[SheetCell], *, caption: str = "") -> np.ndarray:
    """Draw the sheet, uint8 (H, W, 3): a little wider than high."""
    from PIL import Image, ImageDraw

    pictures = [_drawn(cell) for cell in cells]
    columns = max(1, round(math.sqrt(1.5 * len(pictures))))
    height, width = (max((picture.size[axis] for picture in pictures), default=0) + GAP_PX for axis in (1, 0))
    rows = -(-len(pictures) // columns)
    face = font_for(caption, _LETTERS_PX)
    foot = 2 * _LETTERS_PX if caption else 0
    size = max(columns * width, round(face.getlength(caption)) + GAP_PX) + GAP_PX, rows * height + GAP_PX + foot
    sheet = Image.new("RGB", size, _PAPER)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture, (GAP_PX + column * width, GAP_PX + row * height))
    ImageDraw.Draw(sheet).text((GAP_PX, rows * height + GAP_PX), caption, font=face, fill=_SHADE)
    return np.asarray(sheet)


def _drawn(cell: SheetCell) -> Any:
    from PIL import Image, ImageDraw

    image = Image.fromarray(cell.pixels)
    scale = max(1.0, LEAST_SIDE_PX / max(image.size))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for mark in cell.marks:
        y0, x0, y1, x1 = (value * scale for value in mark.box)
        draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=_SHADE, width=4)
        for start, stop in _dashes((x0, y0, x1, y1), dashed=mark.dashed):
            draw.line((*start, *stop), fill=mark.colour, width=2)
        if mark.words:
            face = font_for(mark.words, _LETTERS_PX, bold=True)
            top = y0 - _LETTERS_PX - 4 if y0 > _LETTERS_PX + 4 else y0 + 3
            draw.text((x0 + 2, top), mark.words, font=face, fill=mark.colour, stroke_width=2, stroke_fill=_SHADE)
    return image


def _dashes(
    sides: tuple[float, float, float, float], *, dashed: bool
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Lines around a rectangle, from (x, y) to (x, y)."""
    x0, y0, x1, y1 = sides
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    lines = []
    for (xa, ya), (xb, yb) in itertools.pairwise(corners):
        pieces = max(1, round(math.hypot(xb - xa, yb - ya) / _DASH_PX)) if dashed else 1
        for piece in range(0, pieces, 2):
            ends = (piece / pieces, (piece + 1) / pieces)
            a, b = ((xa + (xb - xa) * end, ya + (yb - ya) * end) for end in ends)
            lines.append((a, b))
    return lines


def draw_numbered(pictures: Sequence[tuple[np.ndarray, str]], *, columns: int = 8) -> np.ndarray:
    """Draw square pictures of one size in rows, each with a line below it, uint8 (H, W, 3)."""
    from PIL import Image, ImageDraw

    side = pictures[0][0].shape[0]
    step_x, step_y = side + GAP_PX, side + GAP_PX + _NUMBER_PX + 4
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, words) in enumerate(pictures):
        row, column = divmod(number, columns)
        x, y = GAP_PX + column * step_x, GAP_PX + row * step_y
        sheet.paste(Image.fromarray(pixels), (x, y))
        draw.text((x, y + side + 1), words, font=font_for(words, _NUMBER_PX), fill=_SHADE)
    return np.asarray(sheet)
