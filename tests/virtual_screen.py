"""A screen for benchmarks on computers that have none."""

from __future__ import annotations

import os
import shutil
import sys


def with_a_screen(module: str) -> None:
    """Start ``python -m MODULE`` again with the same arguments under a virtual screen where there is no display."""
    if os.environ.get("DISPLAY") or sys.platform != "linux":
        return
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        sys.exit("There is no display, and xvfb-run is not installed.")
    os.execv(xvfb, [xvfb, "-a", "-s", "-screen 0 1920x1200x24", sys.executable, "-m", module, *sys.argv[1:]])
