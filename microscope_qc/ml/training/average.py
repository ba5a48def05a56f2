"""Average of the weights over the last steps: steadier than any single step's."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AverageWeights:
    """Exponential moving average of a network's state (Polyak and Juditsky, 1992), quicker at the start.

    Parameters
    ----------
    network : nn.Module
    decay : float
        Weight of the past in the long run.
    """

    def __init__(self, network: nn.Module, *, decay: float = 0.996) -> None:
        self._decay = decay
        self.updates = 0
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take a step's weights in."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in network.state_dict().items():
            if tensor.dtype.is_floating_point:
                self.state[name].lerp_(tensor, 1 - decay)
            else:
                self.state[name].copy_(tensor)

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Continue from a checkpoint."""
        self.updates = updates
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
