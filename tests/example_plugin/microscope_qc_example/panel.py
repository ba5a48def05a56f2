"""A panel that shows the statistic of the slide in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from microscope_qc.analysis.registry import Sample
from microscope_qc.app.actions.action import Action
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc_example.statistics import ELONGATION

if TYPE_CHECKING:
    from microscope_qc.app.context import Context


class ElongationPanel(QWidget):
    """One number."""

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self._session = context.session
        self.words = QLabel("Open a project to see how long its findings are.")
        QVBoxLayout(self).addWidget(self.words)

    def measure(self) -> None:
        """Work it out for what is shown."""
        slide = self._session.slide
        size = None if slide is None else slide.pixel_size_um
        found = ELONGATION.of(Sample(self._session.shown_rows(), self._session.classes, size))
        self.words.setText(ELONGATION.text(None if found is None else found.value))


def _measure(context: Context) -> None:
    panel = context.navigator.show_panel("elongation")
    assert isinstance(panel, ElongationPanel)
    panel.measure()


PANEL = PanelSpec(
    "elongation",
    "Elongation",
    "chart-scatter-plot",
    "right",
    ElongationPanel,
    workspaces=("review",),
    actions=(Action("elongation.measure", "Measure elongation", "Statistics", _measure),),
)
