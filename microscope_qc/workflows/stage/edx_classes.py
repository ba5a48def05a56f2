"""Classes of findings by what EDX measured of them: rules propose them, a person takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.wording import things
from microscope_qc.correlation.edx_rules import EdxRules, HeldRule, rules_from_json, rules_to_json, shipped_rules
from microscope_qc.project import Project
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.project.parts.standards import RULES

OLD_SETTING = "edx_rules"
"""Where projects had rules of their own when these were not part of the history."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the rules say of a finding: the rules that hold, the one with a class first; never empty."""

    finding_id: int
    held: tuple[HeldRule, ...]

    @property
    def code(self) -> str:
        """The class that it should have; "" where the rules only name its material."""
        return self.held[0].rule.code

    @property
    def words(self) -> str:
        """Material and reasons as a sentence, and what else holds."""
        first, *others = self.held
        also = f" Also: {', '.join(held.rule.name for held in others)}." if others else ""
        return f"{first.rule.name}: {', '.join(first.why)}.{also}"


def rules_of(project: Project) -> EdxRules:
    """Return the rules of a project: its own, else those that come with the program.

    Raises
    ------
    InputError
        When its own cannot be read.
    """
    kept = project.standards.named(RULES, "")
    stored = project.settings.get(OLD_SETTING) if kept is None else kept.data
    return shipped_rules() if stored is None else rules_from_json(stored, where=f"The rules of {project.name}")


def keep_rules(project: Project, rules: EdxRules | None) -> None:
    """Give a project its own rules, as one step of the history; None takes those that come with the program."""
    kept, older = project.standards.named(RULES, ""), project.settings.get(OLD_SETTING)
    if (rules is None or rules == shipped_rules()) and older is None:
        if kept is not None:
            project.standards.remove(kept.id)
    elif kept is None or kept.data != rules_to_json(rules or shipped_rules()):
        project.standards.keep(RULES, "", rules_to_json(rules or shipped_rules()))


def proposal(project: Project, finding_id: int, rules: EdxRules) -> Proposal | None:
    """What rules say of a finding; None where nothing was measured of it, or no rule holds."""
    measured = project.measurements
    held = rules.held(measured.composition(finding_id, "at"), measured.reference(finding_id, "at"))
    return Proposal(int(finding_id), tuple(held)) if held else None


def proposals(project: Project, rules: EdxRules, ids: Iterable[int] | None = None) -> list[Proposal]:
    """What rules say of some findings, or of all that were measured, in the order of their numbers."""
    measured = project.measurements.compositions
    wanted = sorted(measured if ids is None else measured.keys() & set(ids))
    return [found for number in wanted if (found := proposal(project, number, rules)) is not None]


def add_missing_classes(project: Project, found: Sequence[Proposal]) -> list[DefectClass]:
    """Add the proposed classes that a project does not have, each as a step of the history."""
    known = {defect.code for defect in project.classes}
    names = {one.code: one.held[0].rule.class_name for one in found if one.code and one.code not in known}
    return [project.classes.add(code, name=name or code) for code, name in names.items()]


def take(project: Project, found: Sequence[Proposal], *, carry_out: CarryOut = at_once) -> int:
    """Give findings the proposed classes, as one command; return of how many findings a class is proposed.

    Raises
    ------
    InputError
        When the project does not have one of the classes.
    """
    classes = {defect.code: defect.id for defect in project.classes}
    wanted = [one for one in found if one.code]
    missing = next((one for one in wanted if one.code not in classes), None)
    if missing is not None:
        raise InputError(
            f"The project has no class {missing.code}, which the composition of finding {missing.finding_id} means.",
            hint="Add it (--add-classes on the command line), or choose another class in the rules.",
        )
    now = codes_of(project, [one.finding_id for one in wanted])
    others = [one for one in wanted if one.code != now[one.finding_id]]
    if others:
        codes = list(dict.fromkeys(one.code for one in others))
        to = codes[0] if len(codes) == 1 else things(len(codes), "class", "classes")
        title = f"Class {things(len(others), 'finding')} to {to} by composition"
        ids = np.array([one.finding_id for one in others], np.int64)
        class_ids = np.array([classes[one.code] for one in others])
        carry_out(project.boxes.prepare_edit(ids, title=title, class_id=class_ids))
    return len(wanted)


def counts(project: Project, rules: EdxRules) -> tuple[list[int], int]:
    """For how many measured findings each rule holds, and how many were measured; a rule that is not used holds for
    none."""
    measured = project.measurements
    found = [0] * len(rules.rules)
    places = {rule: place for place, rule in enumerate(rules.rules)}
    for number in measured.compositions:
        for held in rules.held(measured.composition(number, "at"), measured.reference(number, "at")):
            found[places[held.rule]] += 1
    return found, len(measured.compositions)


def proposal_json(one: Proposal, codes: Mapping[int, str]) -> dict[str, Any]:
    """A proposal as JSON values; ``codes`` are the classes of findings now."""
    return {
        "finding": one.finding_id,
        "class": codes.get(one.finding_id, "?"),
        "proposed": one.code,
        "material": one.held[0].rule.name,
        "why": list(one.held[0].why),
        "also": [held.rule.name for held in one.held[1:]],
    }


def codes_of(project: Project, ids: Iterable[int]) -> dict[int, str]:
    """Class of each finding by its number."""
    codes = {defect.id: defect.code for defect in project.classes}
    found: dict[int, str] = {}
    by_slide: dict[int, list[int]] = {}
    for number in ids:
        by_slide.setdefault(project.boxes.slide_of(number), []).append(number)
    for slide_id, numbers in by_slide.items():
        for row in project.boxes.table(slide_id).get(numbers):
            found[int(row["id"])] = codes.get(int(row["class_id"]), "?")
    return found
