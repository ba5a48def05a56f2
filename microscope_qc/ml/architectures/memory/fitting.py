"""What is kept of the places of normal pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from microscope_qc.ml.architectures.memory.network import NormalMemory

DEVIATING = 0.02
"""Share of the places that is left out, those farthest from the rest: there may be defects among them."""
_ROUNDS = 2
_LEAST_SPREAD = 1e-4
_LEAST_VARIANCE = 1e-4
"""Of a direction, as a share of that of the feature that varies most: below it there is only noise."""


def fit_memory(places: Tensor, memory: NormalMemory, *, seed: int) -> int:
    """Fill a memory with places (n, channels); return how many of them are left out as unusual.

    What deviates most is left out before mean, whitening and remembered places are taken, so that a few defects among
    them do not become normal.
    """
    spread = places.std(0).clamp(min=_LEAST_SPREAD)
    scaled = places / spread
    kept = torch.ones(len(places), dtype=torch.bool)
    for _ in range(_ROUNDS):
        centre, directions = _whitening(scaled[kept], memory.whitening.shape[1])
        away = ((scaled - centre) @ directions).square().sum(1)
        kept = away <= torch.from_numpy(np.quantile(away.numpy(), [1 - DEVIATING]))
    centre, directions = _whitening(scaled[kept], memory.whitening.shape[1])
    with torch.no_grad():
        memory.centre.copy_(centre * spread)
        memory.whitening.copy_(directions / spread[:, None])
    _remember(places[kept], memory, seed=seed)
    return int((~kept).sum())


def _remember(places: Tensor, memory: NormalMemory, *, seed: int) -> None:
    """Keep as many places as the settings say, or as there are, at random: rare ones would be the defects."""
    count = min(memory.settings.known, len(places))
    chosen = torch.from_numpy(np.random.default_rng([seed, 61]).permutation(len(places))[:count])
    memory.known = memory.whitened(places[chosen].to(memory.centre.device))
    memory.settings = memory.settings.model_copy(update={"known": count})


def _whitening(places: Tensor, numbers: int) -> tuple[Tensor, Tensor]:
    """Mean (channels,) of places and the directions (channels, numbers) in which they vary most, by their spreads."""
    centre = places.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov(places.T.double()))
    order = variances.argsort(descending=True)[:numbers]
    least = _LEAST_VARIANCE * variances.max().clamp(min=1e-12)
    return centre, (directions[:, order] / variances[order].clamp(min=least).sqrt()).float()
