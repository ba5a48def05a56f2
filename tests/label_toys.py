"""A model of the network in the example package."""

from __future__ import annotations

from pathlib import Path

from microscope_qc_example.architecture import CELL, CLASSES, EDGES, BandSettings
from microscope_qc_example.network import GreyBands

from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.weights import save_weights

__all__ = ["CELL", "CLASSES", "EDGES", "band_model"]


def band_model(folder: Path, *, pause_s: float = 0.0, pixel_um: float | None = None) -> Path:
    """A model folder."""
    folder.mkdir(parents=True)
    save_weights(GreyBands(BandSettings()).state_dict(), folder / WEIGHTS_NAME, half=False)
    card = ModelCard(
        name=folder.name, task="bands", architecture="grey-bands", network={"pause_s": pause_s}, classes=CLASSES,
        class_names=["Dark", "Grey", "Bright"], pixel_size_um=pixel_um, tile_px=64, overlap_px=16, mean=(0, 0, 0),
        std=(1, 1, 1), confidence=0.5,
    )  # fmt: skip
    write_card(card, folder)
    return folder
