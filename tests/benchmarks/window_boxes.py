"""What the panels cost at 100,000 boxes: ``python -m tests.benchmarks.window_boxes [COUNT] [options]``.

The real window with every panel that shows boxes open at once; each stands in a window of its own, so that all are
seen and painted, and so does the canvas. Every action is a real event (a key, the mouse, a button), and what follows
it is what follows in the program: queued refreshes, timers, paints, threads. For each action

- stop: how long the next key or click could have waited at most, on the clock. Qt's loop goes round: it sends what was
  posted (with it what is painted), calls the timers that are due, and handles what the user did last. What arrives just
  after a round began is seen by the next one only and comes last in it, so that it waits for two rounds,
- busy: the processor time of the window's thread in the two rounds that used most, which hardly depends on what else
  the machine does,
- drained: the longest stretch in which the loop always had something to do, on the clock: between its rounds keys and
  clicks are answered,
- in all: the processor time of the window's thread until everything on screen is up to date again.

The machine's graphics card is left out: OpenGL commands are collected, then dropped, and the canvas is painted by hand
whenever Qt would paint it. Limits stand beside the figures, "!" where one is not kept by "stop".

Options: ``--only NAME,NAME`` these actions; ``--rounds N``; ``--profile ACTION`` prints where the longest stop of an
action goes, on the clock, so that what the window's thread waits for is seen as well; ``--json FILE`` keeps every
figure, to compare two versions of the program by turns.
"""

from __future__ import annotations

import argparse
import cProfile
import faulthandler
import json
import os
import platform
import pstats
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.box_core import some_boxes
from tests.benchmarks.boxes_canvas import side_of
from tests.benchmarks.canvas_streaming import Clock, make_sheet, no_opengl
from tests.virtual_screen import with_a_screen

PANELS = {  # name: size on screen
    "slides": (236, 260), "classes": (236, 320), "card": (276, 400), "detect": (276, 300), "history": (276, 420),
    "gallery": (1366, 300), "table": (1366, 300), "sem": (464, 420),
}  # fmt: skip
CANVAS = (1366, 768)
ROUNDS = 25
QUIET_S = 0.4
WAITING_MS = 0.1
"""Looking whether there is an event costs less than this."""
LIMITS = {  # milliseconds of the longest stop: median, 95 %
    **dict.fromkeys(("draw", "move", "undo", "redo", "confirm and next", "reject and next", "next"), (16, 25)),
    **dict.fromkeys(("class", "choose", "note"), (16, 25)),
    "filter": (50, None),
    "class of 10,000": (300, None),
    "undo class of 10,000": (300, None),
    "undo import": (300, None),
    "open": (1000, None),
}


class Cost(NamedTuple):
    """Milliseconds of one action."""

    stop: float
    busy: float
    drained: float
    in_all: float


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="window_boxes", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--profile", default="")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class Round(NamedTuple):
    """Milliseconds of one round of the event loop, on the clock and of the processor."""

    took: float
    used: float


def longest_wait(rounds: list[Round]) -> Round:
    """How long a user's event could have waited: for the two rounds, one after the other, that took longest."""
    pairs = list(zip(rounds, [*rounds[1:], Round(0.0, 0.0)], strict=True))
    return Round(max(one.took + two.took for one, two in pairs), max(one.used + two.used for one, two in pairs))


