"""Reads a region of a TIFF page through only the tiles or strips it needs."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.claims import DEFLATE_TIMES, JPEG_TIMES, LZW_TIMES, PACKBITS_TIMES, is_bomb
from microscope_qc.slides.piece_cache import PieceCache
from microscope_qc.slides.tiff.samples import APERIO_YCBCR, is_plain_ycbcr, rgb_of_ycbcr
from microscope_qc.slides.unpacking import for_each

# a larger strip or tile means a broken header, or a file that must be tiled before it can be viewed
MAX_SEGMENT_BYTES = 2 << 30
FEWEST_FOR_THREADS = 4
MOST_PAGES_HELD = 4096
MAX_TAGS = 4096
FIRST_PRIVATE_TAG = 32768
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# beyond this, only the needed part of each line is read
MAX_BAND_BYTES = 64 << 20
JPEG_KINDS = (6, 7, 34892, 33007)
MOST_TIMES = {
    5: LZW_TIMES, 7: JPEG_TIMES, 8: DEFLATE_TIMES, 32773: PACKBITS_TIMES, 32946: DEFLATE_TIMES, 33007: JPEG_TIMES,
}  # fmt: skip
# what tifffile and the codecs raise on damaged files
DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    OSError,
    AssertionError,
    struct.error,
    zlib.error,
)


def damaged(path: Path) -> SlideError:
    """The error for a TIFF that cannot be parsed."""
    return SlideError(
        f"{path.name} is a damaged TIFF, or it was not copied completely.", hint="Copy it again from the microscope."
    )


def is_cut_off(file: Any) -> bool:
    """Whether the chain of pages or a standard tag reaches beyond the end of the file; tifffile ignores both."""
    handle, order = file.filehandle, file.byteorder
    count_size, entry_size, offset_size = (8, 20, 8) if file.is_bigtiff else (2, 12, 4)
    formats = {2: "H", 4: "I", 8: "Q"}
    for page in {file.pages[0].offset: file.pages[0], file.pages[-1].offset: file.pages[-1]}.values():
        handle.seek(page.offset)
        head = handle.read(count_size)
        if len(head) < count_size:
            return True
        (count,) = struct.unpack(order + formats[count_size], head)
        entries = handle.read(min(count, MAX_TAGS) * entry_size)
        entry = struct.Struct(f"{order}HH{2 * formats[offset_size]}")
        for code, kind, values, offset in entry.iter_unpack(entries[: len(entries) // entry_size * entry_size]):
            size = values * VALUE_BYTES.get(kind, 0)
            # private tags may contain anything
            if size > offset_size and code < FIRST_PRIVATE_TAG and offset + size > handle.size:
                return True
    handle.seek(page.offset + count_size + count * entry_size)
    tail = handle.read(offset_size)
    return len(tail) < offset_size or struct.unpack(order + formats[offset_size], tail)[0] >= handle.size


def check_complete(path: Path, page: Any, plane: int) -> None:
    """Reject a page whose pixels reach beyond the end of its file.

    Raises
    ------
    SlideError
        When they do.
    """
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    if len(offsets) == 0 or len(offsets) != len(counts):
        raise damaged(path)
    end = int((offsets + counts).max())
    if plane:
        keyframe = page.keyframe
        end = int(offsets[0]) + (plane + 1) * int(np.prod(keyframe.shaped, dtype=np.int64)) * keyframe.dtype.itemsize
    if end > page.parent.filehandle.size:
        raise damaged(path)


def piece_of(keyframe: Any) -> tuple[int, int]:
    """(h, w) of what is decoded at once: a tile or a strip; uncompressed pixels can be read in any size."""
    if keyframe.is_tiled:
        return int(keyframe.tilelength), int(keyframe.tilewidth)
    if int(keyframe.compression) == 1:
        return 512, 512
    rows = min(int(keyframe.rowsperstrip), int(keyframe.imagelength))
    return max(1, rows), int(keyframe.imagewidth)


class PageReader:
    """Reads regions of any page of one slide, from any thread."""

    def __init__(self, path: Path, cache: PieceCache) -> None:
        self._path = path
        self._cache = cache
        self._lock = threading.Lock()
        self._closed = False
        self._pages: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._complete: set[tuple[int, int, int]] = set()

    def close(self) -> None:
        """Forget the decoded pieces; reads fail afterwards."""
        with self._lock:
            self._closed = True
        self._cache.clear()

    def page(self, series: Any, number: int, plane: int) -> Any:
        """A page of a series, checked to be complete; None where the file does not have it.

        Raises
        ------
        SlideError
            When it is cut off.
        """
        key = (id(series), number)
        with self._lock:  # tifffile reads a page from the file whenever it is accessed
            if self._closed:
                raise SlideError(f"{self._path.name} was closed.", hint="Open it again.")
            if key in self._pages:
                self._pages.move_to_end(key)
                page = self._pages[key]
            else:
                try:
                    page = series.pages[number]
                except DAMAGE as error:
                    raise damaged(self._path) from error
                self._pages[key] = page
                if len(self._pages) > MOST_PAGES_HELD:
                    self._pages.popitem(last=False)
            if page is not None and (*key, plane) not in self._complete:
                try:
                    check_complete(self._path, page, plane)
                except DAMAGE as error:
                    raise damaged(self._path) from error
                self._complete.add((*key, plane))
            return page

    def read(self, page: Any, region: Region, *, samples: Sequence[int], plane: int = 0) -> np.ndarray:
        """Pixels (h, w, len(samples)) of a region inside a page.

        Parameters
        ----------
        page
            tifffile's page or frame.
        samples
            Indices of the samples of a pixel, consecutive and ascending.
        plane
            Index of the plane after the page's offset, for files that store a whole stack behind one page.

        Raises
        ------
        SlideError
            When a tile is missing, cut off or cannot be decoded.
        """
        if self._closed:
            raise SlideError(f"{self._path.name} was closed.", hint="Open it again.")
        try:
            keyframe = page.keyframe
            if _is_plain(page, keyframe):
                return self._read_plain(page, keyframe, region, samples=samples, plane=plane)
            return self._read_segments(page, keyframe, region, samples=samples)
        except SlideError:
            raise
        except DAMAGE as error:
            raise self._undecodable(page, error) from error

    def _undecodable(self, page: Any, error: BaseException) -> SlideError:
        kind = page.keyframe.compression
        if any(word in str(error).lower() for word in ("compression", "codec")):
            name = getattr(kind, "name", str(kind))
            return SlideError(
                f"{self._path.name} is compressed in a way this program does not support (compression {name}).",
                hint="Save it as an uncompressed, LZW or JPEG TIFF.",
            )
        return SlideError(
            f"A part of {self._path.name} cannot be decoded; the file is damaged or not complete.",
            hint="Copy it again from the microscope.",
        )

    def _read_plain(
        self, page: Any, keyframe: Any, region: Region, *, samples: Sequence[int], plane: int
    ) -> np.ndarray:
        separate, depth, height, width, contiguous = keyframe.shaped
        dtype = np.dtype(page.parent.byteorder + keyframe.dtype.char)
        offset = int(page.dataoffsets[0]) + plane * separate * depth * height * width * contiguous * dtype.itemsize
        first, last = samples[0], samples[-1] + 1
        handle, bare = page.parent.filehandle, dtype.newbyteorder("=")
        if separate == 1:
            lines = self._lines(handle, offset, (width, contiguous), region, dtype)
            return np.ascontiguousarray(lines[..., first:last], bare)
        plane_bytes = depth * height * width * dtype.itemsize
        planes = [self._lines(handle, offset + s * plane_bytes, (width, 1), region, dtype)[..., 0] for s in samples]
        return np.stack(planes, axis=2).astype(bare, copy=False)

    def _lines(self, handle: Any, offset: int, size: tuple[int, int], region: Region, dtype: np.dtype) -> np.ndarray:
        """Uncompressed pixels (h, w, samples) at an offset, line by line.

        A memory map would be simpler, but crash the process when the file is truncated or its drive is disconnected.
        """
        width, samples = size
        pixel = samples * dtype.itemsize
        whole = 2 * region.shape[1] >= width and region.shape[0] * width * pixel <= MAX_BAND_BYTES
        x0, x1 = (0, width) if whole else (region.x0, region.x1)
        lines = np.empty((region.shape[0], x1 - x0, samples), dtype)
        flat = lines.reshape(-1).view(np.uint8).reshape(region.shape[0], -1)
        with self._lock:
            if self._closed:
                raise SlideError(f"{self._path.name} was closed.", hint="Open it again.")
            for row in range(1 if whole else region.shape[0]):
                handle.seek(offset + ((region.y0 + row) * width + x0) * pixel)
                target = flat.reshape(-1) if whole else flat[row]
                if handle.readinto(target.data) != target.nbytes:
                    raise EOFError("pixels are cut off")
        return lines[:, region.x0 - x0 : region.x1 - x0]

    def _read_segments(self, page: Any, keyframe: Any, region: Region, *, samples: Sequence[int]) -> np.ndarray:
        separate, _, height, width, _ = keyframe.shaped
        rows = keyframe.tilelength if keyframe.is_tiled else min(keyframe.rowsperstrip, height)
        columns = keyframe.tilewidth if keyframe.is_tiled else width
        across, down = -(-width // columns), -(-height // rows)
        deep = -(-keyframe.imagedepth // max(1, keyframe.tiledepth)) if keyframe.is_tiled else keyframe.imagedepth
        result = np.zeros((*region.shape, len(samples)), keyframe.dtype)

        def paste(place: tuple[int, int, int]) -> None:
            number, iy, ix = place
            sample = samples[number] if separate > 1 else 0
            piece = self._segment(page, keyframe, (sample * deep * down + iy) * across + ix)
            if piece is None:
                return
            y, x = iy * rows, ix * columns
            part = _overlap(Region(y, x, y + piece.shape[0], x + piece.shape[1]), region)
            if part.empty:
                return
            values = piece[part.y0 - y : part.y1 - y, part.x0 - x : part.x1 - x]
            target = result[part.y0 - region.y0 : part.y1 - region.y0, part.x0 - region.x0 : part.x1 - region.x0]
            if separate > 1:
                target[..., number] = values[..., 0]
            else:
                target[...] = values[..., samples[0] : samples[-1] + 1]

        places = [
            (number, iy, ix)
            for number in range(len(samples) if separate > 1 else 1)
            for iy in range(region.y0 // rows, -(-region.y1 // rows))
            for ix in range(region.x0 // columns, -(-region.x1 // columns))
        ]
        if len(places) < FEWEST_FOR_THREADS:
            for place in places:
                paste(place)
        else:  # the pieces do not overlap, so each thread writes its own part
            for_each(paste, places)
        return result

    def _segment(self, page: Any, keyframe: Any, index: int) -> np.ndarray | None:
        """One decoded tile or strip (h, w, samples); None where the file omits it."""
        offset, count = int(page.dataoffsets[index]), int(page.databytecounts[index])
        if offset == 0 or count == 0:
            return None
        return self._cache.get(
            (page.parent.filehandle.path, offset), lambda: self._decode(page, keyframe, index, offset, count)
        )

    def _decode(self, page: Any, keyframe: Any, index: int, offset: int, count: int) -> np.ndarray:
        if keyframe.is_tiled:
            size = keyframe.tilelength * keyframe.tilewidth * max(1, keyframe.tiledepth)
        else:
            size = min(keyframe.rowsperstrip, keyframe.imagelength) * keyframe.imagewidth
        decoded_bytes = size * keyframe.shaped[4] * keyframe.dtype.itemsize
        if is_bomb(decoded_bytes, count, MOST_TIMES.get(int(keyframe.compression))):
            raise damaged(self._path)
        if max(decoded_bytes, count) > MAX_SEGMENT_BYTES:
            raise SlideError(
                f"{self._path.name} stores its image in one piece that is too large to be decoded.",
                hint="Save it as a tiled TIFF or as OME-Zarr.",
            )
        handle = page.parent.filehandle
        with self._lock:
            if self._closed:
                raise SlideError(f"{self._path.name} was closed.", hint="Open it again.")
            # these read from the file when first accessed, so they are under the same lock
            extra: dict[str, Any] = {}
            if int(keyframe.compression) in JPEG_KINDS:
                extra = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
            decode = keyframe.decode
            handle.seek(offset)
            data = handle.read(count)
        if len(data) < count:
            raise EOFError("segment is cut off")
        decoded = decode(data, index, **extra)[0]
        if decoded is None:
            raise ValueError("segment is empty")
        pixels: np.ndarray = decoded[0]
        if int(keyframe.compression) == APERIO_YCBCR and is_plain_ycbcr(data):
            return rgb_of_ycbcr(pixels)
        return pixels


def _is_plain(page: Any, keyframe: Any) -> bool:
    """Whether the page's samples are stored uncompressed and contiguously."""
    if not keyframe.is_memmappable:
        return False
    offsets, counts = page.dataoffsets, page.databytecounts
    return all(offsets[i] + counts[i] == offsets[i + 1] for i in range(len(offsets) - 1))


def _overlap(a: Region, b: Region) -> Region:
    return Region(max(a.y0, b.y0), max(a.x0, b.x0), min(a.y1, b.y1), min(a.x1, b.x1))
