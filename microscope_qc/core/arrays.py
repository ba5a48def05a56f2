"""Types of numpy arrays for signatures; ``np.ndarray`` alone says nothing about its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
"""True or false."""
Ints = NDArray[np.integer[Any]]
"""Integers of any size: ids, indices."""
Floats = NDArray[np.floating[Any]]
"""Floating-point numbers of single or double precision."""
Rows = NDArray[np.void]
"""Records with named columns."""
