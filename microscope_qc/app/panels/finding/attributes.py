"""Free attributes of the selected findings: a row for each name, "mixed" where they differ."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.gating import allow
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import number_in, plain_digits
from microscope_qc.core.wording import count_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

MOST_COMPARED = 5000
"""Attributes of more findings are not compared: that would slow down every click."""
MIXED = "mixed"
NAME_WIDTH = 84


class AttributeRows(QWidget):
    """Shows, changes, adds and removes attributes; every change is one command for all selected findings."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ids = np.empty(0, np.int64)
        self._values: dict[str, Any] = {}
        self.fields: dict[str, QLineEdit] = {}
        self.removers: dict[str, QToolButton] = {}
        self._names: dict[str, QLabel] = {}
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.STEP // 2)
        self._grid.setVerticalSpacing(theme.STEP // 2)
        self._grid.setColumnStretch(1, 1)
        self.new_name, self.new_value, self.add_button = QLineEdit(), QLineEdit(), QToolButton()
        self.new_name.setPlaceholderText("Attribute")
        self.new_name.setFixedWidth(NAME_WIDTH)
        self.new_name.setMaxLength(100)
        self.new_value.setPlaceholderText("Value")
        self.add_button.setIcon(theme.icon("plus"))
        self.add_button.setToolTip("Add the attribute")
        self.add_button.clicked.connect(self.add)
        self.new_value.returnPressed.connect(self.add)
        self.new_name.returnPressed.connect(self.new_value.setFocus)
        self.too_many = QLabel(f"Attributes are shown for up to {count_text(MOST_COMPARED)} findings.")
        self.too_many.setProperty("quiet", True)
        self.too_many.setWordWrap(True)
        new = QHBoxLayout()
        new.setSpacing(theme.STEP // 2)
        new.addWidget(self.new_name)
        new.addWidget(self.new_value, 1)
        new.addWidget(self.add_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP // 2)
        column.addLayout(self._grid)
        column.addWidget(self.too_many)
        column.addLayout(new)

    def show_findings(self, ids: np.ndarray) -> None:
        """Show the attributes of some findings of the slide on screen."""
        project, slide = self._session.project, self._session.slide
        self.keep()
        self._ids = ids.copy()
        many = len(ids) > MOST_COMPARED
        self.too_many.setVisible(many)
        if project is None or slide is None or many:
            self._show({}, {})
        else:
            values, counts = merged(project.attributes.of_boxes(slide.id, ids), len(ids))
            self._show(values, counts)
        writing = allow(self._session, self.new_name, self.new_value, self.add_button)
        for name, field in self.fields.items():
            field.setReadOnly(not writing or isinstance(self._values[name], dict | list))
            self.removers[name].setEnabled(writing)

    def _show(self, values: dict[str, Any], counts: dict[str, int]) -> None:
        self._values = values
        if list(values) != list(self.fields):
            self._make_rows(list(values))
        for name, value in values.items():
            field = self.fields[name]
            words = "" if value is _Mixed else _text(value)
            if field.text() != words:
                field.setText(words)
                field.setCursorPosition(0)
            field.setModified(False)
            some = counts[name] < len(self._ids)
            field.setPlaceholderText(MIXED if value is _Mixed else "")
            part = f"{count_text(counts[name])} of {count_text(len(self._ids))} findings have it"
            field.setToolTip(f"{words}\n{part}".strip() if some else words)

    def _make_rows(self, names: list[str]) -> None:
        for part in (*self._names.values(), *self.fields.values(), *self.removers.values()):
            self._grid.removeWidget(part)
            part.deleteLater()
        self._names, self.fields, self.removers = {}, {}, {}
        for place, name in enumerate(names):
            label, field, remover = QLabel(), QLineEdit(), QToolButton()
            label.setFixedWidth(NAME_WIDTH)
            label.setText(label.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, NAME_WIDTH))
            label.setToolTip(name)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setProperty("quiet", True)
            remover.setIcon(theme.icon("close"))
            remover.setToolTip(f"Remove {name}")
            field.editingFinished.connect(lambda name=name: self._on_edited(name))
            remover.clicked.connect(lambda _=False, name=name: self._change({name: None}))
            for column, part in enumerate((label, field, remover)):
                self._grid.addWidget(part, place, column)
            self._names[name], self.fields[name], self.removers[name] = label, field, remover

    def keep(self) -> None:
        """Take over what was typed but not finished."""
        for name in list(self.fields):
            self._on_edited(name)

    def add(self) -> None:
        """Add the attribute that was typed."""
        name, value = self.new_name.text().strip(), self.new_value.text().strip()
        if not name:
            self.new_name.setFocus()
            return
        if self._change({name: parsed(value)}):
            self.new_name.clear()
            self.new_value.clear()
            self.new_name.setFocus()

    def _on_edited(self, name: str) -> None:
        field = self.fields.get(name)
        if field is None or not field.isModified():
            return
        field.setModified(False)
        before, words = self._values[name], field.text().strip()
        if before is _Mixed and not words:
            return
        if before is _Mixed or words != _text(before):
            self._change({name: words if isinstance(before, str) else parsed(words)})

    def _change(self, changes: dict[str, Any]) -> bool:
        project = self._session.project
        ids = self._ids[self._session.has(self._ids)]
        if project is None or project.read_only or len(ids) == 0:
            return False
        try:
            project.attributes.edit(ids, changes)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            return False
        return True


class _Mixed:
    """Marker for values that differ."""


def merged(attributes: Mapping[int, Mapping[str, Any]], count: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Values of all names (the marker of "mixed" if they differ or some lack it), and how many findings have each."""
    values: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for having in attributes.values():
        for name, value in having.items():
            counts[name] = counts.get(name, 0) + 1
            values[name] = value if name not in values or values[name] == value else _Mixed
    ordered = sorted(values, key=str.casefold)
    return {name: values[name] if counts[name] == count else _Mixed for name in ordered}, counts


_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:[.,][0-9]*)?")


def parsed(text: str) -> str | int | float:
    """A number if the text is one as users write it, else the text."""
    number = number_in(text)
    # "007" and "1e5" are names rather than numbers
    if math.isnan(number) or not _PLAIN.fullmatch(plain_digits(text)):
        return text
    return int(number) if number.is_integer() and "." not in text and "," not in text else number


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
