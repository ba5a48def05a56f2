"""A child process ends with the program that started it, also when that was killed and could not say so."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator

_LOOK_SECONDS = 0.25
_PEEK_SECONDS = 0.02
_CHUNK = 65_536


def end_with(parent: int, *, code: int) -> None:
    """End this process at once, with an exit code, as soon as process ``parent`` is gone.

    For work that may be cut off anywhere: nothing is cleaned up, because a long step (loading a model) must not keep
    an orphan alive.
    """
    is_there = _watch_windows(parent) if sys.platform == "win32" else _watch_posix(parent)

    def look() -> None:
        pause = threading.Event()
        while is_there():
            pause.wait(_LOOK_SECONDS)
        os._exit(code)

    threading.Thread(target=look, name="parent", daemon=True).start()


def _watch_posix(parent: int) -> Callable[[], bool]:
    # an orphan gets another parent at once, even while the killed one waits as a zombie for somebody to read its end
    return lambda: os.getppid() == parent


def _watch_windows(parent: int) -> Callable[[], bool]:
    import psutil

    try:
        # it knows a number that was given to somebody else
        is_running: Callable[[], bool] = psutil.Process(parent).is_running
        return is_running
    except psutil.NoSuchProcess:
        return lambda: False


def told_lines() -> Iterator[bytes]:
    """Lines of stdin until it is closed, for a thread that reads while others work.

    Not ``sys.stdin``: the interpreter could not end while a thread waits in it. On Windows no read may wait at all,
    since loading a library asks what stdin is, and would wait as long.
    """
    rest = b""
    while chunk := _read_windows() if sys.platform == "win32" else os.read(0, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _read_windows() -> bytes:
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        pause = threading.Event()
        try:
            while not (there := _winapi.PeekNamedPipe(msvcrt.get_osfhandle(0), 0)[0]):
                pause.wait(_PEEK_SECONDS)
            return os.read(0, min(there, _CHUNK))
        except OSError:  # the other end is closed
            pass
    return b""
