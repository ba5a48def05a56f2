"""How long the sample takes to show its findings: ``python -m tests.benchmarks.sample [--rounds N]``.

The real window, in a new process for each round and with empty folders: a click on the sample at the welcome page,
and the time until its project is open, its slide is on screen, and its findings are drawn on it. Then once more in the
next process, where the sample is there already. Printed are seconds on the clock, of all processors (of the window and
of the processes that it started) in brackets, and how busy the computer was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.virtual_screen import with_a_screen

LIMIT_S = 10.0


def round_of(folder: Path) -> None:
    """One click, in this process; prints its times as JSON."""
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    os.environ["MICROSCOPE_QC_CACHE"] = str(folder / "cache")
    os.environ["MICROSCOPE_QC_SAMPLE_DIR"] = str(folder / "sample")
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    from microscope_qc.app.shell.main_window import MainWindow
    from tests.e2e.window_driver import LEFT, User

    window = MainWindow()
    window.resize(1600, 1000)
    window.show()
    user, session = User(window), window.session
    user.wait_until(lambda: window.windowHandle().isExposed(), "the window")
    QTest.qWait(1000)
    began, used = time.perf_counter(), processor_s()
    times: dict[str, float] = {}

    def note(name: str) -> None:
        times[name] = time.perf_counter() - began
        times[f"{name} processor"] = processor_s() - used

    QTest.mouseClick(window.welcome.sample_button, LEFT)
    user.wait_until(lambda: session.project is not None, "the project")
    note("project")
    user.wait_for_slide()
    note("slide")
    user.wait_until(lambda: len(window.canvas.boxes.rows), "the findings")
    note("findings")
    times["count"] = float(len(window.canvas.boxes.rows))
    print(json.dumps(times))
    window.close()
    del app


def processor_s() -> float:
    """Seconds of the processor that this process and all that it started have used."""
    own = psutil.Process()
    total = sum(own.cpu_times()[:4])
    for child in own.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.Error:
            continue
    return float(total)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="sample", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-folder", type=Path, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    with_a_screen("tests.benchmarks.sample")
    if wanted.in_folder is not None:
        round_of(wanted.in_folder)
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    slowest = 0.0
    for _ in range(wanted.rounds):
        folder = Path(tempfile.mkdtemp(prefix="sample-"))
        try:
            for name in ("first click", "again"):
                command = [sys.executable, "-m", "tests.benchmarks.sample", "--in-folder", str(folder)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                times = json.loads(done.stdout.splitlines()[-1])
                slowest = max(slowest, times["findings"])
                words = "  ".join(
                    f"{step} {times[step]:.1f} s ({times[step + ' processor']:.1f})"
                    for step in ("project", "slide", "findings")
                )
                print(f"{name:<12} {words}, {times['count']:.0f} of them, load {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"slowest {slowest:.1f} s, limit {LIMIT_S:.0f} s" + ("!" if slowest > LIMIT_S else ""))


if __name__ == "__main__":
    main()
