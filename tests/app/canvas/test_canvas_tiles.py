"""The screen shows the slide's pixels in their places, at every zoom, without seams, and of no other slide."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tile_toys import ToyMosaic, halves

from microscope_qc.app.canvas.view import View
from microscope_qc.core.geometry import Region
from microscope_qc.slides.display import ChannelView, DisplaySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytestqt.qtbot import QtBot

    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window

HEIGHT, WIDTH = 3072, 4096
SETTLED_MS = 300


def hills(shape: tuple[int, int], *, period: float = 90.0) -> np.ndarray:
    """Smooth, so that half a pixel beside the right place shows; with a colour that grows from left to right."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    waves = 120 + 90 * np.sin(x / period) * np.cos(y / (0.8 * period))
    return np.stack([waves, 255 * x / shape[1], 255 * y / shape[0]], axis=2).astype(np.uint8)


@pytest.fixture
def shown(window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ToyMosaic], Canvas]]:
    """Puts a slide in memory on the canvas, as large as the project's slide must say it is."""
    from microscope_qc.project.records import SlideRecord

    def show(mosaic: ToyMosaic) -> Canvas:
        monkeypatch.setattr(SlideRecord, "shape_px", property(lambda _: mosaic.shape), raising=False)
        window.session.mosaic = mosaic
        window.session.mosaic_changed.emit()
        settle(window.canvas, qtbot)
        # what comes later still must not change how many pixels there are to compare
        window.canvas.setFixedSize(window.canvas.size())
        return window.canvas

    yield show


def settle(canvas: Canvas, qtbot: QtBot) -> None:
    """Wait until nothing that comes into the window late takes room from the canvas any more."""
    while True:
        before = canvas.size()
        qtbot.wait(SETTLED_MS)
        if canvas.size() == before:
            return


def look(canvas: Canvas, y: float, x: float, zoom: float, qtbot: QtBot) -> None:
    view = canvas.view
    canvas.tools.view = View(y, x, zoom, view.width, view.height)
    canvas.picture.set_view(canvas.tools.view)
    canvas.update_later()
    qtbot.waitUntil(lambda: canvas.picture.complete, timeout=60_000)


