"""How much of slides was looked at, as maps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microscope_qc.analysis.coverage import SlideCoverage
from microscope_qc.core.arrays import Ints
from microscope_qc.core.seen_map import ZOOMS, SeenMap
from microscope_qc.core.wording import count_text
from microscope_qc.reports.coverage_map import SEARCHED, VIEWED, painted
from microscope_qc.reports.plot_values import Panel, Plot, PlotMark, Series, Shape
from microscope_qc.workflows.detection.looked_at import looked_at_area, looked_words, seen_on
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots_of_slides import slide_picture

COVERAGE = "coverage"
MOST_SLIDES = 6
"""More beside each other are too small to see something on them: those of which least was searched are drawn."""
PICTURE_PX = 512
_TITLE = "What was looked at"


def coverage(found: CountedFindings, _choice: PlotChoice) -> Plot:
    """Two maps of each slide: what was scanned, left out or declared complete, and how closely users viewed it."""
    if not any(slide.coverage.searched_share or seen_on(slide.record, slide.seen).share for slide in found.slides):
        why_not = "Nothing of these slides was scanned, declared complete or viewed."
        return Plot(COVERAGE, _TITLE, Shape.COVERAGE, why_not=why_not)
    order = sorted(range(len(found.slides)), key=lambda n: found.slides[n].coverage.searched_share)
    shown = [found.slides[n] for n in sorted(order[:MOST_SLIDES])]
    notes = []
    if len(shown) < len(found.slides):
        notes.append(f"The {MOST_SLIDES} slides of {count_text(len(found.slides))} of which least was searched.")
    panels: list[Panel] = []
    marks: list[PlotMark] = []
    table = []
    for slide in shown:
        known = looked_at_area(slide.coverage, seen := seen_on(slide.record, slide.seen))
        name = slide.slide.section.name
        tip = looked_words(known, name)
        searched, viewed = kinds_of(slide.coverage, seen)
        under, extent = slide_picture(slide.record), tuple(map(float, slide.record.shape_px))
        for what, kinds, colours in (("searched", searched, SEARCHED), ("viewed", viewed, VIEWED)):
            ids = slide.rows["id"][slide.kept]
            marks.append(PlotMark(name, 0.0, known["scanned"], ids, tip=tip, panel=len(panels)))
            panels.append(Panel(f"{name}, {what}", (extent[0], extent[1]), painted(kinds, colours, under)))
        table.append({"slide": name, **dict(_columns(known))})
        notes.append(tip)
    return Plot(
        COVERAGE, _TITLE, Shape.COVERAGE, series=[Series("slides", "#0072b2", marks)], notes=notes, panels=panels,
        table=table,
    )  # fmt: skip


def kinds_of(coverage: SlideCoverage, seen: SeenMap) -> tuple[Ints, Ints]:
    """What became of each cell of the map of what was viewed, and how closely it was viewed: places in the legends.

    Parameters
    ----------
    coverage
        Where findings of a slide were searched for.
    seen
        What users viewed of it.
    """
    (rows, columns), (height, width) = seen.levels.shape, seen.cell_px
    y, x = np.meshgrid((np.arange(rows) + 0.5) * height, (np.arange(columns) + 0.5) * width, indexing="ij")
    searched = coverage.kinds(y.ravel(), x.ravel()).reshape(rows, columns)
    viewed = seen.cells.astype(np.int64)
    for zoom in ZOOMS:
        viewed += seen.closely(zoom)
    return searched, viewed


def coverage_pictures(coverage: SlideCoverage, seen: SeenMap) -> tuple[np.ndarray, np.ndarray]:
    """The two maps of a slide as RGB pictures with a longer side of about :data:`PICTURE_PX`."""
    step = max(1, round(PICTURE_PX / max(seen.levels.shape)))
    searched, viewed = (
        painted(kinds.repeat(step, 0).repeat(step, 1), colours, None)
        for kinds, colours in zip(kinds_of(coverage, seen), (SEARCHED, VIEWED), strict=True)
    )
    return searched, viewed


def _columns(known: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in known.items():
        if isinstance(value, list):
            yield from ((f"seen_at_{round(100 * one['zoom'])}_percent", one["share"]) for one in value)
        else:
            yield name, value
