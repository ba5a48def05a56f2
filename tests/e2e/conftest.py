"""The window of a story: one per process, with its own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from window_driver import User


def has_display() -> bool:
    """Whether a window with OpenGL can be opened here."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or os.name == "nt"


@pytest.fixture(scope="session")
def display() -> None:
    """A screen to open windows on."""
    if not has_display():
        pytest.skip("needs a display: run under xvfb-run")


@pytest.fixture(scope="module")
def user(display: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[User]:
    """A user at a freshly started window."""
    request.getfixturevalue("qapp")
    before = os.environ.get("MICROSCOPE_QC_CONFIG_DIR")
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(tmp_path_factory.mktemp("config"))
    from qtpy.QtTest import QTest
    from window_driver import User

    from microscope_qc.app.shell.main_window import MainWindow

    window = MainWindow()
    window.show()
    assert QTest.qWaitForWindowExposed(window, 60_000)
    yield User(window)
    window.close()
    if before is None:
        del os.environ["MICROSCOPE_QC_CONFIG_DIR"]
    else:
        os.environ["MICROSCOPE_QC_CONFIG_DIR"] = before
