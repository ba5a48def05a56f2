"""Numbers about projects, for the command line, the report and the window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.analysis.counts import pooled_by_specimen
from microscope_qc.analysis.statistics import slide_statistics
from microscope_qc.core.arrays import Rows
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.workflows.detection.coverage import AreaSources, area_sources, read_areas
from microscope_qc.workflows.detection.coverage_table import run_table
from microscope_qc.workflows.detection.looked_at import looked_at, looked_at_together
from microscope_qc.workflows.results.grouping import CountedSlides, counted, grouped_statistics, specimen_of


def project_statistics(project: Project, slide_ids: Collection[int] | None = None) -> dict[str, Any]:
    """Statistics of each slide and of all together; see :func:`statistics_job`."""
    return run_job(statistics_job(project, slide_ids))


def statistics_job(project: Project, slide_ids: Collection[int] | None = None) -> Job[dict[str, Any]]:
    """Statistics of each slide and of all together, of the findings that count.

    Parameters
    ----------
    slide_ids
        Only these slides; None takes all of the project.

    Returns
    -------
    Job[dict]
        ``project``, ``included`` (what counts, in words; ``shown`` is the same text), ``slides`` and ``total``.

        Each slide has its name (``slide``), ``shape_px`` and what :func:`slide_statistics` says; besides
        ``area_source`` (who searched there, for all classes and for each), ``masked_share`` (what masks left out of the
        runs' regions), ``looked_at`` (how much was scanned, viewed and declared, see :func:`looked_at
        <microscope_qc.workflows.detection.looked_at.looked_at>`), ``runs`` (what each scanned) and ``warnings`` (runs
        whose area is not known and does not count).

        The total has the numbers of all slides together, as a group of :func:`grouped_statistics
        <microscope_qc.workflows.results.grouping.grouped_statistics>` has them: densities are those of the ``sections``
        slides on which the class was searched for, and of all classes on which each of ``classes_of_all`` was;
        ``without_area`` names the others.
    """
    known = CountedSlides()
    slides = yield from _count(project, slide_ids, known)
    (head,) = known.heads
    return {**head, "shown": head["included"], "slides": slides, "total": grouped_statistics(known)["total"]}


def _count(project: Project, slide_ids: Collection[int] | None, known: CountedSlides) -> Job[list[dict[str, Any]]]:
    """Numbers of each slide of a project, while ``known`` gets what its groups are made of."""
    wanted = known.take(project, slide_ids)
    slides = []
    for number, slide in enumerate(wanted):
        yield Progress(number, len(wanted), "slides", f"counting {slide.sources.slide.name}")
        slides.append(slide_numbers(SlideFindings(slide.sources, slide.rows, slide.classes)))
        known.slides.append(counted(slide, known.book))
    return slides


def statistics_of(projects: Iterable[Project]) -> Job[dict[str, Any]]:
    """Statistics of several projects: every slide says its project, and classes are the same by their codes.

    Returns
    -------
    Job[dict]
        As :func:`statistics_job`, with ``projects`` in place of ``project`` and the words about one.
    """
    known = CountedSlides()
    slides = []
    for project in projects:
        found = yield from _count(project, None, known)
        slides += [{"project": project.name, **slide} for slide in found]
    return {"projects": known.heads, "slides": slides, "total": grouped_statistics(known)["total"]}


@dataclass(frozen=True, slots=True, eq=False)
class SlideFindings:
    """What the numbers of a slide are worked out from.

    Taken at once, so that another thread may work them out (:func:`slide_numbers`).

    Attributes
    ----------
    rows
        Rows of the findings that count, rejected ones too.
    classes
        All classes of the project.
    """

    sources: AreaSources
    rows: Rows
    classes: tuple[DefectClass, ...]


def slide_findings(project: Project, slide_id: int) -> SlideFindings:
    """Take what the numbers of a slide are worked out from; nothing is read from the disk."""
    return SlideFindings(area_sources(project, slide_id), project.boxes.rows(slide_id), tuple(project.classes))


def slide_numbers(known: SlideFindings, *, sizes: bool = True) -> dict[str, Any]:
    """Work out the statistics of one slide as :func:`statistics_job` has them; any thread may call this.

    ``sizes=False`` leaves out what is said of the sizes, see :func:`slide_statistics`.
    """
    record, classes, areas = known.sources.slide, known.classes, read_areas(known.sources)
    found = slide_statistics(known.rows, classes, record.pixel_size_um, areas.coverage, sizes=sizes)
    id_of = {cls.code: cls.id for cls in classes}
    for row in found["classes"]:
        row["area_source"] = areas.source([id_of[row["code"]]])
    return {
        "slide": record.name,
        "specimen": specimen_of(record),
        "shape_px": list(record.shape_px),
        **found,
        "area_source": areas.source(areas.coverage.class_ids),
        "masked_share": areas.coverage.masked_share,
        "looked_at": looked_at(known.sources, areas),
        "runs": run_table(areas, record, {cls.id: cls.code for cls in classes}),
        "warnings": list(areas.problems),
    }


def numbers_together(slides: Sequence[dict[str, Any]], areas_mm2: Sequence[float | None]) -> dict[str, Any]:
    """The ``total`` of :func:`project_statistics` over some slides, in the terms of one slide.

    Parameters
    ----------
    slides
        As :func:`slide_numbers` has them.
    areas_mm2
        Of each whole slide, None where its pixel size is not known.

    Returns
    -------
    dict
        The total with ``area_source`` (how many slides the density is of), ``area_share`` of all slides (NaN unless
        all their areas are known), ``masked_share``, ``looked_at`` (by the areas of the slides, None unless all are
        known), ``runs`` (none: they are those of slides) and ``warnings``, each once, with the number of slides that
        have it.
    """
    total = _total(slides)
    known = [area for area in areas_mm2 if area]
    whole = sum(known) if len(known) == len(areas_mm2) else 0.0
    for row in (total, *total["classes"]):
        row["area_share"] = (row["area_mm2"] or 0.0) / whole if whole else math.nan
        row["area_source"] = f"{row['sections']} of {things(len(slides), 'slide')}" if row["sections"] else ""
    times = Counter(warning for slide in slides for warning in slide["warnings"])
    warnings = [words if count == 1 else f"{words} ({things(count, 'slide')})" for words, count in times.items()]
    shares = looked_at_together([slide["looked_at"] for slide in slides], areas_mm2)
    return {**total, "masked_share": None, "looked_at": shares, "runs": [], "warnings": warnings}


def _total(slides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums and pooled densities over slides."""
    rows_of: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for slide in slides:
        for row in slide["classes"]:
            rows_of.setdefault(row["code"], []).append((slide, row))
    # on a slide where fewer classes were searched for there is less to find: it does not count for all classes
    wanted = frozenset[str]().union(*(slide["classes_of_all"] for slide in slides if slide["area_mm2"]))
    fewer = [n for n, slide in enumerate(slides) if not wanted.issubset(slide["classes_of_all"])]
    return {
        **_sum([(slide, slide) for slide in slides], apart=fewer),
        "classes_of_all": sorted(wanted),
        "classes": [
            {"code": code, "name": rows[0][1]["name"], "colour": rows[0][1]["colour"], **_sum(rows)}
            for code, rows in rows_of.items()
        ],
    }


def _sum(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]], *, apart: Collection[int] = ()) -> dict[str, Any]:
    """Sum of rows of slides, each with the slide; those at the places ``apart`` take no part in the density."""
    states = {state.word: sum(row["states"][state.word] for _, row in rows) for state in ReviewState}
    total, kept = sum(states.values()), sum(row["kept"] for _, row in rows)
    judged = states["confirmed"] + states["rejected"]
    known = [(slide, row) for n, (slide, row) in enumerate(rows) if row["area_mm2"] and n not in apart]
    pooled = None
    if known:
        counts, areas = ([row[name] for _, row in known] for name in ("in_area", "area_mm2"))
        pooled = pooled_by_specimen(counts, areas, [slide["specimen"] for slide, _ in known])
    reasons = dict.fromkeys(row["per_mm2_reason"] for _, row in rows)
    return {
        "total": total,
        "kept": kept,
        "states": states,
        "reviewed_share": judged / total if total else None,
        "in_area": 0 if pooled is None else pooled.count,
        "outside_area": kept - (0 if pooled is None else pooled.count),
        "area_mm2": None if pooled is None else pooled.area_mm2,
        "per_mm2": None if pooled is None else pooled.per_mm2,
        "per_mm2_interval": None if pooled is None else list(pooled.interval),
        "per_mm2_reason": None if pooled is not None else "; ".join(filter(None, reasons)) or "there is no slide",
        "sections": len(known),
        "without_area": [
            slide["slide"] for n, (slide, row) in enumerate(rows) if n in apart or (row["kept"] and not row["area_mm2"])
        ],
    }
