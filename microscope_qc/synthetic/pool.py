"""Cache for textures, which are slow to paint and shared by all readers of a slide."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np


def built_once(build: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Cache the last two results of `build(*key)`; concurrent callers wait instead of painting them again."""
    lock = threading.Lock()
    keep = lru_cache(maxsize=2)(build)

    def pool(*key: int) -> np.ndarray:
        with lock:
            return keep(*key)

    pool.__name__ = build.__name__
    pool.__doc__ = build.__doc__
    return pool
