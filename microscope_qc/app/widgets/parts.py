"""Small parts shared by several panels."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QFrame, QLabel, QLayout, QPushButton, QScrollArea, QSplitter, QVBoxLayout, QWidget


class EmptyPage(QWidget):
    """One sentence and one button."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.text.setWordWrap(True)
        self.button = QPushButton()
        column = QVBoxLayout(self)
        column.addStretch(1)
        column.addWidget(self.text)
        column.addSpacing(8)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)

    def say(self, text: str, button: str = "") -> None:
        """Show a sentence, and a button when there is something to press."""
        self.text.setText(text)
        self.button.setText(button)
        self.button.setVisible(bool(button))


def heading(text: str) -> QLabel:
    """Title of a section of a panel, as it stands: it may be a name from a file."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    font = QFont(label.font())
    font.setBold(True)
    label.setFont(font)
    return label


def sentence(text: str = "") -> QLabel:
    """Text that wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def note(text: str = "") -> QLabel:
    """Smaller text that wraps."""
    label = sentence(text)
    font = QFont(label.font())
    font.setPointSizeF(max(7.0, font.pointSizeF() - 0.5))
    label.setFont(font)
    return label


def put_beside(panel: QWidget, left: QWidget, right: QWidget) -> None:
    """Fill a panel with a list and, three times as wide, what is chosen in it; the border between them moves."""
    parts = QSplitter(Qt.Orientation.Horizontal)
    parts.addWidget(left)
    parts.addWidget(right)
    parts.setStretchFactor(1, 3)
    parts.setChildrenCollapsible(False)
    whole = QVBoxLayout(panel)
    whole.setContentsMargins(0, 0, 0, 0)
    whole.addWidget(parts)


def column_of(*parts: QWidget | QLayout | int) -> QVBoxLayout:
    """Parts one below the other; a number is a gap in px."""
    column = QVBoxLayout()
    column.setSpacing(6)
    for part in parts:
        if isinstance(part, int):
            column.addSpacing(part)
        elif isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    return column


class ScrolledColumn(QScrollArea):
    """Scrolls its content up and down; it is never narrower than the content, which would be cut off at the right."""

    def __init__(self, body: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)
        body.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:
        """Qt: as wide as the content must be, and the bar beside it."""
        size, body, bar = super().minimumSizeHint(), self.widget(), self.verticalScrollBar()
        if body is not None and bar is not None:
            size.setWidth(body.minimumSizeHint().width() + bar.sizeHint().width())
        return size

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: other content may need another width."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)


def scrolled(content: QLayout, parent: QWidget) -> ScrolledColumn:
    """Put content into a frame that scrolls vertically, so that a panel fits on a small screen."""
    body = QWidget()
    content.setContentsMargins(12, 8, 12, 12)
    body.setLayout(content)
    return ScrolledColumn(body, parent)
