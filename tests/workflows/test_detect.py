"""Detection from the owner's side: the child process, its findings, stopping, crashing, continuing."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import draw, untrained_model

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError, ModelError, ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.ml.engine import run_model
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JOURNAL_NAME, JournalWriter, read_journal, read_status
from microscope_qc.workflows.child import Child
from microscope_qc.workflows.detection.following import DetectionFailed
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import detect, prepare_run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture
def project(tmp_path: Path):
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), draw(3, size=600, count=16)[0])
    with Project.create(tmp_path / "p", slides=[path]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.25)
        yield made


def found(project: Project) -> list[tuple]:
    rows = project.boxes.table(project.slides[0].id).rows
    names = ("y0", "x0", "y1", "x1", "confidence", "class_id", "run_id")
    return sorted(tuple(row[name].item() for name in names) for row in rows)


def candidates(*boxes: tuple[float, ...], tile: int) -> np.ndarray:
    rows = np.zeros(len(boxes), CANDIDATE_DTYPE)
    for row, (y0, x0, y1, x1, confidence, label) in zip(rows, boxes, strict=True):
        row["y0"], row["x0"], row["y1"], row["x1"] = y0, x0, y1, x1
        row["confidence"], row["label"], row["tile"] = confidence, label, tile
    return rows


def test_a_child_finds_and_a_killed_one_is_continued(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    steps = []
    job = detect(project, slide, model)
    while True:
        try:
            steps.append(next(job))
        except StopIteration as stop:
            result = stop.value
            break
    assert result.state == "finished" and result.tiles == 9 and steps[-1].done == 9
    assert result.findings == project.runs.by_id(result.run_id).found == len(found(project)) > 10
    assert project.inclusion.current.confidence_limit == pytest.approx(0.3)
    assert result.shown == len(project.boxes.rows(slide))
    assert {row["class_id"] for row in project.boxes.table(slide).rows} <= {c.id for c in project.classes}
    assert project.classes.by_code("NEW").name == "NEW", "the model's unknown class was made"
    whole = [row[:-1] for row in found(project)]

    # the same once more, with the process killed as soon as it has written something
    run = prepare_run(project, slide, model, fresh=True)
    assert not project.runs.by_id(result.run_id).shown, "the older run of the same settings is switched off"
    intake, child = RunIntake(project, run), Child()
    child.give(run.folder)
    while child.running and not (run.folder / JOURNAL_NAME).exists():
        child.wait(0.01)
    child._process.kill()
    child.wait(30)
    child.stop()
    intake.finish("failed")
    again = run_job(detect(project, slide, model))
    assert again.run_id == run.id and again.state == "finished"
    assert [row[:-1] for row in found(project) if row[-1] == run.id] == whole


def test_closing_the_job_stops_the_child(project: Project, model: Path) -> None:
    job = detect(project, project.slides[0].id, model)
    next(job)
    job.close()
    (run,) = project.runs
    assert run.state == "stopped"
    assert read_status(run.folder).get("state") != "running"


def test_a_child_that_fails_says_why(project: Project, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("model.json", WEIGHTS_NAME):
        (bad / name).write_bytes((model / name).read_bytes())
    (bad / WEIGHTS_NAME).write_bytes(b"nothing of use")
    with pytest.raises(DetectionFailed, match="cannot be read"):
        run_job(detect(project, project.slides[0].id, bad))
    assert project.runs[0].state == "failed"


def test_a_finished_run_is_not_repeated(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model)
    intake = RunIntake(project, run)
    run_job(run_model(run.folder))
    intake.finish("finished")
    before = found(project)
    result = run_job(detect(project, slide, model))
    assert result.run_id == run.id and found(project) == before and len(project.runs) == 1


def test_continuing_adds_nothing_twice_even_if_it_was_changed(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model)
    places = {0: (20, 30), 1: (20, 300), 2: (20, 500), 3: (300, 30), 4: (300, 300), 8: (500, 560)}
    tiles = {
        tile: candidates((y, x, y + 20, x + 20, 0.8, 0), (y + 25, x, y + 40, x + 20, 0.4, 1), tile=tile)
        for tile, (y, x) in places.items()
    }
    writer = JournalWriter(run.folder)
    for tile in range(5):
        writer.tile(tile, tiles[tile])
    writer.close()
    intake = RunIntake(project, run)
    taken = intake.poll()
    intake.finish("stopped")
    assert len(taken) >= 4
    project.boxes.delete([int(taken[0])])
    project.boxes.edit([int(taken[1])], y0=0.0, x0=0.0)
    edited = found(project)

    again = prepare_run(project, slide, model)
    assert again.id == run.id and again.state == "running"
    later = RunIntake(project, again)
    assert len(later.poll()) == 0 and found(project) == edited
    assert later.tiles_done == set(range(5))
    writer = JournalWriter(run.folder)
    for tile in range(5, 9):
        writer.tile(tile, tiles.get(tile, candidates(tile=tile)))
    writer.close()
    later.finish("finished")
    assert project.runs.by_id(run.id).found == 12
    assert len(found(project)) == 11, "the deleted one stays deleted"
    assert set(edited) <= set(found(project))


def test_a_defect_cut_by_tile_borders_is_one_finding(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    intake = RunIntake(project, run)
    writer = JournalWriter(run.folder)
    # 256 px tiles that overlap by 64: the crack extends from tile 0 (x up to 256) far into tile 1 (x from 192)
    writer.tile(0, candidates((100, 150, 120, 256, 0.8, 0), tile=0))
    assert len(intake.poll()) == 0, "tile 1 may still change it"
    writer.tile(1, candidates((100, 192, 121, 390, 0.9, 0), (20, 200, 40, 220, 0.6, 0), tile=1))
    for tile in range(2, 9):
        writer.tile(tile, candidates(tile=tile))
    writer.close()
    intake.finish("finished")
    boxes = sorted(row[:4] for row in found(project))
    assert boxes == [(20, 200, 40, 220), (100, 150, 121, 390)]


def test_a_journal_of_another_run_does_no_harm(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    intake = RunIntake(project, run)
    writer = JournalWriter(run.folder)
    writer.tile(99, candidates((0, 0, 9, 9, 0.5, 0), tile=99))
    writer.tile(0, candidates((0, 0, 9, 9, 0.5, 50), tile=0))
    writer.close()
    assert len(intake.poll()) == 0 and intake.tiles_done == set()
    assert len(read_journal(run.folder)[0]) == 2


def test_a_user_who_moved_the_limit_keeps_it(project: Project, model: Path) -> None:
    project.inclusion.set_limit(0.77)
    run = prepare_run(project, project.slides[0].id, model)
    RunIntake(project, run)
    assert project.inclusion.current.confidence_limit == pytest.approx(0.77)


def test_what_a_model_requires_is_checked(project: Project, model: Path, tmp_path: Path) -> None:
    slide = project.slides[0].id
    with pytest.raises(InputError, match="outside"):
        prepare_run(project, slide, model, region=Region(700, 0, 800, 100))
    run = prepare_run(project, slide, model, region=Region(-5, 10, 100, 9999))
    assert run.plan.region == Region(0, 10, 100, 600)
    with pytest.raises(ModelError, match="pickle"):
        prepare_run(project, slide, tmp_path / "model.pt")
    project.slides.set_pixel_size(slide, None)
    with pytest.raises(InputError, match="pixel size"):
        prepare_run(project, slide, model)


@pytest.mark.parametrize("how", ["merge", "delete"])
def test_classes_can_be_merged_and_deleted_while_a_run_is_taken_in(project: Project, model: Path, how: str) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    intake = RunIntake(project, run)
    writer = JournalWriter(run.folder)
    writer.tile(0, candidates((20, 30, 40, 50, 0.8, 0), tile=0))
    intake.poll()
    gone, into = project.runs.classes_of(run.id)[0], project.runs.classes_of(run.id)[1]
    code = project.classes.by_id(gone).code
    if how == "merge":
        project.classes.merge([gone], into=into)
    else:
        project.classes.delete(gone)
    for tile in range(1, 9):
        writer.tile(tile, candidates((300, 300, 330, 330, 0.8, 0), tile=tile) if tile == 4 else candidates(tile=tile))
    writer.close()
    assert intake.finish("finished").found == 2
    codes = [project.classes.by_id(number).code for number in project.boxes.rows(every=True)["class_id"]]
    assert codes == ([project.classes.by_id(into).code] * 2 if how == "merge" else [code])


@pytest.mark.parametrize("how", ["rename", "merge"])
def test_what_was_renamed_or_merged_after_a_detection_is_not_made_again_by_the_next(
    project: Project, model: Path, how: str
) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model, region=Region(0, 0, 200, 200))
    RunIntake(project, run).finish("finished")
    first, second = project.runs.classes_of(run.id)[0], project.runs.classes_of(run.id)[1]
    if how == "rename":
        project.classes.edit(first, code="MINE")
    else:
        project.classes.merge([first], into=second)
    codes = [defect.code for defect in project.classes]
    again = prepare_run(project, slide, model, region=Region(0, 0, 300, 300))
    RunIntake(project, again).finish("finished")
    assert [defect.code for defect in project.classes] == codes
    assert project.runs.classes_of(again.id)[0] == (first if how == "rename" else second)


def test_findings_wait_while_a_large_command_is_written(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    intake = RunIntake(project, run)
    writer = JournalWriter(run.folder)
    for tile in range(9):
        writer.tile(tile, candidates((300, 300, 330, 330, 0.8, 0), tile=tile) if tile == 4 else candidates(tile=tile))
    writer.close()
    slide = project.slides[0].id
    pending, _ = project.boxes.prepare({slide: make_rows(1, class_id=1, y0=0, x0=0, y1=9, x1=9)})
    for _ in range(50):
        assert len(intake.take_ready()) == 0 and not intake.idle
        time.sleep(0.002)
    with pytest.raises(ProjectError, match="still being written"):
        intake.poll()
    pending.write()
    pending.finish()
    assert len(intake.poll()) == 1 and intake.finish("finished").found == 1
