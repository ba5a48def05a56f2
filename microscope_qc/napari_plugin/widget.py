"""A button in napari that opens the slide of the active layer in the window of this program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from microscope_qc.napari_plugin.reading import PATH_KEY

NOTHING = "Open a slide or a project with “Microscope QC”, and choose its layer."


class ReviewWidget(QWidget):
    """Says what would be opened, and opens it in a process of its own, beside napari.

    Parameters
    ----------
    napari_viewer
        The viewer; its active layer says which slide is meant.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.said = QLabel(NOTHING)
        self.said.setWordWrap(True)
        self.button = QPushButton("Review in Microscope QC")
        self.button.clicked.connect(self.open)
        layout = QVBoxLayout(self)
        layout.addWidget(self.said)
        layout.addWidget(self.button)
        layout.addStretch()
        napari_viewer.layers.selection.events.active.connect(self._look)
        self._look()

    def path(self) -> Path | None:
        """What the active layer was opened from, else the first layer that knows; None where none does."""
        active = self._viewer.layers.selection.active
        layers = [*([] if active is None else [active]), *self._viewer.layers]
        return next((Path(layer.metadata[PATH_KEY]) for layer in layers if PATH_KEY in layer.metadata), None)

    def _look(self, event: Any = None) -> None:
        path = self.path()
        self.said.setText(NOTHING if path is None else f"{path.name} opens in a window of its own.")
        self.button.setEnabled(path is not None)

    def open(self) -> None:
        """Open the window; it lives on when napari is closed."""
        path = self.path()
        if path is not None:
            subprocess.Popen([sys.executable, "-m", "microscope_qc", str(path)], start_new_session=True)
