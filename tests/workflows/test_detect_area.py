"""The scan area of a detection is settled when it begins, and stays the same until its end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from learning_toys import draw, untrained_model

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import InputError, ModelError, ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter, read_journal, write_status
from microscope_qc.project.runs.mask_files import read_mask, write_mask
from microscope_qc.project.runs.speed import notes_of
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import detect, prepare_run, resume, resume_run

SIDE = 600


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return untrained_model(tmp_path / "toy")


@pytest.fixture
def project(tmp_path: Path):
    path = tmp_path / "slide.png"
    cv2.imwrite(str(path), draw(3, size=SIDE, count=16)[0])
    with Project.create(tmp_path / "p", slides=[path]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.25)
        yield made


def corner(*, row: int = 0, column: int = 0, side: int = SIDE) -> AreaMask:
    """One of 6 x 6 cells."""
    scan = np.zeros((6, 6), bool)
    scan[row, column] = True
    return AreaMask(Region(0, 0, side, side), (side / 6, side / 6), scan)


def test_an_interrupted_run_continues_with_its_own_mask(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model, mask=corner())
    project.runs.finish(run.id, "stopped")
    other = prepare_run(project, slide, model, mask=corner(row=5))
    assert other.id != run.id, "another area is another detection"
    project.runs.finish(other.id, "stopped")
    assert prepare_run(project, slide, model, mask=corner()).id == run.id

    steps: list[Progress] = []
    result = run_job(resume(project, run.id), steps.append)
    assert result.run_id == run.id and result.state == "finished"
    assert {step.total for step in steps} == {0, 1}, "neither what is left out nor loading is progress"
    assert steps[0].done == 0 and (steps[-1].done, steps[-1].fraction) == (1, 1)
    assert read_mask(run.folder).fingerprint == corner().fingerprint
    assert result.share_skipped == pytest.approx(8 / 9, abs=1e-3)
    found = dict(read_journal(run.folder)[0])
    assert len(found[0]) > 0 and all(len(found[tile]) == 0 for tile in range(1, 9))
    assert project.runs.by_id(other.id).state == "stopped" and len(project.runs) == 2
    assert run_job(resume(project, run.id)).findings == result.findings, "a finished run is not repeated"


def test_a_run_killed_before_its_mask_was_written_gets_it_if_it_is_known(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model, mask=corner())
    for name in ("mask.json", "mask.png"):
        (run.folder / name).unlink()
    with pytest.raises(ProjectError, match="no longer known"):
        resume_run(project, run.id)
    assert prepare_run(project, project.slides[0].id, model, mask=corner()).id == run.id
    assert read_mask(run.folder).fingerprint == corner().fingerprint


def test_a_run_does_not_continue_with_another_area_than_it_began_with(project: Project, model: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model, mask=corner())
    write_mask(run.folder, corner(row=3))
    with pytest.raises(ProjectError, match="no longer known"):
        resume_run(project, run.id)
    (run.folder / "mask.png").write_bytes(b"no picture")
    with pytest.raises(ProjectError, match="damaged"):
        resume_run(project, run.id)


def test_a_run_does_not_continue_with_another_model(project: Project, model: Path, tmp_path: Path) -> None:
    run = prepare_run(project, project.slides[0].id, model)
    untrained_model(model, bias=-3.0)
    with pytest.raises(ModelError, match="trained again"):
        resume_run(project, run.id)
    (model / WEIGHTS_NAME).unlink()
    with pytest.raises(ModelError):
        resume_run(project, run.id)


def test_a_mask_that_cannot_be_used_is_refused(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    with pytest.raises(InputError, match="another size"):
        prepare_run(project, slide, model, mask=corner(side=SIDE + 60))
    with pytest.raises(InputError, match="nothing to scan"):
        prepare_run(project, slide, model, mask=corner(), region=Region(300, 300, 500, 500))
    with pytest.raises(InputError, match="nothing to scan"):
        prepare_run(
            project, slide, model, mask=AreaMask(Region(0, 0, SIDE, SIDE), (100.0, 100.0), np.zeros((6, 6), bool))
        )
    assert not project.runs
    project.slides.set_pixel_size(slide, None)
    with pytest.raises(InputError, match="pixel size"):
        run_job(detect(project, slide, model, mask=corner()))


def test_findings_outside_the_chosen_area_are_not_added(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    mask = corner(row=2, column=3)  # y 200-300, x 300-400
    run = prepare_run(project, slide, model, mask=mask)
    inside, across, beside = (210, 310, 230, 330), (290, 350, 320, 370), (330, 330, 350, 350)
    rows = np.zeros(3, CANDIDATE_DTYPE)
    for row, box in zip(rows, (beside, inside, across), strict=True):
        row["y0"], row["x0"], row["y1"], row["x1"] = box
        row["confidence"], row["tile"] = 0.8, 4
    writer = JournalWriter(run.folder)
    for tile in range(9):
        writer.tile(tile, rows if tile == 4 else rows[:0])
    writer.close()
    intake = RunIntake(project, run)
    assert len(intake.poll()) == 2
    intake.finish("stopped")

    def found() -> list[tuple[float, ...]]:
        return sorted(
            tuple(row[name].item() for name in ("y0", "x0", "y1", "x1")) for row in project.boxes.table(slide).rows
        )

    assert found() == [inside, across]
    again = RunIntake(project, resume_run(project, run.id))
    assert len(again.poll()) == 0 and len(again.tiles_done) == 9, "continuing adds nothing twice"
    again.finish("finished")

    # what the program leaves out by itself is empty: anything found there is kept
    run = prepare_run(project, slide, model)
    write_mask(run.folder, mask)
    writer = JournalWriter(run.folder)
    for tile in range(9):
        writer.tile(tile, rows if tile == 4 else rows[:0])
    writer.close()
    intake = RunIntake(project, run)
    assert len(intake.poll()) == 3
    intake.finish("finished")


def test_the_summary_of_a_continued_run_counts_what_earlier_starts_did(project: Project, model: Path) -> None:
    slide = project.slides[0].id
    run = prepare_run(project, slide, model)
    writer = JournalWriter(run.folder)
    writer.tile(0, np.zeros(0, CANDIDATE_DTYPE))
    writer.error(4, "This part is damaged.")
    writer.close()
    note = "As memory was not enough, batches are cut to 1."
    start = {"seconds": 50.0, "tiles": 2, "working_s": 40.0, "computed_s": 39.0, "waited_s": 1.0, "notes": [note]}
    write_status(run.folder, {"state": "running", "starts": [start]})
    project.runs.finish(run.id, "failed")  # it was killed
    result = run_job(detect(project, slide, model))
    assert result.run_id == run.id and result.damaged_tiles == result.status["tiles_damaged"] == 1
    assert result.seconds_before == 50 and result.status["seconds"] == pytest.approx(
        sum(start["seconds"] for start in result.status["starts"])
    )
    assert len(result.status["starts"]) == 2 and result.status["starts"][1]["starting_s"] > 0.1, "with loading torch"
    assert notes_of(result.status) == [note] and result.status["tiles_per_s"] < 0.3
    again = run_job(detect(project, slide, model))
    assert again.damaged_tiles == 1 and again.seconds_before == pytest.approx(result.status["seconds"])
