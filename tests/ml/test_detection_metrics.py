"""Precision, recall and average precision against hand-made cases and two independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.ml.evaluation.detection import Tally, average_precision


def tally_of(findings: list[tuple], truth: list[tuple], classes: tuple[str, ...] = ("A", "B")) -> Tally:
    tally = Tally(list(classes))
    boxes = np.array([f[:4] for f in findings], float).reshape(-1, 4)
    tally.add(
        boxes=boxes,
        labels=np.array([f[4] for f in findings], int),
        confidence=np.array([f[5] for f in findings], float),
        truth=np.array([t[:4] for t in truth], float).reshape(-1, 4),
        truth_labels=np.array([t[4] for t in truth], int),
    )  # fmt: skip
    return tally


def test_a_second_finding_of_the_same_defect_is_wrong() -> None:
    tally = tally_of([(0, 0, 10, 10, 0, 0.9), (0, 0, 10, 9, 0, 0.8)], [(0, 0, 10, 10, 0)])
    report = tally.report(confidence=0.5)
    assert (report["precision"], report["recall"]) == (0.5, 1.0)
    assert tally.report(confidence=0.85)["precision"] == 1.0


def test_another_class_is_wrong_and_is_in_the_confusion() -> None:
    report = tally_of([(0, 0, 10, 10, 1, 0.9)], [(0, 0, 10, 10, 0)]).report(confidence=0.5)
    assert report["precision"] == report["recall"] == report["map50"] == 0.0
    assert report["confusion"] == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_overlap_counts_from_the_threshold_on() -> None:
    tally = tally_of([(0, 0, 10, 5, 0, 0.9)], [(0, 0, 10, 10, 0)])  # overlap exactly one half
    assert tally.report(confidence=0.5, iou=0.5)["recall"] == 1.0
    assert tally.report(confidence=0.5, iou=0.51)["recall"] == 0.0


def test_no_findings_and_no_truth() -> None:
    assert tally_of([], []).report(confidence=0.5)["f1"] == 0.0
    assert tally_of([], [(0, 0, 1, 1, 0)]).report(confidence=0.5)["recall"] == 0.0
    assert tally_of([(0, 0, 1, 1, 0, 0.9)], []).report(confidence=0.5)["precision"] == 0.0
    assert tally_of([], []).best_confidence() == 0.5


def test_average_precision_by_hand() -> None:
    hit = np.array([True, False, True])
    assert average_precision(hit, 2) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(hit, 2, eleven=True) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert average_precision(hit, 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)


def test_best_confidence_separates_hits_from_the_rest() -> None:
    findings = [(i * 20, 0, i * 20 + 10, 10, 0, 0.9 - i * 0.1) for i in range(4)]
    tally = tally_of(findings, [(i * 20, 0, i * 20 + 10, 10, 0) for i in range(3)])
    assert 0.6 < tally.best_confidence() <= 0.7


coordinate = st.integers(0, 30)
box = st.tuples(coordinate, coordinate, st.integers(1, 20), st.integers(1, 20), st.integers(0, 1)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3], b[4])
)


@given(truth=st.lists(box, max_size=8), findings=st.lists(box, max_size=10), seed=st.integers(0, 1000))
def test_the_same_as_the_scoring_of_a_project(truth: list, findings: list, seed: int) -> None:
    from microscope_qc.analysis.scoring import precision_recall

    scores = np.random.default_rng(seed).permutation(len(findings)) / 20 + 0.1
    tally = tally_of([(*f, s) for f, s in zip(findings, scores, strict=True)], truth)
    report = tally.report(confidence=0.0)
    other = precision_recall(
        np.array([f[:4] for f in findings], float).reshape(-1, 4), ["AB"[f[4]] for f in findings], scores,
        np.array([t[:4] for t in truth], float).reshape(-1, 4), ["AB"[t[4]] for t in truth],
    )  # fmt: skip
    assert report["precision"] == pytest.approx(other["precision"] or 0.0)
    assert report["recall"] == pytest.approx(other["recall"] or 0.0)


def test_the_same_as_pycocotools() -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(3)
    truth = [(y, x, y + 12, x + 12, int(rng.integers(0, 2))) for y in range(0, 200, 25) for x in range(0, 200, 25)]
    findings = []
    for y0, x0, y1, x1, label in truth:
        if rng.random() < 0.8:
            dy, dx = rng.normal(0, 2, 2)
            findings.append((y0 + dy, x0 + dx, y1 + dy, x1 + dx, label, float(rng.uniform(0.4, 1))))
        if rng.random() < 0.3:
            findings.append((y0 + 13, x0, y1 + 13, x1, label, float(rng.uniform(0.1, 0.8))))
    report = tally_of(findings, truth).report(confidence=0.0)
    reference = coco.COCO()
    reference.dataset = {
        "images": [{"id": 1}], "categories": [{"id": 0, "name": "A"}, {"id": 1, "name": "B"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": t[4], "bbox": [t[1], t[0], 12, 12], "area": 144, "iscrowd": 0}
            for i, t in enumerate(truth)
        ],
    }  # fmt: skip
    reference.createIndex()
    results = reference.loadRes(
        [
            {"image_id": 1, "category_id": f[4], "bbox": [f[1], f[0], f[3] - f[1], f[2] - f[0]], "score": f[5]}
            for f in findings
        ]
    )
    judge = cocoeval.COCOeval(reference, results, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    # COCO samples the curve at 101 points, this program integrates it
    assert report["map50"] == pytest.approx(judge.stats[1], abs=0.01)
    assert report["map"] == pytest.approx(judge.stats[0], abs=0.01)
    for index, code in enumerate("AB"):
        own = judge.eval["precision"][0, :, index, 0, 2].mean()
        assert report["per_class"][code]["ap50"] == pytest.approx(own, abs=0.01)
    judge.params.recThrs = np.linspace(0, 1, 11)
    judge.evaluate()
    judge.accumulate()
    assert report["map50_11"] == pytest.approx(judge.eval["precision"][0, :, :, 0, 2].mean())


def test_what_was_divided_by_nothing_is_not_shown_as_zero():
    from microscope_qc.ml.tasks.detect import _class_words

    own = {"precision": 0.0, "recall": 0.0, "ap50": 0.0, "finds": 0, "truth": 0}
    assert _class_words("ACP", own).split() == ["ACP", "precision", "–", "recall", "–", "AP50", "–", "(0", "boxes)"]
    wrong, missed = _class_words("ACP", own | {"finds": 2}), _class_words("ACP", own | {"truth": 1})
    assert "precision 0.000  recall –" in wrong
    assert "precision –      recall 0.000  AP50 0.000  (1 box)" in missed
