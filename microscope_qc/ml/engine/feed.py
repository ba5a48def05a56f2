"""Batches of prepared tiles, read by threads into reused buffers, never more than a few ahead."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.engine.pixels import TileReader
from microscope_qc.ml.tasks.base import Task

if TYPE_CHECKING:
    import torch

AHEAD = 2
"""Batches that are read while others are computed."""
STRIP = 4
"""Maximum number of neighbouring tiles that are read at once."""


@dataclass(slots=True)
class Batch:
    """Tiles of one forward pass; ``errors`` says why a tile has no pixels (then its slot is empty)."""

    tiles: list[int]
    slots: torch.Tensor
    errors: dict[int, str]
    buffer: torch.Tensor


@dataclass(slots=True)
class _Ahead:
    tiles: list[int]
    buffer: torch.Tensor
    reads: list[Future[dict[int, str]]]


class Feed:
    """Iterates over batches of prepared tiles.

    Parameters
    ----------
    groups
        Indices of the tiles of each batch.
    place
        Gives the region of a tile by its index.
    readers
        Number of threads that read.
    held
        Number of batches that may be in use before the first of them is passed to :meth:`free`.
    """

    def __init__(
        self,
        task: Task,
        reader: TileReader,
        *,
        groups: Sequence[Sequence[int]],
        place: Callable[[int], Region],
        readers: int,
        held: int = 1,
    ) -> None:
        self._task, self._reader, self._place = task, reader, place
        self._groups = iter(groups)
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="tiles")
        self._ahead: deque[_Ahead] = deque()
        largest = max((len(group) for group in groups), default=1)
        self._free = [_buffer(task, reader.shape, largest) for _ in range(min(AHEAD + held, max(1, len(groups))))]
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[Batch]:
        self._top_up()
        while self._ahead:
            first = self._ahead.popleft()
            started = time.perf_counter()
            errors: dict[int, str] = {}
            for read in first.reads:
                errors |= read.result()
            self.waited_s += time.perf_counter() - started
            yield Batch(first.tiles, first.buffer[: len(first.tiles)], errors, first.buffer)

    def free(self, batch: Batch) -> None:
        """Release the buffer of a batch for reuse; its slots must not be used any more."""
        self._free.append(batch.buffer)
        self._top_up()

    def _top_up(self) -> None:
        while self._free:
            group = next(self._groups, None)
            if group is None:
                return
            tiles, buffer = list(group), self._free.pop()
            reads, start = [], 0
            for length in self._reader.strips([self._place(tile) for tile in tiles], longest=STRIP):
                reads.append(self._pool.submit(self._fill, tiles[start : start + length], buffer, start))
                start += length
            self._ahead.append(_Ahead(tiles, buffer, reads))

    def _fill(self, tiles: list[int], buffer: torch.Tensor, start: int) -> dict[int, str]:
        """Read neighbouring tiles into their slots; where that fails, one by one, so that only damaged ones fail."""
        slots = buffer.numpy()[start : start + len(tiles)]
        try:
            for pixels, slot in zip(self._reader.read([self._place(tile) for tile in tiles]), slots, strict=True):
                self._task.prepare(pixels, slot)
        except (MicroscopeQCError, OSError, ValueError) as error:
            if len(tiles) == 1:
                slots[:] = 0
                return {tiles[0]: str(error) or type(error).__name__}
            errors: dict[int, str] = {}
            for offset, tile in enumerate(tiles):
                errors |= self._fill([tile], buffer, start + offset)
            return errors
        return {}

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _buffer(task: Task, shape: tuple[int, int], tiles: int) -> torch.Tensor:
    import torch

    (height, width), kind = task.slot(shape)
    values = torch.uint8 if kind is np.uint8 else torch.float32
    # every slot is written completely before it is computed, so nothing needs to be cleared
    return torch.empty((tiles, height, width, 3), dtype=values, pin_memory=task.device.type == "cuda")
