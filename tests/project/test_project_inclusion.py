"""What counts, areas declared complete, and the classes a run knows: stored, logged, undone, updated, checked."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from project_support import assert_memory_is_stored, some_rows, stored

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError, ProjectError, ReadOnlyProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan

SQUARE = [(10.0, 20.0), (10.0, 60.0), (50.0, 60.0), (50.0, 20.0)]


# -- inclusion -------------------------------------------------------------------------------------------------------


@given(
    st.floats(0, 1, width=32),
    st.frozensets(st.integers(0, 3)),
    st.booleans(),
    st.lists(st.tuples(st.none() | st.floats(0, 1, width=32), st.integers(0, 2), st.integers(0, 3)), max_size=12),
)
def test_what_counts_row_by_row(
    limit: float, hidden: frozenset[int], rejected: bool, given_rows: list[tuple[float | None, int, int]]
) -> None:
    rows = make_rows(len(given_rows), y1=1, x1=1)
    expected = []
    for row, (confidence, state, run) in zip(rows, given_rows, strict=True):
        row["confidence"], row["state"], row["run_id"] = np.nan if confidence is None else confidence, state, run
        row["flags"] = 0
        claimed = state != ReviewState.UNREVIEWED
        sure = confidence is None or state != ReviewState.UNREVIEWED or confidence >= limit
        expected.append(sure and (claimed or run not in hidden) and (rejected or state != ReviewState.REJECTED))
    assert Inclusion(limit, hidden).mask(rows, rejected=rejected).tolist() == expected


@pytest.mark.parametrize("limit", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_limit_is_a_confidence(project: Project, limit: float) -> None:
    with pytest.raises(InputError):
        project.inclusion.set_limit(limit)
    assert not project.history.can_undo


def test_the_limit_is_logged_signalled_undone_and_stored(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(3, confidence=[0.1, 0.4, 0.8]))
    heard: list[str] = []
    project.events.inclusion_changed.connect(lambda: heard.append("inclusion"))
    project.inclusion.set_limit(0.05)
    project.inclusion.set_limit(0.3)
    assert project.history.undo_title == "Confidence limit 0.30 (was 0.05)"
    assert heard == ["inclusion"] * 2 and len(project.boxes.rows()) == 2 and len(project.boxes.rows(every=True)) == 3
    assert project.inclusion.set_limit(0.3) is None, "the same again is not a step"
    (change,) = project.history.changes_of(project.history.entries()[0])
    assert (change.item, change.before, change.after) == (
        "confidence limit",
        "confidence_limit=0.05",
        "confidence_limit=0.3",
    )
    project.history.undo()
    assert project.inclusion.current.confidence_limit == 0.05 and len(heard) == 3
    project.history.redo()
    project.close()
    with Project.open(project.path) as again:
        assert again.inclusion.current.confidence_limit == 0.3 and again.check() == []
        assert_memory_is_stored(again)
    with Project.open(project.path, write=False) as reader, pytest.raises(ReadOnlyProjectError):
        reader.inclusion.set_limit(0.9)


def test_a_drag_is_one_step(project: Project) -> None:
    project.inclusion.set_limit(0.1)
    entry = project.inclusion.set_limit(0.2)
    for limit in (0.3, 0.45, 0.4):
        entry = project.inclusion.set_limit(limit, amends=entry)
    titles = [entry.title for entry in project.history.entries()]
    assert titles[:2] == ["Confidence limit 0.40 (was 0.10)", "Confidence limit 0.10 (was 0.00)"]
    project.history.undo()
    assert project.inclusion.current.confidence_limit == 0.1
    project.history.redo()
    project.marks.add(project.slides[0].id, "between", 1, 2)
    project.inclusion.set_limit(0.5, amends=entry)
    assert project.history.undo_title == "Confidence limit 0.50 (was 0.40)", "a step in between ends the drag"


def test_what_a_model_suggests_is_not_a_step_of_undo(project: Project) -> None:
    project.inclusion.set_limit(0.4, suggested_by="li-ion")
    entry = project.history.entries()[0]
    assert entry.title == "Confidence limit 0.40 (was 0.00), as li-ion suggests" and entry.kind == "run"
    assert not project.history.can_undo and project.inclusion.current.confidence_limit == 0.4


# -- areas -----------------------------------------------------------------------------------------------------------


def test_an_area_is_declared_undone_and_kept(project: Project) -> None:
    slide = project.slides[0]
    heard: list[str] = []
    project.events.areas_changed.connect(lambda: heard.append("areas"))
    first = project.areas.declare(slide.id, SQUARE, [project.classes[0].id, project.classes[2].id])
    assert first.outline.parts[0][0] == tuple(SQUARE) and first.class_ids == {1, 3}
    assert first.user and first.declared[:4].isdigit()
    assert project.history.undo_title == f"Declare an area of {slide.name} complete for ACP, AFP"
    whole = project.areas.declare(slide.id, Region(0, 0, *slide.shape_px))
    assert whole.class_ids == {defect.id for defect in project.classes}
    assert project.history.undo_title.endswith("complete for all classes")
    later = project.classes.add("NEW")
    assert later.id not in project.areas.by_id(whole.id).class_ids, "nobody searched for a class that did not exist"
    project.areas.remove(first.id)
    assert [area.id for area in project.areas.of(slide.id)] == [whole.id] and len(heard) == 3
    project.history.undo()
    assert project.areas.of(slide.id)[0] == first and project.areas.of(project.slides[1].id) == []
    project.close()
    with Project.open(project.path) as again:
        assert again.areas[0] == first and again.check() == []
        assert_memory_is_stored(again)
        again.history.export(project.path.parent / "history.csv")
    assert "classes=ACP, AFP" in (project.path.parent / "history.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("outline", "classes"),
    [
        ([(0, 0), (5, 5)], None),
        ([(0, 0), (5, 5), (9, 9)], None),
        ([(0, 0), (0, 9), (float("nan"), 9)], None),
        ([(-50, -50), (-50, -10), (-10, -10)], None),
        ([(0, 0, 1), (0, 9, 1), (9, 9, 1)], None),
        (Region(5, 5, 5, 9), None),
        (SQUARE, []),
        (SQUARE, [77]),
    ],
)
def test_what_encloses_nothing_is_not_declared(project: Project, outline: object, classes: list[int] | None) -> None:
    with pytest.raises(InputError):
        project.areas.declare(project.slides[0].id, outline, classes)
    assert not project.history.can_undo and len(project.areas) == 0


def test_areas_are_updated_when_classes_are_merged_or_deleted(project: Project) -> None:
    slide = project.slides[0].id
    of_two = project.areas.declare(slide, SQUARE, [1, 2]).id
    of_one = project.areas.declare(slide, SQUARE, [2]).id
    project.classes.merge([2], into=3)
    assert project.areas.by_id(of_two).class_ids == {1, 3} and project.areas.by_id(of_one).class_ids == {3}
    project.classes.delete(3)
    assert project.areas.by_id(of_two).class_ids == {1} and [area.id for area in project.areas] == [of_two]
    assert project.check() == []
    before = stored(project)
    project.history.undo()
    project.history.undo()
    assert project.areas.by_id(of_two).class_ids == {1, 2} and project.areas.by_id(of_one).class_ids == {2}
    project.history.redo()
    project.history.redo()
    assert stored(project) == before
    assert_memory_is_stored(project)


def test_a_slide_is_removed_with_its_areas_and_runs(project: Project) -> None:
    slide = project.slides[0].id
    project.areas.declare(slide, SQUARE)
    other = project.areas.declare(project.slides[1].id, SQUARE)
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.know_classes(run.id, {0: 4})
    project.runs.finish(run.id, "finished")
    before = stored(project)
    project.slides.remove(slide)
    assert list(project.areas) == [other] and project.runs.classes_of(run.id) == {} and project.check() == []
    project.history.undo()
    assert stored(project) == before and len(project.areas.of(slide)) == 1
    assert_memory_is_stored(project)


def test_areas_drawn_at_random_are_searched_one_by_one_and_undone(project: Project) -> None:
    slides = [slide.id for slide in project.slides[:2]]
    drawn = project.areas.add_drawn([(number, Region(2, 3, 22, 23)) for number in slides])
    assert project.history.undo_title == "Draw 2 areas of 2 slides at random"
    assert all(area.drawn and not (area.class_ids or area.user or area.declared) for area in drawn)
    assert drawn[0].outline.bounds == (2, 3, 22, 23) and project.check() == []
    now = project.areas.searched(drawn[0].id, [1, 2])
    assert now.class_ids == {1, 2} and now.user and now.declared and now.drawn == drawn[0].drawn
    assert project.history.undo_title.endswith(", drawn at random, complete for ACP, AOP")
    project.classes.delete(1)
    project.classes.delete(2)
    assert project.areas.by_id(now.id) == drawn[0], "it is complete for nothing: it is to be searched again"
    project.history.undo()
    project.history.undo()
    assert project.areas.by_id(now.id) == now
    project.areas.remove(now.id)
    assert project.areas.by_id(now.id) == drawn[0]
    project.areas.remove(now.id)
    assert list(project.areas) == drawn[1:]
    project.history.undo()
    project.history.undo()
    assert list(project.areas) == [now, drawn[1]]
    project.close()
    with Project.open(project.path) as again:
        assert list(again.areas) == [now, drawn[1]] and again.check() == []
        assert_memory_is_stored(again)
        mine = again.areas.declare(slides[0], SQUARE)
        with pytest.raises(InputError, match="not drawn at random"):
            again.areas.searched(mine.id)
        with pytest.raises(InputError, match="at least one class"):
            again.areas.searched(now.id, [])
        with pytest.raises(InputError, match="No area"):
            again.areas.add_drawn([])
        with pytest.raises(InputError):
            again.areas.add_drawn([(99, Region(0, 0, 1, 1))])


# -- classes of runs -------------------------------------------------------------------------------------------------


def test_labels_of_a_run_are_updated_with_its_classes(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m", classes=("ACP", "AOP", "AFP")))
    project.runs.know_classes(run.id, {0: 1, 1: 2, 2: 3})
    project.runs.know_classes(run.id, {0: 9})
    assert project.runs.classes_of(run.id) == {0: 1, 1: 2, 2: 3}, "what is known stays"
    project.classes.edit(1, code="RENAMED")
    project.classes.merge([2], into=5)
    project.classes.delete(3)
    assert project.runs.classes_of(run.id) == {0: 1, 1: 5}
    assert_memory_is_stored(project)
    project.history.undo()
    project.history.undo()
    assert project.runs.classes_of(run.id) == {0: 1, 1: 2, 2: 3}
    project.close()
    with Project.open(project.path) as again:
        assert again.runs.classes_of(run.id) == {0: 1, 1: 2, 2: 3}


def test_a_run_is_deleted_with_its_labels(project: Project) -> None:
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    project.runs.know_classes(run.id, {0: 4, 1: 5})
    project.runs.finish(run.id, "finished")
    project.runs.delete(run.id)
    assert project.runs.classes_of(run.id) == {} and project.check() == []
    project.history.undo()
    assert project.runs.classes_of(run.id) == {0: 4, 1: 5}
    assert_memory_is_stored(project)


def test_a_class_that_a_run_knows_is_not_undone(project: Project) -> None:
    made = project.classes.add("ODD")
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    project.runs.know_classes(run.id, {0: made.id})
    with pytest.raises(ProjectError, match="relies on it"):
        project.history.undo()
    assert project.classes.by_code("ODD").id == made.id


# -- older projects --------------------------------------------------------------------------------------------------


def as_version_2(project: Project) -> None:
    """Close it, and make its tables those of version 2."""
    project.close()
    with contextlib.closing(sqlite3.connect(project.path / "project.sqlite")) as connection:
        for table in (
            "inclusion",
            "areas",
            "run_classes",
            "fields",
            "model_in_use",
            "spectra",
            "measurement_links",
            "measurements",
            "standards",
        ):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE opinions")
        connection.execute(
            "CREATE TABLE old AS SELECT id, slide_id, class_id, y0, x0, y1, x1, confidence, state, 0 AS run_id, chosen,"
            " reason, note FROM boxes WHERE flags <> 0"
        )
        connection.execute("DROP TABLE boxes")
        connection.execute("ALTER TABLE old RENAME TO boxes")
        newer = ("slides", "content"), ("slides", "fields"), ("slides", "orientation"), ("classes", "group")
        for table, column in (*newer, ("runs", "name"), ("marks", "is_check")):
            connection.execute(f'ALTER TABLE {table} DROP COLUMN "{column}"')
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")
        connection.commit()


def test_labels_of_older_runs_are_worked_out_from_the_history(project: Project) -> None:
    slide = project.slides[0].id
    codes = ("ACP", "AOP", "AFP", "AHS", "CFA", "CRP")
    before = project.runs.start(slide, RunPlan(model="m", classes=codes))
    project.classes.edit(1, code="OLD")  # ACP is something else from now on
    new = project.classes.add("ACP")
    project.boxes.add(slide, some_rows(2, class_id=2))
    project.classes.delete(2, move_to=7)
    project.classes.merge([3], into=8)  # without a box that shows it
    project.boxes.add(slide, some_rows(1, class_id=4))
    project.classes.delete(4)
    project.classes.delete(5)
    project.history.undo()  # never happened
    project.classes.edit(8, code="GAP")
    project.classes.merge([8], into=9)
    after = project.runs.start(slide, RunPlan(model="m", classes=("ACP", "OLD", "GONE")))
    as_version_2(project)
    with Project.open(project.path) as renewed:
        assert renewed.runs.classes_of(before.id) == {0: 1, 1: 7, 2: 9, 4: 5, 5: 6}
        assert renewed.runs.classes_of(after.id) == {0: new.id, 1: 1}
        assert renewed.check() == []
        assert_memory_is_stored(renewed)


@pytest.mark.parametrize("kept", [None, "nonsense", '"text"', '{"min_confidence": "x"}', '{"min_confidence": 7}'])
def test_a_damaged_filter_still_gives_a_limit(project: Project, kept: str | None) -> None:
    as_version_2(project)
    with contextlib.closing(sqlite3.connect(project.path / "project.sqlite")) as connection:
        if kept is not None:
            connection.execute("INSERT INTO settings VALUES ('filter', ?)", (kept,))
            connection.commit()
    with Project.open(project.path) as renewed:
        assert renewed.inclusion.current.confidence_limit == (1.0 if kept and "7" in kept else 0.0)
        assert renewed.check() == []


# -- checking --------------------------------------------------------------------------------------------------------


def damage(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path / "project.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM inclusion", "confidence limit"),
        ("UPDATE inclusion SET confidence_limit = 3", "confidence limit"),
        ("UPDATE areas SET outline = '{}'", "1 declared areas cannot be read"),
        ("UPDATE areas SET classes = '[99]'", "classes are gone"),
        ("UPDATE areas SET slide_id = 99", "are on no slide"),
        ("UPDATE run_classes SET class_id = 99", "labels of runs"),
    ],
)
def test_damage_is_named_and_repaired(project: Project, statement: str, said: str) -> None:
    slide = project.slides[0].id
    project.areas.declare(slide, SQUARE, [1])
    run = project.runs.start(slide, RunPlan(model="m"))
    project.runs.know_classes(run.id, {0: 1})
    project.runs.finish(run.id, "finished")
    project.close()
    damage(project.path, statement)
    with Project.open(project.path) as again:
        (found,) = again.check()
        assert said in found
        assert again.check() == [] and again.inclusion.set_limit(0.5) is not None
        assert_memory_is_stored(again)


def test_an_area_that_cannot_be_read_does_not_stop_the_project(project: Project) -> None:
    project.areas.declare(project.slides[0].id, SQUARE)
    project.close()
    damage(project.path, f"UPDATE areas SET outline = '{json.dumps({'kind': 'line', 'parts': []})}'")
    with Project.open(project.path, write=False) as reader:
        assert len(reader.areas) == 0
