"""Plots of statistics, each from the counted slides: for the window, the command line and scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.box_rows import REJECT_REASONS, SAYS_NOTHING, ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.opinions import is_judged
from microscope_qc.core.wording import count_text, listed, percent_text, significant_text, things
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.reports.plots import log_edges
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.grouping import PROJECT, SLIDE
from microscope_qc.workflows.results.largest import largest
from microscope_qc.workflows.results.plot_parts import (
    COUNT,
    NOTHING_FOUND,
    PER_MM2,
    PlotChoice,
    PlotClasses,
    density_over,
    field_named,
    groups_there,
    members_by,
    numbers_of,
    slides_searched,
    wanted_classes,
    within_text,
)
from microscope_qc.workflows.results.plots_against import dates, field
from microscope_qc.workflows.results.plots_of_compositions import composition, ternary
from microscope_qc.workflows.results.plots_of_control import CONTROL, control
from microscope_qc.workflows.results.plots_of_coverage import COVERAGE, coverage
from microscope_qc.workflows.results.plots_of_shares import shares
from microscope_qc.workflows.results.plots_of_slides import by_hand, places
from microscope_qc.workflows.results.plots_of_truth import truth
from microscope_qc.workflows.results.where import density_map, distances

MOST_NAMES = 40
"""More bars beside each other cannot be told apart: those with the most findings are drawn."""
_PREPARATION = "preparation"
_ARTEFACT = REJECT_REASONS["p"]


@dataclass(frozen=True, slots=True)
class PlotKind:
    """A kind of plot: its title in menus, which parts of a :class:`PlotChoice` it uses, and what makes it."""

    name: str
    title: str
    uses: frozenset[str]
    make: Callable[[CountedFindings, PlotChoice], Plot]


def make_plot(found: CountedFindings, name: str, choice: PlotChoice | None = None) -> Plot:
    """Make a plot; where there is nothing to draw it says why.

    Raises
    ------
    InputError
        When there is no such kind, class, field or detector.
    """
    if name not in PLOTS:
        raise InputError(f"There is no plot {name}.", hint=f"There are {listed(list(PLOTS))}.")
    return PLOTS[name].make(found, choice or PlotChoice())


# -- totals ------------------------------------------------------------------------------------------------------------


def totals(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Findings of each cross-section, or of what else bars stand for, by class group; of two detectors side by side."""
    title = f"Findings {'per mm²' if choice.weight == PER_MM2 and not choice.detectors else ''}".strip()
    title += " by detector and class group" if choice.detectors else " by class group"
    if not any(len(slide.rows) for slide in found.slides):
        return Plot("totals", title, Shape.BESIDE, why_not=NOTHING_FOUND)
    for detector in choice.detectors:
        if detector not in found.detectors:
            known = listed(found.detectors) or "none"
            raise InputError(f"No detector called {detector} found anything here.", hint=f"There are {known}.")
    members, notes = members_by(found, choice.by), []
    if len(members) > MOST_NAMES:
        notes.append(f"The {MOST_NAMES} with the most findings of {count_text(len(members))}.")
        most = sorted(members, key=lambda name: -sum(int(slide.kept.sum()) for slide in members[name]))[:MOST_NAMES]
        members = {name: slides for name, slides in members.items() if name in set(most)}
    if choice.detectors:
        notes.append("As the detectors found them, before the review.")
        series = _of_detectors(found, members, choice.detectors)
        y = "findings"
    else:
        series = [_of_group(found, members, wanted, choice.weight, notes) for wanted in groups_there(found)]
        y = "findings per mm²" if choice.weight == PER_MM2 else "findings"
    series = [one for one in series if one.marks]
    if not series:
        return Plot("totals", title, Shape.BESIDE, why_not=" ".join(notes) or NOTHING_FOUND)
    x = {SLIDE: "cross-section", PROJECT: "project"}.get(choice.by) or field_named(found, choice.by).heading
    notes = list(dict.fromkeys(notes))
    return Plot("totals", title, Shape.BESIDE, x=x, y=y, series=series, names=list(members), notes=notes)


