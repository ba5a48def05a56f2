"""The window learns while a user labels: the switch, what it begins and when, and judging what is suggested."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project
from microscope_qc.project.suggestions import SuggestionSet, write_how_good, write_suggestions
from microscope_qc.workflows.kept_child import HOLD_OFF_S
from microscope_qc.workflows.suggestions import judging
from microscope_qc.workflows.suggestions.following import EmbeddingFailed, WorkerLost

if TYPE_CHECKING:
    from microscope_qc.app.session.label_learning import LabelLearning
    from microscope_qc.app.shell.main_window import MainWindow

BOXES = np.array([[700.0, 200, 760, 280], [700, 500, 760, 580], [700, 800, 760, 880], [300, 100, 360, 180]])
"""The last one is where a finding is."""


class Work:
    """What the window asks of the process for models; a test says when it ends, and how."""

    def __init__(self, learning: LabelLearning) -> None:
        self.learning = learning
        self.asked: list[str] = []
        self.waits, self.error = False, {}

    def round(self, path: Any, _children: Any, *, first: int) -> Job[None]:
        yield from self._do(f"round {first}")

    def embed(self, path: Any, _children: Any, slide_id: int) -> Job[None]:
        yield from self._do(f"slide {slide_id}")

    def _do(self, name: str) -> Job[None]:
        self.asked.append(name)
        yield Progress(1, 4, "steps", "at work")
        error = self.error.pop(name, None)
        if error is not None:
            raise error
        while self.waits:
            yield Progress(2, 4, "steps", "at work")


def suggest(window: MainWindow, *, count: int = 4) -> SuggestionSet:
    """Write suggestions as the process for models does."""
    project, slide = window.session.project, window.session.slide
    assert project is not None and slide is not None
    ids = [item.id for item in project.classes]
    found = SuggestionSet(
        BOXES[:count], np.array([0.9, 0.5, 0.7, 0.8])[:count], np.array([ids[0], ids[1], ids[0], ids[1]])[:count],
        np.full(count, 0.9), "r", "2026-01-01T10:00:00+00:00", 20,
    )  # fmt: skip
    write_suggestions(project.path, slide, found)
    write_how_good(project.path, ["Of 20 labels left out in turn it found 15 again."], made="2026-01-01T10:00:00")
    return found


@pytest.fixture
def work(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    learning = window.learning
    made = Work(learning)
    monkeypatch.setattr(learning, "_follow_round", made.round)
    monkeypatch.setattr(learning, "_follow_embedding", made.embed)
    yield made
    made.waits = False
    learning.set_on(False)


@pytest.fixture
def suggested(window: MainWindow, work: Work, qtbot: Any) -> Any:
    """Three suggestions that are to be judged."""
    suggest(window)
    window.learning.set_on(True)
    qtbot.waitUntil(lambda: len(window.session.suggested) == 3 and window.learning.handle is None)
    return window.session.suggested


def idle(window: MainWindow, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: window.learning.handle is None)


def test_the_slide_on_screen_is_read_first_then_it_learns_then_the_others_are_read(
    window: MainWindow, work: Work, qtbot: Any
) -> None:
    learning, project = window.learning, window.session.project
    assert not learning.on and project is not None, "nothing is learned unasked"
    history = len(window.jobs.history)
    window.book.trigger("suggest.learn")
    assert learning.on and project.settings.get("learn_from_labels") is True
    qtbot.waitUntil(lambda: work.asked[2:] == ["slide 2", "round 1"])
    assert work.asked[:2] == ["slide 1", "round 1"]
    idle(window, qtbot)
    assert len(window.jobs.history) == history + 2, "rounds are not listed when they are over"
    window.session.show_slide(2)
    qtbot.wait(50)
    assert work.asked[4:] == [], "what was read once is not read again"
    window.book.trigger("suggest.learn")
    assert not learning.on and not project.settings.get("learn_from_labels")


def test_a_round_begins_after_five_judgements_or_when_it_is_quiet(
    window: MainWindow, work: Work, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning, session = window.learning, window.session
    learning.set_on(True)
    qtbot.waitUntil(lambda: len(work.asked) == 4 and learning.handle is None)
    ids = session.shown_rows()["id"]
    work.asked.clear()
    for number in ids[:4]:
        session.judging.confirm(np.array([number]))
    assert learning.handle is None and learning._quiet.isActive()
    session.judging.confirm(ids[4:5])
    assert learning.handle is not None and not learning._quiet.isActive()
    idle(window, qtbot)
    monkeypatch.setattr(learning._quiet, "interval", lambda: 1)
    learning._quiet.setInterval(1)
    session.undoing.undo()
    qtbot.waitUntil(lambda: work.asked == ["round 1", "round 1"])
    learning._quiet.setInterval(10_000)
    idle(window, qtbot)


def test_a_newer_round_takes_the_place_of_an_older_one_but_not_for_ever(
    window: MainWindow, work: Work, qtbot: Any
) -> None:
    learning, session = window.learning, window.session
    learning.set_on(True)
    qtbot.waitUntil(lambda: len(work.asked) == 4 and learning.handle is None)
    work.asked.clear()
    work.waits = True
    ids = session.shown_rows()["id"]
    for count in (1, 2, 3):
        session.judging.confirm(ids) if count % 2 else session.judging.unreview(ids)
        qtbot.waitUntil(lambda count=count: len(work.asked) == count)
        assert not learning.paused
    session.judging.unreview(ids)
    qtbot.wait(100)
    assert len(work.asked) == 3, "the third one is done"
    work.waits = False
    qtbot.waitUntil(lambda: len(work.asked) == 4)
    idle(window, qtbot)


def test_it_pauses_and_goes_on(window: MainWindow, work: Work, qtbot: Any) -> None:
    learning = window.learning
    work.waits = True
    learning.set_on(True)
    qtbot.waitUntil(lambda: work.asked == ["slide 1"])
    panel = window.navigator.show_panel("suggestions")
    switch = panel.switch
    qtbot.waitUntil(lambda: "Reading S1 once: at work, 50 %" in switch.story.text())
    qtbot.mouseClick(switch.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: learning.handle is None)
    qtbot.waitUntil(switch.go_on.isVisible)
    assert "Paused" in switch.story.text() and learning.on
    work.waits = False
    qtbot.mouseClick(switch.go_on, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(work.asked) == 5 and learning.handle is None)
    assert work.asked[1:3] == ["slide 1", "round 1"]


def test_a_process_that_is_lost_is_tried_once_more_and_then_it_is_said(
    window: MainWindow, work: Work, qtbot: Any
) -> None:
    learning = window.learning
    work.error["round 1"] = WorkerLost("Learning from your labels has stopped: signal 9.")
    learning.set_on(True)
    qtbot.waitUntil(lambda: work.asked[:3] == ["slide 1", "round 1", "round 1"])
    qtbot.waitUntil(lambda: len(work.asked) == 5 and learning.handle is None)
    assert not learning.failed
    work.error["round 1"] = ValueError("not foreseen")
    learning.go_on()
    qtbot.waitUntil(lambda: bool(learning.failed))
    assert "not foreseen" in learning.failed
    learning.go_on()
    qtbot.waitUntil(lambda: len(work.asked) == 7 and learning.handle is None)
    assert not learning.failed


def test_a_slide_that_cannot_be_read_is_named_and_the_others_are(window: MainWindow, work: Work, qtbot: Any) -> None:
    work.error["slide 1"] = EmbeddingFailed("The file is damaged.")
    window.learning.set_on(True)
    qtbot.waitUntil(lambda: work.asked == ["slide 1", "round 1", "slide 2", "round 1"])
    idle(window, qtbot)
    panel = window.navigator.show_panel("suggestions")
    qtbot.waitUntil(lambda: panel.switch.left_out.text() == "Left out: S1: The file is damaged.")


def test_what_is_suggested_is_drawn_and_counts_nowhere(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    assert suggested.places.tolist() == [0, 2, 1], "the surest first, and not where a finding is"
    assert len(window.session.shown_rows()) == 8
    window.canvas.fit_slide()
    qtbot.waitUntil(lambda: not window.canvas.suggestions._stale)
    assert window.canvas.suggestions._frames._count == 3
    panel = window.navigator.show_panel("suggestions")
    qtbot.waitUntil(lambda: panel.title.text() == "3 suggestions")
    panel.order.setCurrentIndex(panel.order.findData("helpful"))
    panel.order.activated.emit(1)
    assert suggested.places.tolist() == [1, 2, 0]
    suggested.set_order("sure")
    qtbot.waitUntil(lambda: "found 15 again" in panel.switch.good.text())
    window.learning.set_on(False)
    assert len(suggested) == 0
    qtbot.waitUntil(lambda: window.canvas.suggestions._frames._count == 0)


def click_on(window: MainWindow, y: float, x: float, qtbot: Any) -> None:
    native = window.canvas.picture.native
    left, top = window.canvas.view.to_screen(y, x)
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton, pos=QPoint(round(left), round(top)))


def test_keys_make_findings_of_suggestions_and_undo_takes_them_back(
    window: MainWindow, suggested: Any, qtbot: Any
) -> None:
    session, native = window.session, window.canvas.picture.native
    click_on(window, 730, 240, qtbot)
    assert suggested.current == 0 and len(session.selection) == 0
    QApplication.setActiveWindow(window)
    native.setFocus()
    qtbot.keyClick(native, Qt.Key.Key_Y)
    assert (len(session.shown_rows()), suggested.current, len(suggested)) == (9, 2, 2)
    assert session.shown_rows()[-1]["state"] == ReviewState.CONFIRMED
    qtbot.keyClick(native, Qt.Key.Key_N)
    rejected = session.table.rows[-1]
    assert rejected["state"] == ReviewState.REJECTED and suggested.current == 1
    other = session.classes[3]
    qtbot.keyClick(native, other.key)
    assert session.table.rows[-1]["class_id"] == other.id and len(suggested) == 0
    assert suggested.current is None
    for left in (1, 2, 3):
        session.undoing.undo()
        qtbot.waitUntil(lambda left=left: len(suggested) == left)
    assert suggested.current == 0, "what was judged first was taken back last"
    qtbot.keyClick(native, Qt.Key.Key_Right)
    assert suggested.current == 2
    click_on(window, 330, 140, qtbot)
    assert len(session.selection) == 1 and suggested.current is None
    qtbot.keyClick(native, Qt.Key.Key_K)
    assert len(session.selection) == 0 and suggested.current == 0
    qtbot.keyClick(native, Qt.Key.Key_Escape)
    assert suggested.current is None


def test_what_was_judged_by_mistake_is_looked_at_again_after_an_undo_whatever_was_learned_since(
    window: MainWindow, suggested: Any, qtbot: Any
) -> None:
    session, project = window.session, window.session.project
    suggested.select(0)
    suggested.judge_current(accepted=True)
    assert suggested.current == 2
    session.undoing.undo()
    assert (suggested.current, len(suggested)) == (0, 3), "the next key is for the same one"
    suggested.judge_current(accepted=False)
    write_suggestions(project.path, session.slide, suggested.found.only(np.array([1])))
    window.learning.look()
    qtbot.waitUntil(lambda: len(suggested) == 1)
    session.undoing.undo()
    assert len(suggested) == 2 and suggested.box(suggested.current) == tuple(BOXES[0])
    assert session.table.rows["state"].max() == ReviewState.UNREVIEWED
    window.learning._read()
    qtbot.waitUntil(lambda: not window.learning._reader.busy("read"))
    assert len(suggested) == 2 and suggested.box(suggested.current) == tuple(BOXES[0])
    session.undoing.redo()
    assert len(suggested) == 1 and suggested.current is None
    session.judging.relabel(session.table.ids[-1:], session.classes[2].id)
    session.undoing.undo()
    assert len(suggested) == 1, "only the judgement itself takes it away"


def test_what_is_judged_while_suggestions_are_read_is_not_suggested_again(
    window: MainWindow, suggested: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.app.session import label_learning

    begun, go_on = threading.Event(), threading.Event()

    def slowly(*found: Any) -> Any:
        places = judging.free_indices(*found)
        begun.set()
        go_on.wait(30)
        return places

    monkeypatch.setattr(label_learning, "free_indices", slowly)
    window.learning._read()
    assert begun.wait(30)
    suggested.select(0)
    suggested.judge_current(accepted=True)
    go_on.set()
    qtbot.waitUntil(lambda: not window.learning._reader.busy("read"))
    assert 0 not in suggested.places and len(suggested) == 2


def test_only_what_is_sure_enough_is_shown_gone_through_and_kept(
    window: MainWindow, suggested: Any, qtbot: Any
) -> None:
    panel = window.navigator.show_panel("suggestions")
    places = np.arange(30)
    boxes = np.stack([10.0 * places, 0 * places, 10.0 * places + 8, 0 * places + 8], axis=1)
    kept, of = suggested.found, {"class_ids": suggested.found.class_ids[0], "class_shares": 0.9}
    many = replace(kept, boxes=boxes, scores=places / 30, **{name: np.full(30, value) for name, value in of.items()})
    suggested.show(many, places)
    assert sorted(suggested.places.tolist()) == list(range(6, 30)), "0.2 and above"
    qtbot.waitUntil(lambda: panel.title.text() == "24 of 30 suggestions" and panel.sure_value.text() == "0.20")
    suggested.show(replace(many, scores=many.scores / 10), places)
    assert len(suggested) == 20 and suggested.limit == pytest.approx(many.scores[10] / 10), (
        "the surest, if few are sure"
    )
    suggested.show(many, places)
    suggested.select(7)
    panel.sure.setValue(90)
    assert suggested.places.tolist() == [29, 28, 27] and suggested.current is None
    assert suggested.at(74, 4, margin_px=0) is None and suggested.at(274, 4, margin_px=0) == 27
    assert suggested.to_judge().scores.tolist() == pytest.approx([29 / 30, 28 / 30, 0.9])
    suggested.show(replace(many, scores=many.scores / 2), places)
    qtbot.waitUntil(lambda: panel.title.text() == "0 of 30 suggestions" and not panel.grid.isVisible())
    said = list[str]()
    window.session.notice.connect(said.append)
    window.book.trigger("suggest.keep")
    assert "so sure" in said[-1] and panel.sure.isVisible()
    project = window.session.project
    assert project is not None
    qtbot.waitUntil(lambda: project.settings.get("suggestions_sure") == 0.9)
    panel.sure.setValue(0)
    assert len(suggested) == 30


def test_what_overlaps_goes_with_it_and_those_before_are_next_at_the_end(
    window: MainWindow, suggested: Any, qtbot: Any
) -> None:
    found, said = suggested.found, list[str]()
    over = replace(found, boxes=np.concatenate([BOXES[:2], BOXES[:1] + [0.0, 8, 0, 8], BOXES[2:3]]))
    window.session.notice.connect(said.append)
    suggested.show(over, np.arange(4))
    assert suggested.places.tolist() == [0, 3, 2, 1]
    suggested.select(3)
    suggested.judge_current(accepted=True)
    suggested.select(2)
    suggested.judge_current(accepted=True)
    assert suggested.places.tolist() == [1] and suggested.current == 1
    suggested.show(over, np.array([0, 1]))
    suggested.judge_current(accepted=False)
    assert (
        suggested.current == 0
        and said[-1] == "That was the last suggestion in this order: on with the first of 1 before it."
    )


def test_reading_waits_while_the_user_moves_the_slide(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Reading:
        running = busy = True

        def hold_off(self, seconds: float) -> None:
            told.append(seconds)

    kept = window.jobs.detector
    monkeypatch.setattr(kept, "_child", Reading())
    monkeypatch.setattr(kept, "_yielding", True)
    native = window.canvas.picture.native
    QTest.mousePress(native, Qt.MouseButton.MiddleButton, pos=QPoint(200, 200))
    assert not told
    QTest.mouseMove(native, QPoint(240, 220))
    QTest.mouseRelease(native, Qt.MouseButton.MiddleButton, pos=QPoint(240, 220))
    assert len(told) == 1
    kept._told_at -= HOLD_OFF_S
    window.canvas.zoom_at(1.2, QPointF(200, 200))
    window.canvas.zoom_at(1.2, QPointF(200, 200))
    assert told == [HOLD_OFF_S] * 2, "once in a while is enough"


def test_a_new_round_keeps_the_one_that_is_looked_at(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    suggested.select(2)
    project, slide = window.session.project, window.session.slide
    found = suggested.found
    write_suggestions(project.path, slide, found.only(np.array([1, 2])))
    window.learning.look()
    qtbot.waitUntil(lambda: len(suggested) == 2)
    assert suggested.box(suggested.current) == tuple(BOXES[2])
    write_suggestions(project.path, slide, found.only(np.array([1])))
    window.learning.look()
    qtbot.waitUntil(lambda: len(suggested) == 1)
    assert suggested.current is None


def test_all_of_them_are_kept_as_a_detection(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    session = window.session
    panel = window.navigator.show_panel("suggestions")
    qtbot.waitUntil(panel.keep.isVisible)
    qtbot.mouseClick(panel.keep, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [run.state for run in session.project.runs] == ["finished"])
    run = next(iter(session.project.runs))
    assert (run.title, run.found) == ("Learned from labels (20)", 3)
    qtbot.waitUntil(lambda: len(suggested) == 0)
    session.project.runs.delete(run.id)
    qtbot.waitUntil(lambda: len(suggested) == 3)


def test_what_was_half_kept_when_the_program_was_killed_is_kept_at_the_next_start(
    window: MainWindow, suggested: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.workflows.suggestions import keeping

    monkeypatch.setattr(keeping, "PIECE", 1)
    session, ignore = window.session, shutil.ignore_patterns("owner.*")
    job = keeping.keep(session.project, session.slide, suggested.to_judge())
    killed = []
    for count in (9, 10):
        while len(session.table) < count:
            next(job)
        killed.append(shutil.copytree(session.project.path, tmp_path / f"K{count}.mqc", ignore=ignore))
    job.close()
    assert len(session.project.runs) == 0, "what is stopped is not kept"
    for path in killed:
        with Project.open(path, write=False) as left:
            assert [run.state for run in left.runs] == ["running"]
        session.set_project(Project.open(path))
        assert window.learning.keeping
        qtbot.waitUntil(lambda: not window.learning.keeping)
        assert [run.state for run in session.project.runs] == ["finished"]
        assert session.project.history.undo_title == "Import 8 boxes"
        places = session.project.boxes.table(1).rows[["y0", "x0"]].tolist()
        assert len(set(places)) == len(places) == 11, "all are there, and nothing is there twice"


def test_a_second_click_while_they_are_being_kept_does_nothing(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    session, action = window.session, window.book.actions["suggest.keep"]
    action.trigger()
    assert len(window.jobs.running) == 1
    window.book.trigger("suggest.keep")
    assert len(window.jobs.running) == 1 and "being kept" in window.toast.text
    path = session.project.path
    session.set_project(None)
    assert not window.jobs.running, "what was asked for is done before the project is closed"
    with Project.open(path, write=False) as left:
        assert [(run.state, run.found) for run in left.runs] == [("finished", 3)]


def test_the_review_page_shows_them_in_place_of_the_findings(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    window.workspaces.use("review")
    try:
        page = window.pages.review
        assert page is not None
        qtbot.waitUntil(lambda: page.source.suggestions.text() == "Suggestions 3")
        qtbot.mouseClick(page.source.suggestions, Qt.MouseButton.LeftButton)
        assert page.suggestions.isVisible() and not page.strip.isVisible() and suggested.current == 0
        qtbot.waitUntil(lambda: "suggested" in page.facts.text())
        page.suggestions.setFocus()
        qtbot.keyClick(page.suggestions, Qt.Key.Key_Return)
        assert (suggested.current, len(suggested)) == (2, 2)
        qtbot.keyClick(page.suggestions, Qt.Key.Key_N)
        assert (suggested.current, len(suggested)) == (1, 1)
        qtbot.mouseClick(page.source.findings, Qt.MouseButton.LeftButton)
        assert page.strip.isVisible() and suggested.current is None
    finally:
        window.workspaces.use("annotate")


def test_a_project_is_learned_from_again_when_it_is_opened(window: MainWindow, suggested: Any, qtbot: Any) -> None:
    session = window.session
    path = session.project.path
    session.set_project(None)
    assert len(suggested) == 0 and not window.learning.on
    session.set_project(Project.open(path))
    assert window.learning.on
    qtbot.waitUntil(lambda: len(suggested) == 3 and window.learning.handle is None)
    assert not window.learning.paused
