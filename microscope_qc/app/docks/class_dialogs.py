"""Editing and deleting a class."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app import theme
from microscope_qc.core.defect_class import DefectClass


class ClassDialog(QDialog):
    """Code, name, colour, key, weight and description of a class."""

    def __init__(self, item: DefectClass, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Class {item.code}")
        self._colour = item.colour
        self.code = QLineEdit(item.code)
        self.name = QLineEdit(item.name)
        self.name.setMinimumWidth(260)
        self.colour = QPushButton()
        self.colour.setAutoDefault(False)
        self.colour.clicked.connect(self._on_colour_clicked)
        self.key = QComboBox()
        self.key.addItem("none", "")
        for digit in "1234567890":
            self.key.addItem(digit, digit)
        self.key.setCurrentIndex(max(0, self.key.findData(item.key)))
        self.weight = QDoubleSpinBox()
        self.weight.setRange(0.0, 100.0)
        self.weight.setSingleStep(0.25)
        self.weight.setValue(item.weight)
        self.weight.setToolTip("1 is usual; a heavier class stands further ahead in “worst first”")
        self.description = QLineEdit(item.description)
        form = QFormLayout()
        form.setVerticalSpacing(theme.STEP)
        for words, widget in (
            ("Code", self.code),
            ("Name", self.name),
            ("Colour", self.colour),
            ("Key", self.key),
            ("Weight", self.weight),
            ("Description", self.description),
        ):
            form.addRow(words, widget)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addLayout(form)
        column.addWidget(buttons)
        self._show_colour()

    def values(self) -> dict[str, object]:
        """The fields as the project takes them."""
        return {
            "code": self.code.text().strip(),
            "name": self.name.text().strip(),
            "colour": self._colour,
            "key": self.key.currentData(),
            "weight": self.weight.value(),
            "description": self.description.text().strip(),
        }

    def _on_colour_clicked(self) -> None:
        colour = QColorDialog.getColor(QColor(self._colour), self, "Colour of the class")
        if colour.isValid():
            self._colour = colour.name()
            self._show_colour()

    def _show_colour(self) -> None:
        chip = QPixmap(32, 16)
        chip.fill(QColor(self._colour))
        self.colour.setIcon(QIcon(chip))
        self.colour.setText(self._colour)


class DeleteClassDialog(QDialog):
    """Says what the deletion touches, and asks where the finds go."""

    def __init__(
        self, item: DefectClass, count: int, classes: list[DefectClass], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Delete class {item.code}")
        finds = "1 find has" if count == 1 else f"{count} finds have"
        text = QLabel(f"{finds} the class {item.code}, {item.name}, over all slides of the project.")
        text.setWordWrap(True)
        text.setMinimumWidth(340)
        self._move = QRadioButton("Give them the class")
        self._delete = QRadioButton("Delete them too")
        self._target = QComboBox()
        for other in classes:
            if other.id != item.id:
                self._target.addItem(f"{other.code}  {other.name}", other.id)
        can_move = self._target.count() > 0
        self._move.setEnabled(can_move)
        self._target.setEnabled(can_move)
        (self._move if can_move else self._delete).setChecked(True)
        hint = QLabel("Undo brings the class and its finds back.")
        hint.setProperty("quiet", True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton("Delete class", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        for widget in (text, self._move, self._target, self._delete, hint, buttons):
            column.addWidget(widget)
        column.setAlignment(self._target, Qt.AlignmentFlag.AlignLeft)

    def move_to(self) -> int | None:
        """Class that takes the finds over, None when they go too."""
        return int(self._target.currentData()) if self._move.isChecked() else None
