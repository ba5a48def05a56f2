"""Trainings that start from a trained model: what they take over, say of it, and measure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from anomaly_toys import blurring_autoencoder
from learning_toys import TINY_TRAINING, coco_folder, judged_project, load_dataset, untrained_model
from safetensors.torch import load_file

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import Job, run_job
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, ModelCard, read_card
from microscope_qc.ml.datasets.learned import LEARNED_NAME, Learned, read_learned, write_learned
from microscope_qc.ml.datasets.parts import DataPart, read_parts, write_parts
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.ml.training.start import START_NAME
from microscope_qc.project import Project
from microscope_qc.workflows.learning.asked import train_as_asked
from microscope_qc.workflows.learning.evaluate import evaluate
from microscope_qc.workflows.learning.request import ask_for_training, read_request, read_training
from microscope_qc.workflows.learning.supply import outcome
from microscope_qc.workflows.learning.train import DATA_NAME, train
from microscope_qc.workflows.models.compare import compare_models
from microscope_qc.workflows.models.shelf import find_model, list_shelf

NO_STEP = {"epochs": 1, "learning_rate": 1e-9}
"""With these the weights stay what they were at the start."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """With small crops more of them would wait for each other on a busy computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"), pictures=5)


@pytest.fixture
def start(own_models: Path, coco: Path) -> Path:
    """A model for squares and something else, which learned from the first picture."""
    model = untrained_model(own_models / "older", classes=("XX", "SQ"))
    data = load_dataset(coco)
    run_job(write_learned(replace(data, images=data.images[:1]), model))
    change_card(model, fingerprint="f00d", training={"backbone": "Backbone: under its own terms."})
    return model


def change_card(model: Path, **change: Any) -> None:
    card = json.loads((model / CARD_NAME).read_text())
    (model / CARD_NAME).write_text(json.dumps(card | change))


def training(coco: Path, out: Path, start: Path | str, **settings: Any) -> Job[ModelCard]:
    return train(coco, out, start=start, **{"validation": coco, **TINY_TRAINING, **settings})


def until_checkpoint(job: Job[ModelCard], out: Path) -> None:
    while not (out / CHECKPOINT_NAME).exists():
        next(job)
    job.close()


def test_the_weights_are_taken_over_and_the_card_says_so(coco: Path, tmp_path: Path, start: Path) -> None:
    said: list[str] = []
    card = run_job(training(coco, tmp_path / "new", start, tell=said.append, **NO_STEP))
    assert card == read_card(tmp_path / "new") and card.classes == ["SQ", "DI"]
    before, after = (load_file(folder / WEIGHTS_NAME) for folder in (start, tmp_path / "new"))
    for name, tensor in before.items():
        if not name.startswith("classify.") and tensor.dtype == torch.float16 and "running" not in name:
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-3)
    assert card.architecture == "ssd-tiny" and card.pixel_size_um == read_card(start).pixel_size_um
    assert (card.mean, card.std) == (read_card(start).mean, read_card(start).std)
    about = card.training["start"]
    assert about["name"] == "older" and about["data_fingerprint"] == "f00d" and len(about["weights_sha256"]) == 64
    assert card.training["backbone"] == "Backbone: under its own terms."
    assert str(start) not in (tmp_path / "new" / CARD_NAME).read_text(), "no path of this computer"
    assert "Starts from older, and works at 0.5 µm per pixel as it does." in said
    assert "older does not know DI: learned from nothing." in said
    assert "There is no XX to learn from: the model forgets what older knows of that." in said
    assert not (tmp_path / "new" / START_NAME).exists() and not (tmp_path / "new" / DATA_NAME).exists()


@pytest.mark.parametrize(
    ("learned", "given", "used"),
    [("upright", None, "upright"), ("upright", "full", "full"), ("sideways", None, "full"), (3, None, "full")],
)
def test_crops_are_varied_as_the_older_model_has_seen_them(
    coco: Path, tmp_path: Path, start: Path, learned: object, given: str | None, used: str
) -> None:
    change_card(start, training={"settings": {"augment": learned}})
    card = run_job(training(coco, tmp_path / "new", start, augment=given, **NO_STEP))
    assert card.training["settings"]["augment"] == used


def test_a_model_without_terms_of_others_hands_its_own_on(coco: Path, tmp_path: Path, start: Path) -> None:
    change_card(start, training={})
    run_job(training(coco, tmp_path / "new", start, **NO_STEP))
    assert find_model(tmp_path / "new").licence == "Started from the weights of older, whose terms apply."


