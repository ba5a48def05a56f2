"""Where findings lie on their slides: maps, hotspots, and distances against those of chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import poisson_interval
from microscope_qc.analysis.spatial import (
    FALSE_SHARE,
    LEAST_POINTS,
    Clustering,
    Squares,
    Window,
    cell_um,
    clustering,
    squares,
    window_of,
)
from microscope_qc.core.arrays import Flags, Floats, Ints
from microscope_qc.core.jobs import Job, run_job
from microscope_qc.core.numbers import short_text
from microscope_qc.core.wording import listed, percent_text, significant_text, things
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.grouping_text import text_table
from microscope_qc.workflows.results.plot_parts import (
    NOTHING_FOUND,
    PlotChoice,
    PlotClasses,
    slides_searched,
    wanted_classes,
)

_MAP_CELLS = 512
"""Cells along the longer side of a map."""
NO_AREA = "Nothing is known of the searched area, or of the pixel size, of these slides."


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Findings of some classes in the searched area of a slide: numbers, longer sides, and centres in um."""

    slide: FoundOnSlide
    ids: Ints
    sizes_um: Floats
    places_um: Floats
    shape_um: tuple[float, float]
    classes: tuple[int, ...]

    def window(self, cell: float) -> Window:
        """The searched area in cells of a side in um."""
        size_y, size_x = self.slide.pixel_size_um or (1.0, 1.0)
        area = self.slide.coverage.of_all(self.classes)

        def holds(y: Floats, x: Floats) -> Flags:
            return area.holds(y / size_y, x / size_x)

        return window_of(self.shape_um, cell, holds, self.places_um)


def placed_on(found: CountedFindings, wanted: PlotClasses) -> list[Placed]:
    """Findings on the slides where all of the classes were searched for that were on any."""
    made = []
    for slide in slides_searched(found, found.slides, wanted):
        searched = slide.slide.section.tally.searched.get(wanted.key)
        size = slide.pixel_size_um
        if searched is None or size is None:
            continue
        mine = wanted.of(slide) & slide.inside(wanted.key)
        rows = slide.rows[mine]
        y, x = (rows["y0"] + rows["y1"]) / 2 * size[0], (rows["x0"] + rows["x1"]) / 2 * size[1]
        height, width = slide.coverage.shape_px
        classes = tuple(sorted(slide.id_of[place] for place in searched.classes))
        shape_um = height * size[0], width * size[1]
        made.append(Placed(slide, rows["id"].copy(), slide.sizes_um[mine], np.stack([y, x], axis=1), shape_um, classes))
    return made


def _least_um(found: Sequence[Placed], wanted: PlotClasses) -> float:
    """Size of the findings: below it two of them are one."""
    sizes = [one.slide.sizes_um[wanted.of(one.slide)] for one in found]
    known = np.concatenate([np.zeros(0), *sizes])
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else 0.0


def compare_with_chance(found: CountedFindings, of: str = "") -> Job[Clustering | str]:
    """Compare the distances of findings with chance; a sentence says why that cannot be done.

    Raises
    ------
    InputError
        When there is no such class or class group.
    """
    wanted = wanted_classes(found, of)
    placed = [one for one in placed_on(found, wanted) if len(one.ids)]
    count = sum(len(one.ids) for one in placed)
    if not placed:
        return NO_AREA if any(wanted.of(slide).any() for slide in found.slides) else NOTHING_FOUND
    if count < LEAST_POINTS:
        return f"{things(count, 'finding')} in the searched area say nothing of distances: {LEAST_POINTS} are needed."
    area = sum((one.slide.slide.section.tally.searched[wanted.key].area_mm2 or 0.0) * 1e6 for one in placed)
    cell = cell_um([one.shape_um for one in placed], count, area)
    return (yield from clustering([one.window(cell) for one in placed], _least_um(placed, wanted)))


def clustering_words(found: Clustering) -> str:
    """Say in a sentence whether findings lie in clusters."""
    if not found.read.any():
        return "The findings are larger than the distances between them: nothing can be said of clusters."
    how = {True: "in clusters", False: "further apart than by chance", None: "as by chance"}[found.clustered]
    return (
        f"{things(found.findings, 'finding')} lie {how} (p = {short_text(found.p, 2)}, {found.simulated} patterns of "
        f"chance), at distances from {short_text(max(found.least_um, found.step_um), 3)} to "
        f"{short_text(float(found.r_um[-1]), 3)} um in steps of {short_text(found.step_um, 3)} um."
    )


