"""A statistic: how far findings lie from the nearest other one."""

from __future__ import annotations

import numpy as np

from microscope_qc.analysis.registry import Measured, Sample, Statistic


def distance_um(sample: Sample) -> Measured | None:
    """Median distance from the middle of a finding to that of the nearest other one, in um; None of fewer than two."""
    from scipy.spatial import KDTree

    rows = sample.rows
    if len(rows) < 2 or sample.pixel_size_um is None:
        return None
    middles = np.stack([(rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2], axis=1)
    middles = middles * np.reshape(sample.pixel_size_um, (1, 2))
    nearest = KDTree(middles).query(middles, k=2)[0][:, 1]
    return Measured(float(np.median(nearest)), len(rows))


DISTANCE = Statistic("template-distance", "Median distance to the nearest finding", "Nearest", "um", distance_um)
