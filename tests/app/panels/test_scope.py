"""What the window works over: this slide, selected slides, all slides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from panels_support import write_picture

from microscope_qc.app.session.scope import SETTING, ScopeKind
from microscope_qc.app.session.session import Session

pytestmark = pytest.mark.window


@pytest.fixture
def told(session: Any) -> list[tuple[int, ...]]:
    """The slides of the scope at each signal."""
    seen: list[tuple[int, ...]] = []
    session.scope.changed.connect(lambda: seen.append(session.scope.slide_ids))
    return seen


@pytest.fixture
def three(project: Any, tmp_path: Path) -> list[int]:
    """Ids of the three slides of the project."""
    project.slides.add(write_picture(tmp_path / "S3.png", seed=3))
    return [slide.id for slide in project.slides]


def test_the_scope_is_the_slide_on_screen_until_it_is_changed(session: Any, three: list[int], told: list[Any]) -> None:
    assert session.scope.kind is ScopeKind.SLIDE
    assert session.scope.slide_ids == (three[0],)
    session.show_slide(three[1])
    assert session.scope.slide_ids == (three[1],)
    session.scope.set_kind("all")
    session.show_slide(three[2])  # the same slides as before
    assert told == [(three[1],), tuple(three)]
    assert session.scope.words == "all 3 slides"


def test_chosen_slides_come_in_the_order_of_the_project(session: Any, three: list[int], told: list[Any]) -> None:
    session.scope.set_chosen([three[2], three[0]])
    assert told == []  # nothing works over them yet
    session.scope.set_kind(ScopeKind.SELECTED)
    assert told == [(three[0], three[2])]
    session.scope.set_chosen([])
    assert session.scope.slide_ids == (three[0],)  # the slide on screen


def test_slides_that_come_and_go_are_in_the_scope(
    session: Any, three: list[int], told: list[Any], tmp_path: Path
) -> None:
    project = session.project
    session.scope.set_chosen(three[:2])
    session.scope.set_kind("selected")
    project.slides.remove(three[0])
    assert session.scope.slide_ids == (three[1],)
    project.history.undo()
    assert session.scope.slide_ids == tuple(three[:2])
    session.scope.set_kind("all")
    fourth = project.slides.add(write_picture(tmp_path / "S4.png", seed=4))
    assert told[-1] == (*three, fourth.id)
    project.slides.rename(fourth.id, "other")
    assert told.count((*three, fourth.id)) == 1


def test_the_project_remembers_the_scope(session: Any, project: Any, three: list[int]) -> None:
    session.scope.set_chosen(three[1:])
    session.scope.set_kind("selected")
    other = Session()
    other.scope.show_project(project)
    assert (other.scope.kind, other.scope.slide_ids) == (ScopeKind.SELECTED, tuple(three[1:]))


@pytest.mark.parametrize(
    "stored", [None, 7, {"kind": "everything"}, {"kind": None, "chosen": ["x", None]}, {"chosen": 3}]
)
def test_a_setting_that_cannot_be_read_is_this_slide(session: Any, project: Any, stored: object) -> None:
    project.settings.set(SETTING, stored)
    session.scope.show_project(project)
    assert session.scope.kind is ScopeKind.SLIDE
    assert session.scope.chosen_ids == ()


def test_a_project_without_slides_has_an_empty_scope(session: Any, tmp_path: Path) -> None:
    from microscope_qc.project import Project

    session.scope.set_kind("all")
    session.set_project(Project.create(tmp_path / "empty.mqc"))
    assert session.scope.slide_ids == ()
    assert session.scope.kind is ScopeKind.SLIDE
    session.set_project(None)
