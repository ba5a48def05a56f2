"""Images at the pixel size of a model: in memory as far as they fit, else read in pieces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from weakref import finalize

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.ml.datasets.records import AnnotatedImage

_MOST_OPEN = 16
_LARGEST_SHARE = 0.5  # of the memory for images; of a larger one only pieces are read


@dataclass(frozen=True)
class ScaledImage:
    """An image at the model's pixel size: all of it in memory, or a slide of which pieces are read."""

    shape: tuple[int, int]
    boxes: np.ndarray  # in these pixels
    labels: np.ndarray
    open_boxes: np.ndarray
    hard_boxes: np.ndarray
    pixels: np.ndarray | None = None  # uint8 (h, w, 3)
    slide: _Pieces | None = None

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Pixels of a piece; beyond the image there are none."""
        y0, x0 = max(y0, 0), max(x0, 0)
        y1, x1 = min(y1, self.shape[0]), min(x1, self.shape[1])
        if self.pixels is not None:
            return self.pixels[y0:y1, x0:x1]
        assert self.slide is not None
        return self.slide.read(y0, x0, y1, x1)


class _Pieces:
    """A slide that stays open, of which pieces are read at the model's pixel size."""

    def __init__(self, image: AnnotatedImage, shape: tuple[int, int]) -> None:
        self._held = ExitStack()
        self._mosaic = self._held.enter_context(image.opened())
        finalize(self, self._held.close)
        y0, x0, y1, x1 = image.area
        self._start, self._scale = (y0, x0), ((y1 - y0) / shape[0], (x1 - x0) / shape[1])

    def read(self, y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
        """Read a piece that lies inside."""
        (top, left), (scale_y, scale_x) = self._start, self._scale
        region = Region(
            top + round(y0 * scale_y), left + round(x0 * scale_x), top + round(y1 * scale_y), left + round(x1 * scale_x)
        )
        return self._mosaic.read_scaled(region, (y1 - y0, x1 - x0))


def model_shape(image: AnnotatedImage, model_um: float | None) -> tuple[int, int]:
    """Size of part of a image at the model's pixel size (unchanged where either pixel size is unknown)."""
    y0, x0, y1, x1 = image.area
    pixel_size_um = image.pixel_size_um
    if pixel_size_um is None or model_um is None:
        return y1 - y0, x1 - x0
    return (
        max(1, round((y1 - y0) * pixel_size_um[0] / model_um)),
        max(1, round((x1 - x0) * pixel_size_um[1] / model_um)),
    )


def load_scaled(image: AnnotatedImage, model_um: float | None, *, in_memory: bool = True) -> ScaledImage:
    """Decode an image at the model's pixel size, in strips, so that memory never holds its full resolution.

    With ``in_memory`` False only what is asked for is read, when it is asked for.
    """
    y0, x0, y1, x1 = image.area
    shape = height, width = model_shape(image, model_um)
    scale_y, scale_x = (y1 - y0) / height, (x1 - x0) / width
    boxes, still_open, hard = (
        (some - [y0, x0, y0, x0]) / [scale_y, scale_x, scale_y, scale_x]
        for some in (image.boxes, image.open_boxes, image.hard_boxes)
    )
    if not in_memory:
        return ScaledImage(shape, boxes, image.labels, still_open, hard, slide=_Pieces(image, shape))
    with image.opened() as mosaic:
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, 512):
            bottom = min(top + 512, height)
            region = Region(y0 + round(top * scale_y), x0, y0 + round(bottom * scale_y), x1)
            pixels[top:bottom] = mosaic.read_scaled(region, (bottom - top, width))
    return ScaledImage(shape, boxes, image.labels, still_open, hard, pixels=pixels)


class ScaledImages:
    """Images at the model's pixel size. Where not all of them fit into memory, those used last are held.

    Parameters
    ----------
    most_bytes
        What they may take together.
    """

    def __init__(self, images: Sequence[AnnotatedImage], model_um: float | None, *, most_bytes: float) -> None:
        self._images, self._model_um, self._most = images, model_um, most_bytes
        self.shapes = [model_shape(image, model_um) for image in images]
        self._held: OrderedDict[int, ScaledImage] = OrderedDict()
        self._bytes = 0
        if sum(3 * height * width for height, width in self.shapes) <= most_bytes:
            for index in range(len(images)):  # one that is damaged is found now, and not in an hour
                self.load(index)

    def load(self, index: int) -> ScaledImage:
        """Return an image; it is decoded unless it is held."""
        if index in self._held:
            self._held.move_to_end(index)
            return self._held[index]
        height, width = self.shapes[index]
        small = 3 * height * width <= self._most * _LARGEST_SHARE
        loaded = load_scaled(self._images[index], self._model_um, in_memory=small)
        self._held[index] = loaded
        self._bytes += _bytes_of(loaded)
        while len(self._held) > 1 and (self._bytes > self._most or len(self._held) > self._most_held()):
            _, oldest = self._held.popitem(last=False)
            self._bytes -= _bytes_of(oldest)
        return loaded

    def _most_held(self) -> int:
        """Not more slides than files can be open; pictures in memory need none."""
        in_memory = sum(loaded.slide is None for loaded in self._held.values())
        return in_memory + _MOST_OPEN


def _bytes_of(loaded: ScaledImage) -> int:
    return 0 if loaded.pixels is None else loaded.pixels.nbytes
