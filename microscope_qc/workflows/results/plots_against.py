"""Findings against what is known of the specimens: a date or a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import independent, poisson_interval
from microscope_qc.analysis.rank_correlation import spearman
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.core.wording import listed, things
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.plot_parts import (
    COUNT,
    PER_MM2,
    PlotChoice,
    PlotClasses,
    density_over,
    field_named,
    numbers_of,
    slides_searched,
    wanted_classes,
    within_text,
)

DATE = "production_date"


def dates(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Findings of a class against the production date, a dot for each specimen or cross-section."""
    name = choice.field or DATE
    return _against(found, choice, field_named(found, name, FieldKind.DATE), "dates")


def field(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Findings of a class against a number that is known of the specimens."""
    if not choice.field:
        numbers = listed([one.name for one in found.known.fields if one.kind is FieldKind.NUMBER])
        title = "Findings against a number that is known of specimens"
        return Plot("field", title, Shape.DOTS, why_not=f"Choose a field: {numbers}.")
    return _against(found, choice, field_named(found, choice.field, FieldKind.NUMBER), "field")


def _against(found: CountedFindings, choice: PlotChoice, along: SpecimenField, name: str) -> Plot:
    wanted, what = wanted_classes(found, choice.of), along.title or along.name
    shape = Shape.DATES if along.kind is FieldKind.DATE else Shape.DOTS
    title = f"{wanted.words[:1].upper()}{wanted.words[1:]} against {what[:1].lower()}{what[1:]}"
    said = [slide for slide in found.slides if slide.slide.fields.get(along.name) is not None]
    if not said:
        why_not = f"Nothing is said of the {what.lower()} of these slides: enter it with Slide, Specimen fields."
        return Plot(name, title, shape, why_not=why_not)
    notes = []
    if len(said) < len(found.slides):
        notes.append(f"{things(len(found.slides) - len(said), 'slide')} without it left out.")
    known = said if choice.weight == COUNT else slides_searched(found, said, wanted)
    if len(known) < len(said):
        notes.append(f"{things(len(said) - len(known), 'slide')} without a known area left out.")
    if not known:
        reason = density_over(found, said, wanted)[1]
        return Plot(name, title, shape, why_not=f"There is no density: {reason}.", notes=notes)
    unit, of_specimens = independent([slide.slide.section.specimen for slide in known])
    units, marks = zip(*_dots(found, known, unit.tolist(), wanted, along, choice.weight), strict=True)
    notes.append(_correlated(units, marks, along, "specimen" if of_specimens else "cross-section"))
    y = "findings per mm²" if choice.weight == PER_MM2 else "findings"
    series = [Series(wanted.words, wanted.colour, marks)]
    return Plot(name, title, shape, along.heading, y, series, notes=notes)


def _dots(
    found: CountedFindings, slides: Sequence[FoundOnSlide], unit: Sequence[int], wanted: PlotClasses,
    along: SpecimenField, weight: str,
) -> Iterator[tuple[int, PlotMark]]:  # fmt: skip
    """A dot for each specimen, or slide, and value of the field, with the number of the specimen or slide."""
    together: dict[tuple[int, Any], list[FoundOnSlide]] = {}
    for number, slide in zip(unit, slides, strict=True):
        together.setdefault((number, slide.slide.fields[along.name]), []).append(slide)
    for (number, value), mine in together.items():
        section = mine[0].slide.section
        name = section.specimen if len(mine) > 1 else section.name
        if weight == COUNT:
            numbers = numbers_of(mine, wanted.of)
            y, interval = float(len(numbers)), poisson_interval(len(numbers))
            said = things(len(numbers), "finding")
        else:
            pooled, _ = density_over(found, mine, wanted)
            assert pooled is not None  # of slides that were searched
            numbers = numbers_of(mine, lambda one: wanted.of(one) & one.inside(wanted.key))
            y, interval = pooled.per_mm2, pooled.interval
            said = f"{within_text(y, interval)} per mm², {things(pooled.count, 'finding')}"
        at = along.shown(value)
        yield number, PlotMark(at, _position(value, along), y, numbers, interval, f"{name}, {at}: {said}")


def _position(value: Any, along: SpecimenField) -> float:
    """A number as it is; a date in days, the middle of what is not said more exactly."""
    if along.kind is not FieldKind.DATE:
        return float(value)
    days = [np.datetime64(str(value)).astype("datetime64[D]").astype(int)]
    days.append((np.datetime64(str(value)) + 1).astype("datetime64[D]").astype(int) - 1)
    return float(sum(days)) / 2


def _correlated(units: Sequence[int], marks: Sequence[PlotMark], along: SpecimenField, unit: str) -> str:
    # several values of one specimen are not independent: it counts once, with their means
    _, number = np.unique(units, return_inverse=True)
    x, y = (
        np.bincount(number, weights=values) / np.bincount(number)
        for values in ([mark.x for mark in marks], [mark.value for mark in marks])
    )
    known = spearman(x, y)
    of = f"{things(known.n, unit)}"
    if known.rho is None:
        return f"Of {of}: {known.reason}."
    text = f"Spearman's rank correlation with {along.title or along.name}: {known.rho:.2f}"
    if known.interval is not None:
        text += f" (95 %: {known.interval[0]:.2f} to {known.interval[1]:.2f})"
    return f"{text}, n = {of}. " + ("" if known.interval else "Too few for an interval.")
