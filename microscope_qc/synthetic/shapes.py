"""Shapes of small objects as signed depths on pixel grids."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.synthetic.fields import patch_noise
from microscope_qc.synthetic.winding import COATINGS, LAYERS_PX

_DIRECTIONS = 1024


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """Coordinates of the pixels around the centre of an object.

    Attributes
    ----------
    y, x : ndarray, float32, (h, w)
        Offsets from the centre along the slide axes, pixels.
    t, s : ndarray, float32, (h, w)
        Offsets across and along the layer, pixels (equal to y, x where there are no layers).
    depth_px : ndarray, float32, (h, w)
        Position across the repeat unit (see `winding`), continuous over the grid.
    sample : callable
        (shift across, shift along) in pixels -> the undisturbed specimen at the shifted places, float32 (h, w, 3).
    """

    y: np.ndarray
    x: np.ndarray
    t: np.ndarray
    s: np.ndarray
    depth_px: np.ndarray
    sample: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.y.shape[0], self.y.shape[1]


@dataclass(slots=True)
class Stamp:
    """A drawn object: opacity, colour, and which pixels an expert would count as part of it.

    Attributes
    ----------
    alpha : ndarray, float32, (h, w)
    rgb : ndarray, float32, (h, w, 3)
    visible : ndarray of bool, (h, w)
    """

    alpha: np.ndarray
    rgb: np.ndarray
    visible: np.ndarray


def cover(depth: np.ndarray, *, edge: float = 1.4) -> np.ndarray:
    """Opacity from a signed depth (positive inside), with a border `edge` pixels wide."""
    return np.clip(depth / edge + 0.5, 0, 1).astype(np.float32)


def blob(rng: np.random.Generator, a: np.ndarray, b: np.ndarray, *, half: tuple[float, float], angle: float = 0.0,
         lobes: float = 0.15, orders: int = 7) -> np.ndarray:  # fmt: skip
    """Signed depth of an irregular ellipse.

    Parameters
    ----------
    a, b : ndarray
        Coordinates across and along.
    half : (float, float)
        Half axes across and along, pixels: the outline stays close to them.
    angle : float
        Rotation, radians.
    lobes : float
        Relative irregularity.
    orders : int
        Highest angular frequency plus one.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    v, u = (a * cos - b * sin) / half[0], (a * sin + b * cos) / half[1]
    # The outline depends only on the direction: a table saves one cosine per pixel and order.
    turns = np.linspace(-np.pi, np.pi, _DIRECTIONS, endpoint=False)
    outline = np.ones(_DIRECTIONS)
    for order in range(2, orders):
        weight = lobes * rng.standard_normal() / order**0.6
        outline += weight * np.cos(order * turns + rng.uniform(0, 2 * np.pi))
    table = np.clip(outline, 0.45, 1.6).astype(np.float32)
    direction = cv2.phase(u, v) * np.float32(_DIRECTIONS / (2 * np.pi)) + np.float32(_DIRECTIONS / 2)
    radius = cv2.magnitude(u, v)
    return (table[direction.astype(np.int32) % _DIRECTIONS] - radius) * np.float32(min(half))


def shard(rng: np.random.Generator, a: np.ndarray, b: np.ndarray, *, half: tuple[float, float], angle: float = 0.0,
          corners: int = 7) -> np.ndarray:  # fmt: skip
    """Signed depth of an angular, convex fragment."""
    cos, sin = math.cos(angle), math.sin(angle)
    v, u = (a * cos - b * sin) / half[0], (a * sin + b * cos) / half[1]
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(-0.32, 0.32, corners)
    depth = np.full(a.shape, np.inf, np.float32)
    for turn in turns.tolist():
        depth = np.minimum(depth, rng.uniform(0.74, 1.0) - v * math.sin(turn) - u * math.cos(turn))
    depth = depth * min(half)
    return depth + 0.9 * patch_noise(rng, a.shape, scale=5)


