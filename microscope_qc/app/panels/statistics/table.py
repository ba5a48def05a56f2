"""Numbers of groups of slides as a table; Ctrl C copies lines for a spreadsheet."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.statistics.lines import AREA, COLUMNS, CORRECTED, MEDIAN, SPREAD, TableLine
from microscope_qc.app.widgets.class_chip import chip_icon

Index = QModelIndex | QPersistentModelIndex
_ROLE = Qt.ItemDataRole
_CHIP_PX, _GAP_PX = 44, 16
_SENTENCES = {0: 230, AREA: 150, CORRECTED: 130, CORRECTED + 1: 130, SPREAD: 320, MEDIAN: 110}
"""Widths at most, in px, of columns that may hold sentences: the whole of it is in the tip."""


class NumbersModel(QAbstractTableModel):
    """Lines as they were made in a thread."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.lines: list[TableLine] = []
        self.strong = QFont(parent.font())
        self.strong.setWeight(QFont.Weight.DemiBold)

    def show_lines(self, lines: list[TableLine]) -> None:
        """Show other lines."""
        self.beginResetModel()
        self.lines = lines
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - as Qt has it
        """Qt: a row for each line."""
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Qt: a column for each cell of a line."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole) -> Any:
        """Qt: titles of the columns, and what they say."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == _ROLE.TextAlignmentRole:
            return _side(section)
        return {_ROLE.DisplayRole: COLUMNS[section][0], _ROLE.ToolTipRole: COLUMNS[section][1]}.get(_ROLE(role))

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> Any:
        """Qt: what a cell shows."""
        line, column = self.lines[index.row()], index.column()
        if column >= len(line.cells):
            return None
        cell = line.cells[column]
        if role == _ROLE.DisplayRole:
            return cell.text
        if role == _ROLE.ToolTipRole:
            return cell.tip or None
        if role == _ROLE.TextAlignmentRole:
            return _side(0 if cell.sentence else column)
        if role == _ROLE.ForegroundRole and cell.sentence:
            return QColor(theme.current().quiet)
        if role == _ROLE.DecorationRole and column == 0 and line.colour:
            return chip_icon(line.colour)
        if role == _ROLE.BackgroundRole and line.is_title:
            return QColor(theme.current().raised)
        if role == _ROLE.FontRole and line.strong:
            return self.strong
        return None


class NumbersTable(QTableView):
    """Shows lines; titles of groups and sentences reach over several columns."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("statisticsTable")
        self.setAccessibleName("Numbers of groups of slides")
        self.numbers = NumbersModel(self)
        self._fitted = False
        self.setModel(self.numbers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setResizeContentsPrecision(100)
        link(self, theme.SWITCH.switched, self._on_theme_switched)

    @property
    def lines(self) -> list[TableLine]:
        """What is shown."""
        return self.numbers.lines

    def show_lines(self, lines: list[TableLine]) -> None:
        """Show other lines, where the user was looking."""
        if lines == self.lines:
            return
        places = [bar.value() for bar in (self.verticalScrollBar(), self.horizontalScrollBar())]
        self.clearSpans()
        self.numbers.show_lines(lines)
        for row, line in enumerate(lines):
            if line.is_title:
                self.setSpan(row, 0, 1, len(COLUMNS))
                continue
            for column, cell in enumerate(line.cells):
                if cell.span > 1:
                    self.setSpan(row, column, 1, cell.span)
        self._fit()
        for bar, place in zip((self.verticalScrollBar(), self.horizontalScrollBar()), places, strict=True):
            bar.setValue(place)

    def _on_theme_switched(self) -> None:
        self.viewport().update()

    def _fit(self) -> None:
        """Make columns wider that need it."""
        advance = QFontMetrics(self.numbers.strong).horizontalAdvance
        for column in range(len(COLUMNS)):
            longest = max((line.cells[column].text for line in self.lines if not line.is_title), key=len, default="")
            room = advance(longest) + (_CHIP_PX if column == 0 else _GAP_PX)
            least = max(self.horizontalHeader().sectionSizeHint(column), min(room, _SENTENCES.get(column, room)))
            if least > self.columnWidth(column) or not self._fitted:
                self.setColumnWidth(column, least)
        self._fitted = bool(self.lines)

    def sentences(self) -> str:
        """Sentences and tips of the current line, "" where it has none."""
        index = self.currentIndex()
        if not index.isValid() or self.lines[index.row()].is_title:
            return ""
        cells = self.lines[index.row()].cells
        said = {
            cell.tip: f"{title}: {cell.tip}"
            for (title, _), cell in zip(COLUMNS[1:], cells[1:], strict=True)
            if cell.tip
        }
        return f"{cells[0].text}.  {'.  '.join(said.values())}" if said else ""

    def as_text(self) -> str:
        """Return the selected lines, or all, with tabs between their cells, under their titles."""
        chosen = sorted({index.row() for index in self.selectedIndexes()}) or range(len(self.lines))
        heads = "\t".join(title for title, _ in COLUMNS)
        return "\n".join([heads, *("\t".join(cell.text for cell in self.lines[row].cells) for row in chosen)])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Ctrl C copies lines."""
        if event.matches(QKeySequence.StandardKey.Copy):
            board = QApplication.clipboard()
            if board is not None:
                board.setText(self.as_text())
            event.accept()
            return
        super().keyPressEvent(event)

    def event(self, event: Any) -> bool:
        """Qt: Ctrl C belongs to the table while it has the focus, not to the findings that are selected."""
        if (
            event.type() == event.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.matches(QKeySequence.StandardKey.Copy)
        ):
            event.accept()
            return True
        return bool(super().event(event))


def _side(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column in (0, SPREAD) else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
