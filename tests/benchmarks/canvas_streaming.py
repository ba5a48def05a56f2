"""Does a 100 GB slide pan and zoom like a photograph?  ``python -m tests.benchmarks.canvas_streaming [STEPS [PARTS]]``

Starts a virtual screen for itself where there is none (``xvfb-run``). PARTS are "first", "memory" and "steps", all of
them unless named (``first,steps``). Prints, beside the limits,

- how long a virtual slide of 200,000 x 170,000 px takes from the standing window to its first picture,
- how much memory grows over 200 random views, with a source that is fast enough to fill the cache,
- how long the window's thread is busy per step of a pan or a zoom (event handlers, slots, painting) with a source that
  takes 50 ms per tile: the canvas against napari's own multiscale layer, sliced synchronously and asynchronously, over
  the same tiles with a cache of the same size; first with OpenGL calls stubbed, then the complete frame on whatever
  OpenGL there is. Rounds of the three are interleaved in one process; every step is followed by a pause of 16 ms.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.virtual_screen import with_a_screen

HUGE = (170_000, 200_000)
STEP_LIMIT_MS = 16.0
FIRST_VIEW_LIMIT_S = 1.0
MEMORY_LIMIT_MB = 600
VIEWS = 200
ROUNDS = 3
SLOW_S = 0.05
CANVAS = (1366, 768)


class Clock:
    """The window's event loop, and how long its thread was busy in it."""

    def __init__(self) -> None:
        from qtpy.QtWidgets import QApplication

        self.app = QApplication([])
        self.busy_s = self.longest_s = 0.0

    def rest(self, seconds: float) -> None:
        """Handle events for a while."""
        end = time.perf_counter() + seconds
        while True:
            start = time.perf_counter()
            self.app.processEvents()
            took = time.perf_counter() - start
            self.busy_s += took
            self.longest_s = max(self.longest_s, took)
            if time.perf_counter() >= end:
                return
            time.sleep(0.001)

    def wait(self, condition: Callable[[], Any], seconds: float = 60.0) -> float:
        """Handle events until something is so; how long that took, and not longer than ``seconds``."""
        start = time.perf_counter()
        while not condition() and time.perf_counter() - start < seconds:
            self.rest(0.002)
        return time.perf_counter() - start


