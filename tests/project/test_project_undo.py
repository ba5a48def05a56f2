"""Any sequence of commands can be undone and redone, across restarts."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from project_support import assert_memory_is_stored, some_measurement, some_rows, stored
from small_slides import write_slide

from microscope_qc.core.boxes import FindingFlag, ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.outline import Outline
from microscope_qc.project import Project, commands
from microscope_qc.project.commands import LARGE
from microscope_qc.project.runs.plan import RunPlan

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
picks = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)


@functools.cache
def untouched() -> tempfile.TemporaryDirectory:
    """A folder with two slides and a project of them that has one finished run: made once, copied for each try."""
    folder = tempfile.TemporaryDirectory(prefix="undo-")
    slides = [write_slide(Path(folder.name) / f"{number}.png", seed=number) for number in (1, 2)]
    with Project.create(Path(folder.name) / "p.mqc", slides=slides) as project:
        project.runs.finish(project.runs.start(project.slides[0].id, RunPlan(model="m")).id, "finished")
    return folder


def claims(project: Project) -> dict[str, dict[int, dict[str, Any]]]:
    """Everything that undo is about: what users said, without what models say and what follows from it."""
    state = stored(project)
    del state["opinions"]
    for number, row in list(state["boxes"].items()):
        if not (row["flags"] or row["state"] or row["chosen"] or row["note"]):
            del state["boxes"][number]
            continue
        judged = row["flags"] & (FindingFlag.DRAWN | FindingFlag.DELETED) or row["state"]
        names = () if judged or row["flags"] & FindingFlag.CLASS else ("class_id",)
        names += () if judged or row["flags"] & FindingFlag.BOX else ("y0", "x0", "y1", "x1")
        for name in names:
            del row[name]
    return state


class UndoMachine(RuleBasedStateMachine):
    """Compares the database after every undo and redo with what it was at that point."""

    @initialize(large=st.booleans())
    def make(self, large: bool) -> None:
        if large:  # then what becomes of the findings is worked out by whoever writes
            commands.LARGE = -1
        self.folder = Path(tempfile.mkdtemp(prefix="undo-"))
        shutil.copytree(untouched().name, self.folder, dirs_exist_ok=True)
        self.open()
        (run,) = self.project.runs
        self.run = run.id
        self.given: set[int] = set()
        self.past: list[dict[str, Any]] = []
        self.future: list[dict[str, Any]] = []

    def open(self) -> None:
        self.project = Project.open(self.folder / "p.mqc")
        self.project._store.database.pragma("synchronous=OFF")  # nobody kills this one

    def teardown(self) -> None:
        try:
            self.go_back()
        finally:
            commands.LARGE = LARGE

    def go_back(self) -> None:
        if hasattr(self, "project"):
            while self.past:  # back to the start, then to the end again
                self.undo()
            while self.future:
                self.redo()
            self.project.close()
            shutil.rmtree(self.folder)

    def command(self, call: Any) -> None:
        before, entries = claims(self.project), len(self.project.history.entries())
        call()
        if len(self.project.history.entries()) != entries:
            self.past.append(before)
            self.future.clear()

    def ids(self, choice: list[int]) -> list[int]:
        known = [n for slide in self.project.slides for n in self.project.boxes.table(slide.id).rows["id"].tolist()]
        return sorted({known[number % len(known)] for number in choice}) if known else []

    @rule(count=st.integers(1, 5), seed=st.integers(0, 99), slide=st.integers(0, 1), note=words)
    def add(self, count: int, seed: int, slide: int, note: str) -> None:
        slides = self.project.slides
        rows = some_rows(count, seed=seed, class_id=self.project.classes[0].id, note=note)
        made: list[int] = []
        self.command(lambda: made.extend(self.project.boxes.add(slides[slide % len(slides)].id, rows).tolist()))
        assert not self.given & set(made)  # an id is never used twice
        self.given |= set(made)

    @rule(count=st.integers(1, 3), code=words)
    def bring_in(self, count: int, code: str) -> None:
        new = DefectClass(f"new{len(self.given)} {code}", "brought in")
        rows = {slide.id: some_rows(count, class_id=-1) for slide in self.project.slides}
        attributes = {slide.id: {0: {"of": code}} for slide in self.project.slides}
        shape = Outline.polygon([(0, 0), (0, 9), (9, 9)])
        outlines = {slide.id: {count - 1: shape} for slide in self.project.slides}

        def call() -> None:
            made = self.project.boxes.add_many(rows, classes=[new], attributes=attributes, outlines=outlines)
            self.given |= {n for ids in made.values() for n in ids.tolist()}

        if new.code.strip() not in {defect.code for defect in self.project.classes}:
            self.command(call)

    @rule(choice=picks, state=st.sampled_from(ReviewState), reason=words, note=words)
    def judge(self, choice: list[int], state: ReviewState, reason: str, note: str) -> None:
        ids = self.ids(choice)
        notes = np.array([note] * len(ids), object)
        self.command(lambda: self.project.boxes.edit(ids, state=state, reason=reason, note=notes))

    @rule(choice=picks, y1=st.floats(2000, 1e9), chosen=st.booleans())
    def change(self, choice: list[int], y1: float, chosen: bool) -> None:
        self.command(lambda: self.project.boxes.edit(self.ids(choice), y1=y1, chosen=chosen))

    @rule(choice=picks, shift=st.floats(-1e3, 1e3), resize=st.booleans())
    def move(self, choice: list[int], shift: float, resize: bool) -> None:
        for number in self.ids(choice)[:1]:
            row = self.project.boxes.table(self.project.boxes.slide_of(number)).get([number])[0]
            x1 = row["x1"] + (abs(shift) + 1 if resize else shift)
            x0 = row["x0"] if resize else row["x0"] + shift
            self.command(lambda n=number, a=x0, b=x1: self.project.boxes.edit([n], x0=a, x1=b))

    @rule(choice=picks, key=st.sampled_from(["a", "ü"]), value=words | st.none() | st.integers())
    def describe(self, choice: list[int], key: str, value: Any) -> None:
        self.command(lambda: self.project.attributes.edit(self.ids(choice), {key: value}))

    @rule(choice=picks, corner=st.floats(0, 1e4), take_away=st.booleans())
    def outline(self, choice: list[int], corner: float, take_away: bool) -> None:
        shape = None if take_away else Outline.polygon([(0, corner), (5, 5), (corner + 1, 1)])
        for number in self.ids(choice)[:1]:
            self.command(lambda n=number: self.project.outlines.set(n, shape))

    @rule(choice=picks, dy=st.floats(-100, 100))
    def duplicate(self, choice: list[int], dy: float) -> None:
        made: list[int] = []
        ids = self.ids(choice)
        self.command(lambda: made.extend(self.project.boxes.duplicate(ids, dy_px=dy, dx_px=3).tolist()))
        self.given |= set(made)

    @rule(first=st.integers(0, 50), second=st.integers(0, 50))
    def merge_classes(self, first: int, second: int) -> None:
        ids = [defect.id for defect in self.project.classes]
        sources = {ids[first % len(ids)], ids[second % len(ids)]} - {1}
        if sources:
            self.command(lambda: self.project.classes.merge(sources, into=1))

    @rule(seed=st.integers(0, 99), colour=st.integers(0, 0xFFFFFF))
    def arrange_classes(self, seed: int, colour: int) -> None:
        ids = [defect.id for defect in self.project.classes]
        self.command(lambda: self.project.classes.reorder(np.random.default_rng(seed).permutation(ids).tolist()))
        self.command(lambda: self.project.classes.recolour(dict.fromkeys(ids[::2], f"#{colour:06x}")))

    @rule(update=st.booleans(), key=st.sampled_from("0123456789"))
    def take_classes(self, update: bool, key: str) -> None:
        wanted = [DefectClass("ACP", "changed", key=key), DefectClass(f"set {key}", "of a set", key=key)]
        self.command(lambda: self.project.classes.take(wanted, update=update))

    @rule(choice=picks)
    def delete(self, choice: list[int]) -> None:
        self.command(lambda: self.project.boxes.delete(self.ids(choice)))

    @rule(pick=st.integers(1, 50), move=st.booleans())
    def delete_class(self, pick: int, move: bool) -> None:
        classes = self.project.classes
        victim = classes[pick % len(classes)]
        if victim.id != 1:
            self.command(lambda: self.project.classes.delete(victim.id, move_to=1 if move else None))

    @rule(pick=st.integers(0, 50), key=st.sampled_from(["", *"0123456789"]), name=words, weight=st.floats(0, 9))
    def edit_class(self, pick: int, key: str, name: str, weight: float) -> None:
        victim = self.project.classes[pick % len(self.project.classes)]
        self.command(lambda: self.project.classes.edit(victim.id, key=key, name=name, weight=weight))

    @rule(name=words, y=st.floats(-1e6, 1e6), stage=st.none() | st.floats(-100, 100))
    def place_mark(self, name: str, y: float, stage: float | None) -> None:
        slide = self.project.slides[0].id
        self.command(lambda: self.project.marks.add(slide, f"m{name}", y, 3, stage_x_mm=stage, stage_y_mm=stage))

    @rule(y=st.floats(-1e6, 1e6), delete=st.booleans())
    def change_mark(self, y: float, delete: bool) -> None:
        marks = self.project.marks.of_slide(self.project.slides[0].id)
        if marks and delete:
            self.command(lambda: self.project.marks.delete(marks[0].id))
        elif marks:
            self.command(lambda: self.project.marks.edit(marks[0].id, y_px=y))

    @rule(name=st.sampled_from("AB"), value=st.integers())
    def align(self, name: str, value: int) -> None:
        slide = self.project.slides[-1].id
        self.command(lambda: self.project.registrations.save(slide, name, {"value": value}))

    @rule(choice=picks, share=st.floats(0, 1))
    def measure(self, choice: list[int], share: float) -> None:
        ids = self.ids(choice)
        new = [some_measurement(share) for _ in range(len(ids) + 1)]
        links = {place: (number, "label") for place, number in enumerate(ids)}
        self.command(lambda: self.project.measurements.add(new, links=links))

    @rule(choice=picks, pick=st.integers(0, 50), take_away=st.booleans())
    def link_measurement(self, choice: list[int], pick: int, take_away: bool) -> None:
        known, ids = [measured.id for measured in self.project.measurements], self.ids(choice)
        if known and ids:
            target = None if take_away else ids[0]
            self.command(lambda: self.project.measurements.link({known[pick % len(known)]: target}))

    @rule(pick=st.integers(0, 50))
    def delete_measurement(self, pick: int) -> None:
        known = [measured.id for measured in self.project.measurements]
        if known:
            self.command(lambda: self.project.measurements.delete([known[pick % len(known)]]))

    @rule(size=st.none() | st.floats(0.01, 10))
    def pixel_size(self, size: float | None) -> None:
        self.command(lambda: self.project.slides.set_pixel_size(self.project.slides[-1].id, size))

    @precondition(lambda self: len(self.project.slides) > 1)
    @rule()
    def remove_slide(self) -> None:
        self.command(lambda: self.project.slides.remove(self.project.slides[1].id))

    @rule(shown=st.booleans())
    def switch_run(self, shown: bool) -> None:
        self.command(lambda: self.project.runs.show(self.run, shown))

    @rule(count=st.integers(1, 3))
    def find(self, count: int) -> None:
        ids = self.project.runs.add_findings(self.run, some_rows(count, confidence=0.5))
        self.given |= set(ids.tolist())

    @rule()
    def undo(self) -> None:
        assert self.project.history.can_undo == bool(self.past)
        now = claims(self.project)
        entry = self.project.history.undo()
        assert (entry is None) == (not self.past)
        if self.past:
            assert claims(self.project) == self.past.pop()
            self.future.append(now)

    @rule()
    def redo(self) -> None:
        assert self.project.history.can_redo == bool(self.future)
        now = claims(self.project)
        entry = self.project.history.redo()
        assert (entry is None) == (not self.future)
        if self.future:
            assert claims(self.project) == self.future.pop()
            self.past.append(now)

    @rule()
    def restart(self) -> None:
        self.project.close()
        self.open()

    @invariant()
    def memory_follows(self) -> None:
        if hasattr(self, "project"):
            assert_memory_is_stored(self.project)


TestUndoMachine = UndoMachine.TestCase
TestUndoMachine.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=25, phases=[Phase.explicit, Phase.generate]
)


def test_slides_read_while_a_large_step_is_written_follow_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (slide.id for slide in project.slides)
    for confidence in (0.5, 0.9):  # both find the same, the second one leads
        run = project.runs.start(second, RunPlan(model="m"))
        project.runs.add_findings(run.id, some_rows(4, confidence=confidence))
        project.runs.finish(run.id, "finished")
    project.boxes.add_many({first: some_rows(2), second: some_rows(3, seed=9)})
    project.runs.show(run.id, False)
    project.close()
    monkeypatch.setattr(commands, "LARGE", -1)
    with Project.open(project.path) as again:
        again.boxes.table(first)
        for _ in range(2):
            step = again.history.prepare_step(undo=True)
            assert step is not None
            step.write()
            again.boxes.table(second)
            step.finish()
            assert_memory_is_stored(again)
        assert again.boxes.table(second).rows["run_id"].tolist() == [run.id] * 4


def test_a_large_change_of_one_slide_is_told_as_it_would_be_otherwise(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(5))
    table, told = project.boxes.table(slide), []
    table.changed.connect(lambda change: told.append((change.kind, change.ids.tolist(), len(table))))
    for large in (5_000, -1):
        monkeypatch.setattr(commands, "LARGE", large)
        project.boxes.edit(ids[:3], chosen=True)
        project.boxes.delete(ids[1:2])
        project.history.undo()
        project.history.undo()
    assert told[:4] == told[4:]
    assert told[0] == ("updated", ids[:3].tolist(), 5) and told[1] == ("removed", [int(ids[1])], 4)


def test_a_new_command_drops_what_was_undone(project: Project) -> None:
    slide = project.slides[0].id
    (first,) = project.boxes.add(slide, some_rows(1))
    project.history.undo()
    (second,) = project.boxes.add(slide, some_rows(1, seed=1))
    assert not project.history.can_redo and project.history.redo() is None
    assert first != second
    assert [(entry.kind, entry.undone) for entry in project.history.entries(2)] == [
        ("command", False),
        ("dropped", True),
    ]


def test_undo_returns_what_it_undid(project: Project) -> None:
    ids = project.boxes.add(project.slides[0].id, some_rows(3), title="Draw three")
    heard: list[Any] = []
    project.events.history_changed.connect(heard.append)
    entry = project.history.undo()
    assert heard == [entry]
    assert entry is not None
    assert (entry.title, entry.box_ids, entry.slide_id, entry.undone) == (
        "Draw three",
        tuple(ids.tolist()),
        project.slides[0].id,
        True,
    )
    assert project.history.redo_title == "Draw three" and project.history.undo_title == ""


def test_a_class_that_findings_rely_on_stays_and_undo_continues(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(1), title="before")
    new = project.classes.add("ünknown")
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(2, class_id=new.id, confidence=0.5))
    with pytest.raises(ProjectError, match="Add class ünknown.*detection"):
        project.history.undo()
    assert project.classes.by_code("ünknown") == new
    assert len(project.boxes.table(slide)) == 3
    undone = project.history.undo()
    assert undone is not None and undone.title == "before"
    assert len(project.boxes.table(slide)) == 2
    assert_memory_is_stored(project)


def test_redo_that_findings_prevent_leaves_nothing_to_redo(project: Project) -> None:
    slide = project.slides[0].id
    victim = project.classes.add("X")
    project.classes.delete(victim.id)
    project.history.undo()
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(2, class_id=victim.id, confidence=0.5))
    assert project.history.can_redo
    with pytest.raises(ProjectError, match="cannot be redone"):
        project.history.redo()
    assert not project.history.can_redo
    assert_memory_is_stored(project)


def test_a_listener_that_fails_stops_neither_the_edit_nor_the_others(project: Project) -> None:
    first, second = project.slides
    for slide in (first, second):
        project.boxes.table(slide.id)

    def fail(change: Any) -> None:
        raise RuntimeError("listener")

    project.boxes.table(first.id).changed.connect(fail)
    with pytest.raises(Exception, match="listener"):
        project.boxes.add_many({first.id: some_rows(1), second.id: some_rows(2)})
    assert len(project.boxes.table(second.id)) == 2
    assert_memory_is_stored(project)


def test_undo_never_gives_two_classes_the_same_code(project: Project) -> None:
    project.classes.edit(1, code="old")
    project.classes.ensure([DefectClass("ACP", "of a model")])
    with pytest.raises(ProjectError, match="cannot be undone"):
        project.history.undo()
    assert sorted(defect.code for defect in project.classes).count("ACP") == 1
    assert not project.history.can_undo
    assert_memory_is_stored(project)


def to_both_ends(project: Project) -> None:
    """Undo everything that can be undone, then redo it: nothing may differ."""
    before = stored(project)
    while project.history.can_undo:
        try:
            project.history.undo()
        except ProjectError as refused:
            assert "a detection made since" in str(refused)
    while project.history.can_redo:
        project.history.redo()
    assert stored(project) == before
    assert_memory_is_stored(project)


def test_what_cannot_be_undone_keeps_what_it_was_made_from(project: Project) -> None:
    project.marks.add(project.slides[0].id, "before", 1, 2)
    first = project.classes.add("first")
    second = project.classes.add("second")
    project.areas.declare(project.slides[0].id, [(0, 0), (0, 9), (9, 0)], [first.id, second.id])
    project.classes.merge([first.id], into=second.id)
    project.classes.ensure([DefectClass("first", "of a model")])
    with pytest.raises(ProjectError, match="Merge first into second"):
        project.history.undo()
    assert project.history.undo_title == "Place mark before", "the area and both classes are part of what stays"
    to_both_ends(project)
    assert [mark.name for mark in project.marks] == ["before"]


def test_a_limit_that_a_model_suggests_is_not_taken_back_by_undo(project: Project) -> None:
    project.marks.add(project.slides[0].id, "before", 1, 2)
    project.inclusion.set_limit(0.5)
    project.inclusion.set_limit(0.0)
    project.inclusion.set_limit(0.7)
    project.history.undo()
    project.inclusion.set_limit(0.4, suggested_by="li-ion")
    assert project.history.undo_title == "Place mark before" and not project.history.can_redo
    to_both_ends(project)
    assert project.inclusion.current.confidence_limit == 0.4


def test_a_run_that_continues_is_not_deleted_by_redo(project: Project) -> None:
    slide = project.slides[0].id
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(2, confidence=0.5))
    project.runs.finish(run.id, "stopped")
    project.marks.add(slide, "before", 1, 2)
    project.runs.delete(run.id)
    project.marks.add(slide, "after", 1, 2)
    for _ in range(3):
        project.history.undo()
    project.runs.finish(run.id, "running")
    project.runs.add_findings(run.id, some_rows(3, confidence=0.5))
    assert project.history.redo_title == "Place mark before"
    project.history.redo()
    assert not project.history.can_redo
    to_both_ends(project)
    assert project.runs.by_id(run.id).found == len(project.boxes.table(slide)) == 5


def test_the_same_alignment_again_is_not_a_command(project: Project) -> None:
    slide = project.slides[0].id
    first = project.registrations.save(slide, "R1", {"value": 1})
    entries = len(project.history.entries())
    assert project.registrations.save(slide, "R1", {"value": 1}) == first
    assert len(project.history.entries()) == entries
    project.history.undo()
    assert list(project.registrations) == []
