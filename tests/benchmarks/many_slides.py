"""Working over many slides: ``python -m tests.benchmarks.many_slides [SLIDES [FINDINGS_PER_SLIDE]]``.

The real window on a project of 1,000 small pictures with 300 findings each. Prints, in milliseconds:

- stop: the longest stretch in which the window could not answer,
- processor: what the window's thread used of the processor,
- shown: until the result was on screen.

Limits stand beside the figures, "!" where one is not kept.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.virtual_screen import with_a_screen

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow

SIDE_PX = 96
STEPS = 120
PACE_S = 0.1
LIMITS_MS = {"all slides: shown": 300, "next crop, p95": 50, "choose all: stop": 50, "undo choose all: stop": 50}
LIMIT_GB = 1.5


def make_project(folder: Path, *, slides: int, findings: int) -> Path:
    """Write small pictures, and a project with findings on each."""
    import cv2

    from microscope_qc.core.boxes import make_rows
    from microscope_qc.project import Project
    from microscope_qc.project.scenes import SceneFacts

    rng, facts = np.random.default_rng(0), []
    for number in range(slides):
        path = folder / f"picture {number:04}.png"
        cv2.imwrite(str(path), rng.integers(60, 200, (SIDE_PX, SIDE_PX), dtype=np.uint8))
        facts.append(SceneFacts(path, None, f"{number:016x}", (SIDE_PX, SIDE_PX), (0.5, 0.5)))
    place = folder / "many.mqc"
    with Project.create(place) as project:
        project.slides.add_scenes(facts)
        classes, rows_of = [item.id for item in project.classes], {}
        for slide in project.slides:
            (y, x), (height, width) = rng.uniform(0, SIDE_PX - 30, (2, findings)), rng.uniform(3, 25, (2, findings))
            rows_of[slide.id] = make_rows(
                findings, class_id=rng.choice(classes, findings), y0=y, x0=x, y1=y + height, x1=x + width,
                confidence=rng.uniform(0.05, 1, findings),
            )  # fmt: skip
        project.boxes.add_many(rows_of)
    return place


class Bench:
    """The window, and a clock that looks at it from its own event loop."""

    def __init__(self) -> None:
        from qtpy.QtWidgets import QApplication

        from microscope_qc.app.main import load_opening
        from microscope_qc.app.shell.main_window import MainWindow

        self.app = QApplication.instance() or QApplication([])
        load_opening()
        gc.freeze()  # as the program does
        self.window: MainWindow = MainWindow()
        self.session = self.window.session
        self.window.resize(1600, 1000)
        self.window.show()
        self.wait(self.window.isVisible)

    def wait(self, ready: Callable[[], object], *, most_s: float = 120.0) -> float:
        """Let the window work until something is true; returns the longest stretch it was busy, in ms."""
        longest, until = 0.0, time.perf_counter() + most_s
        while not ready():
            start = time.perf_counter()
            self.app.processEvents()
            longest = max(longest, time.perf_counter() - start)
            if start > until:
                sys.exit("The window did not get there.")
            time.sleep(0.0005)
        return longest * 1e3

    def rest(self, seconds: float) -> float:
        """Let the window work for a while; returns the longest stretch it was busy, in ms."""
        until = time.perf_counter() + seconds
        return self.wait(lambda: time.perf_counter() > until)

    def measure(self, name: str, act: Callable[[], object], ready: Callable[[], object]) -> None:
        """Print what an action costs."""
        start, processor = time.perf_counter(), time.thread_time()
        act()
        direct = (time.perf_counter() - start) * 1e3
        stop = max(direct, self.wait(ready))
        shown = (time.perf_counter() - start) * 1e3
        stop = max(stop, self.rest(0.5))
        say(f"{name}: stop", stop)
        say(f"{name}: processor", (time.thread_time() - processor) * 1e3)
        say(f"{name}: shown", shown)


def say(name: str, value: float) -> None:
    """Print a figure, and its limit."""
    limit = LIMITS_MS.get(name)
    print(f"{name:34} {value:8.1f} ms" + ("" if limit is None else f"   limit {limit}{' !' if value > limit else ''}"))


def first_page(bench: Bench) -> Callable[[], bool]:
    """Whether the first cells of the gallery show the pictures of the whole scope."""
    gallery: Any = bench.window.docks["gallery"].build()
    count = sum(len(bench.session.project.boxes.table(slide.id)) for slide in bench.session.project.slides)

    def ready() -> bool:
        model, view = bench.session.findings, gallery.view
        if model.count != count or model.sorting:
            return False
        rows = [model.box(model.id_at(place)) for place in view.rows_in(view.viewport().rect())]
        return all(view.crops.get(view.delegate.spec(row)) is not None for row in rows)

    return ready


def review(bench: Bench) -> list[float]:
    """Milliseconds from Enter to the picture of the next finding, along the order over all slides."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    page: Any = bench.window.pages.review
    session, took = bench.session, []
    session.selection.set(session.findings.order_ids()[:1])
    bench.rest(1.0)
    for _ in range(STEPS):
        start = time.perf_counter()
        QTest.keyClick(page.strip, Qt.Key.Key_Return)

        def there() -> bool:
            row = session.findings.box(session.selection.current)
            crop = page.crops.get(page.picture.spec(row))
            return crop is not None and crop.image is not None

        bench.wait(there)
        page.picture.repaint()
        took.append((time.perf_counter() - start) * 1e3)
        bench.rest(PACE_S)
    return took


