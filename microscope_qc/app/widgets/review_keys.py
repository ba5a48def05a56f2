"""The keys of a review, shared by gallery and review page, and the strip of reasons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QEvent, QKeyCombination, QObject, Qt, Signal
from qtpy.QtGui import QFocusEvent, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from microscope_qc.app.base.settings import load_settings
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.apply_to_similar import SimilarDialog
from microscope_qc.core.boxes import REJECT_REASONS
from microscope_qc.core.defect_class import CLASS_KEYS
from microscope_qc.core.errors import MicroscopeQCError

REVIEW_KEYS = {
    "review.confirm": ("Return", "Enter", "Y"),
    "review.reject": ("N",),
    "review.unreview": ("U",),
    "review.choose": ("S",),
    "review.similar": ("E",),
    "review.next": ("Right",),
    "review.previous": ("Left",),
}
"""Default keys of the review actions, by the action's id."""
HINTS = (
    ("Enter", "confirm"),
    ("N", "reject"),
    ("1–9, 0, Shift 1–0", "class"),
    ("S", "SEM"),
    ("U", "unreviewed"),
    ("E", "apply to similar"),
    ("← →", "previous, next"),
)
"""Key and word, as shown at the bottom of the review page."""


class RejectStrip(QFrame):
    """Shows the reasons with their letters over the bottom of a view; a letter or a click chooses one."""

    chosen = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("rejectStrip")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._back_to: QWidget | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.setSpacing(6)
        row.addWidget(QLabel("<b>Reject because:</b>"))
        for letter, reason in REJECT_REASONS.items():
            button = QPushButton(f"{letter.upper()}   {reason}")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False, reason=reason: self._choose(reason))
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(QLabel("Esc  back"))
        self.hide()

    def popup(self) -> None:
        """Open along the parent's lower edge and take the focus."""
        parent = self.parentWidget()
        assert parent is not None
        self._back_to = parent.window().focusWidget() or parent
        height = self.sizeHint().height()
        self.setGeometry(0, parent.height() - height, parent.width(), height)
        self.show()
        self.raise_()
        self.setFocus(Qt.FocusReason.PopupFocusReason)

    def _choose(self, reason: str) -> None:
        self._close()
        self.chosen.emit(reason)

    def _close(self) -> None:
        if self.isVisible():
            self.hide()
            if self._back_to is not None:
                self._back_to.setFocus(Qt.FocusReason.PopupFocusReason)
            self.closed.emit()

    def event(self, event: QEvent) -> bool:
        """Qt: letters belong to this strip while it is open, not to the window's shortcuts."""
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: choose a reason, or close."""
        self.take_key(event)

    def take_key(self, event: QKeyEvent) -> None:
        """Choose by a letter; any other key closes the strip."""
        reason = REJECT_REASONS.get(event.text().lower())
        if reason is not None:
            self._choose(reason)
        elif event.key() not in (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta):
            self._close()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Qt: losing the focus closes the strip."""
        super().focusOutEvent(event)
        if self.isVisible():
            self.hide()
            self.closed.emit()


class ReviewKeys(QObject):
    """Gives a widget the keys of a review.

    Parameters
    ----------
    widget
        The widget whose keys are watched (it has the focus).
    host
        The widget over whose lower edge the reasons appear.
    """

    def __init__(self, session: Session, widget: QWidget, host: QWidget) -> None:
        super().__init__(widget)
        self._session = session
        self._model = session.findings
        self._host = host
        self.strip = RejectStrip(host)
        self.strip.chosen.connect(self.reject)
        self.dialog: SimilarDialog | None = None
        self._by_action: dict[str, Callable[[], None]] = {
            "review.next": self.next_,
            "review.previous": self.previous,
            "review.confirm": self.confirm,
            "review.reject": self.ask_reason,
            "review.choose": self.choose,
            "review.unreview": self.unreview,
            "review.similar": self.judge_similar,
            **{f"class.{key}": partial(self.relabel, key) for key in CLASS_KEYS},
        }
        self._usual = {**REVIEW_KEYS, **{f"class.{key}": (key,) for key in CLASS_KEYS}}
        self._commands: dict[int, Callable[[], None]] = {}
        self.load_keys()
        widget.installEventFilter(self)

    def load_keys(self) -> None:
        """Load the keys of the actions, as the user may have changed them."""
        changed = load_settings()[0].shortcuts
        self._commands = {}
        for action_id, command in self._by_action.items():
            for text in changed.get(action_id, self._usual[action_id]):
                sequence = QKeySequence(text)
                if sequence.count() == 1:
                    self._commands[sequence[0].toCombined()] = command  # type: ignore[index]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: take the keys of the review before the window's shortcuts and the view's own keys."""
        kind = event.type()
        if kind == QEvent.Type.FocusIn:
            self.load_keys()
        if kind not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress) or not isinstance(event, QKeyEvent):
            return False
        if self.strip.isVisible():  # the view may have kept the focus
            event.accept()
            if kind == QEvent.Type.KeyPress:
                self.strip.take_key(event)
            return True
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        command = self._commands.get(QKeyCombination(modifiers, Qt.Key(event.key())).toCombined())
        if command is None:
            return False
        event.accept()
        if kind == QEvent.Type.KeyPress:
            self._do(command)
        return True

    def _do(self, command: Callable[[], None]) -> None:
        try:
            command()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _have_selection(self) -> bool:
        """Without a selection make the first finding current, so that no key acts on something unseen."""
        if self._session.suggested.current is not None:
            return True
        if len(self._session.selection):
            self._model.start_review()
            return True
        self._session.navigation.next()
        return False

    def _selected(self) -> bool:
        return self._session.suggested.current is None and self._have_selection()

    def next_(self) -> None:
        """Go to the next finding."""
        self._model.start_review()
        self._session.judging.step(1)

    def previous(self) -> None:
        """Go to the previous finding."""
        self._model.start_review()
        self._session.judging.step(-1)

    def confirm(self) -> None:
        """Confirm and go on."""
        if self._have_selection():
            self._session.judging.confirm_and_next()

    def ask_reason(self) -> None:
        """Show the reasons; a suggestion is rejected at once."""
        if self._session.suggested.current is not None:
            self._session.suggested.judge_current(accepted=False)
        elif self._have_selection():
            self.strip.popup()

    def reject(self, reason: str) -> None:
        """Reject and go on."""
        self._model.start_review()
        self._do(lambda: self._session.judging.reject_and_next(reason))

    def relabel(self, key: str) -> None:
        """Set the class that has a key."""
        if self._have_selection():
            self._session.judging.press_class_key(key)

    def choose(self) -> None:
        """Add the selection to the travel list; remove it if all of it is there already."""
        if self._selected():
            rows = self._session.rows_of(self._session.selection.ids)
            self._session.judging.choose(self._session.selection.ids, not bool(rows["chosen"].all()))

    def unreview(self) -> None:
        """Set the selection back to unreviewed."""
        if self._selected():
            self._session.judging.unreview(self._session.selection.ids)

    def judge_similar(self) -> None:
        """Preview the findings similar to the current one, then judge them."""
        if self._selected():
            self.dialog = SimilarDialog(self._session, self._host)
            self.dialog.open()
