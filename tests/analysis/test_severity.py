"""Severities by hand: the formula, what drops out, and what does not change it."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.analysis.severity import Findings, SeverityProfile, by_severity, medians_um, severities
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError

CLASSES = [DefectClass("ACP", "a", id=1, weight=1.0), DefectClass("CRK", "c", id=2, weight=2.0)]
UM = (0.5, 0.5)


def rows_at(places, *, side=20.0, class_id=1, **more):
    y, x = np.array(places, float).T
    count = len(y)
    return make_rows(
        count, id=np.arange(1, count + 1), class_id=class_id, y0=y, x0=x, y1=y + side, x1=x + side / 2, **more
    )


def of(rows, profile, *, size=UM, **more):
    return severities(Findings(rows, size), Findings(rows, size), CLASSES, profile, **more)


def test_it_is_the_weighted_mean_of_the_parts_by_the_weight_of_the_class():
    rows = rows_at([(0, 0), (0, 100), (100, 0), (5000, 5000)], class_id=[1, 2, 1, 2])
    profile = SeverityProfile(limits_um={1: 40.0}, medians_um={2: 10.0})
    found = of(rows, profile, anomaly_p={1: 1e-3, 4: 1e-12})
    assert found.neighbours.tolist() == [2, 2, 2, 0]
    assert found.parts["size"].tolist() == [10 / 40, 10 / 40, 10 / 40, 10 / 40]
    assert found.weight.tolist() == [0.5, 1, 0.5, 1]
    assert found.total[0] == pytest.approx(100 * 0.5 * (0.6 * 0.25 + 0.25 * 0.5 + 0.15 * 2 / 5))
    assert found.total[1] == pytest.approx(100 * (0.6 * 0.25 + 0.15 * 2 / 5) / 0.75), "its anomaly is not known"
    assert found.total[3] == pytest.approx(100 * (0.6 * 0.25 + 0.25 * 1 + 0))


def test_sizes_are_full_at_the_limit_and_by_the_median_of_the_slide_where_none_is_kept():
    rows = rows_at([(0, 0), (0, 2000), (2000, 0)], side=np.array([20.0, 40.0, 4000.0]))
    assert of(rows, SeverityProfile(limits_um={1: 10.0})).parts["size"].tolist() == [1, 1, 1]
    assert of(rows, SeverityProfile()).parts["size"].tolist() == [10 / 80, 20 / 80, 1]
    assert medians_um(rows["class_id"], np.array([1.0, 3.0, np.nan])) == {1: 2.0}


def test_without_a_pixel_size_only_the_anomaly_is_left_and_without_any_part_it_is_not_known():
    rows = rows_at([(0, 0), (0, 30)])
    found = of(rows, SeverityProfile(), size=None, anomaly_p={2: 1e-3})
    assert np.isnan(found.total[0]) and found.total[1] == pytest.approx(100 * 0.5 * 0.5)
    assert found.neighbours.tolist() == [-1, -1]
    assert by_severity(rows["id"], found.total).tolist() == [1, 0]


def test_neighbours_are_within_the_radius_on_the_same_slide_and_count_themselves_never():
    rng = np.random.default_rng(3)
    rows = rows_at(rng.uniform(0, 2000, (300, 2)))
    slides = rng.integers(0, 3, 300)
    counted = rng.random(300) < 0.7
    found = severities(
        Findings(rows, UM, slides), Findings(rows[counted], UM, slides[counted]), CLASSES, SeverityProfile()
    )
    y, x = (rows["y0"] + rows["y1"]) / 2 * 0.5, (rows["x0"] + rows["x1"]) / 2 * 0.5
    near = np.hypot(y[:, None] - y, x[:, None] - x) <= 100
    near &= (slides[:, None] == slides) & counted & ~np.eye(300, dtype=bool)
    assert found.neighbours.tolist() == near.sum(axis=1).tolist()


def test_confidence_changes_nothing():
    rows = rows_at([(0, 0), (0, 30)], confidence=[0.1, 0.9])
    assert np.ptp(of(rows, SeverityProfile()).total) == 0


def test_a_profile_is_written_and_read_and_must_make_sense():
    profile = SeverityProfile(0.5, 0.5, 0.0, 50.0, 2.0, {1: 30.0}, {2: 4.5})
    assert SeverityProfile.from_json(profile.to_json()) == profile
    for wrong in (
        {"size": -1.0},
        {"size": 0.0, "anomaly": 0.0, "crowding": 0.0},
        {"radius_um": 0.0},
        {"half": float("nan")},
    ):
        with pytest.raises(InputError):
            SeverityProfile(**wrong)
    with pytest.raises(InputError, match="cannot be read"):
        SeverityProfile.from_json({"size": 1})
