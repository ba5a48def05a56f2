"""How the tables of the SEM dock look."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView


def plain_table(table: QTableView) -> None:
    """Whole lines, no grid, no line numbers."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
    table.horizontalHeader().setHighlightSections(False)
    table.horizontalHeader().setMinimumSectionSize(20)
    table.horizontalHeader().setStretchLastSection(True)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setTextElideMode(Qt.TextElideMode.ElideRight)


def fit_table(table: QTableView, *, rows: tuple[int, int]) -> None:
    """Columns as wide as their content, and as high as the lines need between a least and a most."""
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    model, metrics = table.model(), table.fontMetrics()
    for column in range(model.columnCount()):
        title = str(model.headerData(column, Qt.Orientation.Horizontal) or "")
        # Qt's own measure keeps room for a sort arrow that these tables never show
        header.resizeSection(column, max(table.sizeHintForColumn(column) + 4, metrics.horizontalAdvance(title) + 16))
    lines = min(max(model.rowCount(), rows[0]), rows[1])
    bar = table.horizontalScrollBar().sizeHint().height()
    table.setFixedHeight(header.sizeHint().height() + lines * table.verticalHeader().defaultSectionSize() + bar + 2)
