"""Findings that look alike are shown before they are judged alike, with a slider."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from microscope_qc.app.widgets import alike_dialog
from microscope_qc.app.widgets.alike_dialog import AlikeDialog
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.workflows.suggestions.alike import Alike


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, session: Any) -> Alike:
    """Four findings, less and less alike."""
    ids = session.shown_rows()["id"]
    alike = Alike(ids[[3, 1, 5, 7]], np.array([0.9, 0.7, 0.62, 0.2]), ("S9",))

    def find(_path: Any, finding_id: int, *, slide_ids: Any) -> Job[Alike]:
        assert finding_id == ids[0]
        yield Progress(0, 1)
        return alike

    monkeypatch.setattr(alike_dialog, "find_alike", find)
    return alike


def test_the_slider_says_which_and_one_undo_reverts(qtbot: Any, session: Any, jobs: Any, found: Alike) -> None:
    first = int(session.shown_rows()["id"][0])
    session.judging.confirm(np.array([first]))
    session.selection.set([first])
    dialog = AlikeDialog(session, jobs)
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.accept_button.isEnabled(), "nothing is known yet"
    qtbot.waitUntil(lambda: dialog.found is found)
    code = session.class_of(int(session.row_of(first)["class_id"])).code
    assert f"Confirm 3 findings as {code}?" in dialog.words.text()
    assert "S9" in dialog.missing.text()
    dialog.slider.setValue(10)
    assert dialog.ids.tolist() == found.ids.tolist()
    qtbot.waitUntil(lambda: dialog.crops.count() == 4)
    dialog.slider.setValue(95)
    assert "Nothing" in dialog.words.text() and not dialog.accept_button.isEnabled()
    dialog.slider.setValue(70)
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
    rows = session.rows_of(found.ids)
    assert (rows["state"] == ReviewState.CONFIRMED).tolist() == [True, True, False, False]
    assert (rows["class_id"][:2] == session.row_of(first)["class_id"]).all()
    session.undoing.undo()
    assert (session.rows_of(found.ids)["state"] == ReviewState.UNREVIEWED).all()
    assert session.row_of(first)["state"] == ReviewState.CONFIRMED


def test_why_nothing_can_be_found_is_said(qtbot: Any, session: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: Any, **__: Any) -> Job[Alike]:
        yield Progress(0, 1)
        raise InputError("The slide has not been read for that.", hint="Switch it on.")

    monkeypatch.setattr(alike_dialog, "find_alike", find)
    session.selection.set(session.shown_rows()["id"][:1])
    dialog = AlikeDialog(session, jobs)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: "has not been read" in dialog.words.text())
    assert not dialog.accept_button.isEnabled() and not dialog.slider.isEnabled()
    dialog.reject()
