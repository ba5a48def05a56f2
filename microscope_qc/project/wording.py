"""Words about a project for every result."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.box_filter import BY_USER
from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.wording import confidence_text, count_text, pixel_size_text, plural, slide_extent_text, things
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord


def shown_words(project: Project, known: BoxFilter | None = None) -> str:
    """What the view filter, or another one, shows of the findings that count: ``shown: classes ACP, COP``."""
    known = project.filters.current if known is None else known
    parts = []
    if known.min_confidence > 0:
        parts.append(f"confidence ≥ {confidence_text(known.min_confidence)} or judged")
    if known.max_confidence < 1:
        parts.append(f"confidence ≤ {confidence_text(known.max_confidence)} or judged")
    if known.size_um is not None:
        parts.append(f"{known.size_um[0]:g} to {known.size_um[1]:g} µm")
    if known.found_by is not None:
        finders = ["a user" if run == BY_USER else f"detection {run}" for run in sorted(known.found_by)]
        parts.append(f"found by {' or '.join(finders) or 'nobody'}")
    if known.class_ids is not None:
        codes = [cls.code for cls in project.classes if cls.id in known.class_ids]
        parts.append(f"classes {', '.join(codes) or 'none'}")
    if known.states is not None:
        parts.append(" or ".join(state.word for state in sorted(known.states)) or "no state")
    if known.only_disputed:
        parts.append("models disagree")
    if known.only_again:
        parts.append("found again after it was rejected or deleted")
    if known.numbers is not None:
        parts.append(f"a list of {things(len(known.numbers), 'finding')}")
    if known.only_chosen:
        parts.append("chosen for the SEM")
    if known.text:
        parts.append(f"text “{known.text}”")
    return "shown: " + (", ".join(parts) if parts else "all findings that count")


def included_words(project: Project) -> str:
    """Which findings count: ``counted: confidence ≥ 0.40 or judged, without 1 detection that is switched off``."""
    known = project.inclusion.current
    parts = []
    if known.confidence_limit > 0:
        parts.append(f"confidence ≥ {confidence_text(known.confidence_limit)} or judged")
    if known.hidden_runs:
        hidden = len(known.hidden_runs)
        parts.append(f"without {things(hidden, 'detection')} that {plural(hidden, 'is', 'are')} switched off")
    return "counted: " + (", ".join(parts) if parts else "all findings")


def finder_words(project: Project, row: np.void) -> str:
    """Who found a finding (a row of BOX_DTYPE): the user or the leading run first, then the other runs by confidence.

    Runs of the same title are one word: ``user, SSD``.
    """
    said = project.opinions.of_finding(int(row["id"]))
    order = np.lexsort((-said["confidence"], said["run_id"] != row["run_id"]))
    titles = [_run_title(project, run_id) for run_id in said["run_id"][order].tolist()]
    by_user = int(row["run_id"]) == BY_USER
    return ", ".join(dict.fromkeys(["user"] * by_user + titles))


def _run_title(project: Project, run_id: int) -> str:
    return next((run.title for run in project.runs if run.id == run_id), f"detection {run_id}")


def size_words(slide: SlideRecord) -> str:
    """``2.46 × 2.46 mm, 0.3 µm per pixel``; in pixels where the pixel size is not known."""
    if slide.pixel_size_um is None:
        height, width = slide.shape_px
        return f"{count_text(width)} × {count_text(height)} px, pixel size not known"
    extent = slide_extent_text(slide.shape_px, slide.pixel_size_um)
    return f"{extent}, {pixel_size_text(slide.pixel_size_um)} per pixel"
