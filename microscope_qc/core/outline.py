"""The outline of a defect as it was drawn, stored with its box.

Points are (y, x) in full-resolution slide pixels, as boxes are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.runs import Point, borders, box_of

Ring = tuple[Point, ...]

KINDS = ("polygon", "line", "ellipse", "mask")
MOST_POINTS = 100_000
LARGEST_MASK_PX = 400_000_000
MOST_COLUMNS = 4_000_000
"""Of a mask: the work on one grows with them, and with its runs."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One outline.

    ``kind`` says what ``parts`` is: "polygon" polygons, each its outer ring and then its holes (rings are not closed
    by repeating the first point); "line" lines, each as its only ring; "ellipse" one ring of centre and radii
    ``((cy, cx), (ry, rx))``, turned by ``angle_deg`` (clockwise on screen); "mask" no parts, but ``mask_px``
    (y0, x0, height, width) and ``counts``, the run lengths of off and on pixels column by column, as in COCO.
    """

    kind: str
    parts: tuple[tuple[Ring, ...], ...] = ()
    angle_deg: float = 0.0
    mask_px: tuple[float, float, int, int] | None = None
    counts: tuple[int, ...] = ()

    @classmethod
    def polygon(cls, *rings: Iterable[Sequence[float]]) -> Outline:
        """Make an outline of one polygon: its outer ring, then its holes."""
        return cls("polygon", (tuple(_ring(ring, closed=True) for ring in rings),))

    @classmethod
    def polygons(cls, polygons: Iterable[Iterable[Iterable[Sequence[float]]]]) -> Outline:
        """Make an outline of several polygons, each its outer ring and its holes."""
        return cls("polygon", tuple(tuple(_ring(ring, closed=True) for ring in rings) for rings in polygons))

    @classmethod
    def lines(cls, lines: Iterable[Iterable[Sequence[float]]]) -> Outline:
        """Make an outline of lines."""
        return cls("line", tuple((_ring(line),) for line in lines))

    @classmethod
    def ellipse(cls, cy: float, cx: float, ry: float, rx: float, *, angle_deg: float = 0.0) -> Outline:
        """Make an outline of an ellipse."""
        return cls("ellipse", ((_ring([(cy, cx), (ry, rx)]),),), float(angle_deg))

    @classmethod
    def mask(cls, pixels: np.ndarray, y0: float, x0: float) -> Outline:
        """Make an outline from the true pixels of a small image whose corner is at ``y0``, ``x0``."""
        return cls("mask", mask_px=(float(y0), float(x0), *pixels.shape), counts=run_lengths(pixels))

    @classmethod
    def of_counts(cls, counts: Sequence[int], mask_px: tuple[float, float, int, int]) -> Outline:
        """Make an outline from run lengths, column by column."""
        return cls("mask", mask_px=mask_px, counts=tuple(int(count) for count in counts))

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise InputError(f"An outline {problem}.", hint="Draw it again.")

    def _problem(self) -> str:
        numbers = [side for point in self.points() for side in point]
        if self.kind not in KINDS:
            return "is a polygon, line, ellipse or mask"
        if not all(map(math.isfinite, (*numbers, self.angle_deg))):
            return "must have finite coordinates"
        if len(numbers) > 2 * MOST_POINTS:
            return f"of more than {MOST_POINTS} points is too large"
        if self.kind == "mask":
            return _mask_problem(self.mask_px, self.counts)
        least = 3 if self.kind == "polygon" else 2
        if not self.parts or any(not rings or len(rings[0]) < least for rings in self.parts):
            return f"of this kind needs at least {least} points"
        if self.kind == "ellipse" and (len(numbers) != 4 or min(self.parts[0][0][1]) <= 0):
            return "of an ellipse needs two positive radii"
        return ""

    def points(self) -> Iterator[Point]:
        """All points of all parts (centre and radii of an ellipse)."""
        for rings in self.parts:
            for ring in rings:
                yield from ring

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Box y0, x0, y1, x1 around it."""
        if self.kind == "mask":
            y, x, height, _ = self.mask_px or (0, 0, 0, 0)
            y0, x0, y1, x1 = box_of(self.counts, height) or (0, 0, 0, 0)
            return float(y + y0), float(x + x0), float(y + y1), float(x + x1)
        if self.kind == "ellipse":
            (cy, cx), (ry, rx) = self.parts[0][0]
            turn = math.radians(self.angle_deg)
            if turn == 0:
                return cy - ry, cx - rx, cy + ry, cx + rx
            half_x = math.hypot(rx * math.cos(turn), ry * math.sin(turn))
            half_y = math.hypot(rx * math.sin(turn), ry * math.cos(turn))
            return cy - half_y, cx - half_x, cy + half_y, cx + half_x
        ys, xs = zip(*self.points(), strict=True)
        return min(ys), min(xs), max(ys), max(xs)

    def pixels(self) -> np.ndarray:
        """The mask as a boolean image of its height and width."""
        _, _, height, width = self.mask_px or (0, 0, 0, 0)
        on = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return on.reshape((width, height)).T

    def rings(self, *, steps: int = 64) -> list[Ring]:
        """Outer rings for drawing and for formats that support only polygons; of a mask, its border."""
        if self.kind == "mask":
            top, left, height, _ = self.mask_px or (0, 0, 0, 0)
            return [tuple((y + top, x + left) for y, x in ring) for ring in borders(self.counts, height)]
        if self.kind != "ellipse":
            return [rings[0] for rings in self.parts]
        (cy, cx), (ry, rx) = self.parts[0][0]
        turn, around = math.radians(self.angle_deg), np.arange(steps) * 2 * math.pi / steps
        along, across = rx * np.cos(around), ry * np.sin(around)
        y = cy + along * math.sin(turn) + across * math.cos(turn)
        x = cx + along * math.cos(turn) - across * math.sin(turn)
        return [tuple(zip(y.tolist(), x.tolist(), strict=True))]

    def moved(self, dy: float, dx: float) -> Outline:
        """Return the outline shifted by ``dy`` down and ``dx`` to the right."""
        if self.kind == "mask":
            y, x, height, width = self.mask_px or (0, 0, 0, 0)
            return Outline.of_counts(self.counts, (y + dy, x + dx, height, width))
        if self.kind == "ellipse":
            (cy, cx), radii = self.parts[0][0]
            return Outline("ellipse", ((((cy + dy, cx + dx), radii),),), self.angle_deg)
        parts = tuple(tuple(tuple((y + dy, x + dx) for y, x in ring) for ring in rings) for rings in self.parts)
        return Outline(self.kind, parts)

    def scaled(self, factor_y: float, factor_x: float) -> Outline | None:
        """Return the outline in an image of another scale; None where its kind does not allow that."""
        if factor_y == factor_x == 1:
            return self
        if self.kind == "mask" or (self.kind == "ellipse" and self.angle_deg and factor_y != factor_x):
            return None
        parts = tuple(
            tuple(tuple((y * factor_y, x * factor_x) for y, x in ring) for ring in rings) for rings in self.parts
        )
        return Outline(self.kind, parts, self.angle_deg)

    def to_json(self) -> str:
        """Return the outline as text for the database; numbers are preserved exactly."""
        value: dict[str, Any] = {"kind": self.kind}
        if self.kind == "mask":
            value |= {"mask_px": self.mask_px, "counts": self.counts}
        else:
            value["parts"] = self.parts
        if self.angle_deg:
            value["angle_deg"] = self.angle_deg
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Outline:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        InputError
            When it is not an outline.
        """
        try:
            value = json.loads(text)
            parts = tuple(tuple(_ring(ring) for ring in rings) for rings in value.get("parts", ()))
            box, angle = value.get("mask_px"), float(value.get("angle_deg", 0.0))
            mask_px = None if box is None else (float(box[0]), float(box[1]), int(box[2]), int(box[3]))
            return cls(value["kind"], parts, angle, mask_px, tuple(int(n) for n in value.get("counts", ())))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("This is not an outline.", hint="Draw it again.") from error


def _ring(points: Iterable[Sequence[float]], *, closed: bool = False) -> Ring:
    ring = tuple((float(point[0]), float(point[1])) for point in points)
    return ring[:-1] if closed and len(ring) > 3 and ring[0] == ring[-1] else ring


def _mask_problem(mask_px: tuple[float, float, int, int] | None, counts: tuple[int, ...]) -> str:
    if (
        mask_px is None
        or not all(map(math.isfinite, mask_px))
        or min(mask_px[2:]) <= 0
        or mask_px[2] * mask_px[3] > LARGEST_MASK_PX
        or mask_px[3] > MOST_COLUMNS
    ):
        return "of a mask needs a height and a width"
    if len(counts) > 20 * MOST_POINTS:
        return "of a mask with so many holes is too large"
    if (counts and min(counts) < 0) or sum(counts) != mask_px[2] * mask_px[3]:
        return "of a mask must have as many pixels as its height and width say"
    return ""


def run_lengths(pixels: np.ndarray) -> tuple[int, ...]:
    """Run lengths of a boolean image, off first, column by column."""
    flat = np.asarray(pixels, bool).T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return tuple([0, *counts] if len(flat) and flat[0] else counts)
