"""The area that densities are divided by, against independent counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.analysis.coverage import Declared, Scan, SlideCoverage, covered, masked_share
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.outline import Outline

HEIGHT, WIDTH = SHAPE = (60, 80)
ONE, TWO, THREE = 1, 2, 3


def polygon(*points: tuple[float, float]) -> Outline:
    return Outline.polygon(points)


def mask(region: Region, scan: np.ndarray) -> AreaMask:
    rows, columns = scan.shape
    return AreaMask(region, (region.shape[0] / rows, region.shape[1] / columns), scan)


def counted(coverage: SlideCoverage, class_id: int, per_px: int = 8) -> float:
    """Area of a class by testing many points of every pixel, one by one."""
    step = (np.arange(HEIGHT * per_px) + 0.5) / per_px, (np.arange(WIDTH * per_px) + 0.5) / per_px
    y, x = np.meshgrid(*step, indexing="ij")
    inside = np.zeros(y.shape, bool)
    for scan in coverage.scans:
        if class_id in scan.classes:
            r = scan.region
            here = (y >= r.y0) & (y < r.y1) & (x >= r.x0) & (x < r.x1)
            if scan.mask is not None:
                here &= scan.mask.at(y, x)
            for y0, x0, y1, x1 in [] if scan.missing_px is None else scan.missing_px:
                here &= ~((y >= y0) & (y < y1) & (x >= x0) & (x < x1))
            inside |= here
    for area in coverage.declared:
        if class_id in area.classes:
            for rings in area.outline.parts:
                outer, *holes = ([(px, py) for py, px in ring] for ring in rings)
                inside |= shapely.contains_xy(shapely.Polygon(outer, holes), x, y)
    return float(inside.mean()) * HEIGHT * WIDTH


def test_a_region_counts_where_it_lies_on_the_slide():
    coverage = SlideCoverage(SHAPE, [Scan(1, frozenset({ONE}), Region(-10, 70, 30, 90))])
    assert coverage.of_class(ONE).size_px == 30 * 10
    assert coverage.of_class(TWO).size_px == 0


def test_two_runs_that_overlap_count_once_and_only_for_the_classes_their_models_know():
    coverage = SlideCoverage(
        SHAPE,
        [
            Scan(1, frozenset({ONE, TWO}), Region(0, 0, 40, 40)),
            Scan(2, frozenset({TWO, THREE}), Region(20, 20, 60, 60)),
        ],
    )
    assert [coverage.of_class(n).size_px for n in (ONE, TWO, THREE)] == [1600, 1600 + 1600 - 400, 1600]
    assert coverage.of_all([ONE, TWO, THREE]).size_px == 400
    assert coverage.of_all([ONE, TWO]).size_px == 1600
    assert coverage.of_all([]).size_px == 0
    assert coverage.of_all([ONE, 99]).size_px == 0


def test_a_mask_counts_by_its_cells_and_is_at_its_border_as_it_says():
    scan = np.array([[1, 0, 1], [0, 0, 1]], bool)
    # cells of 20 x 20 px that end 20 px before the region does
    scan = Scan(1, frozenset({ONE}), Region(0, 0, 60, 80), AreaMask(Region(0, 0, 40, 60), (20.0, 20.0), scan))
    area = SlideCoverage(SHAPE, [scan]).of_class(ONE)
    assert area.size_px == 400 + 2 * 800 + 800  # the last column goes on to the right, its lower cell also down
    assert masked_share(scan) == pytest.approx(1 - 2800 / 4800)


def test_tiles_that_were_not_read_are_taken_off_once():
    region = Region(0, 0, 60, 80)
    grid = TileGrid(region, 24, 8)
    missing = np.array([[t.y0, t.x0, t.y1, t.x1] for t in (grid[0], grid[1], grid[len(grid) - 1])], float)
    coverage = SlideCoverage(SHAPE, [Scan(1, frozenset({ONE}), region, None, missing)])
    assert coverage.of_class(ONE).size_px == 60 * 80 - 24 * 40 - 24 * 24
    other = Scan(2, frozenset({ONE}), Region(0, 0, 10, 10))
    assert SlideCoverage(SHAPE, [*coverage.scans, other]).of_class(ONE).size_px == 60 * 80 - 24 * 40 - 24 * 24 + 100


def test_a_declared_polygon_joins_what_was_scanned():
    triangle = Declared(1, frozenset({ONE}), polygon((0, 0), (0, 40), (40, 0)))
    scan = Scan(1, frozenset({ONE, TWO}), Region(0, 0, 20, 20))
    coverage = SlideCoverage(SHAPE, [scan], [triangle])
    assert coverage.of_class(ONE).size_px == pytest.approx(800)  # the square lies in the triangle
    assert coverage.of_class(TWO).size_px == 400
    assert coverage.drawn(triangle).size_px == pytest.approx(800)
    assert coverage.of_all([ONE, TWO]).size_px == pytest.approx(400)
    inside = coverage.of_class(ONE).holds(np.array([1.0, 35.0, 35.0]), np.array([1.0, 1.0, 30.0]))
    assert inside.tolist() == [True, True, False]


def test_what_all_classes_have_in_common_may_be_polygons_alone():
    coverage = SlideCoverage(
        SHAPE,
        declared=[
            Declared(1, frozenset({ONE}), polygon((0, 0), (0, 20), (20, 20), (20, 0))),
            Declared(2, frozenset({TWO}), polygon((10, 10), (10, 30), (30, 30), (30, 10))),
        ],
    )
    assert coverage.of_all([ONE, TWO]).size_px == pytest.approx(100)
    assert coverage.of_all([ONE, TWO]).holds(np.array([15.0, 5.0]), np.array([15.0, 5.0])).tolist() == [True, False]


def test_a_polygon_drawn_across_itself_or_beyond_the_slide_means_what_it_encloses_there():
    bow = Declared(1, frozenset({ONE}), polygon((0, 0), (20, 20), (0, 20), (20, 0)))
    beyond = Declared(2, frozenset({TWO}), polygon((-50, -50), (-50, 10), (10, 10), (10, -50)))
    coverage = SlideCoverage(SHAPE, declared=[bow, beyond])
    assert coverage.of_class(ONE).size_px == pytest.approx(200)
    assert coverage.of_class(TWO).size_px == pytest.approx(100)


def test_a_point_on_a_border_belongs_to_one_side_of_a_rectangle():
    area = SlideCoverage(SHAPE, [Scan(1, frozenset({ONE}), Region(10, 10, 20, 20))]).of_class(ONE)
    y, x = np.array([10.0, 20.0, 9.999, 19.999]), np.array([10.0, 15.0, 15.0, 19.999])
    assert area.holds(y, x).tolist() == [True, False, False, True]
    outside = SlideCoverage(SHAPE, [Scan(1, frozenset({ONE}), Region(0, 0, *SHAPE))]).of_class(ONE)
    assert outside.holds(np.array([-1.0, 60.0, 1e9]), np.array([5.0, 5.0, 5.0])).tolist() == [False, False, False]


corner = st.tuples(st.integers(-10, HEIGHT + 10), st.integers(-10, WIDTH + 10))
regions = st.tuples(corner, st.integers(1, 50), st.integers(1, 50)).map(
    lambda drawn: Region(*drawn[0], drawn[0][0] + drawn[1], drawn[0][1] + drawn[2])
)
classes = st.frozensets(st.sampled_from([ONE, TWO, THREE]), min_size=1)


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    region = draw(regions)
    chosen = None
    if draw(st.booleans()):
        shape = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        cells = draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
        chosen = mask(draw(st.sampled_from([region, Region(0, 0, *SHAPE)])), np.array(cells).reshape(shape))
    missing = draw(st.lists(regions, max_size=3))
    boxes = np.array([[r.y0, r.x0, r.y1, r.x1] for r in missing], float).reshape(-1, 4)
    return Scan(1, draw(classes), region, chosen, boxes)


@st.composite
def declared(draw: st.DrawFn) -> Declared:
    centre, turn = draw(corner), draw(st.floats(0, 6))
    angles = turn + np.linspace(0, 2 * np.pi, draw(st.integers(3, 9)), endpoint=False)
    radii = draw(st.lists(st.floats(3, 30), min_size=len(angles), max_size=len(angles)))
    ring = [(centre[0] + r * np.sin(a), centre[1] + r * np.cos(a)) for r, a in zip(radii, angles, strict=True)]
    return Declared(1, draw(classes), polygon(*ring))


@given(st.lists(scans(), max_size=4), st.lists(declared(), max_size=3))
def test_any_area_is_what_counting_points_gives(runs, areas):
    coverage = SlideCoverage(SHAPE, runs, areas)
    for class_id in (ONE, TWO, THREE):
        area = coverage.of_class(class_id)
        assert area.size_px == pytest.approx(counted(coverage, class_id), rel=0.01, abs=4)
        assert 0 <= area.size_px <= HEIGHT * WIDTH * (1 + 1e-12)


@given(st.lists(scans(), max_size=3), st.lists(declared(), max_size=3))
def test_area_and_points_agree_about_what_classes_have_in_common(runs, areas):
    area = SlideCoverage(SHAPE, runs, areas).of_all([ONE, TWO, THREE])
    y, x = np.meshgrid((np.arange(4 * HEIGHT) + 0.5) / 4, (np.arange(4 * WIDTH) + 0.5) / 4, indexing="ij")
    share = area.holds(y.ravel(), x.ravel()).mean()
    assert area.size_px == pytest.approx(share * HEIGHT * WIDTH, rel=0.02, abs=10)


@given(st.lists(declared(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_the_cover_of_each_cell_agrees_with_clipping(areas, seed):
    rng = np.random.default_rng(seed)
    edges = tuple(np.r_[0, np.sort(rng.uniform(0, limit, 6)), limit] for limit in SHAPE)
    rings = [shapely.Polygon([(x, y) for y, x in area.outline.parts[0][0]]) for area in areas]
    joined = shapely.intersection(shapely.union_all([shapely.make_valid(r) for r in rings]), shapely.box(0, 0, 80, 60))
    cells = [
        [shapely.intersection(joined, shapely.box(x0, y0, x1, y1)).area for x0, x1 in pairwise(edges[1])]
        for y0, y1 in pairwise(edges[0])
    ]
    np.testing.assert_allclose(covered(joined, edges), cells, rtol=1e-9, atol=1e-7)
