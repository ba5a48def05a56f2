"""Order, numbers and scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.analysis.coverage import Scan, SlideCoverage
from microscope_qc.analysis.ranking import worst_first
from microscope_qc.analysis.scoring import precision_recall
from microscope_qc.analysis.statistics import size_histogram, slide_statistics
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.geometry import Region

CLASSES = [DefectClass("A", "Usual", id=1), DefectClass("B", "Bad", "#56B4E9", weight=2.0, id=2)]


def rows_of(*boxes):
    """Rows from (class id, y0, x0, y1, x1, confidence)."""
    rows = make_rows(len(boxes))
    for row, (class_id, *sides, confidence) in zip(rows, boxes, strict=True):
        row["class_id"], row["confidence"] = class_id, confidence
        row["y0"], row["x0"], row["y1"], row["x1"] = sides
    rows["id"] = np.arange(1, len(rows) + 1)
    return rows


def test_worst_first_is_weight_then_size_then_confidence():
    rows = rows_of(
        (1, 0, 0, 90, 90, 0.9),
        (2, 0, 0, 10, 10, 0.2),
        (2, 0, 0, 10, 30, 0.1),
        (2, 0, 0, 10, 10, 0.8),
        (2, 0, 0, 10, 10, np.nan),
    )
    assert rows["id"][worst_first(rows, CLASSES, (0.5, 0.5))].tolist() == [3, 5, 4, 2, 1]
    # a pixel three times as high as wide changes which box is the longest
    assert rows["id"][worst_first(rows, CLASSES, (4.0, 1.0))].tolist() == [5, 4, 2, 3, 1]


sides = st.sampled_from([0.1, 1.0, 1.0 + 1e-12, 3.0, 1e6, 1e15])


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 9]), sides, sides, st.sampled_from([0.1, 0.5, np.nan])), max_size=30)
)
def test_worst_first_sorts_by_the_keys_in_turn(boxes):
    rows = rows_of(*((class_id, 0, 0, height, width, sure) for class_id, height, width, sure in boxes))
    weight = {1: 1.0, 2: 2.0}

    def keys(row):
        size = max(row["y1"] - row["y0"], row["x1"] - row["x0"])
        sure = 1.0 if np.isnan(row["confidence"]) else float(row["confidence"])
        return -weight.get(int(row["class_id"]), 1.0), -size, -sure, int(row["id"])

    wanted = [int(row["id"]) for row in sorted(rows, key=keys)]
    assert rows["id"][worst_first(rows, CLASSES, None)].tolist() == wanted
    columns = {name: rows[name] for name in ("id", "class_id", "confidence", "y0", "x0", "y1", "x1")}
    assert rows["id"][worst_first(columns, CLASSES, None)].tolist() == wanted


def test_limits_of_the_user_come_first():
    rows = rows_of((2, 0, 0, 10, 10, 0.5), (1, 0, 0, 20, 20, 0.5), (1, 0, 0, 40, 40, 0.5))
    assert rows["id"][worst_first(rows, CLASSES, (1, 1), limits={1: 15.0})].tolist() == [3, 2, 1]


def test_statistics_count_states_and_leave_rejected_out_of_densities():
    rows = rows_of(*[(1, 0, 0, 10, 20 + i, 0.5) for i in range(4)], (2, 0, 0, 30, 10, np.nan))
    rows["state"] = [0, 1, 2, 2, 1]
    found = slide_statistics(
        rows, CLASSES, (0.5, 0.5), SlideCoverage((2000, 2000), [Scan(1, frozenset({1, 2}), Region(0, 0, 2000, 2000))])
    )
    assert found["area_mm2"] == pytest.approx(1.0)
    assert (found["total"], found["kept"], found["found_by_person"]) == (5, 3, 1)
    assert found["states"] == {"unreviewed": 1, "confirmed": 2, "rejected": 2}
    assert found["reviewed_share"] == pytest.approx(0.8)
    assert found["per_mm2"] == pytest.approx(3.0)
    assert found["statistics"]["mean_um"] == {"value": pytest.approx(35.5 / 3), "unit": "um", "n": 3, "interval": None}
    first, second = found["classes"]
    assert first["statistics"]["largest_um"]["value"] == 10.5
    assert (first["code"], first["kept"], first["size_um"]["max"]) == ("A", 2, 10.5)
    assert (second["code"], second["size_um"]["q50"]) == ("B", 15.0)


def test_without_sizes_all_other_numbers_are_the_same():
    rows = rows_of(*[(1, 0, 0, 10, 20 + i, 0.5) for i in range(4)], (2, 900, 900, 1030, 1010, np.nan))
    rows["state"], rows["chosen"], rows["note"] = [0, 1, 2, 2, 1], [1, 0, 1, 0, 1], "seen"
    coverage = SlideCoverage((2000, 2000), [Scan(1, frozenset({1, 2}), Region(0, 0, 900, 2000))])
    found = slide_statistics(rows, CLASSES, (0.5, 0.5), coverage)
    assert found["outside_area"] == 1
    for row in (found, *found["classes"]):
        del row["size_um"], row["statistics"]
    assert slide_statistics(rows, CLASSES, (0.5, 0.5), coverage, sizes=False) == found


def test_what_is_not_known_is_none_not_zero():
    found = slide_statistics(make_rows(0), CLASSES, None, SlideCoverage((10, 10)))
    assert found["per_mm2"] is None and found["size_um"] is None and found["reviewed_share"] is None
    assert found["classes"] == []


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50))
def test_the_histogram_loses_no_size(sizes):
    counts, edges = size_histogram(np.array(sizes))
    assert counts.sum() == len(sizes) and (np.diff(edges) > 0).all()


def test_each_true_box_is_found_once_and_only_in_its_class():
    truth = np.array([[0, 0, 10, 10], [100, 100, 110, 110]], float)
    findings = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [100, 100, 110, 110], [300, 0, 310, 10]], float)
    score = precision_recall(findings, ["A", "A", "A", "A"], np.array([0.5, 0.9, 0.8, 0.7]), truth, ["A", "B"])
    assert (score["true_positives"], score["false_positives"], score["missed"]) == (1, 3, 1)
    assert score["precision"] == pytest.approx(0.25) and score["recall"] == pytest.approx(0.5)
    assert score["classes"]["B"]["precision"] is None and score["classes"]["B"]["recall"] == 0.0
    nothing = precision_recall(np.empty((0, 4)), [], np.empty(0), np.empty((0, 4)), [])
    assert nothing["precision"] is None and nothing["recall"] is None


@pytest.mark.parametrize("seed", range(6))
def test_recall_agrees_with_pycocotools(seed, capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 900, (40, 2))
    truth = np.hstack([corner, corner + rng.uniform(20, 80, (40, 2))])
    findings = np.vstack([truth[:30] + rng.normal(0, 6, (30, 4)), rng.permutation(truth)[:10] + 200])
    findings = np.hstack([np.minimum(findings[:, :2], findings[:, 2:] - 1), findings[:, 2:]])
    true_codes, codes = rng.choice(["A", "B"], 40), np.append(rng.choice(["A", "B"], 10), rng.choice(["A", "B"], 30))
    codes[:30] = np.where(rng.random(30) < 0.8, true_codes[:30], codes[:30])
    scores = rng.random(40)
    mine = precision_recall(findings, list(codes), scores, truth, list(true_codes), iou=0.5)

    def annotations(boxes, names):
        return [
            {
                "id": i + 1, "image_id": 1, "category_id": {"A": 1, "B": 2}[n], "iscrowd": 0,
                "bbox": [b[1], b[0], b[3] - b[1], b[2] - b[0]], "area": (b[3] - b[1]) * (b[2] - b[0]),
            }
            for i, (b, n) in enumerate(zip(boxes, names, strict=True))
        ]  # fmt: skip

    coco = COCO()
    coco.dataset = {
        "images": [{"id": 1}], "categories": [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}],
        "annotations": annotations(truth, true_codes),
    }  # fmt: skip
    coco.createIndex()
    results = coco.loadRes([{**a, "score": s} for a, s in zip(annotations(findings, codes), scores, strict=True)])
    run = COCOeval(coco, results, "bbox")
    run.params.iouThrs, run.params.maxDets = np.array([0.5]), [100]
    run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
    run.evaluate()
    theirs = sum(int((e["dtMatches"][0] > 0).sum()) for e in run.evalImgs if e)
    assert mine["true_positives"] == theirs


def test_states_have_words():
    assert [state.word for state in ReviewState] == ["unreviewed", "confirmed", "rejected"]
