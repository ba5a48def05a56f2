"""Appearance of the tables in the SEM panel."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

LOOKED_AT = 50
"""Columns are as wide as the cells of so many rows need: to ask a thousand takes longer than a key may wait."""


def plain_table(table: QTableView) -> None:
    """Select whole rows; no grid, no row numbers."""
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
    table.horizontalHeader().setResizeContentsPrecision(LOOKED_AT)
    table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setTextElideMode(Qt.TextElideMode.ElideRight)


def fit_table(table: QTableView, *, rows: tuple[int, int]) -> None:
    """Fit the columns to their content, and the height to the rows between a minimum and a maximum."""
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
    model, metrics = table.model(), table.fontMetrics()
    for column in range(model.columnCount()):
        title = str(model.headerData(column, Qt.Orientation.Horizontal) or "")
        # Qt's own size includes a sort arrow, which these tables never show
        header.resizeSection(column, max(table.sizeHintForColumn(column) + 4, metrics.horizontalAdvance(title) + 16))
    lines = min(max(model.rowCount(), rows[0]), rows[1])
    bar = table.horizontalScrollBar().sizeHint().height()
    table.setFixedHeight(header.sizeHint().height() + lines * table.verticalHeader().defaultSectionSize() + bar + 2)
