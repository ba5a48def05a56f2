"""Densities of a slide as a table: one line for all classes together, one for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QFont, QKeyEvent, QKeySequence, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.core.wording import UNKNOWN, count_text, number_text, percent_text, significant_text

COLUMNS = (
    ("Class", ""),
    ("Findings", "All that count: the confidence limit and the detections that are on decide it, rejected ones do not"),
    ("In area", "Those whose centre lies in the area: the density counts them"),
    ("Area mm²", "What was scanned for the class, or declared complete for it"),
    ("Of slide", "Share of the slide that the area covers"),
    ("Per mm²", "Findings in the area divided by the area"),
    ("95 % interval", "Where the true density lies with 95 % confidence if defects are scattered at random"),
    ("Source", "Who scanned the area or declared it complete; or why there is no density"),
)
NUMBERS = range(1, 7)
ALL = "All classes"
CLASS_WIDTH = 190
"""At most, in px: the source needs the room on a small screen."""


@dataclass(frozen=True, slots=True)
class DensityLine:
    """One line of the table, in words.

    Attributes
    ----------
    cells
        One text for each of ``COLUMNS``.
    colour
        Of the class; "" for all classes.
    known
        Whether there is a density.
    tip
        The source in full: what each run scanned.
    """

    cells: tuple[str, ...]
    colour: str
    known: bool
    tip: str


def density_lines(found: dict[str, Any]) -> list[DensityLine]:
    """Put the statistics of a slide into lines: all classes first."""
    together = {**found, "code": ALL, "name": "", "colour": ""}
    runs = found["runs"]
    return [
        _line(together, runs),
        *(_line(row, [run for run in runs if row["code"] in run["classes"]]) for row in found["classes"]),
    ]


def _line(row: dict[str, Any], runs: Sequence[dict[str, Any]]) -> DensityLine:
    known, source, reason = row["per_mm2"] is not None, row["area_source"], row["per_mm2_reason"] or ""
    decimals = _decimals(row["per_mm2"] or row["per_mm2_interval"][1]) if known else 0
    why = f"{source}: {reason}" if source else reason[:1].upper() + reason[1:]
    cells = (
        f"{row['code']}  {row['name']}".strip(),
        count_text(row["kept"]),
        count_text(row["in_area"]),
        significant_text(row["area_mm2"]) if row["area_mm2"] else UNKNOWN,
        percent_text(row["area_share"]),
        _text(row["per_mm2"], decimals) if known else UNKNOWN,
        " – ".join(_text(limit, decimals) for limit in row["per_mm2_interval"]) if known else UNKNOWN,
        source if known else why,
    )
    return DensityLine(cells, row["colour"], known, "\n".join([cells[-1], *map(_run_words, runs)]))


def _run_words(run: dict[str, Any]) -> str:
    area = "" if run["area_mm2"] is None else f", {significant_text(run['area_mm2'])} mm²"
    return f"Run {run['run']}: {run['model']}{area}"


def _text(density: float, decimals: int) -> str:
    return number_text(density, decimals if density else 0)


def _decimals(value: float) -> int:
    """Decimals that give a density three digits; its limits get as many."""
    return max(0, 2 - math.floor(math.log10(value)))


class DensityTable(QTableWidget):
    """Shows lines; Ctrl C copies them for a spreadsheet."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self.lines: list[DensityLine] = []
        for place, (title, tip) in enumerate(COLUMNS):
            head = QTableWidgetItem(title)
            head.setToolTip(tip)
            head.setTextAlignment(_side(place))
            self.setHorizontalHeaderItem(place, head)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(len(COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self.installEventFilter(self)
        link(self, theme.SWITCH.switched, self._fill)

    def show_lines(self, lines: list[DensityLine]) -> None:
        """Show other lines."""
        if lines == self.lines and self.rowCount() == len(lines):
            return
        self.lines = lines
        self._fill()

    def _fill(self) -> None:
        self.setRowCount(len(self.lines))
        for row, line in enumerate(self.lines):
            for column, words in enumerate(line.cells):
                self.setItem(row, column, self._item(line, column, words))
        self._fit_classes()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: where there is room, the names of classes are seen in full."""
        super().resizeEvent(event)
        self._fit_classes()

    def _fit_classes(self) -> None:
        self.setColumnWidth(0, min(max(CLASS_WIDTH, self.width() // 4), self.sizeHintForColumn(0)))

    def _item(self, line: DensityLine, column: int, words: str) -> QTableWidgetItem:
        item = QTableWidgetItem(words)
        item.setTextAlignment(_side(column))
        item.setToolTip({0: words, len(COLUMNS) - 1: line.tip}.get(column, ""))
        if column == 0 and line.colour:
            item.setIcon(chip_icon(line.colour))
        if not line.colour:
            font = QFont(self.font())
            font.setWeight(QFont.Weight.DemiBold)
            item.setFont(font)
        if not line.known and column == len(COLUMNS) - 1:
            item.setForeground(QColor(theme.current().quiet))
        return item

    def as_text(self) -> str:
        """Return the lines with tabs between their cells, under their titles."""
        chosen = sorted({index.row() for index in self.selectedIndexes()}) or range(len(self.lines))
        heads = "\t".join(title for title, _ in COLUMNS)
        return "\n".join([heads, *("\t".join(self.lines[row].cells) for row in chosen)])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: Ctrl C copies lines, not the selected findings."""
        if isinstance(event, QKeyEvent) and event.matches(QKeySequence.StandardKey.Copy):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            board = QApplication.clipboard()
            if event.type() == QEvent.Type.KeyPress and board is not None:
                board.setText(self.as_text())
                return True
        return False


def _side(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in NUMBERS else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
