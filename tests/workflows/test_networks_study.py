"""Networks side by side: the same places for all, a row for each, what is kept when it is begun again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from classifier_toys import class_folders
from learning_toys import coco_folder, load_dataset, untrained_model

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import Progress, TimedProgress, run_job
from microscope_qc.ml.datasets.share import share_of
from microscope_qc.ml.library import load_card
from microscope_qc.workflows.studies import networks
from microscope_qc.workflows.studies.networks import compare_networks
from microscope_qc.workflows.studies.rival import Rival
from microscope_qc.workflows.studies.table import read_table

TINY: dict[str, Any] = {
    "crop_px": 128, "tile_px": 192, "overlap_px": 32, "batch": 2, "seed": 4, "epochs": 1, "device": "cpu", "timed": 1,
}  # fmt: skip
PAIR = [Rival.of_text("ssd-tiny"), Rival.of_text("ssd-tiny:learning_rate=0.01")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("data"), pictures=8)


@pytest.fixture(scope="module")
def study(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two candidates, and the progress that it told."""
    out = tmp_path_factory.mktemp("study")
    told: list[Progress] = []
    run_job(compare_networks(data, out, PAIR, **TINY), told.append)
    shares = [one.done for one in told if one.unit == "networks"]
    assert shares == sorted(shares) and shares[-1] <= 2 == told[-1].total
    assert any(isinstance(one, TimedProgress) and one.seconds_left is not None for one in told)
    return out


def test_every_candidate_has_a_row_with_figures_intervals_and_seconds(study: Path) -> None:
    table = read_table(study / networks.TABLE_NAME)
    assert table is not None
    assert [row["network"] for row in table.rows] == ["ssd-tiny", "ssd-tiny"]
    assert [row["settings"] for row in table.rows] == ["", "learning_rate=0.01"]
    for row in table.rows:
        card = load_card(row["model"])
        assert row["pictures"] == card.training["pictures"] == 7 and row["parameters"] > 1000
        assert 0 <= row["map50_11"] <= 1 and "map50_interval" in row and "SQ ap50" in row
        assert row["seconds cpu"] > 0
    assert "1 picture or place" in table.subtitle, "the one that both held out"
    heads = table.head
    assert {"mAP50", "AP50 SQ", "AP50 DI", "s per picture, cpu"} <= set(heads) and "Why not" not in heads
    lines = list(csv.reader((study / "table.csv").open()))
    assert len(lines) == 3 and "mAP50, low" in lines[0]
    page = (study / "table.html").read_text()
    assert "learning_rate=0.01" in page and "AP50 SQ" in page and "one by one" in page


