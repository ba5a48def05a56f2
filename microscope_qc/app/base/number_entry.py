"""A number that is typed or stepped: 0.35 and 0,35 are the same in every language, and no digit is lost.

A spin box of Qt takes 0.35 for 35 where the point stands between thousands, rounds to its decimals, and goes back to
the nearest number it allows without a word.
"""

from __future__ import annotations

import math
from dataclasses import replace

from qtpy.QtCore import QPoint, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QValidator, QWheelEvent
from qtpy.QtWidgets import QAbstractSpinBox, QLineEdit, QStyle, QStyleOptionSpinBox, QToolTip, QWidget

from microscope_qc.app.base import theme
from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import Quantity, exact_text

LONGEST = 60
_WIDEST = 14  # characters of a number for which there is room without asking
_DIGITS = 15
PIXEL_SIZE = Quantity("The pixel size", "µm", 1e-6, 1e5)


class NumberEntry(QAbstractSpinBox):
    """A field for one number with its unit; what cannot be taken stays as it was typed, with a red edge and the reason.

    Arrow keys and the wheel step, the wheel only while the field has the focus.

    Attributes
    ----------
    valueChanged
        A finished number (Enter, leaving the field, a step, :meth:`setValue`); None for nothing.
    typed
        What stands in the field has changed, finished or not.

    Parameters
    ----------
    step
        Of the arrow keys; 0 changes the second digit of the number.
    empty
        Shown for no number; without it there must be one.
    digits
        How many digits of a number that was set are shown; what is typed is kept and shown whole.
    """

    valueChanged = Signal(object)
    typed = Signal()

    def __init__(
        self,
        quantity: Quantity,
        value: float | None = None,
        *,
        step: float = 0.0,
        empty: str | None = None,
        digits: int = _DIGITS,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._quantity, self._step, self._digits = quantity, step, digits
        self._may_be_empty = empty is not None
        self._value: float | None = None
        self._shown = ""
        self._tip = ""
        self._line = QLineEdit()
        self.setLineEdit(self._line)
        self._line.setMaxLength(LONGEST)
        self._line.setPlaceholderText(empty or "")
        self._line.textChanged.connect(lambda _text: self._on_text_changed())
        self.editingFinished.connect(self.commit)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if value is not None:
            self.setValue(value)

    # -- the number --------------------------------------------------------------------------------------------------

    def number(self) -> float | None:
        """The number in the field; the last one that could be taken while what stands there cannot."""
        if self._line.text() == self._shown or self.problem():
            return self._value
        return self._read()

    def value(self) -> float:
        """The number in the field, as :meth:`number`; NaN for none."""
        number = self.number()
        return math.nan if number is None else number

    def setValue(self, value: float | None) -> None:
        """Show a number, which may be outside the limits: then that is said. What is being typed is left alone."""
        typing = self._line.text() != self._shown and (self.hasFocus() or bool(self.problem()))
        if value == self._value and typing:
            return
        self._take(value)

    def problem(self) -> str:
        """Why what stands in the field cannot be taken, "" if it can."""
        try:
            value = self._read() if self._line.text() != self._shown else self._value
            if value is None:
                missing = f"{self._quantity.what} is missing. {self._quantity.limits}".strip()
                return "" if self._may_be_empty else missing
            self._quantity.check(value)
        except InputError as error:
            return str(error)
        return ""

    def commit(self) -> bool:
        """Take what was typed; False, with the reason beside the field, when it cannot be."""
        problem = self.problem()
        if problem:
            if self.isVisible():
                QToolTip.showText(self.mapToGlobal(QPoint(0, self.height())), problem, self)
            return False
        if self._line.text() != self._shown:
            self._take(self._read())
        return True

    def forget_typed(self) -> None:
        """Show the last number again, in place of what was typed since."""
        self._line.setText(self._shown)

    def _read(self) -> float | None:
        text = self._line.text().strip()
        return self._quantity.parse(text) if text else None

    def _take(self, value: float | None) -> None:
        before, self._value = self._value, None if value is None else float(value)
        self._shown = "" if value is None else self._text_of(value)
        if self._line.text() == self._shown:
            self._on_text_changed()
        self._line.setText(self._shown)
        self._line.setCursorPosition(0)
        if self._value != before:
            self.valueChanged.emit(self._value)

    def _text_of(self, value: float) -> str:
        text = exact_text(float(f"{value:.{self._digits}g}"))
        return f"{text} {self._quantity.unit}" if self._quantity.unit else text

    # -- limits and steps --------------------------------------------------------------------------------------------

    def minimum(self) -> float:
        """Least number."""
        return self._quantity.low

    def maximum(self) -> float:
        """Largest number."""
        return self._quantity.high

    def setRange(self, low: float, high: float) -> None:
        """Change the limits; a number outside them stays, and is said to be outside."""
        self._quantity = replace(self._quantity, low=low, high=high)
        self._show_problem()

    def setSingleStep(self, step: float) -> None:
        """Change the step of the arrow keys."""
        self._step = step

    def singleStep(self) -> float:
        """Step of the arrow keys."""
        return self._step

    def set_unit(self, unit: str) -> None:
        """Change what stands behind the number."""
        kept, whole = self._line.text() == self._shown, self._value
        self._quantity = replace(self._quantity, unit=unit)
        if kept:
            self._take(whole)

    def set_empty_text(self, text: str) -> None:
        """Change what is shown for no number."""
        self._line.setPlaceholderText(text)

    def stepBy(self, steps: int) -> None:
        """Qt: an arrow key or the wheel."""
        low, high = self._quantity.low, self._quantity.high
        now = self.number()
        start = min(max(0.0, low), high) if now is None else now
        value = float(f"{start + steps * (self._step or self._adaptive_step(start, steps)):.12g}")
        self._take(min(max(value, low), high))
        self._line.selectAll()

    def _adaptive_step(self, value: float, steps: int) -> float:
        size = abs(value) * (1 - 1e-9 if (steps > 0) == (value < 0) else 1)
        step = 10.0 ** (math.floor(math.log10(size)) - 1) if size > 0 else 0.01
        return max(1.0, step) if self._quantity.whole else step

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Qt: which arrows can be used."""
        flags = QAbstractSpinBox.StepEnabledFlag.StepNone
        value = self.number()
        if value is None or value < self._quantity.high:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        if value is None or value > self._quantity.low:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return flags

    def validate(self, text: str, pos: int) -> tuple[QValidator.State, str, int]:
        """Qt: anything may be typed; :meth:`problem` says what is wrong with it."""
        return QValidator.State.Acceptable, text, pos

    # -- appearance --------------------------------------------------------------------------------------------------

    def setToolTip(self, text: str) -> None:
        """Qt: say what the field is for; while it cannot be taken, the reason is shown instead."""
        self._tip = text
        self._show_problem()

    def _show_problem(self) -> None:
        problem = self.problem()
        super().setToolTip(problem or self._tip)
        self.setAccessibleDescription(problem)
        self.update()

    def _on_text_changed(self) -> None:
        self._show_problem()
        self.typed.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt: without the focus the wheel scrolls the panel."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: a red edge around what cannot be taken."""
        super().paintEvent(event)
        if self.isEnabled() and self.problem():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.current().error), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 4, 4)

    def sizeHint(self) -> QSize:
        """Qt: room for the numbers within the limits."""
        self.ensurePolished()
        texts = [self._text_of(limit) for limit in (self._quantity.low, self._quantity.high) if math.isfinite(limit)]
        widest = max([*texts, self._shown, self._line.placeholderText()], key=len)
        unit = len(self._quantity.unit) + 1
        room = self.fontMetrics().horizontalAdvance(widest[: _WIDEST + unit] + "00")
        option = QStyleOptionSpinBox()
        self.initStyleOption(option)
        inside = QSize(room, self._line.sizeHint().height())
        return self.style().sizeFromContents(QStyle.ContentsType.CT_SpinBox, option, inside, self)

    def minimumSizeHint(self) -> QSize:
        """Qt: see :meth:`sizeHint`."""
        return self.sizeHint()
