"""Outlines and free attributes on their way through annotation formats.

A format that cannot hold an outline gets the nearest shape it has, and beside it the exact one in an extension that
other programs ignore. The extension counts only while the shape agrees with it to one pixel: it may have been moved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from microscope_qc.core.outline import LARGEST_MASK_PX, Outline
from microscope_qc.core.runs import box_of, counts_of, other_way, pieces_of
from microscope_qc.exchange.document import Box, clean_attributes

Sides = tuple[Any, Any, Any, Any]
NO_SIDES: Sides = (None, None, None, None)
EXTENSION = "microscope_qc"
_AGREES_PX = 1.0
_SAME_PX = 1e-6


def outline_of(make: Callable[[], Outline]) -> tuple[Sides, Outline | None]:
    """Sides and outline of a shape from an untrusted file; no sides where its numbers do not make a shape."""
    try:
        outline = make()
        return outline.bounds, outline
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError):
        return NO_SIDES, None


def as_yx(points: Iterable[Any]) -> list[tuple[float, float]]:
    """Points [x, y] of a file as (y, x)."""
    return [(float(point[1]), float(point[0])) for point in points]


def polygon_or_line(points: Iterable[Any], *, closed: bool = True) -> Outline:
    """Outline of points [x, y]; two points are a line, whatever the file calls them."""
    ring = as_yx(points)
    return Outline.polygon(ring) if closed and len(ring) > 2 else Outline.lines([ring])


def whole(sides: Sides) -> Sides:
    """Round sides that are whole pixels but for the rounding of decimal fractions."""
    try:
        return tuple(float(round(s)) if abs(s - round(s)) < _SAME_PX else s for s in sides)  # type: ignore[return-value]
    except (TypeError, ValueError, OverflowError):
        return sides


def turned_rectangle(x: float, y: float, width: float, height: float, *, angle_deg: float) -> Outline:
    """Outline of a rectangle turned clockwise about its upper left corner."""
    turn = math.radians(angle_deg)
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    cos, sin = math.cos(turn), math.sin(turn)
    return Outline.polygon([(y + cx * sin + cy * cos, x + cx * cos - cy * sin) for cx, cy in corners])


def mask_of_rows(counts: list[int], left: float, top: float, width: int, height: int) -> Outline:
    """Outline of run lengths that go row by row."""
    if not 0 < width * height <= LARGEST_MASK_PX or min(counts) < 0 or sum(counts) != width * height:
        raise ValueError("no mask")
    return Outline.of_counts(other_way(counts, width, height), (top, left, height, width))


def mask_on_rows(starts: np.ndarray, stops: np.ndarray, left: float, top: float, width: int, height: int) -> Outline:
    """Outline of runs of on pixels that go row by row, cut to their own rectangle."""
    sides = box_of(counts_of(starts, stops, width * height), width)
    if sides is None:
        raise ValueError("an empty mask")
    x0, y0, x1, y1 = sides  # rows in place of columns
    wide, tall = x1 - x0, y1 - y0
    if tall * wide > LARGEST_MASK_PX:
        raise ValueError("too large")
    row, first, last = pieces_of(starts, stops, width)
    starts = (row - y0) * wide + first - x0
    rows = counts_of(starts, starts + last - first, tall * wide)
    return Outline.of_counts(other_way(rows, wide, tall), (top + y0, left + x0, tall, wide))


def rows_of_mask(outline: Outline) -> list[int] | None:
    """Run lengths of a mask, row by row; None where there would be too many."""
    _, _, height, width = outline.mask_px or (0, 0, 0, 0)
    try:
        return other_way(outline.counts, height, width)
    except ValueError:
        return None


def is_plain_polygon(outline: Outline) -> bool:
    """Whether it is one polygon without holes, which most formats have."""
    return outline.kind == "polygon" and len(outline.parts) == 1 and len(outline.parts[0]) == 1


def is_plain_line(outline: Outline) -> bool:
    """Whether it is one line."""
    return outline.kind == "line" and len(outline.parts) == 1


def fits(box: Box) -> bool:
    """Whether the box is the one around its outline, so that the outline says it all."""
    if box.outline is None:
        return False
    return all(abs(a - b) < _SAME_PX for a, b in zip(box.outline.bounds, _sides(box), strict=True))


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.y0, box.x0, box.y1, box.x1


def extension(box: Box) -> str:
    """Text that says box and outline exactly."""
    outline = json.loads(box.outline.to_json()) if box.outline is not None else None
    return json.dumps({"box": _sides(box), "outline": outline}, separators=(",", ":"))


def from_extension(text: Any, sides: Sides, outline: Outline | None = None) -> tuple[Sides, Outline | None]:
    """Exact sides and outline of an extension that agrees with the shape beside it; else that shape's."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
        exact = tuple(float(side) for side in value["box"])
        agrees = len(exact) == 4 and all(abs(a - float(b)) <= _AGREES_PX for a, b in zip(exact, sides, strict=True))
        if agrees and value["outline"] is not None:
            return (exact[0], exact[1], exact[2], exact[3]), Outline.from_json(json.dumps(value["outline"]))
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        pass  # no extension, or it was edited: the shape itself counts
    return sides, outline


def attributes_text(attributes: dict[str, Any]) -> str:
    """Attributes as JSON text, "" for none."""
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"), sort_keys=True) if attributes else ""


def attributes_from(text: Any) -> dict[str, Any]:
    """Attributes of JSON text; empty where it is something else."""
    try:
        value = json.loads(text) if isinstance(text, str) and text else text
    except (ValueError, RecursionError):
        return {}
    return clean_attributes(value) if isinstance(value, dict) else {}


def split_attributes(attributes: dict[str, Any], reserved: Iterable[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Attributes that are plain text under a free name, and all others."""
    taken = {*reserved, EXTENSION, "attributes"}
    plain = {key: value for key, value in attributes.items() if isinstance(value, str) and value and key not in taken}
    return plain, {key: value for key, value in attributes.items() if key not in plain}
