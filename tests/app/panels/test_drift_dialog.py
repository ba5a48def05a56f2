"""Marks that are visited again tell in the window how the stage has moved, and the moved alignment is kept."""

from __future__ import annotations

from typing import Any

import pytest
from panels_support import PIXEL_UM
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QTableView

from microscope_qc.app.panels.sem.drift_dialog import LEFT, NOW_X, NOW_Y, DriftDialog
from microscope_qc.app.panels.sem.mark_tools import MarkTools
from microscope_qc.app.panels.sem.marks import MarksModel
from microscope_qc.workflows.stage.stage import fit_registration

pytestmark = pytest.mark.window

PLACES = {"A": (100, 100), "B": (100, 1500), "C": (1100, 150), "D": (1080, 1450)}


def on_stage(name: str) -> tuple[float, float]:
    y, x = PLACES[name]
    return 50 + x * PIXEL_UM / 1000, 30 - y * PIXEL_UM / 1000


@pytest.fixture
def tools(qtbot: Any, session: Any, jobs: Any, project: Any) -> MarkTools:
    made = MarkTools(session, jobs, MarksModel(session), QTableView())
    qtbot.addWidget(made)
    made.refresh()
    assert not made.drift.isEnabled() and "Align" in made.drift.toolTip()
    for name, (y, x) in PLACES.items():
        stage_x, stage_y = on_stage(name)
        project.marks.add(session.slide.id, name, y, x, stage_x_mm=stage_x, stage_y_mm=stage_y)
    fit_registration(project, session.slide.id, name="R1")
    made.refresh()
    return made


def asked(tools: MarkTools) -> DriftDialog:
    tools.drift.click()
    assert tools.drifting is not None
    return tools.drifting


def test_a_shift_is_told_and_kept_as_another_alignment(tools: MarkTools, session: Any, project: Any) -> None:
    dialog = asked(tools)
    assert not dialog.keep.isEnabled() and "first" in dialog.keep.toolTip()
    x, y = on_stage("B")
    dialog.table.item(1, NOW_X).setText(f"{x + 0.01:.6f}".replace(".", ","))
    assert dialog.found is None, "one axis says nothing"
    dialog.table.item(1, NOW_Y).setText(f"{y - 0.02:.6f}")
    assert "Moved by 22.4 µm (x +10.0, y -20.0)" in dialog.words.text() and dialog.table.item(1, LEFT).text() == "0.00"
    dialog.name.setText("R1")
    assert not dialog.keep.isEnabled()
    dialog.name.setText("R2")
    dialog.keep.click()
    assert [known.name for known in project.registrations] == ["R1", "R2"]
    moved = {mark.name: (mark.stage_x_mm, mark.stage_y_mm) for mark in project.marks.of_slide(session.slide.id)}
    assert moved["A"] == pytest.approx((on_stage("A")[0] + 0.01, on_stage("A")[1] - 0.02), abs=1e-6)
    project.history.undo()
    project.history.undo()
    assert [known.name for known in project.registrations] == ["R1"]


def test_positions_are_pasted_by_the_names_of_marks(tools: MarkTools) -> None:
    dialog = asked(tools)
    lines = [f"{name}; {on_stage(name)[0] + 0.005:.6f}; {on_stage(name)[1]:.6f}".replace(".", ",") for name in "DA"]
    QGuiApplication.clipboard().setText("\n".join(lines))
    dialog.paste.click()
    assert "by 2 marks" in dialog.words.text() and "turned" in dialog.words.text()
    QGuiApplication.clipboard().setText("Z 1 2")
    dialog.paste.click()
    assert "no mark “Z”" in dialog.words.text()
    dialog.reject()


def test_what_is_no_position_or_in_another_unit_is_said(tools: MarkTools) -> None:
    dialog = asked(tools)
    dialog.table.item(0, NOW_X).setText("fifty")
    dialog.table.item(0, NOW_Y).setText("30")
    assert "“fifty” is not a number" in dialog.words.text() and not dialog.keep.isEnabled()
    x, y = on_stage("A")
    dialog.table.item(0, NOW_X).setText(str(x * 1000))
    dialog.table.item(0, NOW_Y).setText(str(y * 1000))
    assert "seem to be in µm" in dialog.words.text() and not dialog.keep.isEnabled()
    dialog.reject()
