"""The detections of a project as a list shows them: model, area, what they found, and what is left of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import percent_text
from microscope_qc.project import Project
from microscope_qc.project.parts.opinions import RunCounts
from microscope_qc.project.records import RunRecord, SlideRecord


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run, the part of its slide that it was to scan in words, and what it found that is there now.

    Of ``counts.found`` findings no other run had found ``counts.new`` before; ``counts.left`` are not reviewed.
    """

    run: RunRecord
    slide: SlideRecord
    area: str
    counts: RunCounts


def run_lines(project: Project, slide_ids: Collection[int] | None = None) -> list[RunLine]:
    """Return the runs of some slides, oldest first; None is every slide."""
    lines, counts = [], dict[int, RunCounts]()
    wanted = {run.slide_id for run in project.runs if slide_ids is None or run.slide_id in slide_ids}
    project.boxes.load(sorted(wanted))
    for slide_id in wanted:
        counts |= project.opinions.counts(slide_id)
    for run in project.runs:
        if run.slide_id in wanted:
            slide = project.slides.by_id(run.slide_id)
            lines.append(RunLine(run, slide, area_words(run, slide), counts.get(run.id, RunCounts())))
    return lines


def area_words(run: RunRecord, slide: SlideRecord) -> str:
    """``whole`` or ``12 %``: the share of the slide's rectangle that a run was to scan."""
    region, (height, width) = run.plan.region, slide.shape_px
    if region is None or region == Region(0, 0, height, width):
        return "whole"
    return percent_text(region.shape[0] * region.shape[1] / (height * width))
