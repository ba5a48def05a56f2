"""Numbers about projects, for the command line, the report and the window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.analysis.counts import pooled_density
from microscope_qc.analysis.statistics import slide_statistics
from microscope_qc.core.arrays import Rows
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.jobs import Job, Progress, run_job
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.wording import included_words
from microscope_qc.workflows.detection.coverage import AreaSources, area_sources, read_areas
from microscope_qc.workflows.detection.coverage_table import run_table


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
        runs' regions), ``runs`` (what each scanned) and ``warnings`` (runs whose area is not known
        and does not count).

        The total has counts by class over all slides and their densities (:func:`pooled_density`) over the ``sections``
        slides on which the class was searched for, and the density of all classes over those on which each of
        ``classes_of_all`` was; ``without_area`` names the others.
    """
    records = [record for record in project.slides if slide_ids is None or record.id in slide_ids]
    slides = []
    for number, record in enumerate(records):
        yield Progress(number, len(records), "slides", f"counting {record.name}")
        slides.append(slide_numbers(slide_findings(project, record.id)))
    words = included_words(project).removeprefix("counted: ")
    return {"project": project.name, "included": words, "shown": words, "slides": slides, "total": _total(slides)}


def statistics_of(projects: Iterable[Project]) -> Job[dict[str, Any]]:
    """Statistics of several projects: every slide says its project, and classes are the same by their codes.

    Returns
    -------
    Job[dict]
        As :func:`statistics_job`, with ``projects`` in place of ``project`` and the words about one.
    """
    found = []
    for project in projects:
        found.append((yield from statistics_job(project)))
    slides = [{"project": one["project"], **slide} for one in found for slide in one["slides"]]
    heads = [{"project": one["project"], "included": one["included"]} for one in found]
    return {"projects": heads, "slides": slides, "total": _total(slides)}


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
        "shape_px": list(record.shape_px),
        **found,
        "area_source": areas.source(areas.coverage.class_ids),
        "masked_share": areas.coverage.masked_share,
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
        all their areas are known), ``masked_share``, ``runs`` (none: they are those of slides) and ``warnings``, each
        once, with the number of slides that have it.
    """
    total = _total(slides)
    known = [area for area in areas_mm2 if area]
    whole = sum(known) if len(known) == len(areas_mm2) else 0.0
    for row in (total, *total["classes"]):
        row["area_share"] = (row["area_mm2"] or 0.0) / whole if whole else math.nan
        row["area_source"] = f"{row['sections']} of {things(len(slides), 'slide')}" if row["sections"] else ""
    times = Counter(warning for slide in slides for warning in slide["warnings"])
    warnings = [words if count == 1 else f"{words} ({things(count, 'slide')})" for words, count in times.items()]
    return {**total, "masked_share": None, "runs": [], "warnings": warnings}


def _total(slides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums and pooled densities over slides."""
    rows_of: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for slide in slides:
        for row in slide["classes"]:
            rows_of.setdefault(row["code"], []).append((slide["slide"], row))
    # on a slide where fewer classes were searched for there is less to find: it does not count for all classes
    wanted = frozenset[str]().union(*(slide["classes_of_all"] for slide in slides if slide["area_mm2"]))
    fewer = [n for n, slide in enumerate(slides) if not wanted.issubset(slide["classes_of_all"])]
    return {
        **_sum([(slide["slide"], slide) for slide in slides], apart=fewer),
        "classes_of_all": sorted(wanted),
        "classes": [
            {"code": code, "name": rows[0][1]["name"], "colour": rows[0][1]["colour"], **_sum(rows)}
            for code, rows in rows_of.items()
        ],
    }


def _sum(rows: Sequence[tuple[str, dict[str, Any]]], *, apart: Collection[int] = ()) -> dict[str, Any]:
    """Sum of rows of slides, each with the slide's name; those at the places ``apart`` take no part in the density."""
    states = {state.word: sum(row["states"][state.word] for _, row in rows) for state in ReviewState}
    total, kept = sum(states.values()), sum(row["kept"] for _, row in rows)
    judged = states["confirmed"] + states["rejected"]
    known = [row for n, (_, row) in enumerate(rows) if row["area_mm2"] and n not in apart]
    pooled = pooled_density([row["in_area"] for row in known], [row["area_mm2"] for row in known]) if known else None
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
        "sections": 0 if pooled is None else pooled.sections,
        "without_area": [
            name for n, (name, row) in enumerate(rows) if n in apart or (row["kept"] and not row["area_mm2"])
        ],
    }
