"""Normal features that resemble defects, to test the precision of a detector."""

from __future__ import annotations

import numpy as np

from microscope_qc.synthetic.anode_defects import ANODE
from microscope_qc.synthetic.cathode_defects import CATHODE
from microscope_qc.synthetic.fields import patch_noise
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.shapes import PixelGrid, Stamp, blob, cover, paint, path_distance, put_under, wander

RESIN_PLACE = ((-1, -1, 0),)


def draw_large_nmc(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """An unusually large but normal NMC sphere, grainy like its neighbours."""
    depth = blob(rng, grid.t, grid.s, half=half, lobes=0.05)
    grain = 0.55 * patch_noise(rng, grid.shape, scale=2.6) + 0.45 * patch_noise(rng, grid.shape, scale=5)
    value = rng.normal(174, 8) + rng.uniform(7, 13) * grain - 58 * np.exp(-np.maximum(depth, 0) / 1.1)
    value -= 70 * np.clip(2 * (patch_noise(rng, grid.shape, scale=4) - 1.9), 0, 1)
    stamp = Stamp(cover(depth), paint(value, (1, 1, 1.005)), depth > 0)
    put_under(stamp, 0.8 * cover(depth + 1.5), paint(np.full(grid.shape, 72.0), (0.99, 1, 1.05)))
    return stamp


def draw_pores(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A loose cluster of ordinary small pores."""
    depth = np.full(grid.shape, -np.inf, np.float32)
    for _ in range(int(rng.integers(4, 10))):
        t, s = grid.t - rng.normal(0, 0.35) * half[0], grid.s - rng.normal(0, 0.35) * half[1]
        radius = rng.uniform(2.5, 7)
        depth = np.maximum(depth, blob(rng, t, s, half=(radius, radius * rng.uniform(1, 2)), lobes=0.2))
    value = 50 + 5 * patch_noise(rng, grid.shape, scale=3)
    return Stamp(0.9 * cover(depth, edge=2), paint(value, (0.97, 1.0, 1.08)), depth > 0)


def draw_bright_flake(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A graphite flake that happens to reflect strongly."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.normal(0, 0.25), lobes=0.09)
    streaks = np.sin(grid.t * rng.uniform(0.6, 1.0) + 1.5 * patch_noise(rng, grid.shape, scale=16))
    value = rng.uniform(140, 164) + 8 * streaks + 4 * patch_noise(rng, grid.shape, scale=3)
    value -= 20 * np.exp(-np.maximum(depth, 0) / 1.3)
    stamp = Stamp(cover(depth), paint(value, (1.02, 1.0, 0.945)), depth > 0)
    put_under(stamp, 0.9 * cover(depth + 1.3), paint(np.full(grid.shape, 52.0), (0.97, 1, 1.08)))
    return stamp


def draw_dust(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A dust grain above the focal plane: a soft grey shadow."""
    depth = blob(rng, grid.y, grid.x, half=half, lobes=0.12)
    alpha = rng.uniform(0.22, 0.42) * cover(depth - 1, edge=min(half) * 0.9)
    return Stamp(alpha, paint(np.full(grid.shape, 60.0), (1.03, 1, 0.97)), depth > 0)


def draw_bubble(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A gas bubble in the resin: a thin bright ring around a slightly darker disc."""
    depth = blob(rng, grid.y, grid.x, half=half, lobes=0.02)
    value = 42 + rng.uniform(25, 60) * np.exp(-((depth - 2.5) ** 2) / 4) + 2 * patch_noise(rng, grid.shape, scale=8)
    return Stamp(cover(depth, edge=2), paint(value, (0.92, 1.0, 1.12)), depth > 0)


def draw_thin_scratch(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A faint, fine polishing scratch."""
    turn = float(rng.uniform(0, np.pi))
    end = np.array([np.sin(turn), np.cos(turn)]) * half[1]
    distance, along = path_distance(grid.y, grid.x, wander(rng, -end, end, bend=0.004, steps=5))
    alpha = cover(0.8 - distance, edge=1.5) * np.clip(6 * np.minimum(along, 1 - along), 0, 1) * rng.uniform(0.2, 0.4)
    value = 215.0 if rng.random() < 0.5 else 45.0
    return Stamp(alpha.astype(np.float32), paint(np.full(grid.shape, value), (1, 1, 1)), alpha > 0.1)


# Here `share` is the number per 1000 x 1000 pixels of the slide.
LOOKALIKE_KINDS = (
    ObjectKind("", 5.0, CATHODE, SizeRange(19, 25), draw_large_nmc),
    ObjectKind("", 1.6, CATHODE, SizeRange(14, 30, flat=(0.6, 1.0)), draw_pores),
    ObjectKind("", 2.2, ANODE, SizeRange(14, 34, flat=(0.5, 0.9)), draw_pores),
    ObjectKind("", 3.5, ANODE, SizeRange(22, 54, flat=(0.22, 0.42)), draw_bright_flake),
    ObjectKind("", 1.6, (), SizeRange(6, 17, flat=(0.7, 1.0)), draw_dust),
    ObjectKind("", 1.2, (), SizeRange(70, 200, most_across=400), draw_thin_scratch, 8.0, 1.05),
    ObjectKind("", 1.0, RESIN_PLACE, SizeRange(5, 16), draw_bubble),
)
