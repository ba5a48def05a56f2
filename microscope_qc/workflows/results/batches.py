"""Batches, or any other groups of slides, against each other and against acceptance limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.acceptance import Limit, checks, worst
from microscope_qc.analysis.comparison import Group, Ratio, holm, level_of_each, power, rate_ratio
from microscope_qc.analysis.counts import LEVEL, by_specimen
from microscope_qc.analysis.stack import CountedClasses, Stack
from microscope_qc.analysis.tally import ClassBook
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.core.numbers import parse_number
from microscope_qc.core.sheets import Record, read_records
from microscope_qc.core.wording import listed
from microscope_qc.project import Project
from microscope_qc.workflows.results.grouping import (
    CountedSlide,
    CountedSlides,
    classes_named,
    count_slides,
    group_words,
    members_of,
    slide_keys,
    value_text,
)

_PLANTED = 1.3
"""Ratio of two densities for which the power is said."""
_YES, _NO = ("yes", "y", "true", "1", "x"), ("no", "n", "false", "0", "")
_LIMITS = ("per_mm2", "largest_um", "none_at_all")


def compare_batches(
    projects: Iterable[Project], by: Sequence[str], *, limits: Sequence[Limit] = (), reference: str | None = None
) -> Job[dict[str, Any]]:
    """Count the findings of projects and compare groups of their slides; see :func:`compared`."""
    known = yield from count_slides(projects)
    return compared(known, by, limits=limits, reference=reference)


def compared(
    known: CountedSlides, by: Sequence[str], *, limits: Sequence[Limit] = (), reference: str | None = None
) -> dict[str, Any]:
    """Compare the densities of groups of slides after the review, and judge each group and slide by limits.

    Parameters
    ----------
    by
        Fields of specimens, ``slide`` or ``project``.
    reference
        The group that all others are compared with, by its name or its values alone: ``batch A``, ``A``; None compares
        each with each.

    Returns
    -------
    dict
        ``projects``, ``by``, ``groups`` (``group``, ``slides``), ``ratios`` (of each class, class group and all
        classes, and each pair of groups: see :class:`~microscope_qc.analysis.comparison.Ratio`; ``p_corrected`` for all
        classes and pairs of that kind, after Holm, and ``differs`` by it; ``power_30_percent``, how likely a difference
        of 30 % would have been found; and of both groups ``densities``, ``counts``, ``areas_mm2`` and ``sections``)
        and ``verdicts`` (of each group and of each of its slides: ``verdict``, and the ``checks`` that it follows
        from).

    Raises
    ------
    InputError
        When there is no such field, group or class, or nothing to compare.
    """
    keys = slide_keys(known, by)
    members = members_of(known, keys)
    names = [group_words(values) for values, _ in members]
    pairs = _pairs(names, [values for values, _ in members], reference)
    if not pairs and not limits:
        raise InputError(
            f"There is nothing to compare: {listed(names) or 'no slide'} is the only group.",
            hint="Compare by another field, or give acceptance limits.",
        )
    wanted = {limit: classes_named(limit.what, known.book) for limit in limits}
    return {
        "projects": known.heads,
        "by": keys,
        "groups": [
            {"group": name, "values": values, "slides": [slide.section.name for slide in slides]}
            for name, (values, slides) in zip(names, members, strict=True)
        ],
        "ratios": _ratios(known, [slides for _, slides in members], names, pairs),
        "verdicts": [
            _verdict(name, slides, known.book, wanted) for name, (_, slides) in zip(names, members, strict=True)
        ]
        if limits
        else [],
    }


def _pairs(names: Sequence[str], values: Sequence[Mapping[str, Any]], reference: str | None) -> list[tuple[int, int]]:
    if reference is None:
        return list(combinations(range(len(names)), 2))
    alone = [", ".join(value_text(value) for value in one.values() if value is not None) for one in values]
    there = [place for place, known in enumerate(zip(names, alone, strict=True)) if reference in known]
    if len(there) != 1:
        raise InputError(f"There is no group {reference}.", hint=f"The groups are {listed(names)}.")
    return [(there[0], place) for place in range(len(names)) if place != there[0]]


def _ratios(
    known: CountedSlides,
    members: Sequence[Sequence[CountedSlide]],
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
) -> list[dict[str, Any]]:
    """The second group of each pair by the first."""
    stack = Stack([slide.section for slides in members for slide in slides], len(known.book.classes))
    owner = np.repeat(np.arange(len(members)), [len(slides) for slides in members])
    classes, class_groups, everything = stack.wanted(known.book)
    found = []
    for kind, rows in (("class", classes), ("class group", class_groups), ("all", [everything])):
        of_kind = []
        for wanted in rows:
            groups = _groups(stack, wanted, owner, len(members))
            for first, second in pairs:
                ratio = _ratio(groups, names, first, second, together=len(rows) * len(pairs))
                head = {"kind": kind, "of": wanted.name, "first": names[first], "second": names[second]}
                of_kind.append(head | ratio)
        for one, p in zip(of_kind, holm([one["p"] for one in of_kind]), strict=True):
            one["p_corrected"], one["differs"] = p, None if p is None else p < 1 - LEVEL
        found += of_kind
    return found


def _groups(stack: Stack, wanted: CountedClasses, owner: np.ndarray, count: int) -> list[Group | None]:
    """Counts and areas of each group where the classes were searched for; None where they were not."""
    searched = stack.searched(wanted.key)
    counts = stack.inside[:, wanted.level, list(wanted.places)].sum(axis=1)
    areas = np.zeros(len(owner))
    areas[searched.known] = searched.areas_mm2
    found: list[Group | None] = []
    for group in range(count):
        mine = searched.known & (owner == group)
        joined = by_specimen(counts[mine], areas[mine], stack.specimens(mine)) if mine.any() else None
        found.append(None if joined is None else Group(*joined))
    return found


def _ratio(
    groups: Sequence[Group | None], names: Sequence[str], first: int, second: int, *, together: int
) -> dict[str, Any]:
    """The density of the second group by that of the first."""
    base, other = groups[first], groups[second]
    if base is None or other is None:
        missing = listed([names[place] for place in (first, second) if groups[place] is None])
        found = Ratio(None, None, None, None, 0, None, f"no area was searched in {missing}")
        return {"ratio": None, **_about(found), "power_30_percent": None, **_behind([base, other])}
    rest = [group for place, group in enumerate(groups) if group is not None and place not in (first, second)]
    found = rate_ratio(other, base, rest, together=together)
    if other.count and not base.count and not found.reason:
        found = replace(found, reason=f"nothing was found in {names[first]}")
    chance = None
    if found.spread is not None:
        level = level_of_each(together)
        chance = power(_PLANTED, other, base, spread=found.spread, freedom=found.freedom, level=level)
    return {"ratio": found.value, **_about(found), "power_30_percent": chance, **_behind([base, other])}


def _behind(groups: Sequence[Group | None]) -> dict[str, Any]:
    """Density, findings, area and number of specimens or slides of both groups; None where nothing was searched."""
    return {
        "densities": [group and group.count / group.area_mm2 for group in groups],
        "counts": [group and group.count for group in groups],
        "areas_mm2": [group and group.area_mm2 for group in groups],
        "sections": [group and len(group.counts) for group in groups],
    }


def _about(found: Ratio) -> dict[str, Any]:
    return {
        "interval": found.interval and list(found.interval), "p": found.p, "spread": found.spread,
        "freedom": found.freedom, "detectable": found.detectable, "reason": found.reason or None,
    }  # fmt: skip


# -- acceptance limits ------------------------------------------------------------------------------------------------


def _verdict(
    name: str, slides: Sequence[CountedSlide], book: ClassBook, limits: dict[Limit, CountedClasses]
) -> dict[str, Any]:
    def judged(those: Sequence[CountedSlide]) -> dict[str, Any]:
        stack = Stack([slide.section for slide in those], len(book.classes))
        found = [(limit, check) for limit, wanted in limits.items() for check in checks(limit, stack, wanted)]
        return {
            "verdict": worst(check.verdict for _, check in found).value,
            "checks": [
                {
                    "of": limit.what, "kind": check.kind, "limit": check.limit, "source": limit.source,
                    "verdict": check.verdict.value, "value": check.value, "low": check.low, "high": check.high,
                    "decides": list(check.decides), "reason": check.reason,
                }
                for limit, check in found
            ],
        }  # fmt: skip

    of_slides = [{"project": slide.project, "slide": slide.section.name, **judged([slide])} for slide in slides]
    return {"group": name, **judged(slides), "slides": of_slides}


def read_limits(path: Path | str) -> list[Limit]:
    """Read acceptance limits: a line for each class, class group or ``all``.

    The columns are ``class``, and of ``per_mm2``, ``largest_um`` and ``none_at_all`` (yes or no) those that are needed;
    ``source`` says where the limit comes from.

    Raises
    ------
    ExchangeError
        When it is no such table.
    InputError
        When a line has no limit, or one that is no number; it is named by its number.
    """
    path = Path(path)
    limits = []
    for record in read_records(path, needed=("class",), what="table of limits"):
        try:
            limits.append(_limit(record))
        except MicroscopeQCError as error:
            raise InputError(f"{path.name}, line {record.line}: {error.message}", hint=error.hint) from error
    return limits


def _limit(record: Record) -> Limit:
    numbers: dict[str, float | None] = {}
    for name in _LIMITS[:2]:
        text = record.get(name)
        numbers[name] = parse_number(text, what=name) if text else None
        if (numbers[name] or 0) < 0:
            raise InputError(f"{text} is no limit.", hint="Give 0 or more.")
    none = record.get("none_at_all").casefold()
    if none not in (*_YES, *_NO):
        raise InputError(f"“{none[:30]}” is neither yes nor no.", hint="Write yes where none at all is allowed.")
    if not record.get("class"):
        raise InputError("it names no class.", hint="Write the code of a class, a class group, or all.")
    found = Limit(record.get("class"), numbers["per_mm2"], numbers["largest_um"], none in _YES, record.get("source"))
    if found.per_mm2 is None and found.largest_um is None and not found.none_at_all:
        raise InputError(f"{found.what} has no limit.", hint=f"Fill one of the columns {listed(_LIMITS)}.")
    return found
