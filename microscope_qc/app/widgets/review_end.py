"""What a review has come to when the last finding was judged: judged, left, by class, and what can be done next."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.scope import ScopeKind
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

CLASSES_SHOWN = 12
CLASSES_IN_A_LINE = 5


class ReviewEnd(QFrame):
    """Appears after the last finding of the review order and goes when another finding is chosen.

    Parameters
    ----------
    compact
        One line with buttons, for the gallery; otherwise a page with the numbers of each class.
    """

    export_requested = Signal()
    shown_changed = Signal(bool)

    def __init__(self, session: Session, parent: QWidget | None = None, *, compact: bool = False) -> None:
        super().__init__(parent)
        self.setObjectName("reviewEnd")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAutoFillBackground(True)
        self._session = session
        self._compact = compact
        self._at: int | None = None
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setWordWrap(True)
        self.left = self._button("check", self._review_left)
        self.wider = self._button("view-grid-outline", self._widen)
        self.filter = self._button("filter-menu-outline", self._next_filter)
        self.export = self._button("export-variant", self.export_requested.emit)
        self.export.setText("Export or report…")
        self._lay_out()
        self.hide()
        link(self, session.order_ended, self._on_order_ended)
        link(self, session.selection.changed, self._on_selection_changed)
        for signal in (session.project_changed, session.scope.changed, session.filter_changed):
            link(self, signal, self.leave)
        link(self, session.history_changed, self._on_history_changed)

    def _button(self, icon: str, act: Callable[[], object]) -> QPushButton:
        button = QPushButton(theme.icon(icon), "")
        button.setAutoDefault(False)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # the keys of the review stay with the list
        button.clicked.connect(act)
        return button

    def _lay_out(self) -> None:
        buttons = (self.left, self.wider, self.filter, self.export)
        if self._compact:
            row = QHBoxLayout(self)
            row.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP, theme.STEP // 2)
            row.addWidget(self.words, 1)
            for button in buttons:
                row.addWidget(button)
            return
        column = QVBoxLayout(self)
        column.setContentsMargins(4 * theme.STEP, 4 * theme.STEP, 4 * theme.STEP, 4 * theme.STEP)
        column.setSpacing(2 * theme.STEP)
        column.addStretch(1)
        column.addWidget(self.words)
        row = QHBoxLayout()
        for button in buttons:
            row.addWidget(button)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(2)

    # -- coming and going --------------------------------------------------------------------------------------------

    def _on_order_ended(self) -> None:
        self._at = self._session.selection.current
        self.refresh()
        if self.isHidden():
            self.show()
            self.shown_changed.emit(True)

    def _on_selection_changed(self) -> None:
        if self._session.selection.current != self._at:
            self.leave()

    def _on_history_changed(self) -> None:
        if not self.isHidden():
            self.refresh()

    def leave(self) -> None:
        """Make room for the findings again."""
        if not self.isHidden():
            self.hide()
            self.shown_changed.emit(False)

    # -- what it says ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Count again."""
        session = self._session
        table = session.scoped.table
        ids = session.findings.order_ids()
        places = table.rows_of(ids[table.has(ids)])
        states, classes = table.states[places], table.class_ids[places]
        left = int(np.count_nonzero(states == ReviewState.UNREVIEWED))
        slides = len(np.unique(session.scoped.slides_of(ids))) if session.scoped.several else 1
        where = f"{session.scope.words}" if slides > 1 else "this slide"
        confirmed = int(np.count_nonzero(states == ReviewState.CONFIRMED))
        rejected = int(np.count_nonzero(states == ReviewState.REJECTED))
        judged = f"{count_text(confirmed + rejected)} judged" + (
            f" ({count_text(confirmed)} confirmed, {count_text(rejected)} rejected)" if confirmed + rejected else ""
        )
        head = f"That was the last of {things(len(ids), 'finding')} on {where}."
        numbers = f"{judged}, {count_text(left)} left"
        if self._compact:
            some = self._by_class(classes, states)[:CLASSES_IN_A_LINE]
            of_class = ", ".join(f"{code} {count_text(open_)}" for _, code, _, _, open_ in some if open_)
            self.words.setText(f"<b>{head}</b> {numbers}" + (f": {escape(of_class)}" if of_class else "") + ".")
        else:
            self.words.setText(f"<h2>{head}</h2><p>{numbers}.</p>{self._class_table(classes, states)}")
        self._refresh_buttons(left)

    def _refresh_buttons(self, left: int) -> None:
        session, project = self._session, self._session.project
        self.left.setText(f"Review the {count_text(left)} left" if left > 1 else "Review the one left")
        self.left.setVisible(left > 0)
        self.wider.setText("Go on with all slides")
        self.wider.setVisible(
            project is not None and len(project.slides) > 1 and session.scope.kind is not ScopeKind.ALL
        )
        following = self._following_filter()
        self.filter.setText(f"Next filter: {following}" if following else "Show all findings")
        self.filter.setVisible(bool(following) or session.filter_active)

    def _by_class(self, classes: np.ndarray, states: np.ndarray) -> list[tuple[str, str, int, int, int]]:
        """Colour, code, confirmed, rejected and left of each class, most left first."""
        lines = []
        for number in np.unique(classes).tolist():
            found = self._session.class_of(number)
            counts = np.bincount(states[classes == number], minlength=len(ReviewState))
            confirmed, rejected = int(counts[ReviewState.CONFIRMED]), int(counts[ReviewState.REJECTED])
            lines.append((found.colour, found.code, confirmed, rejected, int(counts[ReviewState.UNREVIEWED])))
        return sorted(lines, key=lambda line: (-line[4], -line[2] - line[3], line[1]))

    def _class_table(self, classes: np.ndarray, states: np.ndarray) -> str:
        lines = self._by_class(classes, states)
        cells = "".join(
            f"<tr><td><span style='color: {colour}'>■</span> {escape(code)}</td>"
            + "".join(f"<td align='right' style='padding-left: 24px'>{count_text(n)}</td>" for n in counts)
            + "</tr>"
            for colour, code, *counts in lines[:CLASSES_SHOWN]
        )
        heads = "".join(
            f"<td align='right' style='padding-left: 24px'>{w}</td>" for w in ("confirmed", "rejected", "left")
        )
        more = len(lines) - CLASSES_SHOWN
        rest = f"<tr><td colspan='4'>and {things(more, 'more class', 'more classes')}</td></tr>" if more > 0 else ""
        return f"<table cellspacing='2'><tr><td></td>{heads}</tr>{cells}{rest}</table>" if lines else ""

    # -- what comes next ---------------------------------------------------------------------------------------------

    def _review_left(self) -> None:
        """Go to the first finding of the order that is not judged."""
        table, ids = self._session.scoped.table, self._session.findings.order_ids()
        open_ = ids[table.states[table.rows_of(ids)] == ReviewState.UNREVIEWED]
        if len(open_):
            self._session.navigation.select_and_centre(int(open_[0]))
            self.leave()

    def _widen(self) -> None:
        self._session.scope.set_kind(ScopeKind.ALL)

    def _following_filter(self) -> str:
        """Name of the saved filter after the one in use; "" without one."""
        project = self._session.project
        if project is None or not project.filters.saved:
            return ""
        names = list(project.filters.saved)
        now = next(
            (place for place, name in enumerate(names) if project.filters.saved[name] == project.filters.current), -1
        )
        return names[now + 1] if now + 1 < len(names) else ""

    def _next_filter(self) -> None:
        project, name = self._session.project, self._following_filter()
        try:
            if project is not None and name:
                project.filters.use(name)
            else:
                self._session.clear_filter()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
