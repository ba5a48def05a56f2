"""What the window works over: this slide, selected slides, all slides."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panels_support import findings, write_picture

from microscope_qc.app.session import scoped
from microscope_qc.app.session.merged import MergedTable
from microscope_qc.app.session.scope import SETTING, ScopeKind
from microscope_qc.app.session.session import Session
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import ProjectError
from microscope_qc.project import Project, commands
from microscope_qc.project.commands import LARGE, Pending
from microscope_qc.project.parts import tables

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


# -- the findings of the scope -----------------------------------------------------------------------------------------


@pytest.fixture
def filled(session: Any, three: list[int]) -> list[int]:
    """The three slides with twelve findings each; the second is twice as coarse as the first."""
    project = session.project
    project.slides.set_pixel_size(three[1], 1.0)
    for slide_id in three[1:]:
        project.boxes.add(slide_id, findings(project.classes), title="Import")
    return three


def shown_slides(session: Any) -> list[int]:
    """The slide of each finding in review order."""
    return session.scoped.slides_of(session.findings.order_ids()).tolist()


def test_the_order_goes_over_all_slides_worst_first(session: Any, filled: list[int]) -> None:
    assert set(shown_slides(session)) == {filled[0]}
    session.scope.set_kind("all")
    model = session.findings
    assert model.count == 36
    assert sorted(set(shown_slides(session))) == filled
    weight = {item.id: item.weight for item in session.classes}
    keys = []
    for number in model.ids:
        row, size = model.box(number), session.pixel_size_of(number) or (0.75, 0.75)  # the third: as the others
        longest = max((row["y1"] - row["y0"]) * size[0], (row["x1"] - row["x0"]) * size[1])
        keys.append((-weight[int(row["class_id"])], -float(longest)))
    assert keys == sorted(keys)
    session.scope.set_kind("slide")
    assert set(shown_slides(session)) == {filled[0]}


def test_changes_on_any_slide_are_followed(session: Any, filled: list[int]) -> None:
    session.scope.set_kind("all")
    project, found = session.project, session.scoped
    told: list[Any] = []
    found.changed.connect(told.append)
    there = project.boxes.table(filled[2]).rows["id"][:3].copy()
    project.boxes.edit(there, title="Confirm", state=1)
    assert found.table.get(there)["state"].tolist() == [1, 1, 1]
    project.boxes.delete(there[:1])
    assert not found.table.has(there[:1]).any()
    project.history.undo()
    assert found.table.get(there)["state"].tolist() == [1, 1, 1]
    assert found.slides_of(there).tolist() == [filled[2]] * 3
    new = project.boxes.add(filled[1], findings(project.classes)[:2], title="Draw")
    assert found.slides_of(new).tolist() == [filled[1]] * 2
    assert [change.kind for change in told] == ["updated", "removed", "added", "added"]
    every = np.concatenate([project.boxes.table(number).rows for number in filled])
    assert found.table.rows.tolist() == every[np.argsort(every["id"])].tolist()
    assert found.shown.counts().sum() == found.shown.mask().sum() == len(every)


@pytest.mark.parametrize("large", [False, True])
def test_a_change_of_all_slides_is_told_once(
    session: Any, filled: list[int], monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(commands, "LARGE", -1 if large else LARGE)
    session.scope.set_kind("all")
    project, found = session.project, session.scoped
    told: list[Any] = []
    found.changed.connect(lambda change: told.append((change.kind, len(change.ids), len(found.table))))
    project.boxes.edit(found.table.rows["id"].copy(), title="Choose", chosen=True)
    assert told == [("updated", 36, 36)] and found.table.chosen.all()
    project.boxes.delete(np.concatenate([project.boxes.table(number).rows["id"][:2] for number in filled]))
    project.history.undo()
    assert told[1:] == [("removed", 6, 30), ("added", 6, 36)]
    check(session, filled)


def test_what_is_made_ahead_is_taken_over(session: Any, filled: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "LARGE", -1)
    session.scope.set_kind("all")
    project, found = session.project, session.scoped
    told: list[Any] = []
    found.changed.connect(lambda change: told.append((change.kind, len(change.ids), len(found.table))))
    monkeypatch.setattr(scoped, "together", lambda _: pytest.fail("the rows were put together by the window"))
    monkeypatch.setattr(MergedTable, "put", lambda *_: pytest.fail("the rows were written by the window"))
    every = found.table.rows["id"].copy()
    carry_out(session, project.boxes.prepare_edit(every, title="Choose", chosen=True))
    assert told == [("updated", 36, 36)] and found.table.chosen.all()
    project.boxes.delete(every[::2], carry_out=partial(carry_out, session))
    carry_out(session, project.history.prepare_step(undo=True))
    assert told[1:] == [("removed", 18, 18), ("added", 18, 36)]
    check(session, filled)
    ids = project.boxes.table(filled[1]).rows["id"].copy()  # one slide tells for itself
    carry_out(session, project.boxes.prepare_edit(ids, title="Reject", state=2))
    assert told[3:] == [("updated", 12, 36)]
    check(session, filled)


def test_what_was_made_ahead_of_another_change_is_dropped(
    session: Any, filled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LARGE", -1)
    session.scope.set_chosen(filled[:2])
    session.scope.set_kind("selected")
    project = session.project
    command = project.boxes.prepare_edit(session.scoped.table.rows["id"].copy(), title="Choose", chosen=True)
    command.write()
    session.scoped.make_ahead(command.ahead)
    session.scope.set_kind("all")  # the same table, with one slide more
    command.finish()
    check(session, filled)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["kind", "chosen", "slide", "add", "edit", "delete", "undo", "filter", "many", "many"]),
        st.integers(0, 2),
        st.sets(st.integers(0, 2)),
    ),
    max_size=6,
)


@given(STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_table_is_that_of_its_slides_whatever_happens(
    session: Any, filled: list[int], steps: list[tuple[str, int, set[int]]]
) -> None:
    done = 0
    for step, which, some in steps:
        done += take(session, filled, step, which, some, done)
        check(session, filled)


def take(session: Any, slides: list[int], step: str, which: int, some: set[int], done: int) -> int:
    """Do something; returns by how much it changes the number of steps that can be undone."""
    project, ids = session.project, session.project.boxes.table(slides[which]).rows["id"].copy()
    if step == "kind":
        session.scope.set_kind(list(ScopeKind)[which])
    elif step == "chosen":
        session.scope.set_chosen(slides[place] for place in some)
    elif step == "slide":
        session.show_slide(slides[which])
    elif step == "add":
        project.boxes.add(slides[which], findings(project.classes)[:3], title="Draw")
        return 1
    elif step == "edit" and (project.boxes.table(slides[which]).rows["state"] != 2).any():
        project.boxes.edit(ids, title="Reject", state=2)
        return 1
    elif step == "delete" and len(ids):
        project.boxes.delete(ids[:2])
        return 1
    elif step == "undo" and done:
        project.history.undo()
        return -1
    elif step == "many":
        return take_many(session, slides, which, large=bool(some))
    elif step == "filter":
        session.set_filter(states=frozenset({ReviewState.UNREVIEWED}) if which else None)
    return 0


def take_many(session: Any, slides: list[int], which: int, *, large: bool) -> int:
    """Change the findings of all slides in one step, as a large one or not; returns the number of steps."""
    project = session.project
    rows = [project.boxes.table(number).rows for number in slides]
    every = np.concatenate([found["id"] for found in rows])
    commands.LARGE = -1 if large else LARGE
    try:
        if which == 0:
            pending, _ = project.boxes.prepare({number: findings(project.classes)[:3] for number in slides})
            carry_out(session, pending)
        elif which == 1 and len(every):
            some = np.concatenate([found["id"][1:3] for found in rows if len(found) > 1] or [every[:1]])
            project.boxes.delete(some, carry_out=partial(carry_out, session))
        elif any((found["note"] != f"n{len(every)}").any() for found in rows):
            carry_out(session, project.boxes.prepare_edit(every, title="Note", note=f"n{len(every)}"))
        else:
            return 0
        return 1
    finally:
        commands.LARGE = LARGE


def carry_out(session: Any, command: Pending) -> None:
    """Carry a command out as a worker and the window do together."""
    command.write()
    if command.ahead is not None:
        session.scoped.make_ahead(command.ahead)
    command.finish()


def check(session: Any, slides: list[int]) -> None:
    """Table, filter, counts and slides are what the tables of the slides say."""
    project, found = session.project, session.scoped
    every = np.concatenate([project.boxes.table(number).rows for number in session.scope.slide_ids])
    every = every[np.argsort(every["id"], kind="stable")]
    assert repr(found.table.rows.tolist()) == repr(every.tolist())
    passing = project.filters.current.mask(every)
    assert found.shown.mask().tolist() == passing.tolist()
    assert found.shown.counts().sum() == passing.sum()
    owner = {n: s for s in slides for n in project.boxes.table(s).rows["id"].tolist()}
    assert found.slides_of(every["id"]).tolist() == [owner[n] for n in every["id"].tolist()]
    session.findings.sort_again()  # new findings are sorted in after a moment
    assert sorted(session.findings.ids) == every["id"][passing].tolist()


# -- in the background -------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(qtbot: Any, project: Any, jobs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A session that reads few findings at a time, and puts them together in the background."""
    monkeypatch.setattr(scoped, "AT_ONCE", 0)
    monkeypatch.setattr(scoped, "AHEAD_MS", 1_000_000)
    monkeypatch.setattr(tables, "AT_A_TIME", 5)
    project.slides.add(write_picture(tmp_path / "S3.png", seed=3))
    for slide in project.slides[1:]:
        project.boxes.add(slide.id, findings(project.classes), title="Import")
    project.close()  # nothing of it is in memory
    made = Session(jobs)
    made.set_project(Project.open(project.path))
    yield made
    made.set_project(None)


