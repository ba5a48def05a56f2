"""How well two people agree who judged the same findings: on what is a defect, and on what it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.agreement import Kappa, kappa, specific_agreement
from microscope_qc.analysis.shares import Share
from microscope_qc.core.arrays import Ints
from microscope_qc.core.errors import InputError
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import percent_text, things
from microscope_qc.project import Project
from microscope_qc.workflows.results.grouping_text import text_table
from microscope_qc.workflows.review.second_review import SecondVerdict, second_review_named


def compared_again(project: Project, number: int) -> dict[str, Any]:
    """Compare a second review with what was said before it.

    Returns
    -------
    dict
        ``number``, ``user`` (who judged again), ``judged``, ``left`` (not judged again), ``both``, ``only_first``,
        ``only_second`` and ``neither`` (findings that are defects by both, one or none of them), ``defect`` (specific
        agreement on what is a defect, 2 m / (n1 + n2)), ``no_defect`` (the same of what is none), ``deciding`` (kappa
        of defect or not), ``naming`` (kappa of the classes of what is a defect by both), ``seconds``, ``open`` and
        ``each`` (finding, slide, what was said first and second, and ``differs``).

    Raises
    ------
    InputError
        When there is no such review, or nothing was judged again.
    """
    known = second_review_named(project, number)
    pairs = {one: (known.first[one], known.second[one]) for one in known.findings.tolist() if one in known.second}
    if not pairs:
        raise InputError(f"Nothing of second review {number} was judged again yet.", hint="Judge findings first.")
    codes = {defect.id: defect.code for defect in project.classes}
    counts = Counter((first.is_defect, second.is_defect) for first, second in pairs.values())
    both, only_first, only_second, neither = (
        counts[key] for key in ((True, True), (True, False), (False, True), (False, False))
    )
    same = [
        (first.class_id, second.class_id) for first, second in pairs.values() if first.is_defect and second.is_defect
    ]
    decided = np.array([(first.is_defect, second.is_defect) for first, second in pairs.values()], np.int64)
    named = np.array(same, np.int64).reshape(-1, 2)
    return {
        "number": number, "user": known.user, "judged": len(pairs), "left": len(known.left), "both": both,
        "only_first": only_first, "only_second": only_second, "neither": neither,
        "defect": _share(specific_agreement(both, only_first, only_second)),
        "no_defect": _share(specific_agreement(neither, only_first, only_second)),
        "deciding": _kappa(kappa(decided[:, 0], decided[:, 1])), "naming": _kappa(kappa(named[:, 0], named[:, 1])),
        "seconds": known.seconds, "open": known.is_open, "each": _each(project, pairs, codes),
    }  # fmt: skip


def _each(
    project: Project, pairs: Mapping[int, tuple[SecondVerdict, SecondVerdict]], codes: Mapping[int, str]
) -> list[dict[str, Any]]:
    slides = _slides_of(project, np.array([*pairs], np.int64))
    return [
        {
            "finding": one, "slide": slides.get(one, ""), "first": _words(first, codes),
            "second": _words(second, codes), "differs": differs(first, second),
        }
        for one, (first, second) in pairs.items()
    ]  # fmt: skip


def _slides_of(project: Project, ids: Ints) -> dict[int, str]:
    """Name of the slide of each finding that there is."""
    found: dict[int, str] = {}
    project.boxes.load()
    for slide in project.slides:
        there = project.boxes.table(slide.id).has(ids)
        found |= dict.fromkeys(ids[there].tolist(), slide.name)
    return found


def differs(first: SecondVerdict, second: SecondVerdict) -> bool:
    """Whether two people disagree on a finding: on whether it is a defect, or on its class."""
    if first.is_defect != second.is_defect:
        return True
    return first.is_defect and first.class_id != second.class_id


def _words(verdict: SecondVerdict, codes: Mapping[int, str]) -> str:
    if verdict.is_defect:
        return codes.get(verdict.class_id, "a class that is gone")
    return f"no: {verdict.reason}" if verdict.reason else "no"


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"value": share.value, "interval": list(share.interval), "count": share.count, "of": share.of}


def _kappa(found: Kappa) -> dict[str, Any]:
    return {
        "value": found.value, "interval": found.interval and list(found.interval), "of": found.of,
        "same": _share(found.same), "reason": found.reason or None,
    }  # fmt: skip


def again_words(found: Mapping[str, Any]) -> list[str]:
    """Say how well both agree, in a few lines."""
    lines = [
        f"second review {found['number']} by {found['user']}: {things(found['judged'], 'finding')} judged again"
        + (f", {found['left']} left" if found["left"] else "")
        + ("" if found["seconds"] is None else f", in {found['seconds'] / 60:.1f} minutes")
    ]
    for name, words in (("defect", "what is a defect"), ("no_defect", "what is none")):
        if found[name] is not None:
            low, high = map(percent_text, found[name]["interval"])
            lines.append(f"  agreement on {words}: {percent_text(found[name]['value'])} (95 %: {low} to {high})")
    for name, words in (("deciding", "defect or not"), ("naming", "classes")):
        known = found[name]
        if known["value"] is None:
            reason = known["reason"] if name == "naming" else known["reason"].replace("found by both", "judged again")
            lines.append(f"  {words}: no kappa: {reason}")
        else:
            low, high = known["interval"]
            lines.append(f"  {words}: kappa {known['value']:.2f} (95 %: {low:.2f} to {high:.2f}), n = {known['of']}")
    return lines


def again_lines(found: Mapping[str, Any]) -> list[str]:
    """Lines of :func:`compared_again`."""
    lines = again_words(found)
    lines += text_table(
        ["", "second: defect", "second: none"],
        [["first: defect", str(found["both"]), str(found["only_first"])],
         ["first: none", str(found["only_second"]), str(found["neither"])]],
    )  # fmt: skip
    different = [one for one in found["each"] if one["differs"]]
    if different:
        rows = [[str(one["finding"]), one["slide"], one["first"], one["second"]] for one in different]
        lines += ["", *text_table(["finding", "slide", "first", "second"], rows)]
    return lines


def write_again_table(path: Path | str, found: Mapping[str, Any]) -> Path:
    """Write one line for each finding that was judged again, as XLSX or CSV.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    heads = ["finding", "slide", "first", "second", "differs"]
    lines = [
        [one[head] if head != "differs" else ("yes" if one[head] else "no") for head in heads] for one in found["each"]
    ]
    return write_sheet(path, heads, lines, title="Second review")


def write_places(path: Path | str, project: Project, ids: Ints) -> Path:
    """Write where findings lie, in their order, without how they were judged: to be filled with verdicts.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    slides = _slides_of(project, ids)
    lines = []
    for one in ids.tolist():
        if one in slides:
            row = project.boxes.table(project.slides.named(slides[one]).id).get(np.array([one]))[0]
            lines.append([one, slides[one], *(round(float(row[side]), 2) for side in ("x0", "y0", "x1", "y1")), ""])
    return write_sheet(path, ["finding", "slide", "x0", "y0", "x1", "y1", "verdict"], lines, title="Second review")