def screen(canvas: Canvas) -> np.ndarray:
    """What is drawn, (h, w, 3), without what is over it."""
    image = canvas.picture.native.grabFramebuffer().convertToFormat(canvas_format())
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return raw[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def canvas_format() -> Any:
    from qtpy.QtGui import QImage

    return QImage.Format.Format_RGB888


def compare(canvas: Canvas, mosaic: ToyMosaic, *, margin: int = 3) -> float:
    """Mean difference between the screen and the slide scaled to it, over what the slide covers."""
    view, picture = canvas.view, screen(canvas)
    y0, x0, y1, x1 = view.bounds
    region = Region(*(round(value) for value in (y0, x0, y1, x1)))
    expected = mosaic.read_scaled(region, picture.shape[:2]).astype(float)
    inside = np.zeros(picture.shape[:2], bool)
    left, top = view.to_screen(0, 0)
    right, bottom = view.to_screen(*mosaic.shape)
    inside[max(0, int(top) + margin) : int(bottom) - margin, max(0, int(left) + margin) : int(right) - margin] = True
    assert inside.sum() > 5000, "too little of the slide is visible"
    return float(np.abs(picture.astype(float) - expected)[inside].mean())


def even(canvas: Canvas, y: float, x: float) -> tuple[float, float]:
    """The place at which screen pixels lie on slide pixels at 1:1."""
    return y + 0.5 * (canvas.view.height % 2), x + 0.5 * (canvas.view.width % 2)


@pytest.mark.parametrize("levels", [3, 0], ids=["own levels", "made levels"])
def test_the_right_pixels_are_on_screen_at_every_zoom(
    shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot, levels: int
) -> None:
    mosaic = ToyMosaic(*halves(hills((HEIGHT, WIDTH)), levels))
    canvas = shown(mosaic)
    for zoom, tolerance in ((1.0, 0.3), (0.5, 1.0), (0.37, 1.5), (0.25, 1.0), (0.12, 2.5)):
        look(canvas, *even(canvas, 1536, 2048), zoom, qtbot)
        assert compare(canvas, mosaic) < tolerance, zoom
    look(canvas, 1030, 1020, 8.0, qtbot)  # a corner of four tiles, single pixels as squares
    picture = screen(canvas)
    y, x = canvas.view.to_slide(100.5, 60.5)
    assert np.array_equal(picture[60, 100], mosaic.pixels[0][int(y), int(x)])
    edges = np.flatnonzero(np.abs(np.diff(picture[60, :, 1].astype(int))) > 0)
    assert len(edges) == 0 or set(np.diff(edges) % 8) <= {0, 1, 7}


def test_there_is_no_seam_between_tiles_and_no_jump_between_levels(
    shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot
) -> None:
    mosaic = ToyMosaic(*halves(hills((HEIGHT, WIDTH), period=400), 3))
    canvas = shown(mosaic)
    pictures = []
    for zoom in (0.5001, 0.4999):  # the finer level made smaller, the coarser one as it is
        look(canvas, 1536.0, 2048.0, zoom, qtbot)
        pictures.append(screen(canvas).astype(int))
        steps = np.abs(np.diff(pictures[-1][20:-20, 20:-20, 0], axis=1))
        assert steps.max() <= 4  # smooth, tile borders too
    difference = np.abs(pictures[0] - pictures[1])[20:-20, 20:-20]
    assert difference.max() <= 3
    # half a screen pixel would show in the mean of the signed slope; where the canvas is an odd number of pixels
    # wide, filtering alone moves the finer level by a tenth
    slope = np.gradient(pictures[0][20:-20, 20:-20, 0].astype(float), axis=1)
    shift = (slope * (pictures[1] - pictures[0])[20:-20, 20:-20, 0]).sum() / (slope**2).sum()
    assert abs(shift) < 0.25


def test_coarse_pictures_stand_in_and_nothing_flashes_black(shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot) -> None:
    bright = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    mosaic = ToyMosaic(*halves(bright, 3))
    canvas = shown(mosaic)
    look(canvas, 1536, 2048, 0.15, qtbot)
    mosaic.gate = threading.Semaphore(0)
    view = canvas.view
    for zoom in (0.3, 0.9, 2.0, 0.4):
        canvas.set_view(View(1536, 2048, zoom, view.width, view.height))
        assert screen(canvas).min() >= 198, zoom
    mosaic.let_through(1000)
    qtbot.waitUntil(lambda: canvas.picture.complete, timeout=60_000)
    assert screen(canvas).min() >= 198


def test_a_damaged_tile_is_seen_and_said(
    window: MainWindow, shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot
) -> None:
    mosaic = ToyMosaic(*halves(np.full((HEIGHT, WIDTH, 3), 120, np.uint8), 3))
    mosaic.broken = {(0, 1536, 2048)}
    canvas = shown(mosaic)
    look(canvas, *even(canvas, 1536, 2048), 1.0, qtbot)
    picture = screen(canvas)
    row, column = picture.shape[0] // 2, picture.shape[1] // 2
    damaged = picture[row + 8 : row + 100, column + 8 : column + 100]
    assert len({tuple(colour) for colour in damaged.reshape(-1, 3)}) > 1
    assert (damaged[..., 0] > 200).any()
    assert (picture[row - 100 : row - 8, column - 100 : column - 8] == 120).all()
    qtbot.waitUntil(window.message_bar.isVisible, timeout=60_000)
    assert "damaged" in window.message_bar.text


def test_display_settings_render_what_is_visible_again(
    window: MainWindow, shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot
) -> None:
    mosaic = ToyMosaic(*halves(np.full((HEIGHT, WIDTH), 100, np.uint8), 3))
    canvas = shown(mosaic)
    look(canvas, 1536, 2048, 1.0, qtbot)
    assert set(np.unique(screen(canvas))) == {100}
    reads = len(mosaic.reads)
    thumbnails: list[int] = []
    canvas.thumbnail_ready.connect(lambda _, pixels: thumbnails.append(int(pixels.max())))
    window.session.slide_view.set_display(DisplaySettings((ChannelView(window=(0, 125)),)))
    qtbot.waitUntil(lambda: set(np.unique(screen(canvas))) == {204}, timeout=60_000)
    qtbot.waitUntil(lambda: canvas.picture.complete, timeout=60_000)
    assert len(mosaic.reads) == reads, "what is visible is in the cache"
    qtbot.waitUntil(lambda: 204 in thumbnails, timeout=60_000)
    window.session.slide_view.set_display(DisplaySettings())
    qtbot.waitUntil(lambda: set(np.unique(screen(canvas))) == {100}, timeout=60_000)


def test_another_slide_shows_nothing_of_the_one_before(shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot) -> None:
    first = ToyMosaic(*halves(np.full((HEIGHT, WIDTH, 3), 50, np.uint8), 3))
    second = ToyMosaic(*halves(np.full((HEIGHT, WIDTH, 3), 180, np.uint8), 3))
    canvas = shown(first)
    look(canvas, 1536, 2048, 1.0, qtbot)
    assert set(np.unique(screen(canvas))) == {50}
    second.gate = threading.Semaphore(0)
    shown(second)
    assert 50 not in screen(canvas)[100:-100, 100:-100]
    second.let_through(1000)
    look(canvas, 1536, 2048, 1.0, qtbot)
    assert set(np.unique(screen(canvas))) == {180}


def test_the_slide_is_shown_and_hidden_with_its_layer(shown: Callable[[ToyMosaic], Canvas], qtbot: QtBot) -> None:
    mosaic = ToyMosaic(*halves(np.full((HEIGHT, WIDTH, 3), 250, np.uint8), 3))
    canvas = shown(mosaic)
    layers = canvas.picture.model.layers
    qtbot.waitUntil(lambda: len(layers) == 1, timeout=60_000)
    look(canvas, 1536, 2048, 1.0, qtbot)
    canvas.picture.set_background("#204060")
    layers[0].visible = False
    qtbot.waitUntil(lambda: tuple(screen(canvas)[200, 200]) == (32, 64, 96), timeout=60_000)
    layers[0].visible = True
    layers[0].opacity = 0.5
    qtbot.waitUntil(lambda: abs(int(screen(canvas)[200, 200, 0]) - 141) <= 2, timeout=60_000)
    layers[0].opacity = 1.0
    qtbot.waitUntil(lambda: tuple(screen(canvas)[200, 200]) == (250, 250, 250), timeout=60_000)


def test_closing_joins_every_reader(qtbot: QtBot, the_window: MainWindow) -> None:
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session

    session = Session()
    before = set(threading.enumerate())
    canvas = Canvas(session)
    canvas.resize(400, 300)
    started = set(threading.enumerate()) - before
    assert started
    canvas.close_canvas()
    assert not [thread for thread in started if thread.is_alive()]
    canvas.deleteLater()
