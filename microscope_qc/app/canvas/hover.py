"""The card that describes a finding when the mouse rests on it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, QRect, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.core.wording import confidence_text, size_text, state_text

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

AFTER_MS = 450
AWAY = 18
"""Distance from the mouse, in screen points: the finding under it stays visible."""
WIDEST = 300
LONGEST_NOTE = 160


class HoverCard(QWidget):
    """Class, confidence, size, state and note of one finding; the mouse goes through it."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._session = session
        self._place = QPoint()
        self.box_id: int | None = None
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.RichText)
        self._label.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 7, 10, 8)
        column.addWidget(self._label)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(AFTER_MS)
        self._soon.timeout.connect(self._show)
        self.hide()

    @property
    def words(self) -> str:
        """The text shown, as rich text."""
        return self._label.text()

    def over(self, box_id: int | None, place: QPoint) -> None:
        """Follow the mouse over a finding (or none) at a position of the canvas."""
        self._place = place
        if box_id is None:
            self.leave()
        elif box_id != self.box_id:
            self.box_id = box_id
            self.hide()
            self._soon.start()
        elif self.isVisible():
            self._move()

    def leave(self) -> None:
        """Hide: the mouse is not over a finding, or does something else."""
        self.box_id = None
        self._soon.stop()
        self.hide()

    def _show(self) -> None:
        session = self._session
        if self.box_id is None or self.box_id not in session.table:
            self.leave()
            return
        row = session.table.get([self.box_id])[0]
        colours = theme.current()
        item = session.class_of(int(row["class_id"]))
        confidence = confidence_text(float(row["confidence"]))
        facts = [
            f"<b>{escape(item.code)}</b>&nbsp; {escape(item.name)}",
            f"{size_text(row, session.pixel_size_um)} &nbsp;·&nbsp; "
            + (confidence if confidence == "drawn" else f"confidence {confidence}"),
            escape(state_text(row)),
        ]
        note = str(row["note"]).strip()
        if note:
            short = note if len(note) <= LONGEST_NOTE else note[: LONGEST_NOTE - 1].rstrip() + "…"
            facts.append(f"<span style='color:{colours.quiet}'>{escape(short)}</span>")
        self._label.setText("<br>".join(facts))
        self._label.setStyleSheet(f"color: {colours.text}; background: transparent;")
        self._fit()
        self._move()
        self.show()
        self.raise_()

    def _fit(self) -> None:
        self._label.setWordWrap(False)
        wide = self._label.sizeHint().width()
        self._label.setWordWrap(wide > WIDEST)
        self._label.setFixedWidth(min(wide, WIDEST))
        self.resize(self._label.width() + 20, self._label.heightForWidth(self._label.width()) + 15
                    if wide > WIDEST else self._label.sizeHint().height() + 15)  # fmt: skip

    def _move(self) -> None:
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(beside(self._place, self.rect(), parent.rect()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the background."""
        colours = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(colours.base)
        ground.setAlpha(242)
        painter.setBrush(ground)
        painter.setPen(QPen(QColor(colours.line), 1))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        painter.end()


def beside(place: QPoint, card: QRect, room: QRect) -> QRect:
    """Position of a card next to a point: to the lower right, else on the sides with space, never over the point."""
    x = place.x() + AWAY
    if x + card.width() > room.right():
        x = place.x() - AWAY - card.width()
    y = place.y() + AWAY
    if y + card.height() > room.bottom():
        y = place.y() - AWAY - card.height()
    found = QRect(x, y, card.width(), card.height())
    if x < room.left():  # no space to the left or right: above or below the point
        found.moveLeft(max(room.left(), min(place.x(), room.right() - card.width())))
    return found
