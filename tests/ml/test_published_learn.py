"""Each of the published detectors learns eight pictures by heart, and finds on a slide what it knows, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from learning_toys import coco_folder, load_dataset

from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import iou_matrix
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.cards import read_card
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.ml.evaluation.on_slides import find_in_image
from microscope_qc.ml.tasks.images import TaskFinder
from microscope_qc.workflows.learning.train import train

COMMON = {
    "crop_px": 128, "tile_px": 128, "overlap_px": 64, "validate_every": 1000, "seed": 1, "device": "cpu",
    "augment": "flip",
}  # fmt: skip
TWO_STAGES = {"width": 8, "head": 32, "enlarge": 1, "proposals": 100}
ONE_STAGE = {"width": 8, "input_px": 128, "extras": [32, 32, 16, 16], "enlarge": 1}
LITE = {"width": 64, "frozen_share": 0.9}
LEARNED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "faster-rcnn-resnet50": ({**TWO_STAGES, "rpn": 32}, {"epochs": 35, "learning_rate": 0.015}),
    "faster-rcnn-vgg19": ({**TWO_STAGES, "rpn": 32, "width": 16}, {"epochs": 30, "learning_rate": 0.01}),
    "faster-rcnn-fpn": ({**TWO_STAGES, "pyramid": 16}, {"epochs": 20, "learning_rate": 0.02}),
    "faster-rcnn-lite0": ({**TWO_STAGES, **LITE, "rpn": 32}, {"epochs": 20, "learning_rate": 0.03}),
    "ssd-resnet50": (ONE_STAGE, {"epochs": 60, "learning_rate": 0.02, "batch": 4}),
    "ssd-vgg19": ({**ONE_STAGE, "width": 16}, {"epochs": 60, "learning_rate": 0.005, "batch": 4}),
    "ssd-lite0": ({**ONE_STAGE, **LITE}, {"epochs": 80, "learning_rate": 0.02, "batch": 4}),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With such small pictures more of them would wait for each other on a busy computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """The pictures that a network learned from, and its model; each is trained once."""
    folder = tmp_path_factory.mktemp("learned")
    data = {
        name: coco_folder(folder / name, pictures=8, size=96, count=3, cells=2, radii=radii)
        for name, radii in (("small", (11, 17)), ("large", (17, 23)))
    }

    def learn(name: str) -> tuple[Path, Path]:
        pictures, out = (
            data["small" if name.startswith("ssd") or name.endswith("fpn") else "large"],
            folder / f"m-{name}",
        )
        if not out.exists():
            network, settings = LEARNED[name]
            run_job(
                train(pictures, out, validation=pictures, network=name, network_settings=network, **COMMON, **settings)
            )
        return pictures, out

    return learn


@pytest.mark.parametrize("name", LEARNED)
def test_eight_pictures_are_learned_by_heart(learned: Callable[[str], tuple[Path, Path]], name: str) -> None:
    card = read_card(learned(name)[1])
    assert card.architecture == name
    assert card.metrics["map50"] >= 0.9


def mosaic(data: Path, folder: Path) -> AnnotatedImage:
    """A slide of four of the pictures, with what is on it."""
    images = load_dataset(data).images[:4]
    pictures = [cv2.imread(str(image.path)) for image in images]
    path = folder / "slide.png"
    cv2.imwrite(str(path), np.vstack([np.hstack(pictures[:2]), np.hstack(pictures[2:])]))
    shifts = [np.array([y, x, y, x]) for y in (0, 96) for x in (0, 96)]
    boxes = np.concatenate([image.boxes + shift for image, shift in zip(images, shifts, strict=True)])
    return AnnotatedImage(path, (192, 192), boxes, np.concatenate([image.labels for image in images]))


@pytest.mark.parametrize("name", ["faster-rcnn-fpn", "ssd-vgg19"])
def test_on_a_slide_each_is_found_once_though_seams_cross_it(
    tmp_path: Path, learned: Callable[[str], tuple[Path, Path]], name: str
) -> None:
    data, model = learned(name)
    slide, sure = mosaic(data, tmp_path), read_card(model).confidence
    found, _ = find_in_image(TaskFinder(open_task(model, device="cpu", threshold=sure)), slide)
    boxes = np.stack([found[side] for side in ("y0", "x0", "y1", "x1")], axis=1)
    hits = iou_matrix(slide.boxes, boxes) > 0.5
    assert (hits.sum(1) <= 1).all() and hits.any(1).mean() > 0.7
