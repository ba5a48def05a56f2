"""Which class a place is of: a linear classifier on how it looks, which knows a new class from its first example."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.core.arrays import Floats, Ints

_PENALTY = 2e-3
_MOST_STEPS = 60


class LinearClasses:
    """Multinomial logistic regression; each class counts alike, however many examples it has.

    Parameters
    ----------
    looks : (n, k)
        Of the examples.
    labels : (n,)
        Their classes, any integers.
    """

    def __init__(self, looks: Floats, labels: Ints) -> None:
        self.labels, index = np.unique(labels, return_inverse=True)
        self._mean, self._spread = looks.mean(axis=0), np.maximum(looks.std(axis=0), 0.1 * looks.std() + 1e-6)
        values, target = self._scaled(looks), torch.from_numpy(index.astype(np.int64))
        weight = 1.0 / torch.bincount(target).float()
        self._linear = nn.Linear(looks.shape[1], len(self.labels))
        for parameter in self._linear.parameters():
            nn.init.zeros_(parameter)
        if len(self.labels) < 2:
            return
        optimiser = torch.optim.LBFGS(self._linear.parameters(), max_iter=_MOST_STEPS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            wrong = functional.cross_entropy(self._linear(values), target, weight=weight)
            whole: Tensor = wrong + _PENALTY * self._linear.weight.square().sum()
            whole.backward()
            return whole

        optimiser.step(loss)

    def _scaled(self, looks: Floats) -> Tensor:
        return torch.from_numpy(((looks - self._mean) / self._spread).astype(np.float32))

    @torch.inference_mode()
    def shares(self, looks: Floats) -> Floats:
        """Probability of each of :attr:`labels`, (n, classes)."""
        shares: Floats = self._linear(self._scaled(looks)).softmax(1).numpy()
        return shares
