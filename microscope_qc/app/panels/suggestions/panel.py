"""The panel of suggestions: the switch, how good they are, and all of the slide on screen as crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget
from superqt import QFlowLayout

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.suggested import ORDERS
from microscope_qc.app.widgets.learn_switch import LearnSwitch
from microscope_qc.app.widgets.parts import heading, note
from microscope_qc.app.widgets.suggestion_grid import SuggestionGrid
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

SIDE_PX = 96
KEEP_MS = 400
"""A slider that has rested so long is remembered: each of its steps would write to the disk."""
HINT = "<b>K</b> next &nbsp; <b>Enter</b> right &nbsp; <b>N</b> wrong &nbsp; <b>1–9</b> its class"


class SuggestionsDock(QWidget):
    """Switch, crops, and what can be done with all of them."""

    next_requested = Signal()
    keep_requested = Signal()
    model_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("suggestions")
        self.setWindowTitle("Suggestions")
        self._session = session
        self.switch = LearnSwitch(session)
        self.title, self.order, self.hint = heading(""), QComboBox(), note(HINT)
        for name, words in ORDERS.items():
            self.order.addItem(words, name)
        self.order.activated.connect(self._on_order_chosen)
        self.sure, self.sure_value = QSlider(Qt.Orientation.Horizontal), QLabel()
        self.sure.setRange(0, 100)
        self.sure.setToolTip("Only suggestions that are at least so sure are shown, gone through and kept")
        self.sure.valueChanged.connect(self._on_sure_moved)
        self.sure_value.setMinimumWidth(self.fontMetrics().horizontalAdvance("0.00 "))
        self.sure_words = QLabel("sure ≥")
        self._keep_sure = QTimer(self)
        self._keep_sure.setSingleShot(True)
        self._keep_sure.setInterval(KEEP_MS)
        self._keep_sure.timeout.connect(self._on_sure_settled)
        self.grid = SuggestionGrid(session)
        self.grid.set_side(SIDE_PX)
        self.next = QPushButton("Next")
        self.keep = QPushButton("Keep as detection")
        self.model = QPushButton("Make it a model")
        self.keep.setToolTip("Those shown are findings then, which are counted and can be hidden with that detection")
        self.model.setToolTip("Trains a network from the same labels, and compares it with the model in use")
        for button, signal in (
            (self.next, self.next_requested), (self.keep, self.keep_requested), (self.model, self.model_requested),
        ):  # fmt: skip
            button.clicked.connect(signal)
        self._lay_out()
        self.setFocusProxy(self.grid)
        self._due = Refresh(self, self._refresh)
        for changed in (session.suggested.changed, session.project_changed, session.slide_changed):
            link(self, changed, self._due.soon)
        session.learning.changed.connect(self._due.soon)
        self._refresh()

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        above.addWidget(self.title, 1)
        above.addWidget(self.order)
        least = QHBoxLayout()
        for part in (self.sure_words, self.sure, self.sure_value):
            least.addWidget(part)
        buttons = QFlowLayout()
        for button in (self.next, self.keep, self.model):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(6)
        column.addWidget(self.switch)
        column.addLayout(above)
        column.addLayout(least)
        column.addWidget(self.grid, 1)
        column.addWidget(self.hint)
        column.addLayout(buttons)
        column.addStretch(0)

    def close_crops(self) -> None:
        """Stop the threads that read crops (the window is closing)."""
        self.grid.crops.close()

    def _on_order_chosen(self) -> None:
        self._session.suggested.set_order(self.order.currentData())

    def _on_sure_moved(self, hundredths: int) -> None:
        self._session.suggested.set_sure(hundredths / 100)
        self._keep_sure.start()

    def _on_sure_settled(self) -> None:
        if not self._session.suggested.keep_sure():
            self._keep_sure.start()

    def _refresh(self) -> None:
        session, suggested = self._session, self._session.suggested
        on, count, whole = session.learning.on, len(suggested), suggested.all_count
        labels = suggested.found.labels
        words = (
            things(count, "suggestion") if count == whole else f"{count_text(count)} of {things(whole, 'suggestion')}"
        )
        self.title.setText(words if whole or labels else "")
        for label in (self.title, self.sure_words, self.sure, self.sure_value):
            label.setVisible(on and whole > 0)
        for part in (self.order, self.grid, self.hint, self.next, self.keep):
            part.setVisible(on and count > 0)
        with QSignalBlocker(self.sure):
            self.sure.setValue(int(100 * suggested.limit))
        self.sure_value.setText(f"{suggested.limit:.2f}")
        self.model.setVisible(on and labels > 0)
        self.order.setCurrentIndex(self.order.findData(session.suggested.order))
