"""Commands, one by one: what they make, what they refuse, and that a failure changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from project_support import assert_memory_is_stored, some_rows, stored
from small_slides import write_slide

from microscope_qc.core.boxes import BoxChange, BoxFilter, ReviewState, make_rows
from microscope_qc.core.defect_class import MAGNET_CLASSES, PALETTE, DefectClass
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.project import Project


def reopened(project: Project) -> Project:
    project.close()
    return Project.open(project.path)


def test_boxes_come_back_as_they_were_added(project: Project) -> None:
    slide = project.slide()
    rows = some_rows(7, class_id=np.arange(1, 8), chosen=True, note="Riß, 亀裂, \x00, 😀", state=ReviewState.CONFIRMED)
    rows["confidence"][:3] = [0.05, 0.1, 1.0]
    ids = project.add_boxes(slide.id, rows)
    with reopened(project) as again:
        back = again.boxes(slide.id).get(ids)
        rows["id"] = ids
        for name in rows.dtype.names:
            np.testing.assert_array_equal(back[name], rows[name])
        assert again.slide_of(ids[3]) == slide.id


def test_a_table_hears_of_changes_after_they_were_committed(project: Project) -> None:
    slide = project.slide().id
    heard: list[tuple[BoxChange, int]] = []
    reader = Project.open(project.path, write=False)

    def on_change(change: BoxChange) -> None:
        heard.append((change, len(stored(reader)["boxes"])))

    project.boxes(slide).changed.connect(on_change)
    ids = project.add_boxes(slide, some_rows(2))
    project.edit_boxes(ids, note="x")
    project.delete_boxes(ids[:1])
    project.undo()
    reader.close()
    assert [(change.kind, change.ids.tolist(), count) for change, count in heard] == [
        ("added", ids.tolist(), 2),
        ("updated", ids.tolist(), 2),
        ("removed", ids[:1].tolist(), 1),
        ("added", ids[:1].tolist(), 2),
    ]


def test_edits_of_boxes_on_several_slides_are_one_step(project: Project) -> None:
    first, second = project.slides
    ids = [*project.add_boxes(first.id, some_rows(2)), *project.add_boxes(second.id, some_rows(2))]
    order = [ids[3], ids[0], ids[2]]
    project.edit_boxes(order, note=["three", "zero", "two"], title="Notes")
    notes = {int(row["id"]): row["note"] for row in project.all_rows()}
    assert notes == {ids[0]: "zero", ids[1]: "", ids[2]: "two", ids[3]: "three"}
    assert project.undo_title == "Notes"
    project.undo()
    assert set(project.all_rows()["note"]) == {""}


def test_an_edit_that_changes_nothing_is_no_step(project: Project) -> None:
    ids = project.add_boxes(project.slide().id, some_rows(2), title="Draw")
    project.edit_boxes(ids, class_id=1, confidence=np.nan, state=ReviewState.UNREVIEWED)
    project.edit_boxes([], class_id=2)
    project.delete_boxes([])
    project.edit_class(1, name="Anode carbon particle")
    assert project.undo_title == "Draw"


def test_a_reason_goes_when_the_box_is_rejected_no_more(project: Project) -> None:
    (box,) = ids = project.add_boxes(project.slide().id, some_rows(1))
    project.edit_boxes(ids, state=ReviewState.REJECTED, reason="duplicate")
    project.edit_boxes(ids, state=ReviewState.CONFIRMED)
    assert project.all_rows()["reason"].tolist() == [""]
    project.undo()
    assert project.all_rows()["reason"].tolist() == ["duplicate"]


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
        {"confidence": np.inf},
    ],
)
def test_impossible_edits_are_refused_and_change_nothing(project: Project, columns: dict[str, object]) -> None:
    ids = project.add_boxes(project.slide().id, some_rows(2))
    before, history = stored(project), project.history()
    with pytest.raises(InputError):
        project.edit_boxes(ids, **columns)  # type: ignore[arg-type]
    assert stored(project) == before and project.history() == history
    assert_memory_is_stored(project)


@pytest.mark.parametrize("columns", [{"class_id": 0}, {"y1": 0.0, "y0": 0.0}, {"x0": np.nan}, {"run_id": 1}])
def test_impossible_boxes_are_refused(project: Project, columns: dict[str, object]) -> None:
    rows = some_rows(2)
    for name, value in columns.items():
        rows[name][1] = value
    with pytest.raises(InputError):
        project.add_boxes(project.slide().id, rows)
    assert len(project.all_rows()) == 0 and not project.can_undo


def test_unknown_numbers_are_refused(project: Project) -> None:
    calls = [
        lambda: project.edit_boxes([4], note="x"),
        lambda: project.delete_boxes([4]),
        lambda: project.slide_of(4),
        lambda: project.boxes(9),
        lambda: project.add_boxes(9, some_rows(1)),
        lambda: project.edit_class(99, name="x"),
        lambda: project.delete_class(99),
        lambda: project.delete_class(1, move_to=99),
        lambda: project.delete_class(1, move_to=1),
        lambda: project.edit_mark(1, y_px=2),
        lambda: project.set_pixel_size(9, 1.0),
        lambda: project.set_pixel_size(1, 0.0),
        lambda: project.set_pixel_size(1, float("nan")),
        lambda: project.set_pixel_size(1, (1.0, -1.0)),
        lambda: project.add_mark(1, "", 1, 2),
        lambda: project.add_mark(1, "A", float("nan"), 2),
        lambda: project.start_run(9, {}, {}),
        lambda: project.show_run(9, True),
        lambda: project.class_by_code("nope"),
        lambda: project.slide("nope"),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()
    assert not project.can_undo


def test_an_unknown_slide_is_answered_with_the_names_there_are(project: Project) -> None:
    with pytest.raises(InputError, match="S1 45, S1 46"):
        project.slide("S1 47")


def test_a_full_disk_changes_nothing(project: Project) -> None:
    slide = project.slide().id
    project.add_boxes(slide, some_rows(5))
    project.undo()
    before, history = stored(project), project.history()
    pages = project._database.pragma("page_count")[0][0]
    project._database.pragma(f"max_page_count={pages}")
    with pytest.raises(ProjectError, match="disk is full"):
        project.add_boxes(slide, some_rows(20_000))
    assert stored(project) == before and project.history() == history
    assert_memory_is_stored(project)
    assert project.redo_title == "Draw box"
    project._database.pragma("max_page_count=1000000")
    assert len(project.add_boxes(slide, some_rows(20_000))) == 20_000
    assert_memory_is_stored(project)


def test_a_run_that_cannot_be_stored_leaves_no_folder(project: Project) -> None:
    pages = project._database.pragma("page_count")[0][0]
    project._database.pragma(f"max_page_count={pages}")
    with pytest.raises(ProjectError, match="disk is full"):
        project.start_run(project.slide().id, {"model": "m", "text": "x" * 100_000}, {})
    assert project.runs == [] and list((project.path / "runs").iterdir()) == []


def test_hundred_thousand_boxes(project: Project) -> None:
    slide = project.slide().id
    ids = project.add_boxes(slide, some_rows(100_000), title="Import")
    assert len(np.unique(ids)) == 100_000
    project.edit_boxes(ids[::10], state=ReviewState.CONFIRMED)
    with reopened(project) as again:
        assert (again.boxes(slide).rows["state"] == ReviewState.CONFIRMED).sum() == 10_000
        again.undo()
        assert again.undo_title == "Import"
        again.undo()
        assert len(again.boxes(slide)) == 0
        assert again.history(1)[0].box_count == 10_000


def test_classes_in_any_script(project: Project) -> None:
    added = project.add_class("Ж裂😀", name="Трещина", description="ひび")
    assert added.colour in PALETTE and added.key == "" and added.position == 10
    edited = project.edit_class(added.id, key="3", weight=2.5, code="Ж2")
    assert edited.key == "3" and [c.key for c in project.classes].count("3") == 1
    with pytest.raises(InputError, match="Ж2 already"):
        project.add_class("Ж2")
    with reopened(project) as again:
        assert again.class_by_code("Ж2") == edited


@pytest.mark.parametrize(
    "fields",
    [{"code": " "}, {"code": "AOP"}, {"colour": "red"}, {"key": "a"}, {"weight": -1}, {"weight": "much"}, {"id": 4}],
)
def test_impossible_classes_are_refused(project: Project, fields: dict[str, object]) -> None:
    before = project.classes
    with pytest.raises(InputError):
        project.edit_class(1, **fields)
    assert project.classes == before and not project.can_undo


def test_deleting_a_class_moves_or_takes_its_boxes(project: Project) -> None:
    slide = project.slide().id
    project.add_boxes(slide, some_rows(3, class_id=2))
    project.add_boxes(slide, some_rows(2, class_id=3))
    assert project.class_counts()[2] == 3
    project.delete_class(2, move_to=3)
    assert project.class_counts() == {c.id: 5 if c.id == 3 else 0 for c in project.classes}
    project.delete_class(3)
    assert len(project.boxes(slide)) == 0 and "delete its 5 boxes" in project.undo_title
    project.undo()
    project.undo()
    assert sorted(project.boxes(slide).rows["class_id"]) == [2, 2, 2, 3, 3]


def test_an_import_is_undone_as_a_whole(project: Project) -> None:
    first, second = project.slides
    before = stored(project)
    rows = {first.id: some_rows(3, class_id=np.array([1, -1, -2])), second.id: some_rows(1, class_id=-2)}
    new = [DefectClass("Staub", "Dust"), DefectClass("Kratzer", "Scratch", key="1")]
    ids = project.add_boxes_many(rows, title="Import labels.json", classes=new)
    codes = {defect.id: defect.code for defect in project.classes}
    assert [codes[n] for n in project.boxes(first.id).get(ids[first.id])["class_id"]] == ["ACP", "Staub", "Kratzer"]
    assert project.class_by_code("Kratzer").key == ""  # the digit stays where it was
    project.undo()
    assert stored(project) == before
    project.redo()
    assert project.class_by_code("Staub").name == "Dust" and len(project.all_rows()) == 4


def test_marks_and_alignments(project: Project) -> None:
    slide = project.slide().id
    mark = project.add_mark(slide, "Ecke links", 10, 20.5)
    project.edit_mark(mark.id, stage_x_mm=1.25, stage_y_mm=-3)
    saved = project.save_registration(slide, "R1", {"matrix": [1, 0], "ü": None})
    replaced = project.save_registration(slide, "R1", {"matrix": [2]})
    assert saved.id == replaced.id
    with reopened(project) as again:
        (back,) = again.marks(slide)
        assert (back.name, back.y_px, back.x_px, back.stage_x_mm, back.stage_y_mm) == ("Ecke links", 10, 20.5, 1.25, -3)
        assert [r.data for r in again.registrations] == [{"matrix": [2]}]
        again.undo()
        assert [r.data for r in again.registrations] == [{"matrix": [1, 0], "ü": None}]


def test_the_filter_is_kept_and_decides_what_is_shown(project: Project) -> None:
    slide = project.slide().id
    rows = make_rows(3, class_id=[1, 2, 2], y0=[0, 0, 0], y1=1, x0=0, x1=1, confidence=[0.1, 0.6, np.nan])
    project.add_boxes(slide, rows)
    wanted = BoxFilter(min_confidence=0.5, class_ids=frozenset({2}), states=frozenset({ReviewState.UNREVIEWED}))
    heard: list[bool] = []
    project.events.filter_changed.connect(lambda: heard.append(True))
    project.set_filter(wanted)
    assert heard == [True] and len(project.all_rows()) == 2 and len(project.all_rows(shown=False)) == 3
    with reopened(project) as again:
        assert again.filter == wanted and len(again.all_rows()) == 2


def test_settings_are_kept(project: Project) -> None:
    project.set_setting("gallery", {"order": "size", "columns": [1, 2]})
    with pytest.raises(InputError):
        project.set_setting("gallery", object())
    with reopened(project) as again:
        assert again.setting("gallery") == {"order": "size", "columns": [1, 2]}
        assert again.setting("other", 5) == 5


def test_the_same_slide_is_there_once(project: Project, slide_files: list[Path], tmp_path: Path) -> None:
    assert project.add_slide(slide_files[1]) == project.slides[1]
    other = write_slide(tmp_path / "sub" / "x.png", seed=9) if (tmp_path / "sub").mkdir() is None else None
    assert other is not None
    namesake = write_slide(tmp_path / "sub" / "S1 45.png", seed=10)
    assert project.add_slide(namesake).name == "S1 45 (2)"
    assert [slide.name for slide in project.slides] == ["S1 45", "S1 46", "S1 45 (2)"]
    assert project.slides[0].shape_px == (80, 120)
    project.undo()
    assert len(project.slides) == 2


def test_other_class_sets(tmp_path: Path) -> None:
    with Project.create(tmp_path / "magnet", classes=MAGNET_CLASSES) as project:
        assert project.path.name == "magnet.mqc" and project.name == "magnet"
        assert [c.code for c in project.classes] == ["OXA", "LOX", "LPO", "FLU"]
        with pytest.raises(InputError, match="no slide"):
            project.slide()


def test_the_making_of_a_project_cannot_be_undone(project: Project) -> None:
    assert not project.can_undo and project.undo() is None
    assert [entry.kind for entry in project.history()] == ["made", "made"]