# -- what cannot be started from -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": "lite0"}, "The network of older is ssd-tiny: a training of lite0 cannot start from it"),
        ({"network_settings": {"pyramid": 32}}, "The network of older has other settings"),
    ],
)
def test_another_network_is_refused(
    coco: Path, tmp_path: Path, start: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        run_job(training(coco, tmp_path / "new", start, **settings))
    assert raised.value.hint and not (tmp_path / "new").exists()


def test_models_for_other_tasks_broken_and_missing_ones_are_refused(coco: Path, tmp_path: Path, start: Path) -> None:
    anomalies = blurring_autoencoder(tmp_path / "anomalies")
    with pytest.raises(ModelError, match="is a model for the task anomaly"):
        run_job(training(coco, tmp_path / "new", anomalies))
    with pytest.raises(ModelError, match="There is no model nobody"):
        run_job(training(coco, tmp_path / "new", "nobody"))
    with pytest.raises(InputError, match="cannot start from itself"):
        run_job(training(coco, start, start, overwrite=True))
    weights = bytearray((start / WEIGHTS_NAME).read_bytes())
    weights[-4:] = b"\xff\x7f\xff\x7f"  # not numbers
    (start / WEIGHTS_NAME).write_bytes(bytes(weights))
    with pytest.raises(ModelError, match="not finite numbers"):
        run_job(training(coco, tmp_path / "new", start))
    assert not (tmp_path / "new").exists()


# -- an interruption -------------------------------------------------------------------------------------------------


def test_it_goes_on_without_the_model_that_it_started_from(coco: Path, tmp_path: Path, start: Path) -> None:
    whole = run_job(training(coco, tmp_path / "whole", start))
    until_checkpoint(training(coco, tmp_path / "parts", start), tmp_path / "parts")
    shutil.rmtree(start)
    card = run_job(training(coco, tmp_path / "parts", start))
    assert card.training["start"] == whole.training["start"] and card.training["backbone"] == whole.training["backbone"]
    assert (card.mean, card.std) == (whole.mean, whole.std)
    for name, tensor in load_file(tmp_path / "whole" / WEIGHTS_NAME).items():
        torch.testing.assert_close(tensor, load_file(tmp_path / "parts" / WEIGHTS_NAME)[name], rtol=0, atol=1e-3)
    assert read_learned(tmp_path / "parts") == read_learned(tmp_path / "whole")
    with pytest.raises(ModelError, match="There is no model"):
        run_job(training(coco, tmp_path / "another", start))


def test_it_does_not_go_on_from_another_model(coco: Path, tmp_path: Path, start: Path) -> None:
    out = tmp_path / "new"
    until_checkpoint(training(coco, out, start), out)
    other = untrained_model(tmp_path / "other", classes=("XX", "SQ"), bias=-3.0)
    for another in (other, None):
        with pytest.raises(ModelError, match="other data or settings"):
            run_job(training(coco, out, another, network="ssd-tiny", pixel_size_um=0.5, learning_rate=1e-3))
    (out / START_NAME).write_text("{")
    with pytest.raises(ModelError, match=r"start\.json is damaged"):
        run_job(training(coco, out, start))


def test_one_of_a_project_starts_from_its_model_wherever_both_are_moved(tmp_path: Path) -> None:
    project = judged_project(tmp_path / "here")
    model = untrained_model(project / "models" / "older", classes=("SQ", "DI"))
    settings = TINY_TRAINING | {"start": str(model)}
    folder = ask_for_training(project, "new", settings=settings)
    assert read_request(folder).settings["start"] == "models/older"
    moved = Path(shutil.move(project.parent, tmp_path / "there")) / "cell.mqc"
    card = run_job(train_as_asked(moved / "models" / "new"))
    assert card.training["start"]["name"] == "older" and card.architecture == "ssd-tiny"
    assert any(note.startswith("Starts from older") for note in read_training(moved / "models" / "new").notes)


# -- what is known of what was learned from --------------------------------------------------------------------------


def test_what_earlier_models_learned_from_is_learned_from(coco: Path, tmp_path: Path, start: Path) -> None:
    """A grandchild knows what its parent and its grandparent learned from."""
    others = coco_folder(tmp_path / "others", pictures=7)
    document = json.loads((others / "annotations.json").read_text())
    for number in range(5):  # only the two that are not in the other folder
        (others / f"p{number}.png").unlink()
    document["images"] = document["images"][5:]
    document["annotations"] = [one for one in document["annotations"] if one["image_id"] >= 5]
    (others / "annotations.json").write_text(json.dumps(document))
    run_job(training(others, tmp_path / "parent", start, validation=others, **NO_STEP))
    run_job(training(others, tmp_path / "child", tmp_path / "parent", validation=others, **NO_STEP))
    known = [read_learned(folder) for folder in (start, tmp_path / "parent", tmp_path / "child")]
    assert [len(one.places) for one in known if one is not None] == [1, 3, 3] and known[1] == known[2]
    learned = run_job(evaluate(tmp_path / "child", coco)).learned
    assert learned is not None and (learned.pictures, learned.all_pictures, learned.complete) == (1, 5, True)


def test_figures_say_what_the_older_model_knew_of_the_validation_part(coco: Path, tmp_path: Path, start: Path) -> None:
    said: list[str] = []
    card = run_job(training(coco, tmp_path / "new", start, tell=said.append, **NO_STEP))
    assert card.training["start"]["knew_of_validation"] == {
        "pictures": 1, "boxes": 6, "all_boxes": 30, "complete": True,
    }  # fmt: skip
    assert (
        "older had learned from 1 of 5 pictures, with 6 of 30 boxes, of the validation part: its figures are too good."
    ) in said
    told = outcome({"map50": 0.5, "truth": 30, "finds": 9}, pictures=5, start=card.training["start"])
    assert "older, from which it started, had learned from 1 place of them: it is not as good." in told


def test_a_model_that_does_not_say_what_it_learned_from_leaves_that_open(
    coco: Path, tmp_path: Path, start: Path
) -> None:
    (start / LEARNED_NAME).unlink()
    said: list[str] = []
    out = tmp_path / "new"
    card = run_job(training(coco, out, start, tell=said.append, **NO_STEP))
    assert "What older learned from is not known: the figures of the validation part may be too good." in said
    assert card.training["start"]["knew_of_validation"]["complete"] is False
    told = outcome({"map50": 0.5, "truth": 30, "finds": 9}, pictures=5, start=card.training["start"])
    assert "What older, from which it started, learned from is not known: it may be less good." in told
    open_end = "It started from a model that does not say what it learned from: it may know more of them."
    assert open_end in run_job(evaluate(out, coco)).sentences


def test_what_the_older_model_was_measured_on_is_held_out_again(coco: Path, tmp_path: Path) -> None:
    run_job(train(coco, tmp_path / "first", network="ssd-tiny", **TINY_TRAINING | NO_STEP))
    table = read_parts(tmp_path / "first")
    turned = {
        name: DataPart.VALIDATION if part is DataPart.TRAIN else DataPart.TRAIN for name, part in table.parts.items()
    }
    write_parts(replace(table, parts=turned), tmp_path / "first")
    card = run_job(train(coco, tmp_path / "second", start=tmp_path / "first", **TINY_TRAINING | NO_STEP))
    assert read_parts(tmp_path / "second").parts == turned
    assert card.training["pictures"] == sum(part is DataPart.TRAIN for part in turned.values())


def test_the_gate_leaves_out_what_earlier_models_learned_from(coco: Path, tmp_path: Path, start: Path) -> None:
    new = untrained_model(tmp_path / "new", classes=("XX", "SQ"))
    done = run_job(compare_models(new, start, coco))
    assert done.new.pictures == 4 and "1 place left out: older has learned from it." in done.sentences
    places = read_learned(start).places  # type: ignore[union-attr]
    (new / LEARNED_NAME).write_text(Learned(places=places, complete=False).model_dump_json())
    done = run_job(compare_models(new, start, coco))
    assert "new started from a model that does not say what it learned from: it may know more places." in done.sentences


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_takes_a_model_by_its_name(
    coco: Path, tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "--crop 128 --tile 192 --overlap 32 --batch 2 --epochs 1"
    command = ["train", str(coco), "--validation", str(coco), "--start", "older", *small.split(), "--device", "cpu"]
    assert main([*command, "--progress", "none", "--json", "--out", str(tmp_path / "new")]) == 0
    told = capsys.readouterr()
    card = json.loads(told.out)
    assert card["training"]["start"]["name"] == "older" and card["training"]["settings"]["learning_rate"] == 1e-3
    assert "Note: Starts from older" in told.err
    assert main(["models", "show", str(tmp_path / "new")]) == 0
    assert "  Started from: older\n" in capsys.readouterr().out
    assert main([*command, "--network", "ssd", "--out", str(tmp_path / "other")]) == 2
    assert "cannot start from it" in capsys.readouterr().err


def test_a_project_knows_its_models_by_name(tmp_path: Path) -> None:
    project = judged_project(tmp_path / "here")
    untrained_model(project / "models" / "inside", classes=("SQ", "DI"))
    with Project.open(project, write=False) as opened:
        assert "inside" in [entry.name for entry in list_shelf(opened)]
    small = "--crop 128 --tile 192 --overlap 32 --batch 2 --epochs 1 --device cpu --progress none"
    assert main(["train", str(project), "--start", "inside", "--out", str(tmp_path / "new"), *small.split()]) == 0
    assert read_card(tmp_path / "new").training["start"]["name"] == "inside"
