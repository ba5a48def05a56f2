"""Pictures that are out of focus: said by the card of a data set, by a training, and of the slides of a project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from learning_toys import coco_folder, draw

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.datasets.quality import Look
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.project import Project
from microscope_qc.workflows.learning import bad_slides as module
from microscope_qc.workflows.learning.asked import train_as_asked
from microscope_qc.workflows.learning.bad_slides import bad_slides
from microscope_qc.workflows.learning.request import ask_for_training
from microscope_qc.workflows.learning.train import train

LEFT_OUT = "1 picture is out of focus and is left out: p3.png."
KEPT = "1 picture is out of focus and is learned from all the same: p3.png."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = coco_folder(tmp_path / "data", pictures=12)
    cv2.imwrite(str(made / "p3.png"), cv2.GaussianBlur(cv2.imread(str(made / "p3.png")), (0, 0), 3))
    return made


class Trained(Exception):
    """Ends a training before its first step."""

    def __init__(self, data: Dataset) -> None:
        super().__init__()
        self.names = {image.path.name for image in data.images}


@pytest.fixture(autouse=True)
def no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def train_network(data: Dataset, *_: Any, **__: Any) -> Iterator[Any]:
        raise Trained(data)
        yield

    monkeypatch.setattr("microscope_qc.ml.training.loop.train_network", train_network)


def test_the_card_names_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "card.html"
    assert main(["dataset", "card", str(folder), "--html", str(page), "--progress", "none"]) == 0
    assert LEFT_OUT in capsys.readouterr().out and LEFT_OUT in page.read_text(encoding="utf-8")
    assert main(["dataset", "card", str(folder), "--keep-bad", "--json", "--progress", "none"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["pictures"] == 12 and KEPT in card["notes"]


@pytest.mark.parametrize(("keep", "sentence"), [(False, LEFT_OUT), (True, KEPT)])
def test_a_training_leaves_them_out_and_says_so(folder: Path, tmp_path: Path, keep: bool, sentence: str) -> None:
    said: list[str] = []
    with pytest.raises(Trained) as seen:
        run_job(train(folder, tmp_path / "model", network="ssd-tiny", keep_bad=keep, tell=said.append))
    assert ("p3.png" in seen.value.names) == keep and sentence in said


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Ten slides, of which the last is out of focus, with a defect on each."""
    files = [tmp_path / f"S{number}.png" for number in range(10)]
    for number, file in enumerate(files):
        picture = draw(number)[0]
        cv2.imwrite(str(file), cv2.GaussianBlur(picture, (0, 0), 3) if number == 9 else picture)
    with Project.create(tmp_path / "cell.mqc", slides=files) as made:
        for slide in made.slides:
            made.slides.set_pixel_size(slide.id, 0.5)
            made.boxes.add(slide.id, make_rows(1, class_id=[1], y0=[10], x0=[10], y1=[40], x1=[40]))
        yield made


@pytest.mark.parametrize("keep", [False, True])
def test_a_training_of_a_project_is_asked_to_keep_them(project: Project, keep: bool) -> None:
    path = project.path
    folder = ask_for_training(path, "m", network="ssd-tiny", keep_bad=keep)
    project.close()
    with pytest.raises(Trained) as seen:
        run_job(train_as_asked(folder))
    assert ("S9.png" in seen.value.names) == keep
    notes = json.loads((folder / "status.json").read_text())["notes"]
    what = "is learned from all the same" if keep else "is left out"
    assert f"1 picture is out of focus and {what}: S9.png." in notes


def test_slides_are_named_before_a_training(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Look] = {}
    slides = list(project.slides)
    assert run_job(bad_slides(slides, seen=seen)) == ["1 picture is out of focus and is left out: S9."]
    assert len(seen) == 10
    monkeypatch.setattr(module, "open_scene", lambda _: pytest.fail("a slide is looked at once"))
    assert run_job(bad_slides(slides[:9], seen=seen)) == []
    assert run_job(bad_slides(slides, seen=seen, keep_bad=True)) == [
        "1 picture is out of focus and is learned from all the same: S9."
    ]


def test_a_slide_that_cannot_be_read_holds_nothing_up(project: Project) -> None:
    project.slides[0].path.write_bytes(b"no picture")
    assert run_job(bad_slides(list(project.slides))) == ["1 picture is out of focus and is left out: S9."]
