"""napari inside the window: its viewer without its frame, and the layers that show a mosaic."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QDir, QObject, Qt, Signal
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from microscope_qc.app.canvas.pixels import Pyramid
from microscope_qc.app.canvas.view import View
from microscope_qc.app.settings import config_folder
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic

# before napari is imported: slices are read in its thread; its own settings neither disturb the window nor are changed
os.environ.setdefault("NAPARI_ASYNC", "1")
os.environ.setdefault("NAPARI_CONFIG", str(config_folder() / "napari.yaml"))


class Picture(QObject):
    """Owns napari's viewer model and its Qt view.

    ``read_failed`` carries the error of a place that cannot be decoded. ``thumbnail_ready`` carries the mosaic and its
    small picture (h, w, 3) uint8.
    """

    read_failed = Signal(object)
    thumbnail_ready = Signal(object, object)
    _base_ready = Signal(object, object)  # pyramid, list of (pixels, window) by channel

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        from napari._qt.qt_viewer import QtViewer
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
        self.pyramid: Pyramid | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="overview")
        self._base_ready.connect(self._on_base_ready, Qt.ConnectionType.QueuedConnection)

    def set_background(self, colour: str) -> None:
        """Colour around the slide."""
        self.model.canvas.background_color_override = colour

    def _make_current(self, _event: object = None) -> None:
        self.widget.canvas._scene_canvas.set_current()

    def look(self, view: View) -> None:
        """Point napari's camera at a view."""
        camera = self.model.scene.camera
        camera.zoom = view.zoom
        camera.center = (0.0, view.y, view.x)

    def redraw(self) -> None:
        """Ask for a new frame."""
        self.widget.canvas._scene_canvas.update()

    def show_mosaic(self, mosaic: Mosaic | None) -> None:
        """Show a mosaic: first its overview, read in the background, then what is in view at full detail."""
        self._make_current()
        self.model.layers.clear()
        self.pyramid = None
        if mosaic is None:
            return
        pyramid = Pyramid(mosaic, on_error=lambda error: self._on_read_error(mosaic, error))
        self.pyramid = pyramid
        self._reader.submit(self._read_base, pyramid)

    def _on_read_error(self, mosaic: Mosaic, error: MicroscopeQCError) -> None:
        if self.pyramid is not None and self.pyramid.mosaic is mosaic:  # not of a slide that was left
            self.read_failed.emit(error)

    def layers_panel(self, parent: QWidget) -> QWidget:
        """napari's own list of layers and their controls."""
        from napari._qt.qt_resources import get_stylesheet
        from napari.resources._icons import _theme_path, build_theme_svgs

        look = "dark" if parent.palette().window().color().lightness() < 128 else "light"
        build_theme_svgs(look, "builtin")
        QDir.addSearchPath(f"theme_{look}", str(_theme_path(look)))
        self.model.theme = look
        panel = QWidget()
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        controls = self.widget.controls
        for layer in self.model.layers:  # it knows only layers that are added after it
            if layer not in controls.widgets:
                controls._add(SimpleNamespace(value=layer))
        self.widget.layers.setMinimumHeight(120)
        column.addWidget(self.widget.layers, 1)
        column.addWidget(controls)
        panel.setStyleSheet(get_stylesheet(look))
        area = QScrollArea(parent)  # its controls are taller than many screens have room for
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(panel)
        area.setMinimumWidth(panel.minimumSizeHint().width())
        return area

    def _read_base(self, pyramid: Pyramid) -> None:
        """Coarsest level of every channel and its display window (worker thread)."""
        mosaic = pyramid.mosaic
        last = len(pyramid) - 1
        base = []
        for channel in range(len(mosaic.channels)):
            if self.pyramid is not pyramid:  # the person has gone on to another slide
                return
            height, width = pyramid.shape(last)
            pixels = pyramid.read(Region(0, 0, height, width), last, channel)
            window = _value_range(mosaic.dtype) if mosaic.rgb else mosaic.window(channel)
            base.append((pixels, window))
        self._base_ready.emit(pyramid, base)
        self.thumbnail_ready.emit(mosaic, _thumbnail(mosaic, base))

    def _on_base_ready(self, pyramid: Pyramid, base: list[tuple[np.ndarray, tuple[float, float]]]) -> None:
        if self.pyramid is not pyramid:
            return
        mosaic = pyramid.mosaic
        several = len(base) > 1
        for channel, (pixels, window) in enumerate(base):
            name = mosaic.channels[channel].name
            colour = mosaic.channels[channel].colour
            style: dict[str, Any] = {"blending": "additive" if several and channel else "opaque"}
            if mosaic.rgb:
                style["rgb"] = True
            else:
                style["contrast_limits"] = window
                style["colormap"] = _colormap(colour) if several else "gray"
            # the overview stays below the tiles: where a tile is still being read there is a coarse picture, not a hole
            factor = [full / small for full, small in zip(mosaic.shape, pixels.shape, strict=False)]
            half = [0.5 * value for value in factor]
            if not several:
                self.model.add_image(
                    pixels,
                    name=f"{name} overview",
                    scale=factor,
                    translate=half,
                    interpolation2d="linear" if len(pyramid) > 1 else "nearest",
                    **style,
                )
                # both lie at the same depth: with the depth test on, some drivers let the coarse picture win
                style["blending"] = "translucent_no_depth"
            if len(pyramid) > 1:
                self.model.add_image(
                    pyramid.levels(channel), name=name, multiscale=True, translate=(0.5, 0.5), cache=False, **style
                )
            elif several:
                self.model.add_image(pixels, name=name, translate=(0.5, 0.5), **style)

    def close(self) -> None:
        """Stop reading; the widget can be deleted afterwards."""
        self.pyramid = None
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._make_current()
        self.model.layers.clear()
        self.model._layer_slicer.shutdown()
        self.widget.close()


def _value_range(dtype: np.dtype) -> tuple[float, float]:
    return (0.0, 1.0) if dtype.kind == "f" else (0.0, float(np.iinfo(dtype).max))


def _colormap(colour: str) -> Any:
    from napari.utils.colormaps import Colormap

    return Colormap(["#000000", colour], name=colour)


def _thumbnail(mosaic: Mosaic, base: list[tuple[np.ndarray, tuple[float, float]]], longest_px: int = 320) -> np.ndarray:
    """Channels composed in their colours, (h, w, 3) uint8."""
    import cv2

    from microscope_qc.app.canvas.box_layer import hex_to_rgba

    height, width = base[0][0].shape[:2]
    factor = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    total = np.zeros((size[1], size[0], 3))
    for channel, (pixels, (low, high)) in enumerate(base):
        small = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        values = np.clip((small - low) / max(high - low, 1e-12), 0, 1)
        if values.ndim == 2:
            colour = hex_to_rgba(mosaic.channels[channel].colour)[:3] if len(base) > 1 else (1.0, 1.0, 1.0)
            values = values[..., None] * np.asarray(colour)
        total += values
    return (np.clip(total, 0, 1) * 255).round().astype(np.uint8)
