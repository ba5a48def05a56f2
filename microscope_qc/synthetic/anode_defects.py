"""Defects of the graphite coating: carbon and oxide particles, filled pores, hollow spaces."""

from __future__ import annotations

import numpy as np

from microscope_qc.synthetic.fields import patch_noise
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.shapes import (
    PixelGrid,
    Stamp,
    blob,
    cover,
    facets,
    lay_over,
    paint,
    path_distance,
    put_under,
    shard,
    within_coating,
)
from microscope_qc.synthetic.winding import LAYERS_PX

ANODE = tuple((*LAYERS_PX[name], 0) for name in ("anode_a", "anode_b"))
_DARK = (0.97, 1.0, 1.08)


def dark_rim(stamp: Stamp, depth: np.ndarray, *, width: float, value: float, strength: float = 0.9) -> None:
    """Paint a gap between a foreign particle and its surroundings, below the particle."""
    put_under(stamp, strength * cover(depth + width, edge=2.0), paint(np.full(depth.shape, value), _DARK))


def internal_cracks(rng: np.random.Generator, grid: PixelGrid, *, reach: float, count: int) -> np.ndarray:
    """Opacity of thin straight cracks inside a particle."""
    alpha = np.zeros(grid.shape, np.float32)
    for _ in range(count):
        turn = rng.uniform(0, 2 * np.pi)
        middle = rng.uniform(-0.35, 0.35, 2) * reach
        end = np.array([np.sin(turn), np.cos(turn)]) * reach * rng.uniform(0.4, 0.9)
        distance, _ = path_distance(grid.t, grid.s, np.stack([middle - end, middle + end]))
        distance = distance + 1.2 * patch_noise(rng, grid.shape, scale=9)
        alpha = np.maximum(alpha, cover(rng.uniform(0.6, 1.3) - distance))
    return alpha


def draw_carbon(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A dense lump of carbon: smooth, lighter than the flakes, onion-like lamellae or gas pores, thin dark gap."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-0.5, 0.5), lobes=0.10, orders=6)
    value = np.full(grid.shape, rng.uniform(158, 178), np.float32)
    value += 2.5 * patch_noise(rng, grid.shape, scale=3) + 4 * patch_noise(rng, grid.shape, scale=24)
    if rng.random() < 0.6:
        phase = depth / rng.uniform(2.2, 3.6) + 1.5 * patch_noise(rng, grid.shape, scale=18)
        value += rng.uniform(4, 8) * np.sin(phase)
    else:
        value -= 70 * np.clip(2 * (patch_noise(rng, grid.shape, scale=rng.uniform(5, 9)) - 1.35), 0, 1)
    value -= 26 * np.exp(-np.maximum(depth, 0) / 2.0)
    stamp = Stamp(cover(depth), paint(value, (1.01, 1.0, 0.975)), depth > -2)
    dark_rim(stamp, depth, width=rng.uniform(2, 4), value=44)
    return stamp


def draw_oxide(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A bright, bluish, angular fragment with facets and cracks."""
    depth = shard(rng, grid.t, grid.s, half=half, angle=rng.uniform(-0.6, 0.6), corners=int(rng.integers(5, 9)))
    index = facets(rng, grid.t, grid.s, reach=max(half), count=int(rng.integers(2, 7)))
    value = (rng.uniform(188, 214) + rng.normal(0, 9, 8)[index]).astype(np.float32)
    value += 3 * patch_noise(rng, grid.shape, scale=3) + 4 * patch_noise(rng, grid.shape, scale=14)
    value -= 20 * np.exp(-np.maximum(depth, 0) / 1.5)
    stamp = Stamp(cover(depth), paint(value, (0.96, 1.0, 1.045)), depth > -1.5)
    cracks = internal_cracks(rng, grid, reach=max(half), count=int(rng.integers(0, 4)))
    lay_over(stamp, 0.8 * cracks * stamp.alpha, paint(np.full(grid.shape, 70), _DARK))
    dark_rim(stamp, depth, width=rng.uniform(1.5, 3), value=42)
    return stamp


def draw_filled_pore(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A pore filled with polishing debris: brownish, granular, between pore and graphite in brightness, dark border."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-0.4, 0.4), lobes=0.17, orders=9)
    depth = np.minimum(depth + 2.2 * patch_noise(rng, grid.shape, scale=11), within_coating(grid) - 1)
    value = rng.uniform(74, 90) + 6.5 * patch_noise(rng, grid.shape, scale=2.6)
    value += 7 * patch_noise(rng, grid.shape, scale=9)
    value += 55 * np.clip(patch_noise(rng, grid.shape, scale=3.2) - 1.9, 0, 1)
    value -= 34 * np.exp(-(np.maximum(depth, 0) ** 2) / 18)
    stamp = Stamp(cover(depth, edge=2.5), paint(value, (1.09, 1.0, 0.86)), depth > -1)
    return stamp


def draw_hollow(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """An empty space: nearly black, sharp, with a bright edge on one side."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.normal(0, 0.25), lobes=0.14, orders=8)
    depth = np.minimum(depth, within_coating(grid) - 2)
    value = rng.uniform(16, 30) + 3 * patch_noise(rng, grid.shape, scale=12)
    turn = rng.uniform(0, 2 * np.pi)
    lit = np.clip((grid.t * np.sin(turn) / half[0] + grid.s * np.cos(turn) / half[1]) * 1.4, 0, 1)
    value += rng.uniform(30, 75) * lit * np.exp(-((depth - 4) ** 2) / 8)
    stamp = Stamp(cover(depth), paint(value, (0.90, 1.0, 1.16)), depth > -1)
    put_under(
        stamp, 0.55 * lit.astype(np.float32) * cover(depth + 3, edge=2), paint(np.full(depth.shape, 186), (1, 1, 1))
    )
    return stamp


ANODE_KINDS = (
    ObjectKind("ACP", 1.0, ANODE, SizeRange(27, 80, flat=(0.6, 1.0), most_across=74), draw_carbon),
    ObjectKind("AOP", 1.0, ANODE, SizeRange(19, 64, flat=(0.6, 1.0), most_across=60), draw_oxide),
    ObjectKind("AFP", 1.0, ANODE, SizeRange(28, 84, flat=(0.5, 0.95), most_across=70), draw_filled_pore),
    ObjectKind("AHS", 1.0, ANODE, SizeRange(28, 90, flat=(0.38, 0.8), most_across=60), draw_hollow),
)
