"""The question for the pixel size, if slides do not give it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QPushButton, QWidget
from superqt import QFlowLayout

from microscope_qc.app.base.number_entry import PIXEL_SIZE, NumberEntry
from microscope_qc.app.panels.detect.several import beyond_screen, named
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import column_of, sentence
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.project.records import SlideRecord

ONE = "This slide does not give its pixel size."
NEEDED = "Detection needs it: the model knows defects by size."
NOT_NEEDED = "This model takes pixels as they are; sizes in µm and densities need it."


class PixelSizeRow(QWidget):
    """A number and a button; visible only if a slide to be scanned has no pixel size.

    Parameters
    ----------
    card
        Returns the card of the chosen model.
    """

    def __init__(self, session: Session, card: Callable[[], ModelCard | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._card = session, card
        self.number = NumberEntry(PIXEL_SIZE, empty="enter it")
        self.number.setButtonSymbols(NumberEntry.ButtonSymbols.NoButtons)
        self.button = QPushButton("Set")
        self.button.clicked.connect(self._on_set)
        line = QFlowLayout()  # the button's text grows with the number of slides
        line.addWidget(self.number)
        line.addWidget(QLabel("per px"))
        line.addWidget(self.button)
        self.text = sentence()
        column = column_of(self.text, line)
        column.setContentsMargins(0, 4, 0, 4)
        self.setLayout(column)

    def refresh(self) -> None:
        """Show or hide the question."""
        slides = self._slides()
        self.setVisible(bool(slides))
        self.button.setEnabled(self._session.can_write)
        several = beyond_screen(self._session)
        who = ONE
        if several and slides:
            give = "does not give its pixel size" if len(slides) == 1 else "do not give their pixel size"
            who = f"{named(slides)} {give}."
        self.text.setText(f"{who} {NEEDED if lacks_pixel_size(self._card(), None) else NOT_NEEDED}")
        self.button.setText(f"Set for {things(len(slides), 'slide')}" if several else "Set")

    def _slides(self) -> list[SlideRecord]:
        """Slides to be scanned without a pixel size."""
        project, wanted = self._session.project, set(self._session.scope.slide_ids)
        slides = [] if project is None else project.slides
        return [slide for slide in slides if slide.id in wanted and slide.pixel_size_um is None]

    def _on_set(self) -> None:
        project, slides, size = self._session.project, self._slides(), self.number.number()
        if project is None or not slides or not self.number.commit() or size is None:
            return
        try:
            project.slides.set_pixel_sizes([slide.id for slide in slides], size)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
