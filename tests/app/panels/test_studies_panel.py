"""The page of studies: what it asks for, progress with the time left, stopping, and what it found, kept and saved."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from learning_toys import untrained_model
from qtpy.QtCore import Qt

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.learn.studies.panel import StudiesPanel
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, TimedProgress
from microscope_qc.reports.plot_values import Plot
from microscope_qc.workflows.studies.table import Kind, StudyColumn, StudyTable, line_of, lines_plot

pytestmark = pytest.mark.window

COLUMNS = [StudyColumn("title", "Network"), StudyColumn("map50", "mAP50", Kind.SHARE)]


class Commands:
    """Takes the place of child processes: writes a table, or goes on until it is stopped."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.rows: list[dict[str, Any]] = [{"title": "=One", "map50": 0.5, "map50_interval": [0.4, 0.6]}]
        self.charts: list[Plot] = []
        self.waits = self.stopped = False
        self.error: Exception | None = None

    def __call__(self, arguments: list[str]) -> Job[None]:
        self.given.append(arguments)
        yield TimedProgress(1, 4, "networks", "lite0: epoch 1", 90.0)
        try:
            while self.waits:
                yield TimedProgress(1, 4, "networks", "lite0: epoch 1", 90.0)
        finally:
            self.stopped = self.waits
        if self.error is not None:
            raise self.error
        files = [Path(value) for flag, value in zip(arguments, arguments[1:], strict=False) if flag == "--write"]
        if "--out" in arguments:
            folder = Path(arguments[arguments.index("--out") + 1])
            files = [folder / "table.json", folder / "table.html"]
        for file in files:
            StudyTable("A study", "3 pictures", COLUMNS, self.rows, ["said"], self.charts).write(file)


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def panel(qtbot: Any, session: Any, jobs: Any, commands: Commands, monkeypatch: Any) -> Iterator[StudiesPanel]:
    monkeypatch.setattr("microscope_qc.app.panels.learn.studies.panel.divide", lambda s, j, p, then, failed: then())
    made = StudiesPanel(session, jobs, AppSettings(), command=commands)
    qtbot.addWidget(made)
    made.show()
    yield made


def choose(panel: StudiesPanel, action: str) -> Any:
    panel.kind.setCurrentIndex([form.action for form in panel.forms].index(action))
    return panel.form


def test_networks_are_compared_on_the_project(
    qtbot: Any, panel: StudiesPanel, session: Any, commands: Commands
) -> None:
    assert panel.start.isEnabled() and not panel.table.isVisible() and "Nothing yet" in panel.title.text()
    form = panel.form
    for row in range(form.list.count()):
        wanted = form.list.item(row).data(Qt.ItemDataRole.UserRole) == "ssd"
        form.list.item(row).setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)
    form.minutes.setValue(5)
    form.shares.setChecked(True)
    assert "3 trainings: 15:00" in form.takes.text()
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    folder = session.project.path / "studies" / "networks"
    assert commands.given == [[
        "study", "networks", str(session.project.path), "--out", str(folder), "--task", "detect", "--minutes", "5",
        "--network", "ssd", "--share", "0.25", "--share", "0.5", "--share", "1",
    ]]  # fmt: skip
    assert panel.table.item(0, 1).text() == "0.500 (0.400 to 0.600)" and panel.table.isVisible()
    assert "said" in panel.notes.text() and "A study, 3 pictures" in panel.title.text()
    form.list.item(0).setCheckState(Qt.CheckState.Unchecked)
    for row in range(form.list.count()):
        form.list.item(row).setCheckState(Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: not panel.start.isEnabled())
    assert panel.start.toolTip() == "Tick a network."


