"""Rules name the material of a composition and say why; what they cannot know they do not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microscope_qc.core.composition import Amount
from microscope_qc.core.errors import InputError
from microscope_qc.correlation.conditions import LONGEST, condition
from microscope_qc.correlation.edx_rules import (
    EdxRule,
    EdxRules,
    coating_in,
    load_rules,
    rules_from_json,
    save_rules,
    shipped_rules,
)

PUBLISHED = {
    "a": ({"C": 92.6, "O": 7.0, "S": 0.2, "Au": 0.2}, {"C": 95.3, "O": 3.9, "F": 0.6, "Au": 0.2}),
    "b": ({"C": 64.6, "O": 25.0, "F": 5.9, "Ni": 2.4}, {"C": 91.9, "O": 4.2, "F": 0.3}),
    "c": ({"C": 0.5, "O": 67.3, "Si": 17.0, "Zr": 14.4}, {}),
    "d": ({"O": 31.1, "Mn": 15.0, "Co": 24.2, "Ni": 28.6}, {"O": 19.4, "Mn": 16.2, "Co": 16.6, "Ni": 46.6}),
}
"""Four defects and what was measured beside them, in atom %."""
GRADE = "Ni + Mn + Co > 15 and Ni/(Ni+Mn+Co) = 0.4 ± 0.05"


def at(percent: dict[str, float]) -> list[Amount]:
    return [Amount(element, "at", value) for element, value in percent.items()]


def classes(percent: dict[str, float], beside: dict[str, float] | None = None) -> list[str]:
    """Classes and, where a rule gives none, names of materials."""
    return [held.rule.code or held.rule.name for held in shipped_rules().held(at(percent), at(beside or {}))]


@pytest.mark.parametrize(
    ("case", "found"),
    [("a", ["ACP"]), ("b", ["ACP"]), ("c", ["AOP"]), ("d", ["CRP", "Cathode material NMC 424"])],
)
def test_the_published_defects_get_their_classes(case: str, found: list[str]) -> None:
    assert classes(*PUBLISHED[case]) == found


def test_the_coating_beside_the_foreign_particle_is_622() -> None:
    assert classes(PUBLISHED["d"][1]) == ["Cathode material NMC 622"]


@pytest.mark.parametrize(
    ("percent", "found"),
    [
        ({"Ni": 1, "Mn": 1, "Co": 1, "O": 3}, ["Cathode material NMC 111"]),
        ({"Ni": 28.6, "Mn": 15.0, "Co": 24.2}, ["Cathode material NMC 424"]),
        ({"Ni": 50, "Mn": 30, "Co": 20}, ["Cathode material NMC 532"]),
        ({"Ni": 80, "Mn": 10, "Co": 10}, ["Cathode material NMC 811"]),
        ({"Ni": 90, "Mn": 5, "Co": 5}, []),
        ({"Fe": 70, "Cr": 18, "Ni": 9}, ["STP"]),
        ({"Fe": 80, "Nd": 13, "B": 6}, []),
        ({"Cu": 98, "O": 2}, ["CUP"]),
        ({"Al": 97, "O": 3}, ["ALP"]),
        ({"Al": 25, "F": 75}, ["CFA"]),
        ({"Al": 40, "O": 60}, []),
        ({"Nd": 40, "O": 60}, ["OXA"]),
        ({"Fe": 40, "O": 60}, ["OXA"]),
        ({"Dy": 25, "F": 75}, ["FLU"]),
        ({"C": 100}, []),
        ({}, []),
    ],
)
def test_shipped_rules(percent: dict[str, float], found: list[str]) -> None:
    assert classes(percent) == found


def test_what_nothing_was_measured_beside_is_compared_with_nothing() -> None:
    assert classes(PUBLISHED["a"][0]) == []
    assert classes({"C": 92.6, "O": 5.5}, PUBLISHED["a"][1]) == []


def test_the_coating_is_left_out_and_the_rest_scaled() -> None:
    rules = EdxRules((EdxRule("Oxide", "O > 50"),), ("Au", "C"))
    coated = at({"O": 30, "Si": 20, "Au": 40, "C": 10})
    assert rules.percent(coated) == {"O": 60, "Si": 40}
    assert [held.why for held in rules.held(coated)] == [("O 60 > 50",)]
    assert EdxRules(rules.rules).held(coated) == [] and rules.held(at({"Au": 100})) == []
    assert coating_in("Au; carbon,Au") == ("Au", "C")
    with pytest.raises(InputError, match="Xx"):
        coating_in("Xx")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("O > 20 and Si + Zr > 5", ["O 67.3 > 20", "Si + Zr 31.4 > 5"]),
        ("O > 20 and Si + Zr > 50", None),
        ("Fe > 1 or 60 < O <= 67,3 at%", ["60 < O 67.3 ≤ 67.3"]),
        ("Zr/(Si+Zr) = 0.45 +- 0.02", ["Zr/(Si + Zr) 0.459 = 0.45 ± 0.02"]),
        ("Zr/(Si+Zr) = 0,45 ± 0,005", None),
        ("abs(O - 70) ≤ 3", ["abs(O - 70) 2.7 ≤ 3"]),
        ("Ni/Co > 1", None),
        ("Ni/Co < 1", None),
        ("O > ref(O)", None),
        ("-O < 1*2", ["-O -67.3 < 2"]),
    ],
)
def test_a_condition_says_why_it_holds(text: str, why: list[str] | None) -> None:
    assert condition(text).holds(PUBLISHED["c"][0]) == why


def test_a_condition_asks_what_lies_beside() -> None:
    (amounts, beside), asked = PUBLISHED["b"], condition("F > ref(F) + 2 and ref(O/C) < 0.1")
    assert asked.holds(amounts, beside) == ["F 5.9 > 2.3", "ref(O/C) 0.0457 < 0.1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read"),
        ("O", "compares nothing"),
        ("O >", "cannot be read"),
        ("O = 3", "needs ± after ="),
        ("O > 3 ± 1", "needs ± after ="),
        ("Xx > 3", "names no element with “Xx”"),
        ("O != 3", "compares in an unknown way"),
        ("O > True", "cannot be computed"),
        ("O > 'a'", "cannot be computed"),
        ("O ** 9 > 3", "cannot be computed"),
        ("__import__('os') > 3", "cannot be computed"),
        ("ref(O, C) > 3", "cannot be computed"),
        ("not O > 3", "compares nothing"),
        ("(" * 300 + "O" + ")" * 300 + "> 1", ""),
        ("O > 1 and " * LONGEST, "cannot be read"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match="The condition") as caught:
        condition(text)
    assert problem in caught.value.message and caught.value.hint


def test_rules_are_kept_in_files(tmp_path: Path) -> None:
    rules = EdxRules((EdxRule("Grade", GRADE, "CRP", "Round", used=False), EdxRule("Oxide", "O > 50")), ("Au",))
    path = save_rules(tmp_path / "own", rules)
    assert path.name == "own.edx-rules.json" and load_rules(path) == rules
    assert rules.held(at(PUBLISHED["d"][0])) == []  # the only one that would hold is not used


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not valid JSON"),
        ("[]", "holds no rules"),
        ('{"rules": [1]}', "rule 1: A rule needs a name"),
        ('{"rules": [{"name": "A", "when": 3}]}', "rule 1 cannot be read"),
        ('{"rules": [{"name": "A", "when": "O"}]}', "rule 1: The condition"),
        ('{"rules": [], "coating": ["Xx"]}', "not an element"),
        ('{"rules": [], "coating": "Au"}', "no list of elements"),
    ],
)
def test_files_that_hold_no_rules_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=problem):
        load_rules(tmp_path / "a.json")


def test_rules_of_newer_versions_keep_what_is_known() -> None:
    known = rules_from_json(json.loads('{"version": 2, "rules": [{"name": "A", "when": "O > 1", "more": 1}]}'))
    assert known == EdxRules((EdxRule("A", "O > 1"),))
