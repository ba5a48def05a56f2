"""The question for the pixel size, if a slide does not give it."""

from __future__ import annotations

from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QPushButton, QWidget

from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import column_of, sentence
from microscope_qc.core.errors import MicroscopeQCError


class PixelSizeRow(QWidget):
    """A number and a button; visible only if the slide on screen has no pixel size."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.number = QDoubleSpinBox()
        self.number.setLocale(QLocale.c())
        self.number.setDecimals(4)
        self.number.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.number.setRange(0.0, 1000.0)
        self.number.setSingleStep(0.05)
        self.number.setSuffix(" µm per px")
        self.number.setSpecialValueText("enter it")
        self.button = QPushButton("Set")
        self.button.clicked.connect(self._on_set)
        line = QHBoxLayout()
        line.addWidget(self.number, 1)
        line.addWidget(self.button)
        text = sentence("This slide does not give its pixel size. Detection needs it: the model knows defects by size.")
        column = column_of(text, line)
        column.setContentsMargins(0, 4, 0, 4)
        self.setLayout(column)

    def refresh(self) -> None:
        """Show or hide the question."""
        slide = self._session.slide
        self.setVisible(slide is not None and slide.pixel_size_um is None)
        self.button.setEnabled(self._session.can_write)

    def _on_set(self) -> None:
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None or self.number.value() <= 0:
            return
        try:
            project.slides.set_pixel_size(slide.id, self.number.value())
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
