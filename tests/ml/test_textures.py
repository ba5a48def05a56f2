"""Classifiers of textures: the same as scikit-learn says, learned from pictures and boxes, stored without pickles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from learning_toys import coco_folder
from safetensors.torch import load_file

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import architecture, trainable
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.architectures.texture.describing import binary_patterns, cooccurrence
from microscope_qc.ml.architectures.texture.network import BoostedTrees, SupportVectors
from microscope_qc.ml.architectures.texture.settings import CooccurrenceSettings, PatternSettings
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.ml.tasks.images import find
from microscope_qc.workflows.learning.evaluate import evaluate
from microscope_qc.workflows.learning.train import train, train_settings

NAMES = ("glcm-svm", "lbp-boosting")
SMALL = {"crop_px": 64, "tile_px": 192, "batch": 8, "device": "cpu", "keep_bad": True}


def textures(folder: Path, *, pictures: int = 8) -> Path:
    """Pictures of two textures and of none, in a folder for each."""
    rng = np.random.default_rng(5)
    for number in range(pictures):
        kind = ("fine", "stripes", "none")[number % 3]
        noise = rng.normal(0, 30, (64, 64))
        rows = 40 * np.sign(np.sin(np.arange(64) * 2.0 + rng.uniform(0, 6)))[:, None]
        shown = {"fine": noise, "stripes": rows + noise / 10, "none": cv2.GaussianBlur(noise, (0, 0), 4)}[kind]
        place = folder / ("good" if kind == "none" else kind)
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{number}.png"), np.clip(shown + 120, 0, 255).astype(np.uint8))
    return folder


def examples(classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.arange(90) % classes
    return rng.normal(labels[:, None], 1.5, (90, 30)), labels


def test_neighbours_of_a_chequerboard_differ_by_all_of_it() -> None:
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    beside, across = 31.0**2, 0.0  # of 32 levels: rows and columns differ, diagonals are alike
    found = cooccurrence(board, levels=32, distances=(1,))
    assert found[0] == pytest.approx((2 * beside + 2 * across) / 4) and found[5] == pytest.approx(beside / 2)
    assert cooccurrence(board, levels=32, distances=(1, 2)).shape == (20,)
    flat = cooccurrence(np.full((16, 16), 200, np.uint8), levels=32, distances=(1,))
    assert flat[:5].tolist() == [0, 0, 1, 1, 1]


def test_patterns_do_not_depend_on_brightness_and_turns() -> None:
    picture = np.random.default_rng(0).integers(40, 120, (48, 48)).astype(np.uint8)
    found = binary_patterns(picture, radii=(1, 2))
    assert found.shape == (28,) and np.allclose([found[:10].sum(), found[10:].sum()], 1)
    assert np.allclose(binary_patterns(picture + 60, radii=(1, 2)), found, atol=0.01), "but for rounding"
    assert np.allclose(binary_patterns(np.rot90(picture).copy(), radii=(1,)), found[:10])


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_stored_says_the_same_as_scikit_learn(classes: int) -> None:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.svm import SVC

    values, labels = examples(classes)
    weights = 1.0 + labels
    vectors = SupportVectors(CooccurrenceSettings(penalty=3.0), outputs=classes + 1)
    vectors.learn(values, labels, weights, seed=0)
    said = vectors(torch.from_numpy(values)).numpy()
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    for label in range(classes):
        machine = SVC(C=3.0, gamma="scale").fit(scaled, labels == label, sample_weight=weights)
        assert np.allclose(machine.decision_function(scaled), said[:, label])
    assert (said[:, classes] < -20).all(), "there was no example of it"
    trees = BoostedTrees(PatternSettings(stages=15, depth=4), outputs=classes + 1)
    trees.learn(values, labels, weights, seed=3)
    model = GradientBoostingClassifier(n_estimators=15, max_depth=4, random_state=3, subsample=0.8)
    shares = model.fit(values.astype(np.float32), labels, sample_weight=weights).predict_proba(values)
    mine = torch.softmax(trees(torch.from_numpy(values))[:, :classes], dim=1).numpy()
    assert np.allclose(mine, shares)


@pytest.mark.parametrize("name", NAMES)
def test_eight_pictures_are_learned_and_stored_without_a_pickle(name: str, tmp_path: Path) -> None:
    data = textures(tmp_path / "data")
    assert name in [kind.name for kind in trainable()["classify"]]
    card = run_job(train(data, tmp_path / "m", task="classify", network=name, validation=data, epochs=4, **SMALL))
    assert sorted(path.name for path in (tmp_path / "m").iterdir() if path.suffix in (".pkl", ".pt", ".joblib")) == []
    done = run_job(evaluate(tmp_path / "m", data))
    assert done.report.figures["accuracy"] >= 0.9 and done.report.figures["f1"] >= 0.9
    state = load_file(tmp_path / "m" / WEIGHTS_NAME)
    assert {str(tensor.dtype) for tensor in state.values()} <= {"torch.float64", "torch.int64"}, "no digit is lost"
    if name == "glcm-svm":
        assert card.network["vectors"] == len(state["vectors"]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_windows_around_boxes_are_found_on_a_slide(name: str, tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", pictures=4)
    asked = {**SMALL, "batch": 16, "network_settings": {"examples": 300}}
    run_job(train(data, tmp_path / "m", task="classify", network=name, validation=data, epochs=3, **asked))
    task = open_task(tmp_path / "m", device="cpu", threshold=0.3)
    picture = cv2.imread(str(data / "p0.png"))[..., ::-1].copy()
    (found,) = find(task, [picture])
    assert len(found.candidates) and found.heat is not None and found.heat.max() > 0.5
    sides = found.candidates["y1"] - found.candidates["y0"]
    assert (sides == task.card.windows.window_px).all(), "it does not say where in a window"


def test_weights_of_other_settings_are_refused(tmp_path: Path) -> None:
    data = textures(tmp_path / "data", pictures=6)
    run_job(train(data, tmp_path / "m", task="classify", network="glcm-svm", validation=data, epochs=1, **SMALL))
    text = (tmp_path / "m" / "model.json").read_text()
    card = text.replace('"vectors": ', '"vectors": 1')
    assert card != text
    (tmp_path / "m" / "model.json").write_text(card)
    with pytest.raises(ModelError, match="do not fit the model's card"):
        open_task(tmp_path / "m", device="cpu")
    with pytest.raises(ModelError, match="levels"):
        architecture("glcm-svm").checked({"levels": 1000})


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_would_change_nothing_is_refused(name: str) -> None:
    assert train_settings("classify", name, {"loss": "weighted"}).loss == "weighted"
    with pytest.raises(InputError, match="cannot be trained with the loss focal"):
        train_settings("classify", name, {"loss": "focal"})
