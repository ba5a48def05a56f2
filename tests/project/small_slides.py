"""Pictures small enough for every test to have its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_slide(path: Path, *, seed: int) -> Path:
    """Write a small grey picture whose content depends on ``seed``."""
    pixels = np.random.default_rng(seed).integers(0, 255, (80, 120), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
