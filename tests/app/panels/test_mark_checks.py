"""A mark that is not ticked is kept out of the fit, and the panel says how far off the alignment is there."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.sem.marks import LEFT_OUT, NAME, RESIDUAL
from microscope_qc.app.panels.sem.panel import SemDock

pytestmark = pytest.mark.window
CHECKED = int(Qt.ItemDataRole.CheckStateRole)
PLACES = [(100.0, 100.0), (100.0, 1500.0), (1100.0, 150.0), (1080.0, 1450.0), (600.0, 800.0)]


def test_a_mark_becomes_a_check_and_its_error_is_shown(qtbot: Any, session: Any, jobs: Any, project: Any) -> None:
    dock = SemDock(session, jobs, AppSettings(), save=lambda: None)
    qtbot.addWidget(dock)
    for number, (y, x) in enumerate(PLACES):
        off_mm = 0.02 if number == 4 else 0.0
        at = 50 + x * 0.0005 + off_mm, 30 - y * 0.0005
        project.marks.add(session.slide.id, f"M{number}", y, x, stage_x_mm=at[0], stage_y_mm=at[1])
    dock.refresh()
    model, name = dock.marks, dock.marks.index(4, NAME)
    assert model.data(name, CHECKED) == Qt.CheckState.Checked
    assert model.flags(name) & Qt.ItemFlag.ItemIsUserCheckable
    assert model.setData(name, Qt.CheckState.Unchecked.value, CHECKED)
    assert project.history.undo_title == "Keep mark M4 out of the fit"
    dock.refresh()
    assert model.data(name, CHECKED) == Qt.CheckState.Unchecked and len(model.complete) == 4
    dock.align.click()
    assert dock.registration is not None and dock.registration.n == 4
    assert float(str(model.index(4, RESIDUAL).data()).replace(",", ".")) == pytest.approx(20, abs=0.1)
    assert model.index(4, LEFT_OUT).data() == "–" and "have changed" not in dock.result.text()
    assert "Check M4" in dock.result.text() and "20.0 µm off" in dock.result.text()
    assert model.setData(name, Qt.CheckState.Checked.value, CHECKED)
    dock.refresh()
    assert "have changed since" in dock.result.text() and len(model.complete) == 5
    project.history.undo()
    dock.refresh()
    assert "have changed since" not in dock.result.text()
    dock.close_crops()
