"""A number that is typed: 0.35 and 0,35 are the same in every language, and nothing is guessed."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QWidget

from microscope_qc.core.errors import InputError
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.core.wording import significant_text


class NumberLine(QLineEdit):
    """A line for one number, which may have its unit.

    A spin box takes 0,35 for 35 where the comma stands between thousands.

    Parameters
    ----------
    unit
        Of the number; ``low`` and ``high`` are its limits.
    """

    number_changed = Signal()

    def __init__(self, unit: str, *, low: float, high: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._field = SpecimenField("number", "This", FieldKind.NUMBER, unit)
        self._low, self._high = low, high
        self.setMaxLength(60)
        self.textChanged.connect(lambda _text: self.number_changed.emit())

    def set_number(self, number: float) -> None:
        """Show a number."""
        digits = significant_text(number, 9).replace("\u202f", "").replace("−", "-")
        self.setText(f"{digits} {self._field.unit}".strip())

    def number(self) -> float | None:
        """The number that is typed, None where there is none or it cannot be."""
        return None if self.problem() else float(self._field.parse(self.text()) or 0.0)

    def problem(self) -> str:
        """Why what is typed cannot be taken, "" if it can."""
        try:
            value = self._field.parse(self.text())
        except InputError as error:
            return f"{error.message} {error.hint or ''}".strip()
        if value is None:
            return "Enter a number."
        if not self._low <= float(value) <= self._high:
            low, high = significant_text(self._low), significant_text(self._high)
            return f"It is {low} to {high} {self._field.unit}.".replace(" .", ".")
        return ""
