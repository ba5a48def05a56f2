"""The area in which findings were searched for, class by class: what densities are divided by.

Nothing is counted twice and nothing is rounded: rectangles and the cells of masks are joined on a grid whose lines are
their own borders, and polygons that users drew are joined with it exactly. Units are full-resolution slide pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.geometry import Region
from microscope_qc.core.outline import Outline
from microscope_qc.core.wording import listed

if TYPE_CHECKING:
    from shapely import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What one run of a model has scanned.

    Attributes
    ----------
    run_id
        Number of the run.
    classes
        Ids of the classes that the model knows.
    region
        What the run was asked to scan.
    mask
        Of the region only these cells; None for all of it.
    missing_px
        Tiles that are not done or could not be read, shape (N, 4): y0, x0, y1, x1.
    """

    run_id: int
    classes: frozenset[int]
    region: Region
    mask: AreaMask | None = None
    missing_px: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """An area that a user declared complete: every defect of these classes in it is marked.

    ``drawn`` says that the program drew it at random, to be searched.
    """

    area_id: int
    classes: frozenset[int]
    outline: Outline
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class CoverageShares:
    """Shares of a whole slide (0 to 1). The first three, with what no run was asked to scan, make the whole.

    Attributes
    ----------
    scanned
        By a run that counts.
    masked
        What the masks of all runs leave out of their regions.
    missing
        In tiles that are not done, or could not be read.
    declared
        Declared complete by a user, for any class.
    """

    scanned: float
    masked: float
    missing: float
    declared: float


NOBODY, MASKED, MISSING, SCANNED, DECLARED = range(5)
"""What became of a point: neither scanned nor declared, left out by a mask, not done, scanned, declared complete."""
_ANY = frozenset({0})
"""Key for the classes of all models."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Cells of the grid, joined with polygons (a shapely geometry, x before y; None for none)."""

    cells: Flags
    polygons: Geometry | None


