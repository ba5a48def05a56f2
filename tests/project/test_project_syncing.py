"""Edits that do not wait for the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.project import Project
from microscope_qc.project import syncing as module
from microscope_qc.project.syncing import Syncing
from microscope_qc.slides.virtual.reader import write_virtual

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    slide = write_virtual(tmp_path / "one.virtual.json", shape=(4000, 4000))
    with Project.create(tmp_path / "made.mqc", slides=[slide]) as made:
        yield made


class Disk:
    """A disk that takes as long as it is told to."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.error: OSError | None = None

    def fsync(self, number: int) -> None:
        self.files.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        self.begun.set()
        assert self.may_end.wait(20)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the names of open files are read from /proc")
    made = Disk()
    monkeypatch.setattr(module.os, "fsync", made.fsync)
    yield made
    made.may_end.set()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a thread."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _statements(project: Project, edit: Any) -> list[str]:
    said: list[str] = []
    database = project._store.database
    database._connection.set_trace_callback(said.append)
    edit()
    database._connection.set_trace_callback(None)
    return [line for line in said if "synchronous" in line or line == "COMMIT"]


def test_an_edit_returns_before_the_disk_has_it_and_another_process_sees_it(project: Project, disk: Disk) -> None:
    project.sync_behind()
    assert project._store.database.pragma("synchronous") == [(1,)], "SQLite would wait itself"
    project.settings.set("seen", 1)
    assert disk.begun.wait(20)
    with Project.open(project.path, write=False) as reader:
        assert reader.settings.get("seen", 0) == 1
    assert disk.files == [str(project.path / "project.sqlite-wal")]


def test_edits_during_one_write_to_the_disk_share_the_next(project: Project, disk: Disk) -> None:
    project.sync_behind()
    project.settings.set("seen", 0)
    assert disk.begun.wait(20)
    for number in range(1, 20):
        project.settings.set("seen", number)
    disk.may_end.set()
    project.close()
    assert len(disk.files) == 2


def test_what_changes_nothing_and_where_a_slide_was_looked_at_are_not_written_through(
    project: Project, disk: Disk
) -> None:
    project.sync_behind()
    assert _statements(project, lambda: project.settings.set("view:1", {"zoom": 2}, light=True)) == ["COMMIT"]
    with project._store.database.begin():
        pass
    project.close()
    assert disk.files == []


def test_a_disk_that_refuses_makes_the_next_edit_wait_for_it(project: Project, disk: Disk) -> None:
    project.sync_behind()
    disk.error = OSError(5, "Input/output error")
    disk.may_end.set()
    project.settings.set("seen", 1)
    syncing = project._store.database._syncing
    assert syncing is not None
    until(lambda: syncing.failed)
    project.settings.set("seen", 2)
    assert project._store.database.pragma("synchronous") == [(2,)]
    assert project.settings.get("seen", 0) == 2


def test_closing_waits_for_the_disk(project: Project, disk: Disk) -> None:
    project.sync_behind()
    project.settings.set("seen", 1)
    assert disk.begun.wait(20)
    closing = threading.Thread(target=project.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    disk.may_end.set()
    closing.join(20)
    assert not closing.is_alive()
    with Project.open(project.path, write=False) as again:
        assert again.settings.get("seen", 0) == 1


def test_without_it_each_edit_waits(project: Project, disk: Disk) -> None:
    project.settings.set("seen", 1)
    assert disk.files == [] and project._store.database.pragma("synchronous") == [(2,)]


def test_a_project_for_reading_has_nothing_to_write(project: Project) -> None:
    with Project.open(project.path, write=False) as reader:
        reader.sync_behind()
        with pytest.raises(MicroscopeQCError):
            reader.settings.set("seen", 1)


def test_a_journal_that_must_not_lie_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microscope_qc.project.database.journal_mode", lambda _folder: "DELETE")
    with Project.create(tmp_path / "far.mqc") as far:
        far.sync_behind()
        assert far._store.database.pragma("synchronous") == [(2,)]


def test_a_file_that_is_gone_fails(tmp_path: Path) -> None:
    syncing = Syncing(tmp_path / "gone")
    syncing.request()
    syncing.close()
    assert syncing.failed
