"""Writes zarr v3 shards chunk by chunk from several threads, without ever holding a whole shard.

Libraries write a shard at once: that needs all its pixels in memory on every level, and was slower.
The layout follows the specification (https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/):
the encoded chunks in any order, then an index of (offset, length) for each place, then the checksum of the index.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.slides.pyramid.levels import CHUNK_PX, CODEC_LEVEL, CODEC_NAME, PyramidPlan, Shard

NOTHING = np.iinfo(np.uint64).max  # offset and length of a place beyond the border of the image
MAX_OPEN_PLANES = 4


def crc32c(data: bytes | bytearray | np.ndarray) -> int:
    """Checksum as zarr stores it."""
    from numcodecs.checksum32 import CRC32C

    checksum: int = CRC32C.checksum(data, 0)
    return checksum


def padded_chunk(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Pixels (c, h, w) padded to the full, contiguous chunk that is encoded."""
    if pixels.shape[1:] == (CHUNK_PX, CHUNK_PX):
        return np.ascontiguousarray(pixels, dtype.newbyteorder("<"))
    chunk = np.zeros((len(pixels), CHUNK_PX, CHUNK_PX), dtype.newbyteorder("<"))
    chunk[:, : pixels.shape[1], : pixels.shape[2]] = pixels
    return chunk


def shard_digest(digests: np.ndarray) -> int:
    """One checksum of the checksums of all chunks of a shard, in the order of their places (0 where there is none)."""
    return crc32c(np.ascontiguousarray(digests, "<u4").tobytes())


class ShardWriter:
    """Takes chunks in any order; a complete shard is flushed to the disk and reported with its checksum."""

    def __init__(self, folder: Path, plan: PyramidPlan, on_shard: Callable[[Shard, int], None]) -> None:
        self._folder, self._plan, self._on_shard = folder, plan, on_shard
        self._lock = threading.Lock()
        self._open: dict[Shard, _OpenShard] = {}
        # waiting for the disk must not block a thread that encodes
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="shards")
        self._closing: deque[Future[None]] = deque()

    def put(self, level: int, region: Region, pixels: np.ndarray) -> None:
        """Encode and store the chunk (c, h, w) at ``region`` of a level."""
        plan = self._plan
        key = plan.shard_of(level, region)
        with self._lock:
            shard = self._open.get(key)
            if shard is None:
                shard = self._open[key] = _OpenShard(self._folder, plan, key)
        for number in range(plan.planes // plan.depth):
            chunk = padded_chunk(pixels[number * plan.depth : (number + 1) * plan.depth], plan.dtype)
            shard.append(number, region, crc32c(chunk), _packed(chunk))
        with self._lock:
            shard.missing -= 1
            if shard.missing == 0:
                del self._open[key]
                self._closing.append(self._closer.submit(self._finish, key, shard))

    def _finish(self, key: Shard, shard: _OpenShard) -> None:
        self._on_shard(key, shard.finish())

    def settle(self, *, at_most: int = 0) -> None:
        """Wait until at most ``at_most`` complete shards are still being flushed; raise errors that occurred."""
        while len(self._closing) > at_most or (self._closing and self._closing[0].done()):
            self._closing.popleft().result()

    def close(self) -> None:
        """Stop writing; complete shards are still flushed, the others stay as they are."""
        self._closer.shutdown(wait=True)
        for shard in self._open.values():
            shard.abandon()


class _OpenShard:
    """The files of an incomplete shard."""

    def __init__(self, folder: Path, plan: PyramidPlan, key: Shard) -> None:
        region, stored = plan.shard_region(key), plan.shard_shape(key[0])
        self._columns = stored[1] // CHUNK_PX
        places = stored[0] // CHUNK_PX * self._columns
        self._origin = (region.y0, region.x0)
        self.missing = -(-region.shape[0] // CHUNK_PX) * -(-region.shape[1] // CHUNK_PX)
        paths = plan.shard_files(folder, key)
        keep_open = len(paths) <= MAX_OPEN_PLANES
        self._files = [_ShardFile(path, keep_open=keep_open) for path in paths]
        self._index = np.full((len(paths), places, 2), NOTHING, "<u8")
        self._digests = np.zeros((len(paths), places), "<u4")

    def append(self, number: int, region: Region, digest: int, packed: Sequence[bytes | bytearray]) -> None:
        """Add a chunk of the plane or planes that file ``number`` holds."""
        row, column = (region.y0 - self._origin[0]) // CHUNK_PX, (region.x0 - self._origin[1]) // CHUNK_PX
        place = row * self._columns + column
        offset = self._files[number].append(packed)
        self._index[number, place] = offset, sum(len(part) for part in packed)
        self._digests[number, place] = digest

    def finish(self) -> int:
        """Add the indices, flush the files to the disk, return the checksum of all pixels."""
        for file, index in zip(self._files, self._index, strict=True):
            content = index.tobytes()
            file.append((content, crc32c(content).to_bytes(4, "little")))
            file.sync()
        return shard_digest(self._digests)

    def abandon(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):  # an incomplete shard is written again or removed
                file.close()


class _ShardFile:
    def __init__(self, path: Path, *, keep_open: bool) -> None:
        self._path, self._keep_open = path, keep_open
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._end = 0
        self._file = path.open("wb", buffering=0)
        self._rest()

    def _rest(self) -> None:
        if not self._keep_open:
            self._file.close()

    def _wake(self) -> None:
        if self._file.closed:
            self._file = self._path.open("ab", buffering=0)

    def append(self, parts: Sequence[bytes | bytearray]) -> int:
        with self._lock:
            self._wake()
            offset = self._end
            for part in parts:
                view = memoryview(part)
                while view:  # an unbuffered write may be partial
                    view = view[self._file.write(view) :]
                self._end += len(part)
            self._rest()
            return offset

    def sync(self) -> None:
        with self._lock:
            self._wake()
            os.fsync(self._file.fileno())
            self._file.close()

    def close(self) -> None:
        self._file.close()


def _packed(chunk: np.ndarray) -> tuple[bytes | bytearray, bytes]:
    """A chunk as it is stored, and its checksum, which are joined only in the file."""
    import imagecodecs

    size = chunk.dtype.itemsize
    packed = imagecodecs.blosc_encode(
        chunk,  # type: ignore[arg-type]  # accepts any buffer
        level=CODEC_LEVEL,
        compressor=CODEC_NAME,
        shuffle="shuffle" if size > 1 else "noshuffle",
        typesize=size,
        numthreads=1,
    )
    return packed, crc32c(packed).to_bytes(4, "little")
