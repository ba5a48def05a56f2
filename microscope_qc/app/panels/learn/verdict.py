"""How good a finished model is, also beside the one in use, and the button that puts it in use."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.measuring import LOOK_MS, Measuring
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.workflows.models.kept_evaluation import evaluation_words

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.ml.cards import ModelCard

GAP_PX = 6
_ALL, _COMPARISON = "all", "comparison"


class Verdict(QWidget):
    """What is known of a model after its training.

    ``all_requested`` asks for all of it, by the model's folder; ``comparison_requested`` for a comparison, by its own.
    """

    model_used = Signal()
    all_requested = Signal(object)
    comparison_requested = Signal(object)

    def __init__(self, session: Session, measuring: Measuring, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._measuring = session, measuring
        self._folder, self._sure = Path(), False
        self._card: ModelCard | None = None
        self.use = QPushButton("Use this model")
        self.use.setProperty("primary", "true")
        self.evaluate, self.compare = QPushButton("Evaluate"), QPushButton("Compare with the model in use")
        self.evaluate.setToolTip("Figures with intervals, curves, and what it missed, on what is kept for the test")
        self.compare.setToolTip("Measures both on the same places, with what chance alone would show")
        self.words = sentence()
        self.words.setOpenExternalLinks(False)
        buttons = QFlowLayout()
        buttons.setHorizontalSpacing(GAP_PX)
        buttons.setVerticalSpacing(GAP_PX)
        for button in (self.use, self.evaluate, self.compare):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addLayout(buttons)
        self.use.clicked.connect(self._on_use_clicked)
        self.evaluate.clicked.connect(lambda: self._measuring.evaluate(self._folder, self._name))
        self.compare.clicked.connect(lambda: self._measuring.compare(self._folder, self._name))
        self.words.linkActivated.connect(self._on_link)
        self._due = Refresh(self, self._refresh)
        measuring.changed.connect(self._due.soon)
        for signal in (session.model_in_use_changed, session.project_changed, theme.SWITCH.switched):
            link(self, signal, self._due.soon)
        self._look = Refresh(self, lambda: self._measuring.look(self._folder), after_ms=LOOK_MS)
        link(self, session.history_changed, self._look.soon)

    def show_model(self, folder: Path, card: ModelCard) -> None:
        """Show another model, or the same again."""
        if folder != self._folder or card != self._card:
            self._folder, self._card, self._sure = folder, card, False
            self._measuring.look(folder)
        self._refresh()

    @property
    def _name(self) -> str:
        return "" if self._card is None else str(self._card.name)

    @property
    def _is_worse(self) -> bool:
        compared = self._measuring.comparison(self._folder)
        return compared is not None and compared.document.get("ahead") == "old"

    def _refresh(self) -> None:
        project = self._session.project
        current = None if project is None else project.models.current
        used = project is not None and project.models.argument == str(self._folder)
        busy = self._measuring.handle is not None
        boxes = self._card is not None and self._card.task == "detect"  # others cannot be compared
        self.compare.setVisible(current is not None and not used and boxes)
        for button in (self.evaluate, self.compare):
            button.setEnabled(not busy)
        self.use.setEnabled(self._session.can_write and not used)
        worse = self._sure and self._is_worse and current is not None
        although = "" if current is None else f"Use it although {current.name} is better"
        self.use.setText("In use" if used else although if worse else "Use this model")
        self.words.setText("<br>".join(self._lines(None if used or current is None else current.name)))
        self.words.setVisible(bool(self.words.text()))

    def _lines(self, other: str | None) -> list[str]:
        """What is known, as rich text; ``other`` is the name of another model that is in use."""
        lines = []
        compared, kept = self._measuring.comparison(self._folder), self._measuring.evaluation(self._folder)
        if other is not None and compared is None:
            lines.append(f"{escape(other)} is in use. Which of the two is better has not been measured.")
        elif other is not None and compared is not None:
            said = f"<b>{escape(compared.verdict)}</b>"
            said = f"<span style='color:{theme.current().warning}'>{said}</span>" if self._is_worse else said
            lines.append(f"{said} {_link(_COMPARISON, 'Show the comparison')}")
        if kept is not None:
            old = " What it was measured on has changed since." if self._measuring.is_stale(self._folder) else ""
            lines.append(f"Evaluated: {escape(evaluation_words(kept.document))}.{old}")
            lines.append(_link(_ALL, "Show what was found and missed"))
        return lines

    def _on_link(self, address: str) -> None:
        compared = self._measuring.comparison(self._folder)
        if address == _ALL:
            self.all_requested.emit(self._folder)
        elif compared is not None:
            self.comparison_requested.emit(compared.folder)

    def _on_use_clicked(self) -> None:
        """Put the model in use, as a step of the history; one that is worse only when it is asked for again."""
        project = self._session.project
        if self._card is None or project is None or not self._session.can_write:
            return
        if self._is_worse and not self._sure:
            self._sure = True
            self._refresh()
            return
        self._sure = False
        project.models.use(str(self._folder), name=self._name)
        self._session.notice.emit(f"{self._name} is in use. Undo takes it back.")
        self.model_used.emit()


def _link(address: str, words: str) -> str:
    return f"<a href='{address}' style='color:{theme.current().accent}'>{words}</a>"
