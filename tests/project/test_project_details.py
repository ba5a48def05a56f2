"""Attributes, outlines, class operations, saved filters and the audit trail of a project."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from project_support import assert_memory_is_stored, some_rows, stored
from sqlalchemy import text

from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.core.class_sets import load_class_set, save_class_set
from microscope_qc.core.defect_class import MAGNET_CLASSES, DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.project.scenes import SceneFacts

TRIANGLE = Outline.polygon([(10, 20), (10, 40), (30, 30)])


@pytest.fixture
def drawn(project: Project) -> list[int]:
    """Three boxes on the first slide, the first with an outline and attributes."""
    rows = some_rows(3)
    rows["y0"][0], rows["x0"][0], rows["y1"][0], rows["x1"][0] = TRIANGLE.bounds
    slide = project.slides[0].id
    made = project.boxes.add_many(
        {slide: rows}, attributes={slide: {0: {"material": "Al"}, 2: {}}}, outlines={slide: {0: TRIANGLE}}
    )
    return made[slide].tolist()


def test_attributes_are_set_merged_and_removed(project: Project, drawn: list[int]) -> None:
    project.attributes.edit(drawn[:2], {"depth": 2.5, "tags": ["a", 1]})
    assert project.attributes.get(drawn[0]) == {"material": "Al", "depth": 2.5, "tags": ["a", 1]}
    assert project.attributes.get(drawn[2]) == {}
    assert project.history.entries()[0].box_ids == tuple(drawn[:2])
    project.attributes.edit(drawn, {"material": None, "depth": None, "tags": None})
    assert project.attributes.of_slide(project.slides[0].id) == {}
    project.history.undo()
    project.close()
    with Project.open(project.path, write=False) as reader:
        assert reader.attributes.get(drawn[1]) == {"depth": 2.5, "tags": ["a", 1]}


@pytest.mark.parametrize(
    "attributes", [{"": 1}, {"a" * 101: 1}, {7: 1}, {"a": float("nan")}, {"a": object()}, {"a": "x" * 10_001}]
)
def test_impossible_attributes_change_nothing(project: Project, drawn: list[int], attributes: dict) -> None:
    before = stored(project)
    with pytest.raises(InputError):
        project.attributes.edit(drawn, attributes)
    assert stored(project) == before


def test_views_are_told_of_attributes_and_outlines(project: Project, drawn: list[int]) -> None:
    heard = []
    project.boxes.table(project.slides[0].id).changed.connect(
        lambda change: heard.append((change.kind, change.ids.tolist()))
    )
    project.attributes.edit(drawn[1:], {"a": 1})
    project.outlines.set(drawn[1], TRIANGLE)
    project.boxes.delete(drawn[:1])
    assert heard == [("updated", drawn[1:]), ("updated", drawn[1:2]), ("removed", drawn[:1])]


def test_an_outline_moves_with_its_box_and_is_dropped_when_the_size_changes(project: Project, drawn: list[int]) -> None:
    (y0, x0, y1, x1), first = TRIANGLE.bounds, drawn[0]
    project.boxes.edit(drawn, note="same place")
    assert project.outlines.get(first) == TRIANGLE
    project.boxes.edit([first], y0=y0 + 0.1, y1=y1 + 0.1, x0=x0 - 7, x1=x1 - 7)
    assert project.outlines.get(first).bounds == pytest.approx((10.1, 13, 30.1, 33))
    project.boxes.edit([first], y1=500)
    assert project.outlines.get(first) is None
    project.history.undo()
    project.history.undo()
    assert project.outlines.get(first) == TRIANGLE
    assert_memory_is_stored(project)


def test_attributes_and_outline_are_deleted_and_restored_with_their_box(project: Project, drawn: list[int]) -> None:
    for delete in (
        lambda: project.boxes.delete(drawn),
        lambda: project.classes.delete(project.boxes.table(project.slides[0].id).rows["class_id"][0]),
        lambda: project.slides.remove(project.slides[0].id),
    ):
        before = stored(project)
        delete()
        assert stored(project)["attributes"] == stored(project)["outlines"] == {}
        project.history.undo()
        assert stored(project) == before
        assert project.outlines.get(drawn[0]) == TRIANGLE and project.attributes.get(drawn[0]) == {"material": "Al"}


def test_copies_keep_note_attributes_and_outline(project: Project, drawn: list[int]) -> None:
    first, second = project.slides
    project.boxes.edit(drawn, note="n", state=ReviewState.CONFIRMED, chosen=True)
    made = project.boxes.duplicate(drawn[:2], dy_px=5, dx_px=-5)
    rows = project.boxes.table(first.id).get(made)
    assert rows["note"].tolist() == ["n", "n"] and not rows["state"].any() and not rows["chosen"].any()
    assert project.outlines.get(int(made[0])) == TRIANGLE.moved(5, -5)
    (there,) = project.boxes.duplicate(drawn[:1], dy_px=0, dx_px=0, slide_id=second.id)
    assert project.boxes.slide_of(int(there)) == second.id and project.attributes.get(int(there)) == {"material": "Al"}
    project.history.undo()
    project.history.undo()
    assert len(project.boxes.table(first.id)) == 3 and len(project.boxes.table(second.id)) == 0


def test_merging_classes_is_one_step(project: Project) -> None:
    first, second = project.slides
    a, b, c = (cls.id for cls in project.classes[:3])
    project.boxes.add_many({first.id: some_rows(3, class_id=a), second.id: some_rows(2, class_id=b)})
    before, entries = stored(project), len(project.history.entries())
    project.classes.merge([a, b, c], into=c)
    assert len(project.history.entries()) == entries + 1
    assert "ACP, AOP into AFP (5 findings)" in project.history.undo_title
    assert project.classes.box_counts()[c] == 5 and {a, b}.isdisjoint(cls.id for cls in project.classes)
    assert_memory_is_stored(project)
    project.history.undo()
    assert stored(project) == before
    with pytest.raises(InputError, match="two classes"):
        project.classes.merge([c], into=c)


def test_order_and_colours_in_one_step_each(project: Project) -> None:
    ids = [cls.id for cls in project.classes]
    project.classes.reorder(ids[::-1])
    assert [cls.id for cls in project.classes] == ids[::-1]
    project.classes.recolour({ids[0]: "#112233", ids[1]: "#445566"})
    assert project.classes.by_id(ids[1]).colour == "#445566"
    project.history.undo()
    project.history.undo()
    assert [cls.id for cls in project.classes] == ids and not project.history.can_undo
    for wrong in (ids[:-1], [*ids, ids[0]], [*ids[:-1], 99]):
        with pytest.raises(InputError):
            project.classes.reorder(wrong)
    with pytest.raises(InputError, match="not a colour"):
        project.classes.recolour({ids[0]: "red"})


def test_deleting_a_class_in_use_says_what_happens_to_its_boxes(project: Project) -> None:
    a, b = (cls.id for cls in project.classes[:2])
    project.boxes.add(project.slides[0].id, some_rows(4, class_id=a))
    project.classes.delete(a, move_to=b)
    assert project.history.undo_title == "Delete class ACP and move its 4 findings to AOP"
    project.history.undo()
    project.classes.delete(a)
    assert project.history.undo_title == "Delete class ACP and delete its 4 findings"


def test_class_sets_are_applied_in_one_step(project: Project, tmp_path: Path) -> None:
    project.classes.edit(1, box_size_um=25, example_picture="examples/acp.png", name="mine")
    before = stored(project)
    file = save_class_set(tmp_path / "set", [DefectClass("ACP", "theirs", "#010203", "9"), *MAGNET_CLASSES])
    project.classes.take(load_class_set(file))
    assert [cls.code for cls in project.classes][-4:] == ["OXA", "LOX", "LPO", "FLU"]
    assert project.classes.by_code("ACP").name == "mine"
    project.history.undo()
    assert stored(project) == before
    project.classes.take(load_class_set(file), update=True, title="Load set")
    changed = project.classes.by_code("ACP")
    assert (changed.name, changed.colour, changed.key, changed.example_picture) == (
        "theirs", "#010203", "9", "examples/acp.png",
    )  # fmt: skip
    assert changed.group == "Anode", "a set that says no group takes none away"
    project.classes.take([DefectClass("ACP", "theirs", group="Coating")], update=True)
    assert project.classes.by_code("ACP").group == "Coating"
    project.history.undo()
    keys = [cls.key for cls in project.classes if cls.key]
    assert len(keys) == len(set(keys)), "a digit belongs to one class"
    project.history.undo()
    assert stored(project) == before


def test_box_size_and_examples_of_a_class(project: Project, drawn: list[int]) -> None:
    project.classes.edit(1, box_size_um=12.5, example_box=drawn[0])
    project.close()
    with Project.open(project.path) as again:
        assert (again.classes.by_id(1).box_size_um, again.classes.by_id(1).example_box) == (12.5, drawn[0])
        again.classes.edit(1, box_size_um=None)
        assert again.classes.by_id(1).box_size_um is None
        for wrong in (
            {"box_size_um": -1}, {"box_size_um": "wide"}, {"example_box": 99_999},
            {"example_picture": "/etc/passwd"}, {"example_picture": "../a.png"}, {"example_picture": "C:\\a.png"},
        ):  # fmt: skip
            with pytest.raises(InputError):
                again.classes.edit(1, **wrong)


def test_filters_are_saved_by_name(project: Project, drawn: list[int]) -> None:
    sharp = BoxFilter(0.2, frozenset({1}), frozenset({ReviewState.CONFIRMED}), True, "x", 0.7, (5, 9),
                      frozenset({0, 3}), numbers=frozenset(range(1, 5000)))  # fmt: skip
    project.filters.save("Überprüfen", sharp)
    project.filters.save(" all ", BoxFilter())
    project.filters.save("large", BoxFilter(size_um=(50, float("inf"))))
    project.close()
    with Project.open(project.path) as again:
        assert list(again.filters.saved) == ["all", "large", "Überprüfen"]
        assert again.filters.saved["Überprüfen"] == sharp
        assert again.filters.saved["large"].size_um == (50, float("inf"))
        assert again.filters.use("Überprüfen") == sharp == again.filters.current
        again.filters.delete("all")
        assert list(again.filters.saved) == ["large", "Überprüfen"]
        for wrong in (lambda: again.filters.use("all"), lambda: again.filters.delete("all"),
                      lambda: again.filters.save("  "), lambda: again.filters.save("a", BoxFilter(size_um=(9, 5))),
                      lambda: again.filters.save("a", BoxFilter(0.9, max_confidence=0.1))):  # fmt: skip
            with pytest.raises(InputError):
                wrong()


def test_what_is_shown_depends_on_size_codes_and_attributes(project: Project, drawn: list[int]) -> None:
    first, second = project.slides
    project.slides.set_pixel_size(first.id, 0.5)
    project.boxes.add(second.id, make_rows(1, class_id=2, y0=0, x0=0, y1=9, x1=9))
    project.filters.set(BoxFilter(text="AL"))
    assert project.boxes.rows(shown=True)["id"].tolist() == drawn[:1]
    project.attributes.edit(drawn[1:2], {"x": "metal"})
    assert project.boxes.rows(first.id, shown=True)["id"].tolist() == drawn[:2]
    other = project.boxes.facts(second.id)
    project.filters.set(BoxFilter(text="aop", facts=other))
    assert project.filters.current.facts != other, "facts of one slide are not kept with the filter"
    assert len(project.boxes.rows(first.id, shown=True)) == 0 and len(project.boxes.rows(second.id, shown=True)) == 1
    project.filters.set(BoxFilter(size_um=(9.99, 10.01)))
    assert project.boxes.rows(shown=True)["id"].tolist() == drawn[:1], "20 px at 0.5 um"


def test_the_history_reads_as_an_audit_trail(project: Project, drawn: list[int], tmp_path: Path) -> None:
    project.boxes.edit(drawn[:1], note="=HYPERLINK(evil)", state=ReviewState.REJECTED, reason="duplicate")
    project.attributes.edit(drawn[1:2], {"material": "Ni"})
    project.history.undo()
    project.history.redo()
    run = project.runs.start(project.slides[0].id, RunPlan(model="m"))
    project.runs.add_findings(run.id, some_rows(2, confidence=0.5))
    project.classes.edit(1, name="+SUM(A1)")
    project.history.undo()
    project.slides.rename(project.slides[0].id, "=cmd()")
    (change,) = project.history.changes_of(project.history.entries()[4])
    assert (change.item, change.kind) == (f"box {drawn[0]}", "changed")
    assert "state=unreviewed" in change.before and "note=—" in change.before
    assert "state=rejected" in change.after and "reason=duplicate" in change.after
    count = project.history.export(tmp_path / "trail.csv")
    with (tmp_path / "trail.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == count
    assert all(line["user"] and line["time"] and line["what"] for line in lines)
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    undone = [(line["what"], line["action"], line["in_force"]) for line in lines if line["action"] != "done"]
    assert undone == [
        ("Set material of a box", "undone", "yes"),
        ("Set material of a box", "done again", "yes"),
        ("Rename class ACP: “Anode carbon particle” to “+SUM(A1)”", "undone", "no"),
    ]
    by_item = {(line["item"], line["change"]): line for line in lines}
    assert by_item[("2 boxes", "found")]["slide"] == "'=cmd()"
    assert by_item[(f"attributes of box {drawn[1]}", "added")]["after"] == 'data={"material":"Ni"}'
    renamed = by_item[("class 1", "changed")]
    assert (renamed["before"], renamed["after"]) == ("name=Anode carbon particle", "name=+SUM(A1)")
    assert by_item[("box 1", "changed")]["slide"] == "'=cmd()"
    assert not any(cell[:1] in "=+-@" for line in lines for cell in line.values() if cell)
    with Project.open(project.path, write=False) as reader:
        assert reader.history.export(tmp_path / "again.csv") == count
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "trail.csv").read_bytes()


def test_the_check_repairs_attributes_and_outlines(project: Project, drawn: list[int]) -> None:
    path = project.path
    with project._store.database.begin() as connection:
        connection.execute(text("UPDATE attributes SET data = '[1'"))
        connection.execute(text("UPDATE outlines SET slide_id = 2"))
    project.close()
    with Project.open(path, write=False) as reader:
        said = reader.check()
        assert [s for s in said if "attributes of 1 boxes" in s] and [s for s in said if "another slide" in s]
    with Project.open(path) as repaired:
        repaired._store.database.pragma("foreign_keys=OFF")
        with repaired._store.database.begin() as connection:
            connection.execute(text(f"INSERT INTO outlines VALUES (99, 1, '{json.dumps({})}')"))  # noqa: S608
        assert len(repaired.check()) == 3 and repaired.check() == []
        assert repaired.outlines.get(drawn[0]) == TRIANGLE and repaired.attributes.get(drawn[0]) == {}
        np.testing.assert_array_equal(repaired.boxes.table(repaired.slides[0].id).rows["id"], drawn)
        assert not repaired.history.can_undo, "the rows are no longer those that undo expects"


def test_a_search_knows_what_there_is_now(project: Project) -> None:
    first = project.slides[0]
    assert project.filters.known().slides == tuple(slide.name for slide in project.slides)
    project.slides.rename(first.id, "other name")
    assert project.filters.known().slides[0] == "other name"
    project.classes.edit(project.classes[0].id, code="QQQ")
    assert "QQQ" in project.filters.known().codes
    project.history.undo()
    assert "QQQ" not in project.filters.known().codes


def test_attributes_of_many_slides_are_read_at_once(tmp_path: Path) -> None:
    facts = [SceneFacts(tmp_path / f"{n}.png", None, f"{n:016x}", (100, 100), None) for n in range(20)]
    with Project.create(tmp_path / "P") as project:
        project.slides.add_scenes(facts)
        ids = {}
        for slide in list(project.slides)[::3]:
            ids[slide.id] = int(project.boxes.add(slide.id, make_rows(1, y1=9, x1=9, class_id=1))[0])
            project.attributes.edit([ids[slide.id]], {"a": slide.id})
    with Project.open(tmp_path / "P.mqc") as project:
        slides = [slide.id for slide in project.slides]
        project.boxes.read_facts(slides)
        known = {number: project.attributes.of_slide(number) for number in slides}
        assert known == {number: {ids[number]: {"a": number}} if number in ids else {} for number in slides}
        project.attributes.edit([ids[slides[3]]], {"a": "new"})
        assert project.attributes.of_slide(slides[3]) == {ids[slides[3]]: {"a": "new"}}


def test_tables_read_in_the_background_are_taken_unless_something_changed(tmp_path: Path) -> None:
    facts = [SceneFacts(tmp_path / f"{n}.png", None, f"{n:016x}", (100, 100), None) for n in range(20)]
    with Project.create(tmp_path / "P") as project:
        project.slides.add_scenes(facts)
        slides = [slide.id for slide in project.slides]
        rows = make_rows(2, y1=9, x1=9, class_id=1)
        ids = project.boxes.add_many(dict.fromkeys(slides, rows))
    with Project.open(tmp_path / "P.mqc") as project:
        assert project.boxes.unread(slides) == slides
        late = project.boxes.reading(slides)()
        project.boxes.delete(ids[slides[4]])
        assert not project.boxes.take(late)
        assert project.boxes.unread(slides[:4]) == slides[:4]
        assert project.boxes.take(project.boxes.reading(slides)())
        assert project.boxes.unread(slides) == []
        left = {number: project.boxes.table(number).rows["id"].tolist() for number in slides}
        assert left == {number: [] if number == slides[4] else ids[number].tolist() for number in slides}
        every = np.concatenate([ids[number] for number in slides if number != slides[4]])
        project.boxes.edit(every[::-1], title="Confirm", state=1)  # of more slides than are looked at one by one
        assert (project.boxes.rows(every=True)["state"] == 1).all()
        with pytest.raises(InputError, match="no box"):
            project.boxes.edit(np.append(every, ids[slides[4]][0]), title="Confirm", state=2)
