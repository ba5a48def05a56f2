"""Large changes: a worker writes, the window answers, and nothing that a user did is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = [pytest.mark.window, pytest.mark.usefixtures("large")]


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every change counts as a large one."""
    from microscope_qc.project import commands

    monkeypatch.setattr(commands, "LARGE", 0)


def written(qtbot: Any, window: MainWindow) -> None:
    project = window.session.project
    assert project is not None
    qtbot.waitUntil(lambda: not project.is_writing, timeout=60_000)


def test_a_large_change_is_written_by_a_worker(qtbot: Any, window: MainWindow) -> None:
    from microscope_qc.core.errors import ProjectError

    session, project = window.session, window.session.project
    assert project is not None
    history = window.navigator.show_panel("history")
    ids = session.table.rows["id"].copy()
    session.judging.choose(ids, True)
    assert project.is_writing and not session.table.chosen.any()
    with pytest.raises(ProjectError, match=r"Choose 8 findings.*still being written"):
        session.judging.choose(ids, False)  # and not undone, either, before it is done
    assert history.items.count() and not window.book.actions["edit.undo"].isEnabled()
    written(qtbot, window)
    assert session.table.chosen.all() and project.history.undo_title == "Choose 8 findings for the SEM"
    session.editing.delete(ids[:3])
    written(qtbot, window)
    assert session.table.rows["id"].tolist() == ids[3:].tolist()
    qtbot.waitUntil(window.book.actions["edit.undo"].isEnabled, timeout=60_000)
    window.navigator.trigger("edit.undo")
    written(qtbot, window)
    assert session.table.chosen.all() and len(session.table) == 8


def test_classes_are_merged_by_a_worker(qtbot: Any, window: MainWindow) -> None:
    session, project = window.session, window.session.project
    assert project is not None
    used = sorted(set(session.table.class_ids.tolist()))
    into = next(item.id for item in session.classes if item.id not in used)
    project.classes.merge(used, into=into, carry_out=session.writing.carry_out)
    assert project.is_writing and into not in session.table.class_ids
    written(qtbot, window)
    assert set(session.table.class_ids.tolist()) == {into}
    assert "(8 findings)" in project.history.undo_title


def test_a_large_change_is_kept_when_the_project_is_closed(qtbot: Any, window: MainWindow) -> None:
    from microscope_qc.project import Project

    session, project = window.session, window.session.project
    assert project is not None
    go_on = threading.Event()
    window.jobs._urgent.submit(go_on.wait, 60)  # the worker has not begun
    session.judging.choose(session.table.rows["id"].copy(), True)
    session.set_project(None)
    go_on.set()
    qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)
    with Project.open(project.path, write=False) as again:
        assert again.boxes.table(again.slides[0].id).chosen.all()
        assert again.check() == []


def test_a_large_change_that_is_cancelled_in_time_is_not_made(qtbot: Any, window: MainWindow) -> None:
    session, project = window.session, window.session.project
    assert project is not None
    before, go_on = project.history.undo_title, threading.Event()
    window.jobs._urgent.submit(go_on.wait, 60)
    session.judging.choose(session.table.rows["id"].copy(), True)
    window.jobs.running[-1].cancel()
    go_on.set()
    written(qtbot, window)
    assert not session.table.chosen.any() and project.history.undo_title == before
    qtbot.waitUntil(window.book.actions["edit.undo"].isEnabled, timeout=60_000)


def test_a_large_change_that_fails_is_said_and_changes_nothing(
    qtbot: Any, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.errors import ProjectError

    session, project = window.session, window.session.project
    assert project is not None
    before = project.history.undo_title

    def full(*_: object, **__: object) -> None:
        raise ProjectError("The disk is full.", hint="Free some space.")

    monkeypatch.setattr("microscope_qc.project.log.append", full)
    said: list[Any] = []
    window.errors.user_error.connect(said.append)
    with qtbot.capture_exceptions() as raised:
        session.judging.choose(session.table.rows["id"].copy(), True)
        written(qtbot, window)
        qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)
    assert said or raised
    assert not session.table.chosen.any() and project.history.undo_title == before
    assert project.check() == []


def test_a_large_change_does_not_queue_behind_long_jobs(qtbot: Any, window: MainWindow) -> None:
    from microscope_qc.core.jobs import Job, Progress

    session, go_on = window.session, threading.Event()

    def long() -> Job[None]:
        yield Progress(0, 0)
        go_on.wait(60)

    try:
        for number in range(4):
            window.jobs.run(long(), f"long {number}")
        session.judging.choose(session.table.rows["id"].copy(), True)
        written(qtbot, window)
        assert session.table.chosen.all()
    finally:
        go_on.set()
        qtbot.waitUntil(lambda: not window.jobs.running, timeout=60_000)


def test_a_job_that_is_cancelled_meanwhile_ends_when_its_end_can_be_written(qtbot: Any, window: MainWindow) -> None:
    from microscope_qc.app.base.jobs import JobState
    from microscope_qc.app.panels.detect.panel import DetectDock
    from microscope_qc.core.jobs import Job, Progress
    from microscope_qc.project.runs.plan import RunPlan

    session, project = window.session, window.session.project
    dock = window.navigator.show_panel("detect")
    assert project is not None and isinstance(dock, DetectDock)
    slide = project.slides[0]
    run = project.runs.start(slide.id, RunPlan(model="net", region=[0, 0, *slide.shape_px]))

    def detection() -> Job[None]:
        try:
            while True:
                yield Progress(0, 0, "tiles", "")
        finally:
            project.runs.finish(run.id, "stopped")

    dock.progress.run(detection, "Detecting", pace_key="none")
    handle, go_on = window.jobs.running[-1], threading.Event()
    qtbot.waitUntil(lambda: handle.progress.unit == "tiles")
    window.jobs._urgent.submit(go_on.wait, 60)
    session.judging.choose(session.table.rows["id"].copy(), True)
    dock.progress.cancel()
    qtbot.wait(100)
    assert handle.state is JobState.RUNNING
    go_on.set()
    qtbot.waitUntil(lambda: handle.state is not JobState.RUNNING)
    written(qtbot, window)
    assert handle.state is JobState.CANCELLED and project.runs.by_id(run.id).state == "stopped"


def test_a_project_that_can_store_nothing_is_closed_all_the_same(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.errors import ProjectError
    from microscope_qc.project.parts.settings import StoredSettings

    def full(*_: object, **__: object) -> None:
        raise ProjectError("The disk is full.", hint="Free some space.")

    session, project = window.session, window.session.project
    assert project is not None
    monkeypatch.setattr(StoredSettings, "set", full)
    session.findings.set_order("largest")
    session.set_project(None)
    assert session.project is None and project._store.closed
