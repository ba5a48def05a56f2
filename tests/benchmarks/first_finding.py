"""How long the first finding takes: ``python -m tests.benchmarks.first_finding [ROUNDS] [--json FILE]``.

The real window on a drawn electrode, zoomed to one of its defects. A click on the button that begins a detection, and
the time until the first finding is in the window's table; then the detection is stopped. By turns with a process for
models that is ready, and without one: program and model are loaded then, as at every start of a detection before the
process was kept. Printed are median and 95 % of both, on the clock and as processor time of the process for models
and of the window, and what getting ready takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from tests.virtual_screen import with_a_screen

SIDE, SEED, ROUNDS = 4096, 3, 20
MODEL = "li-ion-ssd"


class Cost(NamedTuple):
    """Seconds until the first finding: on the clock, and of the processor in the child and in the window."""

    clock: float
    child: float
    window: float


class Bench:
    """The window on a slide."""

    def __init__(self, folder: Path) -> None:
        from microscope_qc.app.shell.main_window import MainWindow
        from microscope_qc.core.jobs import run_job
        from microscope_qc.project import Project
        from microscope_qc.workflows.samples.synth import make, truth_path
        from tests.e2e.window_driver import User

        slide = run_job(make("electrode", folder / "slide.ome.zarr", shape=(SIDE, SIDE), seed=SEED))
        drawn = json.loads(truth_path(Path(slide)).read_text(encoding="utf-8"))["annotations"]
        self.places = [(y + height / 2, x + width / 2) for x, y, width, height in (one["bbox"] for one in drawn)]
        Project.create(folder / "p.mqc", slides=[slide]).close()
        self.window = MainWindow()
        self.window.resize(1600, 1000)
        self.window.show()
        self.user, self.session, self.kept = User(self.window), self.window.session, self.window.jobs.detector
        shown = time.perf_counter()
        self.window.navigator.open_paths([folder / "p.mqc"])
        self.user.wait_for_slide()
        self.window.navigator.show_panel("detect")
        self.dock = self.window.docks["detect"].build()
        self.user.wait_until(lambda: self.kept.running, "the process for models to be started")
        self.wait_until_ready()
        self.ready_s, self.ready_processor_s = time.perf_counter() - shown, processor_of(self.kept)
        self.memory_mb = psutil.Process(self.kept._child.pid).memory_info().rss / 1e6

    def wait_until_ready(self) -> None:
        """Wait until a process waits for jobs."""
        self.kept.get_ready(MODEL)
        self.user.wait_until(lambda: self.kept.free and not self.kept._child.busy, "the detector to be ready")

    def first_finding(self, *, warm: bool) -> Cost:
        """Begin a detection, and stop it when something was found."""
        if warm:
            self.wait_until_ready()
        else:
            self.kept.rest()
        self.user.wait_until(lambda: self.kept.free and self.kept.running == warm, "the process to be as wanted")
        before, used, window_used = len(self.session.table), processor_of(self.kept), time.process_time()
        again = self.dock.start_over if self.dock.start_over.isVisible() else self.dock.start
        began = time.perf_counter()
        self.user.click(again)
        self.user.wait_until(lambda: len(self.session.table) > before or not self.dock.running, "a finding")
        cost = Cost(time.perf_counter() - began, processor_of(self.kept) - used, time.process_time() - window_used)
        found = len(self.session.table) > before
        if self.dock.running:
            self.user.click(self.dock.stop)
        self.user.wait_until(lambda: not self.dock.running and self.kept.free, "the detection to stop")
        if not found:
            raise RuntimeError("nothing was found")
        project = self.session.project
        assert project is not None
        project.runs.delete(project.runs[-1].id)  # each begins on a slide without findings
        return cost

    def look_at(self, number: int) -> None:
        """Zoom to a defect."""
        view = self.window.canvas.view
        y, x = self.places[number % len(self.places)]
        self.window.canvas.set_view(type(view)(y, x, 1.0, view.width, view.height))


def processor_of(kept: Any) -> float:
    """Seconds of the processor that the process for models has used so far."""
    if not kept.running:
        return 0.0
    times = psutil.Process(kept._child.pid).cpu_times()
    return float(times.user + times.system)


def report(name: str, costs: list[Cost]) -> str:
    """Median and 95 % of the seconds."""
    columns = np.array(costs).T
    cells = (f"{np.median(column):8.2f}{np.percentile(column, 95):8.2f}" for column in columns)
    return f"{name:<14}" + "  ".join(cells)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="first_finding", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rounds", type=int, nargs="?", default=ROUNDS)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    with_a_screen("tests.benchmarks.first_finding")
    folder = Path(tempfile.mkdtemp(prefix="first-finding-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    os.environ["MICROSCOPE_QC_CACHE"] = str(folder / "cache")
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    try:
        bench = Bench(folder)
        found: dict[str, list[Cost]] = {"ready": [], "not ready": []}
        for number in range(wanted.rounds):
            for name, costs in found.items():
                bench.look_at(number)
                costs.append(bench.first_finding(warm=name == "ready"))
        print(
            f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
            f"{wanted.rounds} starts each"
        )
        print(
            f"ready {bench.ready_s:.1f} s after the project was opened, {bench.ready_processor_s:.1f} s of processor, "
            f"{bench.memory_mb:.0f} MB"
        )
        print(f"{'seconds':<14}{'clock':>8}{'95 %':>8}  {'child':>8}{'95 %':>8}  {'window':>8}{'95 %':>8}")
        for name, costs in found.items():
            print(report(name, costs))
        ready, not_ready = (np.array(found[name])[:, 0] for name in ("ready", "not ready"))
        print(f"{np.median(not_ready / ready):.1f} times as quick, median of the pairs")
        if wanted.json is not None:
            wanted.json.write_text(json.dumps(found))
        bench.window.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.flush()
    del app


if __name__ == "__main__":
    main()
