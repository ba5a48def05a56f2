"""Synthetic polished section of a sintered NdFeB magnet with oxides, pores and fluorides."""

from __future__ import annotations

import math

import cv2
import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.synthetic.fields import patch_noise, tile_noise
from microscope_qc.synthetic.flat import FlatSlide
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.pool import built_once
from microscope_qc.synthetic.shapes import PixelGrid, Stamp, blob, cover, lay_over, paint, put_under, shard

TILE_PX = 3072
_PAD_PX = 64


def _grain_labels(rng: np.random.Generator, size: int, grain_px: float) -> np.ndarray:
    """Tileable polygonal grains: nearest of random seeds, int32 (size, size)."""
    count = int((size / grain_px) ** 2)
    seeds = np.full((size, size), 255, np.uint8)
    places = rng.permutation(size * size)[:count]
    seeds.flat[places] = 0
    wrapped = np.pad(seeds, _PAD_PX, mode="wrap")
    _, labels = cv2.distanceTransformWithLabels(wrapped, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # A seed that occurs twice because of the padding has two labels: label every grain by its seed's place instead.
    ys, xs = np.nonzero(wrapped == 0)
    name = np.zeros(int(labels.max()) + 1, np.int64)
    name[labels[ys, xs]] = ((ys - _PAD_PX) % size) * size + (xs - _PAD_PX) % size
    order = np.zeros(size * size, np.int32)
    order[places] = np.arange(count)
    owners: Ints = name[labels[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX]]
    return order[owners]


@built_once
def magnet_texture(variant: int) -> np.ndarray:
    """Normal structure: light grains, thin Nd-rich boundaries, triple points, small pores; uint8 (tile, tile, 3)."""
    rng = np.random.default_rng([variant, 91])
    shape = (TILE_PX, TILE_PX)
    labels = _grain_labels(rng, TILE_PX, rng.uniform(19, 27))
    border = np.zeros(shape, np.uint8)
    for axis in (0, 1):
        border |= labels != np.roll(labels, 1, axis=axis)
    padded = np.pad(border, _PAD_PX, mode="wrap")
    depth = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 3)[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX]
    crowd = cv2.blur(padded.astype(np.float32), (9, 9))[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX]
    tone = rng.normal(186, 4.5, int(labels.max()) + 1).astype(np.float32)
    value = tone[labels] + 1.6 * tile_noise(rng, shape, scale=(3, 3))
    width = 0.5 + 0.5 * np.clip(tile_noise(rng, shape, scale=(40, 40)), -0.6, 2)
    value -= 62 * np.clip(1.3 + width - depth, 0, 1) * (0.55 + 0.25 * tile_noise(rng, shape, scale=(12, 12)))
    pockets = np.clip((crowd + 0.05 * tile_noise(rng, shape, scale=(7, 7)) - 0.40) * 9, 0, 1)
    value += (112 - value) * pockets
    spots = tile_noise(rng, shape, scale=(8, 8))
    value += (104 - value) * np.clip((spots - 2.75) * 5, 0, 1)
    pores = tile_noise(rng, shape, scale=(6, 6))
    value += (34 - value) * np.clip((pores - 2.9) * 5, 0, 1)
    rgb: Floats = value[..., None] * np.array([1.01, 1.0, 0.975], np.float32)
    clipped: Floats = np.clip(rgb + 0.5, 0, 255)
    return clipped.astype(np.uint8)


def draw_large_oxide(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """One large oxide: angular to rounded, dark bluish grey, mottled inside, with a sharp border."""
    if rng.random() < 0.5:
        depth = shard(rng, grid.t, grid.s, half=half, angle=rng.uniform(-1, 1), corners=int(rng.integers(5, 9)))
    else:
        depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-1, 1), lobes=0.10)
    value = (
        rng.uniform(88, 108) + 5 * patch_noise(rng, grid.shape, scale=4) + 5 * patch_noise(rng, grid.shape, scale=15)
    )
    value -= 22 * np.exp(-np.maximum(depth, 0) / 1.5)
    return Stamp(cover(depth), paint(value, (0.95, 1.0, 1.06)), depth > -1)


