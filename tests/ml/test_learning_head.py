"""A head learns from few labels on stored features, whatever else is known of the slide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from disc_toys import draw_discs
from feature_toys import embedded
from tile_toys import ToyMosaic

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_score
from microscope_qc.ml.features import suggesting
from microscope_qc.ml.features.cells import features_of_cells
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.extent import CellLooks, Extents
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE
from microscope_qc.ml.features.head import SuggestionHead
from microscope_qc.ml.features.learning import learn_head
from microscope_qc.ml.features.looks import LENGTH, looks_of, nearest, standardised
from microscope_qc.ml.features.standing import BACKGROUND, IGNORED, REJECTED, Lesson, standing
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.suggesting import find_places

LABELS = 14


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return embedded(tmp_path_factory.mktemp("features"), ToyMosaic(draw_discs().pixels), chunk=40)


@pytest.fixture(scope="module")
def discs() -> np.ndarray:
    drawn = draw_discs()
    return drawn.boxes[drawn.round]


@pytest.fixture(scope="module")
def head(store: FeatureStore, discs: np.ndarray) -> SuggestionHead:
    drawn = draw_discs()
    lesson = Lesson(store, discs[:LABELS], rejected=drawn.boxes[~drawn.round])
    return run_job(learn_head([lesson]))


def test_what_is_like_the_labels_is_found_and_what_was_rejected_is_not(
    store: FeatureStore, discs: np.ndarray, head: SuggestionHead
) -> None:
    found = run_job(find_places(head, store))
    assert (np.diff(found.scores) <= 0).all()
    sure = found.scores > 0.3
    mine, theirs = match_by_score(found.boxes[sure], found.scores[sure], discs, iou=0.4)
    assert len(theirs) > 0.8 * len(discs) and (theirs >= LABELS).sum() > 0.7 * (len(discs) - LABELS)
    drawn = draw_discs()
    squares, _ = match_by_score(found.boxes[sure], found.scores[sure], drawn.boxes[~drawn.round], iou=0.3)
    assert len(squares) <= 2


def test_labels_within_each_other_are_learned_from(store: FeatureStore, discs: np.ndarray) -> None:
    within = discs[:1] + [4.0, 4, -4, -4]
    learned = run_job(learn_head([Lesson(store, np.concatenate([discs[:1], within]))]))
    assert len(run_job(find_places(learned, store)).boxes)


def test_the_same_is_found_in_parts_of_any_size(
    store: FeatureStore, head: SuggestionHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_job(find_places(head, store))
    monkeypatch.setattr(suggesting, "PART", 16)
    parts = run_job(find_places(head, store))
    assert len(whole.boxes) == len(parts.boxes) > 10
    assert np.abs(whole.boxes - parts.boxes).max() < 0.01 and np.abs(whole.scores - parts.scores).max() < 1e-4


def test_the_same_seed_learns_the_same(store: FeatureStore, discs: np.ndarray) -> None:
    one, other = (run_job(learn_head([Lesson(store, discs)], seed=3)) for _ in range(2))
    assert np.array_equal(one.weights, other.weights) and (one.half, one.slope) == (other.half, other.slope)
    with pytest.raises(ModelError, match="Nothing is labelled"):
        run_job(learn_head([Lesson(store, np.zeros((0, 4)))]))


def test_it_does_not_matter_in_which_part_of_the_map_a_cell_is_read(store: FeatureStore) -> None:
    rows, columns = store.grid.shape
    whole = features_of_cells(store, Region(0, 0, rows, columns))
    assert whole.shape == (rows, columns, LENGTH)
    part = features_of_cells(store, Region(7, 4, 16, 21))
    assert np.array_equal(part, whole[7:16, 4:21])
    beyond = features_of_cells(store, Region(-2, columns - 3, 3, columns + 2))
    assert np.array_equal(beyond[2:, :3], whole[:3, -3:])
    assert np.array_equal(beyond[0, 0], whole[0, -3]) and np.array_equal(beyond[4, 4], whole[2, -1])
    coarse = store.window(Region(0, 0, 3, 3), COARSE).astype(np.float32)
    assert np.array_equal(whole[2, 4, CHANNELS[FINE] :], coarse[1, 2])
    assert np.allclose(whole[1, 2, CHANNELS[FINE] :], (coarse[0, 1] + coarse[1, 1]) / 2)


def test_what_is_known_of_cells(store: FeatureStore) -> None:
    complete = np.zeros(store.grid.shape, bool)
    complete[20:, :10] = True
    lesson = Lesson(
        store, np.array([[90.0, 90, 134, 134], [150, 90, 158, 98]]), rejected=np.array([[300.0, 300, 340, 340]]),
        unknown=np.array([[396.0, 396, 436, 436]]), complete=complete,
    )  # fmt: skip
    rows, columns = store.grid.shape
    stands = standing(lesson, Region(0, 0, rows, columns))
    assert set(np.unique(stands.of)) == {REJECTED, IGNORED, BACKGROUND, 0, 1}
    assert stands.of[7, 7] == 0 and stands.of[6, 6] == stands.of[8, 8] == IGNORED, "12 px from the middle"
    assert stands.of[9, 9] == BACKGROUND and stands.near[9, 9]
    assert (stands.of == 1).any(), "a label smaller than a cell has one all the same"
    assert stands.of[20, 20] == REJECTED and stands.of[26, 26] == IGNORED and not stands.near[26, 26]
    assert np.array_equal(stands.complete, complete)
    part = standing(lesson, Region(5, 6, 12, 30))
    assert np.array_equal(part.of, stands.of[5:12, 6:30]) and np.array_equal(part.near, stands.near[5:12, 6:30])
    at_border = Lesson(store, np.array([[632.0, 632, 640, 640]]))
    assert (standing(at_border, Region(0, 0, rows, columns)).of == 0).any()


def test_a_mirrored_place_gets_the_mirrored_box() -> None:
    rng = np.random.default_rng(0)
    known = CellLooks(rng.normal(size=(12, 3, 3, 112)), rng.normal(size=(12, 320)))
    middle, half = rng.uniform(-12, 12, (12, 2)), rng.uniform(5, 40, (12, 2))
    sides = np.concatenate([middle - half, middle + half], axis=1)
    about = {"mean": np.zeros(432), "spread": np.ones(432), "rng": rng}
    extents = Extents(known, sides, np.repeat(np.arange(6), 2), **about)
    told = extents.sides(known)
    nearer = np.abs(told - sides).mean() / np.abs(sides.mean(axis=0) - sides).mean()
    assert nearer < 0.6, "boxes differ as those of the labels do"
    mirrored = extents.sides(CellLooks(known.fine[:, ::-1], known.coarse))
    assert np.allclose(mirrored[:, [0, 2]], -told[:, [2, 0]], atol=1e-3) and np.allclose(
        mirrored[:, [1, 3]], told[:, [1, 3]], atol=1e-3
    )
    few = Extents(CellLooks(*(np.tile(part, (60,) + (1,) * (part.ndim - 1)) for part in (known.fine, known.coarse))),
                  np.tile(sides, (60, 1)), np.arange(720), **about)  # fmt: skip
    assert np.abs(few.sides(known) - sides).mean() < np.abs(told - sides).mean(), "of many labels some are taken"


def test_scores_say_how_many_labels_have_less_evidence(store: FeatureStore, discs: np.ndarray) -> None:
    head = run_job(learn_head([Lesson(store, discs[:LABELS])]))
    rows, columns = store.grid.shape
    scores = head.scores(head.evidence(features_of_cells(store, Region(0, 0, rows, columns))))
    stands = standing(Lesson(store, discs), Region(0, 0, rows, columns)).of
    others = np.array([scores[stands == number].max() for number in range(LABELS, len(discs))])
    assert 0.2 < np.median(others) < 0.95 and np.median(scores[stands == BACKGROUND]) < 0.01


def test_classes_are_told_apart_by_how_places_look(store: FeatureStore) -> None:
    drawn = draw_discs()
    looks = looks_of(store, drawn.boxes)
    assert looks.shape == (len(drawn.boxes), LENGTH)
    shuffled = np.random.default_rng(0).permutation(len(looks))
    assert np.allclose(looks_of(store, drawn.boxes[shuffled]), looks[shuffled])
    learned = np.r_[0:6, len(looks) - 1]  # one square only
    kinds = LinearClasses(looks[learned], np.where(drawn.round, 7, 3)[learned])
    shares = kinds.shares(looks)
    assert np.allclose(shares.sum(axis=1), 1)
    assert ((kinds.labels[shares.argmax(axis=1)] == 7) == drawn.round).mean() > 0.9
    alone = LinearClasses(looks[:3], np.full(3, 5))
    assert alone.labels.tolist() == [5] and (alone.shares(looks) == 1).all()


def test_what_looks_most_alike_is_of_the_same_kind(store: FeatureStore) -> None:
    drawn = draw_discs()
    unit = standardised(looks_of(store, drawn.boxes))
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-3)
    rows, alike = nearest(unit, unit[0], 8)
    assert rows[0] == 0 and alike[0] == pytest.approx(1, abs=1e-3) and (np.diff(alike) <= 0).all()
    assert drawn.round[rows].all()
    assert len(nearest(unit, unit[0], 1000)[0]) == len(unit)
    tiny = looks_of(store, np.array([[5.0, 5, 6, 6], [638, 638, 640, 640]]))
    assert np.isfinite(tiny).all() and tiny.any(axis=1).all()


def test_slides_that_are_learned_from_together_need_not_be_of_one_size(
    store: FeatureStore, discs: np.ndarray, tmp_path: Path
) -> None:
    small = embedded(tmp_path, ToyMosaic(draw_discs(1).pixels[:130, :200]), chunk=40, slide="small")
    lesson = Lesson(store, discs[:3])
    together = run_job(learn_head([replace(lesson, store=small, boxes=discs[:0]), lesson]))
    assert np.isfinite(together.weights).all()
    assert len(run_job(find_places(together, small)).boxes) < len(run_job(find_places(together, store)).boxes)
    alone = run_job(learn_head([replace(lesson, boxes=discs[:1])]))
    assert len(run_job(find_places(alone, store)).boxes), "one label is enough to begin with"
