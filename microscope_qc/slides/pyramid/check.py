"""Reads a finished pyramid back from the disk and compares it with what was written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.files import WriteError
from microscope_qc.core.jobs import Progress
from microscope_qc.slides.pyramid.levels import CHUNK_PX, PyramidPlan, Shard, open_level, split
from microscope_qc.slides.pyramid.shards import crc32c, padded_chunk, shard_digest
from microscope_qc.slides.pyramid.walk import in_order

NOTE = "checking what was written"


def check_levels(
    folder: Path,
    plan: PyramidPlan,
    digests: Mapping[Shard, int],
    *,
    name: str,
    workers: int,
    on_bad: Callable[[Iterable[Shard]], None],
) -> Generator[Progress, None, None]:
    """Read every chunk of every level with its checksum, and compare the pixels with their digest from writing.

    Raises
    ------
    WriteError
        When shards are missing, cannot be read or have other pixels; ``on_bad`` was called with them.
    """
    shards = list(plan.shards())
    yield Progress(0, len(shards), "files", NOTE)
    arrays = [open_level(folder, level) for level in range(plan.top + 1)]
    bad: list[Shard] = []
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="check")
    try:
        calls = in_order(
            pool, lambda shard: _digest(folder, plan, shard, arrays[shard[0]]), shards, at_most=2 * workers
        )
        for count, (shard, digest) in enumerate(calls, 1):
            if digest is None or digest != digests.get(shard):
                bad.append(shard)
            yield Progress(count, len(shards), "files", NOTE)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if bad:
        on_bad(bad)
        level = bad[0][0]
        place = plan.shard_region(bad[0])
        raise WriteError(
            f"{name} was not stored as it was written: {len(bad)} of {len(shards)} files differ (the first on level "
            f"{level} at x {place.x0}, y {place.y0}).",
            hint="The drive may be failing: choose another one. Converting again rewrites only the damaged files.",
        )


def _digest(folder: Path, plan: PyramidPlan, shard: Shard, array: Any) -> int | None:
    """Digest of a shard's pixels as stored on the disk; None when they cannot be read."""
    for path in plan.shard_files(folder, shard):
        if not _forget_cached(path):
            return None
    region, stored = plan.shard_region(shard), plan.shard_shape(shard[0])
    columns = stored[1] // CHUNK_PX
    digests = np.zeros((plan.planes // plan.depth, stored[0] // CHUNK_PX * columns), "<u4")
    for tile in split(region, plan.tile_px):
        try:
            pixels = np.asarray(plan.of_shard(shard).cut(array, tile).read().result())
        except Exception:  # whatever the library raises for a damaged file; the caller tells the user
            return None
        for chunk in split(tile):
            place = (chunk.y0 - region.y0) // CHUNK_PX * columns + (chunk.x0 - region.x0) // CHUNK_PX
            y, x = chunk.y0 - tile.y0, chunk.x0 - tile.x0
            part = pixels[:, y : y + chunk.shape[0], x : x + chunk.shape[1]]
            for number in range(len(digests)):
                planes = part[number * plan.depth : (number + 1) * plan.depth]
                digests[number, place] = crc32c(padded_chunk(planes, plan.dtype))
    return shard_digest(digests)


def _forget_cached(path: Path) -> bool:
    """Drop a file from the system's cache, so that the disk itself is read; returns whether the file exists."""
    try:
        with path.open("rb") as file:
            if sys.platform == "linux":  # other systems have no such call
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except FileNotFoundError:
        return False
    return True
