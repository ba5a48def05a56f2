"""Undo and redo of large steps: a worker writes, the window answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step counts as a large one."""
    from microscope_qc.project import commands

    monkeypatch.setattr(commands, "LARGE", 0)


@pytest.mark.usefixtures("large")
def test_a_large_step_is_written_by_a_worker(qtbot: Any, window: MainWindow) -> None:
    session, project = window.session, window.session.project
    assert project is not None
    history = window.navigator.show_panel("history")
    ids = session.table.rows["id"].tolist()
    window.navigator.trigger("edit.undo")
    assert project.is_writing and session.table.rows["id"].tolist() == ids
    window.navigator.trigger("edit.undo")  # the key is pressed again: once is enough
    window.navigator.trigger("edit.delete")
    assert "being written" in window.toast.text
    assert not window.book.actions["edit.undo"].isEnabled()
    qtbot.waitUntil(lambda: not project.is_writing, timeout=60_000)
    assert len(session.table) == 0 and window.toast.text == "Undone: Import 8 boxes"
    qtbot.waitUntil(lambda: "undone" in history.items.item(0).toolTip(), timeout=60_000)
    qtbot.waitUntil(window.book.actions["edit.redo"].isEnabled, timeout=60_000)
    window.navigator.trigger("edit.redo")
    qtbot.waitUntil(lambda: not project.is_writing, timeout=60_000)
    assert session.table.rows["id"].tolist() == ids == sorted(session.selection.ids.tolist())
    qtbot.waitUntil(window.book.actions["edit.undo"].isEnabled, timeout=60_000)


@pytest.mark.usefixtures("large")
def test_a_large_step_that_fails_is_said_and_changes_nothing(
    qtbot: Any, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.errors import ProjectError
    from microscope_qc.project.parts.history import PendingStep

    session, project = window.session, window.session.project
    assert project is not None

    seen = threading.Event()
    history = window.navigator.show_panel("history")

    def full(step: PendingStep) -> None:
        assert seen.wait(60)
        step.store.free(step)
        raise ProjectError("The disk is full.", hint="Free some space.")

    monkeypatch.setattr(PendingStep, "write", full)
    said: list[Any] = []
    window.errors.user_error.connect(said.append)
    with qtbot.capture_exceptions() as raised:
        window.navigator.trigger("edit.undo")
        qtbot.waitUntil(lambda: not history._undo.isEnabled(), timeout=60_000)
        seen.set()
        qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)
    assert said or raised
    assert len(session.table) == 8 and project.history.can_undo and not project.is_writing
    qtbot.waitUntil(history._undo.isEnabled, timeout=60_000)
    qtbot.waitUntil(window.book.actions["edit.undo"].isEnabled, timeout=60_000)


@pytest.mark.usefixtures("large")
def test_a_project_closed_during_a_large_step_has_it_or_not(qtbot: Any, window: MainWindow) -> None:
    from microscope_qc.project import Project

    session, project = window.session, window.session.project
    assert project is not None
    place = project.path
    window.navigator.trigger("edit.undo")
    session.set_project(None)
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)
    with Project.open(place, write=False) as again:
        count = len(again.boxes.table(again.slides[0].id))
        assert (count, again.history.entries(1)[0].undone) in ((0, True), (8, False))
