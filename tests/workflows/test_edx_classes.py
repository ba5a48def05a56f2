"""Rules propose the classes of measured findings; taking them is one step that undo takes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.edx_rules import EdxRule, EdxRules, rules_to_json, save_rules, shipped_rules
from microscope_qc.project import Project
from microscope_qc.workflows.stage.edx import import_edx
from microscope_qc.workflows.stage.edx_classes import (
    add_missing_classes,
    codes_of,
    counts,
    keep_rules,
    proposal,
    proposals,
    rules_of,
    take,
)

TABLE = """\
Spectrum,C at%,O at%,Si at%,Zr at%,Au at%,Fe at%,Cr at%,Mn at%,Co at%,Ni at%
D1-P1,92.6,7.0,,,0.2,,,,,
D1-P2,95.3,3.9,,,0.2,,,,,
D2-P1,0.5,67.3,17.0,14.4,,,,,,
D3-P1,,31.1,,,,,,15.0,24.2,28.6
D3-P3,,19.4,,,,,,16.2,16.6,46.6
D4-P1,,2,,,,70,18,,,9
D5-P1,100,,,,,,,,,
"""


@pytest.fixture
def measured(project: Project, tmp_path: Path) -> Project:
    (tmp_path / "edx.csv").write_text(TABLE)
    run_job(import_edx(project, tmp_path / "edx.csv"))
    return project


def classes(project: Project) -> dict[int, str]:
    return codes_of(project, range(1, 6))


def test_the_first_rule_that_holds_proposes_its_class_and_says_why(measured: Project) -> None:
    found = proposals(measured, rules_of(measured))
    assert {one.finding_id: one.code for one in found} == {1: "ACP", 2: "AOP", 3: "CRP", 4: "STP"}
    words = {one.finding_id: one.words for one in found}
    assert words[2] == "Silicon or zirconium oxide: O 67.8 > 20, Si + Zr 31.7 > 5."
    assert words[1].endswith("C 93 > 50, O 7.03 > 5.93.")
    assert words[3].endswith(" Also: Cathode material NMC 424.")
    measured.measurements.link({2: None})  # the graphite beside finding 1
    assert proposal(measured, 1, rules_of(measured)) is None


def test_proposals_change_nothing_until_a_person_takes_them(measured: Project) -> None:
    before = classes(measured)
    found = proposals(measured, rules_of(measured), [1, 2, 3])
    assert classes(measured) == before
    assert take(measured, found) == 3
    assert measured.history.undo_title == "Class 2 findings to 2 classes by composition"
    assert classes(measured) == before | {1: "ACP", 2: "AOP", 3: "CRP"}
    measured.history.undo()
    assert classes(measured) == before
    measured.history.redo()
    assert classes(measured)[2] == "AOP"
    assert take(measured, []) == 0


def test_a_class_that_the_project_lacks_is_only_added_when_it_is_wanted(measured: Project) -> None:
    found = proposals(measured, rules_of(measured), [4])
    with pytest.raises(InputError, match="no class STP"):
        take(measured, found)
    (added,) = add_missing_classes(measured, found)
    assert (added.code, added.name) == ("STP", "Steel particle")
    take(measured, found)
    assert measured.history.undo_title == "Class 1 finding to STP by composition"
    assert add_missing_classes(measured, found) == []


def test_a_project_has_its_own_rules(measured: Project) -> None:
    heard: list[None] = []
    measured.events.standards_changed.connect(lambda: heard.append(None))
    own = EdxRules((EdxRule("Carbon", "C > 99", "ACP"), EdxRule("Anything", "O >= 0"), shipped_rules().rules[0]), ())
    keep_rules(measured, own)
    assert rules_of(measured) == own and heard == [None]
    assert counts(measured, own) == ([1, 5, 1], 5)
    assert proposals(measured, own, [5])[0].code == "ACP"
    keep_rules(measured, own)
    assert heard == [None]  # the same again is no step
    keep_rules(measured, shipped_rules())
    assert rules_of(measured) == shipped_rules() and not measured.standards


def test_kept_rules_are_steps_that_undo_takes_back(measured: Project) -> None:
    first, second = (EdxRules((EdxRule("Carbon", f"C > {limit}", "ACP"),)) for limit in (98, 99))
    keep_rules(measured, first)
    assert measured.history.undo_title == "Keep the rules from composition to class"
    keep_rules(measured, second)
    keep_rules(measured, None)
    found = [rules_of(measured)]
    for _ in range(3):
        measured.history.undo()
        found.append(rules_of(measured))
    assert found == [shipped_rules(), second, first, shipped_rules()]
    measured.history.redo()
    with Project.open(measured.path, write=False) as reader:
        assert rules_of(reader) == first


def test_rules_that_an_older_program_kept_stay_and_can_be_replaced(measured: Project) -> None:
    older, own = (EdxRules((EdxRule("Carbon", f"C > {limit}", "ACP"),)) for limit in (98, 99))
    measured.settings.set("edx_rules", rules_to_json(older))
    assert rules_of(measured) == older
    keep_rules(measured, own)
    measured.history.undo()
    assert rules_of(measured) == older
    keep_rules(measured, None)
    assert rules_of(measured) == shipped_rules()
    measured.history.undo()
    measured.settings.set("edx_rules", {"rules": [{"name": "A", "when": "O"}]})
    with pytest.raises(InputError, match=r"The rules of cell.*rule 1"):
        rules_of(measured)


def test_the_commands(measured: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured.close()
    cell = str(measured.path)

    def told(*words: object) -> str:
        assert main(["edx", str(words[0]), cell, *map(str, words[1:])]) == 0
        return capsys.readouterr().out

    listed = told("classify")
    assert "Silicon or zirconium oxide: O 67.8 > 20" in listed and "STP" in listed
    assert main(["edx", "classify", cell, "--take"]) == 2 and "no class STP" in capsys.readouterr().err
    assert main(["edx", "classify", cell, "--add-classes"]) == 2
    capsys.readouterr()
    assert json.loads(told("classify", 2, "--json"))["findings"][0]["proposed"] == "AOP"
    assert "Class 1 finding to AOP by composition." in told("classify", 2, "--take")
    assert "Class 2 findings to 2 classes by composition." in told("classify", "--take", "--add-classes")
    assert told("classify", "--take").endswith("Nothing had to be changed.\n")
    assert "Left out as coating: Au." in told("rules")
    own = save_rules(tmp_path / "own", EdxRules((EdxRule("Carbon", "C > 99", "ACP"),)))
    assert "Carbon" in told("rules", "--load", own) and told("classify").count("\n") == 2
    assert json.loads(told("rules", "--json"))["holds_for"] == [1]
    told("rules", "--save", tmp_path / "again")
    assert (tmp_path / "again.edx-rules.json").read_text() == own.read_text()
    assert "NMC 424" in told("rules", "--shipped")


def test_the_same_from_python(measured: Project, tmp_path: Path) -> None:
    own = save_rules(tmp_path / "own", EdxRules((EdxRule("Carbon", "C > 99", "NEW", "New one"),)))
    measured.close()
    frame = api.classify_edx(measured.path)
    assert frame["proposed"].tolist() == ["ACP", "AOP", "CRP", "STP"] and frame["also"][2] == [
        "Cathode material NMC 424"
    ]
    assert api.classify_edx(measured.path, rules=own, take=True, add_classes=True)["finding"].tolist() == [5]
    with Project.open(measured.path, write=False) as again:
        assert again.classes.by_code("NEW").name == "New one"
        assert classes(again)[5] == "NEW"
