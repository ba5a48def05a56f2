"""What findings consist of, as EDX measured it: means of groups, three elements against each other, and what is unlike
the others of its group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.counts import LEVEL, t_quantile
from microscope_qc.analysis.outliers import FARTHEST, unlike_others
from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.composition import SHORT, of_unit
from microscope_qc.core.elements import ATOMIC_WEIGHT
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import count_text, listed, things
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.grouping import PROJECT, SLIDE
from microscope_qc.workflows.results.plot_parts import CLASS_OF, PlotChoice, field_named, members_by, wanted_classes

MOST_BARS = 40
MOST_ELEMENTS = 7
"""So many of those with the most are told apart; the others are one part of a bar."""
MOST_NAMED = 5
_LEAST = {"at": 1.0, "wt": 1.0}
"""Amounts in % are not measured more exactly than this."""
MEANING = (
    "Means over the findings that were measured, each once; an element that was not found counts as 0. The 95 % "
    "intervals (t) take findings as independent of each other."
)
NOT_MEASURED = "None of these findings was measured by EDX: import a table of compositions in the workspace SEM."


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Findings that were measured, N of them: their numbers and amounts, a column for each element."""

    name: str
    colour: str
    numbers: Ints
    amounts: Floats


def composition(found: CountedFindings, choice: PlotChoice) -> Plot:
    """Mean amounts of the elements of each class, or of what else bars stand for, on each other."""
    title = f"Mean composition, {SHORT[_unit(choice)]}"
    elements, groups = _groups(found, choice)
    if not groups:
        return Plot("composition", title, Shape.MEANS, why_not=NOT_MEASURED)
    notes = [MEANING, *_unlike_text(elements, groups, _unit(choice))]
    if len(groups) > MOST_BARS:
        notes.append(f"The {MOST_BARS} with the most measured findings of {count_text(len(groups))}.")
        most = sorted(groups, key=lambda one: -len(one.numbers))[:MOST_BARS]
        groups = [one for one in groups if one in most]
    series = []
    few = elements[:MOST_ELEMENTS]
    for place, element in enumerate(few):
        parts = [one.amounts[:, place] for one in groups]
        series.append(Series(element, COLOURS[place], list(_means(element, groups, parts, _unit(choice)))))
    if len(elements) > len(few):
        words = f"others ({listed(elements[len(few) :][:4])}{', …' if len(elements) > len(few) + 4 else ''})"
        parts = [one.amounts[:, len(few) :].sum(axis=1) for one in groups]
        series.append(Series(words, COLOURS[-1], list(_means("others", groups, parts, _unit(choice)))))
    names = [f"{one.name} (n = {count_text(len(one.numbers))})" for one in groups]
    x, y = _heading(found, choice), f"mean, {SHORT[_unit(choice)]}"
    return Plot("composition", title, Shape.MEANS, x, y, series, names, notes=notes)


def _means(element: str, groups: Sequence[_Group], parts: Sequence[Floats], unit: str) -> Iterator[PlotMark]:
    for at, (group, values) in enumerate(zip(groups, parts, strict=True)):
        mean, n, interval = float(values.mean()), len(values), None
        within = "no interval from one finding"
        if n > 1:
            reach = t_quantile(n - 1, LEVEL) * float(values.std(ddof=1)) / np.sqrt(n)
            interval = max(mean - reach, 0.0), min(mean + reach, max(100.0, mean))
            within = f"95 %: {interval[0]:.1f} – {interval[1]:.1f}"
        tip = f"{group.name}, {element}: {mean:.1f} {SHORT[unit]} ({within}), n = {count_text(n)}"
        yield PlotMark(group.name, at, mean, group.numbers, interval, tip)


def ternary(found: CountedFindings, choice: PlotChoice) -> Plot:
    """A dot for each measured finding between three elements, which together are 100 % there."""
    title = "Three elements against each other"
    elements, groups = _groups(found, choice)
    if not groups:
        return Plot("ternary", title, Shape.TERNARY, why_not=NOT_MEASURED)
    corners = corners_of(choice.corners, elements)
    if len(corners) < 3:
        return Plot("ternary", title, Shape.TERNARY, why_not="Fewer than three elements were measured.")
    unit = SHORT[_unit(choice)]
    title = f"{', '.join(corners)}: parts of the three together, {unit}"
    notes, left_out, series = [], 0, []
    for group in groups:
        known = np.stack([_column(group, elements, corner) for corner in corners], axis=1)
        wholes = known.sum(axis=1)
        there = wholes > 0
        left_out += int((~there).sum())
        odd = unlike_others(group.amounts, least=_LEAST[_unit(choice)]) >= 0
        for stands_out in (False, True):
            marks = [
                _dot(group, corners, row, 100 * known[row] / wholes[row])
                for row in np.flatnonzero(there & (odd == stands_out)).tolist()
            ]
            if marks:
                words = f"{group.name}, unlike the others" if stands_out else group.name
                series.append(Series(words, group.colour, marks, pale=stands_out))
    if left_out:
        notes.append(f"{things(left_out, 'finding')} without any of the three left out.")
    notes += _unlike_text(elements, groups, _unit(choice))
    if not series:
        return Plot("ternary", title, Shape.TERNARY, why_not=" ".join(notes))
    return Plot("ternary", title, Shape.TERNARY, series=series, names=corners, notes=notes)


