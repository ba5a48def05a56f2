"""Parts of a report's document: plots as values, and the colours of maps of coverage."""

from __future__ import annotations

from pydantic import Field

from microscope_qc.reports.document_base import DocumentPart

Interval = tuple[float, float]


class MapColour(DocumentPart):
    """What a colour of a map means."""

    name: str
    colour: str


class CoverageLegend(DocumentPart):
    """Colours of the maps of what was searched, and of how closely users viewed it."""

    searched: list[MapColour]
    viewed: list[MapColour]


class ReportedMark(DocumentPart):
    """A bar or dot of a plot."""

    at: str
    x: float
    value: float
    interval: Interval | None
    n: int = Field(description="findings that it is of")
    box: tuple[float, float, float, float] | None = Field(None, description="of a square of a map: y0, x0, y1, x1")


class PlotSeries(DocumentPart):
    """Bars or dots of one colour."""

    name: str
    colour: str
    pale: bool
    marks: list[ReportedMark]


class PlotPart(DocumentPart):
    """A plot as values."""

    name: str
    title: str
    shape: str
    x: str
    y: str
    names: list[str] = Field(description="along the x axis of bars")
    edges: list[float] | None = Field(description="of bins")
    series: list[PlotSeries]
    notes: list[str]
    why_not: str = Field(description="why there is nothing to draw")
