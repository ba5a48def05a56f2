"""The unrolled layer stack: one tileable image of all layers, which is bent into the windings."""

from __future__ import annotations

import cv2
import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.synthetic.coatings import anode_coating, cathode_coating
from microscope_qc.synthetic.fields import periodic_curve, tile_noise
from microscope_qc.synthetic.pool import built_once
from microscope_qc.synthetic.winding import LAYERS_PX, PERIOD_PX

STACK_LENGTH_PX = 5120
SHORT_STACK_LENGTH_PX = 1536
STACKS = 2
RESIN_TILE_PX = 512
ALUMINIUM_RGB = (232.0, 234.0, 236.0)
COPPER_RGB = (222.0, 176.0, 142.0)
SEPARATOR_RGB = (84.0, 75.0, 65.0)
RESIN_RGB = (50.0, 57.0, 66.0)


def resin_texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Embedding resin: dark bluish grey with faint clouds and speckle, float32 (height, width, 3)."""
    clouds = 2.2 * tile_noise(rng, shape, scale=(70, 70)) + 1.4 * tile_noise(rng, shape, scale=(5, 5))
    specks = 16 * np.clip(tile_noise(rng, shape, scale=(4, 4)) - 2.6, 0, 1)
    return np.asarray(RESIN_RGB, np.float32) + (clouds + specks)[..., None]


def separator_texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Porous polymer: dark brownish, fibrils along the layer, a slightly lighter middle ply."""
    value = 5.5 * tile_noise(rng, shape, scale=(2.4, 6)) + 3.5 * tile_noise(rng, shape, scale=(9, 40))
    value -= 10 * np.clip(tile_noise(rng, shape, scale=(3, 5)) - 1.5, 0, 1.5)
    across = np.abs(np.linspace(-1, 1, shape[0]))[:, None]
    value += np.where(across < 0.35, 7.0, 0.0) - 8 * np.clip((across - 0.86) * 7, 0, 1)
    return np.asarray(SEPARATOR_RGB, np.float32) + value[..., None] * np.array([1.0, 0.96, 0.9], np.float32)


def foil_texture(rng: np.random.Generator, shape: tuple[int, int], *, rgb: tuple[float, float, float]) -> np.ndarray:
    """Metal foil: nearly flat, rolling streaks, sparse intermetallic specks, dark edges."""
    value = 3.0 * tile_noise(rng, shape, scale=(2.5, 60)) + 1.8 * tile_noise(rng, shape, scale=(2, 2))
    value += 2.5 * tile_noise(rng, shape, scale=(30, 300))
    value -= 30 * np.clip(tile_noise(rng, shape, scale=(3, 4)) - 2.7, 0, 1)
    return np.asarray(rgb, np.float32) * (1 + value[..., None] / 235)


def stack_length(shape: tuple[int, int]) -> int:
    """Length of a slide's unrolled stack; shorter for small slides, so that less has to be painted."""
    return SHORT_STACK_LENGTH_PX if max(shape) <= SHORT_STACK_LENGTH_PX else STACK_LENGTH_PX


def _edges(rng: np.random.Generator, length: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Upper and lower border of each layer along the stack, slightly wavy, in pixels."""
    edges: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, (start, stop) in LAYERS_PX.items():
        slow = periodic_curve(rng, length, scale=500)
        if name.startswith("separator"):
            shift = 2.2 * slow
            edges[name] = (start + shift + 0.5, stop + shift + 0.4 * periodic_curve(rng, length, scale=90))
            continue
        bumpy = (1.5, 0.9) if name == "aluminium" else (0.7, 0.5)
        if name in ("aluminium", "copper"):
            low, high = (
                bumpy[0] * periodic_curve(rng, length, scale=24) + bumpy[1] * periodic_curve(rng, length, scale=9)
                for _ in range(2)
            )
            edges[name] = (start + 1.2 * slow + low, stop + 1.2 * slow + high)
        else:
            rough = [
                2.4 * periodic_curve(rng, length, scale=260) + 1.6 * periodic_curve(rng, length, scale=22)
                for _ in range(2)
            ]
            # The coating reaches under the foil, which is painted later, as if pressed into the particles.
            upper = rough[0] if name.endswith("_a") else np.full(length, -8.0, np.float32)
            lower = rough[1] if name.endswith("_b") else np.full(length, 8.0, np.float32)
            edges[name] = (start + upper, stop + lower)
    return edges


def _layer_picture(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> np.ndarray:
    if name.startswith("cathode"):
        return cathode_coating(rng, *shape)
    if name.startswith("anode"):
        return anode_coating(rng, *shape)
    if name.startswith("separator"):
        return separator_texture(rng, shape)
    return foil_texture(rng, shape, rgb=ALUMINIUM_RGB if name == "aluminium" else COPPER_RGB)


def _one_stack(rng: np.random.Generator, length: int) -> np.ndarray:
    """One repeat unit unrolled: uint8 (PERIOD_PX, length, 3), tileable along x."""
    picture = np.empty((PERIOD_PX, length, 3), np.float32)
    picture[:] = np.tile(resin_texture(rng, (PERIOD_PX, length // 4)), (1, 4, 1))
    edges = _edges(rng, length)
    margin = 10
    for name in sorted(LAYERS_PX, key=lambda layer: layer in ("aluminium", "copper")):
        start, stop = LAYERS_PX[name]
        low, high = max(start - margin, 0), min(stop + margin, PERIOD_PX)
        layer = _layer_picture(rng, name, (high - low, length))
        rows = np.arange(low, high, dtype=np.float32)[:, None]
        upper, lower = edges[name]
        inside = np.clip(np.minimum(rows - upper, lower - rows) + 0.5, 0, 1)[..., None]
        if name in ("aluminium", "copper"):
            rim = np.clip(1.5 - np.abs(np.minimum(rows - upper, lower - rows) + 0.6), 0, 1)[..., None]
            inside = inside * (1 - 0.45 * rim)
        view = picture[low:high]
        view += (layer - view) * inside
    wrapped = np.concatenate([picture[:, -4:], picture, picture[:, :4]], axis=1)
    smooth: Floats = np.clip(cv2.GaussianBlur(wrapped, (0, 0), 0.6)[:, 4:-4] + 0.5, 0, 255)
    return smooth.astype(np.uint8)


@built_once
def stack_atlas(variant: int, length: int) -> np.ndarray:
    """All unrolled stacks of one material variant, one below the other.

    Parameters
    ----------
    variant : int
        Chooses particles and textures.
    length : int
        Pixels along the layers after which the image repeats; a multiple of 4.

    Returns
    -------
    ndarray, uint8, (STACKS * PERIOD_PX, length, 3)
        RGB, tileable along x.
    """
    return np.concatenate(
        [_one_stack(np.random.default_rng([variant, 77, number]), length) for number in range(STACKS)]
    )


@built_once
def resin_tile(variant: int) -> np.ndarray:
    """A tile of embedding resin, float32 (RESIN_TILE_PX, RESIN_TILE_PX, 3)."""
    return resin_texture(np.random.default_rng([variant, 78]), (RESIN_TILE_PX, RESIN_TILE_PX))
