"""The last stage: answers become results and are written, in a thread beside the forward pass. No torch in here."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

DEPTH = 4
"""Batches that may wait to be written before the forward pass waits for them."""


T = TypeVar("T")


class Sink(Generic[T]):
    """Calls ``take`` with every item in a thread of its own, in order, a few behind at most."""

    def __init__(self, take: Callable[[T], None]) -> None:
        self._take = take
        self._items: queue.Queue[T | None] = queue.Queue(DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="results", daemon=True)
        self._thread.start()

    def put(self, item: T) -> float:
        """Hand an item over; return the seconds waited for room. Raises what ``take`` raised before."""
        started = time.perf_counter()
        self._items.put(item)
        self._raise()
        return time.perf_counter() - started

    def close(self) -> None:
        """Wait until everything is taken. Raises what ``take`` raised."""
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
            if failed:  # nothing after a failure is written, but nobody waits for room for ever either
                continue
            try:
                self._take(item)
            except BaseException as error:
                self._error, failed = error, True
