"""The state of the window, also when events interleave."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panels_support import write_picture

from microscope_qc import app
from microscope_qc.app.session.session import Session
from microscope_qc.app.session.state import SessionState

pytestmark = pytest.mark.window


class Held:
    """A runner of jobs that does nothing before it is told."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call(self, work: Callable[[], Any], *, on_done: Callable[[Any], None], on_failed: object) -> None:
        self.waiting.append(lambda: on_done(work()))

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Any]:
    """Another project; its slides have the same numbers."""
    from microscope_qc.project import Project

    slides = [write_picture(tmp_path / f"T{number}.png", seed=number) for number in (3, 4)]
    made = Project.create(tmp_path / "other.mqc", slides=slides)
    yield made
    made.close()


def test_pixels_that_come_late_are_not_taken_for_those_of_another_project(project: Any, other: Any) -> None:
    jobs = Held()
    session = Session(jobs)  # type: ignore[arg-type]
    session.set_project(project)
    first = session.slide.id
    session.set_project(other)
    assert [slide.id for slide in other.slides][0] == first
    session.show_slide(other.slides[1].id)
    jobs.waiting.reverse()  # what was asked for first comes last
    jobs.answer()
    assert session.mosaic.path.name == "T4.png"
    session.show_slide(first)
    jobs.answer()
    assert session.mosaic.path.name == "T3.png"
    session.set_project(None)


def test_a_slide_that_is_left_before_its_pixels_come_is_at_hand_later(project: Any) -> None:
    jobs = Held()
    session = Session(jobs)  # type: ignore[arg-type]
    told: list[str] = []
    session.mosaic_changed.connect(lambda: told.append(session.mosaic.path.name))
    session.set_project(project)
    session.show_slide(project.slides[1].id)
    jobs.answer()
    assert told == ["S2.png"]
    session.show_slide(project.slides[0].id)
    assert not jobs.waiting
    assert told == ["S2.png", "S1.png"]
    session.set_project(None)


def test_everything_a_project_tells_is_told_under_the_same_name(session: Any, project: Any) -> None:
    told: list[str] = []
    names = [name for name in project.events.signals if not name.startswith("findings_")]  # these only group others
    for name in names:
        getattr(session, name).connect(lambda name=name: told.append(name))
    for name in names:
        getattr(project.events, name).emit(*([None] if name == "history_changed" else []))
    follows = {"inclusion_changed": ["filter_changed"]}  # what counts decides what is shown
    assert told == [one for name in names for one in (name, *follows.get(name, []))]
    session.set_project(None)
    told.clear()
    project.events.runs_changed.emit()
    assert told == []


def test_the_state_works_without_the_commands(session: Any) -> None:
    assert isinstance(session, SessionState)
    assert not any(hasattr(SessionState(), name) for name in ("judging", "editing", "navigation", "undoing"))


def test_a_session_has_no_widgets() -> None:
    folder = Path(app.__file__).parent / "session"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not any("QtWidgets" in name for name in names), path.name
