"""Scores of windows and pictures: the same figures as torchmetrics, and intervals that count places."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from anomaly_toys import blurring_autoencoder, waves
from learning_toys import coco_folder, untrained_classifier
from torchmetrics import functional as reference

from microscope_qc.cli import main
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.ml.datasets.window_labels import window_labels
from microscope_qc.ml.evaluation.classification import ClassTally


def _tally(seed: int = 1, *, count: int = 400, places: int = 40, ties: bool = True) -> ClassTally:
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, count, p=[0.2, 0.1, 0.15, 0.55])
    logits = rng.normal(0, 1, (count, 4)) + 1.2 * np.eye(4)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tally = ClassTally(["A", "B", "C"])
    for part in np.array_split(np.arange(count), 7):
        tally.add(scores[part, :3].round(2 if ties else 9), labels[part], part % places)
    return tally


@pytest.mark.parametrize("ties", [True, False])
def test_the_same_as_torchmetrics(ties: bool) -> None:
    tally = _tally(ties=ties)
    report = tally.report(confidence=0.4)
    labels, found = torch.tensor(tally.labels), torch.tensor(tally.found(0.4))
    kind = {"task": "multiclass", "num_classes": 4}
    assert report.figures["accuracy"] == pytest.approx(
        float(reference.accuracy(found, labels, average="micro", **kind))
    )
    f1 = reference.f1_score(found, labels, average="none", **kind)[:3].tolist()
    precision = reference.precision(found, labels, average="none", **kind)[:3].tolist()
    recall = reference.recall(found, labels, average="none", **kind)[:3].tolist()
    for index, code in enumerate(tally.classes):
        own, scores = report.per_class[code], torch.tensor(tally.scores[:, index])
        true = (labels == index).int()
        assert (own["f1"], own["precision"], own["recall"]) == pytest.approx(
            (f1[index], precision[index], recall[index])
        )
        assert own["auroc"] == pytest.approx(float(reference.auroc(scores, true, task="binary")), abs=1e-6)
        assert own["auprc"] == pytest.approx(float(reference.average_precision(scores, true, task="binary")), abs=1e-6)
    assert report.figures["f1"] == pytest.approx(np.mean(f1))
    np.testing.assert_array_equal(report.tables["confusion"], reference.confusion_matrix(found, labels, **kind))
    defects, said = labels < 3, found < 3
    hits = float(((labels == found) & defects).sum())
    assert report.figures["f1_micro"] == pytest.approx(2 * hits / float(defects.sum() + said.sum()))


def test_a_draw_counts_like_places_given_several_times() -> None:
    tally = _tally(count=120, places=12)
    draws = tally._draws()
    values, per_class = tally._drawn(draws, 0.4)
    labels, scores, places = tally.labels, tally.scores, tally.places
    for draw in range(5):
        weights = draws._weights[draw][np.searchsorted(draws._numbers, places)]
        again = ClassTally(tally.classes)
        again.add(np.repeat(scores, weights, axis=0), np.repeat(labels, weights), np.repeat(places, weights))
        report = again.report(confidence=0.4)
        assert {name: drawn[draw] for name, drawn in values.items()} == pytest.approx(
            {name: report.figures[name] for name in values}, nan_ok=True
        )
        for code, own in per_class.items():
            assert {name: drawn[draw] for name, drawn in own.items()} == pytest.approx(
                {name: report.per_class[code][name] for name in own}, nan_ok=True
            )


def test_intervals_lie_around_the_figures_and_grow_where_places_are_few() -> None:
    widths = []
    for places in (100, 8):
        report = _tally(places=places).report(confidence=0.4)
        for name, (low, high) in report.intervals.items():
            assert low < report.figures[name] < high
        assert set(report.intervals) >= {"accuracy", "f1", "f1_micro", "auroc", "auprc"}
        assert set(report.class_intervals["A"]) >= {"precision", "recall", "f1", "auroc", "auprc"}
        widths.append(np.ptp(report.intervals["accuracy"]))
    assert 0 < widths[0] < widths[1]
    assert set(_tally(places=3).report(confidence=0.4).intervals.values()) == {None}


def test_curves_and_what_is_not_known() -> None:
    tally = ClassTally(["A", "B"])
    tally.add(np.array([[0.9, 0.0], [0.6, 0.1], [0.3, 0.2]]), np.array([0, 2, 0]), np.arange(3))
    report = tally.report(confidence=0.5)
    assert report.curves["roc A"] == [[0, 0, 1], [0, 0.5, 0.9], [1, 0.5, 0.6], [1, 1, 0.3]]
    assert report.curves["pr A"] == [[0.5, 1, 0.9], [0.5, 0.5, 0.6], [1, 0.6667, 0.3]]
    assert [row[2] for row in report.curves["calibration"]] == [1, 1, 1] and "pr B" not in report.curves
    assert np.isnan(report.per_class["B"]["recall"]) and np.isnan(report.per_class["B"]["auroc"])
    assert np.isnan(ClassTally(["A"]).report(confidence=0.5).figures["accuracy"])


def test_a_window_is_of_the_class_that_it_shows_most_of() -> None:
    boxes = np.array([[0, 0, 10, 10], [60, 60, 200, 200], [40, 40, 44, 44], [300, 300, 310, 310]], float)
    image = AnnotatedImage(
        Path("x"), (400, 400), boxes, np.array([0, 1, 2, 0]), open_boxes=np.array([[350.0, 0, 360, 10]])
    )
    windows = np.array(
        [[0, 0, 64, 64], [100, 100, 164, 164], [304, 296, 368, 360], [340, 0, 404, 64], [210, 210, 274, 274],
         [303, 303, 367, 367]], float,
    )  # fmt: skip
    labels, counts = window_labels(windows, image, none=3)
    assert labels.tolist() == [0, 1, 0, 3, 3, 3]
    assert counts.tolist() == [True, True, True, False, True, False], "less than half of a defect, or nobody knows"


def test_a_classifier_of_windows_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = untrained_classifier(tmp_path / "m", classes=("SQ", "DI"))
    folder = coco_folder(tmp_path / "data", pictures=3, size=300)
    assert main(["evaluate", str(model), str(folder), "--json", "--progress", "none"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["count"] == sum(sum(row) for row in found["confusion"]) > 20
    assert found["truth"] > 0 and 0 <= found["accuracy"] <= 1 and "auroc" in found["per_class"]["SQ"]
    assert {"pr SQ", "roc DI", "calibration"} <= set(found["curves"])
    assert main(["evaluate", str(model), str(folder), "--progress", "none"]) == 0
    assert "macro F1" in capsys.readouterr().out


def test_an_anomaly_model_is_measured_on_folders_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = blurring_autoencoder(tmp_path / "m")
    for number in range(12):
        spots = ((100, 120),) if number % 2 else ()
        path = tmp_path / "data" / "test" / ("scratch" if number % 2 else "good") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), waves(number, height=200, width=240, spots=spots))
    (tmp_path / "data" / "train" / "good").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "data" / "train" / "good" / "0.png"), waves(99, height=200, width=240))
    assert main(["evaluate", str(model), str(tmp_path / "data"), "--json", "--progress", "none"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["count"] == 12 and found["places"] == 12 and found["confusion"] == [[6, 0], [0, 6]]
    assert found["auroc"] == found["auprc"] == 1.0 and found["per_class"]["ODD"]["truth"] == 6
    assert any("12 pictures in test folders" in note for note in found["notes"])