def distances(found: CountedFindings, choice: PlotChoice) -> Plot:
    """The pair correlation of findings, a dot for each distance, against what chance makes of it."""
    wanted = wanted_classes(found, choice.of)
    title = f"Distances between findings: {wanted.words}"
    known = run_job(compare_with_chance(found, choice.of))
    if isinstance(known, str):
        return Plot("distances", title, Shape.DOTS, why_not=known)
    if not known.read.any():
        return Plot("distances", title, Shape.DOTS, why_not=clustering_words(known))
    marks, nearest = [], _by_nearest(placed_on(found, wanted), known)
    columns = (known.r_um, known.g, known.g_low, known.g_high)
    for ids, r, g, low, high in zip(nearest, *(column[known.read].tolist() for column in columns), strict=True):
        at = f"{significant_text(r)} µm"
        chance = f"{significant_text(low) if low else '0'} – {significant_text(high)}"
        tip = f"At {at} {significant_text(g) if g else '0'} times as many pairs as by chance (98 %: {chance})"
        if len(ids):
            tip += f"; {things(len(ids), 'finding has its', 'findings have their')} nearest one there"
        marks.append(PlotMark(at, r, g, ids, (low, high), tip))
    notes = [clustering_words(known).replace(" um", " µm"), "Lines: 98 % of patterns of chance in the same area."]
    return Plot(
        "distances", title, Shape.DOTS, "distance, µm", "pairs by those of chance (g)",
        [Series(wanted.words, wanted.colour, marks)], notes=notes,
    )  # fmt: skip


def _by_nearest(placed: Sequence[Placed], known: Clustering) -> list[Ints]:
    """Numbers of the findings whose nearest one lies at each distance that is read; those at the end lie apart."""
    from scipy.spatial import KDTree

    steps = known.r_um[known.read]
    found: list[list[Ints]] = [[np.zeros(0, np.int64)] for _ in steps]
    for one in placed:
        if len(one.ids) < 2:
            continue
        nearest = KDTree(one.places_um).query(one.places_um, k=2)[0][:, 1]
        step = np.round((nearest - steps[0]) / known.step_um).astype(np.int64)
        for place in np.unique(step[(step >= 0) & (step < len(steps))]).tolist():
            found[place].append(one.ids[step == place])
    return [np.concatenate(parts) for parts in found]


# -- maps and hotspots -------------------------------------------------------------------------------------------------


def _squares(one: Placed) -> Squares:
    return squares(one.window(max(one.shape_um) / _MAP_CELLS))


