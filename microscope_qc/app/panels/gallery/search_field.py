"""The field that is searched with: it offers fields and classes while a user types, and explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from qtpy.QtCore import QModelIndex, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QAction, QInputMethodEvent, QKeyEvent, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QCompleter, QFrame, QLabel, QLineEdit, QListView, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.core.box_facts import Known
from microscope_qc.core.query_words import FIELD_WORDS
from microscope_qc.core.search import search_fault
from microscope_qc.core.search_completion import Completion, completions

TYPING_MS, UNREADABLE_MS = 150, 1_000
"""The search begins when no key was pressed for so long; a condition that is not complete yet is given more time."""
POPUP_WIDTH = 420
_EXAMPLES = (
    ("crack tab", "both words, in class, note, reason, attributes or the name of the slide"),
    ("#460", "the finding with this number"),
    ('"near the tab"', "these words as they stand"),
    ("class=CRK confidence<0.5", "conditions; all of them must hold"),
    ("class=CRK,COP", "one of several values"),
    ("Ni > 20 at%", "what EDX measured; wt% for weight %"),
    ('note~"tab 3"', "a field that contains a text"),
)
_FIELDS = "Fields for conditions, with = != < <= > >= or ~ (contains):"


class SearchField(QLineEdit):
    """Words and conditions; ``searched`` comes when typing pauses, at Return, and at once for all but keys.

    F1 or the button shows what can be typed. Up and Down choose from what is offered, Return or Tab takes it.
    """

    searched = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known, self._names = Known(), dict[str, str]()
        self._by_key = False
        self._told = ""
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(self._on_pause)
        self.offers = QStandardItemModel(self)
        self.suggestions = QCompleter(self.offers, self)
        self._set_up_completer()
        self.setPlaceholderText("Search")
        self.setClearButtonEnabled(True)
        self.setToolTip(
            "Words, numbers (#460), text in quotes, or conditions such as class=CRK confidence<0.5 (F1: help)"
        )
        self.help = SearchHelp(self)
        action = QAction(theme.icon("help-circle-outline"), "What can be typed here (F1)", self)
        action.triggered.connect(self.show_help)
        self.addAction(action, QLineEdit.ActionPosition.TrailingPosition)
        self.textChanged.connect(self._on_text_changed)
        self.textEdited.connect(self.offer)
        self.returnPressed.connect(self._on_return)

    def _set_up_completer(self) -> None:
        popup = QListView()
        popup.setUniformItemSizes(True)
        popup.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.suggestions.setWidget(self)
        self.suggestions.setPopup(popup)
        self.suggestions.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self.suggestions.activated[QModelIndex].connect(self._on_offer_chosen)  # type: ignore[index]

    @property
    def pending(self) -> bool:
        """Whether what stands in the field is yet to be searched for."""
        return self._pause.isActive()

    def set_known(self, known: Known, names: Mapping[str, str]) -> None:
        """Take over what a search can name, and the name of each class by its code."""
        self._known, self._names = known, dict(names)

    def show_text(self, text: str) -> None:
        """Show what is searched for; does not emit ``searched`` and leaves alone what is being typed."""
        self._told = text
        if not self.pending and self.text().strip() != text:
            self.setText(text)

    def search_now(self) -> None:
        """Search without waiting for a pause."""
        self._pause.stop()
        text = self.text().strip()
        if text != self._told:
            self._told = text
            self.searched.emit(text)

    def show_help(self) -> None:
        """Show what can be typed, below the field."""
        self.help.popup_below(self)

    # -- typing ------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: F1 is help; what is typed waits for a pause."""
        if event.key() == Qt.Key.Key_F1:
            self.show_help()
            return
        self._by_key = True
        super().keyPressEvent(event)
        self._by_key = False

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        """Qt: as keys are."""
        self._by_key = True
        super().inputMethodEvent(event)
        self._by_key = False

    def _on_text_changed(self) -> None:
        if self._by_key:
            self._pause.start(TYPING_MS if self._readable() else UNREADABLE_MS)
        else:
            self.search_now()

    def _on_pause(self) -> None:
        if self._offering() and not self._readable():
            self._pause.start(UNREADABLE_MS)
        else:
            self.search_now()

    def _on_return(self) -> None:
        popup = self.suggestions.popup()
        if popup is None or not self._offering() or not popup.currentIndex().isValid():  # else Return takes an offer
            self.search_now()

    def _readable(self) -> bool:
        return not search_fault(self.text().strip(), self._known)

    def _offering(self) -> bool:
        popup = self.suggestions.popup()
        return popup is not None and popup.isVisible()

    # -- completion --------------------------------------------------------------------------------------------------

    def offer(self, _text: str = "") -> None:
        """Offer how the word before the cursor may go on; nothing is chosen until a user goes down to it."""
        found = completions(self.text()[: self.cursorPosition()], self._known, self._names)
        self.offers.clear()
        for completion in found:
            item = QStandardItem(completion.text + (f"   {completion.words}" if completion.words else ""))
            item.setData(completion, Qt.ItemDataRole.UserRole)
            item.setEditable(False)
            self.offers.appendRow(item)
        popup = self.suggestions.popup()
        if popup is None:
            return
        if not found:
            popup.hide()
            return
        colours = theme.current()
        popup.setStyleSheet(
            f"QListView {{ border: 1px solid {colours.line}; }} QListView::item {{ padding: 3px 6px; }}"
            f"QListView::item:selected {{ background: {colours.selected}; color: {colours.text}; }}"
        )
        area = self.rect()
        area.setWidth(max(area.width(), POPUP_WIDTH))
        self.suggestions.complete(area)

    def _on_offer_chosen(self, index: QModelIndex) -> None:
        chosen = index.data(Qt.ItemDataRole.UserRole)
        if not isinstance(chosen, Completion):
            return
        after = self.text()[self.cursorPosition() :]
        before = self.text()[: chosen.start] + chosen.text
        self._by_key = before[-1] in "=<>~"  # a field is there, its values come next
        self.setText(before + after)
        self.setCursorPosition(len(before))
        if self._by_key:
            self.offer()
        self._by_key = False


class SearchHelp(QFrame):
    """Examples and fields, in a popup that any click or Escape closes."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 12, 8)
        column.addWidget(self.words)

    def popup_below(self, field: QWidget) -> None:
        """Show below a field, or above it where the screen ends."""
        quiet = theme.current().quiet
        rows = [_row(example, words, quiet) for example, words in _EXAMPLES]
        rows += [
            "<tr><td colspan='2'><br>Fields for conditions, with = != &lt; &lt;= &gt; &gt;= or ~ (contains):</td></tr>"
        ]
        rows += [_row(name, words.replace("in um", "in µm"), quiet) for name, words in FIELD_WORDS.items()]
        self.words.setText(f"<table cellspacing='0' cellpadding='1'>{''.join(rows)}</table>")
        self.adjustSize()
        place = field.mapToGlobal(QPoint(0, field.height() + 2))
        screen = field.screen().availableGeometry()
        if place.y() + self.height() > screen.bottom():
            place.setY(max(screen.top(), field.mapToGlobal(QPoint(0, 0)).y() - self.height() - 2))
        place.setX(max(screen.left(), min(place.x(), screen.right() - self.width())))
        self.move(place)
        self.show()


def _row(left: str, right: str, quiet: str) -> str:
    left = escape(left).replace(" ", "&nbsp;")
    return f"<tr><td><b>{left}</b>&nbsp;&nbsp;&nbsp;</td><td style='color:{quiet}'>{escape(right)}</td></tr>"
