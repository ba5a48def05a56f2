"""Where findings lie: pair correlation and K against sums over all pairs and known processes; hotspots."""

from __future__ import annotations

import math

import numpy as np
import pytest

from microscope_qc.analysis import spatial
from microscope_qc.analysis.spatial import (
    Window,
    benjamini_hochberg,
    cell_um,
    clustering,
    largest_distance_um,
    squares,
    window_of,
)
from microscope_qc.core.jobs import run_job

SIDE = 1000.0


def holds_ring(y, x):
    """A square with a round hole and a missing corner."""
    return (np.hypot(y - 500, x - 500) > 200) & ~((y > 700) & (x > 700))


def everywhere(y, x):
    return np.ones(len(y), bool)


def thrown(rng, count, holds):
    places = rng.uniform(0, SIDE, (3 * count, 2))
    return places[holds(*places.T)][:count]


def window(places, holds=everywhere, cell=None):
    y, x = (np.arange(200) + 0.5) * SIDE / 200, (np.arange(200) + 0.5) * SIDE / 200
    area = holds(np.repeat(y, 200), np.tile(x, 200)).mean() * SIDE**2
    return window_of((SIDE, SIDE), cell or cell_um([(SIDE, SIDE)], len(places), area), holds, places)


def left_half(y, x):
    return x < SIDE / 2


def summed(places, r):
    """K in the left half by Ohser's sum over all pairs: a pair at a lag can lie in a smaller rectangle."""
    dy, dx = np.abs(places[:, None] - places[None]).transpose(2, 0, 1)
    near = (np.hypot(dy, dx) <= r) & ~np.eye(len(places), dtype=bool)
    area, count = SIDE**2 / 2, len(places)
    return (1 / ((SIDE - dy) * (SIDE / 2 - dx)))[near].sum() * area**2 / (count * (count - 1))


def test_k_is_that_of_a_sum_over_all_pairs():
    places = thrown(np.random.default_rng(4), 300, left_half)
    found = run_job(clustering([window(places, left_half, cell=4.0)], 0.0, simulated=1))
    assert found.step_um == 4.0
    l_um = [math.sqrt(summed(places, r) / math.pi) - r for r in found.r_um]
    assert found.l_um[5:] == pytest.approx(np.array(l_um[5:]), abs=1.0), "at distances of 24 um and more"
    assert np.abs(found.l_um[5:] - l_um[5:]).mean() < 0.4


def test_findings_thrown_at_random_are_neither_clustered_nor_apart():
    rng, wrong = np.random.default_rng(1), 0
    for seed in range(30):
        found = run_job(clustering([window(thrown(rng, 300, holds_ring), holds_ring)], 0.0, simulated=39, seed=seed))
        wrong += found.p <= 0.05
        assert abs(found.g[5:].mean() - 1) < 0.25
    print(f"called clustered or apart: {wrong} of 30")
    assert wrong <= 5


def thomas(rng, parents, points, sigma):
    middle = rng.uniform(-100, SIDE + 100, (rng.poisson(parents * ((SIDE + 200) / SIDE) ** 2), 2))
    places = np.repeat(middle, rng.poisson(points, len(middle)), axis=0)
    places = places + rng.normal(0, sigma, places.shape)
    return places[(places >= 0).all(axis=1) & (places < SIDE).all(axis=1)]


def test_the_pair_correlation_of_a_thomas_process_is_found():
    rng, curves = np.random.default_rng(2), []
    for _ in range(40):
        found = run_job(clustering([window(thomas(rng, 20, 5, 20.0), cell=10.0)], 0.0, simulated=1))
        curves.append(np.interp([20, 30, 40, 60, 80], found.r_um, found.g))
    r = np.array([20, 30, 40, 60, 80.0])
    expected = 1 + np.exp(-(r**2) / (4 * 20**2)) / (4 * math.pi * 20**2 * 20 / SIDE**2)
    assert np.mean(curves, axis=0) == pytest.approx(expected, rel=0.15)


def test_clusters_and_distances_are_told_from_chance():
    rng = np.random.default_rng(3)
    together = run_job(clustering([window(thomas(rng, 30, 8, 15.0))], 5.0, simulated=39))
    assert together.p <= 0.05 and together.clustered is True
    grid = np.stack(np.meshgrid(np.arange(25, 1000, 50.0), np.arange(25, 1000, 50.0)), axis=-1).reshape(-1, 2)
    apart = run_job(clustering([window(grid + rng.normal(0, 3, grid.shape))], 5.0, simulated=39))
    assert apart.p <= 0.05 and apart.clustered is False


def test_distances_below_the_size_of_a_finding_are_not_read():
    """Findings that lie in each other become one: that looks like order, and is none."""
    rng = np.random.default_rng(6)
    places = thrown(rng, 1500, everywhere)
    kept = [places[0]]
    for place in places[1:]:
        if np.hypot(*(np.array(kept) - place).T).min() > 12:
            kept.append(place)
    merged = np.array(kept)
    found = run_job(clustering([window(merged)], 0.0, simulated=39))
    assert found.clustered is False
    read = run_job(clustering([window(merged)], 60.0, simulated=39))
    assert not read.read[0] and read.r_um[read.read][0] >= 60


def test_several_slides_are_one_pattern_each_with_its_own_density():
    rng = np.random.default_rng(7)
    cell = cell_um([(SIDE, SIDE)], 400, 2 * SIDE**2)
    some, many = (window(thrown(rng, count, everywhere), cell=cell) for count in (60, 340))
    found = run_job(clustering([some, many], 0.0, simulated=39))
    assert found.findings == 400 and found.clustered is None


def test_a_hotspot_is_found_and_chance_makes_none():
    rng, false = np.random.default_rng(8), 0
    for _ in range(100):
        false += squares(window(thrown(rng, 400, holds_ring), holds_ring)).hot.any()
    print(f"windows with a false hotspot: {false} of 100")
    assert false <= 8
    planted = np.concatenate([thrown(rng, 400, holds_ring), rng.normal((50, 50), 12, (25, 2))])
    found = squares(window(planted, holds_ring))
    assert found.hot.any()
    y0, x0, y1, x1 = found.corners_um[found.hot].T
    assert (y0 < 200).all() and (x0 < 200).all() and found.counts[found.hot].sum() >= 20
    assert found.counts.sum() == len(planted) and (found.square_of >= 0).all()
    assert found.areas_mm2.sum() == pytest.approx(window(planted, holds_ring).area_um2 / 1e6)
    assert np.bincount(found.square_of, minlength=len(found.counts)).tolist() == found.counts.tolist()


def test_p_values_are_corrected_as_by_hand():
    assert benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).tolist() == pytest.approx(
        [0.04, 0.16 / 3, 0.16 / 3, 0.5]
    )


def test_cells_are_as_fine_as_the_distances_need_and_no_more_than_fit():
    assert cell_um([(SIDE, SIDE)], 100, SIDE**2) == largest_distance_um(100, SIDE**2) / 16
    assert cell_um([(SIDE, 3 * SIDE)], 10_000_000, 3 * SIDE**2) == 3 * SIDE / spatial.MOST_CELLS


def test_a_finding_at_the_edge_of_the_area_stays_in_it():
    made = window_of((10.0, 10.0), 10.0, lambda y, x: y > 6, np.array([[7.0, 1.0]]))
    assert isinstance(made, Window) and made.area_um2 == 100 and made.cells.tolist() == [0]
