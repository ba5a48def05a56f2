"""A statistic: how much longer than wide findings are."""

from __future__ import annotations

import numpy as np

from microscope_qc.analysis.registry import Measured, Sample, Statistic


def elongation(sample: Sample) -> Measured | None:
    """Median of the longer side over the shorter one."""
    rows = sample.rows
    if len(rows) == 0 or sample.pixel_size_um is None:
        return None
    sides = np.stack([(rows["y1"] - rows["y0"]), (rows["x1"] - rows["x0"])]) * np.reshape(sample.pixel_size_um, (2, 1))
    return Measured(float(np.median(sides.max(axis=0) / sides.min(axis=0))), len(rows))


ELONGATION = Statistic("elongation", "Median of longer over shorter side", "Elongation", "", elongation, digits=2)