def _of_detectors(
    found: CountedFindings, members: Mapping[str, Sequence[FoundOnSlide]], detectors: Sequence[str]
) -> list[Series]:
    series = []
    for order, detector in enumerate(detectors):
        for wanted in groups_there(found):
            marks = []
            for place, (name, slides) in enumerate(members.items()):
                parts = [slide.by_detector.get(detector) for slide in slides]
                if all(part is None for part in parts):
                    continue  # it has not looked there: that is no zero
                ids = [part[0][np.isin(part[1], wanted.places)] for part in parts if part is not None]
                numbers = np.concatenate([np.zeros(0, np.int64), *ids])
                tip = f"{name}, {wanted.words}, {detector}: {things(len(numbers), 'finding')}"
                marks.append(PlotMark(name, place, len(numbers), numbers, tip=tip))
            series.append(Series(f"{wanted.words}, {detector}", wanted.colour, marks, pale=order > 0))
    return series


def _of_group(
    found: CountedFindings, members: Mapping[str, Sequence[FoundOnSlide]], wanted: PlotClasses, weight: str,
    notes: list[str],
) -> Series:  # fmt: skip
    marks = []
    # where fewer classes were searched for there is less to find: such slides do not stand beside the others
    alike = set(map(id, slides_searched(found, found.slides, wanted)))
    for place, (name, slides) in enumerate(members.items()):
        if weight == COUNT:
            numbers = numbers_of(slides, wanted.of)
            tip = f"{name}, {wanted.words}: {things(len(numbers), 'finding')}"
            marks.append(PlotMark(name, place, len(numbers), numbers, tip=tip))
            continue
        known = [slide for slide in slides if id(slide) in alike]
        per_mm2, reason = density_over(found, known or slides, wanted)
        if per_mm2 is None or not known:
            notes.append(f"{name}, {wanted.words}: {reason or 'not all classes were searched for'}.")
            continue
        numbers = numbers_of(known, lambda slide: wanted.of(slide) & slide.inside(wanted.key))
        tip = (
            f"{name}, {wanted.words}: {within_text(per_mm2.per_mm2, per_mm2.interval)} per mm², "
            f"{things(per_mm2.count, 'finding')} on {significant_text(per_mm2.area_mm2)} mm²"
        )
        marks.append(PlotMark(name, place, per_mm2.per_mm2, numbers, per_mm2.interval, tip))
    return Series(wanted.words, wanted.colour, marks)


# -- sizes -------------------------------------------------------------------------------------------------------------


