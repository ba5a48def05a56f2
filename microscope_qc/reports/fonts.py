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


@functools.lru_cache(maxsize=16)
def _wide_font(size_px: int) -> Any:
    from PIL import ImageFont

    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return None
