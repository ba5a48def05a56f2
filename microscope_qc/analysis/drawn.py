"""Which of the judged findings are a random sample of those that could have been judged.

A random sample goes through the findings of a class and band of confidence in an order of chance that depends on their
numbers alone (:func:`~microscope_qc.analysis.sampling.sample_order`). So what is a sample can be told afterwards: all
that lie before the last finding that was judged at random, with those among them that were judged for another reason,
up to the first one that was passed over.

The last one is never one that was judged for another reason: where there are such, it would make the others too rare in
the sample, and is left out (J. B. S. Haldane, "On a method of estimating frequencies", Biometrika 33 (1945) 222).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints

BANDS = 5
"""Findings of a model are told apart by confidence in so many equal bands."""
NOT_REACHED, REACHED, DRAWN = range(3)
"""Not among the findings of which a sample was drawn; among them, but not drawn; drawn."""


def chance(ids: Ints) -> np.ndarray:
    """Numbers that look random, one for each finding (splitmix64, Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def band_of(confidence: Floats) -> Ints:
    """Band of each confidence (0 to 1), shape (N,); of NaN as well, which means nothing."""
    found: Ints = np.clip(np.nan_to_num(confidence) * BANDS, 0, BANDS - 1).astype(np.int64)
    return found


def cells_of(class_ids: Ints, confidence: Floats) -> Ints:
    """One number for each class and band, shape (N,)."""
    return class_ids.astype(np.int64) * BANDS + band_of(confidence)


def last_drawn(parts: Iterable[tuple[Ints, Ints]]) -> dict[int, int]:
    """How far a sample has come in each cell: the largest number of chance of a finding that was judged at random.

    Parameters
    ----------
    parts
        Of each slide: cells and numbers of the findings that were judged at random.
    """
    last: dict[int, int] = {}
    for cells, ids in parts:
        for cell, number in zip(cells.tolist(), chance(ids).tolist(), strict=True):
            last[cell] = max(number, last.get(cell, 0))
    return last


def part_in_sample(cells: Ints, ids: Ints, *, known: Flags, at_random: Flags, last: Mapping[int, int]) -> np.ndarray:
    """Say of the findings of a slide whether they are in the sample: ``NOT_REACHED``, ``REACHED`` or ``DRAWN``.

    Parameters
    ----------
    known, at_random
        Whether a user judged them, and whether that was at random.
    last
        See :func:`last_drawn`, over all slides of the project: a sample may have passed a slide that has few.

    Returns
    -------
    ndarray
        uint8, shape (N,).
    """
    if not last or not len(ids):
        return np.zeros(len(ids), np.uint8)
    number = chance(ids)
    own, place = np.unique(cells, return_inverse=True)
    end = np.array([last.get(cell, 0) for cell in own.tolist()], np.uint64)
    passed = np.full(len(own), np.iinfo(np.uint64).max)  # the first that nobody judged
    np.minimum.at(passed, place[~known], number[~known])
    # a review over several slides may have come less far on this one: its sample ends with its own last finding
    mine = np.flatnonzero(at_random & (number < passed[place]))
    own_end = np.zeros(len(own), np.uint64)
    np.maximum.at(own_end, place[mine], number[mine])
    stop = np.where(passed > end, end, own_end)[place]
    others = (np.bincount(place, weights=known & ~at_random, minlength=len(own)) > 0)[place]
    here = (end > 0) & ((passed > end) | (np.bincount(place, weights=at_random, minlength=len(own)) > 0))
    drawn = known & ((number < stop) | ((number == stop) & ~others))
    found: np.ndarray = (here[place] * (REACHED + drawn)).astype(np.uint8)
    return found
