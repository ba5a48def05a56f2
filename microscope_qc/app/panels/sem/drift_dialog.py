"""Marks that are visited again: how far the stage has moved, and the alignment as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.errors import InputError, MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.correlation.registration import Registration
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.drift import Visit

COLUMNS = ("Mark", "X then, mm", "Y then, mm", "X now, mm", "Y now, mm", "Left, µm")
NOW_X, NOW_Y, LEFT = 3, 4, 5
_ABOUT = (
    "Drive to one mark or more of the alignment and enter where the stage is now. One mark tells a shift, two or more "
    "a turn, too. A sample that was mounted again needs all marks and a new alignment."
)


class DriftDialog(QDialog):
    """Shows the drift as positions are typed or pasted; "Keep" stores the moved alignment under another name."""

    def __init__(self, project: Project, slide_id: int, registration: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("drift")
        self.setWindowTitle(f"Drift since {registration}")
        self._project, self._slide_id, self._registration = project, slide_id, registration
        self._fitted = self._read()
        self.found: Visit | None = None
        self.table, self.words, self.name = QTableWidget(0, len(COLUMNS)), QLabel(), QLineEdit(f"{registration} now")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.keep = self.buttons.addButton("Keep the moved alignment", QDialogButtonBox.ButtonRole.AcceptRole)
        self.paste = self.buttons.addButton("Paste positions", QDialogButtonBox.ButtonRole.ActionRole)
        self.paste.setToolTip("From the clipboard: a line for each mark, with its name, x and y in mm")
        self._fill()
        form = QFormLayout()
        form.addRow("Name of the moved alignment", self.name)
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        for part in (note(_ABOUT), self.table, self.words):
            column.addWidget(part)
        column.addLayout(form)
        column.addWidget(self.buttons)
        self.resize(680, 380)
        self.table.itemChanged.connect(lambda _item: self._look())
        self.name.textChanged.connect(lambda _text: self._allow())
        self.paste.clicked.connect(self._on_paste_clicked)
        self.buttons.accepted.connect(self._on_keep_clicked)
        self.buttons.rejected.connect(self.reject)
        self._look()

    def _read(self) -> Registration:
        from microscope_qc.workflows.stage.stage import find_registration

        return find_registration(self._project, self._registration, slide_id=self._slide_id)[2]

    def _fill(self) -> None:
        known = [
            (name, float(x), float(y))
            for name, (x, y) in zip(self._fitted.names, self._fitted.stage_mm.tolist(), strict=True)
        ]
        known += [(check.name, check.stage_x_mm, check.stage_y_mm) for check in self._fitted.checks]
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.verticalHeader().hide()
        self.table.setRowCount(len(known))
        for row, (name, x, y) in enumerate(known):
            for place, text in enumerate((name, f"{x:.4f}", f"{y:.4f}", "", "", "")):
                item = QTableWidgetItem(text)
                if place not in (NOW_X, NOW_Y):
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                if place:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, place, item)
        self.table.resizeColumnsToContents()

    def _text(self, row: int, place: int) -> str:
        item = self.table.item(row, place)
        return "" if item is None else item.text().strip()

    def _visited(self) -> dict[str, tuple[float, float]]:
        """Where marks are now, x and y in mm, of those of which both are entered."""
        from microscope_qc.core.numbers import parse_number

        found = {}
        for row in range(self.table.rowCount()):
            name, cells = self._text(row, 0), (self._text(row, NOW_X), self._text(row, NOW_Y))
            if all(cells):
                x, y = (parse_number(cell, unit="mm", what=f"Stage position of {name}") for cell in cells)
                found[name] = x, y
        return found

    def _look(self) -> None:
        """Find the drift of what is entered, and show it."""
        from microscope_qc.workflows.stage.drift import visit

        self.found, said, wrong = None, "No mark was visited again yet.", False
        try:
            if visited := self._visited():
                self.found = visit(self._project, visited, registration=self._registration, slide_id=self._slide_id)
                said = self.found.drift.words
        except MicroscopeQCError as error:
            said, wrong = str(error), True
        theme.mark_error(self.words, wrong)
        self.words.setText(said)
        left = (
            {} if self.found is None else dict(zip(self.found.drift.names, self.found.drift.residuals_um, strict=True))
        )
        with QSignalBlocker(self.table):
            for row in range(self.table.rowCount()):
                value, item = left.get(self._text(row, 0)), self.table.item(row, LEFT)
                if item is not None:
                    item.setText("" if value is None else f"{value:.2f}")
        self._allow()

    def _allow(self) -> None:
        name = self.name.text().strip()
        why = "Enter where a mark is now first." if self.found is None else ""
        why = why or ("Give the moved alignment another name." if name in ("", self._registration) else "")
        self.keep.setEnabled(not why)
        self.keep.setToolTip(why)

    def _on_paste_clicked(self) -> None:
        from microscope_qc.correlation.positions import positions_in

        try:
            lines = positions_in(QGuiApplication.clipboard().text())
            rows = {self._text(row, 0).casefold(): row for row in range(self.table.rowCount())}
            strange = next((name for name, _ in lines if name.casefold() not in rows), None)
            if strange is not None:
                raise InputError(
                    f"The alignment has no mark “{strange[:40]}”." if strange else "A line does not name its mark.",
                    hint=f"Its marks are: {', '.join(self._text(row, 0) for row in rows.values())}.",
                )
        except MicroscopeQCError as error:
            theme.mark_error(self.words, True)
            self.words.setText(str(error))
            return
        with QSignalBlocker(self.table):
            for name, xy in lines:
                for place, value in zip((NOW_X, NOW_Y), xy, strict=True):
                    item = self.table.item(rows[name.casefold()], place)
                    if item is not None:
                        item.setText(f"{value:.6f}")
        self._look()

    def _on_keep_clicked(self) -> None:
        from microscope_qc.workflows.stage.drift import keep_drifted

        if self.found is None:
            return
        try:
            keep_drifted(self._project, self.found, name=self.name.text())
        except MicroscopeQCError as error:
            theme.mark_error(self.words, True)
            self.words.setText(str(error))
            return
        self.accept()
