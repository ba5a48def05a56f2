"""Starting the window."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.core.plugins import PluginProblem


def require_display() -> None:
    """Raise an error if there is no display.

    Raises
    ------
    InputError
        On Linux without X11 or Wayland.
    """
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "There is no display to open a window on.",
            hint="Log in to a desktop session, or use the commands listed by “microscope-qc --help”.",
        )


def run(paths: Sequence[str]) -> int:
    """Open the window on slides or projects and stay until it is closed; returns the exit code."""
    require_display()
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    running = QApplication.instance()
    app = running if isinstance(running, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("microscope-qc")
    from microscope_qc.app.shell.main_window import MainWindow

    window = MainWindow()
    window.show()

    def on_loaded(left_out: list[PluginProblem]) -> None:
        gc.freeze()  # the program itself stays: to look through it for what is no longer needed takes 0.1 s
        window.name_left_out(left_out)

    window.jobs.call(load_opening, on_done=on_loaded)
    if paths:
        QTimer.singleShot(0, lambda: window.navigator.open_paths(paths))
    # Ctrl C in the terminal closes the window properly; Python handles signals only between its own instructions
    signal.signal(signal.SIGINT, lambda *_: window.close())
    awake = QTimer()
    awake.timeout.connect(lambda: None)
    awake.start(500)
    return int(app.exec())


def load_opening() -> list[PluginProblem]:
    """Import what opening the first slide needs: that takes a second, while the user chooses one.

    Returns
    -------
    list of PluginProblem
        The plugins that were left out; panels are not among them.
    """
    import microscope_qc.workflows.open  # noqa: F401
    from microscope_qc.workflows.plugins import left_out

    return left_out()
