"""A stage format: a line ``x y`` for every position."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.files import atomic_write
from microscope_qc.correlation.stage_format import StageFormat

if TYPE_CHECKING:
    from microscope_qc.correlation.targets import TargetList


def write(path: Path, targets: TargetList, unit: str) -> Path:
    """Write one file."""
    factor = 1000.0 if unit == "um" else 1.0
    lines = (f"{target.stage_x_mm * factor:.4f} {target.stage_y_mm * factor:.4f}\n" for target in targets.targets)
    atomic_write(path, "".join(lines))
    return path


XY_LINES = StageFormat("xy-lines", "Lines of x and y", ".xy", write, takes_unit=True)
