"""Geometry of the wound cell: the place of slide pixels in the layer stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.synthetic.fields import Waves, coarse_axes, refine

# Layers of one repeat unit from inside to outside, [start, stop) in pixels of 0.3 um, separated by thin resin gaps.
LAYERS_PX: dict[str, tuple[int, int]] = {
    "separator_a": (5, 55),
    "cathode_a": (63, 263),
    "aluminium": (263, 313),
    "cathode_b": (313, 513),
    "separator_b": (521, 571),
    "anode_a": (579, 812),
    "copper": (812, 845),
    "anode_b": (845, 1078),
}
COATINGS = ("cathode_a", "cathode_b", "anode_a", "anode_b")
PERIOD_PX = 1083


@dataclass(frozen=True, slots=True)
class ResinPocket:
    """A resin-filled opening between two windings, which pushes the layers beside it apart."""

    boundary: int
    theta: float
    half_length: float
    opening_px: float


@dataclass(frozen=True, slots=True)
class LayerPosition:
    """Layer coordinates of pixels.

    Attributes
    ----------
    winding : ndarray of int
        Index of the repeat unit; 0 and above is the resin outside the roll.
    depth_px : ndarray
        Position across the repeat unit, 0 .. PERIOD_PX.
    along_px : ndarray
        Position along the layer.
    resin : ndarray of bool
        Inside a pocket or outside the roll.
    """

    winding: np.ndarray
    depth_px: np.ndarray
    along_px: np.ndarray
    resin: np.ndarray


class Winding:
    """Layer coordinates of a slide: circles of a large radius with a slight waviness, an outer end, resin pockets."""

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        height, width = shape
        self._side = 1.0 if rng.random() < 0.5 else -1.0
        self.tilt = rng.uniform(-0.5, 0.5) + (np.pi if rng.random() < 0.5 else 0.0)
        self._radius = max(rng.uniform(15_000, 32_000), 1.6 * float(np.hypot(height, width)))
        self._centre = (height / 2 - self._radius * np.cos(self.tilt), width / 2 - self._radius * np.sin(self.tilt))
        self._waves = Waves.random(rng, count=6, wavelength_px=(1500, 7000))
        self._waviness_px = rng.uniform(8, 20)
        corners = np.array([[0, 0], [0, width], [height, 0], [height, width], [0, width / 2], [height, width / 2]])
        self._end = 0.0
        reach = self._raw(corners[:, 0], corners[:, 1])[1]
        share = rng.uniform(0.02, 0.07) if max(shape) >= 2048 else rng.uniform(-0.3, 0.03)
        self._end = float(reach.max() - share * np.ptp(reach))
        self._pockets = self._make_pockets(rng, depth_px=float(np.ptp(reach)), length_px=float(max(shape)))

    def _make_pockets(self, rng: np.random.Generator, *, depth_px: float, length_px: float) -> list[ResinPocket]:
        windings = int(depth_px / PERIOD_PX)
        count = round(windings * length_px / 14_000)
        span = length_px / self._radius
        return [
            ResinPocket(
                boundary=-int(rng.integers(1, windings + 1)),
                theta=float(rng.uniform(-0.5, 0.5) * span),
                half_length=float(rng.uniform(250, 700) / self._radius),
                opening_px=float(rng.uniform(14, 48)),
            )
            for _ in range(count)
        ]

    def _raw(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Angle from the slide's centre, and depth without the pockets (outer end at 0)."""
        dy, dx = y - self._centre[0], x - self._centre[1]
        theta = np.arctan2(dx, dy) - self.tilt
        theta = np.mod(theta + np.pi, 2 * np.pi) - np.pi
        depth = np.hypot(dy, dx) - PERIOD_PX * theta / (2 * np.pi) + self._waviness_px * self._waves(y, x)
        return theta, self._side * depth - self._end

    def _near(self, theta: np.ndarray, depth: np.ndarray) -> list[ResinPocket]:
        """Pockets that affect a range of positions."""
        if not theta.size:
            return []
        low, high = float(theta.min()), float(theta.max())
        inner, outer = float(depth.min()) - 3500, float(depth.max()) + 3500
        return [
            pocket
            for pocket in self._pockets
            if low < pocket.theta + 4 * pocket.half_length
            and high > pocket.theta - 4 * pocket.half_length
            and inner < pocket.boundary * PERIOD_PX < outer
        ]

    def _finish(self, theta: np.ndarray, depth: np.ndarray, pockets: list[ResinPocket]) -> LayerPosition:
        resin = depth >= 0
        for pocket in pockets:
            offset = depth - pocket.boundary * PERIOD_PX
            opening = pocket.opening_px * np.exp(-0.5 * ((theta - pocket.theta) / pocket.half_length) ** 2)
            size = np.abs(offset)
            resin |= size < opening
            away = np.maximum(size - opening, 0)
            squeezed = size - np.minimum(opening, size) * np.exp(away * (-1 / 500))
            depth = pocket.boundary * PERIOD_PX + np.copysign(squeezed, offset)
        turns = np.floor(depth / PERIOD_PX)
        winding = turns.astype(np.int32)
        depth_px = depth - turns * PERIOD_PX
        # One radius per winding keeps the texture undistorted; the jump between windings is in a resin gap.
        along = (theta * self.middle_radius(winding)).astype(depth.dtype)
        return LayerPosition(winding, depth_px, along, resin)

    def at(self, y: np.ndarray, x: np.ndarray) -> LayerPosition:
        """Layer coordinates of positions in pixels (matching float arrays)."""
        theta, depth = self._raw(np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64))
        return self._finish(theta, depth, self._near(theta, depth))

    def region(self, y0: int, x0: int, height: int, width: int) -> LayerPosition:
        """Layer coordinates of every pixel of a region, float32."""
        theta, depth = self._raw(*coarse_axes(y0, x0, height, width))
        pockets = self._near(theta, depth)
        return self._finish(refine(theta, height, width), refine(depth, height, width), pockets)

    def normal(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit vector (y, x) across the layers, towards larger depth, at positions in pixels."""
        down = self._raw(y + 4, x)[1] - self._raw(y - 4, x)[1]
        right = self._raw(y, x + 4)[1] - self._raw(y, x - 4)[1]
        length = np.hypot(down, right)
        return down / length, right / length

    def middle_radius(self, winding: np.ndarray | int) -> np.ndarray:
        """Signed radius of the middle of a repeat unit in pixels; `along_px` is this times the angle."""
        return np.asarray(self._side * (self._end + (np.asarray(winding) + 0.5) * PERIOD_PX))

    def innermost(self, shape: tuple[int, int]) -> int:
        """Smallest winding number on a slide of this shape."""
        height, width = shape
        y, x = np.meshgrid(np.linspace(0, height, 9), np.linspace(0, width, 9))
        return int(np.floor(self._raw(y, x)[1].min() / PERIOD_PX)) - 2
