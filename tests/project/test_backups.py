"""Backups: when they are made, which are kept, what they say of themselves, and going back to one."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from project_support import some_rows, stored

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, ReadOnlyProjectError
from microscope_qc.core.files import WriteError
from microscope_qc.project import Project, backups
from microscope_qc.project.database import Database, DiskFullError

NOW = datetime(2026, 5, 17, 14, 30)


def back_up(project: Project, *, at_s: float | None = None, every_start: bool = True) -> Path | None:
    database = project._store.database
    return backups.back_up_when_due(database, project.path, now_s=at_s, every_start=every_start)


def test_every_start_of_the_window_makes_one_unless_nothing_was_changed(project: Project) -> None:
    project.close()
    for expected in (1, 2, 2):
        with Project.open(project.path, program="window") as again:
            assert len(backups.backup_files(project.path)) == expected
            if expected == 1:
                again.boxes.add(1, some_rows(2))


def test_commands_that_follow_each_other_make_one_an_hour(project: Project) -> None:
    start = time.time()
    made = []
    for minutes in (0, 10, 50, 61, 70):
        project.boxes.add(1, some_rows(1))
        made.append(back_up(project, at_s=start + 60 * minutes, every_start=False) is not None)
    assert made == [True, False, False, True, False]


@pytest.mark.parametrize("years", [-3, 3])
def test_a_wrong_clock_does_not_stop_them(project: Project, years: int) -> None:
    start = time.time()
    assert back_up(project, at_s=start + years * 365 * 86_400) is not None
    for day in range(8):
        project.boxes.add(1, some_rows(1))
        assert back_up(project, at_s=start + day * 86_400, every_start=False) is not None
    files = backups.backup_files(project.path)
    assert len(files) >= backups.KEPT + 1 and not any(backups.is_damaged(file) for file in files)


@given(st.lists(st.timedeltas(timedelta(days=-800), timedelta(days=800)), max_size=60, unique=True))
def test_they_are_thinned_by_their_age(ages: list[timedelta]) -> None:
    times = [NOW - age for age in ages]
    gone = set(backups.superfluous(times, NOW))
    kept = [made for number, made in enumerate(times) if number not in gone]
    past = sorted((made for made in times if made <= NOW), reverse=True)
    assert set(past[: backups.KEPT]) <= set(kept)
    assert {made for made in times if made > NOW} <= set(kept)
    for made in past:
        age = NOW - made
        slot = "%Y-%m-%d %H" if age < timedelta(days=1) else "%Y-%m-%d" if age < timedelta(days=31) else "%Y-%m"
        assert any(f"{other:{slot}}" == f"{made:{slot}}" for other in kept), "no hour, day or month is without one"


def test_thousands_of_backups_become_few() -> None:
    times = [NOW - timedelta(minutes=20 * number) for number in range(20_000)]
    kept = len(times) - len(backups.superfluous(times, NOW))
    assert kept <= backups.KEPT + 25 + 32 + 11


def test_a_copied_backup_says_when_it_was_made(project: Project) -> None:
    then = datetime(2026, 2, 3, 4, 5).timestamp()
    made = back_up(project, at_s=then)
    assert made is not None
    os.utime(made, (time.time(),) * 2)
    assert backups.made_at(made) == datetime.fromtimestamp(then)


def test_going_back_and_forth(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.boxes.add(1, some_rows(3))
    first = stored(project)
    assert back_up(project, at_s=time.time() - 7200) is not None
    project.boxes.add(1, some_rows(5))
    second = stored(project)
    project.close()
    old = backups.backups_of(project.path)[0]
    assert old.findings == 3
    assert main(["backups", str(project.path), "restore", old.name]) == 0
    said = capsys.readouterr().out
    assert f"as in the backup of {old.time_text}" in said
    with Project.open(project.path) as back:
        assert stored(back) == first and back.check() == []
    newer = next(backup for backup in backups.backups_of(project.path) if backup.findings == 8)
    backups.restore(project.path, newer.name)
    with Project.open(project.path) as forth:
        assert stored(forth) == second
    assert main(["backups", str(project.path)]) == 0 and newer.name in capsys.readouterr().out


def break_backup(project: Project, file: Path) -> None:
    file.write_bytes(b"nothing")


def nothing(project: Project, file: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "change", "words"), [("1999", nothing, "no backup 1999"), ("", break_backup, "is damaged")]
)
def test_what_cannot_be_restored_is_refused(
    project: Project, name: str, change: Callable[[Project, Path], None], words: str
) -> None:
    made = back_up(project)
    assert made is not None
    change(project, made)
    before = (project.path / "project.sqlite").read_bytes()
    with pytest.raises(InputError, match=words):
        backups.restore(project.path, name or made.name)
    assert (project.path / "project.sqlite").read_bytes() == before


def test_an_open_project_is_not_restored_under_its_owner(project: Project) -> None:
    made = back_up(project)
    assert made is not None
    with pytest.raises(ReadOnlyProjectError):
        backups.restore(project.path, made.name)


def test_going_back_while_somebody_reads(project: Project) -> None:
    """The journal that a reader keeps beside the database must not bring back what was there before."""
    project.boxes.add(1, some_rows(3))
    made = back_up(project, at_s=time.time() - 7200)
    assert made is not None
    reader = Project.open(project.path, write=False)
    project.boxes.add(1, some_rows(5))
    project.close()
    assert (project.path / "project.sqlite-wal").exists()
    backups.restore(project.path, made.name)
    with Project.open(project.path) as back:
        assert len(back.boxes.rows(1)) == 3 and back.check() == []
        assert backups.backups_of(project.path)[0].findings == 8
        reader.reload()
        assert len(reader.boxes.rows(1)) == 3
    reader.close()


def no_room(*_: object, **__: object) -> None:
    raise DiskFullError("The disk is full.")


def test_what_finds_no_room_for_a_backup_is_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made = back_up(project, at_s=time.time() - 7200)
    assert made is not None
    project.boxes.add(1, some_rows(5))
    now = stored(project)
    monkeypatch.setattr(Database, "snapshot", no_room)
    with pytest.raises(DiskFullError):
        project.back_up()
    project.close()
    with Project.open(project.path, program="window") as again:
        assert stored(again) == now
    said = backups.restore(project.path, made.name)
    (kept,) = project.path.glob("project.before-*.sqlite")
    assert kept.name in said[-1] and backups._findings_in(kept) == 5


def test_a_backup_that_cannot_be_copied_leaves_all_as_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made = back_up(project, at_s=time.time() - 7200)
    assert made is not None
    project.boxes.add(1, some_rows(5))
    now = stored(project)
    project.close()

    def copy(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Database, "snapshot", no_room)
    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(WriteError, match="disk is full"):
        backups.restore(project.path, made.name)
    with Project.open(project.path) as again:
        assert stored(again) == now


KILLED = """
import os, sys
from pathlib import Path
from microscope_qc.project import backups
from microscope_qc.project.database import Database, DiskFullError

