"""Defects of the NMC coating: fluoride agglomerates, round particles, oxide particles."""

from __future__ import annotations

import math

import numpy as np

from microscope_qc.synthetic.anode_defects import dark_rim, internal_cracks
from microscope_qc.synthetic.fields import patch_noise
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.shapes import PixelGrid, Stamp, blob, cover, facets, lay_over, paint, shard, within_coating
from microscope_qc.synthetic.winding import LAYERS_PX

CATHODE = tuple((*LAYERS_PX[name], 0) for name in ("cathode_a", "cathode_b"))


def draw_fluoride(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """Binder rich in fluoride: smooth, dark grey, flowing between the spheres, with a few of them enclosed."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-0.4, 0.4), lobes=0.26, orders=9)
    depth = np.minimum(depth + 2.5 * patch_noise(rng, grid.shape, scale=16), within_coating(grid) - 1)
    value = rng.uniform(96, 112) + 3.2 * patch_noise(rng, grid.shape, scale=22)
    value += 2.2 * patch_noise(rng, grid.shape, scale=3)
    value -= 16 * np.exp(-np.maximum(depth, 0) / 2.5)
    stamp = Stamp(cover(depth, edge=2.0), paint(value, (1.04, 1.0, 0.93)), depth > -1)
    for _ in range(int(rng.integers(0, 5))):
        turn, reach, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.75), rng.uniform(5, 11)
        t, s = grid.t - half[0] * reach * math.sin(turn), grid.s - half[1] * reach * math.cos(turn)
        inner = blob(rng, t, s, half=(radius, radius), lobes=0.05)
        tone = 168 + 8 * patch_noise(rng, grid.shape, scale=3) - 50 * np.exp(-np.maximum(inner, 0) / 1.2)
        lay_over(stamp, cover(inner) * (depth > 2), paint(tone, (1.0, 1.0, 1.005)))
    return stamp


def draw_round(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """An oversized, dense, very round particle: brighter than NMC, rings or a hollow core, a gap around it."""
    depth = blob(rng, grid.t, grid.s, half=half, lobes=0.012, orders=5)
    value = rng.uniform(190, 216) + 3.2 * patch_noise(rng, grid.shape, scale=3)
    value += 3 * patch_noise(rng, grid.shape, scale=12)
    style = rng.random()
    if style < 0.5:
        value += rng.uniform(4, 9) * np.sin(depth / half[0] * rng.uniform(14, 26) + rng.uniform(0, 6))
    elif style < 0.75:
        core = 1 - depth / half[0] + 0.05 * patch_noise(rng, grid.shape, scale=8)
        value -= 130 * np.clip((rng.uniform(0.2, 0.4) - core) * half[0] / 3, 0, 1)
    value -= 30 * np.exp(-np.maximum(depth, 0) / 1.6)
    stamp = Stamp(cover(depth), paint(value, (1.0, 1.0, 0.985)), depth > -2)
    if style > 0.8:
        cracks = internal_cracks(rng, grid, reach=half[0], count=2)
        lay_over(stamp, 0.75 * cracks * stamp.alpha, paint(np.full(depth.shape, 80), (1, 1, 1.05)))
    dark_rim(stamp, depth, width=rng.uniform(2.5, 4.5), value=46)
    return stamp


def draw_oxide(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """An angular fragment, bluish grey and darker than NMC, facets in different greys, cracks, sharp border."""
    depth = shard(rng, grid.t, grid.s, half=half, angle=rng.uniform(-0.6, 0.6), corners=int(rng.integers(5, 8)))
    index = facets(rng, grid.t, grid.s, reach=max(half), count=int(rng.integers(2, 6)))
    value = (rng.uniform(122, 140) + rng.normal(0, 7, 8)[index]).astype(np.float32)
    value += 2.5 * patch_noise(rng, grid.shape, scale=4) + 4 * patch_noise(rng, grid.shape, scale=20)
    value += 24 * np.exp(-((depth - 3) ** 2) / 5)
    stamp = Stamp(cover(depth), paint(value, (0.955, 1.0, 1.06)), depth > -1.5)
    cracks = internal_cracks(rng, grid, reach=max(half), count=int(rng.integers(1, 5)))
    lay_over(stamp, 0.8 * cracks * stamp.alpha, paint(np.full(depth.shape, 60), (0.97, 1, 1.06)))
    dark_rim(stamp, depth, width=rng.uniform(1.5, 3), value=48)
    return stamp


CATHODE_KINDS = (
    ObjectKind("CFA", 1.0, CATHODE, SizeRange(28, 84, flat=(0.5, 1.0), most_across=66), draw_fluoride),
    ObjectKind("CRP", 1.0, CATHODE, SizeRange(27, 66), draw_round),
    ObjectKind("COP", 1.0, CATHODE, SizeRange(20, 66, flat=(0.6, 1.0), most_across=60), draw_oxide),
)
