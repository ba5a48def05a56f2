"""A head learns from few labels on stored features, whatever else is known of the slide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from disc_toys import draw_discs
from feature_toys import embedded
from tile_toys import ToyMosaic

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import match_by_score
from microscope_qc.ml.architectures.dense.targets import BoxTarget
from microscope_qc.ml.features import learning, suggesting
from microscope_qc.ml.features.classes import LinearClasses
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE
from microscope_qc.ml.features.head import SuggestionHead, boxes_of, places
from microscope_qc.ml.features.learning import Lesson, Windows, WindowTarget, learn_head, suggestion_loss
from microscope_qc.ml.features.looks import LENGTH, looks_of, nearest, standardised
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.suggesting import find_places

STEPS = 70
LABELS = 14
NONE = torch.zeros(0, 4)


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
    return run_job(learn_head([lesson], steps=STEPS))


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


def test_the_same_is_found_in_parts_of_any_size(
    store: FeatureStore, head: SuggestionHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_job(find_places(head, store))
    monkeypatch.setattr(suggesting, "PART", 16)
    parts = run_job(find_places(head, store))
    assert len(whole.boxes) == len(parts.boxes) > 10
    assert np.abs(whole.boxes - parts.boxes).max() < 0.01 and np.abs(whole.scores - parts.scores).max() < 1e-4


def test_the_same_seed_learns_the_same(store: FeatureStore, discs: np.ndarray) -> None:
    one, other = (run_job(learn_head([Lesson(store, discs)], steps=2, seed=3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    with pytest.raises(ModelError, match="Nothing is labelled"):
        run_job(learn_head([Lesson(store, np.zeros((0, 4)))]))


def test_a_window_is_turned_over_with_all_that_is_known_of_it(store: FeatureStore, discs: np.ndarray) -> None:
    complete = np.zeros(store.grid.shape, bool)
    complete[:8] = True
    lesson = Lesson(store, discs, rejected=np.array([[10.0, 20, 30, 60]]), complete=complete)
    cells = Region(0, 0, learning.SIDE, learning.SIDE)
    plain, turned = (learning._target(lesson, cells, flips) for flips in ((), (0,)))
    side = float((learning.SIDE - 1) * FINE)
    boxes = plain.defects.boxes.clone()
    boxes[:, [1, 3]] = side - boxes[:, [3, 1]]
    assert len(boxes) and torch.equal(turned.defects.boxes, boxes)
    assert plain.rejected.tolist() == [[20, 10, 60, 30]] and turned.rejected.tolist() == [
        [20, side - 30, 60, side - 10]
    ]
    assert plain.complete is not None and turned.complete is not None
    assert torch.equal(turned.complete, plain.complete.flip(0)) and plain.complete[:8].all()
    assert not plain.complete[8:].any()


def test_a_label_that_the_border_of_a_window_cuts_counts_neither_way(store: FeatureStore) -> None:
    side = (learning.SIDE - 1) * FINE
    half, most = (np.array([[100.0, side - inside, 120, side + 20 - inside]]) for inside in (8, 15))
    cells = Region(0, 0, learning.SIDE, learning.SIDE)
    cut, seen = (learning._target(Lesson(store, box), cells, ()) for box in (half, most))
    assert (len(cut.defects.boxes), len(cut.defects.ignore)) == (0, 1)
    assert (len(seen.defects.boxes), len(seen.defects.ignore)) == (1, 0)


def test_what_counts_as_background_and_how_much() -> None:
    around = places(5, 5)
    defects = BoxTarget(NONE, torch.zeros(0, dtype=torch.int64), torch.tensor([[-8.0, -8, 80, 8]]))
    complete = torch.zeros(5, 5, dtype=torch.bool)
    complete[3, 3] = True
    target = WindowTarget(
        defects, torch.tensor([[-8.0, 8, 8, 24]]), torch.tensor([[56.0, 8, 72, 24], [-8, -8, 8, 8]]), complete
    )
    weight, known = target.weights(around)
    fine, sure = weight[:25].reshape(5, 5), known[:25].reshape(5, 5)
    assert fine[0].tolist() == [2, 0, 0, 0, 0], "what nobody has judged does not count, except where it was rejected"
    less = pytest.approx(learning._UNLABELLED)
    assert fine[1].tolist() == [1, less, less, less, 2] and fine[3, 3] == 1
    assert sure.sum() == 4

    logits = torch.full((1, len(around)), 2.0, requires_grad=True)
    boxes = boxes_of(torch.ones(1, len(around), 4), around)
    certain, doubted = (suggestion_loss(logits, boxes, around, [target], doubt=doubt) for doubt in (False, True))
    assert 0 < doubted.item() < certain.item()
    (gradient,) = torch.autograd.grad(doubted, logits)
    assert (gradient[0] != 0).tolist() == (known & (weight > 0)).tolist()


def test_windows_show_labels_rejected_places_and_anything(store: FeatureStore, discs: np.ndarray) -> None:
    windows = Windows([Lesson(store, discs[:1], rejected=discs[1:2])], seed=0)
    drawn = windows.draw(20)
    assert drawn.fine.shape == (20, learning.SIDE, learning.SIDE, CHANNELS[FINE])
    assert drawn.coarse.shape == (20, learning.SIDE // 2 + 1, learning.SIDE // 2 + 1, CHANNELS[COARSE])
    assert all(len(target.defects.boxes) for target in drawn.targets[:15])
    assert all(len(target.rejected) for target in drawn.targets[15:17])


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
    assert run_job(learn_head([lesson, replace(lesson, store=small, boxes=discs[:0])], steps=2)) is not None
    assert len(run_job(find_places(SuggestionHead().eval(), small)).boxes) == 0
