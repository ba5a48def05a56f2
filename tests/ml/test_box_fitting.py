"""Boxes are fitted to what differs from its surroundings, as far as the labels say that defects do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from disc_toys import draw_discs
from feature_toys import embedded
from tile_toys import ToyMosaic

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import overlaps
from microscope_qc.ml.features import suggesting
from microscope_qc.ml.features.crops import SIDE_PX, read_crops
from microscope_qc.ml.features.fitting import LEAST, BoxFit, FitLesson, learn_fit
from microscope_qc.ml.features.learning import learn_with_left_out
from microscope_qc.ml.features.standing import Lesson
from microscope_qc.ml.features.suggesting import find_places

LABELS = 12


def rough(boxes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Boxes of which the middle and the sides are wrong."""
    rng = np.random.default_rng(seed)
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    middle = middle + rng.uniform(-0.3, 0.3, middle.shape) * sides
    sides = sides * np.exp(rng.uniform(-0.6, 0.6, sides.shape))
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)


@contextlib.contextmanager
def opened(mosaic: ToyMosaic) -> Iterator[ToyMosaic]:
    yield mosaic


def learned(boxes: np.ndarray, left_out: np.ndarray) -> BoxFit | None:
    mosaic = ToyMosaic(draw_discs().pixels)
    return run_job(learn_fit([FitLesson(boxes, left_out, partial(opened, mosaic))]))


@pytest.fixture(scope="module")
def discs() -> np.ndarray:
    drawn = draw_discs()
    return drawn.boxes[drawn.round]


@pytest.fixture(scope="module")
def fit(discs: np.ndarray) -> BoxFit:
    known = learned(discs[:LABELS], rough(discs[:LABELS]))
    assert known is not None
    return known


def test_rough_boxes_are_fitted_to_discs_that_were_not_labelled(fit: BoxFit, discs: np.ndarray) -> None:
    others = discs[LABELS:]
    before = rough(others, seed=1)
    after = run_job(fit.fitted(ToyMosaic(draw_discs().pixels), before))
    assert overlaps(before, others).mean() < 0.5 and overlaps(after.boxes, others).mean() > 0.75
    nothing = np.tile(np.array([[20.0, 20, 50, 50]]), (3, 1)) + np.array([[0.0], [5], [560]])
    unsure = run_job(fit.fitted(ToyMosaic(np.full((640, 640, 3), 128, np.uint8)), nothing)).sure
    assert unsure.max() < after.sure.mean(), "where there is nothing to see, a box is less sure"


def test_boxes_stay_where_those_of_the_head_are_as_good(discs: np.ndarray) -> None:
    assert learned(discs[:LABELS], discs[:LABELS]) is None
    assert learned(discs[: LEAST - 1], rough(discs[: LEAST - 1])) is None, "too few"
    none = np.full((LABELS, 4), np.nan)
    assert learned(discs[:LABELS], none) is None, "nothing is known of how wrong boxes are"


class _HalfBroken(ToyMosaic):
    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        if region.x0 < 320:
            raise SlideError("The left half is damaged.")
        return super()._read(region, level, channel)


def test_what_cannot_be_read_keeps_its_box(fit: BoxFit, discs: np.ndarray) -> None:
    before = rough(discs, seed=2)
    after = run_job(fit.fitted(_HalfBroken(draw_discs().pixels), before))
    left, right = before[:, 3] < 300, before[:, 1] > 380
    assert left.any() and np.array_equal(after.boxes[left], before[left]) and (after.sure[left] == 1).all()
    assert (after.boxes[right] != before[right]).any(axis=1).all()


def test_what_is_beyond_the_slide_keeps_its_box() -> None:
    crops = read_crops(ToyMosaic(np.zeros((300, 400, 3), np.uint8)), np.array([[900.0, 10, 940, 50], [10, 10, 50, 50]]))
    assert crops.there.tolist() == [False, True]


def test_a_picture_shows_its_part_of_the_slide_also_beyond_its_border() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, :, 0] = np.arange(300)[:, None] // 2
    pixels[:, :, 1] = np.arange(400)[None] // 2
    boxes = np.array([[100.0, 200, 140, 280], [-6.0, 380, 20, 400], [0.0, 0, 300, 400]])
    crops = read_crops(ToyMosaic(pixels), boxes)
    assert crops.there.all() and crops.pixels.shape == (3, SIDE_PX, SIDE_PX, 3)
    assert crops.frames[0].tolist() == [70, 140, 170, 340]
    assert crops.pixels[0, SIDE_PX // 2, SIDE_PX // 2, :2].tolist() == pytest.approx([60, 120], abs=2)
    assert crops.pixels[1, 0, -1].tolist() == pytest.approx(pixels[0, -1].tolist(), abs=1)
    assert crops.frames[2, 0] < 0 and crops.frames[2, 3] > 400
    mosaic = ToyMosaic(np.zeros((1200, 1300, 3), np.uint8))
    read_crops(mosaic, np.tile([[480.0, 480, 540, 540]], (9, 1)))
    assert len(set(mosaic.reads)) == len(mosaic.reads) == 4, "nothing is decoded twice"


def test_places_have_fitted_boxes_the_surest_first_and_each_once(
    tmp_path: Path, discs: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggesting, "FITTED", 60)
    mosaic = ToyMosaic(draw_discs().pixels)
    store = embedded(tmp_path, mosaic, chunk=40)
    told = run_job(learn_with_left_out([Lesson(store, discs[:LABELS])]))
    assert np.isfinite(told.left_out[0]).all() and 0.2 < overlaps(told.left_out[0], discs[:LABELS]).mean() < 0.95
    known = run_job(learn_fit([FitLesson(discs[:LABELS], told.left_out[0], partial(opened, mosaic))]))
    assert known is not None
    plain, fitted = (run_job(find_places(told.head, store, fit=fit)) for fit in (None, partial(known.fitted, mosaic)))
    others = discs[LABELS:]
    best = [overlaps(found.boxes[:, None], others[None]).max(axis=0).mean() for found in (plain, fitted)]
    assert best[1] > best[0] + 0.1 and best[1] > 0.7
    assert (np.diff(fitted.scores) <= 0).all() and fitted.scores.max() <= 1
    each = overlaps(fitted.boxes[:, None], fitted.boxes[None])
    assert (each[np.triu_indices(len(each), 1)] <= 0.1).all()
