"""Comparing two detections: the menu that chooses the other one, and the strip above the slide."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from microscope_qc.app.base import theme
from microscope_qc.app.panels.detect.runs import RunList
from microscope_qc.app.session.comparison import BOTH, FIRST, SECOND, UNCOMPARED, Comparison
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import RunRecord


def run_words(run: RunRecord) -> str:
    """``li-ion-ssd, 2026-11-21 14:02``."""
    return f"{run.title}, {started_text(run)}"


def started_text(run: RunRecord) -> str:
    """When a run was started, to the minute."""
    return str(run.started)[:16].replace("T", " ")


class CompareButton(QPushButton):
    """``Compare with…``: the other detections of the slide as a menu."""

    def __init__(self, session: Session, runs: RunList, comparison: Comparison, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._runs, self._comparison = session, runs, comparison
        self.setText("Compare with")
        self.setIcon(theme.icon("compare-horizontal"))
        self.setMenu(QMenu(self))
        self.menu().aboutToShow.connect(self.fill)
        runs.run_selected.connect(self.refresh)
        comparison.changed.connect(self._on_comparison_changed)
        self.refresh()

    def others(self) -> list[RunRecord]:
        """The detections that the selected one can be compared with."""
        selected = self._runs.selected_run()
        return [] if selected is None else [run for run in self._runs.runs if run.id != selected.id]

    def refresh(self, *_: object) -> None:
        """Enable the button, or say why there is nothing to choose."""
        others = self.others()
        self.setEnabled(bool(others))
        reason = (
            "Select a detection." if self._runs.selected_run() is None else "There is no other detection to compare."
        )
        self.setToolTip("Shows what both detections found, and what only one of them found" if others else reason)

    def fill(self) -> None:
        """Fill the menu again."""
        menu = self.menu()
        menu.clear()
        for run in self.others():
            action = menu.addAction(f"{run_words(run)}  ({things(run.found, 'finding')})".replace("&", "&&"))
            action.triggered.connect(partial(self._on_chosen, run.id))

    def _on_chosen(self, other: int, _checked: bool = False) -> None:
        selected = self._runs.selected_run()
        if selected is not None:
            self.compare(selected.id, other)

    def compare(self, first: int, second: int) -> None:
        """Compare two detections, or say why that is not possible."""
        try:
            self._comparison.start(first, second)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _on_comparison_changed(self) -> None:
        runs = self._comparison.runs
        self._runs.set_letters({} if runs is None else {runs[0].id: "A", runs[1].id: "B"})


class CompareStrip(QFrame):
    """Names the detections that are compared, counts common and single findings, and ends the comparison."""

    def __init__(self, comparison: Comparison, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("compareStrip")
        self._comparison = comparison
        self.first, self.second = QElidingLabel(), QElidingLabel()
        self.chips = {part: QPushButton() for part in (BOTH, FIRST, SECOND)}
        self.uncompared = QPushButton()
        self.uncompared.setToolTip("Findings where only one of the two scanned. Press to show or hide them.")
        self.end = QPushButton("End comparison")
        self.end.clicked.connect(comparison.end)
        words = QVBoxLayout()
        words.setSpacing(2)
        for label in (self.first, self.second):
            label.setElideMode(Qt.TextElideMode.ElideMiddle)
            words.addWidget(label)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, theme.STEP, 4)
        row.setSpacing(theme.STEP)
        row.addLayout(words, 1)
        for part, chip in (*self.chips.items(), (UNCOMPARED, self.uncompared)):
            chip.setCheckable(True)
            chip.setProperty("segment", True)
            chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            chip.toggled.connect(partial(comparison.show_part, part))
            row.addWidget(chip)
        row.addWidget(self.end)
        comparison.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the current comparison, or hide."""
        state = self._comparison
        if state.runs is None:
            self.hide()
            return
        self._refresh_theme()
        found = state.found or (None, None)
        alike = state.runs[0].title == state.runs[1].title
        for letter, label, run, count, uncompared in zip(
            "AB", (self.first, self.second), state.runs, found, state.uncompared, strict=True
        ):
            name = run_words(run) if alike else run.title
            words = "…" if count is None else things(count, "finding")
            if uncompared:
                words += f" + {count_text(uncompared)} where only {letter} scanned"
            elif state.partial:
                words += " where both scanned"
            label.setText(f"{letter}   {name}: {words}")
            label.setToolTip(f"{letter}: {run_words(run)}: {words}")
        names = {BOTH: "Both", FIRST: "Only A", SECOND: "Only B"}
        tips = {
            BOTH: "Findings of A that B has in the same place, with at least half of the area in common; drawn as in A",
            FIRST: "Findings of A that B does not have", SECOND: "Findings of B that A does not have",
        }  # fmt: skip
        for part, chip in self.chips.items():
            number = "…" if state.counts is None else count_text(state.counts[part])
            chip.setText(f"{names[part]}  {number}")
            chip.setToolTip(f"{tips[part]}. Press to show or hide them.")
            chip.setEnabled(state.counts is not None)
            with QSignalBlocker(chip):
                chip.setChecked(part in state.shown_parts)
        self.uncompared.setText(f"Not compared  {count_text(sum(state.uncompared))}")
        self.uncompared.setVisible(any(state.uncompared))
        with QSignalBlocker(self.uncompared):
            self.uncompared.setChecked(UNCOMPARED in state.shown_parts)
        self.show()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: follow a change of the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._comparison.active:
            self._refresh_theme()

    def _refresh_theme(self) -> None:
        colours = theme.current()
        style = (
            f"#compareStrip {{ background: {colours.base}; border: none; border-left: 4px solid {colours.accent};"
            f" border-bottom: 1px solid {colours.line}; }} #compareStrip QLabel {{ background: transparent; }}"
            f" #compareStrip QPushButton[segment='true'] {{ border: 1px solid {colours.line}; }}"
        )
        if self.styleSheet() != style:
            self.setStyleSheet(style)
