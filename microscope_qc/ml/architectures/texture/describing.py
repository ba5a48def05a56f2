"""Numbers that describe the texture of a grey picture. No torch in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microscope_qc.core.arrays import Floats

_ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_POINTS_PER_PX = 8
PER_DISTANCE = 2 * len(_PROPERTIES)
"""Numbers that :func:`cooccurrence` gives for each distance."""


def cooccurrence(grey: np.ndarray, *, levels: int, distances: Sequence[int]) -> Floats:
    """How grey levels occur beside each other: mean and spread over four directions of five properties.

    R. M. Haralick, K. Shanmugam and I. Dinstein, "Textural Features for Image Classification", IEEE Transactions on
    Systems, Man, and Cybernetics 3, 1973.

    Parameters
    ----------
    grey : ndarray, uint8 (h, w)
    levels
        Grey levels that are told apart, at most 256.

    Returns
    -------
    ndarray, (PER_DISTANCE * distances,)
    """
    from skimage.feature import graycomatrix, graycoprops

    coarse = (grey.astype(np.int64) * levels // 256).astype(np.uint8)
    pairs = graycomatrix(coarse, list(distances), _ANGLES, levels=levels, symmetric=True, normed=True)
    of = np.stack([graycoprops(pairs, name) for name in _PROPERTIES])  # (properties, distances, angles)
    found: Floats = np.concatenate([of.mean(axis=2).ravel(), of.std(axis=2).ravel()])
    return found


def binary_patterns(grey: np.ndarray, *, radii: Sequence[int]) -> Floats:
    """How often each uniform pattern of lighter and darker neighbours occurs, on circles of several radii.

    T. Ojala, M. Pietikäinen and T. Mäenpää, "Multiresolution Gray-Scale and Rotation Invariant Texture Classification
    with Local Binary Patterns", IEEE Transactions on Pattern Analysis and Machine Intelligence 24, 2002.

    Parameters
    ----------
    grey : ndarray, uint8 (h, w)

    Returns
    -------
    ndarray, (8 * radius + 2 for each radius,)
        Shares that add up to 1 for each radius.
    """
    from skimage.feature import local_binary_pattern

    parts = []
    for radius in radii:
        points = _POINTS_PER_PX * radius
        patterns = local_binary_pattern(grey, points, radius, method="uniform").astype(np.int64)
        parts.append(np.bincount(patterns.ravel(), minlength=points + 2) / patterns.size)
    found: Floats = np.concatenate(parts)
    return found