def facets(rng: np.random.Generator, a: np.ndarray, b: np.ndarray, *, reach: float, count: int) -> np.ndarray:
    """Index of the nearest of `count` random seeds within `reach` of the centre."""
    best = np.full(a.shape, np.inf, np.float32)
    index = np.zeros(a.shape, np.int32)
    for number, (v, u) in enumerate(rng.uniform(-reach, reach, (count, 2)).tolist()):
        distance = (a - v) ** 2 + (b - u) ** 2
        closer = distance < best
        np.copyto(best, distance, where=closer)
        index[closer] = number
    return index


def segment_distance(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance to a segment and the position along it (0 .. 1)."""
    # Plain floats: numpy's double scalars would turn the single-precision grids into double precision.
    (y0, x0), (y1, x1) = start.tolist(), stop.tolist()
    dy, dx = y1 - y0, x1 - x0
    length2 = dy * dy + dx * dx + 1e-9
    v, u = a - y0, b - x0
    along = np.clip(v * (dy / length2) + u * (dx / length2), 0, 1)
    v -= along * dy
    u -= along * dx
    v *= v
    u *= u
    v += u
    return v, along


def path_distance(a: np.ndarray, b: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a broken line (n, 2) and the position along it (0 .. 1)."""
    best = np.full(a.shape, np.inf, np.float32)
    where = np.zeros(a.shape, np.float32)
    for number in range(len(path) - 1):
        distance2, along = segment_distance(a, b, path[number], path[number + 1])
        closer = distance2 < best
        np.copyto(best, distance2, where=closer)
        along += number
        np.copyto(where, along, where=closer)
    return np.sqrt(best), where / (len(path) - 1)


def wander(rng: np.random.Generator, start: Floats, stop: Floats, *, bend: float, steps: int) -> Floats:
    """A jagged path from start to stop, (steps + 1, 2); `bend` is the sideways deviation relative to the length."""
    along = np.linspace(0, 1, steps + 1)[:, None]
    side = np.array([-(stop - start)[1], (stop - start)[0]])
    jagged = np.cumsum(rng.standard_normal(steps + 1))
    jagged -= np.linspace(jagged[0], jagged[-1], steps + 1)
    jagged *= bend / np.sqrt(steps)
    return start + (stop - start) * along + side * jagged[:, None]


def paint(value: np.ndarray, tint: tuple[float, float, float]) -> np.ndarray:
    """Colour from a grey value: float32 (h, w, 3)."""
    return value[..., None].astype(np.float32) * np.asarray(tint, np.float32)


def lay_over(stamp: Stamp, alpha: np.ndarray, rgb: np.ndarray) -> None:
    """Paint over a stamp in place, extending its opacity."""
    total = alpha + stamp.alpha * (1 - alpha)
    weight = (alpha / np.maximum(total, 1e-6))[..., None]
    stamp.rgb += (rgb - stamp.rgb) * weight
    stamp.alpha = total


def put_under(stamp: Stamp, alpha: np.ndarray, rgb: np.ndarray) -> None:
    """Paint below a stamp in place, for rims and shadows around it."""
    total = stamp.alpha + alpha * (1 - stamp.alpha)
    weight = (stamp.alpha / np.maximum(total, 1e-6))[..., None]
    stamp.rgb = rgb + (stamp.rgb - rgb) * weight
    stamp.alpha = total


def within_coating(grid: PixelGrid) -> np.ndarray:
    """Signed depth of the coating at the centre of the grid (positive inside), large if there is none."""
    middle = grid.depth_px[grid.shape[0] // 2, grid.shape[1] // 2]
    spans = [LAYERS_PX[name] for name in COATINGS]
    low, high = next((span for span in spans if span[0] <= middle < span[1]), (-1e6, 1e6))
    return np.minimum(grid.depth_px - low, high - grid.depth_px)
