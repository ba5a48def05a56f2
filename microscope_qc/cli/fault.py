"""The report of a fault of ours: a file with the traceback, to be sent to those who repair the program."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import traceback
from pathlib import Path

from microscope_qc import __version__


def log_folder() -> Path:
    """Folder of this user's log files."""
    import platformdirs

    return Path(platformdirs.user_log_dir("microscope-qc", appauthor=False))


def write_fault(error: BaseException) -> Path | None:
    """Write the traceback to a file of its own; print it instead when no file can be written.

    Returns
    -------
    The file, or None when it could not be written.
    """
    report = "\n".join(
        [
            f"microscope-qc {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"arguments: {sys.argv[1:]}",
            "".join(traceback.format_exception(error)),
        ]
    )
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    try:
        folder = log_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"fault-{stamp}-{os.getpid()}.log"
        path.write_text(report, encoding="utf-8")
    except OSError:
        print(report, file=sys.stderr)
        return None
    return path
