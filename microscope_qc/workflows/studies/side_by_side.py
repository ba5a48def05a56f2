"""What two detectors found on the cross-sections that both have scanned: per cross-section and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.matching import require_shares
from microscope_qc.core.wording import listed, things
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.detection.compare import RunComparison, compare_runs
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable

ALL = "all"
_MOST_BARS = 30
_COUNTS = ("first", "second", "both", "only_first", "only_second", "beside_first", "beside_second")


@dataclass(frozen=True, slots=True)
class _Section:
    """A cross-section with the newest detection of each of the two."""

    slide: SlideRecord
    runs: tuple[RunRecord, RunRecord]


def detectors_side_by_side(
    projects: Path | str | Sequence[Path | str],
    first: str,
    second: str,
    *,
    slide_ids: Collection[int] | None = None,
    confidence: float | None = None,
    iou: float = 0.5,
) -> Job[StudyTable]:
    """Compare the newest detections of two models on every slide where both were, in the area that both scanned.

    Parameters
    ----------
    projects
        One or several.
    first, second
        Names of models, or what detections were called.
    slide_ids
        Only these slides, of a single project; None takes all.
    confidence, iou
        As for :func:`microscope_qc.workflows.detection.compare.compare_runs`.

    Raises
    ------
    InputError
        When no slide was scanned by both.
    ProjectError
        When a project cannot be opened.
    """
    require_shares(iou=iou, confidence=confidence)
    paths = [Path(projects)] if isinstance(projects, (str, Path)) else [Path(path) for path in projects]
    if first == second:
        raise InputError("Two different detectors are compared.", hint="Name two.")
    rows: list[dict[str, Any]] = []
    said: list[str] = []
    limits: list[str] = []
    known: set[str] = set()
    for path in paths:
        with Project.open(path, write=False) as project:
            known |= {run.title for run in project.runs}
            limit = project.inclusion.current.confidence_limit if confidence is None else confidence
            sections = _sections(project, first, second, slide_ids)
            for number, section in enumerate(sections):
                yield Progress(number, len(sections), "slides", section.slide.name)
                try:
                    rows += _rows(project, section, confidence=limit, iou=iou)
                except MicroscopeQCError as error:  # they have no area in common
                    said.append(f"{section.slide.name} left out. {error.message}")
        limits.append(f"{path.stem}: findings with a confidence of {limit:g} and more, and those that were judged.")
    if not rows:
        raise InputError(
            " ".join([f"No cross-section was scanned by both {first} and {second}.", *said]),
            hint=f"There are detections by {listed(sorted(known))}." if known else "Detect with both first.",
        )
    return _table(rows, first, second, [*said, *limits], several=len(paths) > 1)


def _sections(project: Project, first: str, second: str, slide_ids: Collection[int] | None) -> list[_Section]:
    found = []
    for slide in project.slides:
        newest = {run.title: run for run in project.runs if run.slide_id == slide.id}
        if first in newest and second in newest and (slide_ids is None or slide.id in slide_ids):
            found.append(_Section(slide, (newest[first], newest[second])))
    return found


def _rows(project: Project, section: _Section, *, confidence: float, iou: float) -> list[dict[str, Any]]:
    """A row for each class, and one for all."""
    ids = section.runs[0].id, section.runs[1].id
    found = compare_runs(project, *ids, iou=iou, min_confidence=confidence)
    codes = {known.id: known.code for known in project.classes}
    of = [
        {int(row["id"]): codes.get(int(row["class_id"]), "?") for row in project.opinions.findings_of_run(number)}
        for number in ids
    ]
    about = {"project": project.path.stem, "slide": section.slide.name}
    whole = about | {"class": ALL} | _counts(found)
    order = {known.code: place for place, known in enumerate(project.classes)}
    classes = sorted(set(of[0].values()) | set(of[1].values()), key=lambda code: order.get(code, len(order)))
    of_classes = [about | {"class": code} | _counts(_of_class(found, of, code)) for code in classes]
    return [whole, *(row for row in of_classes if any(row[name] for name in _COUNTS))]


def _of_class(found: RunComparison, of: Sequence[Mapping[int, str]], code: str) -> RunComparison:
    """What is of a class: found by both where both say so, else by one of them."""

    def mine(side: int, ids: np.ndarray) -> np.ndarray:
        return np.array([of[side].get(int(number)) == code for number in ids], bool)

    one, other = found.both[:, 0], found.both[:, 1]
    first, second = mine(0, one), mine(1, other)
    return RunComparison(
        found.both[first & second],
        np.concatenate([found.only_first[mine(0, found.only_first)], one[first & ~second]]),
        np.concatenate([found.only_second[mine(1, found.only_second)], other[second & ~first]]),
        found.beside_first[mine(0, found.beside_first)], found.beside_second[mine(1, found.beside_second)],
    )  # fmt: skip


def _counts(found: RunComparison) -> dict[str, int]:
    both, alone, other = len(found.both), len(found.only_first), len(found.only_second)
    return {
        "first": both + alone, "second": both + other, "both": both, "only_first": alone, "only_second": other,
        "beside_first": len(found.beside_first), "beside_second": len(found.beside_second),
    }  # fmt: skip


def _table(
    rows: Sequence[Mapping[str, Any]], first: str, second: str, said: Sequence[str], *, several: bool
) -> StudyTable:
    whole = [row for row in rows if row["class"] == ALL]
    sums: dict[str, Counter[str]] = {}
    for row in rows:
        sums.setdefault(row["class"], Counter()).update({name: row[name] for name in _COUNTS})
    totals = [
        {"project": "", "slide": "all cross-sections", "class": code} | {name: own[name] for name in _COUNTS}
        for code, own in sums.items()
    ]
    titles = (
        first, second, "Both", f"Only {first}", f"Only {second}", f"Not compared, {first}", f"Not compared, {second}",
    )  # fmt: skip
    columns = [
        *([StudyColumn("project", "Project")] if several else []), StudyColumn("slide", "Cross-section"),
        StudyColumn("class", "Class"),
        *(StudyColumn(name, words, Kind.COUNT) for name, words in zip(_COUNTS, titles, strict=True)),
    ]  # fmt: skip
    notes = [
        "Counted where both have scanned. In the line of all classes, both means that both found something there; in "
        "that of a class, that both say this class. Not compared: where the other has not scanned.",
        *said,
    ]  # fmt: skip
    shown = whole[:_MOST_BARS]
    names = [str(row["slide"]) for row in shown]
    series = [
        Series(title, COLOURS[number], [
            PlotMark(name, place, row[key], tip=f"{name}, {title}: {things(row[key], 'finding')}")
            for place, (name, row) in enumerate(zip(names, shown, strict=True))
        ])
        for number, (title, key) in enumerate(((first, "first"), (second, "second")))
    ]  # fmt: skip
    bars = Plot(
        "detectors", "Findings on each cross-section", Shape.BESIDE, "cross-section", "findings", series, names,
        of_findings=False,
    )  # fmt: skip
    subtitle = things(len(whole), "cross-section")
    return StudyTable(f"{first} beside {second}", subtitle, columns, [*totals, *rows], notes, [bars])
