"""Kinds of drawn objects: their size, their places, and the function that draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microscope_qc.synthetic.shapes import PixelGrid, Stamp

Draw = Callable[[np.random.Generator, PixelGrid, tuple[float, float]], Stamp]
Size = Callable[[np.random.Generator], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """One appearance of an object.

    Attributes
    ----------
    code : str
        Class code, or "" for a look-alike that is not a defect.
    share : float
        Relative frequency among the kinds of the same class.
    places : tuple of (start, stop, side)
        Allowed centres across the repeat unit, pixels. With side 0, half the object's height is kept free at both ends.
        Empty: anywhere inside the roll; ((-1, -1, 0),) : in the resin.
    size : callable
        rng -> half extents (across, along the layer) in pixels, which the drawing does not exceed.
    draw : callable
        (rng, grid, half extents) -> Stamp.
    margin_px : float
        Margin of the grid beyond the half extents.
    reach : float
        Factor by which the outline may exceed its half extents.
    exact : bool
        Follow the bent layers pixel by pixel instead of treating them as straight under the object.
    """

    code: str
    share: float
    places: tuple[tuple[float, float, int], ...]
    size: Size
    draw: Draw
    margin_px: float = 8.0
    reach: float = 1.4
    exact: bool = False


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Half extents drawn log-uniformly; unlike a closure, it can be pickled for other processes.

    Attributes
    ----------
    low, high : float
        Range of the half extent along the layer, pixels.
    flat : (float, float)
        Range of the ratio across : along.
    most_across : float
        Limit of the half extent across, pixels.
    """

    low: float
    high: float
    flat: tuple[float, float] = (1.0, 1.0)
    most_across: float = 96.0

    def __call__(self, rng: np.random.Generator) -> tuple[float, float]:
        """Draw (across, along)."""
        along = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        across = min(along * float(rng.uniform(*self.flat)), self.most_across)
        return across, along
