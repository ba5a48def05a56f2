"""Colours of scores: one scale for the layer over the slide and for its legend."""

from __future__ import annotations

from functools import cache

import numpy as np

STEPS = 256
TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Where a scale may end: the first of them that no score exceeds."""


@cache
def scale_colours() -> np.ndarray:
    """The colours from the lowest to the highest score, (256, 4) uint8.

    Viridis: steps that are equal in number look equal, also to colour-blind eyes and in grey.
    """
    from vispy.color import get_colormap

    colours = get_colormap("viridis").map(np.linspace(0, 1, STEPS))
    found = np.round(255 * np.asarray(colours)).astype(np.uint8)
    found.flags.writeable = False
    return found


def scale_top(scores: np.ndarray) -> float:
    """Where the scale of these scores ends; NaN are places nobody looked at."""
    highest = float(np.fmax.reduce(scores, axis=None, initial=0.0))
    return next((top for top in TOPS if highest <= 1.001 * top), highest)  # they are kept in half precision


def coloured(scores: np.ndarray, *, top: float) -> np.ndarray:
    """Pixels (rows, columns, 4) uint8 of scores from 0 to ``top``; clear where they are NaN."""
    looked = ~np.isnan(scores)
    place = np.clip(np.where(looked, scores, 0) * ((STEPS - 1) / top) + 0.5, 0, STEPS - 1).astype(np.uint8)
    pixels = scale_colours()[place]
    pixels[~looked] = 0
    return pixels
