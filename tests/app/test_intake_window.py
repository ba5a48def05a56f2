"""Files and folders become slides in the window: dropped, opened and added, while the view stays where it is."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from microscope_qc.app.base.jobs import JobRunner, JobState
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project
from microscope_qc.workflows.intake import reading as files

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow

pytestmark = pytest.mark.window
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def picture(path: Path, seed: int) -> Path:
    """Write a small grey picture whose content depends on ``seed``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(40, 200, (90, 120), np.uint8)).save(path)
    return path


def pictures(folder: Path, count: int, seed: int = 100) -> Path:
    """Fill a folder with pictures."""
    for number in range(count):
        picture(folder / f"p{number}.png", seed + number)
    return folder


def drop(window: MainWindow, *paths: Path) -> None:
    """Drop files on the window."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    entering = QDragEnterEvent(QPoint(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(window, entering)
    QApplication.sendEvent(window, QDropEvent(QPointF(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE))


def names(window: MainWindow) -> list[str]:
    """Names of the slides of the open project."""
    project = window.session.project
    return [slide.name for slide in project.slides] if project is not None else []


def offered(window: MainWindow) -> str:
    """What is offered now, "" where nothing is."""
    return window.offers.bar.text if window.offers.bar.isVisible() else ""


def test_a_folder_and_files_are_dropped_and_become_one_step(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[bool] = set()
    read = files.read_facts

    def reading(path: Path, **options: object) -> object:
        threads.add(threading.current_thread() is threading.main_thread())
        return read(path, **options)

    monkeypatch.setattr(files, "read_facts", reading)
    window.canvas.set_view(replace(window.canvas.view, y=333.0, x=444.0, zoom=3.0))
    slide = window.session.slide
    pictures(tmp_path / "scans" / "below", 4)
    (tmp_path / "scans" / "notes.txt").write_text("x")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    drop(window, tmp_path / "scans", bad, picture(tmp_path / "alone.png", 9))
    qtbot.waitUntil(lambda: len(names(window)) == 7)
    assert names(window)[2:] == ["p0", "p1", "p2", "p3", "alone"]
    assert threads == {False}
    view = window.canvas.view
    assert (window.session.slide, view.y, view.x, view.zoom) == (slide, 333.0, 444.0, 3.0)
    assert "1 file could not be added" in window.message_bar.text and "bad.png" in window.message_bar.text
    assert window.toast.text.startswith("5 slides added. Left out: 1 label file, 1 file that cannot be read")
    assert window.session.project.history.undo_title == "Add 5 slides"
    window.navigator.trigger("edit.undo")
    qtbot.waitUntil(lambda: len(names(window)) == 2)


def test_one_slide_that_is_added_is_shown(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    drop(window, picture(tmp_path / "alone.png", 9))
    qtbot.waitUntil(lambda: window.session.slide is not None and window.session.slide.name == "alone")


def test_the_window_answers_while_slides_are_read_and_stopping_adds_nothing(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    read = files.read_facts

    def reading(path: Path, **options: object) -> object:
        if path.name == "p20.png":
            go_on.wait(60)
        return read(path, **options)

    monkeypatch.setattr(files, "read_facts", reading)
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(5)
    drop(window, pictures(tmp_path / "scans", 40))
    qtbot.waitUntil(lambda: bool(window.jobs.running) and window.jobs.running[-1].progress.done == 20)
    handle = window.jobs.running[-1]
    ticks.clear()
    qtbot.waitUntil(lambda: len(ticks) > 20)
    assert handle.title == "Add scans" and handle.progress.total == 40
    handle.cancel()
    go_on.set()
    qtbot.waitUntil(lambda: handle.state is JobState.CANCELLED)
    assert names(window) == ["S1", "S2"] and "nothing was added" in window.toast.text


def test_identical_pictures_and_masks_are_left_out_until_the_user_wants_them(
    window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = pictures(tmp_path / "scans", 2)
    (folder / "copy.png").write_bytes((folder / "p0.png").read_bytes())
    picture(folder / "masks" / "p0.png", 50)
    picture(folder / "masks" / "p1.png", 51)
    drop(window, folder)
    qtbot.waitUntil(lambda: len(names(window)) == 4)
    assert offered(window) == "p0.png is the same picture as copy.png. It was left out."
    window.offers.bar.accept_button.click()
    qtbot.waitUntil(lambda: len(names(window)) == 5)
    assert names(window)[2:] == ["copy", "p1", "p0"]
    assert offered(window) == "2 pictures look like masks of others and were left out."
    window.offers.bar.accept_button.click()
    qtbot.waitUntil(lambda: len(names(window)) == 7)
    assert offered(window) == ""
    drop(window, folder)
    qtbot.waitUntil(lambda: "already" in window.toast.text)
    qtbot.waitUntil(lambda: not window.jobs.running)
    assert len(names(window)) == 7


def test_a_folder_is_opened_as_the_project_beside_it(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(tmp_path / "plate", 3)
    window.session.set_project(None)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    window.navigator.trigger("file.open_folder")
    qtbot.waitUntil(lambda: window.session.project is not None)
    assert window.session.project.path == tmp_path / "plate.mqc" and names(window) == ["p0", "p1", "p2"]
    assert not window.session.project.history.can_undo
    assert window.settings.recent[0] == str(tmp_path / "plate.mqc")
    picture(folder / "late.png", 7)
    window.session.set_project(None)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "plate.mqc"))
    window.navigator.trigger("file.open_folder")  # the project as one thing
    qtbot.waitUntil(lambda: window.session.project is not None)
    assert len(names(window)) == 3
    window.session.set_project(None)
    drop(window, folder)
    qtbot.waitUntil(lambda: offered(window) == "The folder plate holds 1 more picture.")
    window.offers.bar.accept_button.click()
    qtbot.waitUntil(lambda: "late" in names(window))


@pytest.mark.parametrize("name", ["plate.mqc", "plate.mqc/project.sqlite"])
def test_a_project_is_opened_by_dropping_it_or_its_file(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, name: str
) -> None:
    Project.create(tmp_path / "plate.mqc", slides=[picture(tmp_path / "a.png", 1)]).close()
    drop(window, tmp_path / name, picture(tmp_path / "b.png", 2))
    qtbot.waitUntil(lambda: names(window) == ["a", "b"])
    assert window.session.project.path == tmp_path / "plate.mqc"


def test_several_files_are_opened_as_the_project_of_their_folder(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(tmp_path / "plate", 4)
    window.session.set_project(None)
    chosen = [str(folder / "p1.png"), str(folder / "p2.png")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (chosen, ""))
    window.navigator.trigger("file.open")
    qtbot.waitUntil(lambda: names(window) == ["p1", "p2"])
    assert window.session.project.path == tmp_path / "plate.mqc"
    window.session.set_project(None)
    window.navigator.open_paths([folder / "p0.png", folder / "p1.png"])
    qtbot.waitUntil(lambda: names(window) == ["p1", "p2", "p0"])
    window.session.set_project(None)
    window.navigator.open_paths([folder / "p2.png"])
    qtbot.waitUntil(lambda: window.session.slide is not None and window.session.slide.name == "p2")
    assert window.session.project.path == tmp_path / "plate.mqc"


def test_one_picture_offers_its_folder_once(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "plate", 4)
    window.session.set_project(None)
    window.navigator.open_paths([folder / "p1.png"])
    qtbot.waitUntil(lambda: offered(window) != "")
    assert window.session.project.path == folder / "p1.mqc"
    assert window.offers.bar.accept_button.text() == "Add the other 3 pictures of this folder"
    window.offers.bar.later_button.click()
    assert offered(window) == ""
    window.session.set_project(None)
    window.navigator.open_paths([folder / "p1.png"])
    qtbot.waitUntil(lambda: window.session.mosaic is not None and not window.jobs.running)
    qtbot.wait(300)
    assert offered(window) == ""


def test_the_project_of_a_picture_becomes_that_of_its_folder(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    from microscope_qc.core.boxes import make_rows

    folder = pictures(tmp_path / "plate", 4)
    picture(folder / "p0_mask.png", 60)
    window.session.set_project(None)
    window.navigator.open_paths([folder / "p1.png"])
    qtbot.waitUntil(lambda: offered(window) != "")
    width = window.docks["slides"].width()
    project = window.session.project
    project.slides.set_pixel_size(project.slides[0].id, 0.5)
    project.boxes.add(project.slides[0].id, make_rows(1, y0=5, y1=50, x0=7, x1=80, class_id=1))
    window.offers.bar.accept_button.click()
    qtbot.waitUntil(lambda: names(window) == ["p1", "p0", "p2", "p3"])
    project = window.session.project
    assert project.path == tmp_path / "plate.mqc" and not (folder / "p1.mqc").exists()
    assert project.slides[0].pixel_size_um == (0.5, 0.5) and len(project.boxes.table(project.slides[0].id)) == 1
    assert project.slides[0].relative_path == "../plate/p1.png"
    assert "3 slides added, 1 in the project already. Left out: 1 mask" in window.toast.text
    qtbot.waitUntil(lambda: window.docks["slides"].width() == width)
    assert window.session.slide.name == "p1"
    assert str(folder / "p1.mqc") not in window.settings.recent
    assert project.history.undo_title == "Add 3 slides"


def test_large_slides_are_read_whole_while_nobody_waits(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.slides import content

    monkeypatch.setattr(content, "SMALL_BYTES", 0)  # as if they were large
    drop(window, pictures(tmp_path / "scans", 3))
    qtbot.waitUntil(lambda: len(names(window)) == 5)
    project = window.session.project
    assert [bool(slide.content) for slide in project.slides] == [True, True, False, False, False]
    said: list[object] = []
    project.events.slides_changed.connect(lambda: said.append(1))
    window.contents.go_on()
    qtbot.waitUntil(lambda: all(slide.content for slide in project.slides))
    assert not window.jobs.running and not said and project.history.undo_title == "Add 3 slides"
    (tmp_path / "moved.png").write_bytes(project.slides[2].path.read_bytes())
    project.slides.relocate(project.slides[2].id, tmp_path / "moved.png")
    assert project.slides[2].content == ""
    window.contents.go_on()
    qtbot.waitUntil(lambda: bool(project.slides[2].content))


def test_what_nobody_waits_for_is_stopped_with_the_window(qtbot: QtBot) -> None:
    jobs = JobRunner()
    steps: list[int] = []
    began = threading.Event()

    def endless() -> Job[None]:
        while True:
            steps.append(1)
            began.set()
            yield Progress(0, 0)

    jobs.behind(endless(), lambda _: None, lambda _: None)
    began.wait(60)
    assert not jobs.running and not jobs.history
    jobs.close()
    count = len(steps)
    qtbot.wait(50)
    assert len(steps) == count
