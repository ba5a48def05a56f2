"""The list of detections: what each found, and what can be done with it by menu and keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panels_support import findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.panels.detect.run_menu import RunMenu
from microscope_qc.app.panels.detect.runs import RunList
from microscope_qc.core.geometry import Region
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture
def runs(session: Any, project: Any) -> list[Any]:
    """Two finished runs: the second found three of the six of the first again, and one more."""
    slide = session.slide
    plans = (
        RunPlan(model="m", model_name="one"),
        RunPlan(model="m", model_name="two", region=Region(0, 0, slide.shape_px[0] // 2, slide.shape_px[1])),
    )
    rows = findings(project.classes, count=7, seed=5)
    made = []
    for plan, part in zip(plans, (rows[:6], rows[3:]), strict=True):
        run = project.runs.start(slide.id, plan)
        project.runs.add_findings(run.id, part)
        made.append(project.runs.finish(run.id, "finished"))
    return made


@pytest.fixture
def listed(session: Any, runs: list[Any], qtbot: Any) -> RunList:
    """The list, with the newest run selected."""
    made = RunList(session)
    qtbot.addWidget(made)
    made.resize(420, 160)
    made.show()
    return made


@pytest.fixture
def menu(session: Any, listed: RunList) -> RunMenu:
    """Its menu; deleting is agreed to, and the name is always the same."""
    return RunMenu(session, listed, ask_name=lambda *_: "Monday", ask_delete=lambda *_: True)


def cells(listed: RunList, place: int) -> list[str]:
    item = listed.topLevelItem(place)
    return [item.text(column) for column in range(listed.columnCount())]


def line(menu: RunMenu, words: str) -> Any:
    menu.fill()
    return next(action for action in menu.menu.actions() if action.text().startswith(words))


def test_the_list_says_what_each_found_what_was_new_and_what_is_left(listed: RunList, session: Any, qtbot: Any) -> None:
    assert cells(listed, 0)[:5] == ["two", "50 %", "4", "1", "4"]
    assert cells(listed, 1)[:5] == ["one", "whole", "6", "6", "6"]
    session.judging.confirm(session.project.opinions.of_run(listed.runs[1].id)["finding_id"][:5])
    qtbot.waitUntil(lambda: cells(listed, 1)[4] == "1")
    assert cells(listed, 0)[4] == "2", "what both found is judged once"


def test_one_is_shown_alone_and_nothing_judged_is_hidden(menu: RunMenu, session: Any, runs: list[Any]) -> None:
    project = session.project
    only_first = int(project.opinions.of_run(runs[0].id)["finding_id"][0])
    session.judging.confirm(np.array([only_first]))
    before, steps = len(session.shown_rows()), len(project.history.entries())
    line(menu, "Show only this").trigger()
    assert [run.shown for run in project.runs] == [False, True]
    assert len(project.history.entries()) == steps + 1
    assert len(session.shown_rows()) == before - 2, "of three that only the other found, one is judged"
    assert only_first in session.shown_rows()["id"]
    assert not line(menu, "Show only this").isEnabled()
    session.undoing.undo()
    assert all(run.shown for run in project.runs) and len(session.shown_rows()) == before
    line(menu, "Hide").trigger()
    assert [run.shown for run in project.runs] == [True, False]
    session.undoing.undo()
    assert len(session.shown_rows()) == before


def test_a_detection_is_renamed_with_f2(menu: RunMenu, listed: RunList, session: Any) -> None:
    listed.setFocus()
    QTest.keyClick(listed, Qt.Key.Key_F2)
    assert session.project.runs[-1].name == "Monday" and cells(listed, 0)[0] == "Monday"
    menu.ask_name = lambda *_: None
    line(menu, "Rename").trigger()
    assert session.project.runs[-1].name == "Monday", "the dialog was left"
    menu.ask_name = lambda *_: "x" * 500
    said: list[str] = []
    session.notice.connect(said.append)
    line(menu, "Rename").trigger()
    assert "at most" in said[0]
    session.undoing.undo()
    assert cells(listed, 0)[0] == "two"


def test_a_detection_is_deleted_after_saying_what_goes(menu: RunMenu, listed: RunList, session: Any) -> None:
    project, asked = session.project, []
    before = len(session.table)

    def ask(_parent: object, name: str, words: str) -> bool:
        asked.append((name, words))
        return len(asked) > 1

    menu.ask_delete = ask
    listed.setFocus()
    QTest.keyClick(listed, Qt.Key.Key_Delete)
    assert asked == [("two", "1 finding goes, 3 of other detections stay")] and len(project.runs) == 2, "refused"
    QTest.keyClick(listed, Qt.Key.Key_Delete)
    assert [run.plan.title for run in project.runs] == ["one"] and len(session.table) == before - 1
    assert listed.topLevelItemCount() == 1
    session.undoing.undo()
    assert len(project.runs) == 2 and len(session.table) == before


def test_what_is_not_possible_says_why(menu: RunMenu, session: Any, runs: list[Any]) -> None:
    assert not line(menu, "Continue").isEnabled() and "finished" in line(menu, "Continue").toolTip()
    session.project.runs.finish(runs[1].id, "running")
    assert line(menu, "Continue").isEnabled(), "interrupted"
    assert not line(menu, "Delete").isEnabled() and "Stop it" in line(menu, "Delete").toolTip()
    wanted: list[Any] = []
    menu.continue_wanted.connect(wanted.append)
    line(menu, "Continue").trigger()
    assert [run.id for run in wanted] == [runs[1].id]
    pairs: list[tuple[int, int]] = []
    menu.compare_wanted.connect(lambda *pair: pairs.append(pair))
    line(menu, "Compare").menu().actions()[0].trigger()
    assert pairs == [(runs[1].id, runs[0].id)]
