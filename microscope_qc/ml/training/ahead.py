"""Batches that are made while the step before is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from microscope_qc.ml.architectures.recipe import Recipe

B = TypeVar("B")


class BatchesAhead(Generic[B]):
    """Makes the batch of the next step in a thread of its own; a step's batch is the same as without it."""

    def __init__(self, recipe: Recipe[B]) -> None:
        self._recipe = recipe
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[B]] | None = None

    def take(self, step: int) -> B:
        """The batch of a step; the one after it is begun."""
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:
            batch = self._maker.submit(self._recipe.batch, step).result()
        self._next = step + 1, self._maker.submit(self._recipe.batch, step + 1)
        return batch

    def close(self) -> None:
        """End the thread."""
        self._maker.shutdown(cancel_futures=True)
