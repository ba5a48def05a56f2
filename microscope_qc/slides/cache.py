"""Decoded pieces of pictures, kept while they fit; a piece that several threads want is decoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np


class PieceCache:
    """Keeps the most recently used arrays up to ``limit_bytes``; the newest stays even when it is larger than that."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._pieces: OrderedDict[Hashable, Future[np.ndarray]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The piece under ``key``, made by ``make`` when it is not kept; what ``make`` raises is raised."""
        with self._lock:
            future = self._pieces.get(key)
            mine = future is None
            if future is None:
                future = self._pieces[key] = Future()
            else:
                self._pieces.move_to_end(key)
        if not mine:
            return future.result()
        try:
            piece = make()
        except BaseException as error:
            with self._lock:
                self._pieces.pop(key, None)
            future.set_exception(error)
            raise
        future.set_result(piece)
        with self._lock:
            if self._pieces.get(key) is future:
                self._bytes += piece.nbytes
            self._shrink(key)
        return piece

    def drop(self, key: Hashable) -> None:
        """Forget one piece."""
        with self._lock:
            future = self._pieces.pop(key, None)
            if future is not None and future.done():
                self._bytes -= future.result().nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pieces.clear()
            self._bytes = 0

    def _shrink(self, newest: Hashable) -> None:
        for key in list(self._pieces):
            if self._bytes <= self._limit:
                return
            future = self._pieces[key]
            if key != newest and future.done():
                del self._pieces[key]
                self._bytes -= future.result().nbytes
