"""The hidden worker: the process that runs models for the window and for ``detect``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from microscope_qc.cli.parent import end_with, told_lines
from microscope_qc.core.idle_threads import let_idle_threads_sleep

_OLDEST_S = 300.0


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    worker = subparsers.add_parser("worker")
    worker.add_argument("run_folder", metavar="RUN_FOLDER", type=Path, nargs="?", help="default: jobs named on stdin")
    worker.add_argument("--parent", type=int, metavar="PID", help="end as soon as this process is gone")
    worker.set_defaults(handler=_worker)


def _worker(args: argparse.Namespace) -> int:
    from microscope_qc.cli import STOPPED
    from microscope_qc.cli.progress import run
    from microscope_qc.core.wording import elapsed_text
    from microscope_qc.ml.engine import run_model

    began = _process_began()
    if args.parent is not None:
        end_with(args.parent, code=STOPPED)
    let_idle_threads_sleep(os.environ)
    if args.run_folder is None:
        _serve(args, began)
    status = run(run_model(args.run_folder, began=began), args)
    if args.progress != "json" and sys.stdout is not None:
        print(f"{status['tiles_done']} tiles, {elapsed_text(status['seconds'])} on {status['device']}")
    return 0


def _serve(args: argparse.Namespace, began: float) -> NoReturn:
    """Do the jobs that come in on stdin, and answer on stderr."""
    from microscope_qc.cli import DONE, STOPPED
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.serving import Service

    def say(answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more, which the end of stdin says too
            print(json.dumps(answer), file=sys.stderr, flush=True)

    Service(
        told_lines(), run=lambda job: run(job, args), say=say, end_process=lambda: os._exit(STOPPED),
        process_began=began,
    ).serve()  # fmt: skip
    os._exit(DONE)  # everything is closed, and taking torch apart would take a second


def _process_began() -> float:
    """When this process began, on the clock of ``time.monotonic``."""
    import psutil

    age = time.time() - psutil.Process().create_time()
    return time.monotonic() - (age if 0 <= age < _OLDEST_S else 0.0)  # the clock may have been set meanwhile
