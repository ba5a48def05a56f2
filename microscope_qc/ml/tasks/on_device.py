"""From prepared pixels to a network's output: what all tasks have in common."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.devices import autocast, fast_bfloat16, is_out_of_memory
from microscope_qc.ml.tasks.base import CellGrid, NetworkOutput, Size, not_numbers

log = logging.getLogger(__name__)

WORTH_COMPILING = 5000
"""Number of tiles from which a GPU makes up for the minute that compiling takes."""


A = TypeVar("A")


class OnDevice(Generic[A]):
    """A network on a device, fed with slots; ``A`` is the type of its raw output for a batch.

    On a CPU a slot contains normalised numbers in channels-last order, prepared where the tile is read, so that the
    network can use it directly. A GPU gets the bytes, a quarter of the traffic, and normalises them itself.

    Attributes
    ----------
    stride
        Sides of slots are multiples of it.
    busy_s
        Seconds that a GPU computed; those of a CPU are measured by the caller.
    """

    stride = 32
    seams = False
    heat: CellGrid | None = None
    labels: CellGrid | None = None

    def __init__(self, card: ModelCard, network: nn.Module, *, device: torch.device) -> None:
        self.card = card
        self.device = device
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._run: Callable[[Tensor], object] = self._network
        self._compiled = False
        self.busy_s = 0.0
        self._mean = torch.tensor(card.mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(card.std, device=device).view(1, 3, 1, 1) * 255
        # all 256 byte values, normalised as torch would: (1, 256, 3)
        steps = torch.arange(256, dtype=torch.float32).view(256, 1)
        mean, std = (torch.tensor(values) * 255 for values in (card.mean, card.std))
        self._table = np.ascontiguousarray(((steps - mean) / std).numpy()[None])
        self._copying = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def network(self) -> nn.Module:
        """The network, not compiled."""
        return self._network

    @property
    def precision(self) -> str:
        """ "float32" or "bfloat16"."""
        return "bfloat16" if fast_bfloat16(self.device) else "float32"

    def compile(self, *, wanted: bool = True) -> None:
        """Compile the network with torch; the first images of a shape take longer, all others less time."""
        if wanted != self._compiled:
            self._run, self._compiled = (torch.compile(self.plain(), dynamic=False) if wanted else self.plain()), wanted

    def plain(self) -> Callable[[Tensor], object]:
        """The uncompiled function that is applied to images."""
        return self._network

    def slot(self, shape: Size) -> tuple[Size, type[np.generic]]:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        height, width = (-(-side // self.stride) * self.stride for side in shape)
        return (height, width), np.uint8 if self.device.type == "cuda" else np.float32

    def prepare(self, pixels: np.ndarray, slot: np.ndarray) -> None:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        import cv2

        height, width = pixels.shape[:2]
        if slot.dtype == np.uint8:
            slot[:height, :width] = pixels
        elif slot.shape == pixels.shape:
            cv2.LUT(pixels, self._table, slot)
        else:
            slot[:height, :width] = cv2.LUT(pixels, self._table)
        # zero is the mean colour
        slot[height:] = 0
        slot[:, width:] = 0

    @torch.inference_mode()
    def compute(self, slots: Tensor, size: Size) -> NetworkOutput:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        begun = self._mark()
        images = self._normalised(slots, size) if slots.dtype == torch.uint8 else slots.to(self.device)
        with autocast(self.device):
            output = self.read_out(self._forward(images.permute(0, 3, 1, 2), size))
        shape = (int(slots.shape[1]), int(slots.shape[2]))
        if self.device.type == "cpu":
            return NetworkOutput(shape, list(output))
        host = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in output]
        for target, tensor in zip(host, output, strict=True):
            target.copy_(tensor, non_blocking=True)
        if self._copying is not None:
            self._copying.synchronize()  # the slots are refilled as soon as this returns
        ended = self._mark()
        return NetworkOutput(shape, host, None if begun is None or ended is None else (begun, ended))

    def _mark(self) -> torch.cuda.Event | None:
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _normalised(self, slots: Tensor, size: Size) -> Tensor:
        if self._copying is None:  # bytes that were prepared for a GPU which has run out of memory
            images = slots.float()
        else:
            with torch.cuda.stream(self._copying):
                raw = slots.to(self.device, non_blocking=True)
            torch.cuda.current_stream(self.device).wait_stream(self._copying)
            raw.record_stream(torch.cuda.current_stream(self.device))
            images = raw.float()
        images = (images - self._mean.view(1, 1, 1, 3)) / self._std.view(1, 1, 1, 3)
        images[:, size[0] :] = 0
        images[:, :, size[1] :] = 0
        return images

    def _forward(self, images: Tensor, size: Size) -> A:
        return cast(A, self.run(images))

    def run(self, images: Tensor) -> object:
        """Output of the network; falls back to the uncompiled function where the compiled one fails."""
        if not self._compiled:
            return self._run(images)
        try:
            return self._run(images)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.warning("the compiled network failed and is not used: %s", error)
            self._run, self._compiled = self.plain(), False
            return self._run(images)

    def read_out(self, said: A) -> tuple[Tensor, ...]:
        """Reduce the raw output, on the device, to what :meth:`results` needs."""
        raise NotImplementedError

    def fetched(self, output: NetworkOutput) -> list[Tensor]:
        """The tensors of the output; waits until they are complete.

        Raises
        ------
        ModelError
            When there are values among them that are not numbers: no comparison would ever find them.
        """
        if output.marks is not None:
            begun, ended = output.marks
            ended.synchronize()
            self.busy_s += begun.elapsed_time(ended) / 1000
        if not all(_finite(tensor) for tensor in output.tensors):
            raise not_numbers(self.card.name)
        return output.tensors

    def to_cpu(self) -> None:
        """See :class:`microscope_qc.ml.tasks.base.Task`."""
        self.device = torch.device("cpu")
        self._copying = None
        self._network = self._network.to(self.device)
        self._run, self._compiled = self.plain(), False
        self._mean, self._std = self._mean.cpu(), self._std.cpu()


def _finite(tensor: Tensor) -> bool:
    if not tensor.dtype.is_floating_point:
        return True
    # a sum is finite only where all are, and costs a tenth of looking at each; numbers too large to sum are looked at
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def compiling_pays(device: torch.device, *, tiles: int) -> bool:
    """Whether compiling the network first is worthwhile for a run.

    On CPUs it is not: two cores took 73 s to compile the bundled detector, which was not faster afterwards.
    """
    return device.type == "cuda" and tiles >= WORTH_COMPILING and importlib.util.find_spec("triton") is not None
