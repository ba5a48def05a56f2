"""Intervals of an evaluation: places, draws, and the same as scipy; sizes the same as COCO."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest

from microscope_qc.ml.evaluation.bootstrap import LEAST_PLACES, Draws, MatchedFindings
from microscope_qc.ml.evaluation.detection import Tally, average_precision
from microscope_qc.ml.evaluation.on_slides import detection_report
from microscope_qc.ml.evaluation.report import figure_words
from microscope_qc.ml.tasks.detect import DETECT


def _add(tally: Tally, found: list[tuple], truth: list[tuple], **more: float) -> None:
    boxes, there = (np.array([row[:4] for row in rows], float).reshape(-1, 4) for rows in (found, truth))
    tally.add(
        boxes=boxes, labels=np.array([row[4] for row in found], int),
        confidence=np.array([row[5] for row in found], float),
        truth=there, truth_labels=np.array([row[4] for row in truth], int), **more,
    )  # fmt: skip


def _pictures(count: int, *, seed: int = 0, share: float = 0.7) -> Tally:
    """Pictures with one to four defects each, of which a share is found, and a few wrong finds."""
    rng = np.random.default_rng(seed)
    tally = Tally(["A", "B"])
    for _ in range(count):
        truth = [(40 * k, 0, 40 * k + 20, 20, int(rng.random() < 0.2)) for k in range(int(rng.integers(1, 5)))]
        found = [(*t[:4], t[4], float(rng.uniform(0.3, 1))) for t in truth if rng.random() < share]
        found += [(40 * k, 60, 40 * k + 20, 80, 0, float(rng.uniform(0, 0.8))) for k in range(int(rng.integers(0, 3)))]
        _add(tally, found, truth)
    return tally


def _precision(tally: Tally, method: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """The interval of the precision, and that which scipy makes of the same places."""
    found = tally.matches().shown(0.5)
    numbers = np.unique(found.place)
    good = np.array([found.hit[found.place == n].sum() for n in numbers])
    seen = np.array([(found.place == n).sum() for n in numbers])
    of_scipy = stats.bootstrap(
        (good, seen), lambda a, b, axis=-1: a.sum(axis) / b.sum(axis), paired=True, method=method, n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    one_stratum = replace(found, truth_label=0 * found.truth_label)
    draws = Draws(one_stratum, draws=4000)
    mine = draws.interval(draws.rates(one_stratum)["precision"], good.sum() / seen.sum(), of=found.place)
    assert mine is not None
    return mine, (of_scipy.low, of_scipy.high)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_of_many_places_the_interval_is_that_of_scipy(method: str) -> None:
    mine, of_scipy = _precision(_pictures(200), method)
    assert mine == pytest.approx(of_scipy, abs=0.012)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_of_few_places_it_is_wider_than_that_of_scipy(method: str) -> None:
    pairs = [_precision(_pictures(6, seed=seed), method) for seed in range(6)]
    wider = [np.ptp(mine) / np.ptp(of_scipy) for mine, of_scipy in pairs]
    assert min(wider) > 1 and np.mean(wider) > 1.2


def test_a_draw_counts_like_pictures_given_several_times() -> None:
    tally = _pictures(12, seed=4)
    found = tally.matches()
    draws = Draws(found, draws=30)
    values, elevens = draws.average_precision(found), draws.average_precision(found, eleven=True)
    for number in range(30):
        times = draws._weights[number]
        repeated = np.repeat(found.hit, times[found.place])
        truths = int(times[found.truth_place].sum())
        # equal findings of the same place follow each other: the curve is stepped through in larger steps
        assert values[number] == pytest.approx(average_precision(repeated, truths), abs=0.03)
        assert elevens[number] == pytest.approx(average_precision(repeated, truths, eleven=True), abs=0.05)
    once = MatchedFindings(found.score, found.label, found.hit, found.place, found.truth_label, found.truth_place)
    flat = Draws(once, draws=1)
    flat._weights[:] = 1
    assert flat.average_precision(once)[0] == pytest.approx(average_precision(found.hit, len(found.truth_label)))
    eleven = average_precision(found.hit, len(found.truth_label), eleven=True)
    assert flat.average_precision(once, eleven=True)[0] == pytest.approx(eleven)


def test_places_with_a_rare_class_are_drawn_among_themselves() -> None:
    tally = Tally(["A", "B"])
    for number in range(40):
        _add(tally, [], [(0, 0, 9, 9, int(number < 6))])
    found = tally.matches()
    draws = Draws(found)
    rare = found.truth_place[found.truth_label == 1]
    assert (draws.counts(rare) == 6).all()
    assert draws.counts(found.truth_place[:1]).std() > 0


def test_a_large_slide_is_many_places_and_a_find_lies_where_its_defect_lies() -> None:
    tally = Tally(["A"], place_px=100)
    truth = [(y, x, y + 10, x + 10, 0) for y in range(0, 500, 100) for x in range(92, 500, 100)]  # middles at 97
    found = [(y, x + 4, y + 10, x + 14, 0, 0.9) for y, x, *_ in truth]  # middles at 101
    _add(tally, found, truth)
    matches = tally.matches(iou=0.4)
    assert matches.hit.all() and matches.places == 25
    assert sorted(matches.place) == sorted(matches.truth_place)


def test_too_few_places_have_no_interval() -> None:
    few = detection_report(_pictures(LEAST_PLACES - 1), complete=True)
    assert few.document()["map50_interval"] is None and set(few.intervals.values()) == {None}
    assert figure_words(few.figures, few.intervals, "map50").endswith(" [not estimable]")
    assert any("[not estimable]" in line for line in DETECT.words(few))
    enough = detection_report(_pictures(LEAST_PLACES), complete=True)
    assert enough.intervals["recall"] is not None
    document = detection_report(_pictures(30), complete=True).document()
    low, high = document["map50_interval"]
    assert 0 <= low < document["map50"] < high <= 1 and document["places"] == 30
    assert set(document["per_class"]["A"]) >= {"ap50", "ap50_interval", "recall_interval"}


def test_the_mean_average_precision_at_one_half_is_at_one_half_whatever_overlap_counts() -> None:
    tally = Tally(["A"])
    _add(tally, [(0, 0, 10, 7, 0, 0.9)], [(0, 0, 10, 10, 0)])  # overlap 0.7
    strict = tally.report(confidence=0.5, iou=0.75)
    assert strict["recall"] == 0.0 and strict["map50"] == 1.0 and strict["per_class"]["A"]["ap50"] == 1.0
    assert strict["map"] == pytest.approx(0.5)


def test_sizes_are_those_of_coco() -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(8)
    truth, found = [], []
    for row in range(8):
        for column in range(8):
            side = float(rng.choice([12, 28, 40, 90, 120]))
            y, x = row * 150.0, column * 150.0
            truth.append((y, x, y + side, x + side, 0))
            if rng.random() < 0.8:
                moved = rng.normal(0, side / 12, 4)
                found.append((y + moved[0], x + moved[1], y + side + moved[2], x + side + moved[3], 0, rng.random()))
            if rng.random() < 0.5:
                found.append((y, x + 122, y + side / 4 + 5, x + 122 + 26, 0, rng.random()))
    tally = Tally(["A"])
    _add(tally, found, truth)
    reference = coco.COCO()
    reference.dataset = {
        "images": [{"id": 1}], "categories": [{"id": 0, "name": "A"}],
        "annotations": [
            {"id": i + 1, "image_id": 1, "category_id": 0, "bbox": [t[1], t[0], t[3] - t[1], t[2] - t[0]],
             "area": (t[3] - t[1]) * (t[2] - t[0]), "iscrowd": 0}
            for i, t in enumerate(truth)
        ],
    }  # fmt: skip
    reference.createIndex()
    results = reference.loadRes(
        [
            {"image_id": 1, "category_id": 0, "bbox": [f[1], f[0], f[3] - f[1], f[2] - f[0]], "score": f[5]}
            for f in found
        ]
    )
    judge = cocoeval.COCOeval(reference, results, "bbox")
    judge.params.iouThrs = np.array([0.5])
    judge.params.maxDets = [1, 10, 300]
    judge.evaluate()
    judge.accumulate()
    sizes = tally.by_size()
    for number, name in enumerate(("small", "medium", "large"), start=1):
        precision = judge.eval["precision"][0, :, 0, number, 2]
        assert sizes[name]["ap50"] == pytest.approx(precision[precision > -1].mean(), abs=0.02), name
    assert sum(own["truth"] for own in sizes.values()) == len(truth)


def test_calibration_says_what_share_is_right() -> None:
    tally = Tally(["A"])
    for number in range(100):
        right = number % 4 != 0
        _add(tally, [(0, 0, 10, 10, 0, 0.75)], [(0, 0, 10, 10, 0)] if right else [(50, 50, 60, 60, 0)])
    curves = tally.curves()
    ((confidence, share, count, low, high),) = curves["calibration"]
    assert (confidence, share, count) == (0.75, 0.75, 100)
    known = binomtest(75, 100).proportion_ci(0.95, method="exact")
    assert (low, high) == (pytest.approx(known.low, abs=1e-4), pytest.approx(known.high, abs=1e-4))
    assert curves["pr A"][-1][:2] == [0.75, 0.75]


def _varied(places: int, *, share: float, seed: int) -> Tally:
    """Places that differ: some are harder than others, some have more that is taken for a defect."""
    rng = np.random.default_rng(seed)
    tally = Tally(["A"])
    for _ in range(places):
        found_here = 1 / (1 + np.exp(-np.log(share / (1 - share)) - rng.normal(0, 0.5)))
        truth = [(40 * k, 0, 40 * k + 20, 20, 0) for k in range(int(rng.integers(1, 5)))]
        found = [(*t[:4], 0, float(rng.beta(4, 2))) for t in truth if rng.random() < found_here]
        found += [(40 * k, 60, 40 * k + 20, 80, 0, float(rng.beta(2, 4))) for k in range(int(rng.poisson(0.8)))]
        _add(tally, found, truth)
    return tally


_LONG = pytest.mark.long


@pytest.mark.parametrize(
    ("places", "share"),
    [
        (5, 0.9),
        (30, 0.6),
        *(pytest.param(places, share, marks=_LONG) for places, share in ((5, 0.6), (10, 0.6), (10, 0.9), (30, 0.9))),
    ],
)
def test_the_intervals_hold_the_true_values_as_often_as_they_say(
    places: int, share: float, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 % of the time; near 1 and of 5 places more often, since what is exact of so few is wide."""
    monkeypatch.setattr(Draws.__init__, "__kwdefaults__", {"draws": 400, "seed": 0})
    long = request.config.getoption("--long")
    names = ("precision", "recall", "f1", "map50")
    true = _varied(20_000 if long else 4_000, share=share, seed=1).report(confidence=0.3)
    held: dict[str, list[bool]] = {name: [] for name in names}
    for trial in range(1000 if long else 80):
        intervals, _ = _varied(places, share=share, seed=100 + trial).intervals(confidence=0.3)
        for name in names:
            sides = intervals.get(name)
            if sides is not None:
                held[name].append(sides[0] <= true[name] <= sides[1])
    for name, flags in held.items():
        least, most = (0.92, 0.985 if places > 5 else 0.997) if long else (0.87, 1.0)
        assert least <= np.mean(flags) <= most, (name, np.mean(flags), len(flags))
        assert len(flags) > 0.7 * (1000 if long else 80)


def test_all_missed_is_not_known_to_the_last_digit() -> None:
    tally = Tally(["A"])
    for _ in range(6):
        _add(tally, [], [(0, 0, 9, 9, 0)])
    intervals, per_class = tally.intervals(confidence=0.5)
    assert "precision" not in intervals and "precision" not in per_class["A"], "nothing was found"
    for sides in (intervals["recall"], intervals["f1"], intervals["map50"], per_class["A"]["ap50"]):
        assert sides == pytest.approx((0, 0.459), abs=1e-3), "six of six, as published tables say"


def test_less_than_one_defect_from_perfect_is_as_wide_as_perfect() -> None:
    tally = Tally(["A"])
    for place in range(8):
        wrong = (50, 50, 60, 60, 0, 0.835 if place == 7 else 0.1)
        _add(tally, [(0, 0, 9, 9, 0, 0.9 - place / 100), wrong], [(0, 0, 9, 9, 0)])
    figures = tally.report(confidence=0.5)
    sides = tally.intervals(confidence=0.5)[0]["map50"]
    assert 0.9 < figures["map50"] < 1 and sides is not None
    assert sides == (pytest.approx(0.025 ** (1 / 8), abs=1e-3), 1.0)
