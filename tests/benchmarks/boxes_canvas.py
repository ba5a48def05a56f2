"""Boxes on the canvas beside napari's Shapes layer: ``python -m tests.benchmarks.boxes_canvas [COUNT ...]``.

Both are in one process and take turns; what is measured is how long the window's thread is busy. With OpenGL stubbed
its commands are collected, then dropped; the complete frame is drawn by whatever OpenGL there is (software on a
virtual screen, which it starts for itself). Boxes of this program are in a project on disk: every edit is in the
history, durable, when it returns. Limits stand beside the figures, "!" where one is not kept. ``--processor`` shows the
processor time of the window's thread instead, which hardly depends on what else the machine is doing (and leaves
waiting for the disk and for the graphics card out).

Shapes are left out where a figure would take minutes: at 100,000 they are made and edited once, at 1,000,000 not.
``--screenshots DIR`` takes pictures of 100,000 boxes at three zooms in both themes and measures nothing.
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
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.box_core import some_boxes
from tests.benchmarks.canvas_streaming import CANVAS, Clock, Ours, busy_per_step, make_sheet, no_opengl
from tests.virtual_screen import with_a_screen

COUNTS = (1_000, 5_000, 20_000, 100_000, 1_000_000)
SHAPES_UP_TO, SHAPES_MADE_UP_TO = 20_000, 100_000
ROUNDS, STEPS = 3, 24
EDITS = 15
PROCESSOR = "--processor" in sys.argv
LIMITS = {  # milliseconds: up to 100,000, at 1,000,000
    "opened: seconds until shown": (1.0, None),
    "pan, whole slide p95": (16, 33),
    "pan, some thousand boxes p95": (16, 33),
    "pan, near p95": (16, 33),
    "zoom, far to near p95": (16, 33),
    "add one": (16, None),
    "move one": (16, None),
    "undo one": (16, None),
    "class of 10,000": (300, None),
    "filter": (50, None),
}
Results = dict[str, float]


class OurBoxes(Ours):
    """The canvas of this program with a project of boxes."""

    name = "this canvas"

    def make(self, rows: np.ndarray) -> None:
        """A project with these boxes, closed again."""
        from microscope_qc.project import Project
        from microscope_qc.slides.virtual.reader import write_virtual

        side = side_of(rows)
        self.sheet_ = make_sheet((side, side), 0.0)
        self.sheet_.pattern = (self.sheet_.pattern // 8 + 110).astype(np.uint8)
        name = f"boxes{len(rows)}"
        place = write_virtual(self.folder / f"{name}.virtual.json", shape=(side, side))
        self.place = self.folder / f"{name}.mqc"
        with Project.create(self.place, slides=[place]) as project:
            slide = project.slides[0].id
            project.slides.set_pixel_size(slide, 0.5)
            rows["class_id"] = np.resize([item.id for item in project.classes], len(rows))
            project.boxes.add(slide, rows, title="Import boxes")

    def open(self) -> float:
        """Open it; seconds until its boxes are on screen."""
        from microscope_qc.app.session import pixels as module
        from microscope_qc.project import Project

        opening, module.open_mosaic = module.open_mosaic, lambda _slide: self.sheet_
        start = time.perf_counter()
        try:
            self.session.set_project(Project.open(self.place))
        finally:
            module.open_mosaic = opening
        self.canvas._on_refresh()
        self.app.wait(lambda: self.canvas.boxes._scene is not None)
        self.paint()
        took = time.perf_counter() - start
        self.settle()
        self.session.selection.set(self.session.table.rows["id"][:1].copy())
        self.settle()
        self.paint()  # what is made at the first selection must not be made while OpenGL is stubbed
        self.session.selection.clear()
        return took

    def settle(self) -> None:
        """Wait until everything around the view is prepared."""
        boxes = self.canvas.boxes
        self.canvas._on_refresh()
        self.app.wait(lambda: not boxes.preparing and not boxes._stale and not self.canvas._refresh.isActive())

    def edit(self, call: Callable[[], object]) -> float:
        """Milliseconds of one edit with everything that follows it on the canvas."""
        self.settle()
        return _busy_ms(lambda: (call(), self.canvas._on_refresh(), self.paint()))

    def whole(self) -> tuple[float, float, float]:
        """Where the whole slide is seen."""
        self.canvas.fit_slide()
        view = self.canvas.view
        return view.y, view.x, view.zoom


class Shapes:
    """napari's viewer with a Shapes layer, its fastest backend."""

    name = "napari Shapes"

    def __init__(self, app: Clock) -> None:
        from napari._qt.qt_viewer import QtViewer
        from napari.components import ViewerModel
        from napari.settings import get_settings

        get_settings().experimental.triangulation_backend = "Fastest available"
        self.app = app
        self.model = ViewerModel(ndisplay=2)
        self.viewer = QtViewer(self.model, show_welcome_screen=False)
        self.viewer.dims.hide()
        self.top = self.viewer
        self.viewer.resize(*CANVAS)
        self.viewer.show()
        self.native = self.viewer.canvas.native
        self.scene_canvas = self.viewer.canvas._scene_canvas
        self.app.rest(0.3)
        self.layer: Any = None

    def make(self, rows: np.ndarray) -> float:
        """Make the layer; seconds until it is painted."""
        corners = [[[r["y0"], r["x0"]], [r["y0"], r["x1"]], [r["y1"], r["x1"]], [r["y1"], r["x0"]]] for r in rows]
        colours = np.random.default_rng(0).random((len(rows), 4))
        start = time.perf_counter()
        self.layer = self.model.add_shapes(
            np.array(corners), shape_type="rectangle", face_color="transparent", edge_color=colours, edge_width=2
        )
        self.paint()
        return time.perf_counter() - start

    def look(self, y: float, x: float, zoom: float) -> None:
        """One step of a user's hand."""
        camera = self.model.scene.camera
        camera.zoom = zoom
        camera.center = (0.0, y, x)

    def paint(self) -> None:
        """What Qt does for a frame."""
        self.scene_canvas.set_current()
        self.scene_canvas.events.draw(region=None)

    def edit(self, call: Callable[[], object]) -> float:
        """Milliseconds of one edit and its frame."""
        return _busy_ms(lambda: (call(), self.paint()))

    def add(self, side: int) -> None:
        """Add a rectangle."""
        at = side / 2
        self.layer.add_rectangles(np.array([[at, at], [at, at + 50], [at + 50, at + 50], [at + 50, at]]))

    def move(self) -> None:
        """What a drag does at every step."""
        self.layer._data_view.shift(len(self.layer.data) // 2, [0, 5])
        self.layer.refresh()

    def recolour(self, count: int) -> None:
        """Another colour for many."""
        self.layer.selected_data = set(range(count))
        self.layer.current_edge_color = "red"

    def clear(self) -> None:
        """Remove the layer."""
        if self.layer is not None:
            self.model.layers.clear()
            self.layer = None
            gc.collect()


def side_of(rows: np.ndarray) -> int:
    """Of the square slide they lie on."""
    return int(max(rows["y1"].max(), rows["x1"].max())) + 1


def motions(side: int, whole: float) -> dict[str, Callable[[int], Iterator[tuple[float, float, float]]]]:
    """Views, step by step, for a round."""
    several = CANVAS[0] / (100.0 * 5000**0.5)  # some thousand boxes in sight: they lie 100 px apart

    def panned(zoom: float) -> Callable[[int], Iterator[tuple[float, float, float]]]:
        def steps(number: int) -> Iterator[tuple[float, float, float]]:
            start = side * (0.3 + 0.1 * number)
            for step in range(STEPS):
                yield start + 12 * step / zoom, start + 40 * step / zoom, zoom

        return steps

    def zoomed(number: int) -> Iterator[tuple[float, float, float]]:
        place = side * (0.4 + 0.07 * number)
        factor = max(1.05, (1.0 / whole) ** (1 / STEPS))
        for step in range(STEPS):
            yield place, place, whole * min(factor, 1.2) ** step

    return {
        "pan, whole slide": panned(whole),
        "pan, some thousand boxes": panned(several),
        "pan, near": panned(1.0),
        "zoom, far to near": zoomed,
    }


def look_around(app: Clock, shown: list[Any], side: int, whole: float) -> dict[str, Results]:
    """Steps of both by turns, with OpenGL stubbed; then complete frames."""
    found: dict[str, Results] = {one.name: {} for one in shown}
    for what, steps in motions(side, whole).items():
        took: dict[str, list[float]] = {one.name: [] for one in shown}
        with no_opengl():
            for number in range(ROUNDS):
                for one in shown:
                    one.look(*next(steps(number)))
                    app.rest(0.4)
                    took[one.name] += [pair[PROCESSOR] for pair in busy_per_step(app, one, steps(number), stubbed=True)]
        for name, values in took.items():
            found[name][f"{what} p50"], found[name][f"{what} p95"] = np.percentile(values, [50, 95])
    for one in shown:
        one.look(side / 2, side / 2, whole)
        app.rest(0.5)
        frames = []
        for step in range(7):
            one.look(side / 2, side / 2 + step / whole, whole)
            frames.append(_busy_ms(lambda one=one: (one.paint(), _finish())))
        found[one.name]["complete frame, whole slide"] = statistics.median(frames[1:])
    return found


def _busy_ms(call: Callable[[], object]) -> float:
    clock = time.thread_time if PROCESSOR else time.perf_counter
    start = clock()
    call()
    return (clock() - start) * 1e3


def _finish() -> None:
    from vispy.gloo import gl

    gl.glFinish()


def edit_ours(ours: OurBoxes, rows: np.ndarray) -> Results:
    """Edits of one box and of many, near by and with the whole slide in sight, by turns."""
    session, side = ours.session, side_of(rows)
    took: dict[str, list[float]] = {}
    with no_opengl():
        for number in range(EDITS):
            if number % 2:
                ours.whole()
            else:
                ours.look(side / 2, side / 2, 1.0)
            at = side / 2 + 3 * number
            made: list[int] = []

            def add(at: float = at, made: list[int] = made) -> None:
                made.append(session.editing.draw(at, at, at + 40, at + 40))

            def move(at: float = at, made: list[int] = made) -> None:
                session.editing.move(made[0], at + 5, at, at + 45, at + 40)

            for name, call in (("add one", add), ("move one", move), ("undo one", session.undoing.undo)):
                took.setdefault(name, []).append(ours.edit(call))
        rng = np.random.default_rng(1)
        ids = np.sort(rng.permutation(session.table.rows["id"])[: min(10_000, len(rows))])
        for item in session.classes[:5]:
            took.setdefault("class of 10,000", []).append(
                ours.edit(lambda item=item: session.judging.relabel(ids, item.id))
            )
        ours.whole()
        for least in (0.2, 0.4, 0.6, 0.8, 0.0):
            took.setdefault("filter", []).append(
                ours.edit(lambda least=least: session.set_filter(min_confidence=least))
            )
            start = time.perf_counter()
            ours.settle()
            took.setdefault("filter: until all is shown", []).append(
                (time.perf_counter() - start) * 1e3 + took["filter"][-1]
            )
    return {name: statistics.median(values) for name, values in took.items()}


def edit_shapes(shapes: Shapes, rows: np.ndarray) -> Results:
    """The same of Shapes, as far as it can do it."""
    few = 1 if len(rows) > SHAPES_UP_TO else 5
    found: Results = {}
    with no_opengl():
        found["add one"] = statistics.median(shapes.edit(lambda: shapes.add(side_of(rows))) for _ in range(few))
        found["move one"] = statistics.median(shapes.edit(shapes.move) for _ in range(few))
        if len(rows) <= SHAPES_UP_TO:
            found["class of 10,000"] = shapes.edit(lambda: shapes.recolour(min(10_000, len(rows))))
    return found


def measure(app: Clock, ours: OurBoxes, shapes: Shapes, count: int) -> dict[str, Results]:
    """All figures of a number of boxes."""
    rows = some_boxes(count)
    ours.make(rows)
    side = side_of(rows)
    found: dict[str, Results] = {ours.name: {}, shapes.name: {}}
    opened = []
    for _ in range(3):
        ours.session.set_project(None)
        app.rest(0.2)
        opened.append(ours.open())
    found[ours.name]["opened: seconds until shown"] = statistics.median(opened)
    shown: list[Any] = [ours]
    if count <= SHAPES_MADE_UP_TO:
        found[shapes.name]["opened: seconds until shown"] = shapes.make(rows)
        if count <= SHAPES_UP_TO:
            shown.append(shapes)
    _, _, whole = ours.whole()
    for name, values in look_around(app, shown, side, whole).items():
        found[name] |= values
    found[ours.name] |= edit_ours(ours, rows)
    if shapes.layer is not None:
        found[shapes.name] |= edit_shapes(shapes, rows)
    shapes.clear()
    ours.session.set_project(None)
    return found


def report(results: dict[int, dict[str, Results]]) -> None:
    """Print the table."""
    names = list(dict.fromkeys(name for both in results.values() for one in both.values() for name in one))
    print(f"\n{'':<32}{'':<15}" + "".join(f"{count:>12,}" for count in results) + f"{'limit':>8}{'at 1M':>7}")
    for name in names:
        small, large = LIMITS.get(name, (None, None))
        for who in (OurBoxes.name, Shapes.name):
            line = f"{name if who == OurBoxes.name else '':<32}{who:<15}"
            for count, both in results.items():
                figure, limit = both[who].get(name), large if count > 100_000 else small
                missed = who == OurBoxes.name and figure is not None and limit is not None and figure > limit
                line += (f"{figure:>11.2f}" if figure is not None else f"{'-':>11}") + ("!" if missed else " ")
            print(line + (f"{small or '':>8}{large or '':>7}" if who == OurBoxes.name else ""))


def take_pictures(app: Clock, ours: OurBoxes, out: Path) -> None:
    """100,000 boxes at three zooms in both themes."""
    from microscope_qc.app.base import theme

    out.mkdir(parents=True, exist_ok=True)
    rows = some_boxes(100_000)
    rng = np.random.default_rng(5)
    middle = rng.random((40, 2)) * rows["y1"].max()  # findings are clustered
    crowd = rng.random(len(rows)) < 0.5
    place = middle[rng.integers(0, 40, crowd.sum())] + rng.normal(0, 900, (crowd.sum(), 2))
    size = 6 + rng.random((2, len(rows))) ** 3 * 60
    rows["y0"][crowd], rows["x0"][crowd] = np.clip(place, 0, rows["y1"].max() - 100).T
    rows["y1"], rows["x1"] = rows["y0"] + size[0], rows["x0"] + size[1]
    rows["state"] = rng.choice([0, 1, 2], len(rows), p=[0.6, 0.3, 0.1])
    ours.make(rows)
    ours.open()
    ours.canvas.legend.set_wanted(True)
    y, x, whole = ours.whole()
    y, x = float(rows["y0"][crowd][0]), float(rows["x0"][crowd][0])
    for choice in ("light", "dark"):
        colours = theme.apply_theme(app.app, choice)
        ours.canvas.picture.set_background(colours.canvas)
        for name, zoom in (("far", None), ("middle", 0.25), ("near", 1.5)):
            if zoom is None:
                ours.whole()
            else:
                ours.look(y, x, zoom)
            ours.settle()
            app.wait(lambda: ours.canvas.picture.complete)
            app.rest(0.4)
            if name == "near":
                view = ours.canvas.view
                ids = [int(n) for n in ours.session.table.rows["id"][ours.session.table.inside(*view.bounds)][:40]]
                ours.session.selection.set(ids[:1])
                row = ours.session.table.get(ids[-1:])[0]
                at = ours.native.rect().center()
                at.setX(round(view.to_screen(float(row["y1"]), float(row["x1"]))[0]))
                at.setY(round(view.to_screen(float(row["y1"]), float(row["x1"]))[1]))
                ours.canvas.hover.over(ids[-1], at)
                app.wait(ours.canvas.hover.isVisible, 5)
                app.rest(0.3)
            ours.canvas.grab().save(str(out / f"boxes-{choice}-{name}.png"))
        ours.canvas.hover.leave()
        ours.session.selection.clear()
    ours.session.set_project(None)


def main() -> None:
    """Run everything."""
    with_a_screen("tests.benchmarks.boxes_canvas")
    faulthandler.enable()
    folder = Path(tempfile.mkdtemp(prefix="boxes-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    app = Clock()
    ours = OurBoxes(app, folder)
    try:
        if "--screenshots" in sys.argv:
            take_pictures(app, ours, Path(sys.argv[sys.argv.index("--screenshots") + 1]))
            return
        import napari
        import PySide6
        import vispy

        counts = tuple(int(word) for word in sys.argv[1:] if word.isdecimal()) or COUNTS
        print(
            f"Python {platform.python_version()}, numpy {np.__version__}, PySide6 {PySide6.__version__}, napari "
            f"{napari.__version__}, vispy {vispy.__version__}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        print(
            f"Milliseconds (seconds where it says so) that the window's thread is busy{' (processor)' * PROCESSOR}, "
            f"OpenGL stubbed except for the complete frame; canvas {CANVAS[0]} x {CANVAS[1]} px"
        )
        shapes = Shapes(app)
        results = {}
        for count in counts:
            results[count] = measure(app, ours, shapes, count)
            print(f"{count:,} boxes done", flush=True)
        report(results)
        sys.stdout.flush()
    finally:
        ours.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
