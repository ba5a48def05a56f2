"""Which learning rate suits a network: it is raised from step to step until the loss diverges.

L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.devices import choose_device, use_threads
from microscope_qc.ml.training.ahead import BatchesAhead
from microscope_qc.ml.training.memory import InPieces

FIRST, FACTOR, LAST = 1e-6, 1.1, 10.0
DIVERGED = 4.0
"""Times the lowest smoothed loss."""
_MEMORY = 0.9
"""Of the smoothed loss: a batch more or less difficult is no trend."""
_BELOW = 10.0
"""The suggestion is this many times below the rate with the lowest loss, where it still falls."""
_LARGEST_GRADIENT = 10.0


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Losses over rising learning rates.

    Attributes
    ----------
    rates, losses, smoothed
        Of each step.
    suggestion
        A learning rate to train with; None where the loss never fell.
    diverged
        Whether the loss diverged, which ended it.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    suggestion: float | None = None
    diverged: bool = False


def find_rate(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    first: float = FIRST,
    factor: float = FACTOR,
    last: float = LAST,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Job[RateCurve]:
    """Train with rising learning rates; nothing of what is learned is kept.

    Parameters
    ----------
    first, factor, last
        Learning rate of the first step, what it is multiplied by from step to step, and where it ends at the latest.

    Raises
    ------
    ModelError
        When the network is not trained in steps, or there is nothing to learn from.
    """
    use_threads()
    kind = architecture(settings.network)
    settings = kind.suited(settings, dataset)
    recipe = kind.recipe(settings, dataset)
    if recipe is None:
        raise ModelError(f"This version cannot train the network {kind.name}.")
    torch.manual_seed(settings.seed)
    network: nn.Module = kind.build(kind.checked(settings.network_settings), len(dataset.classes))
    network = network.to(choose_device(settings.device)).to(memory_format=torch.channels_last)
    optimisers = recipe.optimisers(network)
    if not optimisers:
        raise ModelError(f"{kind.title} is not trained in steps: it has no learning rate.")
    yield from recipe.fit_once(network)
    peak = max(float(group["lr"]) for optimiser in optimisers for group in optimiser.param_groups)
    shares = [[float(group["lr"]) / peak for group in optimiser.param_groups] for optimiser in optimisers]
    total = 1 + math.floor(math.log(last / first) / math.log(factor) + 1e-9)
    pieces, batches, run = InPieces(recipe, tell), BatchesAhead(recipe), _Run()
    network.train()
    try:
        for step in range(total):
            rate = first * factor**step
            yield Progress(step, total, "steps", f"learning rate {rate:.2g}")
            recipe.before_step(network, 1.0)  # all layers that ever learn do
            batch, loss = batches.take(step), 0.0
            for turn, (optimiser, own) in enumerate(zip(optimisers, shares, strict=True)):
                for group, share in zip(optimiser.param_groups, own, strict=True):
                    group["lr"] = rate * share
                try:
                    loss += sum(pieces.backward(network, batch, turn).values())
                except ModelError:  # the loss is not a number
                    return run.curve(diverged=True)
                parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
                nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
                optimiser.step()
            if run.add(rate, loss):
                return run.curve(diverged=True)
    finally:
        batches.close()
    return run.curve(diverged=False)


class _Run:
    """Rates and losses so far."""

    def __init__(self) -> None:
        self._found = RateCurve()
        self._mean = 0.0

    def add(self, rate: float, loss: float) -> bool:
        """Take a step; return whether the loss has diverged."""
        found = self._found
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * loss
        found.rates.append(rate)
        found.losses.append(loss)
        found.smoothed.append(self._mean / (1 - _MEMORY ** len(found.rates)))  # unbiased at the start
        return found.smoothed[-1] > DIVERGED * min(found.smoothed)

    def curve(self, *, diverged: bool) -> RateCurve:
        """The curve with a suggestion."""
        found = copy.copy(self._found)
        suggestion = None
        if found.smoothed:
            lowest = min(range(len(found.smoothed)), key=found.smoothed.__getitem__)
            if lowest:
                suggestion = float(f"{found.rates[lowest] / _BELOW:.2g}")
        return RateCurve(found.rates, found.losses, found.smoothed, suggestion, diverged)
