"""Slides of projects with their numbers and their findings: what tables and plots of statistics are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from microscope_qc.analysis.coverage import SlideCoverage
from microscope_qc.analysis.ranking import size_um
from microscope_qc.core.arrays import Flags, Floats, Ints, Rows
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag
from microscope_qc.core.composition import Amount
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project
from microscope_qc.project.parts.boxes import DRAWING
from microscope_qc.project.parts.standards import CHART, EVENT
from microscope_qc.project.records import RunRecord, SlideRecord, Standard
from microscope_qc.workflows.detection.coverage import read_areas
from microscope_qc.workflows.open import opened_in_turn
from microscope_qc.workflows.results.grouping import CountedSlide, CountedSlides, SlideToCount, counted


@dataclass(frozen=True, slots=True, eq=False)
class FoundOnSlide:
    """The findings of a counted slide, N of them, rejected ones too.

    Attributes
    ----------
    slide
        Its numbers.
    rows
        The findings (BOX_DTYPE), sorted by number.
    found
        What models said of each before the review, see :func:`microscope_qc.core.opinions.as_found`.
    places
        Place of the class of each in the book of classes, shape (N,); -1 where the project lost the class.
    labels
        Place of the class that a model said, -1 where none did or was not sure enough.
    sizes_um
        Longer side, shape (N,); NaN without a pixel size.
    by_detector
        By the title of a detector, what its newest detection found: numbers, and places of the classes that it said.
    seconds_by_detector
        How long these detections took, as far as they have ended.
    drawn_at_s
        When users drew findings, one time for each step of the history, in seconds.
    record
        What the project says of the slide.
    compositions
        What those that were measured by EDX consist of, by their numbers.
    seen
        What users viewed of it, as it is stored.
    """

    slide: CountedSlide
    rows: Rows
    found: Rows
    places: Ints
    labels: Ints
    sizes_um: Floats
    by_detector: Mapping[str, tuple[Ints, Ints]]
    coverage: SlideCoverage
    pixel_size_um: tuple[float, float] | None
    id_of: Mapping[int, int]
    seconds_by_detector: Mapping[str, float]
    drawn_at_s: Floats
    record: SlideRecord
    seen: object = None
    compositions: Mapping[int, tuple[Amount, ...]] = field(default_factory=dict)

    @property
    def kept(self) -> Flags:
        """Boolean for each finding: whether it was not rejected."""
        kept: Flags = self.rows["state"] != ReviewState.REJECTED
        return kept

    def inside(self, key: int | str) -> Flags:
        """Boolean for each finding: whether its centre lies where the classes of an area's key were searched for."""
        searched = self.slide.section.tally.searched.get(key)
        classes = [self.id_of[place] for place in searched.classes] if searched is not None else []
        rows = self.rows
        return self.coverage.of_all(classes).holds((rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2)


@dataclass(slots=True)
class CountedFindings:
    """Slides of any projects: their numbers, of which groups are made, and their findings.

    ``kept`` are the frozen limits of control charts, and events on them, of the first project.
    """

    known: CountedSlides = field(default_factory=CountedSlides)
    slides: list[FoundOnSlide] = field(default_factory=list)
    kept: list[Standard] = field(default_factory=list)

    @property
    def detectors(self) -> list[str]:
        """Titles of the detectors that found something, as they were met."""
        return list(dict.fromkeys(title for slide in self.slides for title in slide.by_detector))

    @property
    def classes(self) -> list[DefectClass]:
        """Classes of all projects that occur on the slides, rejected findings too, in order."""
        there = {place for slide in self.slides for place in np.unique(slide.places).tolist()}
        return [defect for place, defect in enumerate(self.known.book.classes) if place in there]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to say: no finding, and nothing searched."""
        return not any(
            len(slide.rows) or any(area.share for area in slide.slide.section.tally.searched.values())
            for slide in self.slides
        )


def count_findings(projects: Iterable[Project], slide_ids: Collection[int] | None = None) -> Job[CountedFindings]:
    """Count the slides of projects that are opened one after the other, and keep their findings.

    Parameters
    ----------
    slide_ids
        Only these slides, of each project; None takes all.
    """
    found = CountedFindings()
    for place, project in enumerate(projects):
        if place == 0:
            found.kept += [*project.standards.of(CHART), *project.standards.of(EVENT)]
        slides = found.known.take(project, slide_ids)
        newest: dict[int, dict[str, RunRecord]] = {}
        for run in project.runs:
            if run.shown:
                newest.setdefault(run.slide_id, {})[run.title] = run
        drawn = any(has_flag(known.rows, FindingFlag.DRAWN).any() for known in slides)
        drawn_at = _drawing_times(project) if drawn else {}
        for number, known in enumerate(slides):
            name = known.sources.slide.name
            yield Progress(number, len(slides), "slides", f"counting {name}")
            one = counted(known, found.known.book)
            found.known.slides.append(one)
            number_of = known.sources.slide.id
            times = np.array(drawn_at.get(number_of, []))
            found.slides.append(_findings(known, one, found.known, project, newest.get(number_of, {}), times))
    return found


def counted_projects(paths: Iterable[Path | str], slide_ids: Collection[int] | None = None) -> Job[CountedFindings]:
    """Count the slides of projects as they are on the disk; any thread may do this.

    Raises
    ------
    ProjectError
        When one cannot be opened.
    """
    return (yield from count_findings(opened_in_turn(paths), slide_ids))


def _findings(
    known: SlideToCount, slide: CountedSlide, all_slides: CountedSlides, project: Project,
    runs: Mapping[str, RunRecord], drawn_at_s: Floats,
) -> FoundOnSlide:  # fmt: skip
    rows, record, measured = known.rows, known.sources.slide, project.measurements.compositions
    place_of = all_slides.book.places(known.classes)
    limit = np.float32(known.confidence_limit)
    labels = _placed(known.found["class_id"], place_of)
    labels[~(known.found["confidence"] >= limit)] = -1
    said: Rows = project.opinions.of_slide(record.id)
    by_detector = {}
    for title, run in runs.items():
        mine = said[(said["run_id"] == run.id) & (said["confidence"] >= limit)]
        mine = mine[np.isin(mine["finding_id"], rows["id"])]
        by_detector[title] = mine["finding_id"].copy(), _placed(mine["class_id"], place_of)
    size = record.pixel_size_um
    return FoundOnSlide(
        slide, rows, known.found, _placed(rows["class_id"], place_of), labels,
        np.full(len(rows), np.nan) if size is None else size_um(rows, size),
        by_detector, read_areas(known.sources).coverage, size, {place: number for number, place in place_of.items()},
        {title: _seconds(run) for title, run in runs.items() if run.finished}, drawn_at_s, record,
        known.sources.seen, {number: measured[number] for number in rows["id"].tolist() if number in measured},
    )  # fmt: skip


def _seconds(run: RunRecord) -> float:
    assert run.finished is not None
    return (datetime.fromisoformat(run.finished) - datetime.fromisoformat(run.started)).total_seconds()


def _drawing_times(project: Project) -> dict[int, list[float]]:
    """When users drew findings, by slide."""
    times: dict[int, list[float]] = {}
    for entry in project.history.entries(None):
        if entry.title.startswith(DRAWING) and entry.slide_id is not None and not entry.undone:
            times.setdefault(entry.slide_id, []).append(datetime.fromisoformat(entry.time).timestamp())
    return times


def _placed(class_ids: Ints, places: Mapping[int, int]) -> Ints:
    """Place of each class, -1 of one that is not there."""
    known, where = np.unique(class_ids, return_inverse=True)
    return np.array([places.get(number, -1) for number in known.tolist()], np.int64)[where]
