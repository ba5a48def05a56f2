"""The bar over the gallery: order, view filters, counts, and the confidence limit, which is the project's."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QAction, QMouseEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QMenu, QSlider, QToolButton, QVBoxLayout, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.gallery.filter import FilterButton, SavedFilters
from microscope_qc.app.panels.gallery.search_field import SearchField
from microscope_qc.app.session.orders import ORDERS
from microscope_qc.app.session.review_order import FindingModel
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.class_chip import colour_icon
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.box_facts import Known
from microscope_qc.core.boxes import BoxFilter, ReviewState, class_counts
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.search import search_fault
from microscope_qc.core.wording import count_text

if TYPE_CHECKING:
    from microscope_qc.project.records import LogEntry

LOWEST_CONFIDENCE = 5
"""In hundredths: detection keeps findings down to 0.05."""
SIDES = (80, 224)
SAME_STEP_S = 1.5
"""Turns of the wheel within this many seconds are one step of the history."""


class Choice(NamedTuple):
    """One line of a :class:`ChoiceButton`."""

    value: Hashable
    text: str
    short: str
    findings: int
    colour: str = ""


class _StayingMenu(QMenu):
    """Stays open while several lines are checked."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        action = self.actionAt(event.position().toPoint())
        if action is not None and action.isCheckable():
            action.trigger()
        else:
            super().mouseReleaseEvent(event)


