"""Training pictures, exports, statistics and masks over several slides, of which one may fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import SlideError
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.project import Project
from microscope_qc.workflows.learning.dataset import make_dataset
from microscope_qc.workflows.over_slides import over_slides

SIDE = 160
QUIET = ("--progress", "none")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A closed project of three slides with two drawn boxes each."""
    paths = [tmp_path / f"S{number}.png" for number in (1, 2, 3)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
    with Project.create(tmp_path / "p", slides=paths) as project:
        for slide in list(project.slides):
            rows = make_rows(2, class_id=project.classes[0].id, x0=20, x1=60, confidence=np.nan)
            rows["y0"], rows["y1"] = (10, 90), (50, 130)
            project.boxes.add(slide.id, rows)
        return project.path


def told(capsys: Any, *command: object, code: int = 0) -> tuple[Any, str]:
    """The JSON that a command prints, and what it says on stderr."""
    assert main([*map(str, command), "--json", *QUIET]) == code
    said = capsys.readouterr()
    return json.loads(said.out) if said.out else None, said.err


def test_a_slide_that_cannot_be_read_does_not_stop_the_training_pictures(
    place: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "S2.png").write_bytes(b"damaged")
    steps: list[Progress] = []
    done = run_job(make_dataset([place], tmp_path / "set", tile_px=64, background=0.0), steps.append)
    assert [left.slide for left in done.left_out] == ["S2"] and done.boxes == 4
    assert isinstance(done.left_out[0].error, SlideError)
    assert [step.fraction for step in steps] == sorted(step.fraction for step in steps)
    assert {step.total for step in steps} == {3} and steps[-2].note == "slide 3 of 3: S3"

    answer, said = told(capsys, "dataset", "make", place, "--out", tmp_path / "again", "--tile", "64", code=2)
    assert answer["boxes"] == 4 and [left["slide"] for left in answer["left_out"]] == ["S2"]
    assert said.startswith("1 slide could not be done, all others are:\nS2: ")
    answer, _ = told(capsys, "dataset", "make", place, "--out", tmp_path / "one", "--tile", "64", "--slide", "S3")
    assert answer["boxes"] == 2 and answer["left_out"] == []
    with pytest.raises(SlideError):
        run_job(make_dataset([place], tmp_path / "none", tile_px=64, slide_ids=[2]))
    assert main(["dataset", "make", str(place), str(place), "--out", str(tmp_path / "x"), "--slide", "S1"]) == 2


def test_exports_of_some_slides(place: Path, tmp_path: Path, capsys: Any) -> None:
    some = ("--slide", "S3", "--slide", "S1")
    told(capsys, "export", place, tmp_path / "two.json", "--format", "coco", *some)
    images = json.loads((tmp_path / "two.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["S1.png", "S3.png"]
    told(capsys, "export", place, tmp_path / "one.json", "--format", "coco", "--slide", "S2")
    assert [image["file_name"] for image in json.loads((tmp_path / "one.json").read_text())["images"]] == ["S2.png"]
    told(capsys, "export", place, tmp_path / "all.json", "--format", "coco")
    assert len(json.loads((tmp_path / "all.json").read_text())["images"]) == 3
    told(capsys, "export", place, tmp_path / "r.html", "--format", "report", "--slide", "S2")
    page = (tmp_path / "r.html").read_text()
    assert '<td class="text">S2</td>' in page and '<td class="text">S1</td>' not in page
    _, said = told(capsys, "export", place, tmp_path / "o.png", "--format", "overview", *some, code=2)
    assert "Marked overview" in said
    _, said = told(capsys, "export", place, tmp_path / "x.json", "--format", "coco", "--slide", "S9", code=2)
    assert "There is no slide S9" in said


def test_statistics_of_some_slides(place: Path, capsys: Any) -> None:
    found, _ = told(capsys, "stats", place, "--slide", "S3")
    assert [slide["slide"] for slide in found["slides"]] == ["S3"] and found["total"]["kept"] == 2
    assert told(capsys, "stats", place)[0]["total"]["kept"] == 6
    assert main(["stats", str(place), str(place), "--slide", "S1"]) == 2


def test_masks_of_all_slides(place: Path, tmp_path: Path, capsys: Any) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, rows in (("S1", 2), ("S3", 4)):
        picture = np.zeros((8, 8), np.uint8)
        picture[:rows] = 255
        cv2.imwrite(str(masks / f"{name}.png"), picture)
    answer, said = told(capsys, "mask", place, "set", masks, code=2)
    assert [(row["slide"], row["share"]) for row in answer["masks"]] == [("S1", 0.25), ("S3", 0.5)]
    assert said.startswith("1 slide could not be done, all others are:\nS2: ") and "holds no mask for S2" in said
    answer, _ = told(capsys, "mask", place, "set", masks, "--slide", "S3", "--slide", "S1", "--drawn")
    assert [row["kind"] for row in answer["masks"]] == ["drawn", "drawn"]

    (tmp_path / "S2.png").rename(tmp_path / "gone.png")
    answer, said = told(capsys, "mask", place, "export", tmp_path / "out", code=2)
    assert [row["mask"] for row in answer["masks"]] == ["changed", "changed"] and "S2" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"S1.png", "S3.png"}
    for name in ("S1", "S3"):
        written, given = (cv2.imread(str(folder / f"{name}.png"), 0) for folder in (tmp_path / "out", masks))
        assert np.array_equal(written, given)
    _, said = told(capsys, "mask", place, "export", tmp_path / "x.png", "--slide", "S1", "--slide", "S3", code=2)
    assert said.startswith("One picture is of one slide.")

    assert told(capsys, "mask", place, "clear", "--slide", "S1", "--slide", "S3")[0]["left_out"] == []
    assert {row["kind"] for row in told(capsys, "mask", place)[0]} == {"drawn"}
    told(capsys, "mask", place, "clear", "--all", "--drawn")
    assert told(capsys, "mask", place)[0] == []


def test_a_job_over_slides_is_one_line_and_can_be_stopped(place: Path) -> None:
    ended: list[str] = []

    def work(slide: Any) -> Any:
        try:
            for step in range(4):
                yield Progress(step, 4, "parts")
            if slide.name == "S2":
                raise SlideError("It is damaged.")
            return slide.id
        finally:
            ended.append(slide.name)

    with Project.open(place) as project:
        steps: list[Progress] = []
        done, left_out = run_job(over_slides(project, list(project.slides), work), steps.append)
        assert [result for _, result in done] == [1, 3] and [left.slide for left in left_out] == ["S2"]
        assert [step.fraction for step in steps] == sorted(step.fraction for step in steps) and steps[-1].fraction == 1
        assert steps[1].note == "slide 1 of 3: S1" and ended == ["S1", "S2", "S3"]
        ended.clear()
        job = over_slides(project, list(project.slides), work)
        for _ in range(3):
            next(job)
        job.close()
        assert ended == ["S1"], "the slide that it was doing was ended"
