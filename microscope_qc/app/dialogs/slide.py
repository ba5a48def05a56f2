"""Small dialogs about the slide on screen: pixel size, facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.core.wording import count_text, pixel_size_text, significant_text, slide_extent_text
from microscope_qc.slides.plane import stack_words

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


def _frame(dialog: QDialog, *parts: QWidget | QFormLayout) -> None:
    column = QVBoxLayout(dialog)
    column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
    column.setSpacing(theme.STEP)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part)
        else:
            column.addLayout(part)


def _buttons(dialog: QDialog, word: str) -> QDialogButtonBox:
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    accept = buttons.addButton(word, QDialogButtonBox.ButtonRole.AcceptRole)
    if accept is not None:
        accept.setDefault(True)
    buttons.accepted.connect(dialog.accept)
    buttons.rejected.connect(dialog.reject)
    return buttons


class PixelSizeDialog(QDialog):
    """The size of a pixel: a number, or the length of a line that was drawn along a scale bar.

    Parameters
    ----------
    line_px
        Length of the line in slide pixels; None asks for the number itself. ``draw_requested`` is set when the user
        wants to draw the line instead.
    """

    def __init__(self, session: Session, line_px: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Pixel size")
        self._line_px = line_px
        self.draw_requested = False
        known = session.pixel_size_um
        self.number = QDoubleSpinBox()
        self.number.setDecimals(4 if line_px is None else 2)
        self.number.setRange(0.0001, 1_000_000.0)
        self.number.setSuffix(" µm")
        self.number.setMinimumWidth(160)
        form = QFormLayout()
        if line_px is None:
            self.number.setValue(known[0] if known is not None else 0.5)
            form.addRow("Size of a pixel", self.number)
        else:
            self.number.setValue(100.0)
            form.addRow(f"The line is {count_text(round(line_px))} px long. In reality it is", self.number)
        words = QLabel("Sizes in µm and detections need it. The microscope usually writes it into the file.")
        words.setWordWrap(True)
        words.setProperty("quiet", True)
        draw = QPushButton(theme.icon("ruler"), "Draw along the scale bar instead")
        draw.setAutoDefault(False)
        draw.setVisible(line_px is None)
        draw.clicked.connect(self._on_draw_clicked)
        self._result = QLabel()
        self._result.setProperty("quiet", True)
        self.number.valueChanged.connect(self._show_result)
        self._show_result()
        _frame(self, words, form, self._result, draw, _buttons(self, "Set"))
        self.number.setFocus()
        self.number.selectAll()

    def size_um(self) -> float:
        """Micrometres per pixel."""
        return self.number.value() / (self._line_px or 1.0)

    def _show_result(self) -> None:
        self._result.setText("" if self._line_px is None else f"{significant_text(self.size_um(), 4)} µm per pixel")
        self._result.setVisible(self._line_px is not None)

    def _on_draw_clicked(self) -> None:
        self.draw_requested = True
        self.reject()


class SlideInfoDialog(QDialog):
    """Facts from the slide's file."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        slide, mosaic = session.slide, session.mosaic
        self.setWindowTitle("About this slide")
        form = QFormLayout()
        form.setHorizontalSpacing(3 * theme.STEP)
        if slide is not None:
            height, width = slide.shape_px
            rows = [("Name", slide.name), ("File", str(slide.path)), ("Scene", slide.scene or "")]
            rows.append(("Size", f"{count_text(width)} × {count_text(height)} px"))
            size = slide.pixel_size_um
            if size is not None:
                rows.append(("", slide_extent_text(slide.shape_px, size)))
            rows.append(("Pixel size", pixel_size_text(size) if size is not None else "not known"))
            if mosaic is not None:
                rows.append(("Pixels", f"{'RGB, ' if mosaic.rgb else ''}{mosaic.dtype}"))
                rows.append(("Channels", ", ".join(channel.name for channel in mosaic.channels)))
                rows.append(("Stack", stack_words(mosaic.stack)))
                rows.append(("Resolutions", str(len(mosaic.levels))))
                rows.append(("Notes", "\n".join(mosaic.notes)))
            for words, text in rows:
                if text:
                    label = QLabel(text)
                    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                    label.setTextFormat(Qt.TextFormat.PlainText)
                    label.setWordWrap(True)
                    label.setMinimumWidth(360)
                    head = QLabel(words)
                    head.setProperty("quiet", True)
                    form.addRow(head, label)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        _frame(self, form, buttons)
