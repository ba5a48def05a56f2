"""Training learns, and an interrupted training ends like an uninterrupted one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from learning_toys import coco_folder, load_dataset
from safetensors.torch import load_file

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import WEIGHTS_NAME, read_card
from microscope_qc.ml.training.checkpoint import NAME as CHECKPOINT
from microscope_qc.ml.training.checkpoint import load_checkpoint
from microscope_qc.workflows.learning.evaluate import evaluate
from microscope_qc.workflows.learning.train import train

SMALL = {"network": "ssd-tiny", "crop_px": 128, "tile_px": 192, "overlap_px": 32, "batch": 2, "seed": 4}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), pictures=3)


def test_the_loss_falls_and_the_model_finds_something(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    job = train(
        coco, out, validation=coco, epochs=10, validate_every=10, learning_rate=1e-2, trained_on="squares", **SMALL
    )
    card = run_job(job)
    with (out / "curve.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < 0.8 * losses[0]
    assert card == read_card(out) and card.trained_on == "squares" and card.pixel_size_um is None
    assert card.training["boxes"] == {"SQ": 9, "DI": 9}
    assert card.fingerprint == load_dataset(coco).fingerprint()
    assert not (out / CHECKPOINT).exists()
    stored = json.loads((out / "metrics.json").read_text())
    evaluation = run_job(evaluate(out, coco))
    measured = evaluation.document()
    assert measured["learned_from"] == {"pictures": 3, "boxes": 18, "all_boxes": 18, "complete": True}
    assert any(
        line.startswith("The model learned from 3 of 3 pictures, with 18 of 18 boxes") for line in evaluation.words()
    )
    # the metrics in the card are those of the stored weights
    assert measured["map50"] == pytest.approx(stored["validation"]["map50"], abs=1e-6)
    assert measured["recall"] == pytest.approx(card.metrics["recall"], abs=1e-6)


def test_an_interrupted_training_ends_like_an_uninterrupted_one(coco: Path, tmp_path: Path) -> None:
    settings = SMALL | {"epochs": 2, "validate_every": 2}
    run_job(train(coco, tmp_path / "whole", validation=coco, **settings))
    first = train(coco, tmp_path / "parts", validation=coco, **settings)
    while not (tmp_path / "parts" / CHECKPOINT).exists():  # the first one is written after the first epoch
        next(first)
    next(first)  # a step after it, which is lost
    first.close()
    assert load_checkpoint(tmp_path / "parts")["course"]["step"] > 0
    run_job(train(coco, tmp_path / "parts", validation=coco, **settings))
    whole, parts = (load_file(tmp_path / name / WEIGHTS_NAME) for name in ("whole", "parts"))
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, parts[name], rtol=0, atol=1e-3)


def test_a_checkpoint_of_other_settings_is_not_continued(coco: Path, tmp_path: Path) -> None:
    job = train(coco, tmp_path, validation=coco, epochs=3, validate_every=3, **SMALL)
    while not (tmp_path / CHECKPOINT).exists():
        next(job)
    job.close()
    with pytest.raises(ModelError, match="other data or settings"):
        run_job(train(coco, tmp_path, validation=coco, epochs=4, **SMALL))
    (tmp_path / CHECKPOINT).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="damaged"):
        run_job(train(coco, tmp_path, validation=coco, epochs=3, **SMALL))


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"identity": Bomb()}, tmp_path / CHECKPOINT)
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "segment"}, "segment"),
        ({"network": "yolo"}, "yolo"),
        ({"epochs": 0}, "epochs"),
        ({"crop_px": 100}, "multiples of 64"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_wrong_settings(coco: Path, tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_job(train(coco, tmp_path / "m", **(SMALL | change)))
    assert not (tmp_path / "m").exists()


def test_a_finished_model_is_not_overwritten(coco: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(InputError, match="already contains a model"):
        run_job(train(coco, tmp_path, **SMALL))


def test_a_data_set_without_boxes(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "data", pictures=2)
    document = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").write_text(json.dumps(document | {"annotations": []}))
    with pytest.raises(ModelError, match="no boxes"):
        run_job(train(folder, tmp_path / "m", **SMALL))


def test_classes_the_model_does_not_have(coco: Path, tmp_path: Path) -> None:
    from learning_toys import untrained_model

    model = untrained_model(tmp_path / "m", classes=("SQ", "OTHER"))
    with pytest.raises(ModelError, match="DI"):
        run_job(evaluate(model, coco))
