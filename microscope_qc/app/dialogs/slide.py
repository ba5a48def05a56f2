"""Small dialogs about the slide on screen: pixel size, facts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import PIXEL_SIZE, NumberEntry
from microscope_qc.app.widgets.slide_choice import SlideChoice
from microscope_qc.core.numbers import Quantity
from microscope_qc.core.orientation import orientation_words
from microscope_qc.core.wording import count_text, pixel_size_text, significant_text, slide_extent_text, things
from microscope_qc.slides.plane import stack_words

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.slides import Mosaic


LENGTH = Quantity("The length", "µm", 0.001, 1e6)
_ACCEPT = QDialogButtonBox.ButtonRole.AcceptRole


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
    """The size of a pixel of one slide or several: a number, or the length of a line drawn along a scale bar.

    Parameters
    ----------
    line_px
        Length of the line in slide pixels; None asks for the number itself. ``draw_requested`` is set when the user
        wants to draw the line instead.
    """

    def __init__(self, session: Session, line_px: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Pixel size")
        self._session, self._line_px = session, line_px
        self.draw_requested = False
        self.number = NumberEntry(PIXEL_SIZE if line_px is None else LENGTH)
        self.number.setButtonSymbols(NumberEntry.ButtonSymbols.NoButtons)
        self.number.setMinimumWidth(160)
        slides = [] if session.project is None else list(session.project.slides)
        bare = [slide.id for slide in slides if slide.pixel_size_um is None]
        without = [(f"The {things(len(bare), 'slide')} without a size", bare)] if len(bare) > 1 else []
        self.slides = SlideChoice(session, without)
        self._suggested = self.number.text()
        form = QFormLayout()
        if line_px is None:
            form.addRow("Size of a pixel", self.number)
            self._show_known()
            self.slides.changed.connect(self._show_known)
        else:
            self.number.setValue(100.0)
            form.addRow(f"The line is {count_text(round(line_px))} px long. In reality it is", self.number)
        if len(self.slides.buttons) > 1:
            form.addRow("For", self.slides)
        words = QLabel("Sizes in µm and detections need it. The microscope usually writes it into the file.")
        words.setWordWrap(True)
        words.setProperty("quiet", True)
        draw = QPushButton(theme.icon("ruler"), "Draw along the scale bar instead")
        draw.setAutoDefault(False)
        draw.setVisible(line_px is None and session.slide is not None)
        draw.clicked.connect(self._on_draw_clicked)
        self._result = QLabel()
        self._result.setProperty("quiet", True)
        self._result.setWordWrap(True)
        buttons = _buttons(self, "Set")
        self._accept = next(b for b in buttons.buttons() if buttons.buttonRole(b) is _ACCEPT)
        self.number.typed.connect(self._show_result)
        self.slides.changed.connect(self._show_result)
        self._show_result()
        _frame(self, words, form, self._result, draw, buttons)
        self.number.setFocus()
        self.number.selectAll()

    def size_um(self) -> float:
        """Micrometres per pixel."""
        return (self.number.number() or 0.0) / (self._line_px or 1.0)

    def slide_ids(self) -> list[int]:
        """The slides that get it."""
        return self.slides.slide_ids()

    def _show_known(self) -> None:
        """Show the size that the slides have; nothing where they differ, or the pixels are not square.

        What was typed for other slides stays.
        """
        if self.number.text() != self._suggested:
            return
        project = self._session.project
        sizes = set() if project is None else {project.slides.by_id(n).pixel_size_um for n in self.slide_ids()}
        known = sizes.pop() if len(sizes) == 1 else None
        if sizes or (known is not None and not _same(known, known[0])):
            self.number.setValue(None)
            self.number.set_empty_text("several sizes" if known is None or sizes else pixel_size_text(known))
        else:
            self.number.setValue(0.5 if known is None else known[0])
        self._suggested = self.number.text()
        self.number.selectAll()

    def _show_result(self) -> None:
        problem = self.number.problem()
        size = "" if self._line_px is None else f"{significant_text(self.size_um(), 4)} µm per pixel. "
        self._result.setText(problem or f"{size}{self._replaced()}".strip())
        self._result.setVisible(bool(self._result.text()))
        self._accept.setEnabled(not problem)
        self._accept.setToolTip(problem)
        self._make_room()

    def _make_room(self) -> None:
        """Grow by the lines of a sentence that came: otherwise they take the place of the choices."""
        layout = self.layout()
        if layout is not None and self.isVisible():
            layout.activate()
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def _replaced(self) -> str:
        """How many slides have another size, which they lose, and whether pixels become square."""
        project, ids = self._session.project, self.slide_ids()
        if project is None:
            return ""
        sizes = [project.slides.by_id(number).pixel_size_um for number in ids]
        if len(ids) < 2:
            oblong = any(size is not None and not _same(size, size[0]) for size in sizes)
            return "Its pixels, which are not square, get this size in width and height." if oblong else ""
        other = sum(size is not None and not _same(size, self.size_um()) for size in sizes)
        return f"{things(other, 'slide')} with another size will be changed." if other else ""

    def _on_draw_clicked(self) -> None:
        self.draw_requested = True
        self.reject()


def _same(size: tuple[float, float], um: float) -> bool:
    return all(math.isclose(side, um, rel_tol=1e-9) for side in size)


def _shown(mosaic: Mosaic) -> str:
    """How the stored picture is turned, where its file says that it is to be."""
    wanted = orientation_words(mosaic.file_orientation)
    if not wanted or mosaic.orientation == mosaic.file_orientation:
        return f"{wanted}, as its file says" if wanted else ""
    return f"as it is stored, since its findings lie there (its file says: {wanted})"


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
                rows.append(("Shown", _shown(mosaic)))
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
