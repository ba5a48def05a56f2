"""Inspections against what models found, and against each other: who found what, and how alike they name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.agreement import kappa, specific_agreement
from microscope_qc.analysis.coverage import Declared, SlideCoverage, mm2
from microscope_qc.analysis.shares import Share, pooled_share
from microscope_qc.core.errors import InputError
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.core.numbers import short_text
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import listed, percent_text, things
from microscope_qc.project import Project
from microscope_qc.workflows.results.grouping_text import text_table
from microscope_qc.workflows.review.inspection import SAME_IOU, Inspection, marked_beside

MODELS = "models"
BOTH, FIRST, SECOND = "both", "first", "second"


def compared(project: Project, pairs: Sequence[tuple[Inspection, Inspection | None]]) -> dict[str, Any]:
    """Compare inspections with what models found (None), or with other inspections, over all pairs together.

    Parameters
    ----------
    pairs
        Those without an area or a class in common are left out.

    Returns
    -------
    dict
        ``first`` and ``second`` (who), ``inspections`` (numbers), ``areas``, ``area_mm2``, ``both``, ``only_first``,
        ``only_second``, ``finding`` (specific agreement: value, interval), ``found_by_first`` and ``found_by_second``
        (share of what the other marked), ``naming`` (kappa of what both found: value, interval, same, of, reason),
        ``classes`` (code and the three counts: of both by the class that the first gave), ``seconds`` (of the first,
        and of the second, None where not known), ``not_blind`` (numbers of inspections that were not) and ``each`` (a
        record for each place: who, slide, classes, finding, box).

    Raises
    ------
    InputError
        When no pair has an area in common.
    """
    codes = {defect.id: defect.code for defect in project.classes}
    each: list[dict[str, Any]] = []
    said: list[tuple[np.ndarray, np.ndarray]] = []
    used: list[tuple[Inspection, Inspection | None]] = []
    for first, second in pairs:
        beside = marked_beside(project, first, second)
        if beside is None:
            continue
        used.append((first, second))
        mine, others = beside
        one, other = match_by_overlap(mine.boxes, others.boxes, iou=SAME_IOU)
        said.append((mine.classes[one], others.classes[other]))
        slide = project.slides.by_id(first.slide_id).name
        alone = np.setdiff1d(np.arange(len(mine.boxes)), one), np.setdiff1d(np.arange(len(others.boxes)), other)
        for who, a, b in (
            *((BOTH, a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True)),
            *((FIRST, a, None) for a in alone[0].tolist()),
            *((SECOND, None, b) for b in alone[1].tolist()),
        ):  # fmt: skip
            shown, place = (mine, a) if a is not None else (others, b)
            finding = shown.findings[place] or (others.findings[b] if b is not None else 0)
            each.append({
                "who": who, "slide": slide, "first": None if a is None else codes.get(int(mine.classes[a]), ""),
                "second": None if b is None else codes.get(int(others.classes[b]), ""),
                "finding": int(finding) or None, "box": shown.boxes[place].tolist(),
            })  # fmt: skip
    if not used:
        raise InputError("These have no area and class in common.", hint="Inspect the same area twice.")
    counts = [sum(row["who"] == who for row in each) for who in (BOTH, FIRST, SECOND)]
    named = kappa(*(np.concatenate([np.zeros(0, np.int64), *side]) for side in zip(*said, strict=True)))
    known = [one for pair in used for one in pair if one is not None]
    return {
        "first": _users([first for first, _ in used]),
        "second": MODELS if used[0][1] is None else _users([one for _, one in used if one is not None]),
        "inspections": sorted({one.number for one in known}),
        "areas": len(used), "area_mm2": _area_mm2(project, [first for first, _ in used]),
        "both": counts[0], "only_first": counts[1], "only_second": counts[2],
        "finding": _share(specific_agreement(*counts)),
        "found_by_first": _share(pooled_share([counts[0]], [counts[0] + counts[2]])),
        "found_by_second": _share(pooled_share([counts[0]], [counts[0] + counts[1]])),
        "naming": {
            "value": named.value, "interval": named.interval and list(named.interval), "of": named.of,
            "same": _share(named.same), "reason": named.reason or None,
        },
        "classes": list(_by_class(each, codes.values())),
        "seconds": [_seconds([one for one, _ in used]), _seconds([one for _, one in used])],
        "not_blind": sorted({one.number for one in known if not one.blind}),
        "each": each,
    }  # fmt: skip


def _users(some: Sequence[Inspection]) -> str:
    return listed(list(dict.fromkeys(one.user for one in some)))


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"value": share.value, "interval": list(share.interval), "count": share.count, "of": share.of}


def _seconds(some: Sequence[Inspection | None]) -> float | None:
    times = [None if one is None else one.seconds for one in some]
    return None if any(time is None for time in times) else float(sum(time or 0.0 for time in times))


def _area_mm2(project: Project, some: Sequence[Inspection]) -> float | None:
    total = 0.0
    for one in some:
        slide, area = project.slides.by_id(one.slide_id), Declared(0, frozenset({1}), one.outline)
        size = mm2(SlideCoverage(slide.shape_px, declared=[area]).drawn(area).size_px, slide.pixel_size_um)
        if size is None:
            return None
        total += size
    return total


def _by_class(each: Sequence[Mapping[str, Any]], codes: Any) -> Iterator[dict[str, Any]]:
    for code in codes:
        mine = [row for row in each if (row["first"] or row["second"]) == code]
        if mine:
            yield {"code": code} | {who: sum(row["who"] == who for row in mine) for who in (BOTH, FIRST, SECOND)}


def agreement_words(found: Mapping[str, Any]) -> str:
    """Say in a sentence who found what, and how well that agrees."""
    first, second = found["first"], found["second"]
    text = (
        f"{first} and {second}: {things(found['both'], 'defect')} found by both, {found['only_first']} only by "
        f"{first}, {found['only_second']} only by {second}, in {things(found['areas'], 'area')}."
    )
    if found["finding"] is not None:
        text += f" Agreement on finding {_with_limits(found['finding'])}."
    naming = found["naming"]
    if naming["value"] is not None:
        low, high = naming["interval"]
        text += (
            f" Agreement on naming: kappa {naming['value']:.2f} (95 %: {low:.2f} to {high:.2f}), n = {naming['of']}."
        )
    return text


def _with_limits(share: Mapping[str, Any]) -> str:
    low, high = map(percent_text, share["interval"])
    return f"{percent_text(share['value'])} (95 %: {low} to {high})"


def agreement_lines(found: Mapping[str, Any]) -> list[str]:
    """Lines of :func:`compared`."""
    lines = [agreement_words(found)]
    first, second = found["first"], found["second"]
    for name, who, whose in (("found_by_first", first, second), ("found_by_second", second, first)):
        if found[name] is not None:
            lines.append(f"  {who} found {_with_limits(found[name])} of what {whose} found")
    naming = found["naming"]
    if naming["same"] is not None:
        lines.append(f"  called the same: {_with_limits(naming['same'])} of {naming['of']} found by both")
    if naming["reason"]:
        lines.append(f"  no kappa: {naming['reason']}")
    if found["area_mm2"] is not None:
        lines.append(f"  searched: {short_text(found['area_mm2'], 4)} mm2")
    for who, seconds in zip((first, second), found["seconds"], strict=True):
        if seconds is not None:
            lines.append(f"  {who} took {seconds / 60:.1f} minutes")
    if found["not_blind"]:
        lines.append(f"  not blind: inspection {listed([str(number) for number in found['not_blind']])}")
    rows = [[row["code"], str(row[BOTH]), str(row[FIRST]), str(row[SECOND])] for row in found["classes"]]
    return [*lines, *text_table(["class", "both", f"only {first}", f"only {second}"], rows)]


def write_agreement_table(path: Path | str, found: Mapping[str, Any]) -> Path:
    """Write one line for each place that anybody marked, as XLSX or CSV.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    lines = [
        [row["who"], row["slide"], row["first"], row["second"], row["finding"], *row["box"]] for row in found["each"]
    ]
    heads = ["found by", "slide", "class of first", "class of second", "finding", "y0", "x0", "y1", "x1"]
    return write_sheet(path, heads, lines, title="Agreement")
