"""Opening: one owner, readers, newer versions, damage, folders that cannot be written, slides that moved."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_support import assert_memory_is_stored, some_rows
from small_slides import write_slide

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.errors import InputError, ProjectError, ReadOnlyProjectError, SlideError
from microscope_qc.project import Project, migrations, schema


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, who can write everywhere."""
    if not hasattr(os, "seteuid"):
        pytest.skip("rights are tested where users have numbers")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def read_only_folder(project: Project) -> Iterator[Path]:
    """A copy of a project with three boxes in a folder where nothing may be written."""
    project.boxes.add(project.slides[0].id, some_rows(3))
    project.close()
    parent = Path(tempfile.mkdtemp(prefix="read-only-"))
    folder = parent / "cell.mqc"
    shutil.copytree(project.path, folder)
    parent.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(parent)


def lock_up(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_the_second_writer_is_told_who_the_first_is(project: Project) -> None:
    with pytest.raises(ReadOnlyProjectError, match=r"cell is open in a command of .+ on .+ since \d{4}-") as caught:
        Project.open(project.path)
    assert caught.value.hint
    with Project.open(project.path, write=False) as reader:
        assert reader.owner is not None and reader.owner["pid"] == os.getpid()
        assert reader.read_only and not reader.history.can_undo
        with pytest.raises(ReadOnlyProjectError, match="is open in a command"):
            reader.boxes.add(reader.slides[0].id, some_rows(1))
    project.close()
    with Project.open(project.path, program="window") as again:
        assert again.owner is not None and again.owner["program"] == "window"
        with pytest.raises(ReadOnlyProjectError, match="open in a window of"):
            Project.open(project.path)


def test_a_writer_in_another_process_is_refused_too(project: Project) -> None:
    code = "import sys; from microscope_qc.project import Project; Project.open(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(project.path)], check=False, capture_output=True, text=True)
    assert done.returncode != 0 and "ReadOnlyProjectError" in done.stderr and "is open in a command" in done.stderr


def test_an_owner_file_left_by_a_kill_stops_nobody(project: Project) -> None:
    note = (project.path / "owner.json").read_text(encoding="utf-8")
    project.close()
    assert not (project.path / "owner.json").exists()
    gone = subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"], text=True)
    stale = {**json.loads(note), "pid": int(gone)}
    for text in (json.dumps(stale), note.replace(":", ""), "[]", '{"pid": "x", "since": 4}', "\x00"):
        (project.path / "owner.json").write_text(text, encoding="utf-8")
        with Project.open(project.path, write=False) as reader:
            assert reader.owner is None
        with Project.open(project.path) as again:
            assert again.owner is not None and again.owner["pid"] == os.getpid()


def test_a_reader_sees_what_was_committed_when_it_reloads(project: Project) -> None:
    slide = project.slides[0].id
    with Project.open(project.path, write=False) as reader:
        table = reader.boxes.table(slide)
        project.boxes.add(slide, some_rows(3))
        project.classes.add("New")
        assert len(table) == 0
        reader.reload()
        assert len(table) == 3 and reader.classes.by_code("New").code == "New"
        reader.filters.set(BoxFilter(class_ids=frozenset()))  # a reader may have a filter of its own
        assert len(reader.boxes.rows(shown=True)) == 0 and len(project.boxes.rows()) == 3
        assert_memory_is_stored(reader)


def test_a_newer_project_is_refused_and_left_alone(project: Project) -> None:
    project.close()
    with contextlib.closing(sqlite3.connect(project.path / "project.sqlite")) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        connection.commit()
    before = content(project.path)
    for write in (True, False):
        with pytest.raises(ProjectError, match="newer version") as caught:
            Project.open(project.path, write=write)
        assert "Install" in caught.value.hint
    assert content(project.path) == before


def test_an_older_project_is_migrated_after_a_backup(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.boxes.add(project.slides[0].id, some_rows(3))
    project.close()
    version = schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "SCHEMA_VERSION", version + 1)
    with pytest.raises(ProjectError, match="older version"):
        Project.open(project.path, write=False)
    with pytest.raises(ProjectError, match="nothing can read"):
        Project.open(project.path)
    step = {version: lambda connection: connection.exec_driver_sql("ALTER TABLE slides ADD COLUMN stain TEXT")}
    monkeypatch.setattr(migrations, "STEPS", step)
    with Project.open(project.path) as renewed:
        assert migrations.version_of(renewed._store.database) == version + 1 and len(renewed.boxes.rows()) == 3
    (copy,) = project.path.glob(f"before-version-{version + 1}-*.sqlite")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == (str(version),)
        assert connection.execute("SELECT count(*) FROM boxes").fetchone() == (3,)


def test_a_step_that_fails_leaves_the_old_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()

    def fail(connection: object) -> None:
        connection.exec_driver_sql("DELETE FROM slides")  # type: ignore[attr-defined]
        connection.exec_driver_sql("nonsense")  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
        patch.setattr(migrations, "STEPS", {schema.SCHEMA_VERSION - 1: fail})
        with pytest.raises(ProjectError):
            Project.open(project.path)
    with Project.open(project.path) as again:
        assert len(again.slides) == 2


@pytest.mark.parametrize("kind", ["truncated", "empty", "foreign", "text", "missing", "header"])
def test_a_damaged_database_is_reported_in_one_sentence(project: Project, kind: str) -> None:
    project.boxes.add(project.slides[0].id, some_rows(2000))
    project.close()
    file = project.path / "project.sqlite"
    whole = file.read_bytes()
    if kind == "missing":
        file.unlink()
    elif kind == "foreign":
        file.unlink()
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE songs (title TEXT)")
    else:
        damage = {
            "truncated": whole[:5000],
            "empty": b"",
            "text": b"hello\n" * 999,
            "header": b"\x00" * 100 + whole[100:],
        }
        file.write_bytes(damage[kind])
    before = content(project.path)
    for write in (True, False):
        with pytest.raises(ProjectError) as caught:
            Project.open(project.path, write=write)
        assert caught.value.hint and "\n" not in str(caught.value)
    assert {name: data for name, data in content(project.path).items() if name != "owner.lock"} == {
        name: data for name, data in before.items() if name != "owner.lock"
    }


def test_what_is_not_a_project_is_refused(tmp_path: Path, project: Project) -> None:
    (tmp_path / "file.mqc").write_text("x", encoding="utf-8")
    (tmp_path / "folder.mqc").mkdir()
    for path in (tmp_path / "file.mqc", tmp_path / "folder.mqc", tmp_path / "nothing.mqc"):
        with pytest.raises(ProjectError):
            Project.open(path)
    with pytest.raises(ProjectError, match="exists already"):
        Project.create(project.path)
    with pytest.raises(ProjectError, match="exists already"):
        Project.create(tmp_path / "file.mqc")
    with Project.create(tmp_path / "folder.mqc") as made:  # an empty folder may become a project
        assert list(made.slides) == []


def test_a_slide_that_cannot_be_opened_makes_no_project(tmp_path: Path, slide_files: list[Path]) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(SlideError):
        Project.create(tmp_path / "p.mqc", slides=[slide_files[0], tmp_path / "bad.png"])
    assert not list(tmp_path.glob("*.mqc")) and not list(tmp_path.glob(".p*"))


def test_a_read_only_folder_is_read(read_only_folder: Path) -> None:
    lock_up(read_only_folder)
    before = content(read_only_folder)
    with as_nobody():
        with pytest.raises(ReadOnlyProjectError, match="read-only"):
            Project.open(read_only_folder)
        with Project.open(read_only_folder, write=False) as reader:
            assert len(reader.boxes.rows()) == 3 and reader.owner is None
            with pytest.raises(ReadOnlyProjectError, match="for reading only"):
                reader.history.undo()
    assert content(read_only_folder) == before


def test_a_read_only_folder_is_read_even_after_a_kill(read_only_folder: Path) -> None:
    # as a killed owner leaves it: some of the content is in the WAL only
    code = (
        "import os, sys; from microscope_qc.project import Project; from microscope_qc.core.boxes import make_rows\n"
        "p = Project.open(sys.argv[1]); p.boxes.add(p.slides[0].id, make_rows(2, class_id=1, y1=1, x1=1)); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(read_only_folder)], check=False)
    assert done.returncode == 9
    assert (read_only_folder / "project.sqlite-wal").stat().st_size > 0
    (read_only_folder / "project.sqlite-shm").unlink()
    lock_up(read_only_folder)
    with as_nobody(), Project.open(read_only_folder, write=False) as reader:
        assert len(reader.boxes.rows()) == 5


def test_a_slide_that_moved_with_its_project_is_found(project: Project, tmp_path: Path) -> None:
    project.boxes.add(project.slides[0].id, some_rows(1))
    project.close()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in list(tmp_path.iterdir()):
        if path != moved:
            path.rename(moved / path.name)
    with Project.open(moved / "cell.mqc") as again:
        assert again.slides[0].path == moved / "S1 45.png" and not again.slides[0].missing


def test_a_missing_slide_keeps_its_boxes_and_is_found_again(project: Project, tmp_path: Path) -> None:
    project.boxes.add(project.slides[0].id, some_rows(2))
    project.close()
    new_place = tmp_path / "archive.png"
    (tmp_path / "S1 45.png").rename(new_place)
    other = write_slide(tmp_path / "other.png", seed=77)
    with Project.open(project.path) as again:
        slide = again.slides[0]
        assert slide.missing and slide.path == tmp_path / "S1 45.png" and len(again.boxes.rows()) == 2
        assert any("S1 45" in sentence for sentence in again.check())
        with pytest.raises(InputError, match="not the slide S1 45"):
            again.slides.relocate(slide.id, other)
        found = again.slides.relocate(slide.id, new_place)
        assert found.path == new_place and not found.missing
        again.history.undo()
        assert again.slides[0].missing
        assert again.slides.add(new_place).id == slide.id and not again.slides[0].missing  # adding it finds it too
        forced = again.slides.relocate(slide.id, other, force=True)
        assert forced.path == other and forced.fingerprint != slide.fingerprint


def test_a_closed_project_refuses_commands(project: Project) -> None:
    project.close()
    project.close()
    with pytest.raises(ProjectError, match="closed"):
        project.boxes.add(1, some_rows(1))


def test_a_project_may_have_the_longest_name(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 251 + ".mqc")
    with Project.create(folder) as made:
        assert made.path == folder
