"""A large import is planned and written by other threads; the project stays consistent in the meantime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.exchange.importing import (
    ImportPlan,
    carry_out,
    plan_import,
    prepare,
    read_annotations,
)
from microscope_qc.workflows.exchange.matching import slide_sizes
from microscope_qc.workflows.learning.dataset import make_dataset


@pytest.fixture
def plan(project: Project, tmp_path: Path) -> ImportPlan:
    """An import of the project's own eight boxes, planned on a project opened for reading."""
    path = tmp_path / "out.json"
    run_job(export_boxes(project, path, "coco"))
    read = read_annotations(path, sizes=slide_sizes(project))
    with Project.open(project.path, write=False) as reader:
        return plan_import(reader, read)


def in_thread(work: Callable[[], None]) -> None:
    """Run in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_plan_writes_nothing_until_it_is_carried_out(project: Project, plan: ImportPlan) -> None:
    assert (plan.summary.boxes, plan.summary.duplicates, len(project.boxes.rows())) == (8, 8, 8)
    assert carry_out(project, plan).boxes == 8
    assert len(project.boxes.rows()) == 16


def test_nothing_else_is_changed_while_an_import_is_written(project: Project, plan: ImportPlan) -> None:
    first = project.boxes.rows()["id"][:1]
    heard: list[str] = []
    project.boxes.table(project.slides[0].id).changed.connect(lambda change: heard.append(change.kind))
    pending = prepare(project, plan)
    assert project.is_writing
    for change in (
        lambda: project.boxes.edit(first, state=ReviewState.CONFIRMED),
        project.history.undo,
        lambda: project.classes.add("X"),
        lambda: prepare(project, plan),
    ):
        with pytest.raises(ProjectError, match="still being written"):
            change()
    project.settings.set("looked_at", 1)  # what is not a command can still be done
    in_thread(pending.write)
    assert heard == [] and len(project.boxes.rows()) == 8  # memory follows in the project's own thread
    summary = pending.finish()
    assert heard == ["added"] and not project.is_writing
    assert project.boxes.rows()["id"][8:].tolist() == list(summary.box_ids)
    project.history.undo()
    assert len(project.boxes.rows()) == 8
    project.history.redo()
    assert len(project.boxes.rows()) == 16
    with Project.open(project.path, write=False) as reader:
        assert len(reader.boxes.rows()) == 16


def test_a_write_that_fails_leaves_nothing_and_frees_the_project(
    project: Project, plan: ImportPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.project import log

    pending = prepare(project, plan)
    monkeypatch.setattr(log, "append", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        pending.write()
    monkeypatch.undo()
    assert not project.is_writing and len(project.boxes.rows()) == 8
    assert carry_out(project, plan).boxes == 8


def test_an_import_given_up_frees_the_project(project: Project, plan: ImportPlan) -> None:
    prepare(project, plan).command.give_up()
    project.classes.add("X")
    with pytest.raises(InputError, match="changed in the meantime"):
        carry_out(project, plan)


def test_only_the_classes_asked_for_are_annotated(project: Project, tmp_path: Path) -> None:
    rows = project.boxes.rows()
    wanted = project.classes.by_code("CFA")
    assert int((rows["class_id"] == wanted.id).sum()) == 1
    result = run_job(
        make_dataset([project.path], tmp_path / "set", tile_px=96, background=0.0, classes=["CFA"], visible=0.0)
    )
    assert set(result.classes) == {"CFA"}
    everything = run_job(make_dataset([project.path], tmp_path / "all", tile_px=96, background=0.0))
    assert len(everything.classes) > 1 and everything.pictures > result.pictures
    with pytest.raises(InputError, match="No finding of CRK"):
        run_job(make_dataset([project.path], tmp_path / "none", classes=["CRK"]))
    assert np.array_equal(rows["state"], project.boxes.rows()["state"])
