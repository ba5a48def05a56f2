"""Colours of scores: one scale for the layer over the slide and for its legend."""

from __future__ import annotations

from functools import cache

import numpy as np

STEPS = 256
TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Possible upper ends of a scale: the first one that no score exceeds is used."""


@cache
def scale_colours() -> np.ndarray:
    """The colours from the lowest to the highest score, (256, 4) uint8.

    Viridis is perceptually uniform, also for colour-blind users and in grey.
    """
    from vispy.color import get_colormap

    colours = get_colormap("viridis").map(np.linspace(0, 1, STEPS))
    found = np.round(255 * np.asarray(colours)).astype(np.uint8)
    found.flags.writeable = False
    return found


def scale_top(scores: np.ndarray) -> float:
    """Upper end of the scale for these scores; NaN are places that were not scanned."""
    highest = float(np.fmax.reduce(scores, axis=None, initial=0.0))
    return next((top for top in TOPS if highest <= 1.001 * top), highest)  # they are kept in half precision


def coloured(scores: np.ndarray, *, top: float) -> np.ndarray:
    """Pixels (rows, columns, 4) uint8 of scores from 0 to ``top``; clear where they are NaN."""
    # one uint32 for each colour, and one more for "not scanned": np.take on them releases the interpreter's lock
    colours = np.append(np.ascontiguousarray(scale_colours()).view(np.uint32)[:, 0], np.uint32(0))
    place = np.clip(scores * np.float32((STEPS - 1) / top) + np.float32(0.5), 0, STEPS - 1)
    place = np.where(np.isnan(scores), np.float32(STEPS), place).astype(np.int64)
    return np.take(colours, place).view(np.uint8).reshape(*scores.shape, 4)
