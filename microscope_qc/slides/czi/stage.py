"""Stage positions of a CZI's tiles, and the affine map from pixels to the stage that fits them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.slides.czi.directory import ABSENT, SubBlocks, tile_metadata

SAMPLED_TILES = 64
SAMPLED_IN_ALL = 1024
FEWEST_TILES = 4
# with fewer tiles an outlier cannot be recognised
FEWEST_TO_REJECT = 6
TRIALS = 300


def tile_positions(path: Path, blocks: SubBlocks) -> dict[int | None, list[dict[str, Any]]]:
    """Stage positions of some tiles of the first plane of every scene.

    Returns
    -------
    dict
        By scene (None in a file without scenes) a list of ``{"center_px": [y, x], "center_um": [x, y]}``: the tile's
        centre in the file's own pixel coordinates (pixel i covers i to i + 1) and on the stage.
    """
    chosen = np.flatnonzero(blocks.full & blocks.first_plane)
    scenes = blocks.at("S")[chosen]
    numbers = np.unique(scenes)
    share = max(FEWEST_TO_REJECT, min(SAMPLED_TILES, SAMPLED_IN_ALL // max(1, len(numbers))))
    found: dict[int | None, list[dict[str, Any]]] = {}
    with path.open("rb") as file:
        for scene in numbers[: SAMPLED_IN_ALL // FEWEST_TO_REJECT]:
            members = chosen[scenes == scene]
            spread = members[np.unique(np.linspace(0, len(members) - 1, share).round().astype(int))]
            tiles = []
            for number in spread:
                place = _stage_position(tile_metadata(file, int(blocks.position[number])))
                if place is not None:
                    y = float(blocks.y[number]) + float(blocks.height[number]) / 2
                    x = float(blocks.x[number]) + float(blocks.width[number]) / 2
                    tiles.append({"center_px": [y, x], "center_um": list(place)})
            if tiles:
                found[None if scene == ABSENT else int(scene)] = tiles
    return found


def fit_stage(tiles: list[dict[str, Any]], *, origin_px: tuple[int, int], tile_px: float) -> dict[str, Any]:
    """The affine map from pixels to the stage that fits the tiles best, without outliers.

    Least squares over the inliers. Those are found by a fixed number of fits through three tiles each; the fit with
    the smallest median error is used (Rousseeuw 1984, least median of squares).

    Parameters
    ----------
    tiles
        As :func:`tile_positions` gives them.
    origin_px
        (y, x) of the mosaic's first pixel in the file's coordinates.
    tile_px
        Side of a tile: tiles that deviate from a line by less than a tenth of it do not determine the map.

    Returns
    -------
    dict
        ``affine`` [[a, b, tx], [c, d, ty]] gives stage (x, y) in um from (x, y) in full-resolution pixels of the
        mosaic (the first pixel covers 0 to 1); ``residual_um`` is the root mean square distance of the ``tiles_used``
        tiles. ``affine`` and ``residual_um`` are None where the tiles do not determine them.
    """
    refused = {"affine": None, "residual_um": None, "tiles_used": 0}
    if len(tiles) < FEWEST_TILES:
        return refused
    pixels = np.array([tile["center_px"][::-1] for tile in tiles], float) - np.array(origin_px[::-1], float)
    stage = np.array([tile["center_um"] for tile in tiles], float)
    used = _agreeing(pixels, stage, tile_px) if len(tiles) >= FEWEST_TO_REJECT else np.ones(len(tiles), bool)
    if used.sum() < max(FEWEST_TILES, math.ceil(len(tiles) / 2)) or not _spread_out(pixels[used], tile_px):
        return refused
    affine = _solve(pixels[used], stage[used])
    errors = _errors(affine, pixels[used], stage[used])
    if not np.isfinite(affine).all():
        return refused
    return {
        "affine": [[float(value) for value in row] for row in affine],
        "residual_um": float(np.sqrt((errors**2).mean())),
        "tiles_used": int(used.sum()),
    }


def _agreeing(pixels: np.ndarray, stage: np.ndarray, tile_px: float) -> np.ndarray:
    dice = np.random.default_rng(0)
    best, least = np.ones(len(pixels), bool), math.inf
    for _ in range(TRIALS):
        three = dice.choice(len(pixels), 3, replace=False)
        if not _spread_out(pixels[three], tile_px):
            continue
        errors = _errors(_solve(pixels[three], stage[three]), pixels, stage)
        median = float(np.median(errors))
        if median < least:
            # 1.4826 turns it into a standard deviation; stitching moves tiles by half a pixel anyway
            floor = 0.5 * _scale(pixels, stage)
            best, least = errors <= max(3 * 1.4826 * median, floor), median
    return best


def _scale(pixels: np.ndarray, stage: np.ndarray) -> float:
    """Micrometres per pixel, from the median distances (up to half of the tiles may be wrong)."""
    steps = np.linalg.norm(np.diff(pixels, axis=0), axis=1)
    moved = np.linalg.norm(np.diff(stage, axis=0), axis=1)
    return float(np.median(moved[steps > 0] / steps[steps > 0])) if (steps > 0).any() else 0.0


def _spread_out(pixels: np.ndarray, tile_px: float) -> bool:
    spread = np.linalg.svd(pixels - pixels.mean(axis=0), compute_uv=False) / math.sqrt(len(pixels))
    return bool(spread[-1] >= 0.1 * tile_px and spread[-1] >= 1e-3 * spread[0])


def _solve(pixels: Floats, stage: Floats) -> Floats:
    # centred, so that coordinates of millions of pixels do not cost precision
    middle = pixels.mean(axis=0)
    ones = np.ones((len(pixels), 1))
    solution: Floats = np.linalg.lstsq(np.hstack([pixels - middle, ones]), stage, rcond=None)[0].T
    solution[:, 2] -= solution[:, :2] @ middle
    return solution


def _errors(affine: Floats, pixels: Floats, stage: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(pixels @ affine[:, :2].T + affine[:, 2] - stage, axis=1)
    return lengths


def _stage_position(xml: bytes) -> tuple[float, float] | None:
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    text = xml.rstrip(b"\0").strip()
    if not text:
        return None
    try:
        root = ElementTree.fromstring(text)
        x, y = (float(root.findtext(f"Tags/Stage{axis}Position") or "nan") for axis in "XY")
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None
