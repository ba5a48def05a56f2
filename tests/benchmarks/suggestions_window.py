"""What suggestions cost the window: ``python -m tests.benchmarks.suggestions_window [COUNT] [options]``.

As :mod:`tests.benchmarks.window_boxes`, whose columns these are, with the panel of suggestions beside the others: on a
slide with COUNT findings (100,000) a round suggests 1,000 places, another one replaces them, and they are gone through
and judged by the actions that the keys trigger. The process for models is left out: its files are written here.
Besides the limits for judging, a round that arrives keeps that of a key.

Options: ``--rounds N``; ``--profile ACTION`` prints where the longest stop of an action goes; ``--json FILE``.
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
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.jobs import Progress
from microscope_qc.project.suggestions import SuggestionSet, write_how_good, write_suggestions
from tests.benchmarks.box_core import some_boxes
from tests.benchmarks.canvas_streaming import Clock, no_opengl
from tests.benchmarks.window_boxes import LIMITS, PANELS, Bench, Cost, report
from tests.virtual_screen import with_a_screen

SUGGESTED = 1000
SIDE_PX = 40.0
ROUNDS = 20
LIMITS.update(
    dict.fromkeys(("round arrives", "next (K)", "right (Enter)", "wrong (N)", "other class", "undo"), (16, 25))
)


class SuggestionsBench(Bench):
    """The window on a project of boxes that learns from labels; what it learns is written by the benchmark."""

    def learn(self) -> None:
        """Switch it on; slides count as read, and rounds as done."""

        def nothing(*_: object, **__: object) -> Iterator[Progress]:
            yield Progress(1, 1)

        learning = self.session.learning
        learning._follow_round = learning._follow_embedding = nothing  # type: ignore[assignment]
        learning._look_at = nothing  # type: ignore[assignment, method-assign]
        learning._looked_at = {slide.id for slide in self.session.project.slides}
        learning.set_on(True)
        self.settle()

    def working(self) -> bool:
        """Whether a thread is still working for the window."""
        reader = self.session.learning._reader
        return super().working() or reader.busy("read") or reader.busy("stamp")

    def write_round(self, number: int) -> None:
        """What the process for models writes at the end of a round."""
        session = self.session
        rng = np.random.default_rng(number)
        boxes: list[list[float]] = []
        while len(boxes) < SUGGESTED:
            y, x = rng.uniform(0, self.side - SIDE_PX, 2)
            if not len(session.table.inside(y, x, y + SIDE_PX, x + SIDE_PX)):
                boxes.append([y, x, y + SIDE_PX, x + SIDE_PX])
        classes = [item.id for item in session.classes]
        found = SuggestionSet(
            np.array(boxes), np.sort(rng.uniform(0.05, 1.0, SUGGESTED))[::-1], np.resize(classes, SUGGESTED),
            rng.uniform(0.2, 1.0, SUGGESTED), f"round {number}", "2026-01-01T10:00:00+00:00", 20,
        )  # fmt: skip
        write_suggestions(session.project.path, session.slide, found)
        write_how_good(session.project.path, ["Of 20 labels left out in turn it found 15 again."], made=found.made)


def run(bench: SuggestionsBench, rounds: int, profile: str) -> dict[str, list[Cost]]:
    """All actions, by turns."""
    found: dict[str, list[Cost]] = {}
    profiles: list[cProfile.Profile] = []
    actions, learning = bench.window.book.actions, bench.session.learning
    digit = next(item.key for item in bench.session.classes if item.key)

    def do(name: str, action: Callable[[], object], *, counts: bool) -> None:
        bench.profiles = profiles if name == profile and counts else None
        cost = bench.measure(action)
        bench.profiles = None
        if counts:
            found.setdefault(name, []).append(cost)

    bench.canvas.fit_slide()
    bench.session.suggested.set_sure(0.0)  # all of them are shown
    bench.settle()
    for number in range(rounds + 1):
        counts = number > 0  # the first time is like no other
        bench.write_round(number)
        do("round arrives", learning.look, counts=counts)
        assert len(bench.session.suggested) >= SUGGESTED
        for name, action in (
            ("next (K)", "suggest.next"), ("right (Enter)", "review.confirm"), ("wrong (N)", "review.reject"),
            ("other class", f"class.{digit}"), ("undo", "edit.undo"),
        ):  # fmt: skip
            do(name, actions[action].trigger, counts=counts)
    if profiles:
        stats = pstats.Stats(*profiles)
        stats.sort_stats("cumulative").print_stats(60)
        stats.sort_stats("tottime").print_stats(40)
    return found


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(prog="suggestions_window", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--profile", default="")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    with_a_screen("tests.benchmarks.suggestions_window")
    faulthandler.enable()
    folder = Path(tempfile.mkdtemp(prefix="suggestions-window-"))
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(folder / "config")
    app = Clock()
    panels: dict[str, Any] = {**PANELS, "suggestions": (276, 460)}
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{wanted.count:,} boxes, {SUGGESTED:,} suggestions, panels: {', '.join(panels)}"
    )
    try:
        bench = SuggestionsBench(app, folder, some_boxes(wanted.count))
        bench.open()
        bench.spread(panels)
        bench.learn()
        with no_opengl():
            bench.take_canvas_out()
            found = run(bench, wanted.rounds, wanted.profile)
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
