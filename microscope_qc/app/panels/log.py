"""The log of the program, for a bug report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.log import KEPT
from microscope_qc.app.panels.spec import PanelSpec

if TYPE_CHECKING:
    from microscope_qc.app.base.log import LogKeeper
    from microscope_qc.app.context import Context


class LogDock(QWidget):
    """The log, and a button to copy it."""

    def __init__(self, log: LogKeeper, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._log = log
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(KEPT)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setPlainText(log.text())
        self.text.setPlaceholderText("Nothing has been logged.")
        copy = QPushButton("Copy all")
        copy.clicked.connect(self._on_copy_clicked)
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, 0, theme.STEP, theme.STEP)
        row.addStretch(1)
        row.addWidget(copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.text, 1)
        column.addLayout(row)
        log.line_added.connect(self.text.appendPlainText)

    def _on_copy_clicked(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._log.text())


def _make(context: Context, parent: QWidget) -> QWidget:
    return LogDock(context.errors.log, parent)


PANEL = PanelSpec("log", "Log", "text-box-outline", "bottom", _make, tab_with="gallery")
