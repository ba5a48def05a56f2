"""File > Export: everything that can be written, and a button for training pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.export_buttons import AskPath, ExportButtons

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session


class ExportDialog(QDialog):
    """File > Export: the export buttons in a dialog. ``training_requested`` asks for training pictures instead."""

    training_requested = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        save: Callable[[], None],
        ask_path: AskPath | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("exportDialog")
        self.setWindowTitle("Export findings")
        self.exports = ExportButtons(session, jobs, settings, self, save=save, ask_path=ask_path)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        self.training = QPushButton(theme.icon("scissors-cutting"), "Training pictures…")
        self.training.setAutoDefault(False)
        self.training.setToolTip("Pictures around confirmed findings, or tiles, with their boxes in any format")
        self.training.clicked.connect(self._on_training_clicked)
        column.addWidget(self.exports)
        column.addStretch(1)
        last = QHBoxLayout()
        last.addWidget(self.training)
        last.addStretch(1)
        last.addWidget(buttons)
        column.addLayout(last)
        self.setMinimumWidth(440)

    def _on_training_clicked(self) -> None:
        self.accept()
        self.training_requested.emit()
