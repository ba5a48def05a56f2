"""Checks and repairs, backups, and the commands ``new`` and ``check``."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_support import assert_memory_is_stored, some_rows, stored
from small_slides import write_slide

from microscope_qc.cli import project as commands
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import ProjectError
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan

OLD = 100.0


def run_command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(list(words))
    return args.handler(args)


@contextlib.contextmanager
def database_of(project: Project) -> Iterator[sqlite3.Connection]:
    """The database of the closed project, without its constraints."""
    project.close()
    with contextlib.closing(sqlite3.connect(project.path / "project.sqlite")) as connection:
        yield connection
        connection.commit()


def test_a_sound_project_has_no_problems(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(5))
    run = project.runs.start(slide, RunPlan(model="m"))
    (run.folder / "journal.jsonl").write_text('{"tile": 0, "candidates": []}\n', encoding="utf-8")
    project.history.undo()
    assert project.check() == []
    assert not list((project.path / "backups").glob("before-check-*"))


def test_broken_references_are_repaired(project: Project) -> None:
    project.boxes.add(project.slides[0].id, some_rows(4))
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(1, seed=9, confidence=0.5))
    project.runs.finish(run.id, "finished")
    with database_of(project) as database:
        database.execute("UPDATE boxes SET slide_id = 77 WHERE id = 1")
        database.execute("UPDATE boxes SET class_id = 55 WHERE id = 2")
        database.execute("UPDATE opinions SET run_id = 8 WHERE finding_id = 5")
        database.execute("UPDATE boxes SET y0 = y1, y1 = y0, x0 = x1, x1 = x0 WHERE id = 4")
    with Project.open(project.path) as again:
        expected = stored(again)["boxes"][4]
        found = again.check()
        assert len(found) == 5, found  # the fifth: the lost slide's file is not known
        assert again.slides.named("lost slide 77").missing and again.boxes.slide_of(1) == 77
        assert again.classes.by_code("lost 55").id == 55
        assert again.boxes.table(again.slides[0].id).get([5])["run_id"] == 0
        row = stored(again)["boxes"][4]
        assert (row["y0"], row["y1"], row["x0"], row["x1"]) == tuple(expected[n] for n in ("y1", "y0", "x1", "x0"))
        assert_memory_is_stored(again)
        assert not again.history.can_undo  # the rows are no longer those that undo expects
        assert len(again.check()) == 1  # the lost slide is still missing
    assert len(list((project.path / "backups").glob("before-check-*.sqlite"))) == 1


DAMAGED_OPINIONS = {
    "UPDATE opinions SET finding_id = 999 WHERE finding_id = 5": ("about a finding that does not exist", []),
    "UPDATE opinions SET slide_id = 2 WHERE finding_id = 5": ("on another slide than their findings", [5]),
    "UPDATE opinions SET run_id = 2 WHERE finding_id = 5": ("name a run that does not exist or is on another", [5]),
    "UPDATE boxes SET slide_id = 2 WHERE id = 5": ("about a finding that does not exist or is on another", [5]),
    "UPDATE opinions SET y0 = y1, y1 = y0 WHERE finding_id = 5": ("are inside out", [5]),
    "UPDATE boxes SET class_id = NULL WHERE id = 1": ("have no class", [5]),
}


@pytest.mark.parametrize("damage", DAMAGED_OPINIONS)
def test_what_was_found_is_kept_when_what_runs_said_of_it_is_damaged(project: Project, damage: str) -> None:
    first, second = project.slides[0].id, project.slides[1].id
    project.boxes.add(first, make_rows(4, class_id=1, y0=1, x0=1, y1=9, x1=9))
    run = project.runs.start(first, RunPlan(model="m"))
    project.runs.start(second, RunPlan(model="m"))
    project.runs.add_findings(run.id, make_rows(1, class_id=1, y0=20, x0=20, y1=40, x1=40, confidence=0.5))
    project.close()
    with database_of(project) as database:
        database.execute(damage)
    sentence, kept = DAMAGED_OPINIONS[damage]
    with Project.open(project.path) as opened:
        rows = opened.boxes.rows(first, every=True)  # read as far as it can be
        assert set(rows["id"].tolist()) <= {1, 2, 3, 4, 5} and len(rows) >= 4
        assert any(sentence in line for line in opened.check())
    with Project.open(project.path) as opened:
        assert opened.check() == []
        rows = opened.boxes.rows(every=True)
        assert [number for number in rows["id"].tolist() if number == 5] == kept
        assert set(rows["class_id"].tolist()) <= {defect.id for defect in opened.classes}


def test_boxes_without_a_size_are_removed(project: Project) -> None:
    project.boxes.add(project.slides[0].id, some_rows(4))
    with database_of(project) as database:
        database.execute("UPDATE boxes SET y1 = y0 WHERE id = 1")
        database.execute("UPDATE boxes SET x1 = 9e999 WHERE id = 2")
        database.execute("UPDATE boxes SET y0 = 'high' WHERE id = 3")
    with Project.open(project.path) as again:
        assert again.check() == [
            "1 boxes have no place: they were removed.",
            "1 boxes have no place: they were removed.",
            "1 boxes have no size. They were removed.",
        ]
        assert again.boxes.table(again.slides[0].id).rows["id"].tolist() == [4]


def test_a_damaged_step_ends_the_history(project: Project) -> None:
    slide = project.slides[0].id
    for number in range(4):
        project.boxes.add(slide, some_rows(1), title=f"step {number}")
    with database_of(project) as database:
        database.execute("UPDATE log SET changes = x'0011' WHERE title = 'step 1'")
    with Project.open(project.path) as again:
        (sentence,) = again.check()
        assert "history" in sentence
        assert [again.history.undo().title, again.history.undo().title] == ["step 3", "step 2"]  # type: ignore[union-attr]
        assert not again.history.can_undo and len(again.boxes.table(slide)) == 2


def test_a_damaged_step_is_refused_before_it_is_checked(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(1))
    with database_of(project) as database:
        database.execute("UPDATE log SET changes = substr(changes, 1, 30) WHERE kind = 'command'")
    with Project.open(project.path) as again:
        with pytest.raises(ProjectError, match="damaged"):
            again.history.undo()
        assert len(again.boxes.table(slide)) == 1


def test_a_run_without_its_card_gets_it_back(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    card = (run.folder / "card.json").read_text(encoding="utf-8")
    (run.folder / "card.json").unlink()
    run.folder.rmdir()
    assert len(project.check()) == 1
    assert (run.folder / "card.json").read_text(encoding="utf-8") == card
    assert project.check() == []


def test_a_damaged_mask_of_a_run_is_named(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    (run.folder / "mask.json").write_text('{"everything": true}', encoding="utf-8")
    assert project.check() == []
    (run.folder / "mask.json").write_text("{", encoding="utf-8")
    (sentence,) = project.check()
    assert "Run 1 counts with no area" in sentence and "damaged" in sentence


@pytest.mark.parametrize("incomplete", ['{"tile": 1, "cand', "x" * 200_000, '{"tile": 1, "candidates": []}'])
def test_an_incomplete_journal_line_is_cut_off(project: Project, incomplete: str) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    journal = run.folder / "journal.jsonl"
    whole = '{"tile": 0, "candidates": []}\n'
    journal.write_text(whole + incomplete, encoding="utf-8")
    assert project.check() == []  # written a moment ago: a process may still be writing
    os.utime(journal, (time.time() - 60, time.time() - 60))
    (sentence,) = project.check()
    assert "incomplete" in sentence and journal.read_text(encoding="utf-8") == whole


def test_a_reader_checks_without_repairing(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    (run.folder / "card.json").unlink()
    project.close()
    with Project.open(project.path, write=False) as reader:
        assert len(reader.check()) == 1
    assert not (run.folder / "card.json").exists()


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "missing", "middle"])
def test_a_damaged_database_is_replaced_by_the_last_backup(
    project: Project, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(3000))
    project.close()
    with Project.open(project.path) as again:  # makes the backup
        again.boxes.add(slide, some_rows(1))
    file = project.path / "project.sqlite"
    whole = file.read_bytes()
    spoilt = bytearray(whole)
    spoilt[8192:-8192] = b"\xff" * (len(whole) - 16384)
    contents = {"truncated": whole[: len(whole) // 2], "text": b"hello\n" * 999, "empty": b"", "middle": bytes(spoilt)}
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(contents[damage])
    assert run_command("check", str(project.path)) == 0
    assert "backup of" in capsys.readouterr().out
    with Project.open(project.path) as restored:
        assert len(restored.boxes.table(slide)) in (3000, 3001) and restored.check() == []
    aside = list(project.path.glob("project.damaged-*.sqlite"))
    assert [path.read_bytes() for path in aside] == ([] if damage == "missing" else [contents[damage]])


def test_damage_without_a_backup_is_left_as_it_is(project: Project) -> None:
    project.close()
    file = project.path / "project.sqlite"
    file.write_bytes(b"nothing")
    with pytest.raises(ProjectError, match="no backup"):
        run_command("check", str(project.path))
    assert file.read_bytes() == b"nothing"


def test_a_project_with_an_owner_is_not_restored(project: Project) -> None:
    project.close()
    with Project.open(project.path), pytest.raises(ProjectError, match="is open in"):
        run_command("check", str(project.path))


def test_check_needs_a_project(tmp_path: Path) -> None:
    (tmp_path / "empty.mqc").mkdir()
    for name in ("empty.mqc", "none.mqc"):
        with pytest.raises(ProjectError, match="no project"):
            run_command("check", str(tmp_path / name))
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty.mqc"]


def test_new_and_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide = write_slide(tmp_path / "Zelle ü.png", seed=1)
    assert run_command("new", str(tmp_path / "p"), str(slide), "--classes", "magnet") == 0
    assert "Zelle ü: 120 x 80 px, pixel size not known" in capsys.readouterr().out
    assert run_command("check", str(tmp_path / "p.mqc")) == 0
    assert "Everything is in order" in capsys.readouterr().out
