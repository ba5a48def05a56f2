"""What several tests of the project share: boxes to add, the whole state, and random edits that can be repeated."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.boxes import BOX_DTYPE, ReviewState, make_rows
from microscope_qc.core.outline import Outline
from microscope_qc.project import Project, schema

CONTENT = (
    "fields",
    "slides", "classes", "boxes", "attributes", "outlines", "inclusion", "areas", "runs", "run_classes", "marks",
    "registrations",
)  # fmt: skip


def some_rows(count: int, *, seed: int = 0, class_id: int = 1, **columns: Any) -> np.ndarray:
    """Make boxes that differ from each other."""
    rng = np.random.default_rng(seed)
    y0, x0 = rng.random(count) * 900, rng.random(count) * 900
    size = 1 + rng.random((2, count)) * 50
    return make_rows(count, class_id=class_id, y0=y0, x0=x0, y1=y0 + size[0], x1=x0 + size[1], **columns)


def stored(project: Project) -> dict[str, dict[int, dict[str, Any]]]:
    """Everything in the database that undo and redo are about: table -> id -> row."""
    result: dict[str, dict[int, dict[str, Any]]] = {}
    with project._store.database.begin() as connection:
        for name in CONTENT:
            rows = connection.execute(select(schema.metadata.tables[name]))
            columns = tuple(rows.keys())
            number = columns.index("id")
            # not row._mapping: it takes most of the time of tests that read thousands of rows after every edit
            result[name] = {row[number]: dict(zip(columns, row, strict=True)) for row in map(tuple, rows.all())}
    for row in result["runs"].values():
        row.pop("found")  # counts what a run found, also what was deleted since
    for row in result["areas"].values():
        row.pop("declared")  # a time: it differs where the same is done on a copy
    return result


def assert_memory_is_stored(project: Project) -> None:
    """The boxes in memory and in the database are the same."""
    in_database = stored(project)
    assert [slide.id for slide in project.slides] == sorted(in_database["slides"])
    assert {defect.id: defect.code for defect in project.classes} == {
        number: row["code"] for number, row in in_database["classes"].items()
    }
    for slide in project.slides:
        rows = project.boxes.table(slide.id).rows
        mine = [row for row in in_database["boxes"].values() if row["slide_id"] == slide.id]
        assert rows["id"].tolist() == [row["id"] for row in mine]
        for name in BOX_DTYPE.names or ():
            expected = [float("nan") if row[name] is None else row[name] for row in mine]
            np.testing.assert_array_equal(rows[name], np.array(expected, BOX_DTYPE[name]))
    for number, row in in_database["slides"].items():
        assert project.slides.by_id(number).name == row["name"]
        assert project.slides.by_id(number).fields == json.loads(row["fields"])
        for table, found in (("attributes", project.attributes.of_slide), ("outlines", project.outlines.of_slide)):
            expected_texts = {n: row["data"] for n, row in in_database[table].items() if row["slide_id"] == slide.id}
            assert getattr(project, table).stored(slide.id) == expected_texts
            assert sorted(found(slide.id)) == sorted(expected_texts)
    assert [(d.id, d.position, d.colour) for d in project.classes] == sorted(
        ((n, row["position"], row["colour"]) for n, row in in_database["classes"].items()), key=lambda d: (d[1], d[0])
    )
    marks = {mark.id: mark.name for slide in project.slides for mark in project.marks.of_slide(slide.id)}
    assert marks == {number: row["name"] for number, row in in_database["marks"].items()}
    assert project.inclusion.current.confidence_limit == in_database["inclusion"][1]["confidence_limit"]
    assert {area.id: (area.slide_id, area.outline.to_json(), sorted(area.class_ids)) for area in project.areas} == {
        n: (row["slide_id"], row["outline"], json.loads(row["classes"])) for n, row in in_database["areas"].items()
    }
    for run in project.runs:
        labels = [row for row in in_database["run_classes"].values() if row["run_id"] == run.id]
        assert project.runs.classes_of(run.id) == {row["label"]: row["class_id"] for row in labels}
    assert {run.id: run.shown for run in project.runs} == {n: row["shown"] for n, row in in_database["runs"].items()}


def edit_at_random(project: Project, rng: random.Random) -> None:
    """One edit that depends on the project and ``rng`` only, so that it can be repeated on a copy."""
    slide = rng.choice(project.slides)
    ids = project.boxes.table(slide.id).rows["id"].tolist()
    kinds = ["add", "add", "undo", "redo", "mark", "class", "order", "size", "limit", "declare", "specimen"]
    if ids:
        kinds += ["move", "judge", "relabel", "delete", "note", "describe", "outline", "copy"]
    if project.areas:
        kinds.append("withdraw")
    if len(project.classes) > 3:
        kinds.append("merge")
    kind = rng.choice(kinds)
    chosen = rng.sample(ids, min(len(ids), rng.randint(1, 5)))
    if kind == "add":
        rows = some_rows(rng.choice([1, 1, 3, 500]), seed=rng.randint(0, 9999), class_id=project.classes[0].id)
        project.boxes.add(slide.id, rows)
    elif kind == "undo":
        project.history.undo()
    elif kind == "redo":
        project.history.redo()
    elif kind == "mark":
        project.marks.add(slide.id, f"M{rng.randint(1, 99)}", rng.random() * 80, rng.random() * 120)
    elif kind == "class":
        project.classes.edit(rng.choice(project.classes).id, description=f"text {rng.random()}")
    elif kind == "order":
        ids_of_classes = [defect.id for defect in project.classes]
        rng.shuffle(ids_of_classes)
        project.classes.reorder(ids_of_classes)
    elif kind == "merge":
        project.classes.merge([rng.choice(project.classes[1:]).id], into=project.classes[0].id)
    elif kind == "limit":
        project.inclusion.set_limit(rng.random())
    elif kind == "declare":
        y, x = rng.random() * 60, rng.random() * 100
        wanted = rng.choice([None, [rng.choice(project.classes).id]])
        project.areas.declare(slide.id, [(y, x), (y, x + 9), (y + rng.random() * 9, x)], wanted)
    elif kind == "withdraw":
        project.areas.remove(rng.choice(project.areas).id)
    elif kind == "describe":
        project.attributes.edit(chosen, {rng.choice("ab"): rng.choice([None, rng.random(), "Ü"])})
    elif kind == "outline":
        shape = Outline.polygon([(0, 0), (0, rng.random() + 1), (rng.random() + 1, 0)])
        project.outlines.set(chosen[0], rng.choice([shape, shape, None]))
    elif kind == "copy":
        project.boxes.duplicate(chosen, dy_px=rng.random(), dx_px=3)
    elif kind == "size":
        project.slides.set_pixel_size(slide.id, rng.uniform(0.1, 2.0))
    elif kind == "specimen":
        values = {"batch": rng.choice(["", "Ü 1", "2"]), "capacity": rng.choice([None, rng.random()])}
        project.fields.set({slide.id: values for slide in project.slides})
    elif kind == "move":
        project.boxes.edit(chosen, y0=-rng.random(), x0=-rng.random())
    elif kind == "judge":
        project.boxes.edit(chosen, state=rng.choice(list(ReviewState)), reason="duplicate")
    elif kind == "relabel":
        project.boxes.edit(chosen, class_id=rng.choice(project.classes).id)
    elif kind == "note":
        project.boxes.edit(chosen, note=f"Überprüft {rng.random()}")
    else:
        project.boxes.delete(chosen)
