"""A region of a mosaic at any size, averaged over the area that each pixel covers, in bounded memory."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.pixels import Pixels

SOURCE_PX = 2048  # side of the largest block read at once
RESULT_BYTES = 1 << 30


def read_scaled(mosaic: Pixels, region: Region, shape: tuple[int, int]) -> np.ndarray:
    """See :meth:`Mosaic.read_scaled`."""
    height, width = shape
    if height < 1 or width < 1 or region.empty:
        raise InputError(f"A region of {region.shape} pixels cannot be shown as {width} x {height} pixels.")
    if height * width * 3 > RESULT_BYTES:
        raise InputError(f"An image of {width} x {height} pixels is too large.", hint="Choose a smaller one.")
    scale_y, scale_x = region.shape[0] / height, region.shape[1] / width
    level = mosaic.level_for(min(scale_y, scale_x))
    down_y, down_x = mosaic.levels[level].downsample
    y_edges = (region.y0 + np.arange(height + 1) * scale_y) / down_y
    x_edges = (region.x0 + np.arange(width + 1) * scale_x) / down_x
    rows = max(1, int(SOURCE_PX / (scale_y / down_y)))
    columns = max(1, int(SOURCE_PX / (scale_x / down_x)))
    result = np.empty((height, width, 3), np.uint8)
    for y in range(0, height, rows):
        for x in range(0, width, columns):
            ys, xs = y_edges[y : y + rows + 1], x_edges[x : x + columns + 1]
            result[y : y + rows, x : x + columns] = _block(mosaic, level, ys, xs)
    return result


def _block(mosaic: Pixels, level: int, y_edges: np.ndarray, x_edges: np.ndarray) -> np.ndarray:
    import cv2

    # a rounding error in the division must not add a row of pixels
    y_edges, x_edges = np.round(y_edges, 6), np.round(x_edges, 6)
    y0, y1 = int(np.floor(y_edges[0])), max(int(np.ceil(y_edges[-1])), int(np.floor(y_edges[0])) + 1)
    x0, x1 = int(np.floor(x_edges[0])), max(int(np.ceil(x_edges[-1])), int(np.floor(x_edges[0])) + 1)
    source = mosaic.read_rgb8(Region(y0, x0, y1, x1), level=level)
    height, width = len(y_edges) - 1, len(x_edges) - 1
    if source.shape[:2] == (height, width):
        return source
    whole = y_edges[0] == y0 and y_edges[-1] == y1 and x_edges[0] == x0 and x_edges[-1] == x1
    if whole:
        smaller = source.shape[0] >= height and source.shape[1] >= width
        method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return cv2.resize(source, (width, height), interpolation=method)
    averaged = _average(_average(source, y_edges - y0, 0), x_edges - x0, 1)
    rounded: np.ndarray = np.rint(averaged)
    return rounded.astype(np.uint8)


def _average(pixels: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """Mean between neighbouring edges along an axis, weighting the pixels that an edge cuts."""
    moved = np.moveaxis(pixels, axis, 0)
    total = np.zeros((len(moved) + 1, *moved.shape[1:]))
    np.cumsum(moved, axis=0, dtype=np.float64, out=total[1:])
    index = np.minimum(edges.astype(int), len(moved) - 1)
    share = (edges - index).reshape(-1, *([1] * (moved.ndim - 1)))
    at = total[index] + share * moved[index]
    means = np.diff(at, axis=0) / np.diff(edges).reshape(-1, *([1] * (moved.ndim - 1)))
    return np.moveaxis(means, 0, axis)
