"""A slide with dark discs and bright squares on a soft ground, whose features are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIDE = 640
DISCS, SQUARES = 24, 12


@dataclass(frozen=True)
class Discs:
    """Pixels (h, w, 3), boxes (n, 4) as y0, x0, y1, x1, and which are discs (the others are squares)."""

    pixels: np.ndarray
    boxes: np.ndarray
    round: np.ndarray


def draw_discs(seed: int = 0) -> Discs:
    """Draw them at places that do not touch."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(110, 150, (SIDE // 8, SIDE // 8)).astype(np.uint8)
    pixels = cv2.cvtColor(cv2.resize(ground, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    places = [(y, x) for y in range(50, SIDE - 40, 90) for x in range(50, SIDE - 40, 90)]
    chosen = rng.permutation(len(places))[: DISCS + SQUARES]
    boxes = []
    for number, place in enumerate(chosen):
        y, x = (side + int(rng.integers(-12, 12)) for side in places[place])
        half = int(rng.integers(10, 18))
        if number < DISCS:
            cv2.circle(pixels, (x, y), half, (40, 40, 40), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), (225, 225, 225), -1)
        boxes.append((y - half, x - half, y + half + 1, x + half + 1))
    return Discs(pixels, np.array(boxes, float), np.arange(DISCS + SQUARES) < DISCS)


def write_discs(path: Path, seed: int = 0) -> Discs:
    """Draw them into a picture."""
    drawn = draw_discs(seed)
    cv2.imwrite(str(path), drawn.pixels)
    return drawn
