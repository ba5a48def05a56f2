"""The project is deleted, renamed or replaced while the window has it open: the user is told, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.errors import DisplacedProjectError
from microscope_qc.project import Project

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [
    pytest.mark.window,
    pytest.mark.story,
    pytest.mark.timeout(600),
    pytest.mark.qt_no_exception_capture,
    pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files where they are"),
]


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def rename(folder: Path) -> None:
    folder.rename(folder.with_name("renamed.mqc"))


def replace_by_a_copy(folder: Path) -> None:
    copy = folder.with_name("restored.mqc")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    copy.rename(folder)


def open_project(user: User, place: Path) -> Project:
    user.window.navigator.open_paths([place])
    user.wait_until(lambda: user.session.project is not None and user.session.project.path == place, "the project")
    user.wait_for_slide()
    project = user.session.project
    assert project is not None
    return project


@pytest.fixture
def place(tmp_path: Path) -> Path:
    picture = np.random.default_rng(4).integers(60, 200, (900, 1300), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(picture).save(tmp_path / name)
        picture = picture[::-1]
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "a.png", tmp_path / "b.png"]) as made:
        made.slides.set_pixel_sizes([1, 2], 0.5)  # else the window asks
        return made.path


@pytest.fixture(autouse=True)
def closing(user: User) -> Iterator[None]:
    """A test that failed leaves no window that asks before it closes."""
    yield
    user.session.set_project(None)


@pytest.mark.parametrize("change", [delete, rename, replace_by_a_copy])
def test_everything_is_saved_as_a_new_project(user: User, place: Path, change: Callable[[Path], None]) -> None:
    from window_driver import state_of

    window, session = user.window, user.session
    project = open_project(user, place)
    user.draw_box(200, 300, 260, 400)
    user.draw_box(500, 600, 560, 700)
    before = state_of(project)
    change(place)
    with pytest.raises(DisplacedProjectError) as refused:
        user.draw_box(300, 800, 360, 900)
    window.errors.take(refused.value)  # as from an event loop of Qt's, where nobody else takes it
    user.wait_until(window.displaced_bar.isVisible, "the bar")
    assert "cell" in window.displaced_bar.words.text() and not window.message_bar.isVisible()
    assert state_of(project) == before, "what is shown is what will be saved"
    new = place.with_name("rescued.mqc")
    with user.answering_file_dialog(new):
        user.click(window.displaced_bar.save)
    user.wait_until(lambda: session.project is not None and session.project.path == new, "the new project")
    user.wait_for_slide()
    assert not window.displaced_bar.isVisible()
    assert session.project is not None and state_of(session.project) == before
    user.draw_box(300, 800, 360, 900)
    after = state_of(session.project)
    session.set_project(None)
    with Project.open(new) as again:
        assert state_of(again) == after and len(again.boxes.rows()) == 3
        assert again.check() == []


def test_the_window_notices_by_itself_and_goes_on_when_the_folder_is_back(user: User, place: Path) -> None:
    window = user.window
    project = open_project(user, place)
    away = place.with_name("away.mqc")
    place.rename(away)
    user.wait_until(window.displaced_bar.isVisible, "the bar, without an edit")
    away.rename(place)
    user.wait_until(lambda: not window.displaced_bar.isVisible(), "the bar to go")
    user.draw_box(200, 300, 260, 400)
    assert len(project.boxes.rows()) == 1


def test_closing_asks_before_anything_is_lost(user: User, place: Path) -> None:
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication, QMessageBox

    open_project(user, place)
    user.draw_box(200, 300, 260, 400)
    shutil.rmtree(place)
    asked: list[str] = []

    def answer(button: str) -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, lambda: answer(button))
            return
        asked.append(box.text())
        next(found for found in box.buttons() if found.text().replace("&", "") == button).click()

    for button in ("Cancel", "Close without saving"):
        assert user.session.project is not None
        QTimer.singleShot(20, lambda button=button: answer(button))
        user.window.book.trigger("file.close")
    assert len(asked) == 2 and "deleted" in asked[0]
    assert user.session.project is None
