"""Blurred pictures found, and good ones called blurred: ``python tests/benchmarks/focus.py [--data FOLDER]``.

Sets of real pictures, as a whole and each class of them by itself, and slides cut into pictures. Every picture is
judged among the others of its set: as it is, and blurred (Gaussian) while nine of ten others are as they are; noise is
that of a camera, added after the blur. Prints shares in percent; ends with 1 where more than 0.5 % of the good ones of
a set would be left out, or less than 90 % of those blurred by 3 px.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.ml.datasets.quality import Look, judge, look_at
from microscope_qc.slides import Mosaic, open_slide

BLURS = ((1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (3.0, 2.0), (5.0, 0.0), (5.0, 2.0))
"""Standard deviations: of the blur in pixels, of the noise in grey values."""
FOLDS, TILE_PX = 10, 512
MOST_DROPPED, LEAST_FOUND = 0.005, 0.9


@dataclass
class Pixels:
    """As much of a mosaic as is looked at."""

    pixels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return self.pixels.shape

    def read_rgb8(self, region: Region) -> np.ndarray:
        """A part of the pixels."""
        return self.pixels[region.y0 : region.y1, region.x0 : region.x1]


def looks(picture: np.ndarray) -> list[Look]:
    """The picture as it is, and blurred in all ways."""
    rng = np.random.default_rng(picture.size)
    changed = [picture]
    for sigma, noise in BLURS:
        grey = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma)
        grey += rng.normal(0, noise, (*grey.shape[:2], 1)) if noise else 0
        changed.append(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return [look_at(cast(Mosaic, cast(Any, Pixels(pixels))), None) for pixels in changed]


def shares(known: Sequence[list[Look]]) -> list[float]:
    """Share of the good pictures that are called bad, and of those blurred in each way."""
    good = [ways[0] for ways in known]
    found = [sum(bool(verdict.bad) for verdict in judge(good)) / len(known)]
    for way in range(1, len(BLURS) + 1):
        count = 0
        for fold in range(FOLDS):
            mixed = [ways[way] if number % FOLDS == fold else ways[0] for number, ways in enumerate(known)]
            count += sum(bool(verdict.bad) for verdict in judge(mixed)[fold::FOLDS])
        found.append(count / len(known))
    return found


def rows(data: Path) -> dict[str, list[list[Look]]]:
    """What is seen of the pictures of each set."""
    found: dict[str, list[list[Look]]] = {}
    for path in sorted((data / "detection" / "neu-det").glob("*/*.jpg")):
        seen = looks(cv2.imread(str(path)))
        for name in ("steel", f"steel, {path.stem.rpartition('_')[0]}"):
            found.setdefault(name, []).append(seen)
    for path in sorted((data / "anomaly" / "magnetic-tile").glob("*/Imgs/*.jpg")):
        seen = looks(cv2.imread(str(path)))
        for name in ("magnetic tiles", f"magnetic tiles, {path.parent.parent.name}"):
            found.setdefault(name, []).append(seen)
    for path in sorted((data / "slides").glob("*/*.[sc][vz][si]")):
        with open_slide(path) as slide:
            for mosaic in slide.scenes:
                for top in range(0, mosaic.shape[0] - TILE_PX + 1, TILE_PX):
                    for left in range(0, mosaic.shape[1] - TILE_PX + 1, TILE_PX):
                        tile = mosaic.read_rgb8(Region(top, left, top + TILE_PX, left + TILE_PX))
                        found.setdefault(path.name, []).append(looks(tile))
    return found


def main(data: Path) -> int:
    """Print a row for each set."""
    words = ["good ones"] + [f"{sigma:g} px" + (f" + noise {noise:g}" if noise else "") for sigma, noise in BLURS]
    print(f"{'set':<28}{'pictures':>9}" + "".join(f"{word:>16}" for word in words))
    bad = 0
    for name, known in rows(data).items():
        if len(known) < FOLDS:
            continue
        found = shares(known)
        print(f"{name:<28}{len(known):>9}" + "".join(f"{100 * share:>15.1f}%" for share in found))
        bad += found[0] > MOST_DROPPED or found[1 + BLURS.index((3.0, 0.0))] < LEAST_FOUND
    return int(bad > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MICROSCOPE_QC_DATA", "")))
    sys.exit(main(parser.parse_args().data))