def main(slides: int, findings: int, folder: Path) -> None:
    """Make the project, open it, switch, filter, review."""
    import psutil

    place = make_project(folder, slides=slides, findings=findings)
    bench = Bench()
    session = bench.session
    bench.measure("open", lambda: bench.window.navigator.open_paths([place]), lambda: session.mosaic is not None)
    bench.window.navigator.show_panel("gallery")
    bench.window.navigator.show_panel("classes")
    start = time.perf_counter()
    stop = bench.wait(lambda: not session.project.boxes.unread(slide.id for slide in session.project.slides))
    print(f"findings of all slides are read ahead in {time.perf_counter() - start:.1f} s, longest stop {stop:.1f} ms")
    bench.rest(1.0)
    bench.measure("all slides", lambda: session.scope.set_kind("all"), first_page(bench))
    bench.measure("this slide", lambda: session.scope.set_kind("slide"), lambda: session.findings.count == findings)
    bench.measure("all slides again", lambda: session.scope.set_kind("all"), first_page(bench))
    for name, change in {
        "filter by class": {"class_ids": frozenset([session.classes[0].id])},
        "filter by text": {"text": "picture 0012"},
        "filter by size": {"size_um": (5.0, 8.0)},
    }.items():
        bench.measure(name, lambda change=change: session.set_filter(**change), lambda: not session.findings.sorting)
        session.clear_filter()
        bench.rest(1.0)
    bench.measure("choose all", lambda: session.judging.choose(session.scoped.table.rows["id"].copy(), True),
                  lambda: not session.project.is_writing)  # fmt: skip
    bench.measure("undo choose all", session.undoing.undo, lambda: not session.project.is_writing)
    bench.window.workspaces.use("review")
    took = review(bench)
    say("next crop, median", float(np.median(took)))
    say("next crop, p95", float(np.percentile(took, 95)))
    memory = psutil.Process().memory_info().rss / 1e9
    print(f"memory {memory:.2f} GB   limit {LIMIT_GB}{' !' if memory > LIMIT_GB else ''}")
    bench.window.close()


if __name__ == "__main__":
    with_a_screen("tests.benchmarks.many_slides")
    faulthandler.enable()
    numbers = [int(text) for text in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as made:
        os.environ["MICROSCOPE_QC_CONFIG_DIR"] = made
        main(numbers[0] if numbers else 1000, numbers[1] if len(numbers) > 1 else 300, Path(made))