class Area:
    """A part of a slide: what all of its parts have in common."""

    def __init__(self, edges: tuple[Floats, Floats], parts: Sequence[_Part]) -> None:
        self._edges = edges
        self._parts = parts

    @cached_property
    def size_px(self) -> float:
        """Area in square pixels of the slide."""
        if not self._parts:
            return 0.0
        high, wide = np.diff(self._edges[0]), np.diff(self._edges[1])
        # of a cell that some parts have only as polygons, what these polygons have in common is inside
        kinds = np.zeros(self._parts[0].cells.shape, np.int64)
        lacking: list[tuple[_Part, ...]] = [()]
        for part in self._parts:
            kinds = 2 * kinds + ~part.cells
            there = np.flatnonzero(np.bincount(kinds.ravel()))
            lacking = [(*lacking[kind // 2], part) if kind % 2 else lacking[kind // 2] for kind in there.tolist()]
            kinds = np.searchsorted(there, kinds)
        total = 0.0
        for kind, parts in enumerate(lacking):
            if not parts:
                total += float(high @ (kinds == kind) @ wide)
            elif (common := _common(parts)) is not None:
                total += float(covered(common, self._edges)[kinds == kind].sum())
        return total

    def holds(self, y: Floats, x: Floats) -> Flags:
        """Return for each point whether it lies in the area; of a polygon also its border does."""
        inside = np.full(len(y), bool(self._parts))
        if not self._parts or len(y) == 0:
            return inside
        row, column = (
            np.searchsorted(line, at, side="right") - 1 for line, at in zip(self._edges, (y, x), strict=True)
        )
        rows, columns = self._parts[0].cells.shape
        on_grid = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        for part in self._parts:
            here = np.zeros(len(y), bool)
            here[on_grid] = part.cells[row[on_grid], column[on_grid]]
            if part.polygons is not None:
                import shapely

                shapely.prepare(part.polygons)
                here |= shapely.intersects_xy(part.polygons, x, y)
            inside &= here
        return inside


class SlideCoverage:
    """Where findings of one slide were searched for.

    Parameters
    ----------
    shape_px
        Height and width of the slide.
    scans
        The runs that count.
    declared
        The areas that users declared complete.
    """

    def __init__(
        self, shape_px: tuple[int, int], scans: Sequence[Scan] = (), declared: Sequence[Declared] = ()
    ) -> None:
        self.shape_px = shape_px
        self.scans = tuple(scans)
        self.declared = tuple(declared)
        self._edges = _edges(self.scans, shape_px)
        self._cells: dict[int, Flags] = {}
        self._parts: dict[tuple[tuple[int, ...], tuple[int, ...]], _Part] = {}
        self._part_of: dict[int, _Part] = {}
        self._areas: dict[frozenset[int], Area] = {}

    @property
    def class_ids(self) -> frozenset[int]:
        """Classes that were searched for anywhere."""
        return frozenset().union(*(scan.classes for scan in self.scans), *(area.classes for area in self.declared))

    def scanned(self, scan: Scan) -> Area:
        """Return what one of the runs has scanned."""
        return Area(self._edges, [_Part(self._cells_of(self.scans.index(scan)), None)])

    def drawn(self, declared: Declared) -> Area:
        """Return what one of the declarations covers of the slide."""
        return Area(self._edges, [_Part(self._nothing, _polygons([declared], self.shape_px))])

    @cached_property
    def by_runs(self) -> SlideCoverage:
        """What runs have scanned, without what users declared complete."""
        return SlideCoverage(self.shape_px, self.scans) if self.declared else self

    @cached_property
    def completed(self) -> SlideCoverage:
        """What users declared complete, without what runs have scanned."""
        return SlideCoverage(self.shape_px, declared=self.declared) if self.scans else self

    def of_class(self, class_id: int) -> Area:
        """Return where findings of a class were searched for: by runs whose model knows it, or declared complete."""
        return self.of_all([class_id])

    def of_all(self, class_ids: Iterable[int]) -> Area:
        """Return where findings of every one of these classes were searched for; empty without classes."""
        parts = {id(part): part for part in map(self._part, class_ids)}  # kept here: their ids stay theirs
        key = frozenset(parts)
        if key not in self._areas:
            self._areas[key] = Area(self._edges, list(parts.values()))
        return self._areas[key]

    @cached_property
    def masked_share(self) -> float:
        """Share (0 to 1) of the regions of all runs together that their masks leave out; 0 without runs."""
        whole, left = self._regions_px
        return 1.0 - left / whole if whole else 0.0

    @cached_property
    def _regions_px(self) -> tuple[float, float]:
        """What the runs were to scan together, and what their masks left of it."""
        whole, left = self._regions
        return whole.size_px, left.size_px

    @cached_property
    def _regions(self) -> tuple[Area, Area]:
        everywhere = SlideCoverage(self.shape_px, [Scan(s.run_id, _ANY, s.region) for s in self.scans])
        masked = SlideCoverage(self.shape_px, [Scan(s.run_id, _ANY, s.region, s.mask) for s in self.scans])
        return everywhere.of_all(_ANY), masked.of_all(_ANY)

    def kinds(self, y: Floats, x: Floats) -> Ints:
        """Return what became of each point: one of ``NOBODY``, ``MASKED``, ``MISSING``, ``SCANNED``, ``DECLARED``.

        Where several hold it is the last of them.
        """
        kinds = np.full(len(y), NOBODY, np.int64)
        whole, left = self._regions
        scanned, declared = (one.of_all(_ANY) for one in (self.by_any.by_runs, self.by_any.completed))
        for kind, area in ((MASKED, whole), (MISSING, left), (SCANNED, scanned), (DECLARED, declared)):
            kinds[area.holds(y, x)] = kind
        return kinds

    @cached_property
    def shares(self) -> CoverageShares:
        """What became of the whole slide."""
        whole = float(np.prod(self.shape_px))
        regions, left = self._regions_px
        scanned = self.by_any.by_runs.of_all(_ANY).size_px
        declared = self.by_any.completed.of_all(_ANY).size_px
        return CoverageShares(scanned / whole, (regions - left) / whole, (left - scanned) / whole, declared / whole)

    @cached_property
    def searched_share(self) -> float:
        """Share (0 to 1) of the slide where findings of any class were searched for."""
        return self.searched_for_any.size_px / float(np.prod(self.shape_px))

    @property
    def searched_for_any(self) -> Area:
        """Where findings of any class were searched for."""
        return self.by_any.of_all(_ANY)

    @cached_property
    def by_any(self) -> SlideCoverage:
        """The same as if all runs and users searched for one class."""
        scans = [Scan(s.run_id, _ANY, s.region, s.mask, s.missing_px) for s in self.scans]
        return SlideCoverage(self.shape_px, scans, [Declared(d.area_id, _ANY, d.outline) for d in self.declared])

    @property
    def _nothing(self) -> Flags:
        return np.zeros((len(self._edges[0]) - 1, len(self._edges[1]) - 1), bool)

    def _part(self, class_id: int) -> _Part:
        if class_id not in self._part_of:
            self._part_of[class_id] = self._joined(class_id)
        return self._part_of[class_id]

    def _joined(self, class_id: int) -> _Part:
        scans = tuple(n for n, scan in enumerate(self.scans) if class_id in scan.classes)
        declared = tuple(n for n, area in enumerate(self.declared) if class_id in area.classes)
        if (scans, declared) not in self._parts:
            cells = self._nothing
            for number in scans:
                cells |= self._cells_of(number)
            polygons = _polygons([self.declared[n] for n in declared], self.shape_px)
            self._parts[scans, declared] = _Part(cells, polygons)
        return self._parts[scans, declared]

    def _cells_of(self, number: int) -> Flags:
        if number not in self._cells:
            self._cells[number] = _scanned(self.scans[number], self.shape_px, self._edges)
        return self._cells[number]


def mm2(area_px: float, pixel_size_um: tuple[float, float] | None) -> float | None:
    """Return an area in mm2; None where the pixel size (y, x) is not known."""
    return None if pixel_size_um is None else area_px * pixel_size_um[0] * pixel_size_um[1] / 1e6


def why_no_density(area: Area, coverage: SlideCoverage, wanted: Sequence[DefectClass]) -> str:
    """Return why there is no density of these classes, whose common area this is."""
    if area.size_px > 0:
        return "the pixel size of the slide is not known"
    without = [cls.code for cls in wanted if coverage.of_class(cls.id).size_px <= 0]
    if len(wanted) == 1 and without:
        return "nothing was scanned or declared complete for this class"
    if len(without) < len(wanted) and without:
        return f"nothing was scanned or declared complete for {listed(without)}"
    if wanted and not without:
        return "no area was scanned or declared complete for all classes at once"
    return "nothing was scanned or declared complete"


def _common(parts: Sequence[_Part]) -> Geometry | None:
    """What the polygons of all these parts have in common; None where one of them has none."""
    import shapely

    polygons = [part.polygons for part in parts]
    return None if any(polygon is None for polygon in polygons) else shapely.intersection_all(polygons)


def masked_share(scan: Scan) -> float:
    """Share of a run's region (0 to 1) that its mask leaves out: resin and empty area, or what the user left out."""
    if scan.mask is None or scan.region.empty:
        return 0.0
    whole = Scan(scan.run_id, scan.classes, scan.region, scan.mask)
    shape = (scan.region.y1, scan.region.x1)
    return 1.0 - SlideCoverage(shape, [whole]).scanned(whole).size_px / float(np.prod(scan.region.shape))


def _edges(scans: Sequence[Scan], shape_px: tuple[int, int]) -> tuple[Floats, Floats]:
    """Lines of the grid (y, x): every border that a rectangle, a mask or a missing tile has, and no other."""
    lines: tuple[list[Floats], list[Floats]] = ([np.array([0.0, shape_px[0]])], [np.array([0.0, shape_px[1]])])
    for scan in scans:
        region = scan.region
        lines[0].append(np.array([region.y0, region.y1], float))
        lines[1].append(np.array([region.x0, region.x1], float))
        if scan.mask is not None:
            for axis, line in enumerate(_borders(scan.mask)):
                lines[axis].append(line)
        if scan.missing_px is not None:
            for axis in (0, 1):
                lines[axis].append(np.unique(scan.missing_px[:, [axis, axis + 2]]))
    y, x = (np.unique(np.clip(np.concatenate(parts), 0, limit)) for parts, limit in zip(lines, shape_px, strict=True))
    return y, x


def _borders(mask: AreaMask) -> tuple[Floats, Floats]:
    """Lines between rows and between columns of a mask that differ."""
    rows = np.flatnonzero((mask.scan[1:] != mask.scan[:-1]).any(axis=1)) + 1
    columns = np.flatnonzero((mask.scan[:, 1:] != mask.scan[:, :-1]).any(axis=0)) + 1
    return mask.region.y0 + mask.cell_px[0] * rows, mask.region.x0 + mask.cell_px[1] * columns


def _scanned(scan: Scan, shape_px: tuple[int, int], edges: tuple[Floats, Floats]) -> Flags:
    """Cells of the grid that a run has scanned."""
    cells = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1), bool)
    region = scan.region.clip(shape_px)
    if region.empty:
        return cells
    y0, y1 = np.searchsorted(edges[0], (region.y0, region.y1))
    x0, x1 = np.searchsorted(edges[1], (region.x0, region.x1))
    if scan.mask is None:
        cells[y0:y1, x0:x1] = True
    else:
        # no line of the mask crosses a cell of the grid: its middle tells for all of it
        middle = tuple((line[1:] + line[:-1]) / 2 for line in edges)
        cells[y0:y1, x0:x1] = scan.mask.at(middle[0][y0:y1, None], middle[1][None, x0:x1])
    if scan.missing_px is not None and len(scan.missing_px):
        cells &= ~_within(np.clip(scan.missing_px, 0, np.tile(shape_px, 2)), edges)
    return cells


def _within(boxes: Floats, edges: tuple[Floats, Floats]) -> Flags:
    """Cells of the grid that lie in any of the boxes, whose sides are lines of the grid."""
    top, left, bottom, right = (np.searchsorted(edges[axis % 2], boxes[:, axis]) for axis in range(4))
    steps = np.zeros((len(edges[0]), len(edges[1])), np.int64)
    for row, column, step in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        np.add.at(steps, (row, column), step)
    return np.asarray(steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0)


def _polygons(declared: Sequence[Declared], shape_px: tuple[int, int]) -> Geometry | None:
    """Polygons of declared areas as one shapely geometry within the slide; None without any."""
    if not declared:
        return None
    import shapely

    parts = []
    for area in declared:
        for rings in area.outline.parts:
            outer, *holes = ([(x, y) for y, x in ring] for ring in rings)
            # a line drawn across itself still means what it encloses
            parts.append(shapely.make_valid(shapely.Polygon(outer, holes)))
    return shapely.intersection(shapely.union_all(parts), shapely.box(0, 0, shape_px[1], shape_px[0]))


def covered(polygons: Geometry, edges: tuple[Floats, Floats]) -> Floats:
    """Return how much of each cell of a grid polygons cover, exactly.

    Parameters
    ----------
    polygons
        A valid shapely geometry, x before y.
    edges
        Lines of the grid, ascending: (rows + 1,) and (columns + 1,). The polygons may not reach beyond it.

    Returns
    -------
    ndarray, (rows, columns)
        Areas in the unit of the edges, squared.

    Notes
    -----
    Every edge of a polygon is cut where it crosses a line of the grid. A piece adds the signed area between itself and
    the right border of its cell to that cell, and its height times their width to all cells to the right of it: the way
    font rasterisers compute coverage (R. Levien, "Inside the fastest font renderer in the world", 2016), on a grid of
    unequal steps.
    """
    import shapely

    rows, columns = len(edges[0]) - 1, len(edges[1]) - 1
    own, right = np.zeros((rows, columns)), np.zeros((rows, columns + 1))
    for polygon in shapely.get_parts(shapely.orient_polygons(polygons)):
        if shapely.get_type_id(polygon) != shapely.GeometryType.POLYGON:
            continue  # a point or a line where polygons touch has no area
        for ring in shapely.get_rings(polygon):
            pieces = _cut(shapely.get_coordinates(ring), edges)
            tall = np.diff(pieces[..., 1], axis=1)[:, 0]
            middle = pieces.mean(axis=1)
            row = np.clip(np.searchsorted(edges[0], middle[:, 1], side="right") - 1, 0, rows - 1)
            column = np.clip(np.searchsorted(edges[1], middle[:, 0], side="right") - 1, 0, columns - 1)
            np.add.at(own, (row, column), tall * (edges[1][column + 1] - middle[:, 0]))
            np.add.at(right, (row, column + 1), tall)
    return np.asarray(np.abs(own + np.cumsum(right, axis=1)[:, :-1] * np.diff(edges[1])))


def _cut(points: Floats, edges: tuple[Floats, Floats]) -> Floats:
    """Pieces (N, 2, 2) of a ring (M, 2; x, y), cut at the lines of a grid."""
    pieces = []
    for start, end in pairwise(points):
        along = [np.array([0.0, 1.0])]
        for axis, lines in ((0, edges[1]), (1, edges[0])):
            step = end[axis] - start[axis]
            if step != 0:
                low, high = sorted((start[axis], end[axis]))
                crossed = lines[np.searchsorted(lines, low, side="right") : np.searchsorted(lines, high)]
                along.append((crossed - start[axis]) / step)
        places = start + np.sort(np.concatenate(along))[:, None] * (end - start)
        pieces.append(np.stack([places[:-1], places[1:]], axis=1))
    return np.concatenate(pieces)