def test_the_time_left_is_shown_and_a_study_is_stopped(qtbot: Any, panel: StudiesPanel, commands: Commands) -> None:
    commands.waits = True
    panel.start.click()
    qtbot.waitUntil(lambda: "<b>1:30</b> left" in panel.story.text())
    assert panel.bar.value() == 250 and not panel.start.isEnabled() and panel.cancel.isEnabled()
    panel.cancel.click()
    qtbot.waitUntil(lambda: panel.handle is None)
    assert commands.stopped and "What is done is kept" in panel.story.text() and panel.start.isEnabled()
    commands.waits = False
    for error, said in ((ModelError("No boxes."), "No boxes."), (OSError("No space"), "It failed (No space)")):
        commands.error = error
        panel.start.click()
        qtbot.waitUntil(lambda said=said: said in panel.story.text())
        assert panel.handle is None and panel.start.isEnabled()


def test_a_table_that_cannot_be_saved_ends_no_study(
    qtbot: Any, panel: StudiesPanel, session: Any, commands: Commands, tmp_path: Path
) -> None:
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    commands.waits = True
    panel.start.click()
    qtbot.waitUntil(lambda: panel.handle is not None and len(commands.given) == 2)
    (tmp_path / "file").touch()
    panel.save_to(tmp_path / "file" / "t.csv")
    qtbot.waitUntil(lambda: any("cannot be written" in notice for notice in session.seen.notices))
    assert panel.handle is not None and not panel.start.isEnabled()
    panel.cancel.click()
    qtbot.waitUntil(lambda: panel.handle is None)


def test_what_was_found_is_there_again_and_saved(
    qtbot: Any, panel: StudiesPanel, session: Any, jobs: Any, commands: Commands, tmp_path: Path
) -> None:
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    panel.save_to(tmp_path / "t.csv")
    qtbot.waitUntil((tmp_path / "t.csv").exists)
    assert next(iter(csv.reader((tmp_path / "t.csv").open()))) == ["Network", "mAP50", "mAP50, low", "mAP50, high"]
    panel.save_to(tmp_path / "t.html")
    qtbot.waitUntil((tmp_path / "t.html").exists)
    assert "=One" in (tmp_path / "t.html").read_text()
    again = StudiesPanel(session, jobs, AppSettings(), command=commands)
    qtbot.addWidget(again)
    qtbot.waitUntil(lambda: again.found is not None)
    assert again.found.cells() == panel.found.cells()
    choose(again, "rate")
    qtbot.waitUntil(lambda: again.found is None)


def test_charts_are_shown_and_saved_as_those_of_statistics(
    qtbot: Any, panel: StudiesPanel, session: Any, jobs: Any, commands: Commands, tmp_path: Path
) -> None:
    rows = [{"rate": 0.001, "loss": 2.0}, {"rate": 0.01, "loss": 1.0}, {"rate": 0.1, "loss": float("nan")}]
    line = line_of("lite0", rows, "rate", "loss")
    commands.charts = lines_plot("rate", "Loss", "learning rate", "loss", [line], log_x=True, pointer=0.001)
    choose(panel, "rate")
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    assert [panel.views.tabText(place) for place in range(panel.views.count())] == ["Table", "Loss"]
    assert panel.table.isVisible() and not panel.chart.isVisible()
    panel.views.setCurrentIndex(1)
    qtbot.waitUntil(lambda: panel.chart.keys == ["mark-0-0", "mark-0-1"])
    assert panel.chart.isVisible() and panel.chart.place_of("mark-0-0").x() < panel.chart.place_of("mark-0-1").x()
    panel.chart.copy()
    qtbot.waitUntil(lambda: any("on the clipboard" in notice for notice in session.seen.notices))
    for name in ("c.svg", "c.png", "c.csv"):
        panel.save_to(tmp_path / name)
        qtbot.waitUntil((tmp_path / name).exists)
    assert "<svg" in (tmp_path / "c.svg").read_text()[:300]
    lines = list(csv.reader((tmp_path / "c.csv").open()))
    assert lines == [
        ["series", "learning rate", "loss", "low", "high"], ["lite0", "0.001", "2", "", ""],
        ["lite0", "0.01", "1", "", ""],
    ]  # fmt: skip
    again = StudiesPanel(session, jobs, AppSettings(), command=commands)
    qtbot.addWidget(again)
    choose(again, "rate")
    qtbot.waitUntil(lambda: again.views.count() == 2)