folder, name, last, room = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "room"
steps = []

def counted(act):
    def acted(path, *arguments, **options):
        if path.parent == folder and "project." in path.name:
            if len(steps) == last:
                os._exit(9)
            steps.append(path)
        return act(path, *arguments, **options)
    return acted

def no_room(*arguments):
    raise DiskFullError("The disk is full.")

for act in ("rename", "replace", "unlink"):
    setattr(Path, act, counted(getattr(Path, act)))
if not room:
    Database.snapshot = no_room
backups.restore(folder, name)
"""


@pytest.mark.parametrize("room", ["room", "no room"])
def test_a_project_is_there_after_a_kill_at_any_step_of_going_back(project: Project, room: str, tmp_path: Path) -> None:
    project.boxes.add(1, some_rows(3))
    made = back_up(project, at_s=time.time() - 7200)
    assert made is not None
    then = stored(project)
    project.boxes.add(1, some_rows(5))
    now = stored(project)
    reader = Project.open(project.path, write=False)  # a journal stays beside the database
    project.close()
    whole = tmp_path / "whole"
    shutil.copytree(project.path, whole)
    reader.close()
    outcomes = []
    for step in itertools.count():
        copy = tmp_path / f"{step}" / project.path.name
        shutil.copytree(whole, copy)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(copy), made.name, str(step), room], check=False)
        with Project.open(copy) as opened:
            outcomes.append(stored(opened))
            assert outcomes[-1] in (then, now) and opened.check() == []
        assert not (copy / backups.RESTORED_NAME).exists()
        if outcomes[-1] == then:
            backup = any(one.findings == 8 for one in backups.backups_of(copy))
            aside = [backups._findings_in(file) for file in copy.glob("project.before-*.sqlite")]
            assert backup or aside == [8], "nothing is thrown away"
        if ended.returncode == 0:
            break
        assert ended.returncode == 9
    assert outcomes[0] == now and outcomes[-1] == then and step > 2


def test_what_a_killed_program_left_of_a_backup_is_removed_after_a_day(project: Project) -> None:
    folder = project.path / "backups"
    folder.mkdir(exist_ok=True)
    old, new = folder / ".project-1.sqlite.abc.sqlite", folder / ".project-2.sqlite.abc.sqlite"
    for file, age in ((old, 90_000), (new, 60)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age,) * 2)
    project.boxes.add(1, some_rows(1))
    assert back_up(project) is not None
    assert new.exists() and not old.exists()


def test_a_backup_while_somebody_edits(project: Project) -> None:
    """It reads beside the owner's connection, which may be in the middle of a change."""
    project.boxes.add(1, some_rows(4))
    with project._store.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM boxes")
        made = project._store.database.file.with_name("copy.sqlite")
        project._store.database.snapshot(made)
        connection.rollback()
    assert backups._findings_in(made) == 4
    shutil.rmtree(project.path / "backups", ignore_errors=True)
