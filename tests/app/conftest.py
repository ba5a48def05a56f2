"""One window for the whole test process, a new project for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from microscope_qc.core.boxes import make_rows

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

HEIGHT, WIDTH = 1200, 1600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs Qt and a screen; installers/test.py reads the mark here."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.window)


def has_display() -> bool:
    """Whether a window with OpenGL can be opened here."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or os.name == "nt"


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """Wait up to a minute where a test names no limit: pytest-qt's five seconds are too short on a busy computer."""
    from pytestqt.qtbot import QtBot

    for wait in (QtBot.waitUntil, QtBot.waitSignal, QtBot.waitSignals, QtBot.waitExposed, QtBot.waitActive):
        wait.__kwdefaults__["timeout"] = 60_000


@pytest.fixture(scope="session")
def slide_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small grey pictures."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("slides")
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    paths = []
    for number, period in enumerate((97, 61), start=1):
        pixels = (127 + 100 * np.sin(x / period) * np.cos(y / period)).astype(np.uint8)
        path = folder / f"S{number}.png"
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="session")
def the_window(tmp_path_factory: pytest.TempPathFactory, qapp: object) -> Iterator[MainWindow]:
    """The one window of this process."""
    if not has_display():
        pytest.skip("needs a display: run under xvfb-run")
    os.environ["MICROSCOPE_QC_CONFIG_DIR"] = str(tmp_path_factory.mktemp("config"))
    os.environ["MICROSCOPE_QC_MODELS"] = str(tmp_path_factory.mktemp("models"))
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.shell.main_window import MainWindow

    # a test that needs the process for models starts it itself
    window = MainWindow(AppSettings(detector_ready=False))
    window.resize(1366, 768)
    window.show()
    window.activateWindow()
    yield window
    window.close()


@pytest.fixture
def project(tmp_path: Path, slide_files: list[Path]) -> Project:
    """A project of two slides with a pixel size and eight findings on the first."""
    from microscope_qc.project import Project

    made = Project.create(tmp_path / "P.mqc", slides=slide_files)
    first = made.slides[0].id
    for slide in made.slides:
        made.slides.set_pixel_size(slide.id, 0.5)
    count = 8
    left = 100.0 + 150 * np.arange(count)
    ids = [item.id for item in made.classes]
    made.boxes.add(
        first,
        make_rows(
            count,
            y0=300.0,
            y1=360.0,
            x0=left,
            x1=left + 80,
            class_id=np.resize(ids[:4], count),
            confidence=np.linspace(0.1, 0.9, count),
        ),
        title="Import 8 boxes",
    )
    return made


@pytest.fixture
def window(the_window: MainWindow, project: Project, qtbot: object) -> Iterator[MainWindow]:
    """The window, showing the project's first slide whole."""
    session = the_window.session
    session.set_project(project)
    session.set_tool("select")
    the_window.workspaces.use("annotate")
    the_window.message_bar.hide()
    qtbot.waitUntil(lambda: session.mosaic is not None, timeout=60_000)
    qtbot.waitUntil(lambda: len(the_window.canvas.picture.model.layers) > 0, timeout=60_000)
    qtbot.waitUntil(lambda: the_window.canvas.picture.native.width() > 300, timeout=60_000)
    the_window.canvas.fit_slide()
    # what a test before this one opened may have taken the keys
    the_window.activateWindow()
    qtbot.waitUntil(the_window.isActiveWindow)
    the_window.canvas.setFocus()
    yield the_window
    session.set_project(None)
