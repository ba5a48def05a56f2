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
    assert {step.total for step in steps} == {3} and steps[-1].note == "p: S3, slide 3 of 3"

    answer, said = told(capsys, "dataset", "make", place, "--out", tmp_path / "again", "--tile", "64", code=2)
    assert answer["boxes"] == 4 and [left["slide"] for left in answer["left_out"]] == ["S2"]
    assert said.startswith("1 slide could not be done, all others are:\nS2: ")
    answer, _ = told(capsys, "dataset", "make", place, "--out", tmp_path / "one", "--tile", "64", "--slide", "S3")
    assert answer["boxes"] == 2 and answer["left_out"] == []
    with pytest.raises(SlideError):
        number = done.left_out and 2
        run_job(make_dataset([place], tmp_path / "none", tile_px=64, slide_ids=[number]))
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