def sizes(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Findings by the longer side, stacked by class."""
    wanted = wanted_classes(found, choice.of)
    title = f"Sizes of {wanted.words}"

    def chosen(slide: FoundOnSlide) -> Flags:
        good: Flags = wanted.of(slide) & (slide.sizes_um > 0)
        return good

    kept = sum(int(wanted.of(slide).sum()) for slide in found.slides)
    lengths = np.concatenate([np.zeros(0), *(slide.sizes_um[chosen(slide)] for slide in found.slides)])
    if not len(lengths):
        reason = "The pixel size of these slides is not known: set it first." if kept else NOTHING_FOUND
        return Plot("sizes", title, Shape.BINS, why_not=reason)
    edges = log_edges(lengths)
    bins = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, len(edges) - 2)
    classes = np.concatenate([np.zeros(0, np.int64), *(slide.places[chosen(slide)] for slide in found.slides)])
    numbers = numbers_of(found.slides, chosen)
    series = []
    for place in np.unique(classes).tolist():
        defect = found.known.book.classes[place]
        marks = []
        for at in np.unique(bins[classes == place]).tolist():
            mine = numbers[(classes == place) & (bins == at)]
            within = f"{significant_text(edges[at])} to {significant_text(edges[at + 1])}"
            tip = f"{defect.code}, {within} µm: {things(len(mine), 'finding')}"
            marks.append(PlotMark(within, at, len(mine), mine, tip=tip))
        series.append(Series(f"{defect.code} {defect.name}".strip(), defect.colour, marks))
    left_out = kept - len(lengths)
    notes = [f"{things(left_out, 'finding')} on slides without a pixel size left out."] if left_out else []
    return Plot("sizes", title, Shape.BINS, "longer side, µm", "findings", series, edges=edges, notes=notes)


# -- true, artefact, false ---------------------------------------------------------------------------------------------

_OUTCOMES = (
    ("true", COLOURS[2]), ("another class", COLOURS[4]), ("artefact", COLOURS[1]), ("false positive", COLOURS[5]),
    ("set aside", COLOURS[3]), ("not judged", COLOURS[7]),
)  # fmt: skip


def outcomes(found: CountedFindings, choice: PlotChoice) -> Plot:
    """What the review made of what models found, by the class that they said."""
    title, book = "What the review made of what models found", found.known.book
    wanted = wanted_classes(found, choice.of)
    labels = np.concatenate([np.zeros(0, np.int64), *(slide.labels for slide in found.slides)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(slide.rows["id"] for slide in found.slides)])
    became = np.concatenate([np.zeros(0, np.int64), *(_became(found, slide) for slide in found.slides)])
    there = [place for place in np.unique(labels[labels >= 0]).tolist() if place in wanted.places]
    if not there:
        return Plot("outcomes", title, Shape.STACKED, why_not="No model found anything of this on these slides.")
    series = []
    for number, (name, colour) in enumerate(_OUTCOMES):
        marks = []
        for at, place in enumerate(there):
            mine = numbers[(labels == place) & (became == number)]
            whole = int((labels == place).sum())
            if len(mine):
                code, share = book.classes[place].code, percent_text(len(mine) / whole)
                tip = f"{code}, {name}: {count_text(len(mine))} of {count_text(whole)} ({share})"
                marks.append(PlotMark(code, at, len(mine), mine, tip=tip))
        if marks:
            series.append(Series(name, colour, marks))
    names = [book.classes[place].code for place in there]
    notes = []
    if any(one.name == "set aside" for one in series):
        notes = ["Set aside: rejected as duplicate, out of focus, outside the area of interest or for other reasons."]
    return Plot("outcomes", title, Shape.STACKED, "class that the model said", "findings", series, names, notes=notes)


def _became(found: CountedFindings, slide: FoundOnSlide) -> Ints:
    """Number of the outcome of each finding."""
    rows, book = slide.rows, found.known.book
    artefacts = [place for place, one in enumerate(book.classes) if one.group.casefold() == _PREPARATION]
    judged, reasons = is_judged(rows), rows["reason"].astype(str)
    rejected = rows["state"] == ReviewState.REJECTED
    aside = rejected & np.isin(reasons, [*SAYS_NOTHING])
    artefact = (rejected & (reasons == _ARTEFACT)) | (
        judged & ~rejected & np.isin(slide.places, artefacts) & (slide.places != slide.labels)
    )
    conditions = [~judged, aside, artefact, rejected, slide.places == slide.labels]
    outcome: Ints = np.select(conditions, [5, 4, 2, 3, 0], default=1)
    return outcome


PLOTS = {
    kind.name: kind
    for kind in (
        PlotKind("totals", "Cross-sections", frozenset({"by", "weight", "detectors"}), totals),
        PlotKind("shares", "Shares", frozenset({"by"}), shares),
        PlotKind("sizes", "Sizes", frozenset({"of"}), sizes),
        PlotKind("dates", "Production date", frozenset({"of", "weight"}), dates),
        PlotKind("field", "Against a number", frozenset({"of", "field", "weight"}), field),
        PlotKind("outcomes", "True and false", frozenset({"of"}), outcomes),
        PlotKind("truth", "Found and missed", frozenset({"of"}), truth),
        PlotKind("places", "On the slides", frozenset({"of"}), places),
        PlotKind("by-hand", "By hand and by model", frozenset({"of", "by", "detectors"}), by_hand),
        PlotKind(COVERAGE, "Looked at", frozenset(), coverage),
        PlotKind("map", "Map", frozenset({"of"}), density_map),
        PlotKind("distances", "Distances", frozenset({"of"}), distances),
        PlotKind(CONTROL, "Control chart", frozenset({"of", "by", "chart", "rules", "phase_1"}), control),
        PlotKind("composition", "Compositions", frozenset({"of", "by", "unit"}), composition),
        PlotKind("ternary", "Three elements", frozenset({"of", "by", "unit", "corners"}), ternary),
        PlotKind("largest", "Largest size", frozenset({"of", "in_mm2", "fields_mm2"}), largest),
    )
}
"""The kinds of plots by the names that commands use."""
