"""napari inside the window: its viewer without its frame, and a mosaic in it.

The mosaic itself is drawn as tiles (:mod:`tile_layer`): a multiscale layer of napari cuts out and uploads the whole
viewport again for every step. A small layer of the whole slide is below, so that napari's own list of layers shows
and hides the slide.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QDir, QObject, Qt, QTimer, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.settings import config_folder
from microscope_qc.app.base.signals import link
from microscope_qc.app.canvas.tiles.tile_layer import TileLayer
from microscope_qc.app.canvas.view import View
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.slides.display import DisplaySettings, render
from microscope_qc.slides.plane import FIRST, Plane, StackPlace
from microscope_qc.slides.tile_cache import COARSEST_PX, TileSource

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic

log = logging.getLogger(__name__)

# before napari is imported: its layers are small and in memory, no thread of its own is needed to slice them; its own
# settings neither disturb the window nor are changed
os.environ.setdefault("NAPARI_ASYNC", "0")
os.environ.setdefault("NAPARI_CONFIG", str(config_folder() / "napari.yaml"))

THUMBNAIL_PX = 320
TELL_NAPARI_MS = 100
PREVIEW_PX = 384
BASE_PX = COARSEST_PX
QUICK_TILES = 16
"""If the coarsest level takes more reads than this, a preview from samples is shown first."""
LARGEST_TEXTURE_PX = 8192


class SlidePicture(QObject):
    """Owns napari's viewer model and its Qt view.

    ``read_failed`` carries the error of a region that cannot be decoded. ``thumbnail_ready`` carries the mosaic and its
    thumbnail (h, w, 3) uint8; it is sent again when that gets sharper or its display changes.
    """

    read_failed = Signal(object)
    thumbnail_ready = Signal(object, object)
    _base_ready = Signal(object, object)  # source, (h, w, 3) uint8 of the whole slide
    _layers_ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        from napari._qt.qt_viewer import QtViewer
        from napari._vispy.utils.gl import get_max_texture_sizes
        from napari.components import ViewerModel

        self.model = ViewerModel(title="microscope-qc", ndisplay=2)
        self.widget = QtViewer(self.model, show_welcome_screen=False)
        self.widget.dims.hide()
        inner = self.widget.widget(0).layout()
        if inner is not None:
            inner.setContentsMargins(0, 0, 0, 0)
        for child in (self.widget, *self.widget.findChildren(QWidget)):
            child.setAcceptDrops(False)  # files dropped anywhere belong to the window
        self.native: QWidget = self.widget.canvas.native
        self.scene = self.widget.canvas.view.scene
        # napari 0.9 flushes OpenGL commands while it removes layers, whatever context is current: in the one of Qt's
        # compositor the buffers of the boxes are not resized, and the next draw reads beyond their end
        self.model.layers.events.removing.connect(self._make_current)
        self.model.layers.events.reordered.connect(self._show_as_base)
        self.model.layers.events.inserted.connect(self._show_as_base)
        self.model.layers.events.inserted.connect(self._on_layer_added)
        self.model.layers.events.removed.connect(self._show_as_base)
        largest = min(get_max_texture_sizes()[0] or LARGEST_TEXTURE_PX, LARGEST_TEXTURE_PX)
        self.tiles = TileLayer(self.scene, largest_texture_px=largest, parent=self)
        self.source: TileSource | None = None
        self._base: Any = None  # napari's layer of the whole slide
        self._base_pixels: np.ndarray | None = None
        self._layers_usable = False
        self._warming: threading.Thread | None = None
        self._display: DisplaySettings | None = None
        self._serial = 0
        self._planes: list[np.ndarray] = []  # of the base, one per channel; only the reader touches them
        self._place = FIRST  # the picture of the stack that they are of
        self._background = (0.0, 0.0, 0.0)
        # napari checks with every frame what its layers must show, for 4 ms: ten times a second is enough
        self.widget.canvas._scene_canvas.events.draw.disconnect(self.widget.canvas.on_draw)
        self._tell_napari = QTimer(self, singleShot=True, interval=TELL_NAPARI_MS)
        self._tell_napari.timeout.connect(self._on_tell_napari)
        self._view: View | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="overview")
        self._base_ready.connect(self._on_base_ready, Qt.ConnectionType.QueuedConnection)
        self._layers_ready.connect(self._on_layers_ready, Qt.ConnectionType.QueuedConnection)

    def set_background(self, colour: str) -> None:
        """Set the colour around the slide."""
        self.model.canvas.background_color_override = colour
        rgb = QColor(colour)
        self._background = (rgb.redF(), rgb.greenF(), rgb.blueF())
        self._show_as_base()

    def _make_current(self, _event: object = None) -> None:
        self.widget.canvas._scene_canvas.set_current()

    def set_view(self, view: View) -> None:
        """Point the camera at a view, and fetch what it shows."""
        self._view = view
        self.tiles.set_view(view, self.native.devicePixelRatioF())
        self.redraw()
        # layers that the user added move along; all of ours are placed by the view
        if any(layer is not self._base for layer in self.model.layers):
            self._move_scene(view)
            if not self._tell_napari.isActive():
                self._tell_napari.start()

    def _on_layer_added(self, _event: object = None) -> None:
        self._tell_napari.start()

    def _move_scene(self, view: View) -> None:
        box = self.widget.canvas.view
        width, height = box.rect.width / view.zoom, box.rect.height / view.zoom
        # through napari's camera the scene would be moved twice, once for the zoom and once for the place
        box.camera.rect = (view.x - width / 2, view.y - height / 2, width, height)

    def _on_tell_napari(self) -> None:
        view, canvas, camera = self._view, self.widget.canvas, self.model.scene.camera
        if view is None:
            return
        self._move_scene(view)
        with (
            camera.events.zoom.blocker(canvas.camera._on_zoom_change),
            camera.events.center.blocker(canvas.camera._on_center_change),
        ):
            camera.zoom = view.zoom
            camera.center = (0.0, view.y, view.x)
        canvas.on_draw(None)

    def redraw(self) -> None:
        """Ask for a new frame."""
        self.widget.canvas._scene_canvas.update()

    @property
    def complete(self) -> bool:
        """Whether all that is visible is as sharp as it gets."""
        return self._base_pixels is not None and self.tiles.complete

    def show_mosaic(self, mosaic: Mosaic | None, display: DisplaySettings | None = None) -> None:
        """Show a mosaic: first its overview, read in the background, then what is in view at full detail."""
        self._make_current()
        self._base_pixels = None
        if self._base is not None and self._base in self.model.layers:
            self._put_into_layer(np.zeros((1, 1, 3), np.uint8), [1e-6, 1e-6], self._base.name)  # invisible
        self._serial += 1
        self._display = display
        source = None
        if mosaic is not None:
            source = TileSource(mosaic, on_error=lambda error: self._on_read_error(mosaic, error))
        self.source = source
        self.tiles.set_source(source, display)
        if source is not None:
            self._in_background(lambda: self._read_base(source))

    def set_display(self, display: DisplaySettings | None) -> None:
        """Show the slide with other settings; what is visible is rendered again in the background."""
        source = self.source
        if source is None or display == self._display:
            return
        self._display = display
        self._serial += 1
        serial = self._serial

        def renew() -> None:
            if serial != self._serial:
                return  # the settings have changed again
            if source.place(display) == self._place:
                self._render_base(source)
            else:
                self._read_base(source)

        self._in_background(renew)
        self.tiles.set_display(display)

    def _on_read_error(self, mosaic: Mosaic, error: MicroscopeQCError) -> None:
        source = self.source
        if source is not None and source.mosaic is mosaic:  # not of a slide that is no longer shown
            self.read_failed.emit(error)

    def layers_panel(self, parent: QWidget) -> QWidget:
        """napari's own list of layers and their controls."""
        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        controls = self.widget.controls
        for layer in self.model.layers:  # it knows only layers that are added later
            if layer not in controls.widgets:
                controls._add(SimpleNamespace(value=layer))
        self.widget.layers.setMinimumHeight(120)
        column.addWidget(self.widget.layers, 1)
        column.addWidget(controls)
        self._style_layers(panel)
        link(panel, theme.SWITCH.switched, lambda: self._style_layers(panel))
        area = QScrollArea(parent)  # its controls are taller than many screens
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(panel)
        area.setMinimumWidth(panel.minimumSizeHint().width())
        return area

    def _style_layers(self, panel: QWidget) -> None:
        """Give napari's widgets the theme of the window."""
        from napari._qt.qt_resources import get_stylesheet
        from napari.resources._icons import _theme_path, build_theme_svgs

        mode = "dark" if theme.current() is theme.DARK else "light"
        build_theme_svgs(mode, "builtin")
        QDir.addSearchPath(f"theme_{mode}", str(_theme_path(mode)))
        self.model.theme = mode
        panel.setStyleSheet(get_stylesheet(mode))

    # -- the whole slide below the tiles -----------------------------------------------------------------------------

    def _in_background(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception:  # nothing waits for a result of this thread: the error goes to the log
                log.exception("the overview cannot be shown")

        self._reader.submit(guarded)

    def _read_base(self, source: TileSource) -> None:
        """Read the whole slide, first as a rough preview if that is faster (reader thread)."""
        place = source.place(self._display)
        try:
            for planes in _pictures(source, place):
                if self.source is not source:  # the user has gone to another slide
                    return
                self._planes, self._place = planes, place
                if source.place(self._display) != place:  # or to another picture of its stack
                    return
                self._render_base(source)
        except MicroscopeQCError as error:
            self._on_read_error(source.mosaic, error)

    def _render_base(self, source: TileSource) -> None:
        """Render the whole slide (reader thread)."""
        if self.source is not source or not self._planes:
            return
        pixels = render(source.mosaic, self._planes, self._display)
        self._base_ready.emit(source, _no_longer_than(BASE_PX, pixels))
        self.thumbnail_ready.emit(source.mosaic, _no_longer_than(THUMBNAIL_PX, pixels))

    def _on_base_ready(self, source: TileSource, pixels: np.ndarray) -> None:
        if self.source is not source:
            return
        self._base_pixels = pixels
        self.tiles.set_base(pixels)
        if self._layers_usable:
            self._update_layer()
        elif self._warming is None:
            self._warming = threading.Thread(target=self._warm_layers, name="layers", daemon=True)
            self._warming.start()

    def _warm_layers(self) -> None:
        """Import what napari's first layer needs: that takes seconds, while the slide is on screen already."""
        import pint
        import scipy.ndimage  # noqa: F401 - for the thumbnails in the list of layers

        _ = pint.get_application_registry().pixel
        self._layers_ready.emit()

    def _on_layers_ready(self) -> None:
        self._layers_usable = True
        if self._base_pixels is not None:
            self._update_layer()

    def _update_layer(self) -> None:
        source, pixels = self.source, self._base_pixels
        if source is None or pixels is None:
            return
        factor = [full / small for full, small in zip(source.shape(0), pixels.shape, strict=False)]
        self._put_into_layer(pixels, factor, source.mosaic.name or "Slide")

    def _put_into_layer(self, pixels: np.ndarray, factor: list[float], name: str) -> None:
        """Show pixels in the layer, which is kept for all slides: removing one takes napari a third of a second."""
        place = [0.5 * value for value in factor]
        base = self._base
        if base is not None and base in self.model.layers:
            base.data = pixels
            base.scale, base.translate, base.name = factor, place, name
            return
        base = self.model.add_image(
            pixels,
            name=name,
            rgb=True,
            scale=factor,
            translate=place,
            interpolation2d="linear",
            blending="translucent_no_depth",  # at the same depth some drivers would draw it over the tiles
        )
        self.model.layers.move(self.model.layers.index(base), 0)
        # the tiles draw this picture too, where they have nothing sharper
        self.widget.canvas.layer_to_visual[base].node.draw = _draw_nothing
        base.events.visible.connect(self._show_as_base)
        base.events.opacity.connect(self._show_as_base)
        self._base = base
        self._show_as_base()

    def _show_as_base(self, _event: object = None) -> None:
        """Show and hide the tiles with the layer of the whole slide, just above it."""
        base = self._base
        if base is None:
            order, opacity = 0.5, 1.0
        elif base not in self.model.layers:  # the user removed it
            order, opacity = 0.5, 0.0
        else:
            order, opacity = self.model.layers.index(base) + 0.5, base.opacity if base.visible else 0.0
        self.tiles.set_appearance(opacity=opacity, background=self._background, order=order)

    def close(self) -> None:
        """Stop reading; the widget can be deleted afterwards."""
        self._tell_napari.stop()
        self.source = self._base = self._base_pixels = None
        if self._warming is not None:
            self._warming.join()
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._make_current()
        self.tiles.set_source(None)
        self.tiles.close()
        self.model.layers.clear()
        self.model._layer_slicer.shutdown()
        self.widget.close()


def _draw_nothing() -> None:
    """Draw nothing: the layer is drawn by the tiles."""


def _pictures(source: TileSource, place: StackPlace) -> Iterator[list[np.ndarray]]:
    """Views of the whole slide at a place of its stack, one array per channel, each better than the last.

    A slide without a coarse level is shown from samples only and never read as a whole.
    """
    from microscope_qc.slides.preview import needs_conversion, sparse_preview

    mosaic = source.mosaic.on(Plane(place))
    channels = range(len(mosaic.channels))
    last = len(source.levels) - 1
    rows, columns = source.grid(last)
    shown = False
    if rows * columns * source.cost(last) > QUICK_TILES:
        previews = [sparse_preview(mosaic, longest_px=PREVIEW_PX, channel=channel) for channel in channels]
        for planes in zip(*previews, strict=False):
            shown = True
            yield list(planes)
    if not (shown and needs_conversion(mosaic)):
        region = Region(0, 0, *source.shape(last))
        yield [source.read(region, level=last, channel=channel, place=place, hatch=True) for channel in channels]


def _no_longer_than(longest_px: int, pixels: np.ndarray) -> np.ndarray:
    """The picture, made smaller if needed."""
    import cv2

    height, width = pixels.shape[:2]
    factor = longest_px / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