class Bench:
    """The window on a project of boxes."""

    def __init__(self, app: Clock, folder: Path, rows: np.ndarray) -> None:
        from qtpy.QtCore import QAbstractEventDispatcher, QTimer
        from qtpy.QtGui import QImage

        from microscope_qc.app.shell.main_window import MainWindow

        self.app, self.side = app, side_of(rows)
        self.place = make_project(folder, rows, self.side)
        sheet = make_sheet((self.side, self.side), 0.0)
        from microscope_qc.app.session import pixels as module

        module.open_mosaic = lambda _slide: sheet
        self.loop = QAbstractEventDispatcher.instance()
        self.window = MainWindow()
        self.session = self.window.session
        self.canvas = self.window.canvas
        self.window.resize(1600, 1000)
        self.window.show()
        self.app.wait(self.window.windowHandle().isExposed)
        self.sheet = QImage(self.canvas.picture.native.size(), QImage.Format.Format_ARGB32_Premultiplied)
        self.scene_canvas = self.canvas.picture.widget.canvas._scene_canvas
        self.profiles: list[cProfile.Profile] | None = None
        self.longest: tuple[float, list[cProfile.Profile]] = 0.0, []
        self._frame = QTimer(singleShot=True, interval=0)
        self._frame.timeout.connect(self._paint)

    # -- what is on screen -------------------------------------------------------------------------------------------

    def spread(self, panels: Mapping[str, tuple[int, int]] = PANELS) -> None:
        """Every panel in a window of its own, of the size given."""
        for dock in self.window.docks.values():
            dock.hide()
        for number, (name, size) in enumerate(panels.items()):
            self.window.navigator.show_panel(name)
            dock = self.window.docks[name]
            dock.setFloating(True)
            dock.resize(*size)
            dock.move(40 * number, 30 * number)
        self.app.rest(2.0)

    def take_canvas_out(self) -> None:
        """Paint the canvas by hand: Qt would put its window together with OpenGL, here without a graphics card."""
        from qtpy.QtCore import Qt
        from qtpy.QtGui import QImage

        canvas = self.canvas
        canvas.setParent(None)
        canvas.setWindowFlag(Qt.WindowType.Window)
        canvas.resize(*CANVAS)
        canvas.show()
        # where a canvas was, Qt goes on putting the window together with OpenGL until its native window is a new one
        self.window.hide()
        self.window.destroy(True, False)
        self.window.show()
        self.app.rest(1.0)
        canvas.setUpdatesEnabled(False)
        for part in (canvas.overlay, canvas.overview, canvas.legend, self.scene_canvas):
            part.update = lambda *_, **__: self._frame.start()
        self.scene_canvas._backend._vispy_set_current = lambda: None  # without a graphics card it asks the X server
        self.sheet = QImage(canvas.picture.native.size(), QImage.Format.Format_ARGB32_Premultiplied)

    def _paint(self) -> None:
        """What Qt calls for a frame: everything on the canvas lies above the picture and is painted with it."""
        self.scene_canvas.set_current()
        self.scene_canvas.events.draw(region=None)
        for part in (self.canvas.overlay, self.canvas.overview, self.canvas.legend):
            if part.isVisible():
                part.render(self.sheet)

    def open(self) -> Cost:
        """Open the project."""
        return self.measure(lambda: self.window.navigator.open_paths([self.place]))

    # -- measuring ---------------------------------------------------------------------------------------------------

    def measure(self, event: Callable[[], object]) -> Cost:
        """Milliseconds of an event and everything that it causes."""
        self.longest = 0.0, []
        cost = self._until_quiet(event)
        if self.profiles is not None:
            self.profiles.extend(self.longest[1])
        return cost

    def settle(self) -> None:
        """Wait until nothing happens any more."""
        self._until_quiet(lambda: None)

    def _until_quiet(self, event: Callable[[], object]) -> Cost:
        stretch = self._stretch(event)
        stop, busy = longest_wait(stretch)
        drained, in_all = (sum(column) for column in zip(*stretch, strict=True))
        quiet_since = time.perf_counter()
        end = quiet_since + 20
        while (now := time.perf_counter()) < min(end, quiet_since + QUIET_S):
            stretch = self._stretch(None)
            took, used = (sum(column) for column in zip(*stretch, strict=True))
            if used > WAITING_MS:
                in_all += used
                longest = longest_wait(stretch)
                stop, busy, drained = max(stop, longest.took), max(busy, longest.used), max(drained, took)
            if used > 1.5 or self.working():
                quiet_since = now
            time.sleep(0.001)
        return Cost(stop, busy, drained, in_all)

    def _stretch(self, event: Callable[[], object] | None) -> list[Round]:
        """Let the event loop go round until it would wait."""
        from qtpy.QtCore import QEventLoop

        go_round = partial(self.loop.processEvents, QEventLoop.ProcessEventsFlag.AllEvents)
        rounds: list[Round] = []
        profiles: list[cProfile.Profile] = []
        what: Callable[[], object] = go_round if event is None else event
        while True:
            profile = None if self.profiles is None else cProfile.Profile()
            start, start_processor = time.perf_counter(), time.thread_time()
            more = what() if profile is None else profile.runcall(what)
            used, took = time.thread_time() - start_processor, time.perf_counter() - start
            rounds.append(Round(took * 1e3, used * 1e3))
            if profile is not None:
                profiles = [*profiles[-1:], profile]
                wait = longest_wait(rounds[-2:])
                if wait.used > WAITING_MS and wait.took > self.longest[0]:
                    self.longest = wait.took, profiles
            if what is go_round and not more:
                return rounds
            what = go_round

    def working(self) -> bool:
        """Whether a thread is still working for the window."""
        project = self.session.project
        if project is None or project.is_writing or self.window.jobs.running or self.window.jobs._calls:
            return True
        return self.canvas.boxes.preparing or self.session.findings.sorting


