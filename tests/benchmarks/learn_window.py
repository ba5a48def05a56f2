"""The window while a model is trained: ``python -m tests.benchmarks.learn_window [--minutes N] [--pages] [--early]``.

The real window on a project with drawn defects, and the default training in its worker, as long as ``--minutes`` says.
The pages Statistics and Learn are opened for the first time; then the Learn page is pressed as a user presses it:
train, pause, continue, stop and keep the best, use the model (``--pages`` ends before). With ``--early`` the pages are
opened before the window has imported what they need. Every round of Qt's event loop is timed. For each part are printed

- used: the processor time of the window's thread in its longest round, and in 99 % of them, which hardly depends on
  what else the machine does: it has to stay below the limit,
- took: the same on the clock, with what the training takes away from the window where it has all cores,
- share: of one core that the window used.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.virtual_screen import with_a_screen

if TYPE_CHECKING:
    from qtpy.QtWidgets import QApplication, QWidget

LIMIT_MS = 16.0
PATIENCE_S = 600.0
PAUSE_S = 0.002
"""Between two rounds, as a loop waits that has nothing to do."""
REST_S = 3.0


class Round(NamedTuple):
    """Milliseconds of a round of the event loop, on the clock and of the processor."""

    took: float
    used: float


class Rounds:
    """Lets the window work, and times every round of its event loop."""

    def __init__(self, app: QApplication) -> None:
        self._app = app
        self.rounds: list[Round] = []

    @staticmethod
    def _clock() -> Round:
        return Round(time.perf_counter() * 1e3, time.thread_time() * 1e3)

    def do(self, act: Callable[[], object]) -> None:
        """One round: what the user does, or what the window does by itself."""
        before = self._clock()
        act()
        now = self._clock()
        self.rounds.append(Round(now.took - before.took, now.used - before.used))

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go round until a condition holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}")
            self.do(self._app.processEvents)
            time.sleep(PAUSE_S)

    def rest(self, seconds: float) -> None:
        """Let the window finish what it has begun."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, "the time to pass")

    def part(self, name: str, act: Callable[[], object]) -> bool:
        """Print what one part of the story costs; whether it keeps the limit."""
        self.rounds.clear()
        before = self._clock()
        act()
        now = self._clock()
        used, took = (np.array([getattr(one, field) for one in self.rounds]) for field in ("used", "took"))
        share = (now.used - before.used) / (now.took - before.took)
        kept = bool(used.max() <= LIMIT_MS)
        print(
            f"{name:<24} {len(used):6} rounds   used {used.max():6.1f}{' ' if kept else '!'} (99 %: "
            f"{np.percentile(used, 99):5.1f})   took {took.max():6.1f} (99 %: {np.percentile(took, 99):5.1f}) ms   "
            f"share {share:5.1%}",
            flush=True,
        )
        return kept


def run(folder: Path, minutes: float, *, pages: bool, early: bool = False) -> bool:
    """The story, or only the opening of the pages; whether all of it keeps the limit."""
    for name in ("CONFIG_DIR", "CACHE"):
        os.environ[f"MICROSCOPE_QC_{name}"] = str(folder / name.lower())
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    from microscope_qc.app.shell.ahead import ModulesAhead
    from microscope_qc.app.shell.main_window import MainWindow
    from tests.e2e.window_driver import User
    from tests.learning_toys import judged_project

    window = MainWindow()
    window.resize(1600, 1000)
    window.show()
    user = User(window)
    user.wait_until(lambda: window.windowHandle().isExposed(), "the window")
    window.navigator.open_paths([judged_project(folder)])
    user.wait_until(lambda: user.session.mosaic is not None, "the slide")
    user.session.scope.set_kind("all")
    rounds, ahead = Rounds(app), window.findChild(ModulesAhead)
    assert ahead is not None
    if not early:
        rounds.rest(REST_S)
    rounds.until(lambda: early or not ahead.waits and not window.jobs._calls, "what is imported before")
    buttons = window.workspaces.buttons.buttons

    def click(button: QWidget) -> None:
        rounds.until(lambda: button.isVisible() and button.isEnabled(), "a button")
        rounds.do(lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton))

    def open_page() -> None:
        click(buttons["learn"])
        rounds.until(lambda: window.pages.learn is not None and window.pages.learn.supply.supply.truths, "the page")
        rounds.rest(REST_S)

    def open_statistics() -> None:
        click(buttons["statistics"])
        rounds.until(lambda: window.pages.statistics is not None and window.pages.statistics.numbers, "the numbers")
        rounds.rest(REST_S)

    kept = [rounds.part("open Statistics", open_statistics), rounds.part("open the Learn page", open_page)]
    page = window.pages.learn
    assert page is not None
    if pages:
        window.close()
        return all(kept)
    page.settings.minutes.setValue(max(1, round(minutes)))

    def train() -> None:
        click(page.train)
        rounds.until(lambda: page.score.points and page.examples.examples, "a measurement and its examples")

    def pause() -> None:
        click(page.pause)
        rounds.until(page.go_on.isVisible, "the pause")

    def go_on() -> None:
        before = len(page.loss.points)
        click(page.go_on)
        rounds.until(lambda: page.run.running and len(page.loss.points) > before, "the curve to go on")

    def keep() -> None:
        click(page.keep)
        rounds.until(page.verdict.use.isVisible, "the end")

    def use() -> None:
        click(page.verdict.use)
        rounds.until(window.docks["detect"].isVisible, "the model in Detect")

    for name, act in (
        ("train, first examples", train), ("pause", pause), ("continue", go_on),
        ("stop and keep best", keep), ("use this model", use),
    ):  # fmt: skip
        kept.append(rounds.part(name, act))
    window.close()
    del app
    return all(kept)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="learn_window", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--pages", action="store_true", help="only open the pages")
    parser.add_argument("--early", action="store_true", help="as soon as the slide is there, before the imports")
    wanted = parser.parse_args()
    with_a_screen("tests.benchmarks.learn_window")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    folder = Path(tempfile.mkdtemp(prefix="learn-window-"))
    try:
        kept = run(folder, wanted.minutes, pages=wanted.pages, early=wanted.early)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"limit {LIMIT_MS:.0f} ms{'' if kept else ', not kept by all'}")


if __name__ == "__main__":
    main()
