"""What the panels cost at 100,000 boxes: ``python -m tests.benchmarks.window_boxes [COUNT] [--profile ACTION]``.

The real window with every panel that shows boxes open at once (each stands in a window of its own, so that all are
seen and painted). For each action, until everything on screen is up to date again:

- stop: the longest stretch in which the window could not answer, on the clock,
- processor: what the window's thread used of the processor in all, which hardly depends on what else the machine does,
- shown: until the action's result was there to be painted on the canvas, on the clock.

OpenGL is stubbed: its commands are collected, then dropped. Limits stand beside the figures, "!" where one is not kept.
``--profile`` prints where the window's thread spends an action's time.
"""

from __future__ import annotations

import cProfile
import faulthandler
import os
import platform
import pstats
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.box_core import some_boxes
from tests.benchmarks.boxes_canvas import side_of
from tests.benchmarks.canvas_streaming import Clock, make_sheet, no_opengl

PANELS = {  # name: size on screen
    "slides": (236, 260), "classes": (236, 320), "card": (276, 400), "detect": (276, 300), "history": (276, 420),
    "gallery": (1366, 300), "table": (1366, 300), "sem": (464, 420),
}  # fmt: skip
ROUNDS = 9
QUIET_S = 0.4
WAITING_MS = 0.1
"""Looking whether there is an event costs less than this."""
LIMITS = {  # milliseconds of the window's thread: processor in all
    "draw one": 16,
    "move one": 16,
    "undo one": 16,
    "confirm and next": 16,
    "filter": 50,
    "class of 10,000": 300,
    "undo class of 10,000": 300,
    "undo import": 300,
    "open": 1000,
}


def with_a_screen() -> None:
    """Start again under a virtual screen where there is no display."""
    if os.environ.get("DISPLAY") or sys.platform != "linux":
        return
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        sys.exit("There is no display, and xvfb-run is not installed.")
    command = [xvfb, "-a", "-s", "-screen 0 1920x1200x24", sys.executable, "-m", "tests.benchmarks.window_boxes"]
    os.execv(xvfb, [*command, *sys.argv[1:]])


class Bench:
    """The window on a project of boxes."""

    def __init__(self, app: Clock, folder: Path, rows: np.ndarray) -> None:
        from qtpy.QtGui import QImage

        from microscope_qc.app.shell.main_window import MainWindow
        from microscope_qc.project import Project
        from microscope_qc.slides.virtual.reader import write_virtual

        self.app, self.side = app, side_of(rows)
        sheet = make_sheet((self.side, self.side), 0.0)
        place = write_virtual(folder / "boxes.virtual.json", shape=(self.side, self.side))
        self.place = folder / "boxes.mqc"
        with Project.create(self.place, slides=[place]) as project:
            slide = project.slides[0].id
            project.slides.set_pixel_size(slide, 0.5)
            rows["class_id"] = np.resize([item.id for item in project.classes], len(rows))
            project.boxes.add(slide, rows, title="Import boxes")
        from microscope_qc.app.session import pixels as module

        module.open_mosaic = lambda _slide: sheet
        self.window = MainWindow()
        self.session = self.window.session
        self.canvas = self.window.canvas
        self.window.resize(1600, 1000)
        self.window.show()
        self.app.wait(self.window.windowHandle().isExposed)
        self.sheet = QImage(self.canvas.picture.native.size(), QImage.Format.Format_ARGB32_Premultiplied)
        self.scene_canvas = self.canvas.picture.widget.canvas._scene_canvas
        self.profile: cProfile.Profile | None = None

    def spread(self) -> None:
        """Every panel in a window of its own."""
        for dock in self.window.docks.values():
            dock.hide()
        for number, (name, size) in enumerate(PANELS.items()):
            self.window.navigator.show_panel(name)
            dock = self.window.docks[name]
            dock.setFloating(True)
            dock.resize(*size)
            dock.move(40 * number, 30 * number)
        self.app.rest(2.0)
        self.window.setUpdatesEnabled(False)  # what is in the window is painted by paint()

    def open(self) -> tuple[float, float, float]:
        """Open the project; stop, processor, shown."""
        return self.measure(lambda: self.window.navigator.open_paths([self.place]), paint=False)

    def paint(self) -> None:
        """What Qt calls for a frame."""
        self.scene_canvas.set_current()
        self.scene_canvas.events.draw(region=None)
        for part in (self.canvas.overlay, self.canvas.overview, self.canvas.legend):
            part.render(self.sheet)

    def measure(self, action: Callable[[], object], *, paint: bool = True) -> tuple[float, float, float]:
        """Milliseconds: longest stop, processor in all, until the canvas could be painted."""
        if self.profile is not None:
            self.profile.enable()
        start, start_processor = time.perf_counter(), time.thread_time()
        action()
        self.canvas._on_refresh()
        if paint:
            self.paint()
        direct = (time.perf_counter() - start) * 1e3
        processor = (time.thread_time() - start_processor) * 1e3
        shown, rest, longest = self.until_quiet(start)
        if self.profile is not None:
            self.profile.disable()
        return max(direct, longest), processor + rest, max(shown, direct)

    def until_quiet(self, start: float = 0.0) -> tuple[float, float, float]:
        """Handle events until nothing has happened for a while: when boxes were there, processor, longest stop."""
        boxes = self.canvas.boxes
        shown = processor = longest = 0.0
        quiet_since = time.perf_counter()
        end = quiet_since + 20
        while (now := time.perf_counter()) < min(end, quiet_since + QUIET_S):
            used = time.thread_time()
            self.app.app.processEvents()
            used = (time.thread_time() - used) * 1e3
            took = (time.perf_counter() - now) * 1e3
            longest = max(longest, took)
            if used > WAITING_MS:
                processor += used
            if used > 1.5 or self.busy():
                quiet_since = time.perf_counter()
            if (
                not shown
                and not self.waiting()
                and boxes._scene is not None
                and not boxes.preparing
                and not boxes._stale
            ):
                shown = (time.perf_counter() - start) * 1e3
            time.sleep(0.002)
        return shown, processor, longest

    def busy(self) -> bool:
        """Whether a worker is still running."""
        gallery: Any = self.window.docks["gallery"].content
        return self.waiting() or self.canvas.boxes.preparing or bool(getattr(gallery.model, "sorting", False))

    def waiting(self) -> bool:
        """Whether a project is being opened or a large step is being written."""
        project = self.session.project
        return project is None or project.is_writing or bool(self.window.jobs.running)


