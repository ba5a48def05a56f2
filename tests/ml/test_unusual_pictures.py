"""How unusual a whole picture is: its border does not count, and one place alone does not decide."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import AnomalySettings, ModelCard, WindowSettings
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset
from microscope_qc.ml.evaluation.on_windows import tally_windows
from microscope_qc.ml.evaluation.unusual_pictures import away_from_border, picture_score

CELL = 8


class Brightness:
    """Confidence of a place is its brightness."""

    def __init__(self, *, tile_px: int = 256, window_px: int = CELL) -> None:
        self.card = ModelCard(
            name="m", task="anomaly", architecture="memory", classes=["ODD"], class_names=["Odd"], tile_px=tile_px,
            overlap_px=64, mean=(0, 0, 0), std=(1, 1, 1), confidence=0.5,
            windows=WindowSettings(window_px=window_px, stride_px=window_px),
            anomaly=AnomalySettings(threshold=1, spread=1),
        )  # fmt: skip

    def scores(self, image: np.ndarray) -> np.ndarray:
        side = self.card.windows.stride_px if self.card.windows else CELL
        rows, columns = (length // side for length in image.shape[:2])
        cells = image[: rows * side, : columns * side, 0].reshape(rows, side, columns, side)
        return cells.max(axis=(1, 3))[None].astype(np.float32) / 255


def scored(folder: Path, picture: np.ndarray, scorer: Brightness) -> float:
    cv2.imwrite(str(folder / "a.png"), picture)
    image = AnnotatedImage(
        folder / "a.png", (picture.shape[0], picture.shape[1]), np.zeros((0, 4)), np.zeros(0, np.int64), whole=NO_CLASS
    )
    tally = run_job(tally_windows(scorer, Dataset(["ODD"], [image], ["Odd"])))
    return float(tally.scores[0, 0])


def test_the_border_of_a_picture_does_not_count(tmp_path: Path) -> None:
    picture = np.full((160, 200), 51, np.uint8)
    picture[:16] = picture[:, -16:] = 255
    assert scored(tmp_path, picture, Brightness()) == pytest.approx(0.2)
    assert scored(tmp_path, picture, Brightness(window_px=32)) == 1  # windows that are no places


def test_the_strongest_places_count_together_and_each_once(tmp_path: Path) -> None:
    picture = np.zeros((160, 200), np.uint8)
    picture[80:88, 80:96] = 255  # two places
    assert scored(tmp_path, picture, Brightness()) == pytest.approx(2 / 5)
    assert scored(tmp_path, picture, Brightness(tile_px=128)) == pytest.approx(2 / 5)  # in two tiles that overlap
    picture[80:88, 80:120] = 255
    assert scored(tmp_path, picture, Brightness()) == 1


def test_small_pictures_keep_their_middle() -> None:
    assert away_from_border(np.arange(8) + 0.5, 8).tolist() == [False, False, True, True, True, True, False, False]
    assert picture_score(np.array([0.25, 0.75])) == 0.5
