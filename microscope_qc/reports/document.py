"""What a report says, as one document: every page, Word file and PDF is made from it, and scripts read it as JSON.

:data:`VERSION` changes when a field goes or means something else, not when one is added. ``report --schema`` prints
the JSON schema with what is said of each field here.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import Field

from microscope_qc.reports.document_base import DocumentPart
from microscope_qc.reports.document_plots import CoverageLegend, Interval, PlotPart
from microscope_qc.reports.document_where import MostSevere, ReportedControlChart, Where

VERSION: Literal[1] = 1
JPEG = "data:image/jpeg;base64,"
CONTENTS = {
    "specimens": "Specimens",
    "method": "Method",
    "models": "Models",
    "coverage": "Coverage",
    "numbers": "Counts and densities",
    "verdict": "Limits and verdict",
    "plots": "Plots",
    "maps": "Positions",
    "where": "Where findings lie",
    "control": "Control charts",
    "severity": "Most severe findings",
    "worst": "Worst of each class",
    "gallery": "Gallery",
    "chosen": "Chosen for the SEM",
    "compositions": "Compositions",
    "people": "People and times",
    "hashes": "Hashes",
}
"""Parts of a report that can be left out, and their headings."""


class ReportedNumbers(DocumentPart):
    """Counts and the density of some findings."""

    total: int = Field(description="findings that count, rejected ones too")
    kept: int = Field(description="without rejected ones")
    states: dict[str, int] = Field(description="by what the review made of them: unreviewed, confirmed, rejected")
    reviewed_share: float | None = Field(description="share that a user has judged")
    in_area: int = Field(description="kept ones whose centre lies where their class was searched for")
    outside_area: int = Field(description="other kept ones: no density has them")
    area_mm2: float | None = Field(description="area that was scanned, or declared complete, for all of these classes")
    area_share: float | None = Field(description="of the slide, or of all slides")
    per_mm2: float | None
    per_mm2_interval: Interval | None = Field(description="95 %")
    per_mm2_reason: str | None


class ReportedStatistic(DocumentPart):
    """A measure of findings, as the registry of statistics has it."""

    value: float | None
    unit: str
    n: int
    interval: Interval | None = None


class ReportedSlideNumbers(ReportedNumbers):
    """Numbers of one slide; the interval of a density is that of findings scattered at random (Poisson)."""

    area_source: str = Field(description="who searched there")
    statistics: dict[str, ReportedStatistic]


class ClassOnSlide(ReportedSlideNumbers):
    """Numbers of a class on one slide."""

    code: str
    name: str
    colour: str


class Column(DocumentPart):
    """Findings at one stage of the review."""

    count: float | None
    count_interval: Interval | None = Field(None, description="95 %, of corrected counts")
    per_mm2: float | None
    interval: Interval | None = Field(description="95 %, of the density")
    reason: str | None


class ReportedShare(DocumentPart):
    """A share with its interval (95 %)."""

    value: float | None
    count: int
    of: int
    interval: Interval | None
    reason: str | None


class ReportedEstimate(DocumentPart):
    """A number with its interval (95 %)."""

    value: float
    n: int
    interval: Interval | None
    reason: str | None


class Sizes(DocumentPart):
    """Longer sides in um."""

    n: int
    median: ReportedEstimate | None
    q90: ReportedEstimate | None = Field(description="90 % are shorter")
    largest: float | None
    reason: str | None


class GroupNumbers(ReportedNumbers):
    """Numbers of several slides; intervals allow for the spread between specimens, or slides (quasi-Poisson)."""

    sections: int = Field(description="slides that the density is of")
    without_area: list[str] = Field(description="slides that it is not of")
    spread: float | None = Field(description="variance between specimens or slides by what chance alone makes")
    spread_reason: str | None
    raw: Column = Field(description="what models found, by the class that they said")
    reviewed: Column = Field(description="what is left after the review, with what users drew")
    corrected: Column = Field(description="what is true if findings that nobody judged are like a random sample")
    share: ReportedShare | None = Field(description="of the findings of all classes")
    rejected: ReportedShare = Field(description="of the judged ones")
    size_um: Sizes


class ClassNumbers(GroupNumbers):
    """Numbers of a class on several slides."""

    code: str
    name: str
    colour: str


class ClassGroupNumbers(GroupNumbers):
    """Numbers of a class group on several slides."""

    name: str
    classes: list[str]


class ReportedGroup(GroupNumbers):
    """Numbers of all slides, or of those that agree in what ``by`` names."""

    title: str
    slide_names: list[str]
    classes: list[ClassNumbers]
    class_groups: list[ClassGroupNumbers]


class Value(DocumentPart):
    """Something that is said of a specimen."""

    name: str
    title: str
    text: str


class ReportedArea(DocumentPart):
    """An area in which a user says that every defect is marked."""

    classes: list[str]
    user: str
    declared: str
    area_mm2: float | None
    area_share: float


class Scanned(DocumentPart):
    """What a detection scanned."""

    model: str
    classes: list[str]
    area_mm2: float | None
    area_share: float
    masked_share: float | None = Field(description="left out as resin or by a mask")
    tiles: int
    missing_tiles: int
    finished: bool


class SeenAt(DocumentPart):
    """What was viewed at a zoom (pixels of the screen for one of the slide) or more closely."""

    zoom: float
    share: float


class LookedAt(DocumentPart):
    """How much of the whole slide was looked at; shares from 0 to 1."""

    scanned: float
    masked: float = Field(description="left out by the masks of detections")
    missing: float = Field(description="tiles that are not done or could not be read")
    declared: float = Field(description="declared complete, for any class")
    seen: float = Field(description="viewed by a user closely enough to judge")
    seen_at: list[SeenAt]
    seen_zoom_unknown: float = Field(description="viewed before the zoom was kept")
    nobody: float = Field(description="neither scanned nor declared nor viewed")


class Coverage(DocumentPart):
    """Where findings were searched for."""

    masked_share: float | None = Field(description="of what was to be scanned")
    looked_at: LookedAt
    searched_map: str = Field("", description="JPEG (data URI) in the colours of the legend, empty without one")
    viewed_map: str = Field("", description="as searched_map: how closely users viewed the slide")
    scanned: list[Scanned]
    declared: list[ReportedArea]
    warnings: list[str]


class Map(DocumentPart):
    """Positions of findings on a slide."""

    picture: str = Field(description="the whole slide as JPEG (data URI), empty where it could not be read")
    extent: tuple[float, float] = Field(description="height and width in the unit")
    unit: Literal["um", "px"]
    points: list[tuple[float, float, int]] = Field(description="x and y in the unit, and place in the list of classes")


class ReportedSlide(DocumentPart):
    """A slide."""

    name: str
    scene: str | None
    words: str = Field(description="its size, in words")
    shape_px: tuple[int, int] = Field(description="height and width")
    pixel_size_um: tuple[float, float] | None = Field(description="y and x")
    specimen: list[Value]
    numbers: ReportedSlideNumbers
    classes: list[ClassOnSlide]
    coverage: Coverage
    thumbnail: str = Field(description="small picture as JPEG (data URI), empty where there is none")
    detailed: bool = Field(description="whether it has a map and tables of its own")
    map: Map | None
    fingerprint: str = Field(description="digest of 64 sampled blocks of pixels")
    content: str = Field(description="digest of the whole file, empty until it was read")


class ClassKey(DocumentPart):
    """A class that occurs."""

    code: str
    name: str
    colour: str


class Finding(DocumentPart):
    """One finding with its picture."""

    defect_id: int
    code: str
    name: str
    colour: str
    size: str
    confidence: float | None = Field(description="null where a user drew it")
    state: str
    reason: str
    note: str
    slide: str
    position: str
    picture: str = Field(description="JPEG (data URI) with its box, and a scale bar where the pixel size is known")


class WorstOfClass(DocumentPart):
    """The worst findings of a class, by size and then by confidence."""

    code: str
    name: str
    colour: str
    of: int = Field(description="findings of the class")
    findings: list[Finding]


class Sheets(DocumentPart):
    """The findings of a class on contact sheets, worst first."""

    code: str
    name: str
    colour: str
    of: int = Field(description="findings of the class")
    shown: int
    sheets: list[str] = Field(description="JPEG (data URI); below each finding stands its number")


class AmountOfElement(DocumentPart):
    """How much there is of an element, with its error where that is known."""

    element: str
    at_percent: str
    wt_percent: str


class ReportedMeasurement(DocumentPart):
    """A finding that EDX measured."""

    finding: Finding
    amounts: list[AmountOfElement]
    words: str


class Run(DocumentPart):
    """A detection."""

    slide: str
    whole: bool = Field(description="whether it is of the whole slide")
    started: str
    finished: str | None
    state: str
    found: int
    settings: dict[str, Any]


class Model(DocumentPart):
    """A model that found findings that count; what its card says is null where the card is no longer there."""

    name: str
    task: str | None
    architecture: str | None
    classes: list[str]
    confidence: float | None = Field(description="threshold that it suggests")
    pixel_size_um: float | None
    trained_on: str
    fingerprint: str = Field(description="digest of its weights")
    metrics: dict[str, Any]
    runs: list[Run]


class ReportedCheck(DocumentPart):
    """What an acceptance limit says."""

    of: str
    kind: str
    limit: float | None
    source: str
    verdict: str
    value: float | None
    low: float | None = Field(description="one-sided 95 % bound")
    high: float | None = Field(description="one-sided 95 % bound")
    decides: list[int] = Field(description="numbers of the findings that decide")
    reason: str


class SlideVerdict(DocumentPart):
    """Verdict of one slide."""

    slide: str
    verdict: str
    checks: list[ReportedCheck]


class ReportedVerdict(DocumentPart):
    """Verdict of a group of slides, by acceptance limits: pass, fail or undecided."""

    group: str
    verdict: str
    checks: list[ReportedCheck]
    slides: list[SlideVerdict]


class Person(DocumentPart):
    """Who worked on the project, by its history."""

    name: str
    steps: int
    first: str
    last: str


class Hashes(DocumentPart):
    """Digests by which one sees that project and slides are those of this report."""

    findings: str = Field(description="SHA-256 over all findings that count: place, class, state, reason and note")
    slides: dict[str, str] = Field(description="digest of each slide's file, or of samples of its pixels")


class ReportDocument(DocumentPart):
    """The report of a project."""

    version: Literal[1] = VERSION
    language: str = Field(description="en or de")
    contents: list[str] = Field(description="parts that it has, see --leave-out")
    title: str
    date: str
    software: str
    included: str = Field(description="which findings count, in words")
    by: list[str] = Field(description="what slides are grouped by")
    classes: list[ClassKey] = Field(description="classes that occur")
    statistics: list[dict[str, Any]] = Field(description="name, heading, unit and digits of the measures of findings")
    method: list[str] = Field(description="how the numbers were made, sentence by sentence")
    total: ReportedGroup
    groups: list[ReportedGroup] = Field(description="one where nothing groups the slides")
    slides: list[ReportedSlide]
    models: list[Model]
    verdicts: list[ReportedVerdict]
    plots: list[PlotPart]
    coverage_legend: CoverageLegend | None = Field(None, description="colours of the maps of coverage")
    where: Where | None = None
    control: list[ReportedControlChart] = Field([], description="those whose limits are frozen")
    severity: MostSevere | None = None
    worst: list[WorstOfClass]
    gallery: list[Sheets]
    chosen: list[Finding] = Field(description="findings chosen for the SEM")
    measured: list[ReportedMeasurement]
    measured_of: int
    people: list[Person]
    hashes: Hashes | None
    warnings: list[str]


def as_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address that holds the picture itself, "" for no bytes."""
    return JPEG + base64.b64encode(jpeg).decode("ascii") if jpeg else ""


def of_uri(uri: str) -> bytes:
    """Return the JPEG of :func:`as_uri`, no bytes for anything else."""
    return base64.b64decode(uri.removeprefix(JPEG)) if uri.startswith(JPEG) else b""
