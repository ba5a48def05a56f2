"""When memory runs out in a training step: half as many crops at once, with the gradients of the whole batch."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from microscope_qc.core.errors import ModelError, OutOfMemory
from microscope_qc.core.wording import things
from microscope_qc.ml.architectures.recipe import Recipe
from microscope_qc.ml.devices import is_out_of_memory


class InPieces:
    """Computes the gradients of a batch, in as many pieces as memory needs.

    The gradients of the pieces are added up: batch and learning rate stay what was chosen.

    Parameters
    ----------
    tell
        Called with one sentence for the user each time that the pieces become smaller.

    Attributes
    ----------
    count
        Pieces of a batch; it never falls again.
    """

    def __init__(self, recipe: Recipe[Any], tell: Callable[[str], None]) -> None:
        self._recipe, self._tell = recipe, tell
        self.count = 1

    def backward(self, network: nn.Module, batch: Any, turn: int) -> dict[str, float]:
        """Leave the gradients of a batch in the network; returns the weighted losses by name.

        Raises
        ------
        ModelError
            When the loss is not a number.
        OutOfMemory
            When not even one crop fits into memory.
        """
        while True:
            pieces = self._recipe.pieces(batch, self.count)
            try:
                return self._backward(network, pieces, turn)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # outside the except block, because the traceback holds the tensors that fill the memory
            network.zero_grad(set_to_none=True)
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            self._halve(batch, len(pieces))

    def _halve(self, batch: Any, pieces: int) -> None:
        if len(self._recipe.pieces(batch, 2 * pieces)) <= pieces:
            raise OutOfMemory(
                "The computer's memory is not enough for this training.",
                hint="Close other programs and continue it, or train a smaller network.",
            )
        self.count = 2 * pieces
        self._tell(
            f"As the memory was not enough, each batch is computed in {things(self.count, 'piece')}; "
            "the result is the same, and it takes longer."
        )

    def _backward(self, network: nn.Module, pieces: list[tuple[Any, float]], turn: int) -> dict[str, float]:
        network.zero_grad(set_to_none=True)
        told: dict[str, float] = {}
        for piece, share in pieces:
            losses = self._recipe.losses(network, piece, turn)
            total = torch.stack(list(losses.values())).sum()
            if not math.isfinite(float(total.detach())):
                raise ModelError(
                    "The training diverged: the loss is not a number.",
                    hint="Choose a smaller learning rate (--learning-rate on the command line).",
                )
            (total * share if share < 1 else total).backward()
            for name, loss in losses.items():
                told[name] = told.get(name, 0.0) + share * float(loss.detach())
        return told
