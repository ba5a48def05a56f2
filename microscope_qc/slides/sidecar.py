"""The pixel size in the text file that some electron microscopes write beside a picture: JEOL, Hitachi, TESCAN."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

from microscope_qc.slides.scale import Statement, doubtful, fits, length_um, other_frame, statement
from microscope_qc.slides.tag_text import number

LARGEST_BYTES = 1 << 16
"""Such files have a few hundred bytes: what is larger is another text."""


def sidecar_statements(path: Path, shape: tuple[int, int]) -> list[Statement]:
    """What is stated beside a picture of (height, width) about its pixels."""
    text = _text_of(path.with_suffix(".txt"))
    if "$$SM_MICRON_BAR" in text:
        return _jeol(text, shape)
    if "[SemImageFile]" in text:
        return _hitachi(text, shape)
    for name in (f"{path.stem}-{path.suffix[1:]}.hdr", f"{path.stem}.hdr"):
        text = _text_of(path.with_name(name))
        if "PixelSizeX" in text:
            return tescan_statements(text)
    return []


def _jeol(text: str, shape: tuple[int, int]) -> list[Statement]:
    """A bar of so many pixels is so long; the size of the picture is that without its data bar."""
    told = dict(re.findall(r"^(\${1,2}[A-Z_]+)[ \t]+(.*?)\s*$", text, re.MULTILINE))
    frame = [float(part) for part in re.findall(r"[0-9]+", told.get("$CM_FULL_SIZE", ""))]
    if len(frame) == 2 and not fits(frame, shape):
        return doubtful("JEOL", other_frame(*frame))
    bar_px = re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", told.get("$$SM_MICRON_BAR", ""))
    bar_um = length_um(told.get("$$SM_MICRON_MARKER", ""))
    if bar_px is None or bar_um is None or float(bar_px.group()) == 0:
        return []
    size = bar_um / float(bar_px.group())
    return statement("JEOL", size, size)


def _hitachi(text: str, shape: tuple[int, int]) -> list[Statement]:
    """In nanometres."""
    told = dict(re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)\s*$", text, re.MULTILINE))
    frame = [float(part) for part in re.findall(r"[0-9]+", told.get("DataSize", ""))]
    if len(frame) == 2 and not fits(frame, shape):
        return doubtful("Hitachi", other_frame(*frame))
    found = re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?", told.get("PixelSize", ""))
    size = None if found is None else float(found.group().replace(",", ".")) / 1000
    return statement("Hitachi", size, size)


def tescan_statements(text: str) -> list[Statement]:
    """From the lines that TESCAN writes into a file beside the picture, and into a tag."""
    sides = [re.search(rf"^\W*PixelSize{axis}\s*=\s*([0-9.eE+-]+)\s*$", text, re.MULTILINE) for axis in "YX"]
    y, x = (side and side.group(1) for side in sides)
    return metres("TESCAN", y, x)


def metres(source: str, y: Any, x: Any, *, parts: tuple[float, float] = (1.0, 1.0)) -> list[Statement]:
    """A statement about pixels of which so many ``parts`` (y, x) are so many metres long."""
    sides = number(y), number(x)
    size_y, size_x = (None if v is None else v * 1e6 / part for v, part in zip(sides, parts, strict=True))
    return statement(source, size_y, size_x)


def _text_of(path: Path) -> str:
    """The text of a small file; "" where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            return ""
        data = path.read_bytes()
    except (OSError, ValueError):
        return ""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
