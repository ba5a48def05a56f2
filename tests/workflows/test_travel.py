"""The travel list: which findings are on it, and in which order."""

from __future__ import annotations

import csv
import itertools

import numpy as np
import pytest

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.registration import fit
from microscope_qc.workflows.stage.options import ORDERS, StageOptions
from microscope_qc.workflows.stage.stage import export_stage, fit_registration, read_marks, store_marks
from microscope_qc.workflows.stage.travel import travel_order, travel_rows

MARKS = "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm\nA,600,400,10.3,19.8\nB,600,0,10.3,20\nC,0,400,10,19.8\n"
CLASSES = [DefectClass("ACP", "Small worry", id=1, weight=1.0), DefectClass("CRK", "Crack", id=2, weight=5.0)]


def places(*yx: tuple[float, float], **columns: object) -> np.ndarray:
    rows = make_rows(len(yx), id=np.arange(1, len(yx) + 1), chosen=True, class_id=1, **columns)
    rows["y0"], rows["x0"] = np.array(yx).T - 5
    rows["y1"], rows["x1"] = np.array(yx).T + 5
    return rows


def test_rejected_ones_are_left_out_and_counted():
    rows = places((0, 0), (0, 1), (0, 2), (0, 3))
    rows["chosen"][0] = False
    rows["state"][[0, 1]] = ReviewState.REJECTED
    kept, rejected = travel_rows(rows)
    assert kept["id"].tolist() == [3, 4] and rejected == 1
    assert [len(part) if isinstance(part, np.ndarray) else part for part in travel_rows(rows[:0])] == [0, 0]


def test_the_short_route_begins_at_the_first_mark_and_is_measured_on_the_stage():
    # pixels twice as high as wide: the route differs between slide pixels and stage
    marks = np.array([[1000.0, 0.0], [0.0, 0.0], [0.0, 1000.0], [1000.0, 1000.0]])
    stage = np.column_stack([marks[:, 1] * 0.001, -marks[:, 0] * 0.002])
    registration = fit(marks, stage, (2.0, 1.0))
    rows = places((500, 500), (900, 50), (20, 20), (100, 900), (520, 480), (880, 950))
    order = travel_order(rows, CLASSES, registration, pixel_size_um=(2.0, 1.0)).tolist()
    centres = [(500, 500), (900, 50), (20, 20), (100, 900), (520, 480), (880, 950)]

    def length(numbers):
        way = [(1000, 0), *(centres[number] for number in numbers)]
        return sum(np.hypot(2 * (b[0] - a[0]), b[1] - a[1]) for a, b in itertools.pairwise(way))

    assert order[0] == 1, "nearest to the first mark"
    assert length(order) == pytest.approx(min(map(length, itertools.permutations(range(6)))))


def test_without_an_alignment_the_route_begins_at_the_first_row():
    rows = places((0, 0), (0, 90), (0, 30), (0, 60))
    assert travel_order(rows, CLASSES, None).tolist() == [0, 2, 3, 1]
    # high pixels: the place below is farther than the one beside
    tall = places((0, 0), (10, 0), (0, 12), (0, 24))
    assert travel_order(tall, CLASSES, None, pixel_size_um=(5.0, 1.0)).tolist() == [0, 2, 3, 1]
    assert travel_order(tall, CLASSES, None, pixel_size_um=(1.0, 1.0)).tolist()[1] == 1


def test_worst_first_and_by_number():
    rows = places((0, 0), (0, 90), (0, 30))
    rows["class_id"][1] = 2
    rows["x1"][2] += 50
    assert travel_order(rows, CLASSES, None, order="worst", pixel_size_um=(1.0, 1.0)).tolist() == [1, 2, 0]
    assert travel_order(rows[::-1], CLASSES, None, order="number").tolist() == [2, 1, 0]
    for order in ORDERS:
        assert travel_order(rows[:0], CLASSES, None, order=order).tolist() == []


@pytest.mark.parametrize("wrong", [{"order": "best"}, {"unit": "inch"}, {"stage_z_mm": float("nan")}])
def test_choices_that_do_not_exist_are_refused(wrong):
    with pytest.raises(InputError):
        StageOptions(**wrong)


def test_every_format_has_the_order_unit_and_height(project, tmp_path):
    (tmp_path / "marks.csv").write_text(MARKS)
    slide = project.slides[0]
    store_marks(project, slide.id, read_marks(tmp_path / "marks.csv"))
    fit_registration(project, slide.id, name="R1")
    project.boxes.edit(project.boxes.rows(slide.id, every=True)["id"], chosen=True)
    found = {}
    for order in ORDERS:
        options = StageOptions(order=order, unit="um", stage_z_mm=1.25)
        run_job(export_stage(project, tmp_path / f"{order}.csv", options=options))
        with (tmp_path / f"{order}.csv").open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        assert {line["stage_z_um"] for line in lines} == {"1250.0"}
        found[order] = [int(line["defect_id"]) for line in lines]
    rows, _ = travel_rows(project.boxes.rows(slide.id, every=True))
    assert found["number"] == sorted(rows["id"].tolist())
    assert found["short"] != found["number"] and sorted(found["short"]) == found["number"]
    # the first mark is at the lower right: the nearest finding is visited first
    nearest = np.argmin(np.hypot((rows["y0"] + rows["y1"]) / 2 - 400, (rows["x0"] + rows["x1"]) / 2 - 600))
    assert found["short"][0] == rows["id"][nearest]
