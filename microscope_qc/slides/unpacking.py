"""Decodes the pieces of one region on several threads, unless the caller is itself one of several reading threads."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Place = TypeVar("Place")

_thread = threading.local()


@functools.lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Shared by all readers; a task never waits for another, so that many readers cannot block each other."""
    return ThreadPoolExecutor(max(2, min(4, os.cpu_count() or 2)), thread_name_prefix="unpack")


def reads_beside_others() -> None:
    """Declare that the calling thread is one of a pool that keeps all cores busy, so that it decodes on its own.

    Handing pieces to further threads would only move pixels from one core's cache to another's.
    """
    _thread.beside_others = True


def for_each(call: Callable[[Place], None], places: Iterable[Place]) -> None:
    """Call ``call`` for every place, in any order; returns when all are done and raises the first error."""
    if getattr(_thread, "beside_others", False):
        for place in places:
            call(place)
        return
    for _ in _threads().map(call, places):
        pass
