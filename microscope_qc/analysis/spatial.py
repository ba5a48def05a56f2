"""Where findings lie within the area that was searched: in clusters, by chance, or apart from each other.

Areas and points are put on cells; the width of a cell is the step of the distances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.jobs import Job, Progress

SIMULATED = 99
"""Patterns of chance behind an envelope: the outermost of each distance hold 98 % of them."""
MOST_CELLS = 1024
"""Cells along the longer side of the largest window at most."""
LEAST_POINTS = 10
"""Fewer findings say nothing of their distances."""
_STEPS = 16
"""Steps of distance that are wanted, where :data:`MOST_CELLS` allows them."""
_AROUND = 50
"""The largest distance is the radius of a disc that holds so many findings on average."""
_KERNEL = 0.15
"""Half the width of the kernel of g by 1 / sqrt(findings per area) (Stoyan)."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The searched area of a slide as cells, and the findings in it.

    Attributes
    ----------
    share
        Share of each cell that was searched, 0 to 1, shape (rows, columns).
    cell_um
        Side of a cell.
    places_um
        Centres of the findings, shape (N, 2): y, x from the corner of the cells.
    """

    share: Floats
    cell_um: float
    places_um: Floats

    @property
    def area_um2(self) -> float:
        """The searched area."""
        return float(self.share.sum()) * self.cell_um**2

    @property
    def cells(self) -> Ints:
        """Number of the cell of each finding, row by row."""
        rows, columns = self.share.shape
        y, x = np.minimum((self.places_um / self.cell_um).astype(np.int64), (rows - 1, columns - 1)).T
        cells: Ints = y * columns + x
        return cells


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Distances of findings against those of chance; shape (R,) each.

    Attributes
    ----------
    r_um
        Distances, a step apart.
    g, g_low, g_high
        Pair correlation, 1 where findings know nothing of each other, and its envelope.
    l_um, l_low_um, l_high_um
        Ripley's L less the distance, 0 of chance, and its envelope.
    p
        How often chance alone is as far from its mean at any distance (L, from the least distance that is read).
    least_um
        Shorter distances are not read: findings that lie in each other are one.
    step_um
        Of the distances.
    findings, simulated
        How many there are, and of how many patterns the envelopes are.
    """

    r_um: Floats
    g: Floats
    g_low: Floats
    g_high: Floats
    l_um: Floats
    l_low_um: Floats
    l_high_um: Floats
    p: float
    least_um: float
    step_um: float
    findings: int
    simulated: int

    @property
    def read(self) -> Flags:
        """Which distances are read."""
        return self.r_um >= self.least_um

    @property
    def clustered(self) -> bool | None:
        """Whether they lie in clusters (True) or apart from each other (False); None as by chance."""
        if self.p > 0.05 or not self.read.any():
            return None
        away = self.l_um - (self.l_low_um + self.l_high_um) / 2
        return bool(away[self.read][np.argmax(np.abs(away[self.read]))] > 0)


def largest_distance_um(findings: int, area_um2: float) -> float:
    """The radius of a disc that holds 50 findings on average."""
    return math.sqrt(_AROUND * area_um2 / (math.pi * findings))


def cell_um(sides_um: Sequence[tuple[float, float]], findings: int, area_um2: float) -> float:
    """Side of the cells for windows of these sides: as fine as the distances need, and as their number allows."""
    return max(largest_distance_um(findings, area_um2) / _STEPS, max(map(max, sides_um)) / MOST_CELLS)


