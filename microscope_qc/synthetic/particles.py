"""Synthetic polished section of round particles in resin, with cracked particles as defects."""

from __future__ import annotations

import math

import numpy as np

from microscope_qc.synthetic.coatings import edge_depth, grain_texture, pack_spheres, paint_spheres
from microscope_qc.synthetic.fields import patch_noise, tile_noise
from microscope_qc.synthetic.flat import FlatSlide
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.pool import built_once
from microscope_qc.synthetic.shapes import (
    PixelGrid,
    Stamp,
    blob,
    cover,
    lay_over,
    paint,
    path_distance,
    put_under,
    wander,
)

TILE_PX = 3072
_GREY = (1.0, 1.0, 1.0)


@built_once
def particle_texture(variant: int) -> np.ndarray:
    """Whole particles in dark resin: uint8 (tile, tile, 3), grey."""
    rng = np.random.default_rng([variant, 92])
    shape = (TILE_PX, TILE_PX)
    spheres = pack_spheres(rng, *shape, scale=2.4, wrap_rows=True)
    kept = spheres[rng.random(len(spheres)) < 0.8]
    labels = paint_spheres(rng, kept, shape, wrap_rows=True)
    wide = np.pad(labels, ((64, 64), (0, 0)), mode="wrap")
    depth = edge_depth(wide)[64:-64]
    tone = np.r_[0, rng.normal(176, 7, len(kept))].astype(np.float32)
    grain = grain_texture(rng, shape)
    solid = tone[labels] + 7 * grain + 4 * np.minimum(depth / 8, 1) - 55 * np.exp(-depth / 1.2)
    resin = 56 + 3 * tile_noise(rng, shape, scale=(3, 3)) + 5 * tile_noise(rng, shape, scale=(60, 60))
    value = np.where(labels > 0, solid, resin)
    return np.repeat(np.clip(value + 0.5, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def draw_whole(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A large intact particle."""
    depth = blob(rng, grid.t, grid.s, half=half, lobes=0.03)
    grain = 0.55 * patch_noise(rng, grid.shape, scale=2.6) + 0.45 * patch_noise(rng, grid.shape, scale=5)
    value = rng.normal(176, 6) + 7 * grain - 55 * np.exp(-np.maximum(depth, 0) / 1.2)
    value -= 60 * np.clip(2 * (patch_noise(rng, grid.shape, scale=4) - 2.0), 0, 1)
    stamp = Stamp(cover(depth), paint(value, _GREY), depth > -1)
    put_under(stamp, cover(depth + 3), paint(np.full(grid.shape, 56.0), _GREY))
    return stamp


def draw_cracked(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A particle broken by cycling: wide, jagged cracks from the centre to the surface."""
    stamp = draw_whole(rng, grid, half)
    inside = stamp.visible.astype(np.float32)
    middle = rng.uniform(-0.2, 0.2, 2) * half[0]
    first = rng.uniform(0, 2 * math.pi)
    count = int(rng.integers(2, 6))
    for number in range(count):
        turn = first + 2 * math.pi * number / count + rng.uniform(-0.5, 0.5)
        tip = np.array([math.sin(turn), math.cos(turn)]) * half[0] * 1.1
        distance, along = path_distance(grid.t, grid.s, wander(rng, middle, tip, bend=0.12, steps=8))
        width = rng.uniform(1.4, 2.6) * (0.7 + 0.7 * along) + 0.5 * patch_noise(rng, grid.shape, scale=7)
        lay_over(stamp, 0.95 * cover(width - distance) * inside, paint(np.full(grid.shape, 42.0), _GREY))
    return stamp


class ParticleSlide(FlatSlide):
    """Polished section of round particles at 0.3 um per pixel, grey; parameters as for `ElectrodeSlide`.

    Class: CRK cracked particle.
    """

    codes = ("CRK",)
    kinds = (ObjectKind("CRK", 1.0, (), SizeRange(30, 70), draw_cracked),)
    lookalikes = (ObjectKind("", 5.0, (), SizeRange(30, 66), draw_whole),)

    def texture(self) -> np.ndarray:
        """Intact particles."""
        return particle_texture(self.seed)
