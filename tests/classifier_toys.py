"""Small pictures of one class each, in a folder for each class, for the tests of classifiers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from learning_toys import CLASSES


def class_folders(folder: Path, *, each: int = 3, side: int = 64, good: int = 2, seed: int = 0) -> Path:
    """``SQ/*.png`` with a dark square, ``DI/*.png`` with a bright disc, ``good/*.png`` with neither."""
    rng = np.random.default_rng(seed)
    for kind, count in ((CLASSES[0], each), (CLASSES[1], each), ("good", good)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = rng.normal(120, 6, (side, side, 3))
            radius = int(rng.integers(side // 6, side // 4))
            y, x = (int(v) for v in rng.integers(radius + 2, side - radius - 2, 2))
            if kind == CLASSES[0]:
                picture[y - radius : y + radius, x - radius : x + radius] = (40, 45, 50)
            elif kind == CLASSES[1]:
                cv2.circle(picture, (x, y), radius, (210, 215, 220), -1)
            cv2.imwrite(str(folder / kind / f"{number}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    return folder
