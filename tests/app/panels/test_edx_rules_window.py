"""Classes by composition in the window: the card proposes and explains; the rules are edited and tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt

from microscope_qc.app.panels.finding.panel import FindingDock
from microscope_qc.app.panels.sem.rules_dialog import RulesDialog
from microscope_qc.app.panels.sem.rules_model import CODE, CONDITION, HOLDS, MATERIAL
from microscope_qc.core.composition import Amount
from microscope_qc.correlation.edx_rules import EdxRules, save_rules, shipped_rules
from microscope_qc.project import EdxMeasurement
from microscope_qc.workflows.stage.edx_classes import codes_of, rules_of

pytestmark = pytest.mark.window
CHECKED = Qt.ItemDataRole.CheckStateRole
OXIDE = {"O": 67.3, "Si": 17.0, "Zr": 14.4}
STEEL = {"Fe": 70.0, "Cr": 18.0, "Ni": 9.0}


@pytest.fixture
def measured(session: Any) -> Any:
    """Finding 3 is an oxide, finding 4 steel."""
    new = [
        EdxMeasurement(0, 0, "a.csv", "", n, f"D{n}", amounts=tuple(Amount(e, "at", p) for e, p in found.items()))
        for n, found in ((3, OXIDE), (4, STEEL))
    ]
    session.project.measurements.add(new, links={0: (3, "label"), 1: (4, "label")})
    return session


def code_of(session: Any, number: int) -> str:
    return codes_of(session.project, [number])[number]


def test_the_card_explains_the_class_and_its_button_takes_it(measured: Any, qtbot: Any) -> None:
    card = FindingDock(measured)
    qtbot.addWidget(card)
    card.show()
    measured.selection.set([3])
    line = card.composition.proposal
    qtbot.waitUntil(line.isVisible)
    assert "Silicon or zirconium oxide: O 68.2 > 20, Si + Zr 31.8 > 5." in line.words.text()
    assert line.take.text() == "Class AOP  (T)" and code_of(measured, 3) != "AOP"
    line.take.click()
    assert code_of(measured, 3) == "AOP"
    qtbot.waitUntil(lambda: "It has the class AOP." in line.words.text() and not line.take.isVisible())
    measured.project.history.undo()
    qtbot.waitUntil(line.take.isVisible)
    measured.selection.set([4])
    qtbot.waitUntil(lambda: line.take.text() == "Add the class STP and take it")
    line.take.click()
    assert code_of(measured, 4) == "STP"


def test_findings_of_which_nothing_is_proposed_say_so(measured: Any) -> None:
    measured.judging.take_measured_class(measured.table.rows["id"][:2])
    assert measured.seen.notices == ["No composition of these findings means a class."]
    measured.judging.take_measured_class(measured.table.rows["id"][:3])
    assert code_of(measured, 3) == "AOP"


def test_rules_are_edited_and_tested_against_the_project(measured: Any, qtbot: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "own.edx-rules.json")
    dialog = RulesDialog(measured, ask_open=lambda: path, ask_save=lambda: path)
    qtbot.addWidget(dialog)
    dialog.show()
    model = dialog.model
    assert model.index(0, HOLDS).data() == "1" and "2 findings of this project measured" in dialog.words.text()
    assert model.setData(model.index(0, CONDITION), "O > 80 at%")
    assert model.index(0, HOLDS).data() == "0"
    assert not model.setData(model.index(0, CONDITION), "O >")
    assert "cannot be read" in dialog.words.text() and model.rules[0].when == "O > 80 at%"
    assert model.setData(model.index(0, CODE), "COP") and model.setData(model.index(0, CONDITION), "O > 60")
    assert model.setData(model.index(1, MATERIAL), Qt.CheckState.Unchecked.value, CHECKED)
    assert model.index(1, HOLDS).data() == "–"
    dialog.table.selectRow(0)
    dialog.down.click()
    assert [rule.code for rule in model.rules[:2]] == ["CFA", "COP"] and dialog.table.currentIndex().row() == 1
    dialog.coating.setText("Xx")
    dialog.coating.textEdited.emit("Xx")
    assert not dialog.keep.isEnabled() and "not an element" in dialog.words.text()
    dialog.coating.setText("Zr, Si")
    dialog.coating.textEdited.emit("Zr, Si")
    dialog.save.click()
    assert rules_of(measured.project) == shipped_rules()
    dialog.keep.click()
    kept = rules_of(measured.project)
    assert kept.rules == tuple(model.rules) and kept.coating == ("Zr", "Si")
    measured.project.history.undo()
    assert rules_of(measured.project) == shipped_rules()
    measured.project.history.redo()
    again = RulesDialog(measured, ask_open=lambda: path)
    qtbot.addWidget(again)
    assert again.rules == kept
    again.ours.click()
    assert again.rules == shipped_rules()
    again.load.click()
    assert again.rules == kept
    save_rules(Path(path), EdxRules(()))
    again.load.click()
    again.add.click()
    again.table.selectRow(0)
    assert [rule.used for rule in again.model.rules] == [False]
    again.remove.click()
    assert again.model.rules == []
