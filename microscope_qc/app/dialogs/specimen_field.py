"""A new field for what is known of specimens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.specimen import LONGEST_NAME, FieldKind

if TYPE_CHECKING:
    from microscope_qc.project import Project

_WORDS = {
    FieldKind.TEXT: "Text",
    FieldKind.NUMBER: "Number",
    FieldKind.DATE: "Date",
    FieldKind.CHOICE: "Choice",
}


class NewFieldDialog(QDialog):
    """Name, kind, and what the kind needs; the field is added when it is accepted."""

    def __init__(self, project: Project, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self.setWindowTitle("Add a field")
        self.name = QLineEdit()
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setPlaceholderText("such as Operator")
        self.kind = QComboBox()
        for kind, words in _WORDS.items():
            self.kind.addItem(words, kind)
        self.unit = QLineEdit()
        self.unit.setMaxLength(30)
        self.unit.setPlaceholderText("such as kN, or none")
        self.choices = QPlainTextEdit()
        self.choices.setPlaceholderText("one on each line")
        self.choices.setFixedHeight(96)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        theme.mark_error(self.problem)
        self.problem.hide()
        self.form = QFormLayout()
        for words, part in (
            ("Name", self.name), ("Kind", self.kind), ("Unit", self.unit), ("Choices", self.choices),
        ):  # fmt: skip
            self.form.addRow(words, part)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton("Add field", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addLayout(self.form)
        column.addWidget(self.problem)
        column.addWidget(buttons)
        self.kind.currentIndexChanged.connect(self._show_kind)
        self._show_kind()

    def _show_kind(self, *_: object) -> None:
        kind = self.kind.currentData()
        self.form.setRowVisible(self.unit, kind == FieldKind.NUMBER)
        self.form.setRowVisible(self.choices, kind == FieldKind.CHOICE)

    def _on_accepted(self) -> None:
        kind = FieldKind(self.kind.currentData())
        try:
            self._project.fields.add(
                self.name.text(),
                kind,
                unit=self.unit.text() if kind is FieldKind.NUMBER else "",
                choices=self.choices.toPlainText().splitlines() if kind is FieldKind.CHOICE else (),
            )
        except MicroscopeQCError as error:
            self.problem.setText(str(error))
            self.problem.show()
            return
        self.accept()
