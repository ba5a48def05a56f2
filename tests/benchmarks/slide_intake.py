"""How long it takes until a folder of pictures is in a project: ``python -m tests.benchmarks.slide_intake [COUNT]``.

In turn with the naive way, which opens the pictures one after the other and adds each by a command of its own; then
ten times as many, to show that it stays linear. With ``--window`` the folder is added in the window (under a virtual
screen where there is no display), and the longest time is measured for which the window does not answer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.scenes import read_facts
from microscope_qc.workflows.intake.adding import add_slides
from tests.virtual_screen import with_a_screen

SIDE = 140
"""A grey picture of noise of this side has 20 KB."""


def make_pictures(folder: Path, count: int) -> Path:
    """Fill a folder with pictures of 20 KB, no two the same."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    for number in range(count):
        pixels[number % SIDE] = rng.integers(0, 255, SIDE)
        Image.fromarray(pixels).save(folder / f"p{number}.png", compress_level=1)
    return folder


def together(project: Project, pictures: Path) -> None:
    """As the program does it."""
    run_job(add_slides(project, [pictures]))


def one_by_one(project: Project, pictures: Path) -> None:
    """The naive way."""
    for path in sorted(pictures.iterdir()):
        project.slides.add_scenes(read_facts(path))


def measured(add: Callable[[Project, Path], None], pictures: Path) -> tuple[float, float]:
    """Seconds, and seconds of processor, that a way of adding takes with a new project."""
    with tempfile.TemporaryDirectory(dir=pictures.parent) as name, Project.create(Path(name) / "p.mqc") as project:
        began, busy = time.perf_counter(), processor_seconds()
        add(project, pictures)
        took = time.perf_counter() - began, processor_seconds() - busy
        assert len(project.slides) == sum(1 for _ in pictures.iterdir())
    return took


def processor_seconds() -> float:
    """Seconds of processor that this process and its ended children have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def compare(folder: Path, count: int, rounds: int) -> None:
    """Print both ways in turn, then the program's with ten times as many."""
    pictures = make_pictures(folder / "pictures", count)
    pairs = [(measured(together, pictures), measured(one_by_one, pictures)) for _ in range(rounds)]
    for name, place in (("together", 0), ("one by one", 1)):
        took, busy = (statistics.median(pair[place][kind] for pair in pairs) for kind in (0, 1))
        print(f"{count} pictures {name:<12}{took:8.2f} s   processor {busy:8.2f} s")
    print(f"one by one takes {statistics.median(b[0] / a[0] for a, b in pairs):.1f} times as long")
    took, busy = measured(together, make_pictures(folder / "many", 10 * count))
    print(f"{10 * count} pictures together {took:8.2f} s   processor {busy:8.2f} s")


def in_window(folder: Path, count: int) -> None:
    """Print how long it takes when the folder is added in the window, and how long the window stops at most."""
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from microscope_qc.app.commands.intake import add_slides as add_in_window
    from microscope_qc.app.shell.main_window import MainWindow

    pictures, first = make_pictures(folder / "pictures", count), folder / "first.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (600, 800), dtype=np.uint8)).save(first)
    app = QApplication([])
    window = MainWindow()
    window.resize(1600, 1000)
    window.show()
    window.session.set_project(Project.create(folder / "w.mqc", slides=[first]))
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(0)

    def rest(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            app.processEvents()

    rest(4.0)
    ticks.clear()
    rest(2.0)
    print(f"window at rest: stops {longest(ticks):.0f} ms at most")
    ticks.clear()
    began = time.perf_counter()
    add_in_window(window.context, [pictures])
    while window.session.project is not None and len(window.session.project.slides) <= count:
        app.processEvents()
    there = time.perf_counter()
    reading = [tick for tick in ticks if tick < there - 1.0]
    rest(8.0)
    print(f"{count} pictures in the window: {there - began:.2f} s")
    print(f"stops while they are read: {longest(reading):.0f} ms at most, 99 of 100 within {most(reading):.0f} ms")
    print(f"stops in all, until the lists are up to date: {longest(ticks):.0f} ms at most")
    window.close()


def longest(ticks: list[float]) -> float:
    """Milliseconds between two ticks at most."""
    return 1e3 * float(np.diff(ticks).max()) if len(ticks) > 1 else float("nan")


def most(ticks: list[float]) -> float:
    """Milliseconds within which 99 of 100 ticks follow."""
    return 1e3 * float(np.quantile(np.diff(ticks), 0.99)) if len(ticks) > 1 else float("nan")


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(prog="slide_intake", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", action="store_true")
    options = parser.parse_args()
    if options.window:
        with_a_screen("tests.benchmarks.slide_intake")
    with tempfile.TemporaryDirectory() as name:
        if options.window:
            in_window(Path(name), options.count)
        else:
            compare(Path(name), options.count, options.rounds)


if __name__ == "__main__":
    main()