def make_project(folder: Path, rows: np.ndarray, side: int) -> Path:
    """A project of boxes: half of them imported, half of them found by a detection."""
    from microscope_qc.project import Project
    from microscope_qc.project.runs.plan import RunPlan
    from microscope_qc.slides.virtual.reader import write_virtual

    place = folder / "boxes.mqc"
    slide_file = write_virtual(folder / "boxes.virtual.json", shape=(side, side))
    with Project.create(place, slides=[slide_file]) as project:
        slide = project.slides[0].id
        project.slides.set_pixel_size(slide, 0.5)
        rows["class_id"] = np.resize([item.id for item in project.classes], len(rows))
        project.boxes.add(slide, rows[::2], title="Import boxes")
        run = project.runs.start(slide, RunPlan(model="tiny"))
        project.runs.add_findings(run.id, rows[1::2])
        project.runs.finish(run.id, "finished")
    return place


class User:
    """What a user does, by events."""

    def __init__(self, bench: Bench) -> None:
        from qtpy.QtTest import QTest

        self.bench, self.session, self.canvas = bench, bench.session, bench.canvas
        self.test = QTest
        self.native = bench.canvas.picture.native
        self.gallery = bench.window.docks["gallery"].build().view
        self.card = bench.window.docks["card"].build()
        self._at = bench.side / 2

    def key(self, key: str) -> None:
        """A key of the review, in the gallery."""
        from qtpy.QtCore import Qt

        self.test.keyClick(self.gallery, getattr(Qt.Key, f"Key_{key}"))

    def look(self) -> None:
        """Go on to a place at which the slide is seen pixel by pixel, and at which nothing was found yet."""
        self._at += 60.0
        while len(self.session.table.inside(*[self._at - 30] * 2, *[self._at + 30] * 2)):
            self._at += 60.0
        near = self.canvas.view.centred(self._at, self._at)
        self.canvas.set_view(type(near)(self._at, self._at, 1.0, near.width, near.height))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> Callable[[], None]:
        """Press and move; what is returned releases, which is what changes the project."""
        from qtpy.QtCore import QPoint, Qt

        left = Qt.MouseButton.LeftButton
        places = [QPoint(round(x), round(y)) for y, x in (start, end)]
        self.test.mousePress(self.native, left, pos=places[0])
        for step in (0.4, 0.8, 1.0):
            self.mouse_to(places[0] + (places[1] - places[0]) * step)
        self.bench.settle()
        return lambda: self.test.mouseRelease(self.native, left, pos=places[1])

    def mouse_to(self, place: Any) -> None:
        """Move the mouse with the button down."""
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        event = QMouseEvent(
            QEvent.Type.MouseMove, QPointF(place), QPointF(self.native.mapToGlobal(place)),
            Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(self.native, event)

    def middle(self) -> tuple[float, float]:
        """The middle of the canvas, y and x in points."""
        return self.native.height() / 2, self.native.width() / 2

    def begin_draw(self) -> Callable[[], None]:
        """All but the end of drawing a box."""
        self.session.set_tool("draw")
        y, x = self.middle()
        return self.drag((y - 20, x - 20), (y + 20, x + 20))

    def begin_move(self) -> Callable[[], None]:
        """All but the end of moving the box that was drawn in the middle."""
        self.session.set_tool("select")
        y, x = self.middle()
        return self.drag((y, x), (y + 9, x + 7))

    def write_note(self, words: str) -> Callable[[], None]:
        """All but the end of a note: the user goes on."""
        self.card.note.setPlainText(words)
        return self.card.keep_note


def single(bench: Bench, rounds: int, do: Callable[[str, Callable[[], object]], None]) -> None:
    """Edits of one finding, and the review."""
    session, user = bench.session, User(bench)
    actions = bench.window.book.actions
    for number in range(rounds):
        user.look()
        bench.settle()
        do("draw", user.begin_draw())
        do("move", user.begin_move())
        assert session.project.history.undo_title == "Move 1 finding", session.project.history.undo_title
        do("undo", actions["edit.undo"].trigger)
        do("redo", actions["edit.redo"].trigger)
        session.set_tool("select")
        session.navigation.select_and_centre(int(session.navigation.order()[10 + 4 * number]))
        user.gallery.setFocus()
        bench.settle()
        user.key("Return")  # what follows an undo is another matter: it gives up what could be redone
        bench.settle()
        do("confirm and next", lambda: user.key("Return"))
        user.key("N")
        bench.settle()
        do("reject and next", lambda: user.key("F"))
        do("class", lambda number=number: user.key(str(2 + number % 5)))
        do("choose", lambda: user.key("S"))
        do("note", user.write_note(f"seen {number}"))
        do("next", lambda: user.key("Right"))
        do("filter", lambda number=number: session.set_filter(min_confidence=(0.2, 0.6, 0.0)[number % 3]))
    session.clear_filter()
    bench.settle()


def many(bench: Bench, do: Callable[[str, Callable[[], object]], None]) -> None:
    """Edits of many findings at once."""
    session = bench.session
    rng = np.random.default_rng(1)
    ids = np.sort(rng.permutation(session.table.rows["id"])[: min(10_000, len(session.table))])
    for item in session.classes[:3]:
        do("class of 10,000", lambda item=item: session.judging.relabel(ids, item.id))
        do("undo class of 10,000", session.undoing.undo)
    while session.project is not None and session.project.history.undo_title != "Import boxes":
        session.undoing.undo()
        bench.settle()
    for _ in range(2):
        do("undo import", session.undoing.undo)
        do("redo import", session.undoing.redo)


def run(bench: Bench, wanted: argparse.Namespace) -> dict[str, list[Cost]]:
    """All actions, by turns."""
    found: dict[str, list[Cost]] = {}
    only = {name.strip() for name in wanted.only.split(",") if name.strip()}
    counted: Counter[str] = Counter()

    def do(name: str, action: Callable[[], object]) -> None:
        counted[name] += 1
        if name == wanted.profile and counted[name] > 1:  # the first time is like no other
            bench.profiles = profiles
        cost = bench.measure(action)
        bench.profiles = None
        if counted[name] > 1 or name in ("undo import", "redo import"):
            found.setdefault(name, []).append(cost)

    profiles: list[cProfile.Profile] = []
    bench.canvas.fit_slide()
    bench.settle()
    single(bench, wanted.rounds + 1, do)
    if not only or only & {"class of 10,000", "undo class of 10,000", "undo import", "redo import"}:
        many(bench, do)
    if profiles:
        stats = pstats.Stats(*profiles)
        stats.sort_stats("cumulative").print_stats(70)
        stats.sort_stats("tottime").print_stats(40)
    return {name: costs for name, costs in found.items() if not only or name in only}


def report(found: dict[str, list[Cost]]) -> None:
    """Print the table."""
    heads = ("stop", "p95", "busy", "p95", "drained", "p95", "in all", "p95")
    print(f"{'milliseconds':<22}" + "".join(f"{head:>9}" for head in heads) + f"{'limit':>8}")
    for name, values in found.items():
        limit, slow = LIMITS.get(name, (None, None))
        line = f"{name:<22}"
        for column in np.array(values).T:
            line += f"{np.median(column):>9.1f}{np.percentile(column, 95):>9.1f}"
        stops = np.array(values)[:, 0]
        over = limit is not None and float(np.median(stops)) > limit
        over |= slow is not None and float(np.percentile(stops, 95)) > slow
        words = "" if limit is None else f"{limit}" if slow is None else f"{limit}/{slow}"
        print(line + f"{words:>8}{'!' if over else ''}")


def main() -> None:
    """Run everything."""
    wanted = options()
    with_a_screen("tests.benchmarks.window_boxes")
    faulthandler.enable()
    folder = Path(tempfile.mkdtemp(prefix="window-boxes-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    app = Clock()
    import PySide6

    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, PySide6 {PySide6.__version__}, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {wanted.count:,} boxes, panels: {', '.join(PANELS)}"
    )
    try:
        bench = Bench(app, folder, some_boxes(wanted.count))
        bench.open()
        bench.spread()
        opened = []
        for _ in range(2):
            bench.session.set_project(None)
            app.rest(0.3)
            opened.append(bench.open())
            bench.spread()
        with no_opengl():
            bench.take_canvas_out()
            found = {"open": opened, **run(bench, wanted)}
        report(found)
        if wanted.json is not None:
            wanted.json.write_text(json.dumps(found))
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
