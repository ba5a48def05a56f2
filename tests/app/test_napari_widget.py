"""The button in napari that opens a slide in the window of this program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from microscope_qc.napari_plugin.reading import PATH_KEY
from microscope_qc.napari_plugin.widget import NOTHING, ReviewWidget


def test_it_opens_the_slide_of_the_active_layer(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from napari.components import ViewerModel

    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda line, **how: started.append(line))
    viewer = ViewerModel()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.said.text() == NOTHING and not widget.button.isEnabled()
    viewer.add_image(np.zeros((9, 9)), metadata={PATH_KEY: tmp_path / "a.mqc"})
    viewer.add_image(np.zeros((9, 9)), metadata={PATH_KEY: tmp_path / "b.mqc"})
    assert widget.button.isEnabled() and widget.said.text().startswith("b.mqc ")
    widget.button.click()
    viewer.layers.selection.active = viewer.layers[0]
    widget.button.click()
    assert started == [[sys.executable, "-m", "microscope_qc", str(tmp_path / name)] for name in ("b.mqc", "a.mqc")]