def clustering(
    windows: Sequence[Window], least_um: float, *, simulated: int = SIMULATED, seed: int = 0
) -> Job[Clustering]:
    """Compare the distances of findings with those of as many that are thrown into the same windows at random.

    Edges are corrected for by translation: pairs at a lag are divided by the area in which such pairs can lie, the set
    covariance of the window, which a Fourier transform gives for all lags at once.

    Parameters
    ----------
    windows
        With cells of the same size; :data:`LEAST_POINTS` findings in them together at least.
    least_um
        Size of the findings.

    Notes
    -----
    J. Ohser, "On estimators for the reduced second moment measure", Statistics 14 (1983) 63; J. Illian et al.,
    "Statistical Analysis and Modelling of Spatial Point Patterns" (2008), sections 4.3 and 4.7.
    """
    step = windows[0].cell_um
    count = sum(len(window.places_um) for window in windows)
    area = sum(window.area_um2 for window in windows)
    lags = _Lags(step, largest_distance_um(count, area), _KERNEL / math.sqrt(count / area))
    possible = np.zeros(lags.shape)
    for window in windows:
        n = len(window.places_um)
        possible += n * (n - 1) / window.share.sum() ** 2 * lags.of(window.share, window.share.shape)
    seen = lags.curves(lags.sum_pairs((window, window.cells) for window in windows), possible)
    random, curves = np.random.default_rng(seed), []
    for number in range(simulated):
        yield Progress(number, simulated, "patterns", "comparing with chance")
        curves.append(lags.curves(lags.sum_pairs(_thrown(windows, random)), possible))
    low, high = np.min(curves, axis=0), np.max(curves, axis=0)
    read = lags.r_um >= least_um
    p = _global_p(seen[1][read], np.array(curves)[:, 1, read]) if read.any() else 1.0
    return Clustering(
        lags.r_um, seen[0], low[0], high[0], seen[1], low[1], high[1], p, least_um, step, count, simulated
    )


def _thrown(windows: Sequence[Window], random: np.random.Generator) -> Iterator[tuple[Window, Ints]]:
    """Cells of as many random points in each window as it has findings."""
    for window in windows:
        heap = np.cumsum(window.share.ravel())
        yield window, np.searchsorted(heap, random.uniform(0, heap[-1], len(window.places_um)), side="right")


def _global_p(seen: Floats, simulated: Floats) -> float:
    """How often the largest distance from the mean is as large as seen (maximum absolute deviation)."""
    every = np.vstack([seen, simulated])
    away = np.abs(every - every.mean(axis=0)).max(axis=1)
    return float((away >= away[0]).sum() / len(away))


class _Lags:
    """Lags between cells up to a distance, and what is summed over them."""

    def __init__(self, step_um: float, most_um: float, kernel_um: float) -> None:
        self._reach = max(2, math.ceil(most_um / step_um))
        y, x = np.arange(self._reach + 1), np.arange(-self._reach, self._reach + 1)
        length = step_um * np.hypot(y[:, None], x)
        half = (y[:, None] > 0) | (x >= 0)  # the other half is the same
        twice = np.where((y[:, None] == 0) & (x == 0), 1.0, 2.0) * half
        self.shape = length.shape
        self.r_um: Floats = step_um * np.arange(1, self._reach + 1)
        width = max(kernel_um, step_um)
        flat, weight = length.ravel(), twice.ravel()
        away = (self.r_um[:, None] - flat) / width
        self._kernel = np.maximum(0.0, 1 - away**2) * weight * (flat > 0)
        self._disc = (flat <= self.r_um[:, None] + 1e-9) * weight

    def sum_pairs(self, patterns: Iterable[tuple[Window, Ints]]) -> Floats:
        """Pairs of different points at each lag, over windows with the cells of their points."""
        found = np.zeros(self.shape)
        for window, cells in patterns:
            counts = np.bincount(cells, minlength=window.share.size).reshape(window.share.shape)
            found += self.of(counts, window.share.shape)
            found[0, self._reach] -= len(cells)
        return found

    def of(self, values: np.ndarray, shape: tuple[int, ...]) -> Floats:
        """Sum over all cells of the product of their values at each lag, for lags to the right and below."""
        from scipy.fft import irfft2, next_fast_len, rfft2

        room = [next_fast_len(side + self._reach, real=True) for side in shape]
        there = rfft2(values.astype(np.float32), room)
        product = irfft2(there.real**2 + there.imag**2, room)
        reach = self._reach
        right, left = product[: reach + 1, : reach + 1], product[: reach + 1, -reach:]
        found: Floats = np.concatenate([left, right], axis=1).astype(float)
        return found

    def curves(self, pairs: Floats, possible: Floats) -> Floats:
        """The pair correlation and L less the distance, shape (2, R)."""
        seen, could = np.round(pairs).ravel(), np.maximum(possible, 1e-12).ravel()
        ratio = np.where(could > 1e-9, seen / could, 0.0)
        sums = self._kernel.sum(axis=1)
        g = np.divide(self._kernel @ ratio, sums, out=np.ones(len(sums)), where=sums > 0)
        k = (self._disc @ ratio) / self._disc.sum(axis=1)
        return np.stack([g, self.r_um * (np.sqrt(np.maximum(0.0, k)) - 1)])