def draw_oxide_accumulation(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """Many small oxides close together."""
    depth = np.full(grid.shape, -np.inf, np.float32)
    for number in range(int(rng.integers(14, 30))):
        turn = rng.uniform(0, 2 * math.pi)
        reach = math.sqrt(rng.random()) * 0.88 if number > 5 else 0.85
        t, s = grid.t - half[0] * reach * math.sin(turn), grid.s - half[1] * reach * math.cos(turn)
        radius = rng.uniform(5, 10)
        depth = np.maximum(depth, blob(rng, t, s, half=(radius, radius * rng.uniform(1, 1.5)), lobes=0.12))
    value = rng.uniform(92, 108) + 6 * patch_noise(rng, grid.shape, scale=6) - 18 * np.exp(-np.maximum(depth, 0) / 1.4)
    return Stamp(cover(depth), paint(value, (0.96, 1.0, 1.05)), depth > -1)


def draw_large_pore(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A large pore: nearly black, irregular, with a bright edge on one side."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-1.5, 1.5), lobes=0.16, orders=9)
    turn = rng.uniform(0, 2 * math.pi)
    lit = np.clip(grid.t * math.sin(turn) / half[0] + grid.s * math.cos(turn) / half[1], 0, 1)
    value = rng.uniform(22, 34) + 4 * patch_noise(rng, grid.shape, scale=9) + 60 * lit * np.exp(-((depth - 3) ** 2) / 6)
    return Stamp(cover(depth), paint(value, (0.96, 1.0, 1.05)), depth > -1)


def draw_fluoride(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A fluoride inclusion: smooth, violet grey between oxide and grain, lobed, with a bright seam."""
    depth = blob(rng, grid.t, grid.s, half=half, angle=rng.uniform(-1.5, 1.5), lobes=0.18)
    value = rng.uniform(128, 144) + 2.5 * patch_noise(rng, grid.shape, scale=14)
    stamp = Stamp(cover(depth), paint(value, (1.02, 0.94, 1.10)), depth > -1)
    inner = blob(rng, grid.t, grid.s, half=(half[0] * 0.3, half[1] * 0.3), lobes=0.3)
    lay_over(stamp, 0.7 * cover(inner), paint(value - 34, (1.0, 0.96, 1.08)))
    put_under(stamp, 0.8 * cover(depth + 2), paint(np.full(grid.shape, 214.0), (1.01, 1, 0.98)))
    return stamp


class MagnetSlide(FlatSlide):
    """Polished section of a sintered NdFeB magnet at 0.3 um per pixel; parameters as for `ElectrodeSlide`.

    Classes: LOX large oxide, OXA oxide accumulation, LPO large pore, FLU fluoride.
    """

    codes = ("LOX", "OXA", "LPO", "FLU")
    kinds = (
        ObjectKind("LOX", 1.0, (), SizeRange(26, 80, flat=(0.55, 1.0)), draw_large_oxide),
        ObjectKind("OXA", 1.0, (), SizeRange(50, 110, flat=(0.5, 1.0), most_across=110), draw_oxide_accumulation),
        ObjectKind("LPO", 1.0, (), SizeRange(24, 80, flat=(0.5, 1.0)), draw_large_pore),
        ObjectKind("FLU", 1.0, (), SizeRange(26, 76, flat=(0.45, 0.9)), draw_fluoride),
    )
    lookalikes = (
        ObjectKind("", 4.0, (), SizeRange(6, 12, flat=(0.7, 1.0)), draw_large_oxide),
        ObjectKind("", 3.0, (), SizeRange(5, 11, flat=(0.6, 1.0)), draw_large_pore),
    )

    def texture(self) -> np.ndarray:
        """The normal structure."""
        return magnet_texture(self.seed)
