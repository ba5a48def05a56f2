"""Crops as a training will draw them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from learning_toys import coco_folder, judged_project, load_dataset
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.datasets.crops import CropSampler
from microscope_qc.ml.datasets.parts import DataPart
from microscope_qc.project import Project
from microscope_qc.workflows.learning.preview import preview_crops, write_preview
from microscope_qc.workflows.learning.project_parts import keep_parts, kept_parts, project_parts
from microscope_qc.workflows.learning.train import train_settings

SMALL = {"crop_px": 128, "batch": 4}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), size=384)


def test_it_shows_what_the_first_steps_of_a_training_learn_from(coco: Path) -> None:
    shown = run_job(preview_crops(coco, count=10, seed=3, paste=0.8, **SMALL))
    drawn = CropSampler(load_dataset(coco), side=128, model_um=None, seed=3, stride_px=64, paste=0.8)
    wanted = [crop for step in range(3) for crop in drawn.batch(step, 4)]
    assert len(shown.crops) == 10 and shown.classes == ["SQ", "DI"] and len(shown.colours) == 2
    for crop, one in zip(shown.crops, wanted, strict=False):
        np.testing.assert_array_equal(crop.pixels, one.pixels)
        np.testing.assert_array_equal(crop.boxes, one.boxes)
    assert shown.pasted == sum(crop.pasted for crop in shown.crops) > 0
    assert shown.defects == sum(len(crop.boxes) for crop in shown.crops) > shown.pasted


@pytest.mark.parametrize("network", ["light", "glcm-svm"])
def test_windows_of_classifiers_are_those_of_their_training(coco: Path, network: str) -> None:
    asked = {"crop_px": 64, "tile_px": 64, "batch": 4, "seed": 3}
    shown = run_job(preview_crops(coco, task="classify", network=network, count=4, **asked))
    recipe = architecture(network).recipe(train_settings("classify", network, asked), load_dataset(coco))
    for crop, window in zip(shown.crops, recipe._sampler.batch(0, 4), strict=True):
        np.testing.assert_array_equal(crop.pixels, window.pixels)


def test_another_draw_shows_others(coco: Path) -> None:
    first, second = (run_job(preview_crops(coco, count=4, draw=draw, **SMALL)) for draw in (0, 1))
    assert not any(np.array_equal(a.pixels, b.pixels) for a, b in zip(first.crops, second.crops, strict=True))


def test_nothing_that_is_held_out_is_shown_and_looking_settles_nothing(tmp_path: Path) -> None:
    path = judged_project(tmp_path, slides=6)
    run_job(preview_crops(path, count=1, **SMALL))
    with Project.open(path) as project:
        assert not kept_parts(project).table.parts
        keep_parts(project, shares={DataPart.VALIDATION: 0.3, DataPart.TEST: 0.3})
        held = [name for name, parts in project_parts(project).slides.items() if DataPart.TRAIN not in parts]
        learned = [slide.id for slide in project.slides if slide.name not in held]
        colours = [known.colour for known in project.classes]
    assert held and learned
    everything, some = (run_job(preview_crops(path, count=8, slide_ids=ids, **SMALL)) for ids in (None, learned))
    for crop, same in zip(everything.crops, some.crops, strict=True):
        np.testing.assert_array_equal(crop.pixels, same.pixels)
    assert everything.colours == colours


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"count": 0}, "1 to 200"), ({"crop_px": 100}, "multiples of 64"), ({"paste": 1.5}, "paste")],
)
def test_what_cannot_be_drawn_is_said(coco: Path, wrong: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_job(preview_crops(coco, **{**SMALL, **wrong}))


def test_it_is_one_picture_on_the_command_line(coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "seen.png"
    command = ["dataset", "preview", str(coco), "--crop", "128", "--paste", "1", "--progress", "none", "--out"]
    assert main([*command, str(out), "--count", "6", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["crops"] == 6 and said["pasted"] > 0 and said["classes"] == ["SQ", "DI"]
    with Image.open(out) as picture:
        assert picture.width >= 3 * 240 and picture.height >= 2 * 240
    assert main([*command, str(out), "--count", "1"]) == 0
    assert "1 crop with" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "seen.jpg")]) == 2
    assert "seen.jpg is not the name of a PNG file" in capsys.readouterr().err


def test_the_window_may_draw_it_as_torch_is_not_needed(coco: Path, tmp_path: Path) -> None:
    command = ["dataset", "preview", str(coco), "--crop", "128", "--out", str(tmp_path / "p.png"), "--progress", "none"]
    code = (
        f"from microscope_qc.cli import main; assert main({command!r}) == 0; import sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("False\n")


def test_the_file_shows_the_boxes_in_the_colours_of_their_classes(coco: Path, tmp_path: Path) -> None:
    shown = run_job(preview_crops(coco, count=2, **SMALL))
    with Image.open(write_preview(tmp_path / "p.png", shown)) as picture:
        found = {tuple(colour) for colour in np.asarray(picture).reshape(-1, 3)[::1].tolist()}
    used = {int(label) for crop in shown.crops for label in crop.labels}
    for label in used:
        colour = shown.colours[label]
        assert tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5)) in found
