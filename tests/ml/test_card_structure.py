"""Cards whose structure was changed anywhere: a card that can be used, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from wild_structure import changed

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME
from microscope_qc.ml.library import load_card

CARD = {
    "format": 1, "name": "toy", "task": "anomaly", "architecture": "autoencoder",
    "network": {"widths": [8, 16, 16], "slope": 0.1}, "classes": ["ODD"], "class_names": ["Odd"],
    "pixel_size_um": 0.5, "tile_px": 256, "overlap_px": 96, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2],
    "confidence": 0.5, "trained_on": "drawings", "fingerprint": "ab",
    "metrics": {"auroc": 0.9, "per class": {"ODD": []}},
    "windows": {"window_px": 64, "stride_px": 16, "scales": [1.0, 2.0], "cam_share": 0.4, "shared": True},
    "anomaly": {"threshold": 0.1, "spread": 0.02}, "training": {"pictures": 4, "minutes": 1.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("card")
    (made / WEIGHTS_NAME).write_bytes(b"")
    return made


def test_the_unchanged_card_can_be_used(folder: Path) -> None:
    (folder / CARD_NAME).write_text(json.dumps(CARD))
    assert load_card(folder).classes == ["ODD"]


@given(card=changed(CARD))
def test_a_changed_card_can_be_used_or_is_refused_with_a_sentence(folder: Path, card: Any) -> None:
    (folder / CARD_NAME).write_text(json.dumps(card))
    try:
        read = load_card(folder)
        architecture(read.architecture).checked(read.network)
    except MicroscopeQCError as error:
        assert len(str(error)) < 1500 and str(error).isprintable()
        return
    assert all(code and code.isprintable() for code in read.classes)
    json.dumps(read.model_dump(), allow_nan=False).encode()
