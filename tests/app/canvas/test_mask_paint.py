"""Brush, rectangles and undo on the cells of a mask; no window is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.app.canvas.area.mask_paint import MaskPaint
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region

CELL = (10.0, 20.0)
SHAPE = (30, 40)


def made(*, scan: bool = False) -> MaskPaint:
    return MaskPaint(AreaMask(Region(0, 0, 300, 800), CELL, np.full(SHAPE, scan)))


def middles() -> tuple[np.ndarray, np.ndarray]:
    return np.mgrid[0:30, 0:40][0] * 10.0 + 5.0, np.mgrid[0:30, 0:40][1] * 20.0 + 10.0


def strokes(paint: MaskPaint, *steps: Any) -> None:
    for kind, *numbers, add in steps:
        paint.begin()
        if kind == "brush":
            y0, x0, y1, x1, radius = numbers
            paint.brush((y0, x0), (y1, x1), radius_px=(radius, radius), add=add)
        else:
            paint.rectangle(*numbers, add=add)
        paint.end()


places = st.floats(-200, 1200)
brushes = st.tuples(st.just("brush"), places, places, places, places, st.floats(0.1, 300), st.booleans())
rectangles = st.tuples(st.just("rectangle"), places, places, places, places, st.booleans())


@given(st.lists(brushes | rectangles, max_size=8))
def test_everything_painted_can_be_undone_and_redone(steps: list[Any]) -> None:
    paint = made()
    states = [paint.scan.copy()]
    for step in steps:
        strokes(paint, step)
        if not np.array_equal(paint.scan, states[-1]):
            states.append(paint.scan.copy())
    for state in reversed(states[:-1]):
        assert paint.can_undo
        paint.undo()
        np.testing.assert_array_equal(paint.scan, state)
    assert not paint.can_undo and paint.undo() is None
    for state in states[1:]:
        cells = paint.redo()
        assert cells is not None
        np.testing.assert_array_equal(paint.scan, state)
    assert not paint.can_redo and paint.redo() is None


@given(places, places, places, places, st.floats(15, 300))
def test_a_cell_is_painted_when_its_middle_is_under_the_brush(
    y0: float, x0: float, y1: float, x1: float, radius: float
) -> None:
    paint = made()
    strokes(paint, ("brush", y0, x0, y1, x1, radius, True))
    y, x = middles()
    length = (y1 - y0) ** 2 + (x1 - x0) ** 2
    along = np.clip(((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length, 0, 1) if length else 0.0
    distance = np.hypot(y - y0 - along * (y1 - y0), x - x0 - along * (x1 - x0))
    assert paint.scan[distance < radius - 1e-6].all()
    assert not paint.scan[distance > radius + 1e-6].any()


def test_a_brush_thinner_than_a_cell_leaves_no_holes() -> None:
    paint = made()
    strokes(paint, ("brush", 7.0, 3.0, 288.0, 771.0, 0.01, True))
    for share in np.linspace(0, 1, 500):
        y, x = 7.0 + share * 281.0, 3.0 + share * 768.0
        assert paint.scan[int(y // 10), int(x // 20)]
    assert paint.scan.sum() < 120


def test_pixels_that_are_not_square_get_a_brush_that_is_round_in_micrometres() -> None:
    paint = made()
    paint.begin()
    paint.brush((150, 400), (150, 400), radius_px=(50.0, 200.0), add=True)
    rows, columns = np.flatnonzero(paint.scan.any(axis=1)), np.flatnonzero(paint.scan.any(axis=0))
    assert (rows.min(), rows.max() + 1) == (10, 20) and (columns.min(), columns.max() + 1) == (10, 30)


def test_a_rectangle_adds_what_it_touches_and_leaves_out_what_is_inside() -> None:
    paint = made()
    strokes(paint, ("rectangle", 95.0, 395.0, 121.0, 441.0, True))
    assert paint.scan[9:13, 19:23].all() and paint.scan.sum() == 16
    strokes(paint, ("rectangle", 94.0, 411.0, 121.0, 441.0, False))
    assert paint.scan[9:13, 19:21].all() and not paint.scan[9:12, 21].any() and paint.scan[12, 21]
    strokes(paint, ("rectangle", 121.0, 381.0, 122.0, 382.0, False))
    assert not paint.scan[12, 19], "smaller than a cell: that cell"
    strokes(paint, ("rectangle", -50.0, -50.0, -1.0, 5.0, True))
    assert not paint.scan[0].any(), "beside the slide nothing happens"


def test_a_stroke_that_is_cancelled_leaves_nothing() -> None:
    paint = made(scan=True)
    paint.begin()
    paint.brush((100, 100), (200, 600), radius_px=(30, 30), add=False)
    assert not paint.scan.all() and paint.undo() is None, "not while the hand is down"
    paint.drop()
    assert paint.scan.all() and not paint.can_undo and not paint.stroke_under_way
    strokes(paint, ("brush", 100, 100, 100, 100, 5, True))
    assert not paint.can_undo, "it changed nothing"


def test_going_back_is_a_step_and_what_is_handed_out_stays_as_it_was() -> None:
    paint = made()
    strokes(paint, ("rectangle", 0.0, 0.0, 99.0, 99.0, True))
    kept = paint.mask
    assert paint.replace(np.zeros(SHAPE, bool)) is not None and not paint.scan.any()
    assert kept.scan.any()
    assert paint.replace(np.zeros(SHAPE, bool)) is None
    paint.undo()
    np.testing.assert_array_equal(paint.scan, kept.scan)


@pytest.mark.parametrize("count", [1, 700])
def test_only_so_many_steps_are_kept(count: int) -> None:
    paint = made()
    for number in range(count):
        strokes(paint, ("rectangle", 0.0, 0.0, 1.0, 1.0, number % 2 == 0))
    steps = 0
    while paint.can_undo:
        paint.undo()
        steps += 1
    assert steps == min(count, 500)
