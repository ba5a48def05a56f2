"""Screens for the windows of the tests: the real one, or virtual ones where there is none."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from environment import SetupError


@dataclass
class Screen:
    """What a process needs in its environment to open windows there."""

    environment: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def open_screens(count: int) -> Iterator[list[Screen]]:
    """Give screens for ``count`` windows side by side.

    A real screen is given once only: two windows on it would fight for the keyboard.
    """
    if count == 0:
        yield []
    elif sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        yield [Screen()]
    else:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(_virtual_screen()) for _ in range(count)]


@contextlib.contextmanager
def _virtual_screen() -> Iterator[Screen]:
    if shutil.which("Xvfb") is None:
        raise SetupError("The tests open windows and need a screen. Add a virtual one:  apt-get install -y xvfb")
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1920x1200x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(write_end,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as answer:  # Xvfb writes its number when it is ready, and closes when it fails
            number = answer.readline().strip()
        if not number:
            raise SetupError("The virtual screen (Xvfb) did not start.")
        yield Screen({"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"})
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
