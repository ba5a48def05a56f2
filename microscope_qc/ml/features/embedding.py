"""Computes the features of a slide: what is there already is kept, so that it may be stopped or killed at any time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import psutil
import torch

from microscope_qc.core.errors import Cancelled
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import HoldOff, Job, Progress
from microscope_qc.ml.engine.engine import one_image_thread
from microscope_qc.ml.engine.streams import stream_count
from microscope_qc.ml.features.grid import COARSE, FINE, Place
from microscope_qc.ml.features.reading import read_cells
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.trunk import COARSE_HALO, HALO, Trunk
from microscope_qc.ml.heap import give_back_freed_memory, keep_freed_memory

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

_TILE_BYTES = 1_600_000_000
"""Memory in which a tile is computed."""
_FINE_SHARE = 0.8
"""Work of the fine map of a chunk, as a share of that of both."""
_LOOK_S = 0.2
WAITING = "waiting while the slide is moved"


def embed(mosaic: Mosaic, store: FeatureStore, trunk: Trunk, *, hold_off: HoldOff | None = None) -> Job[int]:
    """Compute what a store does not hold yet; return the number of parts of the slide that cannot be read.

    Parameters
    ----------
    hold_off
        It waits, between the layers of the network, as long as this asks for it.

    Raises
    ------
    ProjectError
        When another process is computing them.
    WriteError
        When the disk is full.
    """
    store.begin()
    if trunk.device.type == "cpu":
        keep_freed_memory()  # returned, it came back as pages cleared one by one: a third of the processor time
    try:
        work, places = _Work(mosaic, store, trunk, hold_off or HoldOff()), store.grid.places
        yield Progress(0, len(places), "tiles", "looking at what is there")
        with one_image_thread():
            for stride, make, share in ((FINE, work.fine, _FINE_SHARE), (COARSE, work.coarse, 1 - _FINE_SHARE)):
                missing = [place for place in places if not store.is_whole(place, stride)]
                before = len(places) * (share if stride == FINE else 1) - len(missing) * share
                for done in work.over(missing, make):
                    note = WAITING if work.hold_off.seconds_left else ""
                    yield Progress(before + done * share, len(places), "tiles", note)
    finally:
        store.end()
        give_back_freed_memory()
    return store.unread


class _Work:
    """What is done for each chunk, in any thread."""

    def __init__(self, mosaic: Mosaic, store: FeatureStore, trunk: Trunk, hold_off: HoldOff) -> None:
        self.hold_off = hold_off
        self._mosaic, self._store, self._trunk = mosaic, store, trunk
        self._ended = threading.Event()
        self._shares: dict[Place, float] = {}

    def fine(self, place: Place) -> None:
        """Read the tile of a chunk and store its map of stride 16."""
        own = self._store.grid.cells(place)
        seen = own.grow(HALO).clip(self._store.grid.shape)
        pixels, unread = read_cells(self._mosaic, self._store.grid, seen)
        features = self._trunk.fine(pixels, step=lambda share: self._note(place, share))
        self._store.write(place, FINE, features[_within(own, seen)], unread=unread)

    def coarse(self, place: Place) -> None:
        """Store the map of stride 32 of a chunk, from those of stride 16 around it."""
        grid = self._store.grid
        seen = grid.cells(place).grow(COARSE_HALO).clip(grid.shape)
        features = self._trunk.coarse(self._store.window(seen, FINE), step=lambda share: self._note(place, share))
        own, start = grid.cells(place, COARSE), Region(seen.y0 // 2, seen.x0 // 2, 0, 0)
        self._store.write(place, COARSE, features[_within(own, start)])

    def _note(self, place: Place, share: float) -> None:
        self._shares[place] = share
        while wait_s := self.hold_off.seconds_left:
            if self._ended.wait(wait_s):
                break
        if self._ended.is_set():
            raise Cancelled

    def over(self, places: Sequence[Place], make: Callable[[Place], None]) -> Iterator[float]:
        """Do it for all of them; yields how many are done, often."""
        device, threads = self._trunk.device, torch.get_num_threads()
        count = min(stream_count(device), max(1, psutil.virtual_memory().available // _TILE_BYTES))
        each = max(1, threads // count)
        self._shares.clear()

        def one(place: Place) -> None:
            self._note(place, 0.0)
            make(place)
            self._shares[place] = 1.0

        pool = ThreadPoolExecutor(count, "features", initializer=lambda: torch.set_num_threads(each))
        try:
            left = {pool.submit(one, place) for place in places}
            while left:
                ended, left = wait(left, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                yield sum(self._shares.values())
        finally:
            self._ended.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._ended.clear()
            torch.set_num_threads(threads)  # parts of torch have one number for the whole program


def _within(part: Region, whole: Region) -> tuple[slice, slice]:
    return slice(part.y0 - whole.y0, part.y1 - whole.y0), slice(part.x0 - whole.x0, part.x1 - whole.x0)
