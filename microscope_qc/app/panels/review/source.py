"""What the strip of the review page shows: the findings, or what is suggested on the slide on screen."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QPushButton, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.session import Session
from microscope_qc.app.session.suggested import ORDERS
from microscope_qc.app.widgets.learn_switch import LearnSwitch
from microscope_qc.core.wording import count_text


class ReviewSource(QWidget):
    """Findings | Suggestions, the order of the suggestions, and the switch that makes them."""

    changed = Signal(bool)  # whether suggestions are shown

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.findings, self.suggestions = QPushButton("Findings"), QPushButton("Suggestions")
        self.order = QComboBox()
        for name, words in ORDERS.items():
            self.order.addItem(words, name)
        self.order.activated.connect(self._on_order_chosen)
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(6)
        for button in (self.findings, self.suggestions):
            button.setCheckable(True)
            button.setProperty("segment", True)
            self._group.addButton(button)
            row.addWidget(button)
        row.addWidget(self.order)
        row.addSpacing(12)
        self.findings.setChecked(True)
        self._group.buttonClicked.connect(self._on_chosen)
        self.switch = LearnSwitch(session, compact=True) if session.jobs is not None else None
        if self.switch is None:
            row.addStretch(1)
        else:
            row.addWidget(self.switch, 1)
        self._due = Refresh(self, self._refresh)
        for signal in (session.suggested.changed, session.project_changed):
            link(self, signal, self._due.soon)
        self._refresh()

    @property
    def shows_suggestions(self) -> bool:
        """Whether the strip shows suggestions."""
        return bool(self.suggestions.isChecked())

    def _on_chosen(self) -> None:
        suggested = self._session.suggested
        if not self.shows_suggestions:
            suggested.select(None)
        elif suggested.current is None and len(suggested):
            suggested.select(int(suggested.places[0]), go=True)
        self._refresh()
        self.changed.emit(self.shows_suggestions)

    def _on_order_chosen(self) -> None:
        self._session.suggested.set_order(self.order.currentData())

    def _refresh(self) -> None:
        suggested = self._session.suggested
        count = len(suggested)
        self.suggestions.setText(f"Suggestions {count_text(count)}" if count else "Suggestions")
        self.suggestions.setEnabled(count > 0 or self.shows_suggestions)
        tip = "What is suggested on the slide on screen, most useful or surest first"
        self.suggestions.setToolTip(tip if count else "Nothing is suggested: switch on “Learn from my labels”")
        self.order.setVisible(self.shows_suggestions)
        self.order.setCurrentIndex(self.order.findData(suggested.order))
