"""Places for objects: in the right layer, clear of the slide's edge, of resin and of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from microscope_qc.synthetic.kinds import ObjectKind
from microscope_qc.synthetic.shapes import PixelGrid
from microscope_qc.synthetic.winding import PERIOD_PX, Winding

_BORDER_PX = 4.0


@dataclass(frozen=True, slots=True)
class PlacedObject:
    """An object with its place; its image is drawn again from `key` whenever it is needed.

    Attributes
    ----------
    kind : ObjectKind
    y, x : float
        Centre in scene pixels.
    half : (float, float)
        Half extents across and along the layer.
    key : tuple of int
        Seed of its image.
    winding : int
        Repeat unit of its centre.
    normal : (float, float)
        Unit vector (y, x) across the layers.
    y0, x0, height, width : int
        Its grid in scene pixels.
    """

    kind: ObjectKind
    y: float
    x: float
    half: tuple[float, float]
    key: tuple[int, ...]
    winding: int
    normal: tuple[float, float]
    y0: int
    x0: int
    height: int
    width: int


def candidates(
    winding: Winding,
    rng: np.random.Generator,
    kind: ObjectKind,
    *,
    shape: tuple[int, int],
    half_across: float,
    count: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random centres for a kind: y, x, winding number; those outside their layer are dropped."""
    y, x = rng.uniform(0, shape[0], count), rng.uniform(0, shape[1], count)
    in_resin = bool(kind.places) and kind.places[0][0] < 0
    if kind.places and not in_resin:
        places = np.array(kind.places, dtype=np.float64)[rng.integers(0, len(kind.places), count)]
        free = np.where(places[:, 2] == 0, np.minimum(half_across + _BORDER_PX, (places[:, 1] - places[:, 0]) / 2), 0)
        target = rng.uniform(places[:, 0] + free, places[:, 1] - free + 1e-9)
        for _ in range(3):
            position = winding.at(y, x)
            step = target - position.depth_px
            step -= PERIOD_PX * np.round(step / PERIOD_PX)
            down, right = winding.normal(y, x)
            y, x = y + step * down, x + step * right
    position = winding.at(y, x)
    good = (y > 0) & (x > 0) & (y < shape[0]) & (x < shape[1]) & (position.resin == in_resin)
    if kind.places and not in_resin:
        good &= np.abs(position.depth_px - target) < 1.0
    return y[good], x[good], position.winding[good]


def place(
    winding: Winding,
    kind: ObjectKind,
    *,
    y: float,
    x: float,
    number: int,
    half: tuple[float, float],
    key: tuple[int, ...],
) -> PlacedObject:
    """Place an object and determine its grid."""
    down, right = winding.normal(np.array(y), np.array(x))
    across, along = half[0] * kind.reach + kind.margin_px, half[1] * kind.reach + 8
    high = int(abs(down) * across + abs(right) * along) + 2
    wide = int(abs(right) * across + abs(down) * along) + 2
    return PlacedObject(
        kind,
        y,
        x,
        half,
        key,
        number,
        (float(down), float(right)),
        round(y) - high,
        round(x) - wide,
        2 * high + 1,
        2 * wide + 1,
    )


def clear_of_resin(winding: Winding, placed: PlacedObject) -> bool:
    """Whether there is no resin under an object."""
    y = np.linspace(placed.y0, placed.y0 + placed.height, 7)[:, None]
    x = np.linspace(placed.x0, placed.x0 + placed.width, 7)[None, :]
    return not winding.at(*np.broadcast_arrays(y, x)).resin.any()


def make_grid(
    winding: Winding, placed: PlacedObject, sample: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
) -> PixelGrid:
    """Pixel grid of a placed object; `sample(depth, along, winding number)` gives the undisturbed specimen."""
    y, x = np.mgrid[: placed.height, : placed.width].astype(np.float32)
    y += np.float32(placed.y0 - placed.y)
    x += np.float32(placed.x0 - placed.x)
    middle = winding.at(np.array([placed.y]), np.array([placed.x]))
    middle_depth, middle_along = np.float32(middle.depth_px[0]), np.float32(middle.along_px[0])
    if placed.kind.exact:
        region = winding.region(placed.y0, placed.x0, placed.height, placed.width)
        depth = region.depth_px + (region.winding - placed.winding).astype(np.float32) * PERIOD_PX
        scale = winding.middle_radius(placed.winding) / winding.middle_radius(region.winding)
        along = (region.along_px * scale).astype(np.float32)
    else:
        down, right = placed.normal
        depth = middle_depth + y * down + x * right
        along = middle_along + x * down - y * right

    def shifted(across: np.ndarray, sideways: np.ndarray) -> np.ndarray:
        return sample(depth + across, along + sideways, placed.winding)

    return PixelGrid(y=y, x=x, t=depth - middle_depth, s=along - middle_along, depth_px=depth, sample=shifted)


class Occupancy:
    """Occupied boxes, with a gap around them."""

    def __init__(self, gap_px: float) -> None:
        self._gap = gap_px
        self._boxes = np.empty((0, 4))

    def is_free(self, y0: float, x0: float, y1: float, x1: float) -> bool:
        """Whether a box keeps the gap to all occupied boxes."""
        b, gap = self._boxes, self._gap
        return not bool(
            np.any((b[:, 0] < y1 + gap) & (b[:, 2] > y0 - gap) & (b[:, 1] < x1 + gap) & (b[:, 3] > x0 - gap))
        )

    def add(self, y0: float, x0: float, y1: float, x1: float) -> None:
        """Mark a box as occupied."""
        self._boxes = np.vstack([self._boxes, [y0, x0, y1, x1]])
