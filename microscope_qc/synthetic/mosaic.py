"""The base of all synthetic slides: regions are read from units that are always rendered whole and then cached."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future

import cv2
import numpy as np

from microscope_qc.synthetic.camera import BLUR_MARGIN_PX, FIELD_HEIGHT_PX, FIELD_WIDTH_PX, Camera, FieldQuarter
from microscope_qc.synthetic.truth import TrueDefect

_CACHE_BYTES = 256 * 2**20


class SyntheticSlide(ABC):
    """A slide rendered on demand; pixels do not depend on the region in which they are read.

    Parameters
    ----------
    shape : (height, width)
        Size in full-resolution pixels.
    seed : int
        The same seed gives the same slide.

    Attributes
    ----------
    pixel_size_um : float
        Edge of a pixel in micrometres.
    codes : sequence of str
        Class codes that may occur.
    defects : list of TrueDefect
        Ground truth.
    """

    pixel_size_um: float = 0.3
    codes: Sequence[str] = ()

    def __init__(self, shape: tuple[int, int], *, seed: int) -> None:
        height, width = (int(side) for side in shape)
        if height < 1 or width < 1:
            raise ValueError(f"a slide needs a positive size, got {height} x {width}")
        if seed < 0:
            raise ValueError(f"the seed must not be negative, got {seed}")
        self.shape = (height, width)
        self.seed = int(seed)
        self.defects: list[TrueDefect] = []
        self.camera = Camera(self.shape, np.random.default_rng([self.seed, 2]), seed=self.seed)
        self._kept: OrderedDict[tuple[int, int], Future[np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        state = self.__dict__.copy()
        del state["_lock"], state["_kept"]
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._kept = OrderedDict()
        self._lock = threading.Lock()

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Pixels of the region [y0, y1) x [x0, x1), uint8 (y1 - y0, x1 - x0, 3), RGB. Safe to call from threads.

        Raises
        ------
        ValueError
            The region is empty or reaches beyond the slide.
        """
        if not (0 <= y0 < y1 <= self.shape[0] and 0 <= x0 < x1 <= self.shape[1]):
            raise ValueError(f"region [{y0}, {y1}) x [{x0}, {x1}) is empty or outside a slide of {self.shape}")
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        for unit in self.camera.units(y0, x0, y1, x1):
            top, left = max(y0, unit.y0), max(x0, unit.x0)
            bottom, right = min(y1, unit.y1), min(x1, unit.x1)
            pixels = self._unit_pixels(unit)[top - unit.y0 : bottom - unit.y0, left - unit.x0 : right - unit.x0]
            out[top - y0 : bottom - y0, left - x0 : right - x0] = pixels
        return out

    def _unit_pixels(self, unit: FieldQuarter) -> np.ndarray:
        key = (unit.row, unit.column)
        with self._lock:
            future = self._kept.get(key)
            mine = future is None
            if future is None:
                future = self._kept[key] = Future()
                # Two rows of units suffice for a reader that goes along the slide in strips of chunks.
                limit = 2 * (2 * self.shape[1] // FIELD_WIDTH_PX + 2)
                limit = max(8, min(limit, _CACHE_BYTES * 4 // (FIELD_HEIGHT_PX * FIELD_WIDTH_PX * 3)))
                while len(self._kept) > limit:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
        if mine:
            try:
                future.set_result(self._render(unit))
            except BaseException as error:
                with self._lock:
                    self._kept.pop(key, None)
                future.set_exception(error)
                raise
        return future.result()

    def _render(self, unit: FieldQuarter) -> np.ndarray:
        y0 = unit.y0 + unit.offset_y - BLUR_MARGIN_PX
        x0 = unit.x0 + unit.offset_x - BLUR_MARGIN_PX
        height, width = unit.y1 - unit.y0 + 2 * BLUR_MARGIN_PX, unit.x1 - unit.x0 + 2 * BLUR_MARGIN_PX
        scene = self.scene(y0, x0, height, width)
        return self.camera.expose(unit, scene)

    @abstractmethod
    def scene(self, y0: int, x0: int, height: int, width: int) -> np.ndarray:
        """The specimen without the microscope: float32 (height, width, 3), reflectance 0 .. 255."""


def composite(scene: np.ndarray, alpha: np.ndarray, rgb: np.ndarray, *, at: tuple[int, int]) -> None:
    """Blend a patch over a scene in place.

    Parameters
    ----------
    scene : ndarray, float32, (height, width, 3)
    alpha : ndarray, float32, (h, w)
    rgb : ndarray, float32, (h, w, 3)
    at : (y, x)
        Position of the patch in the scene; parts outside are clipped.
    """
    y, x = at
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + alpha.shape[0], scene.shape[0]), min(x + alpha.shape[1], scene.shape[1])
    if top >= bottom or left >= right:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    view = scene[top:bottom, left:right]
    view += (rgb[part] - view) * alpha[part][..., None]


def scratch_overlay(rng: np.random.Generator, *, size: int, count: int) -> np.ndarray:
    """Fine polishing scratches as a tileable brightness overlay, float32 (size, size)."""
    grid = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    for _ in range(count):
        turn = angle + rng.normal(0, 0.5)
        length = rng.uniform(0.1, 0.7) * size
        y, x = rng.uniform(0, size, 2)
        line = np.zeros_like(grid)
        dy, dx = np.sin(turn) * length / 2, np.cos(turn) * length / 2
        for sy in (-size, 0, size):
            for sx in (-size, 0, size):
                start = (round((x - dx + sx) * 8), round((y - dy + sy) * 8))
                stop = (round((x + dx + sx) * 8), round((y + dy + sy) * 8))
                cv2.line(line, start, stop, 1.0, 1, cv2.LINE_AA, 3)
        grid += line * rng.normal(0, 5.0)
    return grid
