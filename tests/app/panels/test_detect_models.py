"""Which models the list of the Detect dock offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from anomaly_toys import blurring_autoencoder

from microscope_qc.app.panels.detect.models import installed_models
from microscope_qc.ml.cards import read_card

pytestmark = pytest.mark.window


def test_every_model_that_is_run_over_slides_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anomaly = read_card(blurring_autoencoder(tmp_path / "odd"))
    cards = [anomaly, anomaly.model_copy(update={"task": "segment"}), anomaly.model_copy(update={"task": "detect"})]
    monkeypatch.setattr("microscope_qc.ml.library.list_models", lambda: cards)
    assert [card.task for card in installed_models()] == ["anomaly", "detect"]
