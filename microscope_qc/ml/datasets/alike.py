"""Pictures of the same thing: exposures of one place stay together in one part."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from microscope_qc.ml.datasets.records import AnnotatedImage

_CELLS = 16
_ALIKE_BITS = 20
"""Of 256 bits. Of 951 magnetic tiles, photographed at six exposures each, 79 % are then in a group with the exposure
they resemble most, and no group grows beyond a few tiles."""
_FINER = 16
"""A picture is looked at in so many pixels along the side of a cell."""
OVERVIEW_PX = _CELLS * _FINER, (_CELLS + 1) * _FINER


def print_of(pixels: np.ndarray) -> np.ndarray:
    """256 bits (32 bytes) of an overview (h, w, 3): which of two neighbouring cells is the brighter one.

    That does not depend on the exposure (difference hash, Krawetz 2013).
    """
    cells = cv2.resize(pixels, (_CELLS + 1, _CELLS), interpolation=cv2.INTER_AREA)
    grey = cells.astype(np.int32).sum(2)
    return np.packbits(grey[:, 1:] > grey[:, :-1])


def grouped(images: list[AnnotatedImage], prints: list[np.ndarray | None]) -> list[AnnotatedImage]:
    """Put pictures whose prints resemble each other into one group; what a user has put into one stays there."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    known = [number for number, found in enumerate(prints) if found is not None]
    if len(known) < 2:
        return images
    table = np.stack([found for found in prints if found is not None])
    one, other = [], []
    for place, row in enumerate(table):
        near = np.flatnonzero(np.bitwise_count(table[place:] ^ row).sum(1) <= _ALIKE_BITS) + place
        one += [place] * len(near)
        other += near.tolist()
    links = coo_matrix((np.ones(len(one)), (one, other)), shape=(len(table), len(table)))
    _, labels = connected_components(links, directed=False)
    result = list(images)
    names: dict[int, str] = {}
    for number, label in zip(known, labels.tolist(), strict=True):
        if not images[number].group:
            result[number] = replace(images[number], group=names.setdefault(label, images[number].key))
    return result
