"""What several tests of the project share: boxes to add, the whole state, and random edits that can be repeated."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.boxes import BOX_DTYPE, ReviewState, make_rows
from microscope_qc.core.composition import Amount
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.outline import Outline
from microscope_qc.project import EdxMeasurement, Project, schema
from microscope_qc.project.loading import measurement_row
from microscope_qc.project.parts.standards import CHART, EVENT, SEVERITY
from microscope_qc.project.runs.plan import RunPlan

CONTENT = (
    "fields",
    "slides", "classes", "boxes", "opinions", "attributes", "outlines", "inclusion", "areas", "runs", "run_classes",
    "marks", "registrations", "model_in_use", "measurements", "measurement_links", "spectra", "standards",
)  # fmt: skip


def some_rows(count: int, *, seed: int = 0, class_id: int = 1, **columns: Any) -> np.ndarray:
    """Make boxes that differ from each other."""
    rng = np.random.default_rng(seed)
    y0, x0 = rng.random(count) * 900, rng.random(count) * 900
    size = 1 + rng.random((2, count)) * 50
    return make_rows(count, class_id=class_id, y0=y0, x0=x0, y1=y0 + size[0], x1=x0 + size[1], **columns)


def some_measurement(share: float, **columns: Any) -> EdxMeasurement:
    """Make a measurement of oxygen and nickel."""
    amounts = (Amount("O", "at", 100 * share, 0.1), Amount("Ni", "at", 100 - 100 * share))
    known: dict[str, Any] = {"label": "Prüfling 1", "source": "edx.csv", "file_hash": "f", "row": 3, "amounts": amounts}
    return EdxMeasurement(0, 0, **known | columns)


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
        for name in ("found", "started", "finished", "state", "card"):  # times, and what a restart may change
            row.pop(name)
    # a place that was left is no finding
    said = {row["finding_id"] for row in result["opinions"].values()}
    result["boxes"] = {n: row for n, row in result["boxes"].items() if row["flags"] or row["state"] or n in said}
    for row in result["areas"].values():
        row.pop("declared")  # a time: it differs where the same is done on a copy
        row["drawn"] = bool(row["drawn"])
    for row in result["standards"].values():
        row.pop("kept")
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
        mine = expected_findings(in_database, slide.id)
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
    model = next(iter(in_database["model_in_use"].values()), None)
    assert (project.models.current is None) == (model is None)
    assert model is None or project.models.current.name == model["name"]
    assert {area.id: (area.slide_id, area.outline.to_json(), sorted(area.class_ids)) for area in project.areas} == {
        n: (row["slide_id"], row["outline"], json.loads(row["classes"])) for n, row in in_database["areas"].items()
    }
    assert {known.id: (known.kind, known.name, known.data) for known in project.standards} == {
        n: (row["kind"], row["name"], json.loads(row["data"])) for n, row in in_database["standards"].items()
    }
    assert [measurement_row(known) for known in project.measurements] == list(in_database["measurements"].values())
    assert {n: (link.finding_id, link.slide_id) for n, link in project.measurements.links.items()} == {
        row["measurement_id"]: (row["finding_id"], row["slide_id"]) for row in in_database["measurement_links"].values()
    }
    assert project.measurements.spectra == {row["measurement_id"]: n for n, row in in_database["spectra"].items()}
    for run in project.runs:
        labels = [row for row in in_database["run_classes"].values() if row["run_id"] == run.id]
        assert project.runs.classes_of(run.id) == {row["label"]: row["class_id"] for row in labels}
    assert {run.id: run.shown for run in project.runs} == {n: row["shown"] for n, row in in_database["runs"].items()}


def some_results(project: Project, rng: random.Random, slide_id: int) -> np.ndarray:
    """What a model may find: most of it where findings are already, moved a little, the rest somewhere."""
    known = project.boxes.table(slide_id).rows
    picked = [known[n] for n in rng.sample(range(len(known)), min(len(known), rng.randint(0, 4)))]
    count = len(picked) + rng.randint(1, 3)
    rows = some_rows(count, seed=rng.randint(0, 9999))
    rows["class_id"] = [rng.choice(project.classes).id for _ in range(count)]
    rows["confidence"] = [rng.random() for _ in range(count)]
    for row, old in zip(rows, picked, strict=False):
        for side in ("y0", "x0", "y1", "x1"):
            row[side] = old[side] + rng.random() * 0.2
        if rng.random() < 0.7:
            row["class_id"] = old["class_id"]
    return rows


def expected_findings(in_database: dict[str, dict[int, dict[str, Any]]], slide_id: int) -> list[dict[str, Any]]:
    """The findings of a slide according to the tables, worked out one by one."""
    found = []
    for stored_row in in_database["boxes"].values():
        row = {**stored_row, "run_id": 0, "chosen": bool(stored_row["chosen"])}
        if row["slide_id"] != slide_id:
            continue
        drawn, named, moved, deleted = (bool(row["flags"] & bit) for bit in (1, 2, 4, 8))
        said = [o for o in in_database["opinions"].values() if o["finding_id"] == row["id"]]
        hidden = {n for n, run in in_database["runs"].items() if not run["shown"]}
        judged = row["state"] != 0 or deleted
        named, moved = named or drawn or judged, moved or drawn or judged
        if not drawn:
            row["confidence"] = None
        if said:
            lead = min(
                said,
                key=lambda o: (
                    o["run_id"] in hidden, named and row["class_id"] and o["class_id"] != row["class_id"],
                    -np.float32(o["confidence"]), o["run_id"],
                ),
            )  # fmt: skip
            if not named or not row["class_id"]:
                row["class_id"] = lead["class_id"]
            if not moved:
                row |= {side: lead[side] for side in ("y0", "x0", "y1", "x1")}
            if not drawn:
                row |= {name: lead[name] for name in ("confidence", "run_id")}
        again = any(o["again"] for o in said) and (row["state"] == ReviewState.REJECTED or deleted)
        disputed = any(o["class_id"] != row["class_id"] and o["run_id"] not in hidden for o in said)
        row["flags"] |= 16 * again + 32 * disputed
        if deleted and not again:
            continue
        if deleted:
            row |= {"state": ReviewState.REJECTED, "reason": "deleted"}
        if said or row["state"] or row["flags"] & 7:
            found.append(row)
    return found


def edit_at_random(project: Project, rng: random.Random) -> None:
    """One edit that depends on the project and ``rng`` only, so that it can be repeated on a copy."""
    slide = rng.choice(project.slides)
    ids = project.boxes.table(slide.id).rows["id"].tolist()
    kinds = ["add", "add", "detect", "undo", "redo", "mark", "class", "order", "size", "limit", "declare", "specimen"]
    kinds += ["model", "measure", "draw", "standard"]
    if ids:
        kinds += ["move", "judge", "relabel", "delete", "note", "describe", "outline", "copy"]
    if project.measurements:
        kinds += ["link", "unlink", "forget measurement"]
    if project.areas:
        kinds.append("withdraw")
    if project.standards:
        kinds.append("forget standard")
    if any(area.drawn for area in project.areas):
        kinds.append("search")
    if project.runs:
        kinds += ["find", "find", "switch", "forget"]
    if len(project.classes) > 3:
        kinds.append("merge")
    kind = rng.choice(kinds)
    chosen = rng.sample(ids, min(len(ids), rng.randint(1, 5)))
    if kind == "add":
        rows = some_rows(rng.choice([1, 1, 3, 500]), seed=rng.randint(0, 9999), class_id=project.classes[0].id)
        project.boxes.add(slide.id, rows)
    elif kind == "undo":
        with contextlib.suppress(ProjectError):  # a detection relies on it
            project.history.undo()
    elif kind == "redo":
        with contextlib.suppress(ProjectError):
            project.history.redo()
    elif kind == "detect":
        project.runs.start(slide.id, RunPlan(model=f"m{rng.randint(1, 3)}"))
    elif kind == "find":
        run = rng.choice(project.runs)
        project.runs.add_findings(run.id, some_results(project, rng, run.slide_id))
    elif kind == "switch":
        run = rng.choice(project.runs)
        project.runs.show(run.id, not run.shown)
    elif kind == "forget":
        run = rng.choice(project.runs)
        if run.state != "running":  # it is stopped when the project is opened again
            project.runs.delete(run.id)
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
    elif kind == "model":
        if rng.random() < 0.3:
            project.models.clear()
        else:
            name = rng.choice("abc")
            project.models.use(rng.choice([name, project.path / "models" / name]), name=name)
    elif kind == "measure":
        places = {n: (number, "label") for n, number in enumerate(chosen)}
        project.measurements.add([some_measurement(rng.random()) for _ in range(len(chosen) + 1)], links=places)
    elif kind == "link":
        numbers = [known.id for known in project.measurements]
        project.measurements.link({n: rng.choice(ids) if ids else None for n in numbers[:3]})
    elif kind == "unlink":
        project.measurements.link({rng.choice(project.measurements).id: None})
    elif kind == "forget measurement":
        project.measurements.delete([rng.choice(project.measurements).id])
    elif kind == "limit":
        project.inclusion.set_limit(rng.random())
    elif kind == "declare":
        y, x = rng.random() * 60, rng.random() * 100
        wanted = rng.choice([None, [rng.choice(project.classes).id]])
        project.areas.declare(slide.id, [(y, x), (y, x + 9), (y + rng.random() * 9, x)], wanted)
    elif kind == "draw":
        corner = rng.randint(0, 50)
        project.areas.add_drawn([(one.id, Region(corner, 0, corner + 9, 9)) for one in project.slides])
    elif kind == "standard":
        project.standards.keep(rng.choice([SEVERITY, CHART, EVENT]), rng.choice(["", "Ü"]), {"limit": rng.random()})
    elif kind == "forget standard":
        project.standards.remove(rng.choice(project.standards).id)
    elif kind == "search":
        project.areas.searched(rng.choice([area for area in project.areas if area.drawn]).id)
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
