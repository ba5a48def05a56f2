"""The parts of a project from outside: sequences that are always up to date, and no more is read than needed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from project_support import assert_memory_is_stored, some_rows

from microscope_qc.core.errors import InputError
from microscope_qc.project import Project, findings, memory
from microscope_qc.project.runs.plan import RunPlan


def test_records_are_sequences_that_are_always_up_to_date(project: Project) -> None:
    slides = project.slides
    first, second = slides
    assert len(slides) == 2 and slides[-1] is second and list(slides[:1]) == [first] and second in slides
    seen = []
    for slide in slides:  # over those there were when the loop began
        project.slides.remove(slide.id)
        seen.append(slide)
    assert seen == [first, second] and not slides and not project.slides
    project.history.undo()
    assert list(slides) == [second] and slides.by_id(second.id) == second
    project.history.undo()
    assert list(slides) == [first, second]


@pytest.mark.parametrize(
    ("part", "words"),
    [("slides", "slide"), ("classes", "class"), ("runs", "run"), ("marks", "mark"), ("registrations", "alignment")],
)
def test_an_unknown_number_is_named(project: Project, part: str, words: str) -> None:
    with pytest.raises(InputError, match=f"There is no {words} 999 in cell"):
        getattr(project, part).by_id(999)


def test_only_the_slide_of_a_box_is_read_to_change_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = project.slides
    ids = project.boxes.add_many({first.id: some_rows(3), second.id: some_rows(2, class_id=2)})
    read, claims = [], findings._claims

    def reading(connection, slide_ids: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        read.extend(slide_ids)
        return claims(connection, slide_ids)

    monkeypatch.setattr(findings, "_claims", reading)
    project.close()
    project = Project.open(project.path)
    assert project.boxes.slide_of(int(ids[first.id][0])) == first.id and read == []
    project.boxes.edit(ids[second.id][:1], note="seen")
    assert read == [second.id]
    project.boxes.edit(np.concatenate([ids[second.id], ids[first.id]]), note="both")
    assert read == [second.id, first.id]
    assert_memory_is_stored(project)
    project.close()


def test_a_box_that_only_the_database_knows_is_found_at_once(project: Project) -> None:
    slide = project.slides[0].id
    project.boxes.table(slide)
    (number,) = project.boxes.add(slide, some_rows(1))
    with project._store.database.begin() as connection:
        names = "slide_id, class_id, y0, x0, y1, x1, state, flags, chosen, reason, note"
        copied = f"INSERT INTO boxes (id, {names}) SELECT 99, {names} FROM boxes WHERE id = {int(number)}"
        connection.exec_driver_sql(copied)
    with pytest.raises(InputError, match="no box 99"):
        project.boxes.edit([int(number), 99], note="x")


def test_slides_whose_findings_changed_are_known_by_the_version(project: Project) -> None:
    first, second = (slide.id for slide in project.slides)
    boxes = project.boxes
    ids = boxes.add_many({first: some_rows(3), second: some_rows(2, class_id=2)})
    start = boxes.version
    assert boxes.changed_since(start) == []
    boxes.edit(ids[first][:1], note="seen")
    between = boxes.version
    boxes.edit(np.concatenate([ids[second], ids[first]]), chosen=True)
    assert boxes.changed_since(between) == [second, first]
    later = boxes.version
    project.history.undo()
    project.history.undo()
    assert boxes.changed_since(later)[0] == first and set(boxes.changed_since(later)) == {first, second}
    latest = boxes.version
    project.slides.rename(first, "another")
    assert boxes.changed_since(latest) == []
    project.reload()
    assert set(boxes.changed_since(latest)) == {first, second} == set(boxes.rows_in_memory())
    assert boxes.rows_in_memory()[first]["id"].tolist() == ids[first].tolist()


def test_many_records_that_change_at_once_are_all_renewed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = project.slides
    for number in range(4):
        project.marks.add(first.id, f"M{number}", number, 1)
    kept = project.marks.add(second.id, "kept", 5, 5)
    for most in (2, 500):
        monkeypatch.setattr(memory, "_MOST_RENEWED", most)
        project.slides.remove(first.id)
        assert list(project.marks) == [kept]
        project.history.undo()
        assert [mark.name for mark in project.marks] == ["M0", "M1", "M2", "M3", "kept"]
        assert_memory_is_stored(project)


def test_the_whole_history_is_exported_whatever_was_listed_before(project: Project, tmp_path: Path) -> None:
    for number in range(5):
        project.marks.add(project.slides[0].id, f"M{number}", number, 1)
    everything = project.history.entries(None)
    assert everything[-1].title == "Add 2 slides"
    for limit in (None, 3):
        if limit is not None:
            project.history.undo()
            project.history.redo()
            assert len(project.history.entries(limit)) == limit
        project.history.export(tmp_path / "trail.csv")
        with (tmp_path / "trail.csv").open(encoding="utf-8", newline="") as file:
            steps = {line["step"] for line in csv.DictReader(file)}
        assert steps == {str(entry.id) for entry in everything}


@pytest.mark.parametrize(
    ("card", "title"),
    [
        ({"model": "li-ion-ssd"}, "Detect with li-ion-ssd on S1 45"),
        ({"model": "/somewhere/models/toy"}, "Detect with toy on S1 45"),
        ({"model": "C:\\models\\toy\\"}, "Detect with toy on S1 45"),
        ({"model": "/somewhere/models/folder", "model_name": "toy"}, "Detect with toy on S1 45"),
        ({}, "Detect with a model on S1 45"),
    ],
)
def test_a_detection_is_called_by_the_name_of_its_model(project: Project, card: dict[str, str], title: str) -> None:
    project.runs.start(project.slides[0].id, RunPlan(**card))
    assert project.history.entries(1)[0].title == title
