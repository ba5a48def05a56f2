"""Plots as values, with the findings behind them: what is drawn is known before it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Ints

_NONE = np.zeros(0, np.int64)
PER_MM2 = "findings per mm²"


class Shape(StrEnum):
    """How values are drawn."""

    BESIDE = "beside"  # a bar for each series at each name
    STACKED = "stacked"  # the bars of a name on each other
    MEANS = "means"  # the same with intervals
    BINS = "bins"  # the same between edges with equal steps of the logarithm
    DOTS = "dots"  # a dot with its interval for each value of x
    DATES = "dates"  # the same, x in days as matplotlib counts them
    LINES = "lines"  # dots that a line joins
    MAP = "map"  # squares, the darker the higher; those of a first of two series are outlined
    TERNARY = "ternary"  # dots between three corners: x and y are the parts of the first two in %
    PLACES = "places"  # dots on pictures of slides
    COVERAGE = "coverage"  # two maps of each slide: what was searched, and what was viewed
    CONTROL = "control"  # points in their order, with a centre and limits; one chart below the other


@dataclass(frozen=True, slots=True, eq=False)
class PlotMark:
    """A bar, a part of one, or a dot.

    Attributes
    ----------
    at
        Where on the x axis: its text, and its number: the place of the name or bin, or the value.
    value
        Height, or y.
    interval
        95 %, None where there is none.
    findings
        Numbers of the findings that it is of, shape (N,).
    tip
        What it says, in words.
    box
        Of a square of a map: y0, x0, y1, x1.
    label
        Stands above a bar, or above a point: what happened there.
    panel
        Number of the slide that it lies on, of a plot of places; x and ``value`` are then its place there. Number of
        the chart, of a control chart.
    """

    at: str
    x: float
    value: float
    findings: Ints = field(default_factory=lambda: _NONE)
    interval: tuple[float, float] | None = None
    tip: str = ""
    box: tuple[float, float, float, float] | None = None
    label: str = ""
    panel: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A slide in a plot of places: its name, height and width in the unit of the axes, and its picture (RGB)."""

    name: str
    extent: tuple[float, float]
    picture: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is usual on a control chart: what its y axis says, its centre, and the limits of each point."""

    y: str
    centre: float
    lower: Sequence[float]
    upper: Sequence[float]


@dataclass(frozen=True, slots=True)
class Series:
    """Marks of one colour; ``pale`` tells a second series of the same colour apart."""

    name: str
    colour: str
    marks: Sequence[PlotMark]
    pale: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot as values.

    Attributes
    ----------
    name
        Of its kind, as commands call it.
    names
        Along the x axis of bars.
    edges
        Of bins, one more than there are bins.
    notes
        Sentences that stand below it.
    why_not
        Why there is nothing to draw, "" otherwise.
    of_findings
        Whether marks are of findings.
    log_x, pointer
        Of lines: whether x has equal steps of the logarithm, and a value of x to point out.
    panels
        The slides of a plot of places.
    line
        Of dots: x and y of both ends of a straight line behind them.
    limits
        Of a control chart, those of each chart; ``pointer`` is where phase I ends.
    table
        Records in place of those of the marks.
    scale
        What the colours of a map say.
    source
        What a control chart is made of (:func:`~microscope_qc.workflows.results.process_control.charted`).
    """

    name: str
    title: str
    shape: Shape
    x: str = ""
    y: str = ""
    series: Sequence[Series] = ()
    names: Sequence[str] = ()
    edges: np.ndarray | None = None
    notes: Sequence[str] = ()
    why_not: str = ""
    of_findings: bool = True
    log_x: bool = False
    pointer: float | None = None
    panels: Sequence[Panel] = ()
    line: tuple[float, float, float, float] | None = None
    limits: Sequence[Limits] = ()
    table: Sequence[Mapping[str, Any]] = ()
    source: Mapping[str, Any] | None = None
    scale: str = PER_MM2

    def marks(self) -> Iterator[tuple[str, Series, PlotMark]]:
        """Each mark with its key, in the order in which they are drawn."""
        for number, series in enumerate(self.series):
            for place, mark in enumerate(series.marks):
                yield f"mark-{number}-{place}", series, mark

    def mark(self, key: str) -> PlotMark:
        """Return the mark with a key."""
        _, number, place = key.split("-")
        return self.series[int(number)].marks[int(place)]

    def records(self) -> list[dict[str, Any]]:
        """Return one record for each mark: series, x, value, limits, and number of findings; of a place x and y."""
        if self.table:
            return [dict(record) for record in self.table]
        if self.shape is Shape.PLACES:
            return [
                {"series": series.name, "slide": mark.at, self.x: mark.x, self.y: mark.value, "finding": int(number)}
                for _, series, mark in self.marks()
                for number in mark.findings
            ]
        if self.shape is Shape.TERNARY:
            return [
                {
                    "group": series.name,
                    **dict(zip(self.names, (mark.x, mark.value, 100 - mark.x - mark.value), strict=True)),
                    "finding": int(number),
                }
                for _, series, mark in self.marks()
                for number in mark.findings
            ]
        along, up = self.x or "name", self.y or "value"
        return [
            {
                "series": series.name, along: mark.at, up: mark.value,
                "low": mark.interval and mark.interval[0], "high": mark.interval and mark.interval[1],
            } | ({"n": len(mark.findings)} if self.of_findings else {})
            for _, series, mark in self.marks()
        ]  # fmt: skip

    def document(self) -> dict[str, Any]:
        """Values that JSON can store, without the findings."""
        return {
            "name": self.name, "title": self.title, "shape": str(self.shape), "x": self.x, "y": self.y,
            "names": list(self.names), "log_x": self.log_x, "pointer": self.pointer,
            "series": [
                {
                    "name": series.name, "colour": series.colour, "pale": series.pale,
                    "marks": [
                        {"at": mark.at, "x": mark.x, "value": mark.value, "interval": mark.interval, "tip": mark.tip}
                        for mark in series.marks
                    ],
                }
                for series in self.series
            ],
        }  # fmt: skip

    @classmethod
    def of_document(cls, stored: Mapping[str, Any]) -> Plot:
        """What :meth:`document` stored; a KeyError, TypeError or ValueError says that it is none."""
        series = [
            Series(str(one["name"]), str(one["colour"]), [_mark(mark) for mark in one["marks"]], bool(one["pale"]))
            for one in stored["series"]
        ]
        if not series or not all(one.marks for one in series):
            raise ValueError("a plot has marks")
        pointer = stored["pointer"]
        return cls(
            str(stored["name"]), str(stored["title"]), Shape(stored["shape"]), str(stored["x"]), str(stored["y"]),
            series, [str(name) for name in stored["names"]], of_findings=False, log_x=bool(stored["log_x"]),
            pointer=None if pointer is None else float(pointer),
        )  # fmt: skip


def _mark(stored: Mapping[str, Any]) -> PlotMark:
    interval = None
    if stored["interval"] is not None:
        low, high = stored["interval"]
        interval = float(low), float(high)
    x, value = float(stored["x"]), float(stored["value"])
    if not np.isfinite([x, value, *(interval or ())]).all():
        raise ValueError("a mark is at a place")
    return PlotMark(str(stored["at"]), x, value, interval=interval, tip=str(stored["tip"]))
