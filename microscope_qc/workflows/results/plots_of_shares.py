"""What findings are made up of: the shares of the classes, cross-section by cross-section."""

from __future__ import annotations

import numpy as np

from microscope_qc.analysis.counts import LEVEL
from microscope_qc.analysis.shares import normal_quantile, wilson_interval
from microscope_qc.core.wording import count_text, percent_text
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.grouping import PROJECT, SLIDE
from microscope_qc.workflows.results.plot_parts import (
    NOTHING_FOUND,
    PlotChoice,
    field_named,
    members_by,
    slides_searched,
    wanted_classes,
)


def shares(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Shares of the classes of each cross-section, or of what else bars stand for, where all were searched for."""
    title = "Shares of the classes"
    everything = wanted_classes(found, "")
    alike = {id(slide) for slide in slides_searched(found, found.slides, everything)}
    members = {
        name: [slide for slide in slides if id(slide) in alike or not alike]
        for name, slides in members_by(found, choice.by).items()
    }
    wholes = {name: sum(int(everything.of(slide).sum()) for slide in slides) for name, slides in members.items()}
    names = [name for name, whole in wholes.items() if whole]
    if not names:
        return Plot("shares", title, Shape.STACKED, why_not=NOTHING_FOUND)
    notes = []
    left_out = [name for name in members if name not in names]
    if left_out:
        notes.append(f"Without findings where all classes were searched for: {', '.join(left_out)}.")
    if not alike:
        notes.append("It is not known where the classes were searched for.")
    series = []
    for place, defect in enumerate(found.known.book.classes):
        marks = []
        for at, name in enumerate(names):
            ids = [slide.rows["id"][everything.of(slide) & (slide.places == place)] for slide in members[name]]
            mine = np.concatenate([np.zeros(0, np.int64), *ids])
            if len(mine):
                share, whole = len(mine) / wholes[name], wholes[name]
                low, high = (100 * side for side in wilson_interval(share, whole, normal_quantile(LEVEL)))
                tip = f"{name}, {defect.code}: {percent_text(share)}, {count_text(len(mine))} of {count_text(whole)}"
                marks.append(PlotMark(name, at, 100 * share, mine, (low, high), tip))
        if marks:
            series.append(Series(f"{defect.code} {defect.name}".strip(), defect.colour, marks))
    x = {SLIDE: "cross-section", PROJECT: "project"}.get(choice.by) or field_named(found, choice.by).heading
    return Plot("shares", title, Shape.STACKED, x, "% of the findings", series, names, notes=notes)
