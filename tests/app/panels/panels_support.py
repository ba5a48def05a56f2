"""Pictures and findings for the tests of the docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.boxes import make_rows

SHAPE = (1200, 1600)
PIXEL_UM = 0.5


def write_picture(path: Path, *, seed: int = 0, side: int | None = None) -> Path:
    """A noisy grey picture, square when ``side`` is given."""
    import cv2

    noise = np.random.default_rng(seed).normal(120, 40, SHAPE if side is None else (side, side))
    assert cv2.imwrite(str(path), np.clip(noise, 0, 255).astype(np.uint8))
    return path


def findings(classes: list[Any], *, count: int = 12, seed: int = 0, run_id: int = 0) -> np.ndarray:
    """Unreviewed findings with falling confidence, all over the picture."""
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(20, SHAPE[0] - 100, count), rng.uniform(20, SHAPE[1] - 100, count)
    return make_rows(
        count,
        class_id=[classes[i % 3].id for i in range(count)],
        y0=y,
        x0=x,
        y1=y + rng.uniform(10, 60, count),
        x1=x + rng.uniform(10, 60, count),
        confidence=np.linspace(0.95, 0.1, count),
        run_id=run_id,
    )
