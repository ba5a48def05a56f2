"""Which find a person should look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from microscope_qc.core.defect_class import DefectClass


def size_um(rows: np.ndarray, pixel_size_um: tuple[float, float] | None) -> np.ndarray:
    """Longer side of each box in um (in px where the pixel size is not known)."""
    size_y, size_x = pixel_size_um or (1.0, 1.0)
    return np.maximum((rows["y1"] - rows["y0"]) * size_y, (rows["x1"] - rows["x0"]) * size_x)


def worst_first(
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    pixel_size_um: tuple[float, float] | None,
    *,
    limits: Mapping[int, float] | None = None,
) -> np.ndarray:
    """Order box rows from worst to least.

    Without limits: class weight, then size, then confidence. With limits (class id to the longest side in um that is
    still allowed), finds beyond their limit come first, by how far they exceed it.

    Returns
    -------
    ndarray
        Row numbers, worst first; equal finds stay in the order of their ids.
    """
    weight_of = {cls.id: cls.weight for cls in classes}
    weight = np.array([weight_of.get(int(class_id), 1.0) for class_id in rows["class_id"]], float)
    size = size_um(rows, pixel_size_um)
    confidence = np.nan_to_num(rows["confidence"].astype(float), nan=1.0)  # a person was sure
    excess = np.zeros(len(rows))
    for class_id, limit_um in (limits or {}).items():
        beyond = (rows["class_id"] == class_id) & (size > limit_um)
        excess[beyond] = size[beyond] / max(limit_um, 1e-9)
    return np.lexsort((rows["id"], -confidence, -size, -weight, -excess))
