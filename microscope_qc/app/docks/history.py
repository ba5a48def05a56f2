"""What was done, newest first; a row takes the project back to just after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app import theme
from microscope_qc.app.docks.gallery_link import link

if TYPE_CHECKING:
    from microscope_qc.app.session import Session

SHOWN = 300


class HistoryDock(QWidget):
    """The list of undo."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.items = QListWidget()
        self.items.setUniformItemSizes(True)
        self.items.setAlternatingRowColors(True)
        self._undo = QPushButton("Undo")
        self._redo = QPushButton("Redo")
        self._undo.clicked.connect(session.undo)
        self._redo.clicked.connect(session.redo)
        hint = QLabel("Double-click a row to show its finds.")
        hint.setProperty("quiet", True)
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, 0, theme.STEP, theme.STEP)
        row.addWidget(self._undo)
        row.addWidget(self._redo)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP)
        column.addWidget(self.items, 1)
        hint.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        column.addWidget(hint)
        column.addLayout(row)
        self.items.itemDoubleClicked.connect(self._on_item_double_clicked)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._fill)
        for signal in (session.history_changed, session.project_changed):
            link(self, signal, self._fill_soon)
        self._fill()

    def _fill_soon(self, *_: object) -> None:
        self._soon.start(0)

    def _fill(self) -> None:
        project = self._session.project
        self.items.clear()
        self._undo.setEnabled(bool(project is not None and project.can_undo and not project.read_only))
        self._redo.setEnabled(bool(project is not None and project.can_redo and not project.read_only))
        if project is None:
            return
        self._undo.setToolTip(f"Undo: {project.undo_title}" if project.can_undo else "Nothing to undo.")
        self._redo.setToolTip(f"Do again: {project.redo_title}" if project.can_redo else "Nothing to do again.")
        for entry in project.history(SHOWN):
            item = QListWidgetItem(f"{_clock(entry.time)}   {entry.title}")
            item.setData(Qt.ItemDataRole.UserRole, list(entry.box_ids))
            item.setToolTip(f"{entry.time}, {entry.user}\n{entry.title}")
            if entry.undone or entry.kind == "dropped":
                font = item.font()
                font.setStrikeOut(True)
                item.setFont(font)
                item.setForeground(self.palette().placeholderText())
            self.items.addItem(item)

    def _on_item_double_clicked(self, item: QListWidgetItem) -> None:
        ids = item.data(Qt.ItemDataRole.UserRole) or []
        if ids:
            self._session.show_boxes(ids)


def _clock(time: str) -> str:
    """``2026-11-20T21:04:05...`` -> ``2026-11-20 21:04``."""
    return time.replace("T", " ")[:16]
