"""Go to a position, two numbers as they are typed or pasted in µm, px or mm of an aligned stage; or to a finding."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.core.errors import InputError, RegistrationError
from microscope_qc.core.numbers import number_in
from microscope_qc.core.wording import count_text

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.canvas.view import View
    from microscope_qc.app.session.session import Session
    from microscope_qc.correlation.registration import Registration

_UNIT = re.compile(r"(?<![a-z])([µμu]m|mm|px|pixels?)(?![a-z])", re.IGNORECASE)
_LABELLED = re.compile(r"^\W*x\W*?([-+]?[\d\s.,]*\d)\W*?y\W*?([-+]?[\d\s.,]*\d)\W*$", re.IGNORECASE)
_FINDING = re.compile(r"#\s*([0-9](?:\s?[0-9]){0,17})|([0-9]{1,18})")
_SPACES = "\u2009\u00a0\u202f'’"


def parse_position(text: str) -> tuple[float, float, str] | None:
    """Two numbers x, y and their unit ("um", "mm", "px", or "" without one); None if it is not a position.

    Accepts what users paste: "12.5, 33", "12,5; 33,1", "x 8 310  y 12 044 px", two cells of a table.
    """
    found = {_plain_unit(unit) for unit in _UNIT.findall(text)}
    if len(found) > 1:
        return None
    unit = found.pop() if found else ""
    bare = _UNIT.sub(" ", re.sub(rf"(?<=\d)[{_SPACES}](?=\d)", "", text)).strip().strip("()[]").strip()
    labelled = _LABELLED.match(bare)
    if labelled:
        numbers = [_number(part.rstrip(",;")) for part in labelled.groups()]
        return None if numbers[0] is None or numbers[1] is None else (numbers[0], numbers[1], unit)
    for separator in (r"\s*[;\t\n|]\s*", r"\s*,\s+", r"\s{2,}", r"\s", r","):
        parts = re.split(separator, bare)
        if len(parts) == 2:
            x, y = _number(parts[0]), _number(parts[1])
            if x is not None and y is not None:
                return x, y, unit
    four = re.fullmatch(r"([-+]?\d+,\d+),\s*([-+]?\d+,\d+)", bare)
    if four:
        x, y = _number(four[1]), _number(four[2])
        return None if x is None or y is None else (x, y, unit)
    return None


def parse_number(text: str) -> int | None:
    """The number of a finding, ``#460`` or ``460``, also with spaces as they are printed; None if it is none.

    Two numbers are a position: spaces that are typed join digits only after ``#``.
    """
    match = _FINDING.fullmatch(re.sub(rf"(?<=\d)[{_SPACES}](?=\d)", "", text).strip())
    return None if match is None else int(re.sub(r"\s", "", match[1] or match[2]))


def _plain_unit(unit: str) -> str:
    unit = unit.lower()
    return "px" if unit.startswith("p") else "mm" if unit == "mm" else "um"


def _number(text: str) -> float | None:
    digits = re.sub(r"(?<=\d)\s(?=\d)", "", text.strip())
    value = number_in(digits)
    return None if math.isnan(value) else value


class GoToDialog(QDialog):
    """One field for x and y, or the number of a finding; the unit is remembered.

    Attributes
    ----------
    number
        Number of the finding to go to; None for a position.
    """

    def __init__(self, session: Session, view: View, settings: AppSettings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Go to position or finding")
        self._session = session
        self._settings = settings
        self.number: int | None = None
        self._size = session.pixel_size_um
        self._shape = session.slide.shape_px if session.slide is not None else (1, 1)
        self._stages = _stages(session)
        self._place: tuple[float, float] | None = view.y, view.x
        self.field = QLineEdit()
        self.field.setPlaceholderText("x, y or #460")
        self.field.setMinimumWidth(220)
        self.unit = QComboBox()
        if self._size is not None:
            self.unit.addItem("µm", "um")
        self.unit.addItem("px", "px")
        for name in self._stages:
            self.unit.addItem(f"mm on the stage, {name}", f"stage:{name}")
        self.unit.setCurrentIndex(max(0, self.unit.findData(settings.position_unit)))
        self.words = QLabel()
        self.words.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        go = buttons.addButton("Go", QDialogButtonBox.ButtonRole.AcceptRole)
        assert go is not None
        go.setDefault(True)
        self.go = go
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Position or finding", self.field)
        form.addRow("Unit", self.unit)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        column.addLayout(form)
        column.addWidget(self.words)
        column.addWidget(buttons)
        self._fill()
        self.field.textChanged.connect(self._on_text_changed)
        self.unit.currentIndexChanged.connect(self._on_unit_changed)
        self.field.setFocus()
        self.field.selectAll()

    def place_px(self) -> tuple[float, float]:
        """Slide y, x in pixels."""
        assert self._place is not None
        return self._place

    def accept(self) -> None:
        """Qt: accept the finding, or the position, and remember its unit."""
        if self.number is not None:
            super().accept()
        elif self._place is not None:
            self._settings.position_unit = str(self.unit.currentData())
            super().accept()

    # -- numbers and places ------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Show the position in the chosen unit."""
        if self._place is None:
            self._on_text_changed(self.field.text())
            return
        x, y = self._numbers_of(*self._place)
        decimals = (
            0 if self.unit.currentData() == "px" else 4 if str(self.unit.currentData()).startswith("stage") else 1
        )
        self.field.setText(f"{x:.{decimals}f}, {y:.{decimals}f}")
        self._say("")

    def _on_unit_changed(self) -> None:
        self._fill()
        self.field.setFocus()
        self.field.selectAll()

    def _on_text_changed(self, text: str) -> None:
        self._place = self.number = None
        wanted = parse_number(text)
        self.unit.setEnabled(wanted is None)
        if wanted is not None:
            self._on_number(wanted)
            return
        parsed = parse_position(text)
        if parsed is None:
            self._say("Enter two numbers, x, then y; or the number of a finding." if text.strip() else "")
            return
        x, y, unit = parsed
        if unit and not self._use(unit):
            self._say(f"Positions in {unit.replace('um', 'µm')} are not known on this slide.")
            return
        place = self._place_of(x, y)
        if not (0 <= place[0] <= self._shape[0] and 0 <= place[1] <= self._shape[1]):
            self._say("This is outside the slide.")
            return
        self._place = place
        self._say("")

    def _on_number(self, wanted: int) -> None:
        try:
            slide = self._session.navigation.find_number(wanted)
        except InputError as error:
            self._say(f"{error.message} {error.hint}")
            return
        self.number = wanted
        self._say(f"Finding #{wanted} on {slide.name}")

    def _use(self, unit: str) -> bool:
        """Select a unit that was pasted with the numbers."""
        now = str(self.unit.currentData())
        if unit == now or (unit == "mm" and now.startswith("stage:")):
            return True
        wanted = self.unit.findData(unit)
        if unit == "mm" and self._stages:
            wanted = self.unit.findData(f"stage:{next(reversed(self._stages))}")
        if wanted >= 0:
            self.unit.blockSignals(True)
            self.unit.setCurrentIndex(wanted)
            self.unit.blockSignals(False)
        return wanted >= 0

    def _say(self, words: str) -> None:
        if not words and self._place is not None and self.unit.currentData() != "px":
            y, x = self._place
            words = f"x {count_text(round(x))}, y {count_text(round(y))} px"
        there = self._place is not None or self.number is not None
        self.words.setText(words)
        self.words.setProperty("error", not there)
        self.words.setProperty("quiet", there)
        style = self.words.style()
        if style is not None:
            style.polish(self.words)
        self.go.setEnabled(there)

    def _place_of(self, x: float, y: float) -> tuple[float, float]:
        unit = str(self.unit.currentData())
        if unit.startswith("stage:"):
            place_y, place_x = self._stages[unit.removeprefix("stage:")].from_stage(np.array([[x, y]]))[0]
            return float(place_y), float(place_x)
        sy, sx = self._size if unit == "um" and self._size is not None else (1.0, 1.0)
        return y / sy, x / sx

    def _numbers_of(self, y: float, x: float) -> tuple[float, float]:
        unit = str(self.unit.currentData())
        if unit.startswith("stage:"):
            stage_x, stage_y = self._stages[unit.removeprefix("stage:")].to_stage(np.array([[y, x]]))[0]
            return float(stage_x), float(stage_y)
        sy, sx = self._size if unit == "um" and self._size is not None else (1.0, 1.0)
        return x * sx, y * sy


def _stages(session: Session) -> dict[str, Registration]:
    """Alignments of the slide on screen, by name, oldest first."""
    from microscope_qc.correlation.registration import Registration

    stages: dict[str, Registration] = {}
    if session.project is None or session.slide is None:
        return stages
    for record in session.project.registrations:
        if record.slide_id == session.slide.id:
            try:
                stages[record.name] = Registration.from_dict(record.data)
            except RegistrationError:  # the SEM panel says so; here it is not offered
                continue
    return stages
