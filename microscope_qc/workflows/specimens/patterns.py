"""Fields of slides from the names of their files: ``{batch}_{specimen}_{part}``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from microscope_qc.core.errors import InputError
from microscope_qc.core.specimen import SpecimenField, Value, find_field
from microscope_qc.core.wording import things
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import slide_stem
from microscope_qc.workflows.specimens.plan import FieldChange, FieldPlan, SlidesAndFields, changes_of

ANYTHING = ("", "*")
"""Placeholders for what is of no interest."""
_HINT = "Write it like {batch}_{specimen}_{part}; {*} stands for anything."


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern of file names, ready to be used."""

    text: str
    fields: tuple[SpecimenField, ...]
    expression: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class NameReading:
    """What a pattern reads from the name of a slide's file; ``problem`` says why it does not fit ("" where it does)."""

    slide: SlideRecord
    stem: str
    values: dict[SpecimenField, Value]
    problem: str = ""


def name_pattern(fields: Iterable[SpecimenField], text: str) -> NamePattern:
    """Return the pattern that someone wrote.

    What stands for a field never holds the character before or after it, so that a name can be cut in one way only.

    Raises
    ------
    InputError
        When it names no field or one that is not there, names one twice, or does not say where one ends.
    """
    known = list(fields)
    parts = re.split(r"\{([^{}]*)\}", text)
    literals, names = parts[0::2], parts[1::2]
    if any(set(literal) & set("{}") for literal in literals):
        raise InputError("A brace of the pattern is not closed.", hint=_HINT)
    if any(not literal for literal in literals[1:-1]):
        raise InputError("Two fields of the pattern have nothing between them.", hint=_HINT)
    if sum(name.strip() in ANYTHING for name in names) > 1:
        raise InputError("{*} can stand in a pattern once.", hint=_HINT)  # two could share a name in several ways
    found: list[SpecimenField] = []
    expression = re.escape(literals[0])
    for place, name in enumerate(names):
        before, after = literals[place], literals[place + 1]
        if name.strip() in ANYTHING:
            expression += ".*" + re.escape(after)
            continue
        field = find_field(known, name)
        if field is None:
            words = ", ".join(known_field.name for known_field in known)
            raise InputError(f"There is no field {{{name.strip()[:60]}}}.", hint=f"There are {words}.")
        if field in found:
            raise InputError(f"The pattern has {field.title} twice.", hint=_HINT)
        borders = re.escape(before[-1:] + after[:1])
        expression += (f"([^{borders}]+)" if borders else "(.+)") + re.escape(after)
        found.append(field)
    if not found:
        raise InputError("The pattern names no field.", hint=_HINT)
    return NamePattern(text, tuple(found), re.compile(expression, re.DOTALL))


def read_names(
    source: Project | SlidesAndFields, pattern: NamePattern, *, slide_ids: Iterable[int] | None = None
) -> list[NameReading]:
    """Return what the pattern reads from the file of each slide, or of some."""
    wanted = None if slide_ids is None else set(slide_ids)
    readings = []
    for slide in SlidesAndFields.of(source).slides:
        if wanted is None or slide.id in wanted:
            stem = slide_stem(slide.path)
            values, problem = _read(pattern, stem)
            readings.append(NameReading(slide, stem, values, problem))
    return readings


def _read(pattern: NamePattern, stem: str) -> tuple[dict[SpecimenField, Value], str]:
    match = pattern.expression.fullmatch(stem)
    if match is None:
        return {}, "does not fit the pattern"
    values: dict[SpecimenField, Value] = {}
    for field, text in zip(pattern.fields, match.groups(), strict=True):
        try:
            value = field.parse(text)
        except InputError as error:
            return {}, error.message
        if value is not None:
            values[field] = value
    return values, ""


def plan_of_names(readings: Iterable[NameReading]) -> FieldPlan:
    """Return what would change when everything that fits is taken over."""
    changes: list[FieldChange] = []
    problems: dict[str, list[str]] = {}
    count = 0
    for reading in readings:
        if reading.problem:
            problems.setdefault(reading.problem, []).append(reading.stem)
        else:
            count += 1
            changes += changes_of(reading.slide, reading.values)
    told = [f"{', '.join(stems[:3])}{_more(stems)}: {problem.rstrip('.')}." for problem, stems in problems.items()]
    return FieldPlan(tuple(changes), (), tuple(told), count)


def _more(stems: list[str]) -> str:
    return f" and {things(len(stems) - 3, 'other')}" if len(stems) > 3 else ""
