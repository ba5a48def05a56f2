"""What is said where the pixel sizes of model and slide do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from detection_toys import ChildHere
from learning_toys import draw, untrained_model

from microscope_qc.cli import main
from microscope_qc.ml.cards import CARD_NAME
from microscope_qc.project import Project
from microscope_qc.workflows.detection import following
from microscope_qc.workflows.detection.pixel_fit import pixel_fit_lines, pixel_fit_words


def slide(um: float | None, name: str = "S") -> SimpleNamespace:
    return SimpleNamespace(name=name, pixel_size_um=None if um is None else (um, um))


def card(um: float | None, trained_at_um: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(name="net", pixel_size_um=um, trained_at_um=trained_at_um)


def test_slides_like_those_it_learned_from_fit() -> None:
    assert not pixel_fit_words(card(0.9, 0.3), (0.3, 0.3)) and not pixel_fit_words(card(0.9, 0.3), (0.9, 0.9))
    assert pixel_fit_words(card(0.9, 0.3), (0.1, 0.1)) and pixel_fit_words(card(0.9, 0.3), (2.0, 2.0))


@pytest.mark.parametrize(
    ("model_um", "slide_um", "words"),
    [
        (0.5, 0.5, ""),
        (0.5, 0.26, ""),
        (0.5, 0.99, ""),
        (0.5, 2.0, "enlarged 4 times"),
        (0.9, 0.1, "9 times coarser than it is, and what is smaller than about 1.8 µm"),
        (None, 0.5, "does not say at which pixel size"),
        (None, None, "does not say at which pixel size"),
        (0.5, None, ""),
    ],
)
def test_pixel_sizes_more_than_twice_apart_are_said(model_um: float, slide_um: float, words: str) -> None:
    said = pixel_fit_words(card(model_um), slide(slide_um).pixel_size_um)
    assert words in said and bool(words) is bool(said)


def test_slides_of_which_the_same_is_said_are_one_line() -> None:
    slides = [slide(4.0, f"S{number}") for number in range(5)] + [slide(0.5, "fits"), slide(8.0, "T")]
    first, second = pixel_fit_lines(card(0.5), slides)
    assert first.startswith("S0, S1, S2 and 2 more: A pixel of the slide is 4 µm") and second.startswith("T: ")


@pytest.mark.parametrize("model_um", [0.5, None])
def test_the_command_says_it_before_and_where_nothing_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model_um: float | None
) -> None:
    monkeypatch.setattr(following, "Child", ChildHere)
    model = untrained_model(tmp_path / "toy", bias=-60.0)
    known = json.loads((model / CARD_NAME).read_text())
    (model / CARD_NAME).write_text(json.dumps(known | {"pixel_size_um": model_um}))
    cv2.imwrite(str(tmp_path / "S1.png"), draw(3, size=64)[0])
    with Project.create(tmp_path / "p", slides=[tmp_path / "S1.png"]) as project:
        project.slides.set_pixel_size(project.slides[0].id, 2.0)
    words = "enlarged 4 times" if model_um else "does not say at which pixel size"
    assert main(["detect", str(tmp_path / "p.mqc"), "--model", str(model), "--everything"]) == 0
    said = capsys.readouterr()
    assert f"Note: S1: {'A pixel' if model_um else 'The model'}" in said.err and words in said.err
    assert "0 findings" in said.out and words in said.out
    assert main(["detect", str(tmp_path / "p.mqc"), "--model", str(model), "--everything", "--json"]) == 0
    said = capsys.readouterr()
    assert words in json.loads(said.out)["pixel_fit"] and words in said.err
