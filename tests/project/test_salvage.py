"""What can be read of a damaged database is kept; a backup only completes it."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from project_support import some_rows
from small_slides import write_slide

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.project import Project, backups
from microscope_qc.project.checking import make_readable


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed project: 2,000 findings in its backup, 1,000 more since, each with its number as note."""
    folder = tmp_path_factory.mktemp("damaged")
    with Project.create(folder / "cell.mqc", slides=[write_slide(folder / "a.png", seed=1)]) as project:
        for count in (2000, 1000):
            ids = project.boxes.add(1, some_rows(count, seed=count))
            for number in ids[::100].tolist():
                project.boxes.edit([number], note=f"note {number}")
            if count == 2000:
                project.back_up()
    return project.path


def pages_of(path: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(path / "project.sqlite")) as connection:
        try:
            rows = connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))
            return [row[0] for row in rows]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite does not say which pages a table has")


def spoil_page(path: Path, number: int) -> None:
    with (path / "project.sqlite").open("r+b") as file:
        file.seek((number - 1) * 4096)
        file.write(b"\xa5" * 4096)


@pytest.mark.parametrize("with_backup", [True, False])
def test_one_page_of_findings_is_lost_not_the_others(damaged: Path, tmp_path: Path, with_backup: bool) -> None:
    copy = tmp_path / "cell.mqc"
    shutil.copytree(damaged, copy)
    if not with_backup:
        shutil.rmtree(copy / "backups")
    pages = pages_of(copy, "boxes")
    for number in (pages[len(pages) // 6], pages[-2]):
        spoil_page(copy, number)
    assert backups.is_damaged(copy / "project.sqlite")
    said = make_readable(copy)
    with Project.open(copy) as project:
        project.check()
        rows = project.boxes.table(1).rows
        assert project.check() == []
    here = int(said[0].split(" findings")[0].rpartition(" ")[2].replace("\u202f", "").replace(",", ""))
    assert 2800 < here < 3000, said
    if with_backup:
        assert "was taken from the backup of" in said[1]
        assert here < len(rows) < 3000, "older findings come from the backup, newer ones are lost"
    else:
        assert len(rows) == here
    assert sum(note.startswith("note") for note in rows["note"]) >= 28
    assert list(copy.glob("project.damaged-*.sqlite"))


class Killed(BaseException):
    """Nothing after it is done."""


@pytest.mark.parametrize("with_backup", [True, False])
def test_a_repair_that_is_killed_at_any_step_is_completed_by_the_next(
    damaged: Path, tmp_path: Path, with_backup: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for last in range(8):
        copy = tmp_path / str(last) / "cell.mqc"
        shutil.copytree(damaged, copy)
        if not with_backup:
            shutil.rmtree(copy / "backups")
        spoil_page(copy, pages_of(copy, "boxes")[3])
        (copy / "project.sqlite-shm").write_bytes(b"")
        (copy / ".salvage-left").mkdir()
        steps = itertools.count()

        def killed(move: Callable[..., Path], steps: Iterator[int] = steps, last: int = last) -> Callable[..., Path]:
            def moved(*places: Path) -> Path:
                if places[0].name.startswith("project") and next(steps) == last:
                    raise Killed
                return move(*places)

            return moved

        with monkeypatch.context() as patched, contextlib.suppress(Killed):
            patched.setattr(Path, "rename", killed(Path.rename))
            patched.setattr(Path, "replace", killed(Path.replace))
            make_readable(copy)
        if not (copy / "project.sqlite").exists():
            with pytest.raises(MicroscopeQCError, match="microscope-qc check"):
                Project.open(copy)
        make_readable(copy)
        with Project.open(copy) as project:
            project.check()
            found.append(len(project.boxes.table(1)))
        assert list(copy.glob("project.damaged-*.sqlite")), "nothing is thrown away"
        assert not list(copy.glob(".salvage-*")) and not (copy / "project.salvaged.sqlite").exists()
        if next(steps) <= last:  # it was not killed
            break
    assert last > 2 and set(found) == {found[-1]} and found[-1] > 2500


def test_any_damage_ends_with_a_project_or_a_sentence(
    damaged: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = 300 if request.config.getoption("--long") else 12
    whole = (damaged / "project.sqlite").read_bytes()
    for seed in range(count):
        chance = random.Random(seed)
        copy = tmp_path / f"{seed}" / "cell.mqc"
        shutil.copytree(damaged, copy)
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 40])):
            start = chance.randrange(len(data))
            data[start : start + chance.choice([1, 100, 5000])] = chance.randbytes(chance.choice([1, 100, 5000]))
        kept = chance.choice([len(data), len(data), chance.randrange(len(data))])
        (copy / "project.sqlite").write_bytes(data[:kept])
        try:
            make_readable(copy)
            with Project.open(copy) as project:
                project.check()
                assert len(project.boxes.table(1)) >= 1500, "a backup is the least"
        except MicroscopeQCError as error:
            raise AssertionError(f"seed {seed}: there is a backup") from error
        shutil.rmtree(copy.parent)
