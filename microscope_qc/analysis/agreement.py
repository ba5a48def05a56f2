"""How well two inspectors agree: on what there is, and on what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.shares import Share, wilson_interval
from microscope_qc.core.arrays import Ints

LEAST_PAIRS = 20
"""Fewer pairs say nothing of how alike two inspectors name defects."""


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa of ``of`` pairs with its interval; ``value`` is None where it says nothing: ``reason`` says why.

    ``same`` is the share of the pairs that both call the same, None without pairs.
    """

    value: float | None
    interval: tuple[float, float] | None
    same: Share | None
    of: int
    reason: str = ""


def specific_agreement(both: int, only_first: int, only_second: int, *, level: float = LEVEL) -> Share | None:
    """Share of what either finds that the other finds, too: ``2 m / (n1 + n2)``; None where neither found anything.

    It needs no count of places without defects, which nobody can count. With the share q of all defects that both
    found it is ``2 q / (1 + q)``: so its limits are those of q (Wilson), carried over.

    Notes
    -----
    J. L. Fleiss, "Measuring agreement between two judges on the presence or absence of a trait", Biometrics 31 (1975)
    651; P. Graham, R. Bull, "Approximate standard errors and confidence intervals for indices of positive and negative
    agreement", Journal of Clinical Epidemiology 51 (1998) 763.
    """
    every = both + only_first + only_second
    if not every:
        return None
    low, high = (2 * q / (1 + q) for q in wilson_interval(both / every, every, _quantile(level)))
    return Share(2 * both, 2 * both + only_first + only_second, 2 * both / (every + both), (low, high))


def kappa(first: Ints, second: Ints, *, level: float = LEVEL) -> Kappa:
    """Agreement on names beyond chance, of the same things named by two inspectors.

    Parameters
    ----------
    first, second
        What each calls it, as a number; shape (N,).

    Notes
    -----
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960) 37.
    The limits are those of the share of pairs that both call the same (Wilson), at the agreement of chance that was
    seen: where nearly all agree, those of a large-sample variance hold far less than they say.
    """
    count = len(first)
    if not count:
        return Kappa(None, None, None, 0, "no defect was found by both")
    names, where = np.unique(np.r_[first, second], return_inverse=True)
    size = len(names)
    table = np.bincount(where[:count] * size + where[count:], minlength=size**2).reshape(size, size) / count
    seen, rows, columns = float(np.trace(table)), table.sum(axis=1), table.sum(axis=0)
    quantile, alike = _quantile(level), round(seen * count)
    same = Share(alike, count, seen, wilson_interval(seen, count, quantile))
    chance = float(rows @ columns)
    if count < LEAST_PAIRS:
        return Kappa(None, None, same, count, f"{count} found by both are too few: {LEAST_PAIRS} are needed")
    if chance >= 1:
        return Kappa(None, None, same, count, "all have the same class: chance alone agrees as well")
    value = (seen - chance) / (1 - chance)
    low, high = ((share - chance) / (1 - chance) for share in same.interval)
    return Kappa(value, (max(-1.0, low), high), same, count)


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))
