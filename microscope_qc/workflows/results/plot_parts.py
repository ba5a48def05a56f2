"""What plots of statistics share: which findings they are of, and of which slides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import Density, pooled_by_specimen
from microscope_qc.analysis.stack import Stack
from microscope_qc.analysis.tally import ALL, CLASS, EVERY, GROUP
from microscope_qc.core.arrays import Flags, Ints
from microscope_qc.core.errors import InputError
from microscope_qc.core.specimen import FieldKind, SpecimenField, find_field
from microscope_qc.core.wording import listed, significant_text
from microscope_qc.reports.charts import COLOURS
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.grouping import PROJECT, SLIDE, value_order

PER_MM2, COUNT = "mm2", "count"
CLASS_OF = "class"
"""Of compositions: a bar for each class."""
NOTHING_FOUND = "Nothing was found on these slides. Detect defects, or draw them."


@dataclass(frozen=True, slots=True)
class PlotChoice:
    """What a plot is to show; each kind takes what it needs of it.

    Attributes
    ----------
    of
        Code of a class or name of a class group; "" takes all classes.
    by
        What bars stand for: ``slide``, ``project`` or a field of specimens; of compositions ``class``, too.
    field
        A number or date of specimens.
    weight
        ``mm2`` shows findings per mm2, ``count`` findings.
    detectors
        Titles of one or two detectors whose findings are shown as they found them; none: what the review left.
    in_mm2, fields_mm2
        Of the largest size: on what area it is expected (0: 1,000 times those that were searched), and into fields of
        what area sections are cut (0: not at all).
    chart, rules, phase_1
        Of a control chart, see :func:`~microscope_qc.workflows.results.process_control.charted`; 0 takes the frozen
        limits, or else those of all points.
    unit, corners
        Of compositions: ``at`` or ``wt``, and three elements; none: those with the most.
    """

    of: str = ""
    by: str = SLIDE
    field: str = ""
    weight: str = PER_MM2
    detectors: tuple[str, ...] = ()
    in_mm2: float = 0.0
    fields_mm2: float = 0.0
    chart: str = "laney"
    rules: str = "limits"
    phase_1: int = 0
    unit: str = "at"
    corners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotClasses:
    """Classes of a plot: their places, the key of their area, the level on which they are counted, and in words."""

    key: int | str
    places: tuple[int, ...]
    level: int
    words: str
    colour: str = COLOURS[0]

    def of(self, slide: FoundOnSlide) -> Flags:
        """Boolean for each finding of a slide: whether it is kept and of these classes."""
        return slide.kept & np.isin(slide.places, self.places)


def wanted_classes(found: CountedFindings, of: str) -> PlotClasses:
    """Return the class or class group that is called so, or all classes for "".

    Raises
    ------
    InputError
        When there is none.
    """
    book = found.known.book
    if not of:
        return PlotClasses(EVERY, tuple(range(len(book.classes))), ALL, "all classes")
    if of in book.groups:
        return PlotClasses(of, tuple(book.groups[of]), GROUP, of)
    for place, defect in enumerate(book.classes):
        if defect.code == of:
            return PlotClasses(place, (place,), CLASS, f"{defect.code} {defect.name}".strip(), defect.colour)
    codes = listed([*book.groups, *(defect.code for defect in book.classes)])
    raise InputError(f"There is no class or class group {of}.", hint=f"There are {codes}.")


def groups_there(found: CountedFindings) -> list[PlotClasses]:
    """Class groups that occur, then the classes without one; all classes where there are no groups."""
    book = found.known.book
    there = {place for slide in found.slides for place in np.unique(slide.places).tolist()}
    names = [name for name, places in book.groups.items() if there & set(places)]
    groups = [
        PlotClasses(name, tuple(book.groups[name]), GROUP, name, COLOURS[number % len(COLOURS)])
        for number, name in enumerate(names)
    ]
    if not groups:
        return [wanted_classes(found, "")]
    return groups + [
        PlotClasses(place, (place,), CLASS, f"{book.classes[place].code} {book.classes[place].name}".strip(),
                book.classes[place].colour)
        for place in sorted(there) if place >= 0 and not book.classes[place].group
    ]  # fmt: skip


def members_by(found: CountedFindings, by: str) -> dict[str, list[FoundOnSlide]]:
    """Slides by what bars stand for, in the order of numbers, dates and names; slides in that of the project."""
    several = len(found.known.heads) > 1
    field = None if by in (SLIDE, PROJECT) else field_named(found, by)
    members: dict[str, list[FoundOnSlide]] = {}
    values: dict[str, Any] = {}
    for one in found.slides:
        slide = one.slide
        if field is None:
            value: Any = slide.project if by == PROJECT else slide.section.name
            name = f"{slide.project}: {value}" if several and by == SLIDE else str(value)
        else:
            value = slide.fields.get(field.name)
            name = field.shown(value) or f"no {(field.title or field.name).lower()}"
        values[name] = value
        members.setdefault(name, []).append(one)
    if field is None:
        return members
    return {name: members[name] for name in sorted(members, key=lambda name: value_order(values[name]))}


def field_named(found: CountedFindings, name: str, kind: FieldKind | None = None) -> SpecimenField:
    """Return the field that is called so, of one kind if that is given.

    Raises
    ------
    InputError
        When there is none.
    """
    known = [one for one in found.known.fields if kind in (None, one.kind)]
    field = find_field(known, name)
    if field is None:
        names = listed([one.name for one in known]) or "none"
        raise InputError(
            f"There is no such field of specimens: {name or 'none was named'}.", hint=f"There are {names}."
        )
    return field


def density_over(
    found: CountedFindings, slides: Sequence[FoundOnSlide], wanted: PlotClasses
) -> tuple[Density | None, str]:
    """Density over slides; None and the reason where no area is known."""
    stack = Stack([slide.slide.section for slide in slides], len(found.known.book.classes))
    searched = stack.searched(wanted.key)
    if not searched.known.any():
        return None, "; ".join(searched.reasons) or "nothing was scanned or declared complete"
    counts = stack.inside[:, wanted.level, list(wanted.places)].sum(axis=1)[searched.known]
    return pooled_by_specimen(counts, searched.areas_mm2, stack.specimens(searched.known)), ""


def slides_searched(found: CountedFindings, slides: Sequence[FoundOnSlide], wanted: PlotClasses) -> list[FoundOnSlide]:
    """Slides on which all classes were searched for that were on any."""
    stack = Stack([slide.slide.section for slide in slides], len(found.known.book.classes))
    known = stack.searched(wanted.key).known
    return [slide for slide, here in zip(slides, known, strict=True) if here]


def numbers_of(slides: Sequence[FoundOnSlide], chosen: Callable[[FoundOnSlide], Flags]) -> Ints:
    """Numbers of findings of some slides."""
    return np.concatenate([np.zeros(0, np.int64), *(slide.rows["id"][chosen(slide)] for slide in slides)])


def within_text(value: float, interval: tuple[float, float] | None) -> str:
    """``12.4 (95 %: 9.1 – 16.5)``."""
    text = significant_text(value) if value else "0"
    if interval is None:
        return text
    return f"{text} (95 %: {' – '.join(significant_text(limit) if limit else '0' for limit in interval)})"
