"""The backups of the open project, and going back to one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.core.wording import bytes_text, count_text
from microscope_qc.project.backups import Backup

TITLES = ("Made", "Findings", "Size")


class BackupsDialog(QDialog):
    """Lists backups, newest first; accepted when one is to be restored."""

    def __init__(self, name: str, backups: Sequence[Backup], parent: QWidget | None = None, *, can_write: bool) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Backups of {name}")
        self.resize(460, 360)
        self._backups = backups
        about = QLabel(
            "A backup is made at every start and every hour while something was changed. What is there now is kept as a"
            " backup before another one takes its place."
        )
        about.setWordWrap(True)
        about.setProperty("quiet", True)
        self.table = QTableWidget(len(backups), len(TITLES))
        self.table.setHorizontalHeaderLabels(TITLES)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for row, backup in enumerate(backups):
            found = "damaged" if backup.findings < 0 else count_text(backup.findings)
            for column, words in enumerate((backup.time_text, found, bytes_text(backup.file.stat().st_size))):
                item = QTableWidgetItem(words)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.resizeColumnsToContents()
        self.restore = QPushButton("Go back to this backup")
        self.restore.setEnabled(False)
        self._can_write = can_write
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.restore, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.table.itemSelectionChanged.connect(self._on_selection_changed)
        column_of = QVBoxLayout(self)
        column_of.addWidget(about)
        column_of.addWidget(self.table, 1)
        column_of.addWidget(buttons)

    @property
    def chosen(self) -> Backup | None:
        """The chosen backup."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        return self._backups[rows.pop()] if len(rows) == 1 else None

    def _on_selection_changed(self) -> None:
        chosen = self.chosen
        self.restore.setEnabled(self._can_write and chosen is not None and chosen.findings >= 0)
