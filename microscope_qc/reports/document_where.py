"""Parts of a report's document: where findings lie, the most severe ones, and control charts."""

from __future__ import annotations

from pydantic import Field

from microscope_qc.reports.document_base import DocumentPart
from microscope_qc.reports.document_plots import PlotPart


class Hotspot(DocumentPart):
    """A square with more findings than chance explains."""

    slide: str
    x0_um: float
    y0_um: float
    x1_um: float
    y1_um: float
    count: int
    expected: float = Field(description="findings that chance would put there")
    p_corrected: float = Field(description="chance of so many or more, corrected for all squares (Benjamini-Hochberg)")
    findings: list[int]


class Where(DocumentPart):
    """Where findings lie, of all classes together."""

    clustering: str = Field(description="whether they lie in clusters, or why that is not known")
    map: PlotPart | None = Field(None, description="densities in squares of the slide with the most findings")
    hotspots: list[Hotspot] = Field(description="the most unlikely first")
    hotspots_of: int = Field(description="how many there are")


class SevereFinding(DocumentPart):
    """A finding with its severity (0 to 100) and what that is made of (0 to 1)."""

    number: int
    slide: str
    code: str
    state: str
    severity: float
    class_weight: float
    size: float | None
    anomaly: float | None
    crowding: float | None


class MostSevere(DocumentPart):
    """The most severe findings."""

    profile: list[str] = Field(description="by what severities are worked out, who kept that, and since when")
    findings: list[SevereFinding]
    of: int


class ControlPoint(DocumentPart):
    """A point of a control chart."""

    group: str
    slides: int
    count: int | None = Field(description="findings; of a quality index there is the anomalous area instead")
    area_mm2: float
    anomalous_mm2: float | None = None
    event: str | None


class ControlValue(DocumentPart):
    """A value of a point with its limits; ``unusual`` names the rules by which it is."""

    value: float | None
    lower: float
    upper: float
    unusual: list[str]


class ControlValues(DocumentPart):
    """One of the charts of a control chart, with a value for each of its points."""

    title: str
    centre: float
    points: list[ControlValue]


class ReportedControlChart(DocumentPart):
    """A control chart whose limits are frozen."""

    title: str
    x: str = Field("", description="what points are made by")
    points: list[ControlPoint]
    charts: list[ControlValues]
    remarks: list[str]
