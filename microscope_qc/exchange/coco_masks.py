"""Run lengths of COCO: over the whole picture, column by column; compressed ones are text of 5 bits per character.

A slide has too many pixels to unpack a mask of its size; the runs are cut to the mask's own rectangle by arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microscope_qc.core.outline import LARGEST_MASK_PX, Outline

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
    if len(counts) > _LONGEST:
        raise ValueError("too long")
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if height <= 0 or width <= 0 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError("runs do not fill the picture")
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    column, top, bottom = _by_column(starts, stops, height)
    x0, y0 = int(column.min()), int(top.min())
    tall, wide = int(bottom.max()) - y0, int(column.max()) + 1 - x0
    if tall * wide > LARGEST_MASK_PX:
        raise ValueError("too large")
    starts = (column - x0) * tall + top - y0
    return Outline.of_counts(_counts(starts, starts + bottom - top, tall * wide), (y0, x0, tall, wide))


def write_mask(outline: Outline, shape_px: tuple[int, int]) -> dict[str, Any] | None:
    """``{"size", "counts"}`` of a mask on whole pixels inside the picture, None for any other outline."""
    if outline.kind != "mask" or outline.mask_px is None:
        return None
    y0, x0, tall, _ = outline.mask_px
    ends = np.cumsum(np.array(outline.counts, np.int64))
    starts, stops = (ends - np.array(outline.counts))[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts) or y0 != int(y0) or x0 != int(x0):
        return None
    column, top, bottom = _by_column(starts, stops, tall)
    column, top, bottom = column + int(x0), top + int(y0), bottom + int(y0)
    height, width = shape_px
    if column.min() < 0 or top.min() < 0 or column.max() >= width or bottom.max() > height:
        return None
    starts = column * height + top
    return {"size": [height, width], "counts": _counts(starts, starts + bottom - top, height * width)}


def _by_column(starts: np.ndarray, stops: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut runs where a column ends: column, first and last row (exclusive) of every piece."""
    if not len(starts):
        raise ValueError("an empty mask")
    first, last = starts // height, (stops - 1) // height
    pieces = last - first + 1
    if pieces.sum() > _LONGEST:
        raise ValueError("too large")
    run = np.repeat(np.arange(len(starts)), pieces)
    column = first[run] + np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    top = np.maximum(starts[run] - column * height, 0)
    return column, top, np.minimum(stops[run] - column * height, height)


def _counts(starts: np.ndarray, stops: np.ndarray, total: int) -> list[int]:
    """Run lengths, off first; pieces that touch are one run."""
    joined = np.flatnonzero(starts[1:] != stops[:-1])
    starts = starts[np.concatenate([[0], joined + 1])]
    stops = stops[np.concatenate([joined, [len(stops) - 1]])]
    edges = np.stack([starts, stops], axis=1).ravel()
    counts: list[int] = np.diff(np.concatenate([[0], edges, [total]])).tolist()
    return counts if counts[-1] else counts[:-1]


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
