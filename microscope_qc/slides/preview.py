"""Quick previews of slides that have no coarse level: a few hundred samples instead of the whole file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.plane import planes_in

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

# what may be read completely for a preview: a third of a second from an ordinary TIFF
WHOLE_PX = 32_000_000
MAX_READS = 600
MAX_SAMPLED_PX = 160_000_000
LARGEST_PIECE_PX = 64_000_000
SAMPLE_PX = 512
WORKERS = 2
STRIDES = (8, 4, 2, 1)


def needs_conversion(mosaic: Mosaic) -> bool:
    """Whether even the coarsest level in the file is too large to be read at once."""
    height, width = mosaic.levels[mosaic.stored_levels - 1].shape
    return height * width > WHOLE_PX


def decoded_bytes(mosaic: Mosaic) -> int:
    """Size of all full-resolution pixels when decoded, all channels and all pictures of a stack together."""
    height, width = mosaic.shape
    return (
        planes_in(mosaic.stack) * height * width * mosaic.dtype.itemsize * (3 if mosaic.rgb else len(mosaic.channels))
    )


def sparse_preview(
    mosaic: Mosaic,
    *,
    longest_px: int = 256,
    channel: int = 0,
    max_reads: int = MAX_READS,
    seconds: float | None = None,
) -> Iterator[np.ndarray]:
    """Previews of the whole slide from few reads, coarse first, each from more samples than the one before.

    A slide with a coarse level gives one preview, made from that level. From any other, at most ``max_reads`` stored
    pieces (tiles, strips) spread over the slide are read, and the gaps between them are interpolated. A slide that is
    stored as one compressed piece gives none.

    Parameters
    ----------
    longest_px
        Longer side of the previews.
    seconds
        Time after which no further samples are read.

    Yields
    ------
    ndarray
        (h, w), or (h, w, 3) for RGB, in the mosaic's type.

    Raises
    ------
    SlideError
        When none of the samples can be decoded.
    """
    if longest_px < 1 or max_reads < 1:
        raise InputError("A preview needs at least one pixel and one read.")
    shape = _picture_shape(mosaic.shape, longest_px)
    whole = mosaic.overview(longest_px)
    packed_px = math.prod(mosaic.piece_px)
    one_piece = packed_px >= math.prod(mosaic.shape)
    if whole is None and (packed_px <= LARGEST_PIECE_PX if one_piece else not needs_conversion(mosaic)):
        level = mosaic.stored_levels - 1
        whole = mosaic.read(Region(0, 0, *mosaic.levels[level].shape), level=level, channel=channel)
    if whole is not None:
        yield _resized(whole, shape).astype(mosaic.dtype)
        return
    if packed_px <= LARGEST_PIECE_PX:
        yield from _sampled(mosaic, shape, channel=channel, max_reads=max_reads, seconds=seconds)


def _sampled(
    mosaic: Mosaic, shape: tuple[int, int], *, channel: int, max_reads: int, seconds: float | None
) -> Iterator[np.ndarray]:
    samples = _Samples(mosaic, shape)
    rounds = list(_rounds(mosaic, max_reads))
    until = math.inf if seconds is None else time.monotonic() + seconds
    failure: MicroscopeQCError | None = None
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="preview")
    try:
        for number, regions in enumerate(rounds):
            waiting: list[tuple[Region, Future[np.ndarray | None]]] = [
                (region, pool.submit(_read_before, mosaic, region, channel, until)) for region in regions
            ]
            for region, future in waiting:
                try:
                    pixels = future.result()
                except MicroscopeQCError as error:  # a damaged tile costs its sample, not the preview
                    failure = error
                    continue
                if pixels is not None:
                    samples.put(region, pixels)
            if samples.count:
                yield samples.preview()
            elif failure is not None and number == len(rounds) - 1:
                raise failure
            if time.monotonic() > until:
                return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_before(mosaic: Mosaic, region: Region, channel: int, until: float) -> np.ndarray | None:
    return mosaic.read(region, channel=channel) if time.monotonic() <= until else None


def _rounds(mosaic: Mosaic, max_reads: int) -> Iterator[list[Region]]:
    """The regions to read, in rounds that are each four times as dense as the one before."""
    height, width = mosaic.shape
    piece_h, piece_w = min(mosaic.piece_px[0], height), min(mosaic.piece_px[1], width)
    count = max(1, min(max_reads, MAX_SAMPLED_PX // (piece_h * piece_w)))
    down, across = -(-height // piece_h), -(-width // piece_w)
    rows = min(down, max(1, round(math.sqrt(count * height / width))))
    columns = min(across, max(1, count // rows))
    rows = min(down, max(1, count // columns))
    done: set[tuple[int, int]] = set()
    for stride in STRIDES:
        chosen = [
            (i, j)
            for i in range(min(stride // 2, rows - 1), rows, stride)
            for j in range(min(stride // 2, columns - 1), columns, stride)
            if (i, j) not in done
        ]
        done.update(chosen)
        regions = [
            _piece((i + 0.5) * height / rows, (j + 0.5) * width / columns, (piece_h, piece_w), mosaic.shape)
            for i, j in chosen
        ]
        # the last round is three quarters of all reads: it is shown in thirds
        for part in range(3 if stride == 1 else 1):
            taken = regions[part::3] if stride == 1 else regions
            if taken:
                yield taken


def _piece(y: float, x: float, piece: tuple[int, int], shape: tuple[int, int]) -> Region:
    """The stored piece at a place, or the part of a large one around it."""
    top, left = int(y) // piece[0] * piece[0], int(x) // piece[1] * piece[1]
    # a strip is decoded as a whole anyway: take all columns, but not more rows than a sample needs
    size = (min(piece[0], SAMPLE_PX), piece[1] if piece[1] >= shape[1] else min(piece[1], SAMPLE_PX))
    top = min(max(top, int(y) - size[0] // 2), top + piece[0] - size[0])
    left = min(max(left, int(x) - size[1] // 2), left + piece[1] - size[1])
    return Region(top, left, top + size[0], left + size[1]).clip(shape)


class _Samples:
    """Samples at their places in the preview; gaps are filled in from wider and wider surroundings."""

    def __init__(self, mosaic: Mosaic, shape: tuple[int, int]) -> None:
        self._dtype, self._full, self._shape = mosaic.dtype, mosaic.shape, shape
        self._sums = np.zeros((*shape, 3 if mosaic.rgb else 1), np.float64)
        self._weights = np.zeros(shape, np.float64)
        self.count = 0

    def put(self, region: Region, pixels: np.ndarray) -> None:
        """Add the pixels of a full-resolution region."""
        scale = (self._shape[0] / self._full[0], self._shape[1] / self._full[1])
        y0, x0 = int(region.y0 * scale[0]), int(region.x0 * scale[1])
        y1 = min(self._shape[0], max(y0 + 1, round(region.y1 * scale[0])))
        x1 = min(self._shape[1], max(x0 + 1, round(region.x1 * scale[1])))
        small = _resized(pixels, (y1 - y0, x1 - x0)).reshape(y1 - y0, x1 - x0, -1)
        finite = np.isfinite(small).all(axis=2)
        self._sums[y0:y1, x0:x1] += np.where(finite[..., None], small, 0)
        self._weights[y0:y1, x0:x1] += finite
        self.count += 1

    def preview(self) -> np.ndarray:
        """The preview from the samples so far."""
        filled = _filled(self._sums, self._weights)
        if self._dtype.kind in "iu":
            info = np.iinfo(self._dtype)
            filled = np.clip(np.rint(filled), info.min, info.max)
        return (filled if filled.shape[2] == 3 else filled[..., 0]).astype(self._dtype)


def _filled(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean where there are samples, elsewhere the mean of the surroundings (push-pull over a pyramid)."""
    import cv2

    known = weights > 0
    means: Floats = np.divide(sums, weights[..., None], out=np.zeros_like(sums), where=known[..., None])
    if known.all() or max(weights.shape) == 1:
        return means
    height, width = weights.shape
    half = (-(-height // 2), -(-width // 2))
    pad = ((0, 2 * half[0] - height), (0, 2 * half[1] - width))
    held = np.pad(known.astype(np.float64), pad)
    small_weights = held.reshape(half[0], 2, half[1], 2).sum(axis=(1, 3))
    small_sums = np.pad(means * known[..., None], (*pad, (0, 0)))
    small_sums = small_sums.reshape(half[0], 2, half[1], 2, -1).sum(axis=(1, 3))
    coarse = _filled(small_sums, small_weights)
    wide = cv2.resize(coarse, (2 * half[1], 2 * half[0]), interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.where(known[..., None], means, wide.reshape(height, width, -1))


def _picture_shape(full: tuple[int, int], longest_px: int) -> tuple[int, int]:
    scale = min(1.0, longest_px / max(full))
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def _resized(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Area-averaged to a shape, in float64; types that OpenCV cannot average are converted first."""
    import cv2

    if pixels.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        pixels = pixels.astype(np.float64)
    smaller = pixels.shape[0] >= shape[0] and pixels.shape[1] >= shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (shape[1], shape[0]), interpolation=method), np.float64)
