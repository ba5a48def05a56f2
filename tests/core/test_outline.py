"""Outlines: text and back, the box around them, their border, and what is none."""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from microscope_qc.core.errors import InputError
from microscope_qc.core.orientation import upright_outline, upright_pixels, upright_points
from microscope_qc.core.outline import Outline, run_lengths
from microscope_qc.core.runs import borders, box_of, other_way, signed_area

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
rings = st.lists(st.tuples(numbers, numbers), min_size=4, max_size=8)
pictures = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6).map(np.array)


@given(st.lists(st.lists(rings, min_size=1, max_size=2), min_size=1, max_size=3), numbers, numbers)
def test_polygons_come_back_exactly_and_move(polygons, dy, dx):
    outline = Outline.polygons(polygons)
    assert Outline.from_json(outline.to_json()) == outline
    y0, x0, y1, x1 = outline.bounds
    assert outline.moved(dy, dx).bounds == pytest.approx((y0 + dy, x0 + dx, y1 + dy, x1 + dx), abs=1e-6)


@given(pictures)
def test_masks_are_the_pixels_and_their_border_encloses_them(pixels):
    outline = Outline.mask(pixels, 10, 20)
    np.testing.assert_array_equal(outline.pixels(), pixels)
    assert Outline.from_json(outline.to_json()) == outline
    inside = np.zeros(pixels.shape, bool)
    for ring in outline.rings():
        assert signed_area(ring) > 0
        inside |= filled(ring, pixels.shape, 10, 20)
    assert (inside | pixels == inside).all()
    if pixels.any():
        rows, columns = np.nonzero(pixels)
        assert outline.bounds == (10 + rows.min(), 20 + columns.min(), 11 + rows.max(), 21 + columns.max())
        reach = [side for ring in outline.rings() for side in ring]
        assert (min(y for y, _ in reach), max(x for _, x in reach)) == (outline.bounds[0], outline.bounds[3])


def filled(ring, shape, y0, x0):
    """Pixels whose centre lies inside a ring (even-odd rule, ray to the right)."""
    result = np.zeros(shape, bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            y, x = y0 + row + 0.5, x0 + column + 0.5
            sides = zip(ring, (*ring[1:], ring[0]), strict=True)
            crossed = sum(1 for (ya, xa), (yb, _) in sides if (ya > y) != (yb > y) and xa > x)
            result[row, column] = crossed % 2 == 1
    return result


def test_holes_are_no_outer_border():
    ring = np.ones((5, 5), bool)
    ring[1:4, 1:4] = False
    assert Outline.mask(ring, 0, 0).rings() == [((0, 0), (0, 5), (5, 5), (5, 0))]


def test_ellipses_reach_as_far_as_their_points():
    for angle in (0, 30, 90, 200):
        outline = Outline.ellipse(100, 50, 10, 30, angle_deg=angle)
        (ring,) = outline.rings(steps=3600)
        ys, xs = zip(*ring, strict=True)
        assert (min(ys), min(xs), max(ys), max(xs)) == pytest.approx(outline.bounds, abs=1e-3)
        assert Outline.from_json(outline.to_json()) == outline
    assert Outline.ellipse(0, 0, 10, 30, angle_deg=90).bounds == pytest.approx((-30, -10, 30, 10))


def test_a_larger_scale():
    triangle = Outline.polygon([(1, 2), (1, 4), (3, 3), (1, 2)])
    assert triangle.parts[0][0] == ((1, 2), (1, 4), (3, 3)), "the first point is not repeated"
    assert triangle.scaled(2, 3).bounds == (2, 6, 6, 12)
    assert Outline.ellipse(1, 2, 3, 4).scaled(2, 2) == Outline.ellipse(2, 4, 6, 8)
    assert Outline.mask(np.ones((2, 2), bool), 0, 0).scaled(2, 2) is None


@pytest.mark.parametrize(
    "text",
    [
        "{}", "[]", "7", "nothing", '{"kind":"star","parts":[[[[0,0],[0,1],[1,1]]]]}',
        '{"kind":"polygon","parts":[[[[0,0],[0,1]]]]}', '{"kind":"polygon","parts":[[[[0,0],[0,1e999],[1,1]]]]}',
        '{"kind":"polygon","parts":[[["ab"]]]}', '{"kind":"mask","mask_px":[0,0,2,2],"counts":[3]}',
        '{"kind":"mask","mask_px":[0,0,2,2],"counts":[-1,5]}', '{"kind":"ellipse","parts":[[[[0,0],[0,5]]]]}',
        '{"kind":"mask","mask_px":[0,0,100000,100000],"counts":[10000000000]}',
    ],
)  # fmt: skip
def test_what_is_no_outline_is_said(text):
    with pytest.raises(InputError):
        Outline.from_json(text)


@given(pictures, st.lists(st.integers(0, 20), max_size=3))
def test_masks_are_worked_on_as_runs(pixels, places):
    height, width = pixels.shape
    counts = list(run_lengths(pixels))
    for place in places:  # runs of no length say nothing
        counts[place % len(counts) : place % len(counts)] = [0, 0]
    ys, xs = np.nonzero(pixels)
    if not len(ys):
        assert box_of(counts, height) is None
        return
    assert box_of(counts, height) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    assert other_way(counts, height, width) == list(run_lengths(pixels.T))
    moved = Outline.mask(pixels, 10, 20).rings()
    assert borders(counts, height) == [tuple((y - 10, x - 20) for y, x in ring) for ring in moved]


def test_a_mask_of_many_pixels_is_never_unpacked(monkeypatch):
    monkeypatch.setattr(Outline, "pixels", None)
    outline = Outline.of_counts([0, 400_000_000], (0, 0, 20_000, 20_000))
    assert outline.bounds == (0, 0, 20_000, 20_000)
    assert outline.rings() == [((0, 0), (0, 20_000), (20_000, 20_000), (20_000, 0))]


@given(pictures.filter(np.any), st.integers(1, 8))
def test_outlines_are_turned_with_their_picture(pixels, orientation):
    stored = (30, 50)
    turned = partial(upright_outline, orientation=orientation, stored_shape_px=stored)
    mask = turned(Outline.mask(pixels, 10, 20))
    picture = np.zeros(stored, bool)
    picture[10 : 10 + pixels.shape[0], 20 : 20 + pixels.shape[1]] = pixels
    y, x, height, width = map(int, mask.mask_px)
    upright = upright_pixels(picture, orientation)
    np.testing.assert_array_equal(mask.pixels(), upright[y : y + height, x : x + width])
    assert mask.pixels().sum() == upright.sum()
    for outline in (
        Outline.ellipse(12, 30, 3, 6),
        Outline.ellipse(12, 30, 3, 6, angle_deg=25),
        Outline.polygon([(1, 2), (9, 40), (20, 5)]),
    ):
        points = upright_points(np.array(outline.rings()[0]), orientation, stored_shape_px=stored)
        right = (*points.min(axis=0), *points.max(axis=0))
        np.testing.assert_allclose(turned(outline).bounds, right, atol=0.1)
        ring = np.array(turned(outline).rings()[0])
        nearest = np.min(np.linalg.norm(ring[:, None] - points[None], axis=2), axis=0)
        assert nearest.max() < 0.6
