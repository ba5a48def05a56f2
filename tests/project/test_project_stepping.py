"""Steps that a worker writes, ids deleted with one statement, and the history that is read once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project_support import assert_memory_is_stored, some_rows, stored

from microscope_qc.core.errors import ProjectError
from microscope_qc.project import Project, log
from microscope_qc.project.runs.plan import RunPlan


def in_a_thread(call) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_a_step_written_by_a_worker_is_the_same_step(project: Project) -> None:
    slide = project.slides[0].id
    empty = stored(project)
    project.boxes.add(slide, some_rows(300), title="Import boxes")
    full, heard = stored(project), []
    project.boxes.table(slide).changed.connect(lambda change: heard.append((change.kind, len(change.ids))))
    for undo, wanted, count in ((True, empty, 0), (False, full, 300)):
        step = project.history.prepare_step(undo=undo)
        assert step is not None and "Import boxes" in step.title and project.is_writing
        with pytest.raises(ProjectError, match="still being written"):
            project.boxes.add(slide, some_rows(1))
        with pytest.raises(ProjectError, match="still being written"):
            project.history.undo()
        in_a_thread(step.write)
        assert stored(project) == wanted and len(project.boxes.table(slide)) == 300 - count, "memory follows later"
        entry = step.finish()
        assert entry.undone is undo and not project.is_writing
        assert len(project.boxes.table(slide)) == count
        assert_memory_is_stored(project)
    assert heard == [("removed", 300), ("added", 300)]
    assert project.history.can_undo and not project.history.can_redo


def test_a_step_given_up_leaves_everything_as_it_was(project: Project) -> None:
    project.boxes.add(project.slides[0].id, some_rows(3))
    before = stored(project)
    step = project.history.prepare_step(undo=True)
    assert step is not None
    step.give_up()
    assert not project.is_writing and stored(project) == before and project.history.can_undo
    assert project.history.prepare_step(undo=False) is None and not project.is_writing
    project.history.undo()
    assert len(project.boxes.table(project.slides[0].id)) == 0


def test_a_step_that_fails_frees_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.boxes.add(project.slides[0].id, some_rows(3))
    before = stored(project)

    def broken(*_: object, **__: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(log, "note_step", broken)
        step = project.history.prepare_step(undo=True)
        assert step is not None
        with pytest.raises(OSError, match="no room"):
            step.write()
    assert not project.is_writing and stored(project) == before
    project.history.undo()
    assert len(project.boxes.table(project.slides[0].id)) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sets(st.integers(0, 19), min_size=1))
def test_nothing_else_is_deleted(project: Project, places: set[int]) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(20))
    before = stored(project)["boxes"]
    gone = ids[sorted(places)]
    project.boxes.delete(gone)
    assert set(project.boxes.table(slide).rows["id"]) == set(before) - set(gone.tolist())
    assert_memory_is_stored(project)
    project.history.undo()
    assert stored(project)["boxes"] == before


def test_missing_boxes_are_noticed(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.table(slide)
    ids = project.boxes.add(slide, some_rows(5))
    with project._store.database.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM boxes WHERE id = {int(ids[2])}")
    with pytest.raises(ProjectError, match="do not agree with its history"):
        project.boxes.delete(ids)
    assert len(stored(project)["boxes"]) == 4


def test_the_history_is_the_one_on_disk_after_every_step(project: Project) -> None:
    slide, rng = project.slides[0].id, np.random.default_rng(3)
    run = project.runs.start(slide, RunPlan(model="m"))
    for number in range(40):
        kind, ids = rng.integers(0, 7), project.boxes.table(slide).rows["id"]
        if kind == 0 or len(ids) < 3:
            project.boxes.add(slide, some_rows(2, seed=number))
        elif kind == 1:
            project.boxes.edit(ids[:2].copy(), state=int(rng.integers(0, 3)))
        elif kind == 2:
            project.history.undo()
        elif kind == 3:
            project.history.redo()
        elif kind == 4:
            project.runs.add_findings(run.id, some_rows(2, seed=number, confidence=0.5))
        elif kind == 5:
            project.boxes.delete(ids[-1:].copy())
        limit = int(rng.integers(1, 60))
        with Project.open(Path(project.path), write=False) as reader:
            assert project.history.entries(limit) == reader.history.entries(limit)


def moved(project: Project, ids: np.ndarray, dx: float, **more: object) -> None:
    rows = project.boxes.table(project.slides[0].id).get(ids)
    project.boxes.edit(ids, title="Move", x0=rows["x0"] + dx, x1=rows["x1"] + dx, **more)


def test_an_edit_that_continues_the_previous_one_is_one_entry(project: Project) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(3))
    before, count = stored(project), len(project.history.entries())
    moved(project, ids[:2], 4.0)
    first = project.history.entries()[0].time
    while log.now() <= first:
        pass
    for _ in range(3):
        moved(project, ids[:2], 4.0, amends=project.history.undo_entry)
    after = stored(project)
    assert len(project.history.entries()) == count + 1
    with Project.open(project.path, write=False) as reader:
        assert reader.history.entries() == project.history.entries()
    change = project.history.changes_of(project.history.undo_entry)[0]
    assert f"x0={before['boxes'][int(ids[0])]['x0']}" in change.before
    assert f"x0={after['boxes'][int(ids[0])]['x0']}" in change.after
    project.history.undo()
    assert stored(project) == before
    project.history.redo()
    assert stored(project) == after
    assert_memory_is_stored(project)


def test_an_edit_of_other_boxes_or_columns_or_after_another_step_is_an_entry_of_its_own(project: Project) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(4))
    states = [stored(project)]

    def do(call) -> None:
        call()
        states.append(stored(project))

    do(lambda: moved(project, ids[:2], 1.0))
    entry = project.history.undo_entry
    do(lambda: moved(project, ids[1:3], 1.0, amends=entry))
    do(lambda: moved(project, ids[:2], 1.0, amends=entry))  # no longer the newest
    do(lambda: project.boxes.edit(ids[:2], note="seen", amends=project.history.undo_entry))
    do(lambda: project.boxes.edit(ids[:2], y0=[-5.0, -6.0], amends=project.history.undo_entry))
    project.history.undo()
    project.history.undo()
    del states[-2:]
    do(lambda: moved(project, ids[:2], 1.0, amends=project.history.undo_entry))  # undone steps lie in between
    for expected in states[-2::-1]:
        project.history.undo()
        assert stored(project) == expected


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"code": "XYZ"}, "Rename class ACP to XYZ"),
        ({"code": "XYZ", "weight": 3}, "Rename class ACP to XYZ"),
        ({"name": "Soot"}, "Rename class ACP: “Anode carbon particle” to “Soot”"),
        ({"colour": "#123456"}, "Recolour ACP"),
        ({"key": ""}, "No key for class ACP"),
        ({"key": "2"}, "Key 2 for class ACP"),
        ({"weight": 2.5}, "Weight of class ACP: 1 to 2.5"),
        ({"box_size_um": 12.5}, "Box size of class ACP: 12.5 µm"),
        ({"description": "black"}, "Change description of class ACP"),
        ({"description": "black", "weight": 3}, "Change description and weight of class ACP"),
    ],
)
def test_the_history_says_what_was_changed_of_a_class(project: Project, fields: dict, title: str) -> None:
    project.classes.edit(project.classes.by_code("ACP").id, **fields)
    assert project.history.undo_title == title
