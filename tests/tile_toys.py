"""Slides in memory whose reads can be counted, delayed and made to fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.pixels import Channel, Level


class ToyMosaic(Mosaic):
    """Levels given as arrays, finest first; ``broken`` holds (level, y0, x0) of regions that cannot be decoded."""

    def __init__(self, *pixels: np.ndarray, channels: Sequence[Channel] = (), gated: bool = False) -> None:
        full = pixels[0].shape
        levels = [Level(p.shape[:2], (full[0] / p.shape[0], full[1] / p.shape[1])) for p in pixels]
        super().__init__(
            path=Path("toy"), levels=levels, dtype=pixels[0].dtype, rgb=pixels[0].ndim == 3, channels=channels
        )
        self.pixels = pixels
        self.broken: set[tuple[int, int, int]] = set()
        self.reads: list[tuple[int, int, int]] = []
        self.threads: set[str] = set()
        self._lock = threading.Lock()
        self.gate = threading.Semaphore(0) if gated else None
        self.entered = threading.Semaphore(0)

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        place = (level, region.y0, region.x0)
        with self._lock:
            self.reads.append(place)
            self.threads.add(threading.current_thread().name)
        self.entered.release()
        if self.gate is not None:
            assert self.gate.acquire(timeout=30)
        if place in self.broken:
            raise SlideError(f"The tile at {place} is damaged.")
        part = self.pixels[level][region.y0 : region.y1, region.x0 : region.x1]
        return part if channel == 0 else part + np.asarray(channel, part.dtype)

    def let_through(self, count: int) -> None:
        """Let reads that wait at the gate continue."""
        assert self.gate is not None
        for _ in range(count):
            self.gate.release()


def noise(shape: tuple[int, ...], dtype: type = np.uint8, *, seed: int = 0) -> np.ndarray:
    """Random values, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def halves(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture and ``count`` halved versions of it; its sides must stay even."""
    levels = [pixels]
    for _ in range(count):
        last = levels[-1].astype(np.float64)
        mean = (last[::2, ::2] + last[1::2, ::2] + last[::2, 1::2] + last[1::2, 1::2]) / 4
        levels.append(np.rint(mean).astype(pixels.dtype))
    return levels
