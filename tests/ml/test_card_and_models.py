"""Cards, weights, searching for models, and files that are not models."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from learning_toys import untrained_model

from microscope_qc.core.errors import ModelError
from microscope_qc.ml import cards
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, read_card
from microscope_qc.ml.library import list_models, load_card, model_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy")


def copy(model: Path, to: Path) -> Path:
    to.mkdir()
    for name in (CARD_NAME, WEIGHTS_NAME):
        (to / name).write_bytes((model / name).read_bytes())
    return to


def test_card_round_trip(model: Path) -> None:
    card = load_card(model)
    assert card.classes == ["ACP", "NEW"]
    assert read_card(model).model_dump() == card.model_dump()
    assert load_card(model / CARD_NAME) == load_card(model / WEIGHTS_NAME) == card


def test_card_without_weights(model: Path, tmp_path: Path) -> None:
    folder = copy(model, tmp_path / "m")
    (folder / WEIGHTS_NAME).unlink()
    with pytest.raises(ModelError, match="no weights"):
        load_card(folder)


def test_a_card_that_is_too_large_is_not_called_unreadable(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy(model, tmp_path / "m")
    monkeypatch.setattr(cards, "LARGEST_BYTES", 10)
    with pytest.raises(ModelError, match="is too large to be a model card") as caught:
        read_card(folder)
    assert "cannot be read" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.PKL", "last.ckpt"])
def test_pickles_are_rejected(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="pickle"):
        load_card(tmp_path / name)


def test_pickle_under_the_name_of_weights(model: Path, tmp_path: Path) -> None:
    import torch

    from microscope_qc.ml.architectures.loading import open_task

    folder = copy(model, tmp_path / "m")
    torch.save({"a": 1}, folder / WEIGHTS_NAME)
    with pytest.raises(ModelError, match="cannot be read"):
        open_task(folder)


def test_weights_of_another_network(model: Path, tmp_path: Path) -> None:
    from microscope_qc.ml.architectures.loading import open_task

    folder = copy(model, tmp_path / "m")
    card = json.loads((folder / CARD_NAME).read_text())
    (folder / CARD_NAME).write_text(json.dumps(card | {"classes": ["A", "B", "C"], "class_names": ["a", "b", "c"]}))
    with pytest.raises(ModelError, match="do not fit"):
        open_task(folder)


def test_truncated_weights(model: Path, tmp_path: Path) -> None:
    from microscope_qc.ml.architectures.loading import open_task

    folder = copy(model, tmp_path / "m")
    content = (folder / WEIGHTS_NAME).read_bytes()
    (folder / WEIGHTS_NAME).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        open_task(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tile_px": 0}, "tile_px"),
        ({"overlap_px": 500}, "overlap"),
        ({"class_names": ["only one"]}, "differ in length"),
        ({"classes": ["A", "A"]}, "twice"),
        ({"classes": ["A", "A\n"]}, "twice"),
        ({"classes": ["A", " \x00\x1b"]}, r"classes\.1"),
        ({"classes": [f"c{n}" for n in range(100_000)]}, "classes"),
        ({"std": [0, 1, 1]}, r"std\.0"),
        ({"std": [1e30, 1, 1]}, r"std\.0"),
        ({"mean": [0, 0, 255]}, r"mean\.2"),
        ({"tile_px": 10**9}, "tile_px"),
        ({"tile_px": 512, "overlap_px": 511}, "16 px apart"),
        ({"pixel_size_um": 1e-30}, "pixel_size_um"),
        ({"pixel_size_um": 1e30}, "pixel_size_um"),
        ({"windows": {"window_px": 32, "stride_px": 10**12}}, "stride_px"),
        ({"tile_px": 8192, "windows": {"window_px": 32, "stride_px": 1}}, "windows"),
        ({"confidence": 7}, "confidence"),
        ({"format": 2}, "newer version"),
    ],
)
def test_wrong_cards(model: Path, tmp_path: Path, change: dict, words: str) -> None:
    folder = copy(model, tmp_path / "m")
    card = json.loads((folder / CARD_NAME).read_text())
    (folder / CARD_NAME).write_text(json.dumps(card | change))
    with pytest.raises(ModelError, match=words):
        load_card(folder)


def test_codes_and_names_are_one_line_of_what_can_be_seen(model: Path, tmp_path: Path) -> None:
    folder = copy(model, tmp_path / "m")
    card = json.loads((folder / CARD_NAME).read_text())
    change = {"classes": ["A\x1b[31m\tB", "ñ\u202e"], "class_names": ["a\nb", ""], "trained_on": "one\r\ntwo"}
    (folder / CARD_NAME).write_text(json.dumps(card | change))
    read = load_card(folder)
    assert read.classes == ["A [31m B", "ñ"] and read.class_names == ["a b", ""] and read.trained_on == "one two"


def test_a_huge_network_is_refused_before_memory_is_taken_for_it(model: Path, tmp_path: Path) -> None:
    """The card describes 160 GB; with them this test would end the computer, not the test."""
    from microscope_qc.ml.architectures.loading import open_task

    folder = copy(model, tmp_path / "m")
    card = json.loads((folder / CARD_NAME).read_text())
    huge = {"stem": 4096, "widths": [4096] * 4, "depths": [64] * 4, "pyramid": 4096}
    (folder / CARD_NAME).write_text(json.dumps(card | {"network": huge}))
    with pytest.raises(ModelError, match="do not fit"):
        open_task(folder)


def test_weights_larger_than_any_model_are_not_read(model: Path, tmp_path: Path) -> None:
    folder = copy(model, tmp_path / "m")
    with (folder / WEIGHTS_NAME).open("r+b") as file:
        file.truncate(9 << 30)  # takes no room on the disk
    with pytest.raises(ModelError, match=r"have 9\.\d GB; up to"):
        load_card(folder)


def test_weights_that_16_bits_cannot_hold_are_stored_in_32(tmp_path: Path) -> None:
    import torch

    from microscope_qc.ml.weights import load_weights, save_weights

    network = torch.nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.fill_(1e5)
    save_weights(network.state_dict(), tmp_path / WEIGHTS_NAME)
    load_weights(network, tmp_path / WEIGHTS_NAME)
    assert network.weight[0, 0] == 1e5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_numbers_are_refused(model: Path, tmp_path: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    from microscope_qc.ml.architectures.loading import open_task

    folder = copy(model, tmp_path / "m")
    weights = load_file(folder / WEIGHTS_NAME)
    weights["classify.bias"][1] = value
    save_file(weights, folder / WEIGHTS_NAME)
    with pytest.raises(ModelError, match=r"damaged: classify\.bias"):
        open_task(folder)


@pytest.mark.parametrize("task", ["classify", "anomaly"])
def test_a_card_that_lacks_what_its_task_needs(model: Path, tmp_path: Path, task: str) -> None:
    folder = copy(model, tmp_path / "m")
    card = json.loads((folder / CARD_NAME).read_text())
    (folder / CARD_NAME).write_text(json.dumps(card | {"task": task}))
    with pytest.raises(ModelError, match="needs windows"):
        load_card(folder)
    (folder / CARD_NAME).write_text(json.dumps(card | {"task": "of another version"}))
    assert load_card(folder).task == "of another version"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_damaged_cards(model: Path, tmp_path: Path, content: bytes) -> None:
    folder = copy(model, tmp_path / "m")
    (folder / CARD_NAME).write_bytes(content)
    with pytest.raises(ModelError):
        load_card(folder)


def test_unknown_names_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        model_folder("does-not-exist")
    with pytest.raises(ModelError, match="no model"):
        model_folder("../models")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match="not a model"):
        model_folder(tmp_path / "notes.txt")
    with pytest.raises(ModelError, match=CARD_NAME):
        model_folder(tmp_path)


def test_bundled_models_are_small_and_named_like_their_folders() -> None:
    cards = list_models()
    assert [card.name for card in cards if card.task == "detect"] == ["li-ion", "li-ion-ssd"]
    for card in cards:
        assert (model_folder(card.name) / WEIGHTS_NAME).stat().st_size <= 20 * 10**6
    assert (
        cards[0].classes == cards[1].classes == ["ACP", "AOP", "AFP", "AHS", "CFA", "CRP", "COP", "GEO", "CRK", "PRA"]
    )


def test_cards_and_journals_need_no_torch() -> None:
    code = (
        "import sys, microscope_qc.ml.library, microscope_qc.project.runs.journal, microscope_qc.ml.engine, "
        "microscope_qc.ml.datasets, microscope_qc.workflows.detection.run, microscope_qc.workflows.learning.train; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
