"""Goes through an image once: every level is made on the way, and little more than a tile per level is held."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from microscope_qc.core.files import WriteError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress
from microscope_qc.slides.pyramid.levels import PyramidPlan, Shard, halve, open_level, split
from microscope_qc.slides.pyramid.shards import ShardWriter
from microscope_qc.slides.pyramid.source import SourceReader
from microscope_qc.slides.unpacking import reads_beside_others

MOST_CLOSING = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _TileRead:
    """One tile to be read: from the source on level 0, from what was stored before a kill on a coarser level."""

    level: int
    tile: tuple[int, int]
    stored: bool


@dataclass(slots=True)
class _Growing:
    """A tile of a coarser level, some of whose quarters are still missing."""

    pixels: np.ndarray
    missing: int


class UnsoundShard(WriteError):
    """A shard from an earlier conversion cannot be read back."""

    def __init__(self, shard: Shard, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.shard = shard


class PyramidWalk:
    """Writes all levels of one picture into a folder.

    Parameters
    ----------
    done
        Shards that are already there, each with all the finer shards it was made from.
    """

    def __init__(
        self,
        folder: Path,
        plan: PyramidPlan,
        source: SourceReader,
        writer: ShardWriter,
        *,
        done: Collection[Shard],
        workers: int,
    ) -> None:
        self._folder, self._plan, self._source, self._writer = folder, plan, source, writer
        self._shards_done = frozenset(done)
        self._workers = max(1, workers)
        self._thread = threading.local()
        self._packing: deque[Future[None]] = deque()
        self._stored: dict[int, Any] = {}
        self._growing: dict[tuple[int, tuple[int, int]], _Growing] = {}

    def run(self) -> Generator[Progress, None, None]:
        """Write the levels; yields progress in tiles of level 0."""
        plan = self._plan
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="pyramid", initializer=reads_beside_others)
        total = sum(1 for _ in plan.tiles(0))
        self._count = total - sum(1 for step in self._steps() if not step.stored)
        self._total = total
        try:
            self._pool = pool
            if self._shards_done:
                self._stored = {level: open_level(self._folder, level) for level in range(plan.top + 1)}
                yield self._progress("continuing where an earlier conversion stopped")
            for step, halved in in_order(pool, self._take, self._steps(), at_most=2 * self._workers):
                self._add(step.level, step.tile, halved)
                self._count += not step.stored
                self._writer.settle(at_most=MOST_CLOSING)
                yield self._progress()
            while self._packing:
                self._packing.popleft().result()
            self._writer.settle()
        finally:
            # no thread may still be writing when the folder is published or removed
            pool.shutdown(wait=True, cancel_futures=True)
            self._writer.close()

    def _is_done(self, level: int, tile: tuple[int, int]) -> bool:
        return self._plan.shard_of(level, self._plan.tile_region(level, tile)) in self._shards_done

    def _steps(self) -> Iterator[_TileRead]:
        """All reads: square by square, so that little is held, or row by row where the source has wide strips."""

        def below(level: int, tile: tuple[int, int]) -> Iterator[_TileRead]:
            stored = self._is_done(level, tile)
            if stored or level == 0:
                yield _TileRead(level, tile, stored)
            else:
                for child in self._plan.children(level, tile):
                    yield from below(level - 1, child)

        top = self._plan.top
        steps = (step for tile in self._plan.tiles(top) if not self._is_done(top, tile) for step in below(top, tile))
        if not self._plan.by_rows:
            return steps
        return iter(sorted(steps, key=lambda step: (step.tile[0] << step.level, step.tile[1] << step.level)))

    def _take(self, step: _TileRead) -> np.ndarray:
        return self._read_back(step) if step.stored else self._read_and_store(step)

    def _read_and_store(self, step: _TileRead) -> np.ndarray:
        """Read a source tile, store its chunks, return it halved: all in one thread while it is in the CPU's cache."""
        tile = self._plan.tile_region(0, step.tile)
        pixels = self._source.read(tile)
        half = np.empty((self._plan.planes, *((side + 1) // 2 for side in tile.shape)), self._plan.dtype)
        for region in split(tile):
            y, x = region.y0 - tile.y0, region.x0 - tile.x0
            if self._plan.rgb:
                chunk = self._colour_planes(pixels[y : y + region.shape[0], x : x + region.shape[1]])
            else:
                chunk = pixels[:, y : y + region.shape[0], x : x + region.shape[1]]
            self._writer.put(0, region, chunk)
            small = halve(chunk, ties_up=self._plan.ties_up(1))
            half[:, y // 2 : y // 2 + small.shape[1], x // 2 : x // 2 + small.shape[2]] = small
        return half

    def _colour_planes(self, pixels: np.ndarray) -> np.ndarray:
        """(h, w, 3) -> (3, h, w), valid until this thread's next call: one buffer stays in the CPU's cache."""
        if pixels.dtype not in (np.uint8, np.uint16, np.int16, np.float32):
            return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        import cv2

        planes = getattr(self._thread, "planes", None)
        if planes is None or planes.shape[1:] != pixels.shape[:2]:
            planes = self._thread.planes = np.empty((3, *pixels.shape[:2]), pixels.dtype)
        cv2.split(pixels, list(planes))  # twice as fast as numpy
        return planes

    def _read_back(self, step: _TileRead) -> np.ndarray:
        region = self._plan.tile_region(step.level, step.tile)
        try:
            pixels = self._plan.cut(self._stored[step.level], region).read().result()
        except Exception as error:  # whatever the library raises for a damaged chunk
            raise UnsoundShard(
                self._plan.shard_of(step.level, region),
                "The files of an earlier conversion cannot be read back; the drive may be failing.",
                hint="Convert again: the damaged part is written again.",
            ) from error
        return halve(np.asarray(pixels), ties_up=self._plan.ties_up(step.level + 1))

    def _add(self, level: int, tile: tuple[int, int], halved: np.ndarray) -> None:
        """Put a halved tile into its place on the coarser level; one that is now complete is stored and halved too."""
        while level < self._plan.top:
            level, y, x, tile = level + 1, tile[0] % 2, tile[1] % 2, (tile[0] // 2, tile[1] // 2)
            region = self._plan.tile_region(level, tile)
            growing = self._growing.get((level, tile))
            if growing is None:
                pixels = np.empty((self._plan.planes, *region.shape), self._plan.dtype)
                growing = _Growing(pixels, missing=sum(1 for _ in self._plan.children(level, tile)))
                self._growing[level, tile] = growing
            y, x = y * self._plan.tile_px // 2, x * self._plan.tile_px // 2
            growing.pixels[:, y : y + halved.shape[1], x : x + halved.shape[2]] = halved
            growing.missing -= 1
            if growing.missing:
                return
            del self._growing[level, tile]
            self._packing.append(self._pool.submit(self._store, level, region, growing.pixels))
            while len(self._packing) > 2 * self._workers or (self._packing and self._packing[0].done()):
                self._packing.popleft().result()
            halved = halve(growing.pixels, ties_up=self._plan.ties_up(level + 1))

    def _store(self, level: int, tile: Region, pixels: np.ndarray) -> None:
        for region in split(tile):
            y, x = region.y0 - tile.y0, region.x0 - tile.x0
            self._writer.put(level, region, pixels[:, y : y + region.shape[0], x : x + region.shape[1]])

    def _progress(self, note: str = "") -> Progress:
        return Progress(self._count, self._total, "tiles", note)


def in_order(
    pool: ThreadPoolExecutor, call: Callable[[Item], Result], items: Iterable[Item], *, at_most: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with the result of ``call``, in order, while up to ``at_most`` more are being computed."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(call, item)))
        if len(waiting) > at_most:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()
