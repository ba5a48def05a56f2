"""A training that is paused at any step, ended early or short of memory; what it shows meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from learning_toys import CLASSES, coco_folder, load_dataset
from safetensors.torch import load_file

from microscope_qc.core.errors import ModelError, OutOfMemory
from microscope_qc.core.jobs import Job, TimedProgress, run_job
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.architectures.ssd.recipe import SSDRecipe
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard
from microscope_qc.ml.training.checkpoint import NAME as CHECKPOINT
from microscope_qc.ml.training.checkpoint import load_checkpoint
from microscope_qc.ml.training.examples import EXAMPLES_NAME
from microscope_qc.ml.training.loop import train_network

SMALL = {"network": "ssd-tiny", "crop_px": 128, "tile_px": 192, "overlap_px": 32, "batch": 2, "seed": 4, "epochs": 2}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), pictures=3)


def training(coco: Path, out: Path, *, batch: int = 2, **options: Any) -> Job[ModelCard]:
    data = load_dataset(coco)
    settings = TrainSettings(**SMALL | {"device": "cpu", "batch": batch})
    return train_network(data, out, settings, validation=data, **options)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(out / WEIGHTS_NAME))


def test_a_training_that_is_closed_after_any_step_ends_the_same(coco: Path, tmp_path: Path) -> None:
    run_job(training(coco, tmp_path / "whole"))
    notes = set()
    for more in range(2, 120, 2):  # closed between steps, and in the middle of validations and of the end
        job = training(coco, tmp_path / "parts")
        told = None
        try:
            for _ in range(more):
                told = next(job)
        except StopIteration:
            break
        notes.add("" if told is None else told.note.split(",")[0])
        job.close()
    else:
        pytest.fail("it does not come on")
    assert any("validation" in note for note in notes) and any(note.startswith("epoch 1 of 2") for note in notes)
    for name, tensor in weights(tmp_path / "whole").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "parts")[name], rtol=0, atol=1e-3)
    whole, parts = (json.loads((tmp_path / name / "metrics.json").read_text())["curve"] for name in ("whole", "parts"))
    assert [row["epoch"] for row in whole] == [row["epoch"] for row in parts] == [1, 2]
    for one, other in zip(whole, parts, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-3), "the steps before the interruption count"


def test_what_was_done_is_kept_when_it_is_closed(coco: Path, tmp_path: Path) -> None:
    job = training(coco, tmp_path)
    while not isinstance(told := next(job), TimedProgress):
        pass
    assert not (tmp_path / CHECKPOINT).exists()
    job.close()
    state = load_checkpoint(tmp_path)
    assert state is not None and state["course"]["step"] == told.done == 1


def test_one_that_is_ended_keeps_the_best_so_far_also_before_the_first_validation(coco: Path, tmp_path: Path) -> None:
    steps: list[TimedProgress] = []

    def drive(out: Path, last: int) -> ModelCard:
        steps.clear()
        job = training(coco, out, end_now=lambda: len(steps) >= last)
        try:
            while True:
                told = next(job)
                steps.extend([told] if isinstance(told, TimedProgress) else [])
        except StopIteration as end:
            card: ModelCard = end.value
            return card

    early = drive(tmp_path / "early", 1)
    assert len(steps) == 1 and steps[0].total > 5 and early.metrics["map50"] >= 0
    assert not (tmp_path / "early" / CHECKPOINT).exists()
    per_epoch = int(steps[0].total) // 2
    later = drive(tmp_path / "later", per_epoch + 1)
    assert len(steps) == per_epoch + 1 and later.training["best_epoch"] == 1
    assert steps[-1].seconds_left is not None and 0 < steps[-1].seconds_left < 600
    with pytest.raises(ModelError, match="before it had learned anything"):
        run_job(training(coco, tmp_path / "never", end_now=lambda: True))


class Short:
    """Memory for some crops at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, crops: int) -> None:
        whole = SSDRecipe.losses
        self.sizes: list[int] = []

        def losses(recipe: SSDRecipe, network: Any, batch: list[Any], turn: int) -> Any:
            if len(batch) > crops:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            self.sizes.append(len(batch))
            return whole(recipe, network, batch, turn)

        monkeypatch.setattr(SSDRecipe, "losses", losses)


def test_short_of_memory_it_takes_pieces_of_a_batch_and_says_so(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(training(coco, tmp_path / "whole", batch=4))
    short, said = Short(monkeypatch, 1), list[str]()
    job = training(coco, tmp_path / "pieces", batch=4, tell=said.append)
    while not isinstance(next(job), TimedProgress):
        pass
    job.close()
    assert short.sizes == [1, 1, 1, 1]
    assert said == [
        f"As the memory was not enough, each batch is computed in {count} pieces; the result is the same, and it takes "
        "longer."
        for count in (2, 4)
    ]
    said.clear()
    card = run_job(training(coco, tmp_path / "pieces", batch=4, tell=said.append))
    assert not said and set(short.sizes) == {1}, "it continues in pieces"
    assert card.training["settings"]["batch"] == 4
    one, other = (
        float(json.loads((tmp_path / name / "metrics.json").read_text())["curve"][-1]["loss"])
        for name in ("whole", "pieces")
    )
    assert one == pytest.approx(other, rel=0.25), "batch and learning rate are the same"
    Short(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match="not enough for this training"):
        run_job(training(coco, tmp_path / "none", batch=2))


def test_examples_show_truth_and_what_was_found(coco: Path, tmp_path: Path) -> None:
    run_job(training(coco, tmp_path))
    shown = json.loads((tmp_path / EXAMPLES_NAME).read_text())
    assert shown["classes"] == CLASSES and shown["epoch"] == 2 and 1 <= len(shown["pictures"]) <= 6
    names = [picture["name"] for picture in shown["pictures"]]
    assert len(set(names)) == len(names) == 3, "pictures of 192 px show all that is in them, so each is there once"
    for picture in shown["pictures"]:
        pixels = cv2.imread(str(tmp_path / picture["file"]))
        assert pixels.shape == (192, 192, 3)
        for y0, x0, y1, x1, label in picture["truth"]:
            middle = pixels[int(y0 + y1) // 2, int(x0 + x1) // 2]
            assert (np.mean(middle) > 150) == (CLASSES[int(label)] == "DI"), "discs are bright, squares are dark"
        assert all(len(row) == 6 and row[5] >= shown["confidence"] - 1e-3 for row in picture["found"])
    assert len(shown["pictures"][0]["truth"]) == 6
