"""What brightness, contrast and the map cost: ``python -m tests.benchmarks.display``.

Every line is a median over repetitions that are interleaved with the plain numpy way of doing the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from microscope_qc.app.canvas.overview.overview_layers import dots_image
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.display import NEUTRAL, ChannelView, DisplaySettings, render, rgb_of
from microscope_qc.slides.histogram import histogram
from microscope_qc.slides.pixels import Channel, Level

TILE = 512
REPEATS = 15
LIMIT_MS = 4.0
"""A canvas of 1600 x 1000 points shows about 15 tiles; two readers render them again within 30 ms."""


class Planes(Mosaic):
    """A tile of every channel in memory."""

    def __init__(self, planes: list[np.ndarray], colours: tuple[str, ...] = ()) -> None:
        first = planes[0]
        super().__init__(
            path=Path("planes"),
            levels=[Level(first.shape[:2], (1.0, 1.0))],
            dtype=first.dtype,
            rgb=first.ndim == 3,
            channels=[Channel(str(i), colour, (0.0, 200.0)) for i, colour in enumerate(colours)],
        )
        self.planes = planes

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self.planes[channel][region.y0 : region.y1, region.x0 : region.x1]


def plainly(mosaic: Planes, display: DisplaySettings) -> np.ndarray:
    """The same colours in float arithmetic."""
    total = np.zeros((*mosaic.shape, 3))
    for index, plane in enumerate(mosaic.planes):
        view = display.channel(index)
        low, high = view.window or mosaic.window(index)
        values = plane * np.array(display.white_balance if mosaic.rgb else 1.0)
        values = np.clip((values - low) / (high - low), 0, 1) ** view.gamma * 255
        if mosaic.rgb:
            return values.round().astype(np.uint8)
        total += values[..., None] * (np.array(rgb_of(mosaic.channels[index].colour)) / 255)
    return np.minimum(total, 255).round().astype(np.uint8)


def paired(*functions: Callable[[], object]) -> list[float]:
    """Medians in ms, the functions taking turns."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(REPEATS + 2):
        for place, function in enumerate(functions):
            start = time.perf_counter()
            function()
            if turn >= 2:
                times[place].append((time.perf_counter() - start) * 1e3)
    return [statistics.median(values) for values in times]


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    view = ChannelView(window=(10.0, 200.0), gamma=0.8)
    colours = ("#ff0000", "#00ff00", "#8020c0", "#ffffff")
    print(f"numpy {np.__version__}, OpenCV {cv2.__version__}, one {TILE} x {TILE} tile, limit {LIMIT_MS} ms for 8 bit")
    print(f"{'tile':<34}{'render ms':>10}{'numpy ms':>10}{'ratio':>8}")
    for kind in (np.uint8, np.uint16, np.float32):
        rgb = Planes([rng.integers(0, 255, (TILE, TILE, 3)).astype(kind)])
        four = Planes([rng.integers(0, 255, (TILE, TILE)).astype(kind) for _ in colours], colours)
        for name, mosaic, display in (
            ("RGB, window and gamma", rgb, DisplaySettings((view,))),
            ("RGB, white balance too", rgb, DisplaySettings((view,), (1.1, 1.0, 0.9))),
            ("4 channels, window and gamma", four, DisplaySettings((view,) * 4, NEUTRAL)),
        ):
            quick, plain = paired(
                lambda m=mosaic, d=display: render(m, m.planes, d), lambda m=mosaic, d=display: plainly(m, d)
            )
            print(f"{np.dtype(kind).name + ' ' + name:<34}{quick:>10.2f}{plain:>10.2f}{plain / quick:>8.1f}")
    large = Planes([rng.integers(0, 255, (1024, 1024, 3)).astype(np.uint8)])
    counted = paired(lambda: histogram(large))[0]
    print(f"{'histogram of 1024 x 1024 RGB':<34}{counted:>10.2f}   (not in the window's thread)")
    for count in (1_000, 100_000, 1_000_000):
        y, x = rng.uniform(0, 1e5, count), rng.uniform(0, 1e5, count)
        rows = make_rows(count, class_id=rng.integers(1, 30, count), y0=y, y1=y + 9, x0=x, x1=x + 9)
        needed = paired(lambda r=rows: dots_image(r, {}, (100_000, 100_000), grid=(53, 72)))[0]
        print(f"{f'{count} findings on the map':<34}{needed:>10.2f}   (above 20,000 not in the window's thread)")


if __name__ == "__main__":
    main()
