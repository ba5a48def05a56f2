"""Slides unlike the training data are said before their results; those like them are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from learning_toys import coco_folder, draw, load_dataset, untrained_model

from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.loading import open_network
from microscope_qc.ml.cards import Familiar, ModelCard
from microscope_qc.ml.tasks.familiar import describe_data, unlike


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, object]:
    """A model, and the card it has after training on drawn pictures."""
    folder = tmp_path_factory.mktemp("familiar")
    data = load_dataset(coco_folder(folder / "data", pictures=6))
    card, network = open_network(untrained_model(folder / "toy", classes=("SQ", "DI")))
    familiar = run_job(describe_data(network, card, data))
    assert familiar is not None and len(familiar.mean) == len(familiar.spread) > 8 and familiar.usual > 0
    return card.model_copy(update={"familiar": familiar}), network


def said(known: tuple[ModelCard, object], change: object) -> str | None:
    card, network = known
    pictures = [np.clip(change(draw(40 + number)[0].astype(float)), 0, 255).astype(np.uint8) for number in range(6)]
    return unlike(card, network, pictures.__getitem__, range(6))


def test_slides_like_the_training_data_are_not_mentioned(known: tuple[ModelCard, object]) -> None:
    assert said(known, lambda picture: picture) is None
    assert said(known, lambda picture: picture + 5) is None


def test_what_is_unlike_is_named(known: tuple[ModelCard, object]) -> None:
    dark = said(known, lambda picture: picture * 0.3)
    assert dark is not None and "it is darker (brightness 3" in dark and "toy learned from" in dark
    bright = said(known, lambda picture: picture + 100)
    assert bright is not None and "it is brighter" in bright
    stripes = 60 * np.sign(np.sin(np.arange(192) * 0.8))[None, :, None]
    other = said(known, lambda picture: 120 + 0.5 * (picture - 120) + stripes)
    assert other is not None and "texture is" in other


def test_nothing_is_said_where_nothing_is_known(known: tuple[ModelCard, object]) -> None:
    card, network = known
    assert unlike(card.model_copy(update={"familiar": None}), network, lambda _: None, range(6)) is None
    assert unlike(card, network, lambda _: None, []) is None


def test_few_tiles_of_many_are_read(known: tuple[ModelCard, object]) -> None:
    card, network = known
    read: list[int] = []

    def reading(tile: int) -> np.ndarray:
        read.append(tile)
        return draw(tile % 7)[0]

    unlike(card, network, reading, range(1000, 9000))
    assert len(read) == 8 and read[0] == 1000 and read[-1] == 8999


def test_a_card_with_wrong_statistics_is_invalid() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Familiar(brightness=(0, 1), contrast=(0, 1), mean=[1.0], spread=[])
    with pytest.raises(ValueError, match="finite|nan"):
        Familiar(brightness=(0, float("nan")), contrast=(0, 1))


def test_a_detection_says_it_before_its_results(tmp_path: Path, known: tuple[ModelCard, object]) -> None:
    from PIL import Image

    from microscope_qc.cli import main
    from microscope_qc.ml.cards import write_card
    from microscope_qc.project import Project
    from microscope_qc.project.runs.journal import read_status

    model = untrained_model(tmp_path / "toy", classes=("SQ", "DI"))
    write_card(known[0], model)
    for name, factor in (("dark", 0.3), ("like", 1.0)):
        Image.fromarray((draw(3)[0] * factor).astype(np.uint8)).save(tmp_path / f"{name}.png")
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "dark.png", tmp_path / "like.png"]) as project:
        for slide in project.slides:
            project.slides.set_pixel_size(slide.id, 0.5)
    assert (
        main(["detect", str(tmp_path / "p.mqc"), "--model", str(model), "--device", "cpu", "--progress", "none"]) == 0
    )
    with Project.open(tmp_path / "p.mqc", write=False) as project:
        notes = [read_status(run.folder)["notes"] for run in project.runs]
    assert len(notes) == 2 and "unlike what toy learned from: it is darker" in notes[0][0] and notes[1] == []
