"""The overview map in the corner of the canvas: the visible part of the slide, findings, viewed areas.

Click or drag to go elsewhere.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from qtpy.QtWidgets import QToolButton, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.base.turns import Later
from microscope_qc.app.canvas.overview.overview_layers import DOT_POINTS, dots_image, veil_image
from microscope_qc.app.canvas.view import View
from microscope_qc.core.wording import share_text, things

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

LONGEST = QSize(216, 160)
AT_ONCE = 20_000
"""More findings than this are counted in another thread."""
DOTS_EVERY_MS = 200
"""Findings are counted again at most this often while they change."""


class OverviewMap(QWidget):
    """Thumbnail with the visible rectangle. ``place_chosen`` carries slide y, x."""

    place_chosen = Signal(float, float)

    def __init__(self, parent: QWidget, session: Session) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._session = session
        self._pixmap = QPixmap()
        self._slide_shape = (1, 1)
        self._view = View()
        self._dots = QImage()
        self._veil = QImage()
        self._count = self._asked = 0
        self._dots_soon = Later(self, self._draw_dots, after_ms=DOTS_EVERY_MS)
        self.veil_button = QToolButton(self)
        self.veil_button.setCheckable(True)
        self.veil_button.setFixedSize(22, 22)
        self.veil_button.setIconSize(QSize(16, 16))
        self.veil_button.setIcon(theme.icon("eye-check-outline", "#ffffff"))
        self.veil_button.setCursor(Qt.CursorShape.ArrowCursor)
        self.veil_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.veil_button.setToolTip("Dim what has not been viewed yet")
        self.veil_button.setStyleSheet(
            "QToolButton { background: rgba(16, 18, 20, 190); border: none; border-radius: 4px; padding: 0; }"
            "QToolButton:hover { background: rgba(70, 76, 84, 230); }"
            "QToolButton:checked { background: #0067a8; }"
        )
        self.veil_button.clicked.connect(session.slide_view.set_veil)
        session.slide_view.veil_changed.connect(self._on_veil_changed)
        session.slide_view.seen_changed.connect(self._on_seen_changed)
        for signal in (session.boxes_changed, session.filter_changed, session.classes_changed):
            link(self, signal, self._dots_soon.soon)
        self._on_seen_changed()
        self.hide()

    # -- findings and viewed areas -----------------------------------------------------------------------------------

    def _draw_dots(self) -> None:
        session = self._session
        if session.slide is None or self._pixmap.isNull():
            self._dots, self._count = QImage(), 0
            self._asked += 1
            return
        table, mask = session.table, session.shown_mask()
        self._count = int(np.count_nonzero(mask))
        self._say()
        self._asked += 1
        if not self._count:
            self._take_dots(self._asked, QImage())
            return
        # copies: the table may change while another thread counts
        columns = dict(zip(("y0", "x0", "y1", "x1"), table.corners.copy(), strict=True))
        columns |= {"class_id": table.class_ids.copy(), "state": table.states.copy()}
        colours = {}
        for item in session.classes:
            colour = QColor(item.colour)
            colours[item.id] = (colour.red(), colour.green(), colour.blue())
        grid = max(1, self.height() // DOT_POINTS), max(1, self.width() // DOT_POINTS)
        draw = partial(_draw, columns, mask.copy(), colours, session.slide.shape_px, grid)
        if session.jobs is None or self._count <= AT_ONCE:
            self._take_dots(self._asked, draw())
        else:
            session.jobs.call(draw, on_done=partial(self._take_dots, self._asked))

    def _take_dots(self, asked: int, dots: QImage) -> None:
        if asked == self._asked:
            self._dots = dots
            self.update()

    def _on_seen_changed(self) -> None:
        view = self._session.slide_view
        self._veil = veil_image(view.seen.cells) if view.veil else QImage()
        self._say()
        self.update()

    def _on_veil_changed(self, shown: bool) -> None:
        self.veil_button.setChecked(shown)
        self._on_seen_changed()

    def _say(self) -> None:
        share = share_text(self._session.slide_view.seen.share)
        self.setToolTip(
            f"Click or drag to go there\n{things(self._count, 'finding')} shown, {share} of the slide viewed "
            "closely enough to judge"
        )

    # -- the map -----------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: keep the button in its corner and the size of the dots."""
        self.veil_button.move(
            self.width() - self.veil_button.width() - 3, self.height() - self.veil_button.height() - 3
        )
        self.veil_button.setVisible(self.height() >= 56 and self.width() >= 56)
        self._dots_soon.soon()

    def set_slide(self, shape: tuple[int, int] | None) -> None:
        """Take the size of another slide; without one the map is hidden."""
        self._pixmap = QPixmap()
        self._dots = QImage()
        self._dots_soon.soon()
        self.hide()  # until its thumbnail is there
        if shape is None:
            return
        self._slide_shape = shape
        parent = self.parentWidget()
        self.fit_into(parent.size() if parent is not None else LONGEST * 5)

    def fit_into(self, canvas: QSize) -> None:
        """Stay small compared to the canvas."""
        longest = QSize(min(LONGEST.width(), canvas.width() // 5), min(LONGEST.height(), canvas.height() // 4))
        size = QSize(self._slide_shape[1], self._slide_shape[0]).scaled(longest, Qt.AspectRatioMode.KeepAspectRatio)
        self.setFixedSize(max(size.width(), 24) + 2, max(size.height(), 24) + 2)

    def set_thumbnail(self, pixels: np.ndarray) -> None:
        """Show (h, w, 3) uint8 pixels."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        if self._pixmap.isNull():
            self._dots_soon.soon()
        self._pixmap = QPixmap.fromImage(image.copy())
        self._show_or_hide()
        self.update()

    def set_view(self, view: View) -> None:
        """Show the visible part of the slide."""
        self._view = view
        self._show_or_hide()
        self.update()

    def _show_or_hide(self) -> None:
        """Hide the map when the whole slide is visible: then it only covers part of it."""
        y0, x0, y1, x1 = self._view.bounds
        whole = y0 <= 0 and x0 <= 0 and y1 >= self._slide_shape[0] and x1 >= self._slide_shape[1]
        self.setVisible(not whole and not self._pixmap.isNull())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the map."""
        painter = QPainter(self)
        inner = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.fillRect(self.rect(), QColor(24, 24, 24))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(inner.toRect(), self._pixmap)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, on=False)
        for layer in (self._veil, self._dots):
            if not layer.isNull():
                painter.drawImage(inner.toRect(), layer)
        y0, x0, y1, x1 = self._view.bounds
        sy, sx = inner.height() / self._slide_shape[0], inner.width() / self._slide_shape[1]
        rect = QRectF(inner.left() + x0 * sx, inner.top() + y0 * sy, (x1 - x0) * sx, (y1 - y0) * sy)
        if rect.width() < 6 or rect.height() < 6:
            middle = rect.center()
            rect = QRectF(0, 0, max(rect.width(), 6), max(rect.height(), 6))
            rect.moveCenter(middle)
        rect = rect.intersected(inner)
        for pen in (QPen(QColor(0, 0, 0, 190), 3.5), QPen(QColor("#ffffff"), 1.5)):
            pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
            painter.setPen(pen)
            painter.drawRect(rect)
        painter.setPen(QPen(QColor(150, 150, 150), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the position under the mouse."""
        self._choose(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the mouse while it is pressed."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(event.position())

    def _choose(self, place: QPointF) -> None:
        height, width = self._slide_shape
        y = min(max((place.y() - 1) / max(self.height() - 2, 1), 0.0), 1.0) * height
        x = min(max((place.x() - 1) / max(self.width() - 2, 1), 0.0), 1.0) * width
        self.place_chosen.emit(y, x)


def _draw(
    columns: dict[str, np.ndarray],
    mask: np.ndarray,
    colours: dict[int, tuple[int, int, int]],
    shape_px: tuple[int, int],
    grid: tuple[int, int],
) -> QImage:
    """Dots of the shown boxes (any thread)."""
    return dots_image({name: column[mask] for name, column in columns.items()}, colours, shape_px, grid=grid)
