"""Which models the list of the Detect dock offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from anomaly_toys import blurring_autoencoder
from qtpy.QtWidgets import QLabel

from microscope_qc.app.dialogs.models import ModelsDialog
from microscope_qc.app.panels.detect.models import installed_models
from microscope_qc.ml.cards import read_card

pytestmark = pytest.mark.window


def test_every_model_that_is_run_over_slides_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anomaly = read_card(blurring_autoencoder(tmp_path / "odd"))
    cards = [anomaly, anomaly.model_copy(update={"task": "segment"}), anomaly.model_copy(update={"task": "detect"})]
    monkeypatch.setattr("microscope_qc.ml.library.list_models", lambda: cards)
    assert [card.task for card in installed_models()] == ["anomaly", "detect"]


def test_a_model_for_any_pixel_size_is_listed(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = read_card(blurring_autoencoder(tmp_path / "odd")).model_copy(update={"pixel_size_um": None})
    monkeypatch.setattr("microscope_qc.ml.library.list_models", lambda: [card])
    dialog = ModelsDialog()
    qtbot.addWidget(dialog)
    assert any("any pixel size" in label.text() for label in dialog.findChildren(QLabel))
