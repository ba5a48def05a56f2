"""A panel: the statistic of the findings that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from microscope_qc.analysis.registry import Sample
from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc_template.statistics import DISTANCE

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


class DistancePanel(QWidget):
    """It keeps no state of its own: everything is asked of the session."""

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = context.session
        self.words = QLabel("How far the shown findings lie from each other.")
        self.words.setWordWrap(True)
        self.button = QPushButton("Measure")
        self.button.clicked.connect(self.measure)
        column = QVBoxLayout(self)
        column.addWidget(self.words)
        column.addWidget(self.button)
        column.addStretch(1)

    def measure(self) -> None:
        """Work it out."""
        slide = self._session.slide
        size = None if slide is None else slide.pixel_size_um
        found = DISTANCE.of(Sample(self._session.shown_rows(), self._session.classes, size))
        self.words.setText(
            "Two findings and a pixel size are needed."
            if found is None
            else f"{DISTANCE.title}: {DISTANCE.text(found.value)} µm, of {found.n} findings."
        )


def _open(context: Context) -> None:
    context.navigator.show_panel("template-panel")


PANEL = PanelSpec(
    "template-panel", "Distances (template)", "ruler", "right", DistancePanel,
    actions=(Action("template.open", "Distances (template)", "View", _open),),
)  # fmt: skip
