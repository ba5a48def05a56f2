"""What can be done with the selected detection: compare it, show its scores over the slide, read about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QWidget

from microscope_qc.app.panels.detect.about_run import RunAbout
from microscope_qc.app.panels.detect.compare import CompareButton, CompareStrip
from microscope_qc.app.panels.detect.scores import ScorePanel
from microscope_qc.app.session.comparison import Comparison
from microscope_qc.app.session.score_map import ScoreMap
from microscope_qc.app.widgets.parts import column_of

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.panels.detect.runs import RunList
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import RunRecord


class RunDetails(QWidget):
    """Shown below a list of detections; follows its selection."""

    def __init__(self, session: Session, jobs: JobRunner, runs: RunList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs = runs
        self.comparison = Comparison(session, jobs, self)
        self.scores = ScoreMap(jobs, self)
        self.compare = CompareButton(session, runs, self.comparison)
        self.score_panel = ScorePanel(self.scores)
        self.about = RunAbout(session, jobs)
        row = QHBoxLayout()
        row.addWidget(self.compare)
        row.addStretch(1)
        column = column_of(row, self.score_panel, self.about)
        column.setContentsMargins(0, 0, 0, 0)
        self.setLayout(column)
        runs.run_selected.connect(self._on_run_selected)
        self._on_run_selected(runs.selected_run())

    def show_on(self, canvas: Canvas) -> None:
        """Draw the score map on a canvas, and show the strip of the comparison above it."""
        from microscope_qc.app.canvas.scores.heat_layer import HeatLayer

        HeatLayer(canvas, self.scores)
        layout = canvas.layout()
        if layout is not None:
            layout.insertWidget(0, CompareStrip(self.comparison, canvas))  # type: ignore[attr-defined]

    def _on_run_selected(self, run: RunRecord | None) -> None:
        live = run is not None and run.id == self._runs.running_id
        self.scores.show_run(run, live=live)
        self.about.show_run(run, live=live)
