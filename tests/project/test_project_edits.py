"""Commands, one by one: their effect, what they refuse, and that a failure changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from project_support import assert_memory_is_stored, some_rows, stored
from small_slides import write_slide

from microscope_qc.core.boxes import BoxChange, BoxFilter, ReviewState, make_rows
from microscope_qc.core.class_colours import class_colour
from microscope_qc.core.defect_class import MAGNET_CLASSES, DefectClass
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan


def reopened(project: Project) -> Project:
    project.close()
    return Project.open(project.path)


def test_boxes_are_read_back_as_they_were_added(project: Project) -> None:
    slide = project.slides[0]
    rows = some_rows(7, class_id=np.arange(1, 8), chosen=True, note="Riß, 亀裂, \x00, 😀", state=ReviewState.CONFIRMED)
    rows["confidence"][:3] = [0.05, 0.1, 1.0]
    ids = project.boxes.add(slide.id, rows)
    with reopened(project) as again:
        back = again.boxes.table(slide.id).get(ids)
        rows["id"] = ids
        for name in rows.dtype.names:
            np.testing.assert_array_equal(back[name], rows[name])
        assert again.boxes.slide_of(ids[3]) == slide.id


def test_a_table_signals_changes_after_they_were_committed(project: Project) -> None:
    slide = project.slides[0].id
    heard: list[tuple[BoxChange, int]] = []
    reader = Project.open(project.path, write=False)

    def on_change(change: BoxChange) -> None:
        heard.append((change, len(stored(reader)["boxes"])))

    project.boxes.table(slide).changed.connect(on_change)
    ids = project.boxes.add(slide, some_rows(2))
    project.boxes.edit(ids, note="x")
    project.boxes.delete(ids[:1])
    project.history.undo()
    reader.close()
    assert (
        [(change.kind, change.ids.tolist(), count) for change, count in heard]
        == [
            ("added", ids.tolist(), 2),
            ("updated", ids.tolist(), 2),
            ("removed", ids[:1].tolist(), 2),  # deleted, it is still there for what is found again
            ("added", ids[:1].tolist(), 2),
        ]
    )


def test_edits_of_boxes_on_several_slides_are_one_step(project: Project) -> None:
    first, second = project.slides
    ids = [*project.boxes.add(first.id, some_rows(2)), *project.boxes.add(second.id, some_rows(2))]
    order = [ids[3], ids[0], ids[2]]
    project.boxes.edit(order, note=["three", "zero", "two"], title="Notes")
    notes = {int(row["id"]): row["note"] for row in project.boxes.rows()}
    assert notes == {ids[0]: "zero", ids[1]: "", ids[2]: "two", ids[3]: "three"}
    assert project.history.undo_title == "Notes"
    project.history.undo()
    assert set(project.boxes.rows()["note"]) == {""}


def test_an_edit_that_changes_nothing_is_not_a_step(project: Project) -> None:
    ids = project.boxes.add(project.slides[0].id, some_rows(2), title="Draw")
    project.boxes.edit(ids, class_id=1, state=ReviewState.UNREVIEWED)
    project.boxes.edit([], class_id=2)
    project.boxes.delete([])
    project.classes.edit(1, name="Anode carbon particle")
    assert project.history.undo_title == "Draw"


def test_a_reason_is_dropped_when_the_box_is_no_longer_rejected(project: Project) -> None:
    (box,) = ids = project.boxes.add(project.slides[0].id, some_rows(1))
    project.boxes.edit(ids, state=ReviewState.REJECTED, reason="duplicate")
    project.boxes.edit(ids, state=ReviewState.CONFIRMED)
    assert project.boxes.rows()["reason"].tolist() == [""]
    project.history.undo()
    assert project.boxes.rows()["reason"].tolist() == ["duplicate"]


@pytest.mark.parametrize(
    "columns",
    [
        {"y1": -5000.0},
        {"y0": np.nan},
        {"x1": np.inf},
        {"class_id": 99},
        {"run_id": 3},
        {"state": 7},
        {"state": -1},
        {"state": "confirmed"},
        {"note": 5},
        {"note": "\ud800"},
        {"id": 5},
        {"colour": "red"},
        {"note": ["only one"]},
        {"confidence": 0.5},
    ],
)
def test_impossible_edits_are_refused_and_change_nothing(project: Project, columns: dict[str, object]) -> None:
    ids = project.boxes.add(project.slides[0].id, some_rows(2))
    before, history = stored(project), project.history.entries()
    with pytest.raises(InputError):
        project.boxes.edit(ids, **columns)  # type: ignore[arg-type]
    assert stored(project) == before and project.history.entries() == history
    assert_memory_is_stored(project)


@pytest.mark.parametrize("columns", [{"class_id": 0}, {"y1": 0.0, "y0": 0.0}, {"x0": np.nan}, {"run_id": 1}])
def test_impossible_boxes_are_refused(project: Project, columns: dict[str, object]) -> None:
    rows = some_rows(2)
    for name, value in columns.items():
        rows[name][1] = value
    with pytest.raises(InputError):
        project.boxes.add(project.slides[0].id, rows)
    assert len(project.boxes.rows()) == 0 and not project.history.can_undo


def test_unknown_numbers_are_refused(project: Project) -> None:
    calls = [
        lambda: project.boxes.edit([4], note="x"),
        lambda: project.boxes.delete([4]),
        lambda: project.boxes.slide_of(4),
        lambda: project.boxes.table(9),
        lambda: project.boxes.add(9, some_rows(1)),
        lambda: project.classes.edit(99, name="x"),
        lambda: project.classes.delete(99),
        lambda: project.classes.delete(1, move_to=99),
        lambda: project.classes.delete(1, move_to=1),
        lambda: project.marks.edit(1, y_px=2),
        lambda: project.slides.set_pixel_size(9, 1.0),
        lambda: project.slides.set_pixel_size(1, 0.0),
        lambda: project.slides.set_pixel_size(1, float("nan")),
        lambda: project.slides.set_pixel_size(1, 1e-320),
        lambda: project.slides.set_pixel_size(1, 1e300),
        lambda: project.slides.set_pixel_size(1, (1.0, -1.0)),
        lambda: project.marks.add(1, "", 1, 2),
        lambda: project.marks.add(1, "A", float("nan"), 2),
        lambda: project.runs.start(9, RunPlan()),
        lambda: project.runs.show(9, True),
        lambda: project.classes.by_code("nope"),
        lambda: project.slides.named("nope"),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()
    assert not project.history.can_undo


def test_an_unknown_slide_is_answered_with_the_known_names(project: Project) -> None:
    with pytest.raises(InputError, match="S1 45, S1 46"):
        project.slides.named("S1 47")


def test_a_full_disk_changes_nothing(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(5))
    project.history.undo()
    before, history = stored(project), project.history.entries()
    pages = project._store.database.pragma("page_count")[0][0]
    project._store.database.pragma(f"max_page_count={pages}")
    with pytest.raises(ProjectError, match="disk is full"):
        project.boxes.add(slide, some_rows(20_000))
    assert stored(project) == before and project.history.entries() == history
    assert_memory_is_stored(project)
    assert project.history.redo_title == "Draw box"
    project._store.database.pragma("max_page_count=1000000")
    assert len(project.boxes.add(slide, some_rows(20_000))) == 20_000
    assert_memory_is_stored(project)


def test_a_run_that_cannot_be_stored_leaves_no_folder(project: Project) -> None:
    pages = project._store.database.pragma("page_count")[0][0]
    project._store.database.pragma(f"max_page_count={pages}")
    with pytest.raises(ProjectError, match="disk is full"):
        project.runs.start(project.slides[0].id, RunPlan(model="m", text="x" * 100_000))
    assert list(project.runs) == [] and list((project.path / "runs").iterdir()) == []


def test_hundred_thousand_boxes(project: Project) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(100_000), title="Import")
    assert len(np.unique(ids)) == 100_000
    project.boxes.edit(ids[::10], state=ReviewState.CONFIRMED)
    with reopened(project) as again:
        assert (again.boxes.table(slide).rows["state"] == ReviewState.CONFIRMED).sum() == 10_000
        again.history.undo()
        assert again.history.undo_title == "Import"
        again.history.undo()
        assert len(again.boxes.table(slide)) == 0
        assert again.history.entries(1)[0].box_count == 10_000


def test_classes_in_any_script(project: Project) -> None:
    added = project.classes.add("Ж裂😀", name="Трещина", description="ひび")
    assert added.colour == class_colour(10) and added.key == "Shift+1" and added.position == 10
    edited = project.classes.edit(added.id, key="3", weight=2.5, code="Ж2")
    assert edited.key == "3" and [c.key for c in project.classes].count("3") == 1
    with pytest.raises(InputError, match="Ж2 already"):
        project.classes.add("Ж2")
    with reopened(project) as again:
        assert again.classes.by_code("Ж2") == edited


@pytest.mark.parametrize(
    "fields",
    [{"code": " "}, {"code": "AOP"}, {"colour": "red"}, {"key": "a"}, {"weight": -1}, {"weight": "much"}, {"id": 4}],
)
def test_impossible_classes_are_refused(project: Project, fields: dict[str, object]) -> None:
    before = list(project.classes)
    with pytest.raises(InputError):
        project.classes.edit(1, **fields)
    assert list(project.classes) == before and not project.history.can_undo


def test_deleting_a_class_moves_or_deletes_its_boxes(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.add(slide, some_rows(3, class_id=2))
    project.boxes.add(slide, some_rows(2, class_id=3))
    assert project.classes.box_counts()[2] == 3
    project.classes.delete(2, move_to=3)
    assert project.classes.box_counts() == {c.id: 5 if c.id == 3 else 0 for c in project.classes}
    project.classes.delete(3)
    assert len(project.boxes.table(slide)) == 0 and "delete its 5 findings" in project.history.undo_title
    project.history.undo()
    project.history.undo()
    assert sorted(project.boxes.table(slide).rows["class_id"]) == [2, 2, 2, 3, 3]


def test_an_import_is_undone_as_a_whole(project: Project) -> None:
    first, second = project.slides
    before = stored(project)
    rows = {first.id: some_rows(3, class_id=np.array([1, -1, -2])), second.id: some_rows(1, class_id=-2)}
    new = [DefectClass("Staub", "Dust"), DefectClass("Kratzer", "Scratch", key="1")]
    ids = project.boxes.add_many(rows, title="Import labels.json", classes=new)
    codes = {defect.id: defect.code for defect in project.classes}
    assert [codes[n] for n in project.boxes.table(first.id).get(ids[first.id])["class_id"]] == [
        "ACP",
        "Staub",
        "Kratzer",
    ]
    assert project.classes.by_code("Kratzer").key == "Shift+2"  # the digit stays with its class
    project.history.undo()
    assert stored(project) == before
    project.history.redo()
    assert project.classes.by_code("Staub").name == "Dust" and len(project.boxes.rows()) == 4


def test_marks_and_alignments(project: Project) -> None:
    slide = project.slides[0].id
    mark = project.marks.add(slide, "Ecke links", 10, 20.5)
    project.marks.edit(mark.id, stage_x_mm=1.25, stage_y_mm=-3)
    saved = project.registrations.save(slide, "R1", {"matrix": [1, 0], "ü": None})
    replaced = project.registrations.save(slide, "R1", {"matrix": [2]})
    assert saved.id == replaced.id
    with reopened(project) as again:
        (back,) = again.marks.of_slide(slide)
        assert (back.name, back.y_px, back.x_px, back.stage_x_mm, back.stage_y_mm) == ("Ecke links", 10, 20.5, 1.25, -3)
        assert [r.data for r in again.registrations] == [{"matrix": [2]}]
        again.history.undo()
        assert [r.data for r in again.registrations] == [{"matrix": [1, 0], "ü": None}]


def test_the_filter_is_kept_and_decides_what_is_shown_but_not_what_counts(project: Project) -> None:
    slide = project.slides[0].id
    rows = make_rows(3, class_id=[1, 2, 2], y0=[0, 0, 0], y1=1, x0=0, x1=1, confidence=[0.1, 0.6, np.nan])
    project.boxes.add(slide, rows)
    wanted = BoxFilter(min_confidence=0.5, class_ids=frozenset({2}), states=frozenset({ReviewState.UNREVIEWED}))
    heard: list[bool] = []
    project.events.filter_changed.connect(lambda: heard.append(True))
    project.filters.set(wanted)
    assert heard == [True] and len(project.boxes.rows(shown=True)) == 2 and len(project.boxes.rows()) == 3
    with reopened(project) as again:
        assert again.filters.current == wanted and len(again.boxes.rows(shown=True)) == 2


def test_settings_are_kept(project: Project) -> None:
    project.settings.set("gallery", {"order": "size", "columns": [1, 2]})
    with pytest.raises(InputError):
        project.settings.set("gallery", object())
    with reopened(project) as again:
        assert again.settings.get("gallery") == {"order": "size", "columns": [1, 2]}
        assert again.settings.get("other", 5) == 5


def test_the_same_slide_is_added_once(project: Project, slide_files: list[Path], tmp_path: Path) -> None:
    assert project.slides.add(slide_files[1]) == project.slides[1]
    other = write_slide(tmp_path / "sub" / "x.png", seed=9) if (tmp_path / "sub").mkdir() is None else None
    assert other is not None
    namesake = write_slide(tmp_path / "sub" / "S1 45.png", seed=10)
    assert project.slides.add(namesake).name == "S1 45 (2)"
    assert [slide.name for slide in project.slides] == ["S1 45", "S1 46", "S1 45 (2)"]
    assert project.slides[0].shape_px == (80, 120)
    project.history.undo()
    assert len(project.slides) == 2


def test_other_class_sets(tmp_path: Path) -> None:
    with Project.create(tmp_path / "magnet", classes=MAGNET_CLASSES) as project:
        assert project.path.name == "magnet.mqc" and project.name == "magnet"
        assert [c.code for c in project.classes] == ["OXA", "LOX", "LPO", "FLU"]
        with pytest.raises(InputError, match="no slide"):
            project.slides.named(None)


def test_the_creation_of_a_project_cannot_be_undone(project: Project) -> None:
    assert not project.history.can_undo and project.history.undo() is None
    assert [entry.kind for entry in project.history.entries()] == ["made"]


def test_control_characters_of_notes_and_classes_are_taken_off(project):
    number = int(project.boxes.add(project.slides[0].id, make_rows(1, class_id=1, y1=5.0, x1=5.0))[0])
    project.boxes.edit([number], note="a\0\x1b[31m\nb", reason=np.array(["c\x07"], object))
    (row,) = project.boxes.rows()
    assert (row["note"], row["reason"]) == ("a[31m\nb", "c")
    made = project.classes.add("x\0\u202ey", name="two\nlines")
    assert (made.code, made.name) == ("xy", "two lines")


def test_what_was_read_is_there_while_a_large_command_is_written(project: Project) -> None:
    slide = project.slides[0].id
    ids = project.boxes.add(slide, some_rows(3))
    entries = project.history.entries(20)
    project.boxes.load()
    writing, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    command = project.boxes.prepare_edit(ids, title="Choose", chosen=True)

    def hold() -> None:
        with project._store.database.begin():
            writing.set()
            go_on.wait(20)
        ended.set()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert writing.wait(20)
        project.boxes.load()
        assert len(project.boxes.rows()) == 3 and project.history.entries(20) == entries
        assert project.boxes.slide_of(int(ids[0])) == slide
        assert not ended.is_set()  # the database is still locked
    finally:
        go_on.set()
        holder.join()
    command.write()
    command.finish()
    assert project.boxes.table(slide).chosen.all()


def test_where_a_slide_was_looked_at_does_not_wait_for_the_disk_and_clicks_do(project: Project) -> None:
    database = project._store.database
    assert database.pragma("journal_mode") == [("wal",)]
    said: list[str] = []
    database._connection.set_trace_callback(said.append)
    project.settings.set("view:1", {"zoom": 2}, light=True)
    database._connection.set_trace_callback(None)
    order = [line for line in said if "synchronous" in line or line == "COMMIT"]
    assert order == ["PRAGMA synchronous=NORMAL", "COMMIT", "PRAGMA synchronous=FULL"]
    with pytest.raises(ZeroDivisionError), database.begin_lightly():
        raise ZeroDivisionError
    assert database.pragma("synchronous") == [(2,)], "every other transaction is on the disk when it ends"
    path = project.path
    project.close()
    with Project.open(path) as again:
        assert again.settings.get("view:1") == {"zoom": 2}


@pytest.mark.parametrize("choice", [{}, {"shown": True}, {"every": True}])
@pytest.mark.parametrize("slides", [1, 2])
def test_rows_that_are_given_out_are_copies(project: Project, choice: dict[str, bool], slides: int) -> None:
    first, second = (slide.id for slide in project.slides)
    project.boxes.add(first, some_rows(3), title="Import")
    project.boxes.add(second, some_rows(2), title="Import")
    given = project.boxes.rows(first if slides == 1 else None, **choice)
    assert len(given) == (3 if slides == 1 else 5)
    given["state"] = ReviewState.REJECTED
    assert (project.boxes.table(first).states == ReviewState.UNREVIEWED).all()
    assert (project.boxes.table(first).rows["state"] == ReviewState.UNREVIEWED).all()