class ChoiceButton(QToolButton):
    """A button with a menu of lines to check; none checked, or all, means all."""

    values_changed = Signal(object)  # frozenset of values, or None for all

    def __init__(self, label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = label
        self._choices: list[Choice] = []
        self._values: frozenset[Hashable] | None = None
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setMenu(_StayingMenu(self))

    def show_choices(self, choices: Iterable[Choice], values: frozenset[Hashable] | None) -> None:
        """Show other lines, counts or check marks; emits nothing."""
        new = list(choices)
        if new == self._choices and values == self._values:
            return
        rebuild = [choice[:3] for choice in new] != [choice[:3] for choice in self._choices]
        self._choices, self._values = new, values
        menu = self.menu()
        if rebuild:
            menu.clear()
            everything = menu.addAction("All")
            everything.triggered.connect(lambda: self._set(None))
            menu.addSeparator()
            for choice in new:
                action = menu.addAction(choice.text)
                action.setCheckable(True)
                action.setData(choice.value)
                action.triggered.connect(self._on_ticked)
        for action, choice in zip(self._lines(), new, strict=True):
            action.setText(f"{choice.text}\t{count_text(choice.findings)}")
            action.setChecked(values is not None and choice.value in values)
            if choice.colour:
                action.setIcon(colour_icon(choice.colour))
        self._show_text()

    def differs(self, values: list[Any], ticked: frozenset[Any] | None) -> bool:
        """Whether other lines or check marks than these are shown."""
        return [choice.value for choice in self._choices] != values or self._values != ticked

    def _lines(self) -> list[QAction]:
        return [action for action in self.menu().actions() if action.isCheckable()]

    def _show_text(self) -> None:
        if self._values is None:
            total = sum(choice.findings for choice in self._choices)
            self.setText(f"{self._label}: all {count_text(total)} ")
            return
        ticked = [choice for choice in self._choices if choice.value in self._values]
        if len(ticked) == 1:
            self.setText(f"{ticked[0].short} {count_text(ticked[0].findings)} ")
        else:
            self.setText(
                f"{self._label}: {', '.join(choice.short for choice in ticked[:2])}{' …' if len(ticked) > 2 else ''} "
            )

    def _on_ticked(self) -> None:
        ticked = frozenset(action.data() for action in self._lines() if action.isChecked())
        self._set(None if not ticked or len(ticked) == len(self._choices) else ticked)

    def _set(self, values: frozenset[Hashable] | None) -> None:
        self.values_changed.emit(values)


class GalleryHeader(QWidget):
    """Order, class, state, confidence, text, chosen, size of the crops."""

    side_changed = Signal(int)

    def __init__(self, session: Session, model: FindingModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._model = model
        self.scope = ScopeSwitch(session)
        self.order = QComboBox()
        self.sort_again = QToolButton()
        self.classes = ChoiceButton("class")
        self.states = ChoiceButton("state")
        self.confidence = QSlider(Qt.Orientation.Horizontal)
        self.confidence_value = QLabel()
        self._limit_entry: LogEntry | None = None
        self._limit_set = 0.0
        self.more = FilterButton(session)
        self.saved = SavedFilters(session)
        self.search = SearchField()
        self.fault = QLabel()
        self.chosen = QToolButton()
        self.crop_size = QSlider(Qt.Orientation.Horizontal)
        self._build()
        # what the user moves is shown at once; counting 100,000 rows each time would be slow
        self._due = Refresh(self, self._count, after_ms=40)
        for signal in (session.filter_changed, session.classes_changed, session.slide_changed, session.project_changed):
            link(self, signal, self.refresh)
        link(self, session.scoped.changed, self._due.soon)
        model.order_changed.connect(self._on_order_changed)
        model.stale_changed.connect(self._on_stale_changed)
        self._on_order_changed()
        self._on_stale_changed()
        self.refresh()

    def _build(self) -> None:
        for name, text in ORDERS.items():
            self.order.addItem(text, name)
        self.order.setToolTip("Order of the gallery, and of “next”")
        self.order.activated.connect(lambda: self._model.set_order(self.order.currentData()))
        self.sort_again.setText("Sort again")
        self.sort_again.clicked.connect(self._model.sort_again)
        self.classes.setToolTip("Show only some classes, here and on the slide; numbers and reports stay the same")
        self.classes.values_changed.connect(lambda values: self._session.set_filter(class_ids=values))
        self.states.setToolTip("Show only findings that were judged, or not judged yet")
        self.states.values_changed.connect(lambda values: self._session.set_filter(states=values))
        self.confidence.setRange(LOWEST_CONFIDENCE, 100)
        self.confidence.setPageStep(5)
        self.confidence.setMinimumWidth(72)  # a low screen has no room for more
        self.confidence.setMaximumWidth(120)
        self.confidence.setToolTip(
            "Unreviewed findings of which a model is less sure do not count: not on the slide, not in any number, "
            "report or export. What a user drew or judged always counts."
        )
        self.confidence.sliderPressed.connect(self._on_confidence_taken)
        self.confidence.valueChanged.connect(self._on_confidence_moved)
        self.confidence_value.setMinimumWidth(self.fontMetrics().horizontalAdvance("0.00 "))
        self.search.setMinimumWidth(90)  # with 120 it lay over the button beside it where there are several slides
        self.search.setMaximumWidth(320)
        self.search.searched.connect(lambda text: self._session.set_filter(text=text))
        self.chosen.setCheckable(True)
        self.chosen.setToolTip("Show only what is chosen for the SEM (S chooses)")
        self.chosen.clicked.connect(lambda checked: self._session.set_filter(only_chosen=checked))
        self.crop_size.setRange(*SIDES)
        self.crop_size.setFixedWidth(72)
        self.crop_size.setToolTip("Size of the crops")
        self.crop_size.valueChanged.connect(self.side_changed)
        row = QHBoxLayout()
        row.setSpacing(8)
        at_least = QLabel("confidence ≥")
        for widget in (self.scope, self.order, self.sort_again, self.classes, self.states, at_least, self.confidence):
            row.addWidget(widget)
        row.addWidget(self.confidence_value)
        row.addWidget(self.more)
        row.addWidget(self.search, 3)
        row.addWidget(self.saved)
        row.addWidget(self.chosen)
        row.addStretch(1)
        row.addWidget(self.crop_size)
        self.fault.setProperty("error", True)
        self.fault.setWordWrap(True)
        self.fault.setTextFormat(Qt.TextFormat.PlainText)
        self.fault.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.fault)
        for button in (self.sort_again, self.classes, self.states, self.chosen):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setAutoRaise(True)
        self.order.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def minimumSizeHint(self) -> QSize:
        """Qt: let the bar shrink rather than make the window wider than the screen."""
        return QSize(360, super().minimumSizeHint().height())

    def _on_order_changed(self) -> None:
        with QSignalBlocker(self.order):
            self.order.setCurrentIndex(self.order.findData(self._model.order))

    def _on_stale_changed(self) -> None:
        new = self._model.appended
        self.sort_again.setEnabled(self._model.stale)
        self.sort_again.setText(f"Sort again ({count_text(new)} new)" if new else "Sort again")
        self.sort_again.setToolTip(
            "New findings are at the end and judged ones keep their place until you sort again."
            if self._model.stale
            else "Everything is in order."
        )

    def _on_confidence_taken(self) -> None:
        self._limit_entry = None  # another drag is another step of the history

    def _on_confidence_moved(self, hundredths: int) -> None:
        self._show_confidence(hundredths)
        if time.monotonic() - self._limit_set > SAME_STEP_S and not self.confidence.isSliderDown():
            self._limit_entry = None  # the wheel or a key, after a while
        self._limit_set = time.monotonic()
        # at the left end everything counts, also what an import brought with less than 0.05
        limit = 0.0 if hundredths <= LOWEST_CONFIDENCE else hundredths / 100
        try:
            entry = self._session.set_confidence_limit(limit, amends=self._limit_entry)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            self.refresh()
        else:
            self._limit_entry = entry or self._limit_entry

    def _show_confidence(self, hundredths: int) -> None:
        self.confidence_value.setText("all" if hundredths <= LOWEST_CONFIDENCE else f"{hundredths / 100:.2f}")

    def refresh(self) -> None:
        """Show the current filter, and soon the counts."""
        shown = self._session.filter
        hundredths = max(LOWEST_CONFIDENCE, round(self._session.inclusion.confidence_limit * 100))
        with QSignalBlocker(self.confidence), QSignalBlocker(self.chosen):
            self.confidence.setValue(hundredths)
            self.chosen.setChecked(shown.only_chosen)
        self._show_confidence(hundredths)
        self._show_search(shown.text)
        self.more.refresh()
        has_project = self._session.project is not None
        filters = (self.classes, self.states, self.more, self.saved, self.search, self.chosen)
        for widget in (self.order, *filters, self.crop_size):
            widget.setEnabled(has_project)
        self.confidence.setEnabled(self._session.can_write)  # it changes what counts for all users
        if self.classes.differs([item.id for item in self._session.classes], shown.class_ids) or self.states.differs(
            list(ReviewState), shown.states
        ):
            self._due.now()
        else:
            self._due.soon()

    def _show_search(self, text: str) -> None:
        project = self._session.project
        known = Known() if project is None else project.filters.known()
        self.search.set_known(known, {item.code: item.name for item in self._session.classes})
        self.search.show_text(text)
        fault = search_fault(text, known)
        self.fault.setText(fault)
        self.fault.setVisible(bool(fault))

    def _count(self) -> None:
        shown, rows = self._session.filter, self._session.scoped.table.rows
        self._show_states(rows, shown)
        self._show_classes(rows, shown)
        self.chosen.setText(f"★ {count_text(int(np.count_nonzero(self._session.scoped.table.chosen)))} chosen")

    def _show_states(self, rows: np.ndarray, shown: BoxFilter) -> None:
        if shown.states is None:
            counts = self._session.scoped.shown.counts().sum(axis=0)
        else:
            passing = self._session.scoped.shown.passing(_without(shown, states=True))
            counts = np.bincount(rows["state"][passing], minlength=len(ReviewState))
        self.states.show_choices(
            [Choice(state, state.word, state.word, int(counts[state])) for state in ReviewState], shown.states
        )

    def _show_classes(self, rows: np.ndarray, shown: BoxFilter) -> None:
        if shown.class_ids is None:
            count_of = self._session.scoped.shown.class_counts()
        else:
            count_of = class_counts(rows, self._session.scoped.shown.passing(_without(shown, classes=True)))
        self.classes.show_choices(
            [
                Choice(item.id, f"{item.code}  {item.name}", item.code, count_of.get(item.id, 0), item.colour)
                for item in self._session.classes
            ],
            shown.class_ids,
        )


def _without(shown: BoxFilter, *, states: bool = False, classes: bool = False) -> BoxFilter:
    return replace(shown, class_ids=None if classes else shown.class_ids, states=None if states else shown.states)
