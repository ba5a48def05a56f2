"""Statistics by name: built-in ones against independent computations, and those of other packages."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.analysis import registry
from microscope_qc.analysis.registry import STATISTICS, Measured, Sample, Statistic, measured
from microscope_qc.core import plugins
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.defect_class import DefectClass

CLASSES = [DefectClass("A", "Usual", id=1)]


def rows_of(boxes):
    """Rows from y0, x0, y1, x1."""
    rows = make_rows(len(boxes))
    rows["class_id"] = 1
    for name, values in zip(("y0", "x0", "y1", "x1"), np.reshape(boxes, (-1, 4)).T, strict=True):
        rows[name] = values
    return rows


boxes = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 14), st.integers(1, 14))


@given(st.lists(boxes, max_size=30))
def test_what_boxes_cover_is_counted_pixel_by_pixel(found):
    ground = np.zeros((64, 64), bool)
    for y, x, height, width in found:
        ground[y : y + height, x : x + width] = True
    rows = rows_of([(y, x, y + height, x + width) for y, x, height, width in found])
    number = measured(Sample(rows, CLASSES, (0.5, 2.0), area_mm2=64 * 64 * 1e-6))["box_area_percent"]
    assert number["value"] == pytest.approx(100 * ground.mean(), abs=1e-9)
    assert (number["unit"], number["n"]) == ("%", len(found))


def test_what_lies_outside_the_area_is_not_part_of_its_share():
    rows = rows_of([(0, 0, 10, 10), (500, 500, 900, 900)])
    sample = Sample(rows, CLASSES, (1.0, 1.0), area_mm2=1e-3, in_area=np.array([True, False]))
    found = measured(sample)
    assert found["box_area_percent"] == {"value": pytest.approx(10.0), "unit": "%", "n": 1, "interval": None}
    assert found["largest_um"]["value"] == 400.0, "sizes are of all findings"


def test_sizes_are_those_of_the_sorted_list():
    sides = [4.0, 1.0, 3.0, 2.0, 100.0]
    found = measured(Sample(rows_of([(0, 0, side, 0.5) for side in sides]), CLASSES, (2.0, 1.0)))
    values = {name: found[name]["value"] for name in ("median_um", "mean_um", "largest_um")}
    assert values == {"median_um": 6.0, "mean_um": 44.0, "largest_um": 200.0}
    assert found["q90_um"]["value"] == pytest.approx(8 + 0.6 * 192)
    assert {number["n"] for name, number in found.items() if name.endswith("_um")} == {5}


@pytest.mark.parametrize(
    ("sample", "names"),
    [
        (Sample(rows_of([]), CLASSES, (1.0, 1.0), 1.0), {"median_um", "mean_um", "q90_um", "largest_um"}),
        (Sample(rows_of([(0, 0, 9, 9)]), CLASSES, None, 1.0), set(STATISTICS)),
        (Sample(rows_of([(0, 0, 9, 9)]), CLASSES, (1.0, 1.0)), {"box_area_percent"}),
        (Sample(rows_of([(0, 0, 9, 9)]), CLASSES, (1.0, 1.0), 0.0), {"box_area_percent"}),
    ],
)
def test_what_is_not_known_is_none(sample, names):
    found = measured(sample)
    assert {name for name, number in found.items() if number["value"] is None} == names
    json.dumps(found, allow_nan=False)


def test_every_built_in_statistic_describes_itself():
    for name, statistic in STATISTICS.items():
        assert statistic.name == name
        assert statistic.title and statistic.heading
    assert STATISTICS.get("median_um").text(12.34) == "12.3"
    assert STATISTICS.get("median_um").text(None) == "-"


SHARE = Statistic("share", "Share", "Share", "", lambda sample: Measured(0.25, 4, (0.1, 0.5)), digits=3)
BROKEN = Statistic("broken", "Broken", "Broken", "", lambda sample: 1 / 0)
ENDLESS = Statistic("endless", "Endless", "Endless", "", lambda sample: Measured(np.inf, 1))
NUMBER = 7


def test_statistics_of_other_packages_are_listed_and_one_that_fails_is_named(monkeypatch, caplog):
    points = tuple(
        EntryPoint(name, f"{__name__}:{name.upper()}", "") for name in ("share", "broken", "endless", "number")
    )
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points)
    own = plugins.Registry("statistics", registry._a_statistic, STATISTICS._builtin, what="statistic")
    monkeypatch.setattr(registry, "STATISTICS", own)
    found = measured(Sample(rows_of([(0, 0, 9, 9)]), CLASSES, (1.0, 1.0), 1.0))
    assert list(found) == [*STATISTICS._builtin, "share"]
    assert found["share"] == {"value": 0.25, "unit": "", "n": 4, "interval": [0.1, 0.5]}
    reasons = {problem.name: problem.reason for problem in own.problems}
    assert reasons == {
        "broken": "ZeroDivisionError: division by zero.",
        "endless": "its result is not a finite number.",
        "number": "it is a int, not a Statistic.",
    }
    assert "The plugin broken of" in caplog.text
    assert own.usable() == list(found)


def test_a_built_in_that_fails_is_not_hidden(monkeypatch):
    own = plugins.Registry("statistics", registry._a_statistic, {"broken": f"{__name__}:BROKEN"})
    monkeypatch.setattr(registry, "STATISTICS", own)
    with pytest.raises(ZeroDivisionError):
        measured(Sample(rows_of([]), CLASSES))
