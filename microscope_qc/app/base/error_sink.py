"""Collects uncaught errors and log records."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from psygnal import EmitLoopError
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication

from microscope_qc.app.base.log import LogKeeper
from microscope_qc.core.errors import Cancelled, MicroscopeQCError

log = logging.getLogger(__name__)


def original_error(error: BaseException) -> BaseException:
    """The error a listener raised, without the wrapping of the signal that called it."""
    while isinstance(error, EmitLoopError) and error.__cause__ is not None:
        error = error.__cause__
    return error


class ErrorSink(QObject):
    """Catches uncaught errors, so that the window stays open and the user is told.

    ``user_error`` carries a :class:`MicroscopeQCError`; ``program_error`` the sentence and the traceback of anything
    else. ``log`` keeps what the program logs.
    """

    user_error = Signal(object)
    program_error = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.log = LogKeeper(self)
        self._before = (sys.excepthook, threading.excepthook)

    def install(self) -> None:
        """Start catching."""
        self._before = (sys.excepthook, threading.excepthook)
        sys.excepthook = self._on_exception
        threading.excepthook = lambda args: self.take(args.exc_value) if args.exc_value is not None else None

    def uninstall(self) -> None:
        """Restore the previous hooks and stop collecting log records."""
        self.log.close()
        sys.excepthook, threading.excepthook = self._before

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        self.take(error)

    def take(self, error: BaseException) -> None:
        """Report an error; called from any thread."""
        error = original_error(error)
        if isinstance(error, Cancelled):
            return
        if isinstance(error, MicroscopeQCError):
            log.warning("%s", error)
            self.user_error.emit(error)
            return
        details = "".join(traceback.format_exception(error))
        log.error("%s", details)
        self.program_error.emit(f"Something went wrong in the program: {type(error).__name__}.", details)
