"""Short routes through the places to visit, against every possible route and every single reversal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microscope_qc.correlation.route import MAX_IMPROVED, route_length, short_route, two_opt

coordinates = st.floats(-50, 50, allow_subnormal=False)
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=25)
starts = st.none() | st.tuples(coordinates, coordinates)


def length(xy: np.ndarray, order: list[int], start: np.ndarray | None) -> float:
    """Length of an open route, leg by leg."""
    stops = [*([] if start is None else [start]), *(xy[number] for number in order)]
    return sum(float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(stops))


def nearest_neighbour(xy: np.ndarray, start: np.ndarray | None) -> list[int]:
    """Always on to the nearest place not yet visited; without a start the route begins at the first place."""
    order: list[int] = []
    here = xy[0] if start is None else start
    while len(order) < len(xy):
        left = [number for number in range(len(xy)) if number not in order]
        order.append(min(left, key=lambda number: float(np.hypot(*(xy[number] - here)))))
        here = xy[order[-1]]
    return order


def best_reversal(xy: np.ndarray, order: list[int], start: np.ndarray | None) -> float:
    """Length after reversing the stretch that shortens a route most; it may reach to the open end."""
    fixed = 1 if start is None else 0
    turns = [
        order[:i] + order[i:j][::-1] + order[j:] for i in range(fixed, len(order)) for j in range(i + 2, len(order) + 1)
    ]
    return min((length(xy, turned, start) for turned in turns), default=np.inf)


@settings(max_examples=200, deadline=None)
@given(points, starts)
@example([(0.0, 0.0), (1.0, 0.0), (-1.5, 0.0), (10.0, 0.0)], None)
@example([(2.0, 0.0), (-3.0, 0.0)], (0.0, 0.0))
def test_every_place_once_and_no_reversal_shortens_the_route(places: list, begin: tuple | None) -> None:
    xy, start = np.array(places, float), None if begin is None else np.array(begin, float)
    order = short_route(xy, start=start).tolist()
    assert sorted(order) == list(range(len(xy)))
    if start is None:
        assert (xy[order[0]] == xy[0]).all()
    now = length(xy, order, start)
    assert route_length(xy, np.array(order), start=start) == pytest.approx(now)
    assert now <= length(xy, nearest_neighbour(xy, start), start) + 1e-6
    assert best_reversal(xy, order, start) >= now - 1e-6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=7), starts)
def test_the_route_against_every_possible_one(places: list, begin: tuple | None) -> None:
    """Never shorter than the best of all routes, and equal to it where one reversal reaches every order."""
    xy, start = np.array(places, float), None if begin is None else np.array(begin, float)
    first, rest = ([0], range(1, len(xy))) if start is None else ([], range(len(xy)))
    best = min(length(xy, [*first, *order], start) for order in itertools.permutations(rest))
    now = length(xy, short_route(xy, start=start).tolist(), start)
    assert best - 1e-6 <= now
    if len(rest) <= 2:  # one reversal reaches every order
        assert now <= best + 1e-6


def test_the_best_route_is_nearly_always_found() -> None:
    rng = np.random.default_rng(0)
    excess = []
    for _ in range(60):
        xy = rng.uniform(0, 100, (6, 2))
        best = min(length(xy, list(order), np.zeros(2)) for order in itertools.permutations(range(6)))
        excess.append(length(xy, short_route(xy, start=np.zeros(2)).tolist(), np.zeros(2)) / best - 1)
    assert np.mean(np.array(excess) < 1e-9) > 0.7 and np.mean(excess) < 0.02


def test_only_reversing_the_open_end_helps() -> None:
    """On a line from 0: 1, 5, 3. Behind 1 the route is reversed, 1, 3, 5: no other reversal shortens it."""
    xy, start = np.array([[1.0, 0.0], [5.0, 0.0], [3.0, 0.0]]), np.zeros(2)
    shorter = [
        [*order[:i], *order[i:j][::-1], *order[j:]]
        for order in [[0, 1, 2]]
        for i, j in itertools.combinations(range(4), 2)
        if length(xy, [*order[:i], *order[i:j][::-1], *order[j:]], start) < length(xy, order, start)
    ]
    assert shorter == [[0, 2, 1]]
    assert two_opt(xy, np.array([0, 1, 2]), start).tolist() == [0, 2, 1]
    assert two_opt(xy, np.array([0, 1, 2]), None).tolist() == [0, 2, 1]


def test_the_route_does_not_come_back() -> None:
    """The best round trip (2, 1, 0, 3 and back to the start) is not the best route that may end anywhere."""
    xy, start = np.array([[1.0, 0.0], [1.0, -2.0], [0.0, -3.0], [0.0, 2.0]]), np.zeros(2)
    assert short_route(xy, start=start).tolist() == [3, 0, 1, 2]


def test_a_route_along_a_line_goes_straight() -> None:
    xy = np.column_stack([np.array([5.0, 1, 4, 2, 3]), np.zeros(5)])
    assert short_route(xy, start=np.zeros(2)).tolist() == [1, 3, 4, 2, 0]


def test_few_and_very_many_places() -> None:
    assert short_route(np.zeros((0, 2))).tolist() == []
    assert short_route(np.zeros((1, 2))).tolist() == [0]
    many = np.random.default_rng(1).uniform(0, 1, (MAX_IMPROVED + 5, 2))
    assert short_route(many).tolist() == nearest_neighbour(many, None), "too many to improve: nearest neighbour"
