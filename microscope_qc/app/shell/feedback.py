"""Messages of the window: toasts that fade, and a bar for errors and what to do about them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEasingCurve, QEvent, QObject, QPropertyAnimation, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.core.errors import MicroscopeQCError

TOAST_MS = 3200
TOAST_MARGIN = 24


class Toast(QFrame):
    """A short sentence over the lower edge of its parent; it fades by itself."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("toast")
        self._label = QLabel()
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 16, 8)
        row.addWidget(self._label)
        self.setStyleSheet(
            "#toast { background: #202428; border: 1px solid #4b5058; border-radius: 6px; }"
            "#toast QLabel { color: #f2f3f4; background: transparent; }"
        )
        self._effect = QGraphicsOpacityEffect(self)
        self.setGraphicsEffect(self._effect)
        self._fade = QPropertyAnimation(self._effect, b"opacity", self)
        self._fade.setDuration(350)
        self._fade.setStartValue(1.0)
        self._fade.setEndValue(0.0)
        self._fade.setEasingCurve(QEasingCurve.Type.InQuad)
        self._fade.finished.connect(self.hide)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.timeout.connect(self._fade.start)
        parent.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """The sentence shown."""
        return self._label.text()

    def say(self, words: str) -> None:
        """Show a sentence."""
        self._fade.stop()
        self._effect.setOpacity(1.0)
        self._label.setText(words)
        self._place()
        self.show()
        self.raise_()
        self._wait.start(max(TOAST_MS, 45 * len(words)))

    def _place(self) -> None:
        parent = self.parentWidget()
        if parent is not None:
            widest = max(1, parent.width() - 2 * TOAST_MARGIN)
            self._label.setWordWrap(False)
            if self.sizeHint().width() > widest:
                self._label.setWordWrap(True)
                self.resize(widest, self.heightForWidth(widest))
            else:
                self.adjustSize()
            self.move((parent.width() - self.width()) // 2, parent.height() - self.height() - 40)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay centred when the parent changes size."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False


def _always() -> bool:
    return True


class MessageBar(QFrame):
    """What happened, what to do, and details that can be unfolded."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("messageBar")
        self._icon = QLabel()
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._fold = QPushButton("Details")
        self._fold.setCheckable(True)
        self._copy = QPushButton("Copy")
        self._offer = QPushButton()
        self._offer.setProperty("primary", True)
        self._action: Callable[[], None] = self.hide
        self._is_open: Callable[[], bool] = _always
        self._severe = False
        self._close = QToolButton()
        self._close.setToolTip("Close this message")
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setFixedHeight(140)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._text, 1)
        row.addWidget(self._offer, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._copy, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._fold, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 8)
        column.addLayout(row)
        column.addWidget(self._details)
        self._fold.toggled.connect(self._on_fold_toggled)
        self._copy.clicked.connect(self._on_copy_clicked)
        self._close.clicked.connect(self.hide)
        self._offer.clicked.connect(self._on_offer_clicked)
        self.hide()

    @property
    def text(self) -> str:
        """The message shown, without the details."""
        return self._text.text()

    @property
    def shows_error(self) -> bool:
        """Whether it shows an error that the user has not closed yet."""
        return self.isVisible() and self._offer.isHidden()

    def show_error(self, error: MicroscopeQCError, *, details: str = "") -> None:
        """Show an error that the user can do something about."""
        self._show(error.message, error.hint, details=details, severe=False)

    def show_program_error(self, sentence: str, details: str) -> None:
        """Show an error of the program itself."""
        hint = "Your work so far is saved. The details can be copied for a report."
        self._show(sentence, hint, details=details, severe=True)

    def ask(
        self,
        message: str,
        hint: str,
        button: str,
        action: Callable[[], None],
        *,
        is_open: Callable[[], bool] = _always,
    ) -> None:
        """Offer the next step without blocking anything; ``is_open`` says whether it is still to be done."""
        self._action, self._is_open = action, is_open
        self._show(message, hint, details="", severe=False)
        self._offer.setText(button)
        self._offer.show()

    def withdraw(self) -> None:
        """Close a question that was answered in another way meanwhile."""
        if not self._offer.isHidden() and not self._is_open():
            self.hide()

    def refresh_theme(self) -> None:
        """Apply the colours of the theme."""
        colours = theme.current()
        colour = colours.error if self._severe else colours.warning
        self._icon.setPixmap(theme.icon("alert-circle-outline", colour).pixmap(20, 20))
        self._close.setIcon(theme.icon("close"))
        self.setStyleSheet(
            f"#messageBar {{ background: {colours.base}; border: none; border-left: 4px solid {colour};"
            f" border-bottom: 1px solid {colours.line}; }} #messageBar QLabel {{ background: transparent; }}"
        )

    def _show(self, message: str, hint: str, *, details: str, severe: bool) -> None:
        self._severe = severe
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setText(f"{message}\n{hint}" if hint else message)
        self._details.setPlainText(details)
        self._offer.hide()
        self._fold.setVisible(bool(details))
        self._copy.setVisible(bool(details))
        self._fold.setChecked(False)
        self._details.hide()
        self.refresh_theme()
        self.show()

    def _on_fold_toggled(self, opened: bool) -> None:
        self._details.setVisible(opened)

    def _on_offer_clicked(self) -> None:
        self.hide()
        self._action()

    def _on_copy_clicked(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self._text.text()}\n\n{self._details.toPlainText()}")