def _dot(group: _Group, corners: Sequence[str], row: int, shares: Floats) -> PlotMark:
    number = int(group.numbers[row])
    said = ", ".join(f"{corner} {share:.1f}" for corner, share in zip(corners, shares.tolist(), strict=True))
    return PlotMark(said, float(shares[0]), float(shares[1]), np.array([number]), tip=f"{group.name}, {number}: {said}")


def corners_of(wanted: Sequence[str], elements: Sequence[str]) -> list[str]:
    """The three elements of a triangle: those that are wanted, or else those with the most.

    Raises
    ------
    InputError
        When these are not three elements.
    """
    if not wanted:
        return list(elements[:3])
    strange = next((one for one in wanted if one not in ATOMIC_WEIGHT), None)
    if strange is not None:
        raise InputError(f"“{strange[:20]}” is no element.", hint="Write symbols, such as Ni,Mn,Co.")
    if len(set(wanted)) != 3:
        raise InputError("A triangle has three different elements.", hint="Such as Ni,Mn,Co.")
    return list(wanted)


# -- groups ------------------------------------------------------------------------------------------------------------


def _unit(choice: PlotChoice) -> str:
    if choice.unit not in SHORT:
        raise InputError(f"There is no unit {choice.unit[:20]}.", hint="There are at and wt.")
    return choice.unit


def _groups(found: CountedFindings, choice: PlotChoice) -> tuple[list[str], list[_Group]]:
    """Elements, those with the most first, and the measured findings of each group."""
    wanted, unit = wanted_classes(found, choice.of), _unit(choice)
    named: list[tuple[str, str, list[tuple[int, Mapping[str, float]]]]] = []
    for name, colour, members in _members(found, choice.by):
        measured: list[tuple[int, Mapping[str, float]]] = [
            (number, {element: amount.percent for element, amount in of_unit(slide.compositions[number], unit).items()})
            for slide, chosen in members
            for number in slide.rows["id"][chosen & wanted.of(slide)].tolist()
            if number in slide.compositions
        ]
        if measured := [(number, amounts) for number, amounts in measured if amounts]:
            named.append((name, colour, measured))
    sums: dict[str, float] = {}
    for _, _, measured in named:
        for _, amounts in measured:
            for element, percent in amounts.items():
                sums[element] = sums.get(element, 0.0) + percent
    elements = sorted(sums, key=lambda element: (-sums[element], element))
    groups = [
        _Group(
            name, colour, np.array([number for number, _ in measured], np.int64),
            # an element that a table does not have was not found there
            np.array([[amounts.get(element, 0.0) for element in elements] for _, amounts in measured]),
        )
        for name, colour, measured in named
    ]  # fmt: skip
    return elements, groups


def _members(found: CountedFindings, by: str) -> Iterator[tuple[str, str, list[tuple[FoundOnSlide, np.ndarray]]]]:
    """Name, colour, and slides with a boolean for each finding, of each group."""
    if by == CLASS_OF:
        for place, defect in enumerate(found.known.book.classes):
            yield defect.code, defect.colour, [(slide, slide.places == place) for slide in found.slides]
        return
    for number, (name, slides) in enumerate(members_by(found, by).items()):
        everything = [(slide, np.ones(len(slide.rows), bool)) for slide in slides]
        yield name, COLOURS[number % len(COLOURS)], everything


def _column(group: _Group, elements: Sequence[str], element: str) -> Floats:
    if element not in elements:
        return np.zeros(len(group.numbers))
    column: Floats = group.amounts[:, list(elements).index(element)]
    return column


def _heading(found: CountedFindings, choice: PlotChoice) -> str:
    known = {CLASS_OF: "class", SLIDE: "cross-section", PROJECT: "project"}
    return known.get(choice.by) or field_named(found, choice.by).heading


def _unlike_text(elements: Sequence[str], groups: Sequence[_Group], unit: str) -> Iterator[str]:
    """Sentences about findings that are unlike the others of their group."""
    said = []
    for group in groups:
        columns = unlike_others(group.amounts, least=_LEAST[unit])
        middle = np.median(group.amounts, axis=0)
        for row in np.flatnonzero(columns >= 0).tolist():
            place = int(columns[row])
            said.append(
                f"{int(group.numbers[row])} of {group.name} ({elements[place]} {group.amounts[row, place]:.1f} instead "
                f"of {middle[place]:.1f} {SHORT[unit]})"
            )
    if said:
        more = f", and {count_text(len(said) - MOST_NAMED)} more" if len(said) > MOST_NAMED else ""
        named = ", ".join(said[:MOST_NAMED])
        yield f"Unlike the others of their group, over {FARTHEST:g} robust deviations from the median: {named}{more}."
