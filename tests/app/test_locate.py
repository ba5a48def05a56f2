"""A slide that was moved is found again by the user, without the window waiting for the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from microscope_qc.app.panels.slides import locating as panel
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import SlideError
from microscope_qc.workflows.intake import identity

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


def picture(path: Path, seed: int) -> Path:
    from PIL import Image

    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (300, 400, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def context(tmp_path: Path, qtbot: QtBot) -> Iterator[Any]:
    """A project whose only slide was moved away."""
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    project = Project.create(tmp_path / "P.mqc", slides=[picture(tmp_path / "S1.png", 1)])
    project.boxes.add(project.slides[0].id, make_rows(1, y0=5, y1=50, x0=7, x1=80, class_id=1), title="Draw")
    (tmp_path / "S1.png").rename(tmp_path / "moved.png")
    window = QWidget()
    qtbot.addWidget(window)
    made = SimpleNamespace(session=Session(), jobs=JobRunner(), navigator=SimpleNamespace(window=window))
    made.session.set_project(project)
    yield made
    made.jobs.close()
    made.session.set_project(None)


def choose(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))


def test_found_again(context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    readers: list[str] = []
    read = identity.read_known

    def reading(*arguments: Any, **options: Any) -> Any:
        readers.append(threading.current_thread().name)
        return read(*arguments, **options)

    monkeypatch.setattr(identity, "read_known", reading)
    choose(monkeypatch, tmp_path / "moved.png")
    project = context.session.project
    panel.locate(context, project.slides[0].id)
    qtbot.waitUntil(lambda: project.slides[0].path.name == "moved.png")
    assert len(project.boxes.table(project.slides[0].id)) == 1
    assert readers
    assert "MainThread" not in readers


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No])
def test_another_slide_is_asked_about(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, answer: Any
) -> None:
    asked: list[str] = []
    choose(monkeypatch, picture(tmp_path / "other.png", 2))
    monkeypatch.setattr(QMessageBox, "question", lambda parent, title, text: asked.append(text) or answer)
    project = context.session.project
    panel.locate(context, project.slides[0].id)
    qtbot.waitUntil(lambda: bool(asked))
    assert "is not the slide S1" in asked[0]
    used = project.slides[0].path.name == "other.png"
    assert used == (answer == QMessageBox.StandardButton.Yes)


def test_a_file_that_is_not_a_slide(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    choose(monkeypatch, tmp_path / "broken.png")
    project = context.session.project
    with qtbot.capture_exceptions() as raised:
        panel.locate(context, project.slides[0].id)
        qtbot.waitUntil(lambda: bool(raised))
    assert isinstance(raised[0][1], SlideError)  # shown in the window's bar
    assert project.slides[0].path.name == "S1.png"
