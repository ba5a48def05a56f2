"""The order in which findings are to be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.defect_class import DefectClass

Rows = np.ndarray | Mapping[str, np.ndarray]
"""Box rows, or their columns by name."""


PixelSize = tuple[float, float] | tuple[np.ndarray, np.ndarray] | None
"""(y, x) in um: one for all boxes, or one for each."""


def size_um(rows: Rows, pixel_size_um: PixelSize) -> Floats:
    """Longer side of each box in um (in px where the pixel size is not known)."""
    size_y, size_x = pixel_size_um or (1.0, 1.0)
    longer: Floats = np.maximum((rows["y1"] - rows["y0"]) * size_y, (rows["x1"] - rows["x0"]) * size_x)
    return longer


def worst_first(
    rows: Rows,
    classes: Sequence[DefectClass],
    pixel_size_um: PixelSize,
    *,
    limits: Mapping[int, float] | None = None,
) -> np.ndarray:
    """Order box rows from worst to least.

    Without limits: class weight, then size, then confidence. With limits (class id to the longest side in um that is
    still allowed), findings beyond their limit come first, by how far they exceed it.

    Returns
    -------
    ndarray
        Row numbers, worst first; equal findings stay in the order of their ids.
    """
    numbers, which = np.unique(rows["class_id"], return_inverse=True)
    weight_of = {cls.id: cls.weight for cls in classes}
    weight = np.array([weight_of.get(number, 1.0) for number in numbers.tolist()], float)[which]
    size = size_um(rows, pixel_size_um)
    confidence = np.nan_to_num(rows["confidence"].astype(float), nan=1.0)  # drawn by a user, who was sure
    keys = [rows["id"], -confidence, -size, -weight]
    if not limits:
        # weight and size as one number: what rounding makes equal is told apart by the keys themselves
        rank = np.searchsorted(np.unique(weight), weight)
        return _sorted(-(rank * (2.0 * size.max(initial=0.0) + 1.0) + size), keys)
    excess = np.zeros(len(size))
    for class_id, limit_um in limits.items():
        beyond = (rows["class_id"] == class_id) & (size > limit_um)
        excess[beyond] = size[beyond] / max(limit_um, 1e-9)
    return np.lexsort([*keys, -excess])


def _sorted(first: np.ndarray, keys: Sequence[np.ndarray]) -> np.ndarray:
    """As ``np.lexsort([*keys, first])``, several times faster where ``first`` has few equal values."""
    order = np.argsort(first)
    values = first[order]
    new = np.r_[True, values[1:] != values[:-1]] if len(values) else np.zeros(0, bool)
    tied = np.flatnonzero(~new | ~np.r_[new[1:], True]) if len(values) else np.zeros(0, np.int64)
    if len(tied):
        run = np.cumsum(new)[tied]
        among = order[tied]
        order[tied] = among[np.lexsort([*(key[among] for key in keys), run])]
    return order