def slide_ids(session: Any) -> list[int]:
    return [slide.id for slide in session.project.slides]


def test_findings_of_many_slides_are_put_together_in_the_background(qtbot: Any, busy: Any) -> None:
    slides = slide_ids(busy)
    assert busy.project.boxes.unread(slides) == slides[1:]
    busy.scope.set_kind("all")
    assert busy.scoped.loading and busy.scoped.table is busy.table  # what was there stays
    busy.project.boxes.delete(busy.project.boxes.table(slides[1]).rows["id"][:3].copy())  # and can be changed
    qtbot.waitUntil(lambda: not busy.scoped.loading)
    check(busy, slides)
    assert len(busy.scoped.table) == 33


def test_an_edit_while_they_are_put_together_is_not_lost(
    qtbot: Any, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides, plain, made = slide_ids(busy), scoped.merged, []

    def merged(found: Any) -> Any:
        made.append(plain(found))
        if len(made) == 1:  # the window goes on editing meanwhile
            came.set()
            assert go_on.wait(30)
        return made[-1]

    came, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(scoped, "merged", merged)
    busy.scope.set_kind("all")
    qtbot.waitUntil(came.is_set)
    busy.project.boxes.edit(busy.table.rows["id"].copy(), title="Reject", state=2)
    go_on.set()
    qtbot.waitUntil(lambda: not busy.scoped.loading)
    assert len(made) == 2
    check(busy, slides)


def test_a_scope_that_is_left_while_it_is_read_does_not_come_later(qtbot: Any, busy: Any, jobs: Any) -> None:
    busy.scope.set_kind("all")
    busy.scope.set_kind("slide")
    assert not busy.scoped.loading
    first = busy.table
    qtbot.waitUntil(lambda: not jobs._calls)
    qtbot.wait(50)
    assert busy.scoped.table is first and not busy.scoped.several


def test_findings_that_cannot_be_read_are_said(qtbot: Any, busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    busy.notice.connect(said.append)

    def fail(_slide_ids: Any) -> Any:
        def read() -> None:
            raise ProjectError("The database of t is damaged.")

        return read

    with monkeypatch.context() as damaged:
        damaged.setattr(busy.project.boxes, "reading", fail)
        busy.scope.set_kind("all")
        qtbot.waitUntil(lambda: not busy.scoped.loading)
    assert said == ["The findings of the other slides could not be read: The database of t is damaged."]
    assert busy.scoped.table is busy.table
    busy.scope.set_kind("slide")
    busy.scope.set_kind("all")
    qtbot.waitUntil(lambda: busy.scoped.several)
    check(busy, slide_ids(busy))


def test_all_slides_are_read_ahead(qtbot: Any, busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoped, "AHEAD_MS", 0)
    busy.scoped.read_ahead()
    qtbot.waitUntil(lambda: not busy.project.boxes.unread(slide_ids(busy)))
    assert busy.scoped.table is busy.table and not busy.scoped.loading


def test_what_was_put_together_ahead_is_used_as_long_as_nothing_changes(
    qtbot: Any, busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoped, "AHEAD_MS", 0)
    busy.scoped.read_ahead()
    qtbot.waitUntil(lambda: busy.scoped._spare is not None)
    busy.scope.set_kind("all")
    assert busy.scoped.several and not busy.scoped.loading  # at once
    check(busy, slide_ids(busy))
    number = busy.scoped.table.rows["id"][:1].copy()
    busy.project.boxes.edit(number, title="Note", note="seen")
    busy.scope.set_kind("slide")
    busy.scope.set_kind("all")
    assert busy.scoped.several  # it was kept up to date
    check(busy, slide_ids(busy))
    busy.scope.set_kind("slide")
    busy.project.boxes.edit(number, title="Note", note="not seen")
    busy.scope.set_kind("all")
    assert not busy.scoped.several and busy.scoped.loading
    qtbot.waitUntil(lambda: busy.scoped.several)
    check(busy, slide_ids(busy))


def test_what_is_left_within_a_change_is_not_used_again(qtbot: Any, busy: Any) -> None:
    busy.scope.set_kind("all")
    qtbot.waitUntil(lambda: busy.scoped.several)

    def leave(*_: Any) -> None:  # before the table over all slides has followed
        busy.scope.set_kind("slide")

    first = busy.project.boxes.table(slide_ids(busy)[1])
    first.changed.connect(leave, priority=1)
    busy.project.boxes.edit(first.rows["id"][:1], title="Note", note="seen")
    busy.scope.set_kind("all")
    qtbot.waitUntil(lambda: busy.scoped.several and not busy.scoped.loading)
    check(busy, slide_ids(busy))
