"""A project in which every run had boxes of its own: its history can be undone and redone with opinions.

In ``version_3.sql`` (written by version 3 of the tables) run 2 found three places of run 1 again; #5 (at #1), #3 and #7
(at #3) were confirmed, #4 was moved, relabelled and deleted, class AOP merged into CFA; the deletion of run 3, which
had found #1 again and #9, was undone.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_slides import write_slide

from microscope_qc.core.boxes import ReviewState
from microscope_qc.project import Project


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "old.mqc"
    for run in ("1", "2", "3"):
        (folder / "runs" / run).mkdir(parents=True)
    write_slide(tmp_path / "S1 45.png", seed=45)
    script = Path(__file__).with_name("version_3.sql").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(folder / "project.sqlite")) as connection:
        connection.executescript(script)
    with Project.open(folder) as project:
        yield project


def content(project: Project) -> str:
    slide = project.slides[0].id
    return f"{project.boxes.table(slide).rows.tolist()} {project.opinions.of_slide(slide).tolist()}"


def assert_is_stored(project: Project) -> None:
    """What is in memory is what another process reads."""
    with Project.open(project.path, write=False) as reader:
        assert content(reader) == content(project)


def undo_all(project: Project) -> int:
    count = 0
    while project.history.can_undo:
        project.history.undo()
        assert_is_stored(project)
        count += 1
    return count


def row_of(project: Project, number: int) -> np.void:
    return project.boxes.table(1).get(np.array([number]))[0]


def codes(project: Project) -> dict[int, str]:
    names = {defect.id: defect.code for defect in project.classes}
    return {int(row["id"]): names[int(row["class_id"])] for row in project.boxes.table(1).rows}


def test_undone_and_redone_completely_it_is_what_it_was(old: Project) -> None:
    before = content(old)
    assert codes(old) == {1: "CFA", 2: "CFA", 3: "ACP", 9: "ACP"}
    assert undo_all(old) == 7
    for _ in range(7):
        old.history.redo()
        assert_is_stored(old)
    assert content(old) == before


def test_a_merge_that_is_undone_gives_the_opinions_their_classes_back(old: Project) -> None:
    old.history.undo()
    assert codes(old) == {1: "AOP", 2: "AOP", 3: "ACP", 9: "ACP"}
    assert_is_stored(old)


def test_what_was_changed_and_deleted_comes_back_and_is_what_the_model_found_in_the_end(old: Project) -> None:
    for _ in range(2):
        old.history.undo()
    assert (codes(old)[4], row_of(old, 4)["y0"]) == ("CRK", 155)
    old.history.undo()
    assert (codes(old)[4], row_of(old, 4)["y0"]) == ("ACP", 155)
    old.history.undo()
    row = row_of(old, 4)
    assert (row["y0"], row["flags"], row["run_id"]) == (150, 0, 1)
    assert_is_stored(old)


def test_a_confirmation_done_again_keeps_class_and_box(old: Project) -> None:
    was = row_of(old, 1)
    steps = undo_all(old)
    assert row_of(old, 1)["state"] == ReviewState.UNREVIEWED
    for _ in range(steps):
        old.history.redo()
    assert row_of(old, 1) == was and was["state"] == ReviewState.CONFIRMED
    assert_is_stored(old)


def test_a_deletion_of_a_run_done_again_takes_only_what_it_alone_found(old: Project) -> None:
    old.history.redo()
    assert set(codes(old)) == {1, 2, 3} and len(old.opinions.of_run(1)) == 3
    assert [run.id for run in old.runs] == [1, 2]
    assert_is_stored(old)
    assert all("folder of run" in problem for problem in old.check())  # only the database is kept here
    old.history.undo()
    assert set(codes(old)) == {1, 2, 3, 9} and len(old.opinions.of_run(3)) == 2
    assert_is_stored(old)
