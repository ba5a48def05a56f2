"""The canvas: puts picture, boxes, overlay and overview together, and sets their view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import SignalInstance
from qtpy.QtCore import QPointF, Qt, QTimer, Signal
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from microscope_qc.app.base.turns import Later
from microscope_qc.app.canvas.boxes.box_layer import BoxLayer
from microscope_qc.app.canvas.boxes.suggestion_layer import SuggestionLayer
from microscope_qc.app.canvas.hover import HoverCard
from microscope_qc.app.canvas.legend import Legend
from microscope_qc.app.canvas.overlay import Overlay
from microscope_qc.app.canvas.overview.overview import OverviewMap
from microscope_qc.app.canvas.pointer_input import PointerInput
from microscope_qc.app.canvas.slide_picture import SlidePicture
from microscope_qc.app.canvas.tools import Box, Tools
from microscope_qc.app.canvas.view import View
from microscope_qc.core.boxes import BoxChange

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.slides import Mosaic
    from microscope_qc.slides.display import DisplaySettings

SMALLEST_POINTS = 12


class Canvas(QWidget):
    """Shows the session's slide.

    ``cursor_moved`` carries slide y, x (NaN when the mouse has left). ``menu_requested`` carries a global position.
    """

    cursor_moved = Signal(float, float)
    view_changed = Signal()
    menu_requested = Signal(object)
    box_activated = Signal(int)
    thumbnail_ready = Signal(object, object)
    read_failed = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.picture = SlidePicture(self)
        native = self.picture.native
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.picture.widget)
        self._message = QLabel(self)
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._message.setWordWrap(True)
        self._message.hide()
        self.boxes = BoxLayer(session, self.picture.scene, on_ready=self._on_boxes_ready)
        self.tools = Tools(session, self.boxes)
        self.overlay = Overlay(session, self.boxes, self.tools, native)
        self.suggestions = SuggestionLayer(session, self.picture.scene)
        self.overlay.further.append(self._paint_suggestions)
        self.overview = OverviewMap(native, session)
        self.overview.place_chosen.connect(self.go_to)
        self.legend = Legend(session, native)
        self.hover = HoverCard(session, native)
        self._fit_pending = False
        self._thumbnail: tuple[Mosaic, np.ndarray] | None = None
        self._kept: dict[int, View] = {}
        self._shown_slide: int | None = None
        self.input = PointerInput(self, session, self.tools, self.hover, native)
        self.input.cursor_moved.connect(self.cursor_moved)
        self.input.menu_requested.connect(self.menu_requested)
        self.input.box_activated.connect(self.box_activated)
        self.input.resized.connect(lambda: QTimer.singleShot(0, self._on_resized))
        self.setFocusProxy(native)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(0)
        self._refresh.timeout.connect(self._on_refresh)
        self._frame = Later(self, self._on_refresh)
        self._view_due = False
        self.picture.thumbnail_ready.connect(self._on_thumbnail_ready)
        self.picture.read_failed.connect(self.read_failed, Qt.ConnectionType.QueuedConnection)
        self._heard: tuple[tuple[SignalInstance, Callable[..., None]], ...] = (
            (session.project_changed, self._on_project_changed),
            (session.slide_changed, self._on_slide_changed),
            (session.mosaic_changed, self._on_mosaic_changed),
            (session.boxes_changed, self._on_boxes_changed),
            (session.filter_changed, self._on_rows_changed),
            (session.classes_changed, self._on_classes_changed),
            (session.marks_changed, self.update_later),
            (session.stage_now.changed, self.update_later),
            (session.slides_changed, self.update_later),
            (session.selection.changed, self._on_selection_changed),
            (session.suggested.changed, self._on_suggestions_changed),
            (session.suggested.current_changed, self._on_suggestions_changed),
            (session.tool_changed, self._on_tool_changed),
            (session.centre_requested, self.show_box),
            (session.area_requested, self.show_area),
        )
        for signal, slot in self._heard:
            signal.connect(slot)
        session.slide_view.display_changed.connect(self._on_display_changed)
        self._on_slide_changed()

    def close_canvas(self) -> None:
        """Stop everything in the background (before the window is closed)."""
        for signal, slot in self._heard:
            signal.disconnect(slot)
        self.session.slide_view.display_changed.disconnect(self._on_display_changed)
        self._refresh.stop()
        self._frame.stop()
        self.boxes.close()
        self.input.close()
        self.picture.close()

    # -- the view ----------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The visible part of the slide."""
        native = self.picture.native
        if (self.tools.view.width, self.tools.view.height) != (native.width(), native.height()):
            self.tools.view = self.tools.view.resized(native.width(), native.height())
        return self.tools.view

    def set_view(self, view: View) -> None:
        """Show another part of the slide."""
        self.tools.view = self._held(view)
        self._take_view()
        self.update_later()
        self.view_changed.emit()

    def look_at(self, view: View) -> None:
        """As :meth:`set_view`, once what the user has just done is shown in the panel where it was done."""
        self.tools.view = self._held(view)
        self._view_due = True
        self._frame.soon()
        self.view_changed.emit()

    def _take_view(self) -> None:
        self._view_due = False
        self.picture.set_view(self.tools.view)
        self.boxes.set_view(self.tools.view)
        self.suggestions.set_view(self.tools.view)

    def _held(self, view: View) -> View:
        """Keep some of the slide visible, wherever the user pans."""
        slide = self.session.slide
        if slide is None:
            return view
        height, width = slide.shape_px
        return view.centred(min(max(view.y, 0.0), height), min(max(view.x, 0.0), width))

    def _least_zoom(self) -> float:
        slide = self.session.slide
        if slide is None:
            return 1e-4
        return self.view.fitted(0, 0, *slide.shape_px).zoom / 3

    def fit_slide(self) -> None:
        """Show the whole slide."""
        if self.session.slide is not None:
            self.set_view(self.view.fitted(0, 0, *self.session.slide.shape_px))

    def fit_selection(self) -> None:
        """Show the selected boxes with their surroundings."""
        ids = self.session.on_screen(self.session.selection.ids)
        if len(ids):
            rows = self.session.table.get(ids)
            box = rows["y0"].min(), rows["x0"].min(), rows["y1"].max(), rows["x1"].max()
            self.set_view(self.view.fitted(*(float(value) for value in box), margin=3.0))

    def place_under_mouse(self) -> tuple[float, float]:
        """Slide y, x under the mouse; the middle of the view while the mouse is elsewhere."""
        view, mouse = self.view, self.input.pointer
        return (view.y, view.x) if mouse is None else view.to_slide(mouse.x, mouse.y)

    def zoom_by(self, factor: float) -> None:
        """Zoom about the middle."""
        view = self.view
        self.set_view(view.zoomed(factor, view.width / 2, view.height / 2, least=self._least_zoom()))

    def zoom_at(self, factor: float, place: QPointF) -> None:
        """Zoom about a point on screen, which stays in place."""
        self.set_view(self.view.zoomed(factor, place.x(), place.y(), least=self._least_zoom()))

    def zoom_to(self, zoom: float) -> None:
        """Set the screen points per slide pixel."""
        self.zoom_by(zoom / self.view.zoom)

    def go_to(self, y: float, x: float) -> None:
        """Centre a slide position."""
        self.set_view(self.view.centred(y, x))

    def show_box(self, box_id: int) -> None:
        """Centre a box; zoom only if it would be too small to judge or larger than the canvas."""
        if box_id not in self.session.table:
            return
        row = self.session.table.get([box_id])[0]
        box = float(row["y0"]), float(row["x0"]), float(row["y1"]), float(row["x1"])
        side = max(box[2] - box[0], box[3] - box[1]) * self.view.zoom
        view = self.view.centred((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        if side < 24 or side > 0.8 * min(view.width, view.height):
            view = view.fitted(*box, margin=6.0)
        self.look_at(view)

    def show_area(self, area: Box) -> None:
        """Bring a rectangle into view; if it is visible and not tiny, the view does not change."""
        y0, x0, y1, x1 = area
        view = self.view
        top, left, bottom, right = view.bounds
        side = max(y1 - y0, x1 - x0) * view.zoom
        if y0 >= top and x0 >= left and y1 <= bottom and x1 <= right and side >= SMALLEST_POINTS:
            return
        moved = view.centred((y0 + y1) / 2, (x0 + x1) / 2)
        if side < SMALLEST_POINTS or y1 - y0 > bottom - top or x1 - x0 > right - left:
            moved = view.fitted(*area, margin=6.0 if side < SMALLEST_POINTS else 1.3)
        self.look_at(moved)

    def cancel_gesture(self) -> bool:
        """Cancel the current gesture; returns whether there was one."""
        self.update_later()
        return self.tools.cancel()

    def update_later(self, *_: object) -> None:
        """Redraw once, however often this is called before the next frame."""
        if not self._refresh.isActive():
            self._refresh.start()

    def update_soon(self, *_: object) -> None:
        """As :meth:`update_later`, after a moment in which the window answers: what caused it has taken its time."""
        self._frame.soon()

    def _on_refresh(self) -> None:
        self._refresh.stop()
        self._frame.stop()
        if self._view_due:
            self._take_view()
            self.picture.tiles.plan_now()
        view = self.view
        if self.boxes.refresh(view) | self.suggestions.refresh(view):
            self.picture.redraw()
        self.overlay.view = view
        self.overlay.update()
        self.overview.set_view(view)

    # -- signals of the session --------------------------------------------------------------------------------------

    def _on_project_changed(self) -> None:
        self._kept.clear()  # another project's slides have the same ids

    def _on_slide_changed(self) -> None:
        if self._shown_slide is not None:
            self._kept[self._shown_slide] = self.view
        slide = self.session.slide
        self._shown_slide = slide.id if slide is not None else None
        self.tools.cancel()
        self.boxes.clear()
        self.hover.leave()
        self.overview.set_slide(None if slide is None else slide.shape_px)
        if slide is None or not self.session.shows_ahead(slide):
            self.picture.show_mosaic(None)
        self._show_message("")
        if slide is None:
            self.update_later()
        elif slide.id in self._kept:
            self.set_view(self._kept[slide.id])
        else:
            # the panels that come with a project make the canvas smaller
            self._fit_pending = not self.isVisible() or self.session.ahead is not None
            self.fit_slide()

    def show_ahead(self, mosaic: Mosaic | None) -> None:
        """Show a slide before its project is open; None removes it."""
        from microscope_qc.slides.display import DisplaySettings

        self.session.ahead = mosaic
        self.picture.show_mosaic(mosaic, DisplaySettings() if mosaic is not None else None)
        if mosaic is not None:
            self._fit_pending = not self.isVisible()
            self.set_view(self.view.fitted(0, 0, *mosaic.shape))

    def _on_mosaic_changed(self) -> None:
        mosaic = self.session.mosaic
        if mosaic is None:
            error = self.session.mosaic_error
            self._show_message(str(error) if error is not None else "")
        else:
            self._show_message("")
            if self.picture.source is not None and self.picture.source.mosaic is mosaic:
                self.picture.set_display(self.session.slide_view.display)
                if self._thumbnail is not None and self._thumbnail[0] is mosaic:  # it came before the project
                    self._on_thumbnail_ready(*self._thumbnail)
            else:
                self.picture.show_mosaic(mosaic, self.session.slide_view.display)
            self.picture.set_view(self.view)
        self.update_later()

    def _on_thumbnail_ready(self, mosaic: Mosaic, pixels: np.ndarray) -> None:
        self._thumbnail = mosaic, pixels
        if mosaic is self.session.mosaic:
            self.overview.set_thumbnail(pixels)
            self._place_overview()
            self.picture.set_view(self.view)
            self.update_later()
        self.thumbnail_ready.emit(mosaic, pixels)

    def _on_boxes_changed(self, change: BoxChange) -> None:
        self.hover.leave()
        self.boxes.change(change)
        self.update_soon()

    def _on_rows_changed(self) -> None:
        self.boxes.reload()
        self.update_later()

    def _on_boxes_ready(self) -> None:
        """Show boxes that were prepared in the background."""
        self.picture.redraw()
        self.update_later()

    def _on_classes_changed(self) -> None:
        self.overlay.forget_tags()
        self.suggestions.reload()
        self._on_rows_changed()

    def _on_selection_changed(self) -> None:
        self.boxes.restyle()
        self.update_soon()

    def _on_suggestions_changed(self) -> None:
        self.suggestions.reload()
        self.update_soon()

    def _paint_suggestions(self, painter: QPainter, view: View) -> None:
        self.suggestions.paint(painter, view, self.overlay.tag)

    def _on_tool_changed(self, tool: str) -> None:
        self.tools.cancel()
        self.input.set_cursor("arrow" if tool == "select" else "cross")
        self.update_later()

    def _on_display_changed(self, display: DisplaySettings) -> None:
        if self.session.mosaic is not None:
            self.picture.set_display(display)

    def _show_message(self, words: str) -> None:
        self._message.setText(words)
        self._message.setVisible(bool(words))
        self._place_overview()

    def _on_resized(self) -> None:
        native = self.picture.native
        self.overlay.setGeometry(native.rect())
        self._place_overview()
        self.legend.place()
        if self.session.slide is not None and self._fit_pending and self.isVisible():
            self._fit_pending = False
            self.fit_slide()
        else:
            self.set_view(self.view)

    def _place_overview(self) -> None:
        native = self.picture.native
        self.overview.fit_into(native.size())
        self.overview.move(native.width() - self.overview.width() - 12, 12)
        self.overview.raise_()
        self._message.setGeometry(self.rect().adjusted(80, 0, -80, 0))
        self._message.raise_()
