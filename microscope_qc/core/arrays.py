"""Kinds of numpy arrays, where a signature can say what is in one; ``np.ndarray`` says nothing about its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
"""True or false."""
Ints = NDArray[np.integer[Any]]
"""Whole numbers of any size: ids, places."""
Floats = NDArray[np.floating[Any]]
"""Numbers of single or double precision."""
Rows = NDArray[np.void]
"""Records with named columns."""
