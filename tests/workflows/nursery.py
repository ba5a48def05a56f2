"""Starts workers that are to be killed: loads the program once, and forks a new worker for every line of its input.

A line of input names the run, the answer is the process id. Nothing was computed in here, so that a fork is safe.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import microscope_qc.ml.architectures.dense.task
import microscope_qc.ml.engine.engine
import microscope_qc.slides.picture  # noqa: F401
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.engine import run_model


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run_job(run_model(Path(line.strip())))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
