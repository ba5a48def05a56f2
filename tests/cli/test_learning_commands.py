"""models, train and evaluate: what they offer, and what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from learning_toys import coco_folder, load_dataset, untrained_model

from microscope_qc.cli import main
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.ml.architectures.base import ARCHITECTURES
from microscope_qc.ml.datasets.learned import write_learned


def test_networks_are_listed_by_task_with_what_can_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--networks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["detect", "classify", "anomaly"]
    assert [entry["name"] for entries in found.values() for entry in entries] == ARCHITECTURES.names()
    assert [entry["name"] for entry in found["detect"] if entry["trainable"]][:3] == ["lite0", "ssd", "ssd-tiny"]
    published = next(entry for entry in found["detect"] if entry["name"] == "faster-rcnn-resnet50")
    assert published["settings"]["proposals"] == 300 and published["training"]["learning_rate"] == 5e-4
    defaults = [entry["name"] for entries in found.values() for entry in entries if entry["default"]]
    assert defaults == ["lite0", "lite0-classifier", "memory"]
    assert all(entry["trainable"] for entry in found["classify"])
    assert main(["models", "--networks"]) == 0
    text = capsys.readouterr().out
    assert "detect: finds defects" in text and "Convolutional autoencoder; can be run, not trained" in text
    assert "proposals=300" in text


def test_train_offers_only_what_can_be_trained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--task {detect,classify,anomaly}" in text and "{lite0,ssd,ssd-tiny,faster-rcnn-resnet50" in text
    for wrong in (
        ["--task", "segment"],
        ["--network", "autoencoder"],
        ["--network", "resnet18"],
        ["--network", "yolo"],
    ):
        assert main(["train", str(tmp_path), "--out", str(tmp_path / "m"), *wrong]) == 2
        said = capsys.readouterr().err
        assert wrong[1] in said and said.count("\n") == 1


def test_a_model_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", pictures=2)
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    command = ["evaluate", str(model), str(data), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    about = {
        "model",
        "dataset",
        "pictures",
        "outcomes",
        "seconds_per_picture",
        "left_out",
        "learned_from",
        "background_pictures",
        "notes",
        "classes",
        "places",
        "finds",
        "truth",
        "confidence",
        "iou",
    }
    figures = {"precision", "recall", "f1", "map50", "map50_11", "map"}
    intervals = {f"{name}_interval" for name in figures}
    assert about | figures | intervals | {"part", "per_class", "by_size", "confusion", "curves"} == set(report)
    assert report["truth"] == 12 and report["confidence"] == 0.3 and set(report["per_class"]) == {"SQ", "DI"}
    assert main([*command, "--confidence", "0.4", "--iou", "0.3"]) == 0
    text = capsys.readouterr().out
    assert "toy on" in text and "at confidence 0.4, IoU 0.3, 12 boxes in 2 places:" in text and "mAP50 " in text
    assert not any(report["left_out"].values()) and {"rejected", "boxes", "pictures", "files"} <= set(
        report["left_out"]
    )
    assert report["background_pictures"] == 0 and "No truth" not in text and "left out" not in text
    assert report["learned_from"] is None and "learned from some of the pictures is not known" in text


def test_pictures_that_the_model_learned_from_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    run_job(write_learned(load_dataset(coco_folder(tmp_path / "learned", pictures=2)), model))
    data = coco_folder(tmp_path / "data", pictures=3)
    command = ["evaluate", str(model), str(data), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["learned_from"] == {"pictures": 2, "boxes": 12, "all_boxes": 18, "complete": True}
    said = (
        "The model learned from 2 of 3 pictures, with 12 of 18 boxes: "
        "on pictures that it does not know its figures are lower."
    )
    assert said in report["notes"]
    assert main(command) == 0
    assert f"  {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "words"),
    [("--iou=50", "overlap must be"), ("--iou=0", "overlap must be"), ("--confidence=50", "confidence is 0 to 1")],
)
def test_per_cent_are_no_overlap_and_no_confidence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, words: str
) -> None:
    data = coco_folder(tmp_path / "data", pictures=1)
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    assert main(["evaluate", str(model), str(data), option, "--device", "cpu", "--progress", "none"]) == 2
    assert words in capsys.readouterr().err


def test_a_rejected_finding_of_our_own_export_is_no_truth(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", pictures=2)
    document = json.loads((data / "annotations.json").read_text())
    for number, (state, score) in enumerate([("rejected", 0.9), ("unreviewed", 0.9), ("confirmed", 0.9)]):
        document["annotations"][number] |= {"attributes": {"state": state}, "score": score}
    (data / "annotations.json").write_text(json.dumps(document))
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    command = ["evaluate", str(model), str(data), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["truth"] == 10 and (report["left_out"]["rejected"], report["left_out"]["unreviewed"]) == (1, 1)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "\n  No truth: 1 rejected finding as background and 1 finding of which nobody has" in said


def test_what_was_never_there_is_not_measured_as_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", pictures=2)
    document = json.loads((data / "annotations.json").read_text())
    (data / "annotations.json").write_text(json.dumps(document | {"annotations": []}))
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    command = ["evaluate", str(model), str(data), "--device", "cpu", "--progress", "none"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["truth"] == 0 and report["background_pictures"] == 2
    assert report["recall"] is report["map50"] is report["per_class"]["SQ"]["ap50"] is None and report["precision"] == 0
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "recall –  F1 –" in text and "mAP50 –" in text and "2 of 2 pictures have no boxes" in text


def test_what_is_left_out_is_said_before_a_training_and_by_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.ml.cards import read_card
    from microscope_qc.ml.training import loop

    data = coco_folder(tmp_path / "data", pictures=3)
    (data / "p2.png").unlink()
    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))

    def trained(*_: object, **__: object) -> Iterator[Progress]:
        assert "Note: 1 of 3 pictures left out. p2.png: not found." in capsys.readouterr().err
        yield Progress(1, 1, "steps")
        return read_card(model)

    monkeypatch.setattr(loop, "train_network", trained)
    command = ["train", str(data), "--out", str(tmp_path / "m"), "--progress", "none"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "toy" and told["notes"] == [
        "1 of 3 pictures left out. p2.png: not found.",
        "2 of 2 pictures do not give a pixel size: the model takes every pixel of a slide as it is, whatever its size.",
    ]
    assert main(["evaluate", str(model), str(data), "--device", "cpu", "--progress", "none"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "  1 of 3 pictures left out. p2.png: not found." in said
    assert "  2 of 2 pictures do not give a pixel size: taken to be that of the model, 0.5 µm." in said


def test_only_a_network_with_a_backbone_starts_from_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco_folder(tmp_path / "data")
    command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "m"), "--network", "ssd-tiny"]
    assert main([*command, "--backbone", "random"]) != 0
    assert "ssd-tiny: backbone: is not known" in capsys.readouterr().err


def test_how_much_is_pasted_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.cards import read_card
    from microscope_qc.ml.datasets import Dataset
    from microscope_qc.ml.training import loop

    data, model = coco_folder(tmp_path / "data"), untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    chosen = []

    def trained(_data: Dataset, _out: Path, settings: TrainSettings, **_: object) -> Iterator[Progress]:
        chosen.append(settings.paste)
        yield Progress(1, 1, "steps")
        return read_card(model)

    monkeypatch.setattr(loop, "train_network", trained)
    command = ["train", str(data), "--progress", "none", "--out"]
    assert main([*command, str(tmp_path / "a")]) == main([*command, str(tmp_path / "b"), "--paste", "0.4"]) == 0
    assert chosen == [TrainSettings().paste, 0.4]
    assert main([*command, str(tmp_path / "c"), "--paste", "40"]) == 2
    assert "paste" in capsys.readouterr().err