def test_begun_again_it_keeps_what_is_done_and_takes_more(
    study: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = networks.train

    def watched(dataset: Any, place: Path, **asked: Any) -> Any:
        def job() -> Any:
            trained.append(place.name)
            return (yield from real(dataset, place, **asked))

        return job()

    monkeypatch.setattr(networks, "train", watched)
    more = [*PAIR, Rival.of_text("ssd-tiny:batch=1")]
    table = run_job(compare_networks(data, study, more, **TINY))
    assert trained == ["ssd-tiny batch=1"] and len(table.rows) == 3
    with pytest.raises(InputError, match="a study of other data"):
        run_job(compare_networks(data, study, PAIR, **{**TINY, "epochs": 2}))
    trained.clear()
    run_job(compare_networks(data, study, PAIR[:1], fresh=True, **{**TINY, "epochs": 2}))
    assert trained == ["ssd-tiny"] and sorted(path.name for path in (study / "models").iterdir()) == ["ssd-tiny"]


def test_what_cannot_be_trained_has_a_row_that_says_why(data: Path, tmp_path: Path) -> None:
    wrong = Rival.of_text(f"ssd-tiny:start={tmp_path / 'none'}")
    table = run_job(compare_networks(data, tmp_path / "out", [wrong, PAIR[0]], **TINY))
    assert "There is no model" in table.rows[0]["problem"] and table.rows[1]["problem"] is None
    assert "Why not" in table.head and any("could not be trained" in note for note in table.notes)
    with pytest.raises(ModelError, match="None of the networks"):
        run_job(compare_networks(data, tmp_path / "other", [wrong], **TINY))


def test_wrong_requests_are_refused_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    for texts, words in (
        (["no-such"], "There is no network"), (["ssd-tiny:depth=3"], "depth"), (["ssd-tiny", "ssd-tiny"], "twice"),
        (["ssd-tiny:minutes=3"], "minutes"), ([], "no network to compare"),
    ):  # fmt: skip
        with pytest.raises((InputError, ModelError), match=words):
            run_job(compare_networks(data, tmp_path, [Rival.of_text(text) for text in texts], **TINY))
    assert not (tmp_path / "models").exists()
    for text in ("ssd-tiny:batch", ":batch=2", "ssd-tiny:batch=1,batch=2"):
        with pytest.raises(InputError, match="Write NETWORK"):
            Rival.of_text(text)


def test_a_name_of_a_candidate_is_a_name_of_a_folder() -> None:
    one = Rival.of_text("lite0:backbone=/some/where/resnet.pth,batch=4")
    assert one.settings == {"backbone": "/some/where/resnet.pth", "batch": 4}
    assert "/" not in one.name and not Path(one.name).suffix
    names = {Rival.of_text(f"lite0:backbone={'x' * 90}{end}").name for end in "ab"}
    assert len(names) == 2 and all(len(name) <= 80 for name in names)


def test_more_pictures_make_a_curve(data: Path, tmp_path: Path) -> None:
    table = run_job(compare_networks(data, tmp_path, PAIR[:1], shares=(1.0, 0.5), **{**TINY, "timed": 0}))
    assert [row["pictures"] for row in table.rows] == [4, 7]
    (chart,) = table.charts
    assert [mark.x for mark in chart.series[0].marks] == [4, 7] and "seconds cpu" not in table.rows[0]
    assert "<svg" in (tmp_path / "table.html").read_text()
    held = {json.dumps(json.loads((path / "parts.json").read_text())) for path in (tmp_path / "models").iterdir()}
    assert len(held) == 1, "what is measured on is the same"


def test_a_smaller_share_is_part_of_a_larger_one(data: Path) -> None:
    whole = load_dataset(data)
    some = [{image.path.name for image in share_of(whole, share, seed=3).images} for share in (0.01, 0.3, 0.5, 1.0)]
    assert [len(names) for names in some] == [1, 3, 4, 8]
    assert some[0] < some[1] < some[2] < some[3]
    assert some[1] != {image.path.name for image in share_of(whole, 0.3, seed=5).images}


def test_a_row_says_what_a_training_started_from(tmp_path: Path) -> None:
    card = load_card(untrained_model(tmp_path / "m"))
    for network, training, words in (
        ({}, {}, None), ({"backbone": "imagenet"}, {}, "imagenet"),
        ({"backbone": "random", "detector": "/a/b/voc.pth"}, {}, "voc.pth"),
        ({"backbone": "imagenet"}, {"start": {"name": "older"}}, "model older"),
    ):  # fmt: skip
        assert networks._starts_from(card.model_copy(update={"network": network, "training": training})) == words


def test_classifiers_of_pictures_have_accuracy_and_areas_under_curves(tmp_path: Path) -> None:
    data, asked = class_folders(tmp_path / "data", each=6, good=6), {**TINY, "crop_px": 64, "epochs": 2}
    rivals = [Rival.of_text("light"), Rival.of_text("light:loss=focal,gamma=2,alpha=3")]
    table = run_job(compare_networks(data, tmp_path / "out", rivals, task="classify", **asked))
    for row in table.rows:
        assert row["problem"] is None and 0 <= row["accuracy"] <= 1 and "accuracy_interval" in row
        assert "f1" in row and "auroc" in row and row["seconds cpu"] > 0
    assert {"Accuracy", "F1", "AUROC", "AUPRC", "F1 SQ"} <= set(table.head)
    assert table.rows[1]["settings"] == "loss=focal, gamma=2, alpha=3"
