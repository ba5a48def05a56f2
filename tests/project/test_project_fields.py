"""What is known of specimens: set, undone, and kept by the project."""

from __future__ import annotations

import pytest
from project_support import stored
from sqlalchemy import text

from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.project import Project


def test_values_are_set_as_one_step_and_undone(project: Project) -> None:
    first, second = (slide.id for slide in project.slides)
    before = stored(project)
    project.fields.set({first: {"Batch": "12", "capacity": "2,85"}, second: {"batch": "12", "br": ""}})
    assert project.history.undo_title == "Set batch and capacity of 2 slides"
    assert project.fields.of(first) == {"batch": "12", "capacity": 2.85}
    assert project.fields.of(second) == {"batch": "12"}
    assert project.fields.values("batch") == {first: "12", second: "12"}
    project.fields.set({first: {"batch": None, "br": 1.19}})
    assert project.history.undo_title == "Set batch and Br of S1 45"
    assert project.slides.by_id(first).fields == {"br": 1.19, "capacity": 2.85}
    changes = project.history.changes_of(project.history.undo_entry)
    assert [(c.before, c.after) for c in changes] == [
        ("fields=batch 12, capacity 2.85", "fields=br 1.19, capacity 2.85")
    ]
    project.history.undo()
    project.history.undo()
    assert stored(project) == before and not project.slides.by_id(first).fields
    project.history.redo()
    assert project.fields.values("capacity") == {first: 2.85}


def test_what_is_there_already_is_no_step(project: Project) -> None:
    project.fields.set({1: {"batch": "a"}})
    entry = project.history.undo_entry
    project.fields.set({1: {"batch": " a "}, 2: {"batch": ""}})
    assert project.history.undo_entry == entry


def test_a_wrong_value_changes_nothing(project: Project) -> None:
    before = stored(project)
    for values in ({1: {"batch": "1"}, 2: {"capacity": "1.234,5"}}, {1: {"colour": "red"}}, {9: {"batch": "1"}}):
        with pytest.raises(InputError):
            project.fields.set(values)
    assert stored(project) == before


def test_values_are_read_again_and_stay_when_a_reader_looks(project: Project) -> None:
    project.fields.set({1: {"specimen": "Ü 44", "production_date": "2018-02-08"}})
    with Project.open(project.path, write=False) as reader:
        assert reader.fields.of(1) == {"specimen": "Ü 44", "production_date": "2018-02-08"}
        with pytest.raises(ProjectError):
            reader.fields.set({1: {"batch": "1"}})


def test_a_field_is_added_renamed_and_removed_with_its_values(project: Project) -> None:
    force = project.fields.add("Pressing force", "number", unit="kN")
    side = project.fields.add("Side", FieldKind.CHOICE, choices=["left", "right", "left", " "])
    assert (force.kind, force.unit, side.choices) == (FieldKind.NUMBER, "kN", ("left", "right"))
    project.fields.set({1: {"pressing force": "1,5 kN", "side": "LEFT"}, 2: {"Side": "right"}})
    before = stored(project)
    renamed = project.fields.edit(force.id, name="Force")
    assert project.fields.of(1) == {"Force": 1.5, "Side": "left"} and renamed.unit == "kN"
    assert project.history.undo_title == "Rename field Pressing force to Force"
    project.history.undo()
    assert stored(project) == before and project.fields.of(1)["Pressing force"] == 1.5
    with pytest.raises(InputError, match="right is still chosen"):
        project.fields.edit(side.id, choices=["left"])
    project.fields.edit(side.id, choices=["left", "right", "top"])
    project.history.undo()
    project.fields.remove(side.id)
    assert project.history.undo_title == "Remove field Side with its values on 2 slides"
    assert project.fields.of(2) == {} and [field.name for field in project.fields] == ["Pressing force"]
    project.history.undo()
    assert stored(project) == before
    assert [field.name for field in project.fields] == ["Pressing force", "Side"]
    with Project.open(project.path, write=False) as reader:
        assert list(reader.fields) == list(project.fields)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", {}), ("batch", {}), ("Manufacturer", {}), ("a" * 101, {}), ("a{b}", {}), ("a=b", {}), ("a\nb\x07", {}),
        ("x", {"kind": "colour"}), ("x", {"kind": "choice"}), ("x", {"choices": ["a"]}), ("x", {"unit": "kN"}),
        ("x", {"kind": "choice", "choices": ["a\x07"]}), ("x", {"kind": "number", "unit": "k" * 31}),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_refused(project: Project, name: str, options: dict) -> None:
    before = stored(project)
    with pytest.raises(InputError) as caught:
        project.fields.add(name, **options)
    assert caught.value.hint and stored(project) == before


def test_new_fields_come_with_their_values(project: Project) -> None:
    project.fields.set({1: {"Operator": "anna"}}, new=[SpecimenField("Operator")], title="Fields from a.csv")
    assert project.fields.named("operator").id and project.fields.of(1) == {"Operator": "anna"}
    project.history.undo()
    assert not list(project.fields) and not project.fields.of(1)
    with pytest.raises(InputError, match="already"):
        project.fields.set({}, new=[SpecimenField("a"), SpecimenField("A")])


def test_damaged_fields_do_not_hinder_the_project(project: Project) -> None:
    project.fields.add("Side", "choice", choices=["a"])
    with project._store.database.begin() as connection:
        connection.execute(text("UPDATE slides SET fields = '[1' WHERE id = 1"))
        connection.execute(text('UPDATE slides SET fields = \'{"batch": [1], "gone": 3}\' WHERE id = 2'))
        connection.execute(text("UPDATE fields SET kind = 'colour'"))
    project.reload()
    assert project.fields.of(1) == {} and not list(project.fields)
    project.fields.set({1: {"batch": "b"}, 2: {"model": "m"}})
    assert project.fields.of(2) == {"batch": [1], "gone": 3, "model": "m"}
    project.history.undo()
    assert project.fields.of(1) == {}


def test_pixel_sizes_are_set_and_slides_removed_as_one_step(project: Project) -> None:
    before = stored(project)
    ids = [slide.id for slide in project.slides]
    project.slides.set_pixel_sizes(ids, (0.5, 0.25))
    assert project.history.undo_title == "Set pixel size of 2 slides"
    assert {slide.pixel_size_um for slide in project.slides} == {(0.5, 0.25)}
    entry = project.history.undo_entry
    project.slides.set_pixel_sizes(ids, (0.5, 0.25))
    assert project.history.undo_entry == entry
    project.marks.add(1, "A", 1, 1)
    project.slides.remove_many(ids)
    assert project.history.undo_title == "Remove 2 slides" and not project.slides
    for _ in range(3):
        project.history.undo()
    assert stored(project) == before
    with pytest.raises(InputError):
        project.slides.set_pixel_sizes([1, 9], 0.5)
    with pytest.raises(InputError):
        project.slides.remove_many([1, 9])
    assert stored(project) == before


def test_a_removal_is_written_later_and_can_be_given_up(project: Project) -> None:
    before = stored(project)
    pending = project.slides.prepare_removing([1])
    with pytest.raises(ProjectError, match="Remove slide S1 45"):
        project.fields.set({1: {"batch": "1"}})
    pending.give_up()
    project.fields.set({1: {"batch": "1"}})
    project.history.undo()
    pending = project.slides.prepare_removing([1, 2])
    pending.write()
    assert len(project.slides) == 2, "memory follows when it is finished"
    pending.finish()
    assert not project.slides
    project.history.undo()
    assert stored(project) == before
    with pytest.raises(InputError):
        project.slides.prepare_removing([9])
    assert not project.is_writing
