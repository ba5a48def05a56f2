"""A cache of decoded pieces of images; a piece that several threads request is decoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np

from microscope_qc.core.errors import Cancelled


class PieceCache:
    """Keeps the most recently used arrays up to ``limit_bytes``; the newest is kept even if it is larger than that."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._pieces: OrderedDict[Hashable, Future[np.ndarray]] = OrderedDict()

    @property
    def limit(self) -> int:
        """Upper limit of the bytes that are kept."""
        return self._limit

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept now, without pieces that are still being decoded."""
        with self._lock:
            return self._bytes

    def set_limit(self, limit_bytes: int) -> None:
        """Change the limit; drops what no longer fits."""
        with self._lock:
            self._limit = limit_bytes
            self._shrink(None)

    def peek(self, key: Hashable) -> np.ndarray | None:
        """The piece under ``key`` if it is cached; never waits."""
        with self._lock:
            future = self._pieces.get(key)
            if future is None or not future.done():
                return None
            self._pieces.move_to_end(key)
            return future.result()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The piece under ``key``, made by ``make`` if it is not cached; errors of ``make`` are raised.

        If the thread that makes a piece is cancelled (``Cancelled``), another one that waits for it makes it.
        """
        while True:
            with self._lock:
                future = self._pieces.get(key)
                if future is None:
                    future = self._pieces[key] = Future()
                    break
                self._pieces.move_to_end(key)
            try:
                return future.result()
            except Cancelled:
                continue
        try:
            piece = make()
        except BaseException as error:
            with self._lock:
                if self._pieces.get(key) is future:
                    del self._pieces[key]
            future.set_exception(error)
            raise
        with self._lock:
            future.set_result(piece)
            if self._pieces.get(key) is future:
                self._bytes += piece.nbytes
            self._shrink(key)
        return piece

    def drop(self, key: Hashable) -> None:
        """Forget one piece."""
        with self._lock:
            self._forget(key)

    def drop_where(self, gone: Callable[[Hashable], bool]) -> None:
        """Forget every piece for whose key ``gone`` is true."""
        with self._lock:
            for key in [key for key in self._pieces if gone(key)]:
                self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pieces.clear()
            self._bytes = 0

    def _forget(self, key: Hashable) -> None:
        future = self._pieces.pop(key, None)
        if future is not None and future.done():
            self._bytes -= future.result().nbytes

    def _shrink(self, newest: Hashable | None) -> None:
        if self._bytes <= self._limit:
            return
        gone = []
        spare = self._bytes - self._limit
        for key, future in self._pieces.items():
            if spare <= 0:
                break
            if key != newest and future.done():
                gone.append(key)
                spare -= future.result().nbytes
        for key in gone:
            self._forget(key)
