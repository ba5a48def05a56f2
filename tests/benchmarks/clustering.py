"""How long distances are compared with chance: ``python tests/benchmarks/clustering.py [FINDINGS]``.

By default 100,000 findings in a round area, against 99 patterns of chance. Prints the seconds, the step of the
distances, and the seconds of the squares of hotspots.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np

from microscope_qc.analysis.spatial import Window, cell_um, clustering, squares, window_of
from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.jobs import run_job

SIDE_UM, LIMIT_S = 50_000.0, 30.0


def inside(y: Floats, x: Floats) -> Flags:
    """Whether points lie in the round area."""
    within: Flags = np.hypot(y - SIDE_UM / 2, x - SIDE_UM / 2) < 0.48 * SIDE_UM
    return within


def thrown(findings: int) -> Window:
    """So many findings at random."""
    places = np.random.default_rng(1).uniform(0, SIDE_UM, (2 * findings, 2))
    places = places[inside(*places.T)][:findings]
    cell = cell_um([(SIDE_UM, SIDE_UM)], findings, math.pi * (0.48 * SIDE_UM) ** 2)
    return window_of((SIDE_UM, SIDE_UM), cell, inside, places)


def main(findings: int = 100_000) -> None:
    """Measure and print."""
    started = time.perf_counter()
    window = thrown(findings)
    found = run_job(clustering([window], 5.0))
    took = time.perf_counter() - started
    print(f"{findings} findings, {found.simulated} patterns of chance: {took:.1f} s (limit {LIMIT_S:.0f})")
    print(f"step of the distances {found.step_um:.3g} um, p {found.p:.2g}")
    started = time.perf_counter()
    squares(window)
    print(f"squares: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
