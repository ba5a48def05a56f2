"""The last stage: writes results in a thread while the next batch is computed. No torch in here."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

DEPTH = 4
"""Number of batches that may wait to be written before the forward pass has to wait."""


T = TypeVar("T")


class Sink(Generic[T]):
    """Calls ``take`` with every item in a separate thread, in order, at most a few items behind."""

    def __init__(self, take: Callable[[T], None]) -> None:
        self._take = take
        self._items: queue.Queue[T | None] = queue.Queue(DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="results", daemon=True)
        self._thread.start()

    def put(self, item: T) -> float:
        """Pass on an item; return the seconds waited for room. Raises earlier errors of ``take``."""
        started = time.perf_counter()
        self._items.put(item)
        self._raise()
        return time.perf_counter() - started

    def close(self) -> None:
        """Wait until all items are processed. Raises errors of ``take``."""
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        failed = False
        while (item := self._items.get()) is not None:
            if failed:  # after an error nothing is written, but the queue is emptied so that no thread waits forever
                continue
            try:
                self._take(item)
            except BaseException as error:
                self._error, failed = error, True
