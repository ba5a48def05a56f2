"""When memory runs out: half the batch, then half the tile, then the CPU; the user is told each time."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microscope_qc.core.errors import OutOfMemory
from microscope_qc.core.geometry import Region
from microscope_qc.ml.tasks.base import NetworkOutput, Size, Task, TileResult, require_numbers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pieces:
    """Outputs for one slot that was computed in parts."""

    computed: list[NetworkOutput]
    parts: list[Region]
    shape: Size


Computed = list[NetworkOutput | Pieces]
"""Outputs for some slots, in the pieces that fitted into memory."""


class MemoryFallback:
    """Computes batches in whatever pieces fit into memory; a step down lasts for the rest of the run.

    Parameters
    ----------
    tell
        Called with one sentence for the user at every step down.
    """

    def __init__(self, task: Task, tell: Callable[[str], None]) -> None:
        self._task, self._tell = task, tell
        self._most: int | None = None
        self._apart = False
        self._turns, self._in_turn = threading.RLock(), False
        self._steps = 0

    def compute(self, slots: Tensor, size: Size) -> Computed:
        """Outputs for the slots (B, H, W, 3), in pieces that :meth:`results` joins again.

        Raises
        ------
        OutOfMemory
            When nothing helps.
        """
        # once memory was short, concurrent passes take turns
        with self._turns if self._in_turn else contextlib.nullcontext():
            return self._computed(slots, size)

    def _computed(self, slots: Tensor, size: Size) -> Computed:
        computed: Computed = []
        start = 0
        while start < len(slots):
            apart, steps = self._apart, self._steps
            most = 1 if apart else min(self._most or len(slots), len(slots) - start)
            part = slots[start : start + most]
            try:
                computed.append(self._in_parts(part) if apart else self._task.compute(part, size))
            except Exception as error:
                from microscope_qc.ml.devices import is_out_of_memory

                if not is_out_of_memory(error):
                    raise
                reason = error
            else:
                start += most
                continue
            # outside the except block, because the traceback holds the tensors that fill the memory
            with self._turns:
                self._in_turn = True
                if steps == self._steps:  # otherwise another pass has stepped down in the meantime
                    self._steps += 1
                    self._step_down(most, (int(slots.shape[1]), int(slots.shape[2])), str(reason))
        return computed

    def _in_parts(self, slot: Tensor) -> Pieces:
        shape = (int(slot.shape[1]), int(slot.shape[2]))
        parts = self._task.parts(shape)
        computed = [self._task.compute(slot[:, p.y0 : p.y1, p.x0 : p.x1].contiguous(), p.shape) for p in parts]
        return Pieces(computed, parts, shape)

    def _step_down(self, most: int, shape: Size, reason: str) -> None:
        device = self._task.device
        where = "the graphics card's memory" if device.type == "cuda" else "the memory"
        _give_back(device.type)
        if most > 1:
            self._most = most // 2
            tiles = "one tile" if self._most == 1 else f"{self._most} tiles"
            self._tell(f"As {where} was not enough, batches are reduced to {tiles}.")
        elif not self._apart and self._task.parts(shape):
            self._apart = True
            self._tell(f"As {where} was not enough, tiles are computed in parts.")
        elif device.type != "cpu":
            self._task.to_cpu()
            self._apart, self._most = False, None
            self._tell("As the graphics card's memory was not enough, the processor continues; this is slower.")
        else:
            said = reason.splitlines()[0] if reason else "size unknown"
            raise OutOfMemory(
                f"The computer's memory is not enough for this model ({said}).",
                hint="Close other programs, and start the detection again to continue it.",
            )

    def results(self, computed: Computed, size: Size) -> list[TileResult]:
        """The result of every slot; may be called in another thread.

        Raises
        ------
        ModelError
            When the model computed values that are not numbers.
        """
        results: list[TileResult] = []
        for piece in computed:
            if isinstance(piece, Pieces):
                parts = [
                    self._task.results(output, _inside(part, size))[0]
                    for output, part in zip(piece.computed, piece.parts, strict=True)
                ]
                results.append(self._task.join(parts, piece.parts, piece.shape))
            else:
                results += self._task.results(piece, size)
        require_numbers(results, self._task.card.name)
        return results


def _inside(part: Region, size: Size) -> Size:
    """Size of a part without padding."""
    return max(0, min(part.y1, size[0]) - part.y0), max(0, min(part.x1, size[1]) - part.x0)


def _give_back(device_type: str) -> None:
    import torch

    gc.collect()
    if device_type == "cuda":
        torch.cuda.empty_cache()
