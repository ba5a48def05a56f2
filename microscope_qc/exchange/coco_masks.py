"""Run lengths of COCO: over the whole picture, column by column; compressed ones are text of 5 bits per character.

A slide has too many pixels to unpack a mask of its size; the runs are cut to the mask's own rectangle by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microscope_qc.core.outline import LARGEST_MASK_PX, Outline
from microscope_qc.core.runs import box_of, counts_of, on_runs, pieces_of

_LONGEST = 20_000_000


def read_mask(segmentation: dict[str, Any]) -> Outline:
    """Outline of ``{"size": [h, w], "counts": [...] or "..."}``.

    Raises
    ------
    ValueError
        When the runs do not fill a picture of this size, or the mask is too large.
    """
    height, width = (int(side) for side in segmentation["size"])
    counts = segmentation["counts"]
    if not isinstance(counts, str | list) or len(counts) > _LONGEST:
        raise ValueError("no run lengths")
    runs = [int(count) for count in (_unpacked(counts) if isinstance(counts, str) else counts)]
    if height <= 0 or width <= 0 or min(runs, default=-1) < 0 or sum(runs) != height * width:
        raise ValueError("runs do not fill the picture")
    starts, stops = on_runs(runs)
    sides = box_of(runs, height)
    if sides is None:
        raise ValueError("an empty mask")
    y0, x0, y1, x1 = sides
    tall, wide = y1 - y0, x1 - x0
    if tall * wide > LARGEST_MASK_PX:
        raise ValueError("too large")
    column, top, bottom = pieces_of(starts, stops, height)
    starts = (column - x0) * tall + top - y0
    return Outline.of_counts(counts_of(starts, starts + bottom - top, tall * wide), (y0, x0, tall, wide))


def write_mask(outline: Outline, shape_px: tuple[int, int]) -> dict[str, Any] | None:
    """``{"size", "counts"}`` of a mask on whole pixels inside the picture, None for any other outline."""
    if outline.kind != "mask" or outline.mask_px is None:
        return None
    y0, x0, tall, _ = outline.mask_px
    starts, stops = on_runs(outline.counts)
    if not len(starts) or y0 != int(y0) or x0 != int(x0):
        return None
    column, top, bottom = pieces_of(starts, stops, tall)
    column, top, bottom = column + int(x0), top + int(y0), bottom + int(y0)
    height, width = shape_px
    if column.min() < 0 or top.min() < 0 or column.max() >= width or bottom.max() > height:
        return None
    starts = column * height + top
    return {"size": [height, width], "counts": counts_of(starts, starts + bottom - top, height * width)}


def _unpacked(text: str) -> Sequence[int]:
    """Counts of compressed run lengths (pycocotools, maskApi.c, rleFrString)."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("no run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
