"""Areas that the program draws at random, to be searched for what models missed.

What a user finds there says how much is missed elsewhere, because nobody chose the places.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.coverage import SlideCoverage
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.numbers import short_text
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.records import AreaRecord, SlideRecord
from microscope_qc.workflows.detection.coverage import AreaSources, all_area_sources, read_areas

COUNT, SIDE_UM = 10, 500.0
MOST = 1000
_PROBES = 8
"""A square counts as scanned when any of so many points squared on it was."""
_AT_ONCE = 512


def draw_areas(
    project: Project,
    *,
    count: int = COUNT,
    side_um: float = SIDE_UM,
    slide_ids: Collection[int] | None = None,
    seed: int | None = None,
) -> Job[list[AreaRecord]]:
    """Draw squares at random where models have scanned, and keep them in the project (one undoable step).

    Each slide is cut into squares from a random corner on; every square of which something was scanned has the same
    chance, and those that were drawn before are left out.

    Parameters
    ----------
    count
        Number of squares; fewer where there are no more.
    side_um
        Side of a square in um.
    slide_ids
        Only on these slides; None takes all.
    seed
        Of the random numbers; None takes others each time.

    Raises
    ------
    InputError
        When there is nothing to draw from: no scanned slide with a pixel size.
    """
    slides = slides_to_draw_on(project, slide_ids)
    return project.areas.add_drawn((yield from drawn_places(slides, count, side_um, seed=seed)))


@dataclass(frozen=True, slots=True, eq=False)
class SlideToDrawOn:
    """A scanned slide, and the bounds of what was drawn on it before, (N, 4): y0, x0, y1, x1."""

    sources: AreaSources
    before: Floats


def slides_to_draw_on(project: Project, slide_ids: Collection[int] | None = None) -> list[SlideToDrawOn]:
    """Take the slides of which squares are drawn at once, so that another thread may draw (:func:`drawn_places`).

    Raises
    ------
    InputError
        When there is no scanned slide with a pixel size.
    """
    scanned = [
        known for known in all_area_sources(project)
        if known.runs and (slide_ids is None or known.slide.id in slide_ids)
    ]  # fmt: skip
    sized = [known for known in scanned if known.slide.pixel_size_um is not None]
    if not scanned:
        raise InputError("No model has scanned these slides.", hint="Run a detection first.")
    if not sized:
        raise InputError(
            f"The pixel size of {listed([known.slide.name for known in scanned])} is not known.", hint="Set it first."
        )
    found = []
    for known in sized:
        before = [area.outline.bounds for area in project.areas.of(known.slide.id) if area.drawn]
        found.append(SlideToDrawOn(known, np.array(before, float).reshape(-1, 4)))
    return found


def drawn_places(
    slides: Sequence[SlideToDrawOn], count: int, side_um: float, *, seed: int | None = None
) -> Job[list[tuple[int, Region]]]:
    """Draw squares: slide and place of each; see :func:`draw_areas`. Any thread may do this."""
    if not 1 <= count <= MOST or not math.isfinite(side_um) or side_um <= 0:
        raise InputError(f"1 to {MOST} areas with a side of more than 0 um can be drawn.")
    random = np.random.default_rng(seed)
    coverages, squares = [], []
    for number, slide in enumerate(slides):
        yield Progress(number, len(slides), "slides", f"drawing on {slide.sources.slide.name}")
        coverages.append(read_areas(slide.sources).coverage.by_runs)
        squares.append(_squares(slide.sources.slide, side_um, random))
    owner = np.repeat(np.arange(len(slides)), [len(found) for found in squares])
    every = np.concatenate(squares)
    order, taken = random.permutation(len(every)), np.zeros(0, np.int64)
    for first in range(0, len(order), _AT_ONCE):
        some = order[first : first + _AT_ONCE]
        fits = np.zeros(len(some), bool)
        for number in np.unique(owner[some]).tolist():
            mine = owner[some] == number
            fits[mine] = _can_be_drawn(every[some[mine]], coverages[number], slides[number].before)
        taken = np.r_[taken, some[fits]][:count]
        if len(taken) == count:
            break
    if not len(taken):
        raise InputError(
            f"There is no square of {short_text(side_um)} um left to draw.", hint="Search those that were drawn."
        )
    return [(slides[owner[place]].sources.slide.id, Region(*every[place].tolist())) for place in np.sort(taken)]


def _squares(slide: SlideRecord, side_um: float, random: np.random.Generator) -> Ints:
    """Squares that cover a slide (N, 4): y0, x0, y1, x1, clipped to it; the first begins at random before it."""
    assert slide.pixel_size_um is not None
    lines = []
    for length, size in zip(slide.shape_px, slide.pixel_size_um, strict=True):
        side = max(1, round(side_um / size))
        edges = np.arange(-int(random.integers(side)), length + side, side)
        lines.append(np.unique(np.clip(edges, 0, length)))
    y, x = lines
    corners = np.meshgrid(y[:-1], x[:-1], indexing="ij"), np.meshgrid(y[1:], x[1:], indexing="ij")
    return np.stack([corner.ravel() for pair in corners for corner in pair], axis=1)


def _can_be_drawn(squares: Ints, coverage: SlideCoverage, before: Floats) -> Flags:
    """Whether something of each square was scanned, and nothing of it drawn before."""
    y0, x0, y1, x1 = squares.T.astype(float)
    steps = (np.arange(_PROBES) + 0.5) / _PROBES
    y = y0[:, None, None] + (y1 - y0)[:, None, None] * steps[:, None]
    x = x0[:, None, None] + (x1 - x0)[:, None, None] * steps
    y, x = np.broadcast_arrays(y, x)
    scanned = np.zeros(len(squares), bool)
    for class_id in coverage.class_ids:
        scanned |= coverage.of_class(class_id).holds(y.ravel(), x.ravel()).reshape(len(squares), -1).any(axis=1)
    apart = (
        (before[:, 2] <= y0[:, None]) | (before[:, 0] >= y1[:, None])
        | (before[:, 3] <= x0[:, None]) | (before[:, 1] >= x1[:, None])
    )  # fmt: skip
    free: Flags = scanned & apart.all(axis=1)
    return free


def next_to_search(areas: Sequence[AreaRecord], after: int | None = None) -> AreaRecord | None:
    """The next area that was drawn at random and not searched yet, in a circle; None where all were."""
    left = [area for area in areas if area.drawn and not area.class_ids]
    return next((area for area in left if after is not None and area.id > after), next(iter(left), None))