# -- hotspots ----------------------------------------------------------------------------------------------------------

EXPECTED = 5.0
"""So many findings are expected in a square."""
MOST_SQUARES = 32
"""Along the longer side of a window."""
FALSE_SHARE = 0.05
"""Of the squares that are called hotspots, so large a share at most is none (Benjamini and Hochberg)."""


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Squares over a window: those of which something was searched, M of them.

    Attributes
    ----------
    corners_um
        Shape (M, 4): y0, x0, y1, x1.
    areas_mm2, counts, expected
        What was searched of each, the findings in it, and how many chance would put there.
    p
        Chance of so many or more, corrected for all squares.
    square_of
        Square of each finding, -1 of none.
    """

    corners_um: Floats
    areas_mm2: Floats
    counts: Ints
    expected: Floats
    p: Floats
    square_of: Ints

    @property
    def hot(self) -> Flags:
        """Whether more lies in a square than chance explains."""
        return self.p <= FALSE_SHARE


def squares(window: Window) -> Squares:
    """Cut a window into squares and compare the findings in each with chance (Poisson, by the searched area)."""
    rows, columns = window.share.shape
    count = len(window.places_um)
    wanted = math.sqrt(window.area_um2 * EXPECTED / max(count, 1)) / window.cell_um
    side = max(1, math.ceil(max(wanted, max(rows, columns) / MOST_SQUARES)))
    high, wide = math.ceil(rows / side), math.ceil(columns / side)
    padded = np.zeros((high * side, wide * side))
    padded[:rows, :columns] = window.share
    areas = padded.reshape(high, side, wide, side).sum(axis=(1, 3)).ravel() * window.cell_um**2
    y, x = np.divmod(window.cells, columns)
    at = y // side * wide + x // side
    counts = np.bincount(at, minlength=high * wide)
    expected = count * areas / max(window.area_um2, 1e-12)
    there = np.flatnonzero((areas > 0) | (counts > 0))
    number = np.full(high * wide, -1)
    number[there] = np.arange(len(there))
    row, column = np.divmod(there, wide)
    sides = side * window.cell_um
    corners = np.stack([row * sides, column * sides, (row + 1) * sides, (column + 1) * sides], axis=1)
    p = benjamini_hochberg(_so_many(counts[there], expected[there]))
    return Squares(corners, areas[there] / 1e6, counts[there], expected[there], p, number[at])


def _so_many(counts: Ints, expected: Floats) -> Floats:
    """Chance of so many or more, of Poisson's distribution."""
    from scipy.special import gammainc

    found: Floats = np.where(counts > 0, gammainc(np.maximum(counts, 1), expected), 1.0)
    return found


def benjamini_hochberg(p: Floats) -> Floats:
    """Correct p values so that those up to a limit are false with at most that share.

    Notes
    -----
    Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57
    (1995) 289.
    """
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty(len(p))
    found[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return found


def window_of(
    shape_um: tuple[float, float], cell: float, holds: Callable[[Floats, Floats], Flags], places_um: Floats
) -> Window:
    """Put an area on cells: a cell is searched where its middle is.

    Parameters
    ----------
    shape_um
        Height and width of the slide.
    holds
        Says of points (y, x in um) whether they were searched.
    """
    rows, columns = (max(1, math.ceil(side / cell)) for side in shape_um)
    y, x = np.meshgrid((np.arange(rows) + 0.5) * cell, (np.arange(columns) + 0.5) * cell, indexing="ij")
    inside = holds(y.ravel(), x.ravel()).reshape(rows, columns)
    cells = (places_um / cell).astype(np.int64)
    # findings at the edge of the area, whose cell has its middle outside, stay in it
    inside[np.minimum(cells[:, 0], rows - 1), np.minimum(cells[:, 1], columns - 1)] = True
    return Window(inside.astype(float), cell, places_um)