def density_map(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Findings per mm2 in squares of the slide with the most of them; those with more than by chance stand out."""
    wanted = wanted_classes(found, choice.of)
    title = f"Where findings lie: {wanted.words}"
    placed = [one for one in placed_on(found, wanted) if len(one.ids)]
    if not placed:
        there = any(wanted.of(slide).any() for slide in found.slides)
        return Plot("map", title, Shape.MAP, why_not=NO_AREA if there else NOTHING_FOUND)
    most = max(placed, key=lambda one: len(one.ids))
    made = _squares(most)
    hot: list[PlotMark] = []
    marks: list[PlotMark] = []
    for place, corners in enumerate((made.corners_um / 1000).tolist()):
        count, area = int(made.counts[place]), float(made.areas_mm2[place])
        value = count / area if area else 0.0
        at = f"x {significant_text(corners[1])}, y {significant_text(corners[0])} mm"
        low, high = poisson_interval(count)
        tip = f"{at}: {things(count, 'finding')}, {significant_text(float(made.expected[place]), 2)} by chance"
        mark = PlotMark(
            at, corners[1], value, most.ids[made.square_of == place],
            (low / area, high / area) if area else None, tip, box=(corners[0], corners[1], corners[2], corners[3]),
        )  # fmt: skip
        (hot if made.hot[place] else marks).append(mark)
    name = most.slide.slide.section.name
    side = significant_text(float(made.corners_um[0, 2] - made.corners_um[0, 0]))
    notes = [f"{name}, in squares of {side} µm."]
    if len(placed) > 1:
        notes.append("It has the most findings of these slides.")
    share = percent_text(FALSE_SHARE)
    notes.append(
        f"{things(len(hot), 'square')} with more than by chance (outlined; {share} of such squares at most are none)."
        if hot
        else "No square has more than chance explains."
    )
    series = [Series("more than by chance", COLOURS[5], hot), Series("as by chance", COLOURS[0], marks)]
    return Plot("map", title, Shape.MAP, "x, mm", "y, mm", [one for one in series if one.marks], notes=notes)


def hotspots(found: CountedFindings, of: str = "") -> Iterator[dict[str, Any]]:
    """Squares with more findings than chance explains, on each slide, the most unlikely first.

    Raises
    ------
    InputError
        When there is no such class or class group.
    """
    for one in placed_on(found, wanted_classes(found, of)):
        if not len(one.ids):
            continue
        made = _squares(one)
        hot = np.flatnonzero(made.hot)
        for place in hot[np.argsort(made.p[hot], kind="stable")].tolist():
            y0, x0, y1, x1 = made.corners_um[place].tolist()
            yield {
                "project": one.slide.slide.project, "slide": one.slide.slide.section.name, "x0_um": x0, "y0_um": y0,
                "x1_um": x1, "y1_um": y1, "count": int(made.counts[place]), "expected": float(made.expected[place]),
                "area_mm2": float(made.areas_mm2[place]), "p_corrected": float(made.p[place]),
                "findings": np.sort(one.ids[made.square_of == place]).tolist(),
            }  # fmt: skip


def where_found(found: CountedFindings, of: str = "") -> Job[dict[str, Any]]:
    """Hotspots and the comparison of distances with chance, as values.

    Returns
    -------
    Job[dict]
        ``of``, ``clustering`` (``r_um``, ``g`` and ``l_um`` with their envelopes, ``p``, ``clustered`` (None as by
        chance), ``step_um``, ``least_um``, ``reason`` where there is none) and ``hotspots`` (see :func:`hotspots`).
    """
    known = yield from compare_with_chance(found, of)
    made: dict[str, Any] = {"of": of or "all", "hotspots": list(hotspots(found, of))}
    if isinstance(known, str):
        return made | {"clustering": {"reason": known}}
    columns = ("r_um", "g", "g_low", "g_high", "l_um", "l_low_um", "l_high_um")
    return made | {
        "clustering": {
            "reason": None, "words": clustering_words(known), "findings": known.findings, "p": known.p,
            "clustered": known.clustered, "step_um": known.step_um, "least_um": known.least_um,
            "simulated": known.simulated,
            **{name: getattr(known, name)[known.read].tolist() for name in columns},
        }
    }  # fmt: skip


def where_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines about where findings lie."""
    known = found["clustering"]
    yield ""
    yield f"Where ({found['of']}): {known['reason'] or known['words']}"
    if known["reason"] is None and known["r_um"]:
        several = np.unique(np.linspace(0, len(known["r_um"]) - 1, 8).astype(int)).tolist()
        names = ("r_um", "g", "g_low", "g_high", "l_um", "l_low_um", "l_high_um")
        rows = [[short_text(known[name][n], 3) for name in names] for n in several]
        yield from text_table(["r um", "g", "chance from", "to", "L - r um", "chance from", "to"], rows)
    spots = found["hotspots"]
    if not spots:
        yield "  no square has more findings than chance explains"
    for one in spots:
        numbers = listed([f"#{number}" for number in one["findings"][:8]])
        more = f" and {len(one['findings']) - 8} more" if len(one["findings"]) > 8 else ""
        x0, x1, y0, y1, chance = (short_text(one[name]) for name in ("x0_um", "x1_um", "y0_um", "y1_um", "expected"))
        yield (
            f"  {one['slide']}, x {x0} to {x1}, y {y0} to {y1} um: {things(one['count'], 'finding')}, {chance} by "
            f"chance (p = {short_text(one['p_corrected'], 2)} of all squares): {numbers}{more}"
        )
