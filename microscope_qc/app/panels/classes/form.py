"""The fields of one class; every change is one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.panels.classes.colour import ColourButton
from microscope_qc.core.defect_class import CLASS_KEYS, DefectClass, next_key
from microscope_qc.core.numbers import Quantity

LARGEST_UM, LARGEST_WEIGHT = 100_000.0, 100.0
USUAL_GROUPS = ("Anode", "Cathode", "Preparation")


class ClassForm(QWidget):
    """``edited`` carries the changed fields, as arguments for the project."""

    edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._item: DefectClass | None = None
        self.code, self.name = QLineEdit(), QLineEdit()
        self.code.setMaxLength(12)
        self.code.setFixedWidth(96)
        self.colour = ColourButton()
        self.colour.setFixedWidth(136)
        self.key = QComboBox()
        self.key.setFixedWidth(136)
        self.key_note = QLabel()
        self.key_note.setProperty("quiet", True)
        self.group = QComboBox()
        self.group.setEditable(True)
        self.group.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.group.setToolTip("Classes of a group stand together in the list of classes")
        self._group_line = QLineEdit()
        self._group_line.setPlaceholderText("none")
        self._group_line.setMaxLength(40)
        self.group.setLineEdit(self._group_line)
        self.box_size = NumberEntry(Quantity("The size", "µm", 0, LARGEST_UM), empty="not set", step=1.0)
        self.box_size.setToolTip("Side of the box that one click makes; empty or 0: not set")
        self.weight = NumberEntry(Quantity("The weight", "", 0, LARGEST_WEIGHT), step=0.25)
        self.weight.setToolTip("1 is the default; a class with a larger weight comes earlier in “worst first”")
        for field in (self.box_size, self.weight):
            field.setFixedWidth(96)
        self.description = QPlainTextEdit()
        self.description.setPlaceholderText("What belongs to it, and what does not")
        self.description.setTabChangesFocus(True)
        self.description.setFixedHeight(64)
        self.description.installEventFilter(self)
        self._lay_out()
        self.code.editingFinished.connect(lambda: self._text_edited("code", self.code))
        self.name.editingFinished.connect(lambda: self._text_edited("name", self.name))
        self._group_line.editingFinished.connect(self._group_edited)
        self.group.activated.connect(lambda _place: self._group_edited())
        self.colour.chosen.connect(lambda colour: self._edited(colour=colour))
        self.key.activated.connect(lambda _place: self._edited(key=self.key.currentData()))
        self.box_size.valueChanged.connect(lambda value: self._edited(box_size_um=value or None))
        self.weight.valueChanged.connect(lambda value: self._edited(weight=value))

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(2 * theme.STEP)
        form.setVerticalSpacing(theme.STEP)
        keys = QHBoxLayout()
        keys.setSpacing(theme.STEP)
        keys.addWidget(self.key)
        keys.addWidget(self.key_note, 1)
        size = QHBoxLayout()
        size.setSpacing(theme.STEP)
        size.addWidget(self.box_size)
        unit = QLabel("for a box made by one click")
        unit.setProperty("quiet", True)
        size.addWidget(unit, 1)
        weight = QHBoxLayout()
        weight.setSpacing(theme.STEP)
        weight.addWidget(self.weight)
        usual = QLabel("larger comes earlier")
        usual.setProperty("quiet", True)
        weight.addWidget(usual, 1)
        for words, part in (
            ("Code", self.code),
            ("Name", self.name),
            ("Group", self.group),
            ("Colour", self.colour),
            ("Digit key", keys),
            ("Box size", size),
            ("Weight", weight),
            ("Description", self.description),
        ):
            form.addRow(words, part)

    @property
    def item(self) -> DefectClass | None:
        """The class that is shown."""
        return self._item

    def show_class(self, item: DefectClass, classes: Sequence[DefectClass]) -> None:
        """Show a class; ``classes`` are all of them, whose keys and colours are taken."""
        same = self._item is not None and self._item.id == item.id
        self._item = item
        others = [other for other in classes if other.id != item.id]
        for line, words in ((self.code, item.code), (self.name, item.name)):
            if line.text() != words and not (same and line.hasFocus() and line.isModified()):
                line.setText(words)
        if self.description.toPlainText() != item.description and not (same and self.description.hasFocus()):
            self.description.setPlainText(item.description)
        self.colour.show_colour(item.colour, {other.colour: other.code for other in others})
        with (
            QSignalBlocker(self.key),
            QSignalBlocker(self.box_size),
            QSignalBlocker(self.weight),
            QSignalBlocker(self.group),
        ):
            self._show_keys(item, others)
            self._show_groups(item, others, typing=same and self._group_line.isModified())
            self.box_size.setValue(item.box_size_um)
            self.weight.setValue(item.weight)

    def _show_keys(self, item: DefectClass, others: Sequence[DefectClass]) -> None:
        holder = {other.key: other.code for other in others if other.key}
        self.key.clear()
        self.key.addItem("none", "")
        for key in CLASS_KEYS:
            self.key.addItem(f"{key}  (now {holder[key]})" if key in holder else key, key)
        self.key.setCurrentIndex(max(0, self.key.findData(item.key)))
        free = next_key(holder.keys() | {item.key})
        self.key_note.setText(f"next free: {free}" if free else "all keys are taken")
        self.key.setToolTip("A key of another class is taken from it")

    def _show_groups(self, item: DefectClass, others: Sequence[DefectClass], *, typing: bool) -> None:
        if typing and self._group_line.hasFocus():
            return
        known = dict.fromkeys([other.group for other in (item, *others) if other.group] + list(USUAL_GROUPS))
        self.group.clear()
        self.group.addItems(["", *known])
        self.group.setCurrentText(item.group)
        self._group_line.setModified(False)

    def _group_edited(self) -> None:
        words = self.group.currentText().strip()
        if self._item is not None and words != self._item.group:
            self._edited(group=words)

    def keep(self) -> None:
        """Take over what was typed but not finished, before another class is shown."""
        self._text_edited("code", self.code)
        self._text_edited("name", self.name)
        self._group_edited()
        self._description_edited()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: a description is finished when it loses the focus."""
        if watched is self.description and event.type() == QEvent.Type.FocusOut:
            self._description_edited()
        return False

    def _text_edited(self, field: str, line: QLineEdit) -> None:
        words = line.text().strip()
        if self._item is None or words == getattr(self._item, field):
            return
        if not words:  # a class has a code and a name
            line.setText(getattr(self._item, field))
            return
        self._edited(**{field: words})

    def _description_edited(self) -> None:
        words = self.description.toPlainText().strip()
        if self._item is not None and words != self._item.description:
            self._edited(description=words)

    def _edited(self, **fields: Any) -> None:
        if self._item is not None and any(getattr(self._item, name) != value for name, value in fields.items()):
            self.edited.emit(fields)


class ClassColumn(QWidget):
    """A form with what is below it, aligned at the top."""

    def __init__(self, *parts: QWidget) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2 * theme.STEP)
        for part in parts:
            column.addWidget(part)
        column.addStretch(1)
