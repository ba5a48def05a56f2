"""``microscope-qc [PATH ...]``: open the window."""

from __future__ import annotations

import argparse


def handler(args: argparse.Namespace) -> int:
    """Open the window on the paths given."""
    from microscope_qc.app.main import run

    return run([str(path) for path in args.paths])
