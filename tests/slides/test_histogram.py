"""Counts of a slide's values, and its white balance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_render import TYPES, Planes, noise

from microscope_qc.slides.histogram import balance_of, grey_place, grey_world, histogram


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(60, 50), (60, 50, 3)])
def test_every_value_is_counted_once(kind: str, shape: tuple[int, ...]) -> None:
    plane = noise(kind, shape)
    made = histogram(Planes([plane]))
    flat = plane.reshape(-1, 3) if len(shape) == 3 else plane.reshape(-1, 1)
    usable = flat[np.isfinite(flat).all(axis=1)]
    assert made.counts.sum() == usable.size
    assert made.counts.shape == (flat.shape[1], len(made.edges) - 1)
    assert made.counts.shape[1] <= 258
    assert made.auto_window[0] < made.auto_window[1]
    assert (np.diff(made.edges) > 0).all()


def test_counts_are_at_their_values() -> None:
    plane = np.full((10, 10), 7, np.uint8)
    plane[0] = 200
    made = histogram(Planes([plane]))
    places = [np.searchsorted(made.edges, value, side="right") - 1 for value in (7, 200)]
    assert [int(made.counts[0, place]) for place in places] == [90, 10]
    assert made.own_window == (0.0, 255.0)


def test_nothing_but_nan_is_an_empty_histogram() -> None:
    made = histogram(Planes([np.full((9, 9), np.nan, np.float32)]))
    assert made.counts.sum() == 0


@given(st.tuples(*[st.floats(60, 200)] * 3))
def test_grey_world_makes_the_mean_grey(means: tuple[float, float, float]) -> None:
    pixels = np.random.default_rng(0).normal(means, 3, (80, 80, 3)).clip(0, 255)
    factors = grey_world(Planes([pixels.astype(np.float32)]))
    assert np.ptp(pixels.reshape(-1, 3).mean(axis=0) * factors) < 3


def test_a_place_gives_the_balance_and_black_or_white_does_not() -> None:
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[50:150, 50:150] = (200, 150, 100)
    mosaic = Planes([pixels])
    factors = grey_place(mosaic, 100, 100, radius_px=6)
    assert factors == pytest.approx((0.75, 1.0, 1.5))
    assert grey_place(mosaic, 10, 10, radius_px=6) is None
    assert grey_place(mosaic, -500, 10, radius_px=6) is None
    assert balance_of(np.full((1, 3), 255.0), white=255) is None
