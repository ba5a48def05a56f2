"""The folder of an open project is deleted, renamed or replaced: nothing is acknowledged that is not stored."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from project_support import edit_at_random, some_rows, stored

from microscope_qc.core.errors import DisplacedProjectError, ProjectError, ReadOnlyProjectError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.copying import copy_project
from microscope_qc.project.counting import count_states
from microscope_qc.project.deltas import Delta
from microscope_qc.project.runs.plan import RunPlan

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files where they are")

OPEN_ANOTHER = "import sys; from microscope_qc.project import Project; Project.open(sys.argv[1])"


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere.mqc"))


def replace_by_copy(folder: Path) -> None:
    copy = folder.with_name("copy.mqc")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


def replace_database(folder: Path) -> None:
    shutil.copyfile(folder / "project.sqlite", folder / "new")
    (folder / "new").replace(folder / "project.sqlite")


def delete_log(folder: Path) -> None:
    (folder / "project.sqlite-wal").unlink()


CHANGES = [delete, rename, replace_by_copy, replace_database, delete_log]


def writers(project: Project) -> list[Callable[[], object]]:
    """One change of each kind: edits, results of runs, settings, slides, the history."""
    slide, run = project.slides[0].id, project.runs[0].id
    return [
        lambda: project.boxes.add(slide, some_rows(2)),
        lambda: project.runs.add_findings(run, some_rows(2, confidence=0.5)),
        lambda: project.runs.finish(run, "stopped"),
        lambda: project.runs.know_classes(run, {0: project.classes[0].id}),
        lambda: project.settings.set("x", 1),
        lambda: project.slides.note_contents({slide: "abc"}),
        lambda: project.slides.rename(slide, "other"),
        lambda: project.classes.edit(project.classes[0].id, description="d"),
        lambda: project.marks.add(slide, "M", 1, 2),
        lambda: project.inclusion.set_limit(0.4),
        project.history.undo,
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_written_any_more_and_everything_is_saved_as_new(
    project: Project, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    slide = project.slides[0].id
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(5, seed=3, confidence=0.7))
    project.boxes.add(slide, some_rows(4))
    before, undo = stored(project), project.history.undo_title
    change(project.path)
    assert project.displaced is not None
    for write in writers(project):
        with pytest.raises(DisplacedProjectError, match="cell"):
            write()
    assert stored(project) == before
    copied = run_job(copy_project(project, tmp_path / "saved.mqc"))
    project.close()
    assert bool(copied.missing) == (change is delete)  # only then are the folders of the runs gone
    with Project.open(copied.path) as saved:
        after = stored(saved)
        for row in [*before["slides"].values(), *after["slides"].values()]:
            del row["relative_path"]
        assert after == before and saved.history.undo_title == undo
        assert saved.check() == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_command_that_was_prepared_before_is_not_written(project: Project, change: Callable[[Path], None]) -> None:
    # the check comes right before the commit, not only before the command
    database = project._store.database
    with pytest.raises(DisplacedProjectError), database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO settings VALUES ('a', '1')")
        change(project.path)
    with database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM settings WHERE key = 'a'").scalar() == 0


@pytest.mark.parametrize("change", [replace_by_copy, replace_database])
def test_no_reader_in_this_process_takes_the_copy_for_the_open_project(
    project: Project, change: Callable[[Path], None]
) -> None:
    change(project.path)
    for read in (
        lambda: count_states(project.path, None),
        lambda: Project.open(project.path, write=False),
        project.boxes.reading([1]),
    ):
        with pytest.raises(DisplacedProjectError):
            read()
    project.close()
    with Project.open(project.path) as copy:
        assert len(copy.slides) == 2


def test_a_folder_that_is_put_back_is_written_again(project: Project) -> None:
    project.boxes.add(1, some_rows(2))
    away = project.path.with_name("away.mqc")
    project.path.rename(away)
    with pytest.raises(DisplacedProjectError, match="moved or renamed"):
        project.boxes.add(1, some_rows(2))
    assert project.folder_now == away or sys.platform != "linux"
    away.rename(project.path)
    project.boxes.add(1, some_rows(2))
    project.close()
    with Project.open(project.path) as again:
        assert len(again.boxes.rows()) == 4


def test_closing_a_renamed_project_loses_nothing(project: Project) -> None:
    project.boxes.add(1, some_rows(2))
    away = project.path.with_name("away.mqc")
    project.path.rename(away)
    project.close()
    with Project.open(away) as again:
        assert len(again.boxes.rows()) == 2


def test_closing_leaves_the_log_of_the_copy_in_its_place(project: Project) -> None:
    project.boxes.add(1, some_rows(2))
    replace_by_copy(project.path)  # as a synchronising program may: the database with its log
    project.close()
    with Project.open(project.path) as copy:
        assert len(copy.boxes.rows()) == 2


def test_closing_without_the_log_stores_what_was_in_it(project: Project) -> None:
    project.boxes.add(1, some_rows(2))
    delete_log(project.path)
    project.close()
    with Project.open(project.path) as again:
        assert len(again.boxes.rows()) == 2


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_lock_file_that_is_gone_admits_no_second_writer(project: Project, how: str) -> None:
    lock = project.path / "owner.lock"
    lock.unlink()
    if how == "replaced":
        lock.touch()
    command = [sys.executable, "-c", OPEN_ANOTHER, str(project.path)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ReadOnlyProjectError" in other.stderr, other.stderr
    with pytest.raises(ReadOnlyProjectError):
        Project.open(project.path)
    project.boxes.add(1, some_rows(2))  # the owner takes its lock again
    assert lock.exists() and project.displaced is None


def test_without_a_lock_on_the_folder_a_new_lock_file_stops_the_owner(project: Project) -> None:
    lock = project._store._lock
    assert lock is not None
    lock._folder_lock.release()  # as on a network drive
    (project.path / "owner.lock").unlink()
    other = FileLock(project.path / "owner.lock")
    other.acquire(timeout=0)
    with pytest.raises(DisplacedProjectError, match=r"owner\.lock"):
        project.boxes.add(1, some_rows(2))
    other.release()
    with pytest.raises(DisplacedProjectError, match=r"owner\.lock"):  # the other one may have written
        project.boxes.add(1, some_rows(2))


def test_what_is_in_memory_is_saved_when_the_database_cannot_be_read(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = random.Random(5)
    for _ in range(120):
        edit_at_random(project, edits)
    project._store.commit("Turn", [Delta.edited("slides", {"id": 1, "orientation": 1}, {"orientation": 6})])
    for slide in project.slides:
        project.boxes.table(slide.id)
        project.attributes.of_slide(slide.id)
        project.outlines.of_slide(slide.id)
    project.history.entries(None)
    before = stored(project)

    def fail(*_: object, **__: object) -> None:
        raise ProjectError("gone")

    monkeypatch.setattr(project._store.database, "backup", fail)
    copied = run_job(copy_project(project, tmp_path / "saved.mqc"))
    assert "no earlier step can be undone" in copied.missing[0]
    with Project.open(copied.path) as saved:
        after = stored(saved)
        assert saved.check() == []
        assert [e.title for e in saved.history.entries(None)] == [e.title for e in project.history.entries(None)]
        for slide in project.slides:
            assert saved.boxes.table(slide.id).rows.tobytes() == project.boxes.table(slide.id).rows.tobytes() or (
                [tuple(map(repr, row)) for row in saved.boxes.table(slide.id).rows.tolist()]
                == [tuple(map(repr, row)) for row in project.boxes.table(slide.id).rows.tolist()]
            )
    for row in [*before["slides"].values(), *after["slides"].values()]:
        del row["relative_path"]
        row["fields"] = json.loads(row["fields"])
    for name in (
        "slides",
        "fields",
        "classes",
        "opinions",
        "attributes",
        "outlines",
        "runs",
        "run_classes",
        "marks",
        "inclusion",
    ):
        assert after[name] == before[name], name