def test_a_network_is_cross_validated_and_begun_again(
    qtbot: Any, panel: StudiesPanel, session: Any, commands: Commands
) -> None:
    panel.show_folds("glcm-svm", 7)
    form, folder = panel.form, session.project.path / "studies" / "folds"
    assert form.title == "Cross-validation of a network" and "5 trainings: 35:00" in form.takes.text()
    assert form.classifier.loss.findData("focal") < 0 and not panel.again.isVisible()
    form.folds.setValue(3)
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None and panel.start.isEnabled())
    command = [
        "cross-validate", str(session.project.path), "--out", str(folder), "--folds", "3", "--task", "classify",
        "--network", "glcm-svm", "--minutes", "7", "--sampling", "recrop", "--loss", "cross-entropy",
    ]  # fmt: skip
    assert commands.given == [command] and panel.again.isVisible()
    (folder / "folds").mkdir()
    panel.again.click()
    qtbot.waitUntil(lambda: len(commands.given) == 2 and panel.start.isEnabled())
    assert commands.given[1] == command and not (folder / "folds").exists() and (folder / "table.json").exists()
    panel.show_folds("lite0", 1)
    assert "--loss" not in panel.form.arguments(folder, folder) and not form.classifier.loss.isVisible()


def test_a_model_of_the_table_is_kept(qtbot: Any, panel: StudiesPanel, session: Any, commands: Commands) -> None:
    model = untrained_model(session.project.path / "studies" / "networks" / "models" / "ssd-tiny")
    commands.rows = [{"title": "failed", "model": str(model), "problem": "why"}, {"title": "x", "model": str(model)}]
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    panel.table.selectRow(0)
    qtbot.waitUntil(lambda: panel.keep.isVisible() and not panel.keep.isEnabled())
    panel.table.selectRow(1)
    qtbot.waitUntil(panel.keep.isEnabled)
    with qtbot.waitSignal(panel.model_kept):
        panel.keep.click()
    assert (session.project.path / "models" / "ssd-tiny" / "model.json").exists()


def test_the_other_studies_say_their_commands_or_why_not(
    qtbot: Any, panel: StudiesPanel, session: Any, commands: Commands
) -> None:
    folder = session.project.path / "studies"
    rate = choose(panel, "rate")
    rate.network.setCurrentIndex(1)
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    assert commands.given[-1] == [
        "study", "rate", str(session.project.path), "--task", "detect", "--network", rate.network.currentData()[1],
        "--write", str(folder / "rate" / "table.json"), "--write", str(folder / "rate" / "table.html"),
    ]  # fmt: skip
    for action, words in (("proposals", "two-stage"), ("steps", "slides windows"), ("detectors", "two models")):
        choose(panel, action)
        qtbot.waitUntil(lambda words=words: words in panel.start.toolTip())
        assert not panel.start.isEnabled()
    from microscope_qc.project.runs.plan import RunPlan

    slide = session.project.slides[0].id
    for name in ("a", "b"):
        session.project.runs.start(slide, RunPlan(model=name, model_name=name))
    form = choose(panel, "detectors")
    qtbot.waitUntil(lambda: form.first.count() == 2 and panel.start.isEnabled())
    form.second.setCurrentIndex(0)
    qtbot.waitUntil(lambda: panel.start.toolTip() == "Choose two different ones.")
    form.second.setCurrentIndex(1)
    qtbot.waitUntil(panel.start.isEnabled)
    panel.start.click()
    qtbot.waitUntil(lambda: panel.found is not None)
    assert commands.given[-1][:7] == [
        "study", "detectors", str(session.project.path), "--first", "a", "--second", "b",
    ]  # fmt: skip
