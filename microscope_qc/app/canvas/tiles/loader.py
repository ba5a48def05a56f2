"""Threads that fetch and render tiles for the newest view. No Qt or OpenGL here."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.canvas.tiles.tile_plan import TileId
from microscope_qc.core.errors import Cancelled, MicroscopeQCError
from microscope_qc.core.jobs import CancelToken
from microscope_qc.slides.display import visible_channels
from microscope_qc.slides.tile_cache import damaged_picture

if TYPE_CHECKING:
    from microscope_qc.slides.display import DisplaySettings
    from microscope_qc.slides.tile_cache import TileSource

log = logging.getLogger(__name__)

MOST_THREADS = 4
AHEAD_SHARE = 4
"""What is fetched ahead for one view fills at most one part in so many of the cache."""


def thread_count() -> int:
    """Number of readers that keep a slow drive busy without slowing down the window."""
    return min(MOST_THREADS, 2 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class LoadedTile:
    """A tile ready to be shown: ``pixels`` (h, w, 3) uint8, hatched when ``damaged``."""

    source: TileSource
    tile: TileId
    serial: int
    pixels: np.ndarray
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class _View:
    """Slide and display settings of the newest view."""

    source: TileSource
    display: DisplaySettings | None
    serial: int


@dataclass(eq=False, slots=True)
class _Reading:
    view: _View
    tile: TileId
    ahead: bool
    cancel: CancelToken


class TileLoader:
    """Fetches tiles in the order of the requests; a new view drops those that have not been started.

    Parameters
    ----------
    on_ready
        Called from a reader thread when there are new results to :meth:`take`.
    """

    def __init__(self, on_ready: Callable[[], None], *, threads: int | None = None) -> None:
        self._on_ready = on_ready
        self._condition = threading.Condition()
        self._view: _View | None = None
        self._wanted: deque[TileId] = deque()
        self._ahead: deque[TileId] = deque()
        self._ahead_bytes = 0
        self._readings: list[_Reading] = []
        self._ready: dict[TileId, LoadedTile] = {}
        self._stopped = False
        count = threads if threads is not None else thread_count()
        self._most_ahead = max(1, count // 2)
        self._threads = [
            threading.Thread(target=self._work, name=f"tiles-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def show(
        self,
        source: TileSource,
        wanted: Sequence[TileId],
        *,
        ahead: Sequence[TileId] = (),
        display: DisplaySettings | None = None,
        serial: int = 0,
    ) -> None:
        """Fetch ``wanted`` in this order, then ``ahead`` into the cache only; earlier requests are dropped.

        ``serial`` is incremented with the display settings: results with another one are kept only if still wanted.
        """
        with self._condition:
            view = _View(source, display, serial)
            self._view = view
            still, later = set(wanted), set(ahead)
            self._ready = {
                tile: loaded for tile, loaded in self._ready.items() if loaded.source is source and tile in still
            }
            underway = set()
            for reading in self._readings:
                same = reading.view.source is source
                if not same or (reading.tile not in still and reading.tile not in later):
                    reading.cancel.cancel()
                elif not reading.ahead and reading.view.serial == serial and not reading.cancel.cancelled:
                    underway.add(reading.tile)
            there = {tile for tile, loaded in self._ready.items() if loaded.serial == serial}
            self._wanted = deque(tile for tile in wanted if tile not in underway and tile not in there)
            self._ahead = deque(ahead)
            self._ahead_bytes = 0
            self._condition.notify_all()

    def clear(self) -> None:
        """Stop fetching and drop the results."""
        with self._condition:
            self._view = None
            self._wanted.clear()
            self._ahead.clear()
            self._ready.clear()
            for reading in self._readings:
                reading.cancel.cancel()

    def take(self, most_bytes: int) -> list[LoadedTile]:
        """Return results since the last call, oldest first, at least one and together at most ``most_bytes``."""
        taken: list[LoadedTile] = []
        size = 0
        with self._condition:
            while self._ready:
                tile, loaded = next(iter(self._ready.items()))
                size += loaded.pixels.nbytes
                if taken and size > most_bytes:
                    break
                taken.append(self._ready.pop(tile))
        return taken

    @property
    def has_ready(self) -> bool:
        """Whether there are results to take."""
        with self._condition:
            return bool(self._ready)

    @property
    def busy(self) -> bool:
        """Whether something is being fetched or waiting."""
        with self._condition:
            return bool(self._wanted or self._ahead or self._readings)

    def close(self) -> None:
        """Stop and wait for reads in progress."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self.clear()
        for thread in self._threads:
            thread.join()

    # -- reader threads ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (reading := self._next()) is not None:
            loaded = None
            try:
                if reading.ahead:
                    self._fetch_ahead(reading)
                else:
                    loaded = self._load(reading)
            except Cancelled:
                pass  # the user has moved on
            except Exception:  # a reader must survive any error; the tile is shown as damaged
                log.exception("tile %s of %s", reading.tile, reading.view.source.mosaic.path)
                loaded = None if reading.ahead else self._damaged(reading)
            self._finish(reading, loaded)

    def _next(self) -> _Reading | None:
        with self._condition:
            while not self._stopped:
                view = self._view
                if view is not None and self._wanted:
                    return self._begin(view, self._wanted.popleft(), ahead=False)
                if view is not None and self._ahead and self._may_look_ahead(view):
                    return self._begin(view, self._ahead.popleft(), ahead=True)
                self._condition.wait()
            return None

    def _may_look_ahead(self, view: _View) -> bool:
        if any(not reading.ahead for reading in self._readings):
            return False  # the view itself is not complete
        if self._ahead_bytes >= view.source.cache.limit // AHEAD_SHARE:
            self._ahead.clear()
            return False
        return sum(reading.ahead for reading in self._readings) < self._most_ahead

    def _begin(self, view: _View, tile: TileId, *, ahead: bool) -> _Reading:
        reading = _Reading(view, tile, ahead, CancelToken())
        self._readings.append(reading)
        return reading

    def _load(self, reading: _Reading) -> LoadedTile:
        view = reading.view
        try:
            pixels = view.source.picture(*reading.tile, display=view.display, cancel=reading.cancel)
        except MicroscopeQCError:  # the source has reported it
            return self._damaged(reading)
        return LoadedTile(view.source, reading.tile, view.serial, pixels)

    def _damaged(self, reading: _Reading) -> LoadedTile:
        view = reading.view
        pixels = damaged_picture(view.source.region(*reading.tile).shape)
        return LoadedTile(view.source, reading.tile, view.serial, pixels, damaged=True)

    def _fetch_ahead(self, reading: _Reading) -> None:
        source, display = reading.view.source, reading.view.display
        place = source.place(display)
        size = 0
        for channel in visible_channels(source.mosaic, display):
            if source.peek(*reading.tile, channel, place=place) is None:
                try:
                    pixels = source.tile(*reading.tile, channel, place=place, cancel=reading.cancel)
                    size += pixels.nbytes * source.cost(reading.tile[0])
                except MicroscopeQCError:  # the source has reported it
                    continue
        with self._condition:
            self._ahead_bytes += size

    def _finish(self, reading: _Reading, loaded: LoadedTile | None) -> None:
        with self._condition:
            self._readings.remove(reading)
            self._condition.notify_all()
            view = self._view
            if self._stopped or loaded is None or view is None or view.source is not loaded.source:
                return
            older = self._ready.get(loaded.tile)
            if older is not None and older.serial > loaded.serial:
                return
            first = not self._ready
            self._ready[loaded.tile] = loaded
        if first:
            self._on_ready()