def actions(bench: Bench) -> dict[str, list[tuple[float, float, float]]]:
    """All of them, by turns."""
    session, side, gallery = bench.session, bench.side, bench.window.docks["gallery"].content
    found: dict[str, list[tuple[float, float, float]]] = {}
    only = sys.argv[sys.argv.index("--profile") + 1] if "--profile" in sys.argv else ""

    def do(name: str, action: Callable[[], object]) -> None:
        if name == only:
            bench.profile = bench.profile or cProfile.Profile()
        profile, bench.profile = bench.profile, bench.profile if name == only else None
        found.setdefault(name, []).append(bench.measure(action))
        bench.profile = profile

    bench.canvas.fit_slide()
    bench.app.rest(1.0)
    for number in range(ROUNDS):
        at = side / 2 + 3 * number
        near = bench.canvas.view.centred(at, at)
        bench.canvas.set_view(type(near)(at, at, 1.0, near.width, near.height))
        bench.app.rest(0.4)
        made: list[int] = []
        do("draw one", lambda at=at, made=made: made.append(session.editing.draw(at, at, at + 40, at + 40)))
        do("move one", lambda at=at, made=made: session.editing.move(made[0], at + 5, at, at + 45, at + 40))
        do("undo one", session.undoing.undo)
        session.undoing.undo()
        bench.until_quiet()
        session.navigation.select_and_centre(int(session.navigation.order()[10 + number]))
        bench.until_quiet()
        do("confirm and next", gallery.keys.confirm)
        do("filter", lambda number=number: session.set_filter(min_confidence=(0.2, 0.6, 0.0)[number % 3]))
    session.clear_filter()
    bench.until_quiet()
    rng = np.random.default_rng(1)
    ids = np.sort(rng.permutation(session.table.rows["id"])[: min(10_000, len(session.table))])
    for item in session.classes[:3]:
        do("class of 10,000", lambda item=item: session.judging.relabel(ids, item.id))
        do("undo class of 10,000", session.undoing.undo)
    while session.project is not None and session.project.history.undo_title != "Import boxes":
        session.undoing.undo()
        bench.until_quiet()
    for _ in range(2):
        do("undo import", session.undoing.undo)
        do("redo import", session.undoing.redo)
    return found


def report(found: dict[str, list[tuple[float, float, float]]]) -> None:
    """Print the table."""
    heads = ("stop", "p95", "processor", "p95", "shown", "p95")
    print(f"{'milliseconds':<22}" + "".join(f"{head:>11}" for head in heads) + f"{'limit':>8}")
    for name, values in found.items():
        limit = LIMITS.get(name)
        line = f"{name:<22}"
        for column in np.array(values).T:
            line += f"{np.median(column):>11.1f}{np.percentile(column, 95):>11.1f}"
        over = limit is not None and float(np.median(np.array(values)[:, 1])) > limit
        print(line + f"{limit if limit is not None else '':>8}{'!' if over else ''}")


def main() -> None:
    """Run everything."""
    with_a_screen()
    faulthandler.enable()
    folder = Path(tempfile.mkdtemp(prefix="window-boxes-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    count = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 100_000)
    app = Clock()
    import PySide6

    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, PySide6 {PySide6.__version__}, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {count:,} boxes, panels: {', '.join(PANELS)}"
    )
    bench = Bench(app, folder, some_boxes(count))
    try:
        bench.open()
        bench.spread()
        opened = []
        for _ in range(3):
            bench.session.set_project(None)
            app.rest(0.3)
            opened.append(bench.open())
            bench.spread()
        with no_opengl():
            found = actions(bench)
        report({"open": opened, **found})
        if bench.profile is not None:
            stats = pstats.Stats(bench.profile)
            stats.print_callees("processEvents")
            stats.sort_stats("cumulative").print_stats(45)
            stats.sort_stats("tottime").print_stats(30)
        sys.stdout.flush()
    except Exception:  # the window shows errors, nobody sees them here
        traceback.print_exc()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.flush()
        os._exit(0)  # what was made while OpenGL was stubbed cannot be closed


if __name__ == "__main__":
    main()
