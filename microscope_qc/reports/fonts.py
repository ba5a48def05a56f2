"""Fonts for pictures: the one that comes with matplotlib, and a system font for scripts that it lacks."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc", "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc",
    "Arial Unicode.ttf", "DroidSansFallbackFull.ttf", "wqy-zenhei.ttc",
)  # fmt: skip


@functools.lru_cache(maxsize=64)
def font(size_px: int, *, bold: bool = False) -> Any:
    """Pillow font of this height."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size_px)


def font_for(text: str, size_px: int, *, bold: bool = False) -> Any:
    """Font that has all letters of ``text``, as far as one is installed."""
    if all(ord(c) < 0x2E80 for c in text):
        return font(size_px, bold=bold)
    return _wide_font(size_px) or font(size_px, bold=bold)


def wrapped(text: str, *, size_pt: float, width_pt: float) -> list[str]:
    """Lines of ``text`` that are not wider than ``width_pt``; words that are wider by themselves are cut."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if _wide(joined, size_pt) <= width_pt:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while _wide(line, size_pt) > width_pt:
            count = _fitting(line, size_pt, width_pt)
            lines.append(line[:count])
            line = line[count:]
    return [*lines, line]


def shortened(text: str, *, size_pt: float, width_pt: float) -> str:
    """``text``, with an ellipsis at its end where it is wider than ``width_pt``."""
    if _wide(text, size_pt) <= width_pt:
        return text
    return text[: _fitting(text + "…", size_pt, width_pt - _wide("…", size_pt))].rstrip() + "…"


def _wide(text: str, size_pt: float) -> float:
    return float(font_for(text, 100).getlength(text)) * size_pt / 100


def _fitting(text: str, size_pt: float, width_pt: float) -> int:
    """Number of letters at the start that fit, at least one."""
    count = max(1, int(len(text) * width_pt / _wide(text, size_pt)))
    while count > 1 and _wide(text[:count], size_pt) > width_pt:
        count -= 1
    return count


@functools.lru_cache(maxsize=16)
def _wide_font(size_px: int) -> Any:
    from PIL import ImageFont

    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return None
