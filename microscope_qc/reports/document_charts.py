"""Plots and maps of a report's document as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from microscope_qc.reports.control import control_plot
from microscope_qc.reports.document import ClassKey, Map, of_uri
from microscope_qc.reports.document_plots import PlotPart, PlotSeries, ReportedMark
from microscope_qc.reports.document_where import ReportedControlChart
from microscope_qc.reports.language import Language
from microscope_qc.reports.marked import drawn
from microscope_qc.reports.plot_values import PER_MM2, Plot, PlotMark, Series, Shape
from microscope_qc.reports.plots import Chart, PlacesOnSlide, position_map


def part_of(plot: Plot) -> PlotPart:
    """Return a plot as a part of the document."""
    return PlotPart(
        name=plot.name, title=plot.title, shape=plot.shape.value, x=plot.x, y=plot.y, names=list(plot.names),
        edges=None if plot.edges is None else plot.edges.tolist(), notes=list(plot.notes), why_not=plot.why_not,
        series=[
            PlotSeries(
                name=one.name, colour=one.colour, pale=one.pale,
                marks=[
                    ReportedMark(
                        at=mark.at, x=float(mark.x), value=float(mark.value), interval=mark.interval,
                        n=len(mark.findings), box=mark.box,
                    )
                    for mark in one.marks
                ],
            )
            for one in plot.series
        ],
    )  # fmt: skip


def chart_of(plot: Mapping[str, Any], language: Language) -> Chart:
    """Draw a plot of the document, as JSON has it."""
    known, say = PlotPart.model_validate(plot), language.say
    series = [
        Series(
            say(one.name), one.colour,
            [PlotMark(mark.at, mark.x, mark.value, interval=mark.interval, tip=_tip(one, mark, language), box=mark.box)
             for mark in one.marks],
            one.pale,
        )
        for one in known.series
    ]  # fmt: skip
    made = Plot(
        known.name, say(known.title), Shape(known.shape), say(known.x), say(known.y), series, known.names,
        None if known.edges is None else np.array(known.edges), [say(note) for note in known.notes],
        say(known.why_not), scale=say(PER_MM2),
    )  # fmt: skip
    return drawn(made, decimal_comma=language.code == "de")


def control_of(known: Mapping[str, Any], language: Language) -> Chart | None:
    """Draw a control chart of the document, as JSON has it; None of one that cannot be drawn any more."""
    read, say = ReportedControlChart.model_validate(known), language.say
    if not read.charts:
        return None
    found = read.model_dump() | {"frozen": True}
    made = control_plot(found, title=say(read.title), x=say(read.x))
    series = [replace(one, name=say(one.name)) for one in made.series]
    limits = [replace(one, y=say(one.y)) for one in made.limits]
    return drawn(replace(made, series=series, limits=limits), decimal_comma=language.code == "de")


def _tip(series: PlotSeries, mark: ReportedMark, language: Language) -> str:
    value = language.significant(mark.value)
    if mark.interval is not None:
        value += f" (95 %: {' – '.join(language.significant(limit) for limit in mark.interval)})"
    return f"{mark.at}, {language.say(series.name)}: {value}, {language.things(mark.n, 'finding')}"


def map_of(known: Mapping[str, Any], classes: Sequence[Mapping[str, Any]], *, only: int | None = None) -> Chart:
    """Draw a map of the document, as JSON has it; of one class (its place) in an outline."""
    read = Map.model_validate(known)
    points = np.array(read.points, float).reshape(-1, 3)
    return position_map(
        PlacesOnSlide(read.extent, read.unit, points, of_uri(read.picture)),
        [ClassKey.model_validate(one) for one in classes],
        only=only,
    )
