"""What the columns of a table of compositions hold: chosen above a preview, tested at once."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.composition import composition_text, of_unit
from microscope_qc.core.elements import ATOMIC_WEIGHT
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.correlation.edx_columns import (
    HEADER_WITHIN,
    HOW,
    SINGLE,
    EdxColumns,
    guessed,
    heading_line,
    layout_key,
    rewritten,
)
from microscope_qc.correlation.edx_tables import spectra_in

MOST_COLUMNS, MOST_LINES, MOST_SHOWN = 60, 40, 3
NOTHING = "–"


class ColumnsDialog(QDialog):
    """Asks what the columns of a table hold; :attr:`columns` is the answer after ``accept``.

    Parameters
    ----------
    rows
        The cells of the table.
    columns
        What was said before; None guesses.
    """

    def __init__(
        self, rows: Sequence[Sequence[str]], columns: EdxColumns | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("edxColumns")
        self.setWindowTitle("What the columns hold")
        self._rows = rows
        self.columns: EdxColumns | None = columns
        self.line, self.unit, self.table, self.words = QSpinBox(), QComboBox(), QTableWidget(), QLabel()
        self.choices: dict[int, QComboBox] = {}
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton("Read it so", QDialogButtonBox.ButtonRole.AcceptRole)
        self.line.setRange(1, max(min(len(rows), HEADER_WITHIN), 1))
        self.line.setValue(heading_line(rows) if columns is None else columns.line)
        self._lay_out()
        self._fill({} if columns is None else dict(columns.holds))
        self.line.valueChanged.connect(lambda _line: self._fill({}))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    @property
    def layout_key(self) -> str:
        """By which this layout is recognised."""
        return layout_key(self._rows[self.line.value() - 1]) if self._rows else ""

    def _lay_out(self) -> None:
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.horizontalHeader().hide()
        self.table.verticalHeader().hide()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        form.addRow("Headings in line", self.line)
        for words, unit in (("choose…", ""), ("atom %", "at%"), ("weight %", "wt%")):
            self.unit.addItem(words, unit)
        self.unit.activated.connect(self._give_unit)
        form.addRow("Amounts without a unit are", self.unit)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(note(f"{HOW} What is said here is remembered for tables with these headings."))
        column.addLayout(form)
        column.addWidget(self.table, 1)
        column.addWidget(self.words)
        column.addWidget(self.buttons)
        self.resize(860, 480)

    def _fill(self, said: dict[str, str]) -> None:
        """Show the table from its headings on, with a choice above each column."""
        start = self.line.value() - 1
        shown = self._rows[start : start + MOST_LINES]
        headings = list(shown[0][:MOST_COLUMNS]) if shown else []
        held = guessed(headings)
        self.table.clear()
        self.table.setRowCount(len(shown) + 1)
        self.table.setColumnCount(len(headings))
        self.choices = {}
        for place, heading in enumerate(headings):
            if heading:
                choice = self.choices[place] = self._choice(said.get(heading, NOTHING) if said else held.get(place, ""))
                choice.setAccessibleName(heading)
                self.table.setCellWidget(0, place, choice)
        for number, row in enumerate(shown, start=1):
            for place, cell in enumerate(row[:MOST_COLUMNS]):
                self.table.setItem(number, place, QTableWidgetItem(cell[:80]))
        self.table.resizeColumnsToContents()
        self._try()

    def _give_unit(self) -> None:
        """Add the unit that was chosen to elements that have none."""
        for choice in self.choices.values() if self.unit.currentData() else ():
            if (symbol := choice.currentText().strip()) in ATOMIC_WEIGHT:
                choice.setCurrentText(f"{symbol} {self.unit.currentData()}")

    def _choice(self, held: str) -> QComboBox:
        choice = QComboBox()
        choice.setEditable(True)
        choice.addItems([NOTHING, *SINGLE, "Ni at%", "Ni wt%"])
        choice.setToolTip("For an element write its symbol and the unit: Ni at%")
        choice.setCurrentText(held or NOTHING)
        choice.currentTextChanged.connect(lambda _text: self._try())
        return choice

    def _try(self) -> None:
        """Read the table as it is said now, and show the first compositions."""
        headings = self._rows[self.line.value() - 1] if self._rows else ()
        texts = {place: choice.currentText().strip() for place, choice in self.choices.items()}
        holds = tuple((headings[place], text) for place, text in texts.items() if text not in ("", NOTHING))
        try:
            self.columns = EdxColumns(self.line.value(), holds)
            spectra = [s for s in spectra_in(rewritten(self._rows, self.columns)) if s.at_percent]
        except MicroscopeQCError as error:
            self.columns = None
            self._say(str(error), error=True)
            return
        first = [f"{s.label}: {composition_text(of_unit(s.amounts, 'at').values())}" for s in spectra[:MOST_SHOWN]]
        self._say("\n".join([f"{things(len(spectra), 'composition')}.", *first]), error=not spectra)

    def _say(self, words: str, *, error: bool) -> None:
        theme.mark_error(self.words, error)
        self.words.setText(words)
        self.take.setEnabled(not error)
