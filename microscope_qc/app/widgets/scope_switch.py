"""The switch between this slide, selected slides and all slides, at the top of the lists that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.scope import ScopeKind
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.wording import count_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

WHAT = "The slides that gallery, table, counts, filters and review work over; the canvas shows one of them"
COUNT_MS = 150
CHOOSE = "Select slides in the list of slides first."


class ScopeSwitch(QComboBox):
    """Shows and changes the scope of the session; all switches say the same. Hidden where there is one slide only."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("scopeSwitch")
        self._session = session
        self.setToolTip(WHAT)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for kind in ScopeKind:
            self.addItem(kind.words, kind.value)
        self.activated.connect(self._on_activated)
        link(self, session.scope.changed, self.refresh)
        link(self, session.scope.chosen_changed, self.refresh)
        for signal in (session.project_changed, session.slides_changed):
            link(self, signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the scope, and how many slides each choice means."""
        scope, project = self._session.scope, self._session.project
        slides = 0 if project is None else len(project.slides)
        chosen = len(scope.chosen_ids)
        words = {
            ScopeKind.SLIDE: ScopeKind.SLIDE.words,
            ScopeKind.SELECTED: things(chosen, "selected slide") if chosen else ScopeKind.SELECTED.words,
            ScopeKind.ALL: f"All {count_text(slides)} slides",
        }
        with QSignalBlocker(self):
            for place, kind in enumerate(ScopeKind):
                self.setItemText(place, words[kind])
            self.setItemData(1, None if chosen else CHOOSE, Qt.ItemDataRole.ToolTipRole)
            item = self.model().item(1)  # type: ignore[attr-defined]
            item.setEnabled(bool(chosen) or scope.kind is ScopeKind.SELECTED)
            self.setCurrentIndex(list(ScopeKind).index(scope.kind))
        self.setVisible(slides > 1)

    def _on_activated(self, place: int) -> None:
        self._session.scope.set_kind(self.itemData(place))


def left_words(session: Session) -> str:
    """``212 left on 14 slides``: unreviewed findings that the lists show; "" where they are of one slide."""
    scoped = session.scoped
    if not scoped.several:
        return ""
    open_ = scoped.shown.mask() & (scoped.table.states == ReviewState.UNREVIEWED)
    count = int(np.count_nonzero(open_))
    if not count:
        return f"Nothing left on {session.scope.words}"
    slides = np.count_nonzero(np.bincount(scoped.slides()[open_]))
    return f"{count_text(count)} left on {things(int(slides), 'slide')}"


class ScopeHint(QLabel):
    """How much is left to judge, while the window works over several slides."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        self.setToolTip("Unreviewed findings that gallery and table show")
        self._due = Refresh(self, self.refresh, after_ms=COUNT_MS)
        for signal in (session.scope.changed, session.filter_changed, session.project_changed):
            link(self, signal, self._on_scope_changed)
        for signal in (session.scoped.changed, session.scoped.loading_changed):
            link(self, signal, self._on_scope_changed)
        self._on_scope_changed()

    def _on_scope_changed(self, *_: object) -> None:
        scoped = self._session.scoped
        self.setVisible(scoped.several or scoped.loading)
        if not self.isHidden():
            self._due.soon()

    def refresh(self) -> None:
        """Count again."""
        loading = self._session.scoped.loading
        self.setText(f"Reading the findings of {self._session.scope.words} …" if loading else left_words(self._session))
