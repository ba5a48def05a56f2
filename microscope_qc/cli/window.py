"""``microscope-qc [PATH ...]``: open the window."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from microscope_qc.core.errors import InputError


def handler(args: argparse.Namespace) -> int:
    """Open the window on the paths given."""
    return open_window(args.paths)


def open_window(paths: Iterable[Path]) -> int:
    """Open the window and stay until it is closed.

    Raises
    ------
    InputError
        When there is no display.
    """
    from microscope_qc.app.main import run

    return run([str(path) for path in paths])


def display_is_there() -> bool:
    """Whether a window can be opened here."""
    from microscope_qc.app.main import require_display

    try:
        require_display()
    except InputError:
        return False
    return True
