"""Collects what a report says into one document."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from microscope_qc import __version__
from microscope_qc.analysis.acceptance import Limit
from microscope_qc.analysis.registry import STATISTICS
from microscope_qc.core.arrays import Rows
from microscope_qc.core.composition import of_unit, percent_error_text
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.wording import included_words, size_words
from microscope_qc.reports import document as parts
from microscope_qc.reports.coverage_map import SEARCHED, VIEWED
from microscope_qc.reports.crops import jpeg
from microscope_qc.reports.document import CONTENTS, ReportDocument, as_uri
from microscope_qc.reports.document_charts import part_of
from microscope_qc.reports.document_plots import CoverageLegend, MapColour
from microscope_qc.reports.language import LANGUAGES
from microscope_qc.workflows.detection.coverage import read_areas
from microscope_qc.workflows.detection.coverage_table import declared_table
from microscope_qc.workflows.detection.looked_at import seen_on
from microscope_qc.workflows.left_out import left_out_lines
from microscope_qc.workflows.results.batches import compared
from microscope_qc.workflows.results.counted_findings import CountedFindings, count_findings
from microscope_qc.workflows.results.grouping import (
    BY_CLASS,
    BY_CLASS_GROUP,
    PROJECT,
    group_words,
    grouped_statistics,
    slide_keys,
)
from microscope_qc.workflows.results.plot_parts import CLASS_OF, COUNT, PlotChoice
from microscope_qc.workflows.results.plots import make_plot
from microscope_qc.workflows.results.plots_of_coverage import coverage_pictures
from microscope_qc.workflows.results.report_models import models_of
from microscope_qc.workflows.results.report_pictures import Pictures, PlaceInReport, worst_of_class
from microscope_qc.workflows.results.report_where import chart_parts, severity_part, where_part
from microscope_qc.workflows.results.statistics import slide_findings, slide_numbers
from microscope_qc.workflows.scenes import kept

MOST_MEASURED = 200
"""Findings whose composition is shown."""
METHOD = (
    "A finding is one place on one slide, however many detections and users marked it. It counts unless it is "
    "unreviewed and below the confidence limit, or only detections that are switched off found it.",
    "A density is that of the findings whose centre lies where their class was searched for: what detections scanned "
    "within their masks, and what users declared complete. Densities and sizes leave rejected findings out.",
    "Intervals hold 95 %. Those of several slides allow for the spread between specimens, or between slides where no "
    "or one specimen is named (quasi-Poisson, t quantile); of one slide they are those of findings scattered at random "
    "(Poisson), and the spread between sections is unknown.",
    "Corrected numbers take findings that nobody judged for as true as a random sample of the same model, class and "
    "confidence. What models missed is in no number unless recall was estimated.",
    "Size is the longer side of the box in the section. Sizes in a section are not sizes in the volume.",
)
_ACCEPTANCE = (
    "An acceptance limit is passed when the upper one-sided 95 % bound lies below it, failed when the lower one lies "
    "above it, and undecided between."
)


@dataclass(frozen=True, slots=True)
class ReportChoice:
    """What a report is to say.

    Attributes
    ----------
    leave_out
        Names of :data:`~microscope_qc.reports.document.CONTENTS` that it does without.
    language
        ``en`` or ``de``.
    by
        Fields of specimens, ``slide`` or ``project``: slides that agree in all are a group with numbers and a verdict
        of its own.
    limits
        Acceptance limits, see :func:`~microscope_qc.workflows.results.batches.read_limits`.
    worst, gallery
        Findings of each class that are shown large, and on contact sheets.
    maps
        Slides with a map and tables of their own: those with the most findings.
    rejected
        Show rejected findings in maps and galleries too.
    """

    leave_out: frozenset[str] = frozenset()
    language: str = "en"
    by: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    worst: int = 4
    gallery: int = 240
    maps: int = 12
    rejected: bool = False

    def contents(self) -> list[str]:
        """Parts that the report has.

        Raises
        ------
        InputError
            When there is no such language, or a part is to be left out that there is not.
        """
        if self.language not in LANGUAGES:
            raise InputError(f"There are no reports in {self.language}.", hint=f"There are {listed(list(LANGUAGES))}.")
        unknown = sorted(self.leave_out - CONTENTS.keys())
        if unknown:
            raise InputError(f"A report has no part {unknown[0]}.", hint=f"There are {listed(list(CONTENTS))}.")
        return [name for name in CONTENTS if name not in self.leave_out]


def collect(
    project: Project, choice: ReportChoice | None = None, *, slide_ids: Collection[int] | None = None
) -> Job[ReportDocument]:
    """Read numbers, positions and pictures of everything that counts.

    A slide that cannot be opened costs its pictures, not the report; it is named in the warnings.

    Parameters
    ----------
    slide_ids
        Only these slides; None takes all of the project.

    Raises
    ------
    InputError
        When there is no such part, field or class.
    """
    choice = choice or ReportChoice()
    contents = choice.contents()
    found = yield from count_findings([project], slide_ids)
    if choice.by and {BY_CLASS, BY_CLASS_GROUP} & set(slide_keys(found.known, choice.by)):
        raise InputError("A report groups slides.", hint="Name a field of specimens, slide or project.")
    numbers = grouped_statistics(found.known, choice.by)
    records = [record for record in project.slides if slide_ids is None or record.id in slide_ids]
    rows_of = {record.id: project.boxes.rows(record.id) for record in records}
    shown_of = {number: rows if choice.rejected else kept(rows) for number, rows in rows_of.items()}
    occurring = _occurring(project.classes, list(shown_of.values()))
    places = _Places(project, records, shown_of, occurring, choice, contents)
    pictures = Pictures(project.classes, places.large, places.small, maps=places.detailed if "maps" in contents else ())
    slides = []
    for number, record in enumerate(records):
        yield Progress(number, len(records), "slides", f"counting {record.name}")
        known = slide_numbers(slide_findings(project, record.id))
        taken = yield from pictures.read(record, number, len(records))
        detailed = record.id in places.detailed
        mapped = _map(record, shown_of[record.id], occurring, taken.map) if detailed and "maps" in contents else None
        slides.append(_slide(project, record, known, as_uri(taken.thumbnail), mapped, detailed=detailed))
    where = (yield from where_part(found)) if "where" in contents else None
    compared_to = compared(found.known, choice.by or [PROJECT], limits=choice.limits) if choice.limits else None
    return ReportDocument(
        language=choice.language,
        contents=contents,
        title=project.name,
        date=f"{datetime.now():%Y-%m-%d %H:%M}",
        software=f"microscope-qc {__version__}",
        included=included_words(project) + (", rejected ones in maps and gallery" if choice.rejected else ""),
        by=numbers["by"],
        classes=[parts.ClassKey(code=cls.code, name=cls.name, colour=cls.colour) for cls in occurring],
        statistics=[
            {"name": name, "heading": _heading(one.heading, one.unit), "unit": one.unit, "digits": one.digits}
            for name, one in STATISTICS.items()
        ],
        method=[*METHOD, *([_ACCEPTANCE] if choice.limits else [])],
        total=_group("All slides", numbers["total"], [record.name for record in records]),
        groups=[_group(group_words(one["group"]), one, one["slide_names"]) for one in numbers["groups"]],
        slides=slides,
        models=models_of(project, {record.id: record for record in records}),
        verdicts=[] if compared_to is None else [_verdict(one) for one in compared_to["verdicts"]],
        plots=[part_of(plot) for plot in _plots(found) if plot.series] if "plots" in contents else [],
        coverage_legend=_coverage_legend() if "coverage" in contents else None,
        where=where,
        control=list(chart_parts(project, found)) if "control" in contents else [],
        severity=severity_part(project, slide_ids) if "severity" in contents else None,
        worst=list(places.worst_parts(pictures)),
        gallery=list(places.gallery_parts(pictures)),
        chosen=[pictures.finding(place) for place in places.chosen],
        measured=[_measured(project, pictures.finding(place)) for place in places.measured[:MOST_MEASURED]],
        measured_of=len(places.measured),
        people=list(_people(project)) if "people" in contents else [],
        hashes=_hashes(records, rows_of, project.classes) if "hashes" in contents else None,
        warnings=left_out_lines(pictures.left_out),
    )


def _heading(words: str, unit: str) -> str:
    """The head of a column, with the unit as it is read on screen: "Median, µm"."""
    unit = unit.replace("um", "µm").replace("mm2", "mm²")
    return f"{words}, {unit}" if unit else words


class _Places:
    """Which findings are shown, and where in the report."""

    def __init__(
        self, project: Project, records: Sequence[SlideRecord], rows_of: Mapping[int, Rows],
        classes: Sequence[DefectClass], choice: ReportChoice, contents: Collection[str],
    ) -> None:  # fmt: skip
        most = sorted(rows_of, key=lambda number: -len(rows_of[number]))  # of as many the first
        self.detailed = frozenset(most[: choice.maps])
        worst, gallery = ((getattr(choice, name) if name in contents else 0) for name in ("worst", "gallery"))
        found = {cls: worst_of_class(records, rows_of, cls.id, max(worst, gallery)) for cls in classes}
        self.count = {cls: count for cls, (_, count) in found.items()}
        self.worst = {cls: places[:worst] for cls, (places, _) in found.items()} if worst else {}
        self.gallery = {cls: places[:gallery] for cls, (places, _) in found.items()} if gallery else {}
        composed = list(project.measurements.compositions) if "compositions" in contents else []
        self.chosen = [
            PlaceInReport(number, row)
            for number, rows in rows_of.items()
            if "chosen" in contents
            for row in rows[rows["chosen"]]
        ]
        self.measured = [
            PlaceInReport(number, row)
            for number, rows in rows_of.items()
            for row in rows[np.isin(rows["id"], composed)]
        ]

    @property
    def large(self) -> list[PlaceInReport]:
        """Findings with a picture of their own."""
        worst = [place for places in self.worst.values() for place in places]
        return [*worst, *self.chosen, *self.measured[:MOST_MEASURED]]

    @property
    def small(self) -> list[PlaceInReport]:
        """Findings on contact sheets."""
        return [place for places in self.gallery.values() for place in places]

    def worst_parts(self, pictures: Pictures) -> Iterator[parts.WorstOfClass]:
        """The worst findings of each class."""
        for cls, places in self.worst.items():
            yield parts.WorstOfClass(
                code=cls.code, name=cls.name, colour=cls.colour, of=self.count[cls],
                findings=[pictures.finding(place) for place in places],
            )  # fmt: skip

    def gallery_parts(self, pictures: Pictures) -> Iterator[parts.Sheets]:
        """The contact sheets of each class."""
        for cls, places in self.gallery.items():
            sheets, shown = pictures.sheets(places)
            yield parts.Sheets(
                code=cls.code, name=cls.name, colour=cls.colour, of=self.count[cls], shown=shown, sheets=sheets
            )


def _occurring(classes: Sequence[DefectClass], every: list[Rows]) -> list[DefectClass]:
    used = {int(number) for rows in every for number in np.unique(rows["class_id"])}
    return [cls for cls in classes if cls.id in used]


def _group(title: str, numbers: Mapping[str, Any], names: Sequence[str]) -> parts.ReportedGroup:
    return parts.ReportedGroup.model_validate({**numbers, "title": title, "slide_names": list(names)})


def _slide(
    project: Project, record: SlideRecord, numbers: Mapping[str, Any], thumbnail: str, mapped: parts.Map | None, *,
    detailed: bool,
) -> parts.ReportedSlide:  # fmt: skip
    sources = slide_findings(project, record.id).sources
    areas = read_areas(sources)
    maps = coverage_pictures(areas.coverage, seen_on(record, sources.seen)) if detailed else ()
    searched_map, viewed_map = (as_uri(jpeg(one)) for one in maps) if maps else ("", "")
    said = [(field, record.fields[field.name]) for field in project.fields.known if field.name in record.fields]
    return parts.ReportedSlide(
        name=record.name, scene=record.scene, words=size_words(record), shape_px=record.shape_px,
        pixel_size_um=record.pixel_size_um,
        specimen=[parts.Value(name=f.name, title=f.title or f.name, text=f.shown(value)) for f, value in said],
        numbers=parts.ReportedSlideNumbers.model_validate(numbers),
        classes=[parts.ClassOnSlide.model_validate(row) for row in numbers["classes"]],
        coverage=parts.Coverage(
            masked_share=numbers["masked_share"],
            looked_at=parts.LookedAt.model_validate(numbers["looked_at"]),
            searched_map=searched_map, viewed_map=viewed_map,
            scanned=[parts.Scanned.model_validate(run) for run in numbers["runs"]],
            declared=[parts.ReportedArea.model_validate(area) for area in declared_table(project, record, areas)],
            warnings=list(numbers["warnings"]),
        ),
        thumbnail=thumbnail, map=mapped, detailed=detailed, fingerprint=record.fingerprint, content=record.content,
    )  # fmt: skip


def _map(record: SlideRecord, rows: Rows, classes: Sequence[DefectClass], picture: bytes) -> parts.Map:
    size_y, size_x = record.pixel_size_um or (1.0, 1.0)
    place_of = {cls.id: place for place, cls in enumerate(classes)}
    known = rows[np.isin(rows["class_id"], list(place_of))]
    x, y = (known["x0"] + known["x1"]) / 2 * size_x, (known["y0"] + known["y1"]) / 2 * size_y
    which = [place_of[number] for number in known["class_id"].tolist()]
    return parts.Map(
        picture=as_uri(picture), extent=(record.shape_px[0] * size_y, record.shape_px[1] * size_x),
        unit="px" if record.pixel_size_um is None else "um",
        points=list(zip(x.round(2).tolist(), y.round(2).tolist(), which, strict=True)),
    )  # fmt: skip


def _coverage_legend() -> CoverageLegend:
    searched, viewed = ([MapColour(name=name, colour=colour) for name, colour in kinds] for kinds in (SEARCHED, VIEWED))
    return CoverageLegend(searched=searched, viewed=viewed)


def _plots(found: CountedFindings) -> Iterator[Any]:
    """The plots for which there is something to draw."""
    totals = make_plot(found, "totals")
    yield totals if totals.series else make_plot(found, "totals", PlotChoice(weight=COUNT))
    if len(found.detectors) > 1:
        yield make_plot(found, "totals", PlotChoice(detectors=tuple(found.detectors[:2])))
    for name in ("shares", "sizes", "dates", "outcomes", "truth"):
        yield make_plot(found, name)
    for name in ("composition", "ternary"):
        yield make_plot(found, name, PlotChoice(by=CLASS_OF))


def _verdict(found: Mapping[str, Any]) -> parts.ReportedVerdict:
    return parts.ReportedVerdict.model_validate(found)


def _measured(project: Project, finding: parts.Finding) -> parts.ReportedMeasurement:
    found = [one for one in project.measurements.of_finding(finding.defect_id) if one.kind != "reference"]
    words = ", ".join(dict.fromkeys(f"{one.label} ({one.source})" for one in found))
    if len(found) > 1:
        words = f"mean of {len(found)}: {words}"
    notes = " ".join(dict.fromkeys(one.note for one in found if one.note))
    amounts = project.measurements.compositions[finding.defect_id]
    at, wt = of_unit(amounts, "at"), of_unit(amounts, "wt")
    return parts.ReportedMeasurement(
        finding=finding,
        amounts=[
            parts.AmountOfElement(
                element=name, at_percent=percent_error_text(at[name]), wt_percent=percent_error_text(wt.get(name))
            )
            for name in sorted(at, key=lambda name: -at[name].percent)
        ],
        words=f"{words}. {notes}".strip() if notes else words,
    )


def _people(project: Project) -> Iterator[parts.Person]:
    """Who did something, in the order of their first steps; what was undone is left out."""
    times: dict[str, list[str]] = {}
    for entry in reversed(project.history.entries(None)):
        if not entry.undone and entry.user:
            times.setdefault(entry.user, []).append(entry.time)
    for name, of_user in times.items():
        first, last = (time[:16].replace("T", " ") for time in (min(of_user), max(of_user)))
        yield parts.Person(name=name, steps=len(of_user), first=first, last=last)


_HASHED = ("id", "class_id", "y0", "x0", "y1", "x1", "state")


def _hashes(
    records: Sequence[SlideRecord], rows_of: Mapping[int, Rows], classes: Sequence[DefectClass]
) -> parts.Hashes:
    digest = hashlib.sha256(repr([(cls.id, cls.code) for cls in classes]).encode())
    for record in records:
        rows = rows_of[record.id]
        digest.update(f"{record.fingerprint} {len(rows)}".encode())
        for name in _HASHED:
            digest.update(np.ascontiguousarray(rows[name], rows.dtype[name].newbyteorder("<")).tobytes())
        for name in ("reason", "note"):
            digest.update("\0".join(map(str, rows[name])).encode("utf-8", "surrogatepass"))
    slides = {record.name: record.content or record.fingerprint for record in records}
    return parts.Hashes(findings=digest.hexdigest(), slides=slides)