def make_sheet(shape: tuple[int, int], delay_s: float) -> Any:
    """A slide of any size whose tiles cost a wait and a copy."""
    from microscope_qc.core.geometry import Region
    from microscope_qc.slides.base import Mosaic
    from microscope_qc.slides.pixels import Level

    class Sheet(Mosaic):
        def __init__(self) -> None:
            levels = [Level(shape, (1.0, 1.0))]
            while min(levels[-1].shape) > 512:
                height, width = levels[-1].shape
                down = 2 * levels[-1].downsample[0]
                levels.append(Level((-(-height // 2), -(-width // 2)), (down, down)))
            super().__init__(path=Path("sheet"), levels=levels, dtype=np.dtype(np.uint8), rgb=True)
            self.pattern = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)

        def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
            if delay_s:
                time.sleep(delay_s)
            y, x = (37 * level + region.y0 // 7) % 500, (53 * level + region.x0 // 7) % 500
            height, width = region.shape
            return self.pattern[y : y + height, x : x + width].copy()

    return Sheet()


class LevelArray:
    """One level as the least that napari needs of an array; without ``chunks``, with which it reads more."""

    def __init__(self, source: Any, level: int) -> None:
        self._source, self._level = source, level
        self.shape = (*source.shape(level), 3)
        self.dtype, self.ndim, self.size = np.dtype(np.uint8), 3, int(np.prod(self.shape))
        self.nbytes = self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        from microscope_qc.core.geometry import Region

        parts = (*(key if isinstance(key, tuple) else (key,)), slice(None), slice(None))[:3]
        (y0, y1, _), (x0, x1, _) = (part.indices(size) for part, size in zip(parts, self.shape[:2], strict=False))
        return self._source.read(Region(y0, x0, max(y0, y1), max(x0, x1)), level=self._level)[:, :, parts[2]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:]


class Program:
    """The window of this program."""

    def __init__(self, app: Clock, folder: Path) -> None:
        from microscope_qc.app.main import load_opening
        from microscope_qc.app.shell.main_window import MainWindow

        self.app, self.folder = app, folder
        self.window = MainWindow()
        self.window.resize(1600, 1000)
        self.window.show()
        self.app.wait(self.window.windowHandle().isExposed)
        loading = self.window.jobs.call(load_opening)  # as the program does once its window is open
        self.app.wait(loading.done)
        self.canvas = self.window.canvas
        self.scene_canvas = self.canvas.picture.widget.canvas._scene_canvas

    def look(self, y: float, x: float, zoom: float) -> None:
        """Centre the view on a place."""
        view = self.canvas.view
        self.canvas.set_view(type(view)(y, x, zoom, view.width, view.height))


def show_as_slide(session: Any, mosaic: Any, folder: Path, name: str) -> None:
    """Show a mosaic of the benchmark as if it were a file."""
    from microscope_qc.app.session import pixels as module
    from microscope_qc.project import Project
    from microscope_qc.slides.virtual.reader import write_virtual

    place = write_virtual(folder / f"{name}.virtual.json", shape=mosaic.shape)
    project = Project.create(folder / f"{name}.mqc", slides=[place])
    opening, module.open_mosaic = module.open_mosaic, lambda _slide: mosaic
    try:
        session.set_project(project)
    finally:
        module.open_mosaic = opening


class Ours:
    """The canvas of this program with everything on it, in a window of its own."""

    name = "this canvas"

    def __init__(self, app: Clock, folder: Path) -> None:
        from qtpy.QtGui import QImage

        from microscope_qc.app.canvas.canvas import Canvas
        from microscope_qc.app.session.session import Session

        self.app, self.folder = app, folder
        self.session = Session()
        self.canvas = Canvas(self.session)
        self.top = self.canvas
        self.canvas.resize(*CANVAS)
        self.canvas.show()
        self.app.rest(0.3)
        self.native = self.canvas.picture.native
        self.scene_canvas = self.canvas.picture.widget.canvas._scene_canvas
        self.sheet = QImage(self.native.size(), QImage.Format.Format_ARGB32_Premultiplied)

    def show(self, mosaic: Any, name: str) -> None:
        """Show a mosaic of the benchmark."""
        show_as_slide(self.session, mosaic, self.folder, name)
        self.app.wait(lambda: self.canvas.picture.complete)
        self.app.wait(lambda: self.canvas.picture.model.layers)

    def look(self, y: float, x: float, zoom: float) -> None:
        """One step of a user's hand."""
        view = self.canvas.view
        self.canvas.set_view(type(view)(y, x, zoom, view.width, view.height))

    def paint(self) -> None:
        """What Qt calls for a frame: the scene, and what lies over it."""
        self.scene_canvas.set_current()
        self.scene_canvas.events.draw(region=None)
        for part in (self.canvas.overlay, self.canvas.overview):
            part.render(self.sheet)

    def prepare(self) -> None:
        """Nothing to set."""

    def close(self) -> None:
        """Stop everything behind the canvas."""
        self.session.set_project(None)
        self.canvas.close_canvas()
        self.canvas.close()


class Napari:
    """napari's viewer with its own multiscale layer."""

    def __init__(self, app: Clock, *, asynchronous: bool) -> None:
        from napari._qt.qt_viewer import QtViewer
        from napari.components import ViewerModel

        self.name = "napari multiscale, " + ("asynchronous" if asynchronous else "synchronous")
        self.app = app
        self.asynchronous = asynchronous
        self.prepare()
        self.model = ViewerModel(ndisplay=2)
        self.viewer = QtViewer(self.model, show_welcome_screen=False)
        self.viewer.dims.hide()
        self.top = self.viewer
        self.viewer.resize(*CANVAS)
        self.viewer.show()
        self.native = self.viewer.canvas.native
        self.scene_canvas = self.viewer.canvas._scene_canvas
        self.app.rest(0.3)

    def prepare(self) -> None:
        """napari's settings are those of the process: they are set before each of its turns."""
        from napari.settings import get_settings

        get_settings().experimental.async_ = self.asynchronous

    def show(self, mosaic: Any, _name: str) -> None:
        """Show a mosaic, through tiles and a cache of its own."""
        from microscope_qc.slides.tile_cache import TileCache, TileSource, default_limit

        self.prepare()
        source = TileSource(mosaic, cache=TileCache(default_limit()))
        levels = [LevelArray(source, level) for level in range(len(source.levels))]
        self.model.add_image(levels, multiscale=True, rgb=True, cache=False)
        self.app.rest(1.5)

    def look(self, y: float, x: float, zoom: float) -> None:
        """One step of a user's hand."""
        camera = self.model.scene.camera
        camera.zoom = zoom
        camera.center = (0.0, y, x)

    def paint(self) -> None:
        """What Qt does for a frame."""
        self.scene_canvas.set_current()
        self.scene_canvas.events.draw(region=None)

    def close(self) -> None:
        """Release the layer and its reader."""
        self.model.layers.clear()
        self.model._layer_slicer.shutdown()
        self.viewer.close()


def small_pan(start: tuple[float, float], steps: int) -> Iterator[tuple[float, float, float]]:
    """A hand that follows a layer."""
    for step in range(steps):
        yield start[0] + 9 * step, start[1] + 37 * step, 1.0


def fast_pan(start: tuple[float, float], steps: int) -> Iterator[tuple[float, float, float]]:
    """Across the slide: half the canvas every step."""
    for step in range(steps):
        yield start[0] + 130 * step, start[1] + 700 * step, 1.0


def zooming(start: tuple[float, float], steps: int) -> Iterator[tuple[float, float, float]]:
    """The wheel: a notch per step, from the whole slide to single pixels and back, elsewhere."""
    turn = 30
    for step in range(steps):
        y, x = start[0] + 900 * (step // turn), start[1] + 1500 * (step // turn)
        yield y, x, 0.02 * 1.2 ** (turn - abs(step % (2 * turn) - turn))


MOTIONS = {"small pan": small_pan, "fast pan": fast_pan, "zoom": zooming}


@contextmanager
def no_opengl() -> Iterator[None]:
    """Commands for the graphics card are collected as usual, then dropped."""
    from vispy.gloo.glir import GlirParser

    parse, GlirParser.parse = GlirParser.parse, lambda *_: None
    try:
        yield
    finally:
        GlirParser.parse = parse


def busy_per_step(
    app: Clock, shown: Any, path: Iterator[tuple[float, float, float]], *, stubbed: bool
) -> list[tuple[float, float]]:
    """Milliseconds that the window's thread was busy with each step: by the clock, and of its processor time."""
    took, processor = [], []
    shown.top.setUpdatesEnabled(not stubbed)
    for place in path:
        app.busy_s = 0.0
        start, start_processor = time.perf_counter(), time.thread_time()
        shown.look(*place)
        direct = time.perf_counter() - start
        app.rest(0.016)
        if stubbed:  # Qt would put windows together with OpenGL of its own
            start = time.perf_counter()
            shown.paint()
            direct += time.perf_counter() - start
        took.append((app.busy_s + direct) * 1000)
        processor.append((time.thread_time() - start_processor) * 1000)
    shown.top.setUpdatesEnabled(True)
    return list(zip(took, processor, strict=True))


def report_steps(app: Clock, shown: list[Ours | Napari], steps: int, *, stubbed: bool) -> None:
    """Interleaved rounds, each in a part of the slide that nobody has seen."""
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(ROUNDS):
        for motion, path in MOTIONS.items():
            start = (3000.0 + 9000 * number + 4000 * stubbed, 2000.0 + 1000 * number)
            for one in shown:
                one.prepare()
                one.look(*next(path(start, 1)))
                app.rest(1.0)
                taken.setdefault((motion, one.name), []).extend(
                    busy_per_step(app, one, path(start, steps), stubbed=stubbed)
                )
    what = "OpenGL stubbed" if stubbed else "complete frame"
    print(f"\nwindow's thread busy per step, {what}, {SLOW_S * 1000:.0f} ms per tile (ms)")
    print(f"{'motion':<12}{'':<34}{'p50':>8}{'p95':>8}{'max':>8}   processor p95")
    for (motion, name), values in taken.items():
        clock, processor = np.array(values).T
        p50, p95 = np.percentile(clock, [50, 95])
        limit = f"   limit {STEP_LIMIT_MS:.0f} at p95" if stubbed and name == Ours.name else ""
        print(
            f"{motion:<12}{name:<34}{p50:8.1f}{p95:8.1f}{clock.max():8.1f}{np.percentile(processor, 95):16.1f}{limit}"
        )


def report_first_view(app: Clock, program: Program, folder: Path) -> None:
    """From the open window to the first painted picture of the huge virtual slide."""
    from microscope_qc.slides.virtual.reader import write_virtual

    place = write_virtual(folder / "huge.virtual.json", shape=HUGE)
    picture = program.canvas.picture
    print(f"\nfirst view of {HUGE[1]:,} x {HUGE[0]:,} px (s)".replace(",", " "))
    for label in ("a slide without a project", "the same, its project is there", "once more"):
        painted: list[float] = []

        def on_draw(_event: object, painted: list[float] = painted) -> None:
            tiles, drawn = picture.tiles, picture.tiles._drawn_state
            if drawn and tiles.source is not None and drawn[0] is tiles.source and tiles._visual._count:
                painted.append(time.perf_counter())

        app.longest_s = 0.0
        start = time.perf_counter()
        program.window.navigator.open_paths([place])
        program.scene_canvas.events.draw.connect(on_draw)
        app.wait(lambda painted=painted: painted)
        program.scene_canvas.events.draw.disconnect(on_draw)
        sharp = app.wait(lambda: picture.complete) + painted[0] - start
        print(
            f"{label:<34}{painted[0] - start:8.2f}   sharp {sharp:6.2f}   limit {FIRST_VIEW_LIMIT_S:.0f}   "
            f"longest the thread was busy at once {app.longest_s * 1000:.0f} ms"
        )
        app.wait(lambda: program.window.session.mosaic is not None)  # the picture may come before its project
        app.rest(1.0)
        program.window.session.set_project(None)
        app.rest(0.3)


def report_memory(app: Clock, program: Program) -> None:
    """Growth over random views once the first one is settled."""
    import psutil

    from microscope_qc.slides.tile_cache import shared_cache

    process = psutil.Process()
    show_as_slide(program.window.session, make_sheet(HUGE, 0.0), program.folder, "memory")
    app.wait(lambda: program.canvas.picture.complete)
    app.rest(0.5)
    gc.collect()
    before = process.memory_info().rss
    rng = np.random.default_rng(1)
    most = before
    took = []
    for _ in range(VIEWS):
        zoom = float(2.0 ** rng.uniform(-7, 2))
        program.look(float(rng.uniform(0, HUGE[0])), float(rng.uniform(0, HUGE[1])), zoom)
        took.append(app.wait(lambda: program.canvas.picture.complete, 20))
        most = max(most, process.memory_info().rss)
    print(
        f"\nmemory over {VIEWS} random views: grew by {(most - before) / 1e6:.0f} MB at most, limit {MEMORY_LIMIT_MB}; "
        f"cache {shared_cache().held_bytes / 1e6:.0f} of {shared_cache().limit / 1e6:.0f} MB; "
        f"a view was sharp after {statistics.median(took) * 1000:.0f} ms"
    )
    program.window.session.set_project(None)


def main() -> None:
    """Run everything."""
    with_a_screen("tests.benchmarks.canvas_streaming")
    faulthandler.enable()
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    folder = Path(tempfile.mkdtemp(prefix="streaming-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    app = Clock()
    import napari
    import PySide6
    import vispy

    print(
        f"Python {platform.python_version()}, PySide6 {PySide6.__version__}, napari {napari.__version__}, "
        f"vispy {vispy.__version__}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    try:
        parts = sys.argv[2].split(",") if len(sys.argv) > 2 else ["first", "memory", "steps"]
        if "first" in parts or "memory" in parts:
            program = Program(app, folder)
            if "first" in parts:
                report_first_view(app, program, folder)
            if "memory" in parts:
                report_memory(app, program)
            program.window.close()
        if "steps" not in parts:
            return
        shown = [Ours(app, folder), Napari(app, asynchronous=False), Napari(app, asynchronous=True)]
        sheet = make_sheet((60_000, 60_000), SLOW_S)
        for one in shown:
            one.show(sheet, "slow")
        sizes = {(one.native.width(), one.native.height()) for one in shown}
        print(f"\ncanvas {' and '.join(f'{width} x {height}' for width, height in sizes)} px")
        with no_opengl():
            report_steps(app, shown, steps, stubbed=True)
        report_steps(app, shown, steps // 2, stubbed=False)
        sys.stdout.flush()
        for one in shown:
            one.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
