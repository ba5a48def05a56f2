"""Texture pools: slow to paint, shared by all readers of a slide."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np


def built_once(build: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Keep the last two results of `build(*key)`; threads that ask meanwhile wait instead of painting it again."""
    lock = threading.Lock()
    keep = lru_cache(maxsize=2)(build)

    def pool(*key: int) -> np.ndarray:
        with lock:
            return keep(*key)

    pool.__name__ = build.__name__
    pool.__doc__ = build.__doc__
    return pool
