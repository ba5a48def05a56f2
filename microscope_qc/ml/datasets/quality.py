"""Pictures that are out of focus or mostly saturated, beside the others of their set.

Out of focus, the finest details are lost first. Details of one to two pixels over those of two to four (differences of
Gaussians; Burt and Adelson 1983) do not depend on brightness and contrast, and after a blur their ratio cannot exceed a
certain value, whatever was seen. The noise of the camera, which a lens does not blur, is subtracted from both: it is
what the calmest quarter of a picture has of details below one pixel. What all pictures of a set have in common is no
fault: surfaces may be smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import things
from microscope_qc.ml.datasets.records import BLURRED, SATURATED
from microscope_qc.slides import Mosaic

LARGEST_PX = 16_000_000
"""Larger pictures are slides: they are judged place by place."""
BLURRED_BELOW = -1.0
"""Logarithm (base 2) of the finer details over the coarser. After a blur of 3 px (Gaussian) white noise has -0.985, and
what has fewer fine details to begin with has less."""
BELOW_OTHERS = 0.6
"""So much must be missing to the sharper half of the others."""
_SHARP_QUANTILE = 0.75
_LEAST_OTHERS = 8
"""Places of one pixel size, on pictures or slides, from which on they can be compared."""
_LEAST_DETAIL = 0.25
"""Standard deviation in grey values below which there is nothing that could be sharp."""
_ALL, _MANY = 0.9, 0.25
"""Of the places of a slide."""
_SATURATED_SHARE, _USUAL_SHARE = 0.6, 0.1
_WINDOW_PX, _LEAST_PX, _EDGE_PX, _BLOCK_PX = 256, 32, 6, 16
_CALM = 25
"""Percentile of the variance of the finest details over blocks."""
_NOISE = (0.047, 0.0115)
"""Variance of white noise in the two kinds of details, over that in the details below one pixel."""
_WINDOWS, _WINDOWS_OF_SLIDE = 3, 4
"""Along each side."""
_SIZES_ALIKE = 1.25


@dataclass(frozen=True, slots=True)
class Look:
    """What a picture shows.

    Attributes
    ----------
    details
        Logarithm of the finer details over the coarser (n,): of every place of a slide, one of a smaller picture; NaN
        where there is nothing to see.
    saturated
        Share of the pixels that are black or white, as far as the file can tell.
    pixel_um
        Side of a pixel; None where it is not known.
    """

    details: np.ndarray
    saturated: float
    pixel_um: float | None = None


@dataclass(frozen=True, slots=True)
class Usability:
    """Why a picture should not be learned from, and what else is to be known of it; "" for nothing."""

    bad: str = ""
    odd: str = ""


def look_at(mosaic: Mosaic, pixel_size_um: tuple[float, float] | None) -> Look:
    """Look at a few places of a picture in full resolution.

    Raises
    ------
    SlideError
        When they cannot be read.
    """
    height, width = mosaic.shape[:2]
    is_slide = height * width > LARGEST_PX
    regions = _places(height, width, _WINDOWS_OF_SLIDE if is_slide else _WINDOWS)
    energies, ends = [], []
    for region in regions:
        pixels = mosaic.read_rgb8(region)
        ends.append(float(((pixels >= 254).all(-1) | (pixels <= 1).all(-1)).mean()))
        energies.append(_energies(pixels.mean(-1, dtype=np.float32)))
    known = np.array(energies)
    details = _details(known if is_slide else known.mean(0, keepdims=True))
    return Look(details, float(np.mean(ends)), None if pixel_size_um is None else math.sqrt(math.prod(pixel_size_um)))


def judge(looks: Sequence[Look]) -> list[Usability]:
    """Compare pictures with the others of the same pixel size."""
    groups: dict[int | None, list[int]] = {}
    for number, look in enumerate(looks):
        size = None if look.pixel_um is None else round(math.log(look.pixel_um, _SIZES_ALIKE))
        groups.setdefault(size, []).append(number)
    verdicts = [Usability()] * len(looks)
    for numbers in groups.values():
        for number, verdict in zip(numbers, _judge_alike([looks[n] for n in numbers]), strict=True):
            verdicts[number] = verdict
    return verdicts


def _judge_alike(looks: list[Look]) -> list[Usability]:
    details = np.concatenate([look.details for look in looks])
    details = details[np.isfinite(details)]
    limit = -math.inf
    if len(details) >= _LEAST_OTHERS:
        limit = min(BLURRED_BELOW, float(np.quantile(details, _SHARP_QUANTILE)) - BELOW_OTHERS)
    usual = float(np.median([look.saturated for look in looks])) if len(looks) >= _LEAST_OTHERS else 1.0
    return [
        Usability(SATURATED) if look.saturated >= _SATURATED_SHARE and usual <= _USUAL_SHARE else _focus(look, limit)
        for look in looks
    ]


def _focus(look: Look, limit: float) -> Usability:
    details = look.details[np.isfinite(look.details)]
    blurred = int((details < limit).sum())
    if not blurred:
        return Usability()
    if blurred >= _ALL * len(details):
        return Usability(BLURRED)
    where = f"{blurred} of {things(len(details), 'place')} that were looked at"
    return Usability(odd=f"{BLURRED} at {where}") if blurred >= _MANY * len(details) else Usability()


def _places(height: int, width: int, along: int) -> list[Region]:
    """Windows in even distances, fewer where they would overlap."""
    rows, columns = (_spread(side, along) for side in (height, width))
    return [Region(top, left, bottom, right) for top, bottom in rows for left, right in columns]


def _spread(side: int, along: int) -> list[tuple[int, int]]:
    count, window = max(1, min(along, side // _WINDOW_PX)), min(_WINDOW_PX, side)
    middles = (np.arange(count) + 0.5) * side / count
    return [(int(middle - window / 2), int(middle - window / 2) + window) for middle in middles]


def _energies(grey: np.ndarray) -> tuple[float, float]:
    """Variance of details of one to two pixels, and of two to four, without that of the noise."""
    import cv2

    if min(grey.shape) < _LEAST_PX:
        return 0.0, 0.0
    layers = [grey, *(cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2, 4))]
    finest, *bands = ((one - other)[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX] for one, other in pairwise(layers))
    noise = _calm_variance(finest)
    fine, coarse = (max(0.0, float(band.var()) - share * noise) for band, share in zip(bands, _NOISE, strict=True))
    return fine, coarse


def _calm_variance(band: np.ndarray) -> float:
    rows, columns = (side // _BLOCK_PX for side in band.shape)
    blocks = band[: rows * _BLOCK_PX, : columns * _BLOCK_PX].reshape(rows, _BLOCK_PX, columns, _BLOCK_PX)
    return float(np.percentile(blocks.var(axis=(1, 3)), _CALM))


def _details(energies: np.ndarray) -> np.ndarray:
    fine, coarse = energies.T
    details: np.ndarray = np.full(len(energies), np.nan)
    seen = coarse >= _LEAST_DETAIL**2
    details[seen] = np.log2(np.maximum(fine[seen], 1e-3) / coarse[seen]) / 2
    return details
