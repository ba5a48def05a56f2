"""The published detectors on the command line: trained with settings of their own, measured, and run over a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from learning_toys import coco_folder, draw

from microscope_qc.cli import main
from microscope_qc.ml.cards import read_card
from microscope_qc.project import Project

SMALL = {"width": 8, "head": 16, "rpn": 16, "proposals": 50, "enlarge": 1, "anchors": [8, 16, 24, 32, 64]}


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "slide.png"), draw(3, size=300, count=16)[0])
    with Project.create(tmp_path / "p", slides=[tmp_path / "slide.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
        return Path(made.path)


def test_a_published_detector_is_trained_measured_and_run(
    tmp_path: Path, told: Any, refused: Any, slide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = coco_folder(tmp_path / "data", pictures=2, size=96)
    own = [part for name, value in SMALL.items() for part in ("--setting", f"{name}={value}")]
    command = ["train", data, "--network", "faster-rcnn-vgg19", "--validation", data, "--device", "cpu", *own]
    sizes = ["--pixel-size", "0.5", "--epochs", "1", "--crop", "96", "--tile", "96", "--overlap", "32"]
    assert main([*map(str, command), *sizes, "--out", str(tmp_path / "m"), "--progress", "none"]) == 0
    assert "VGG-19 starts from random weights" in capsys.readouterr().out
    card = read_card(tmp_path / "m")
    assert card.network["anchors"] == [8, 16, 24, 32, 64] and card.architecture == "faster-rcnn-vgg19"
    assert card.training["settings"]["learning_rate"] == 5e-4, "as it was published"
    assert 0 <= told("evaluate", tmp_path / "m", data, "--confidence", "0.05")["map50"] <= 1
    said = told("detect", slide, "--model", tmp_path / "m", "--device", "cpu")
    assert said["run"] == 1 and (slide / "runs" / "1" / "card.json").exists()
    refused(*command, "--setting", "wings=2", "--out", tmp_path / "n")
    refused(*command, "--setting", "proposals", "--out", tmp_path / "n")
    refused(*command, "--detector", tmp_path / "missing.pth", "--out", tmp_path / "n")
    refused(*command, "--backbone", "imagenet", "--out", tmp_path / "n")
    assert not (tmp_path / "n").exists()
