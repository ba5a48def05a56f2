"""Brightness and contrast by real mouse and key events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QColorDialog

from microscope_qc.slides.display import ChannelView, DisplaySettings
from microscope_qc.slides.plane import StackPlace

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.panels.display.panel import DisplayDock

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RGB picture with a yellow cast, its right half darker."""
    from PIL import Image

    noise = np.random.default_rng(1).normal(0, 6, (600, 800, 1))
    pixels = np.clip(np.array([180.0, 160.0, 110.0]) + noise, 0, 255)
    pixels[:, 400:] *= 0.5
    path = tmp_path_factory.mktemp("rgb") / "C.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 16-bit slide of two channels."""
    import tifffile

    rng = np.random.default_rng(2)
    planes = np.stack([rng.integers(100, 900, (300, 400)), rng.integers(2000, 4000, (300, 400))]).astype(np.uint16)
    path = tmp_path_factory.mktemp("multi") / "M.ome.tif"
    names = {"axes": "CYX", "Channel": {"Name": ["SE", "BSE"]}, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, planes, metadata=names)
    return path


def opened(slide: Path, folder: Path) -> Any:
    """A session on a project of one slide."""
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    session = Session()
    session.set_project(Project.create(folder / "p.mqc", slides=[slide]))
    return session


@pytest.fixture
def jobs(qtbot: QtBot) -> Iterator[Any]:
    """A job runner that is stopped at the end."""
    from microscope_qc.app.base.jobs import JobRunner

    runner = JobRunner()
    yield runner
    runner.close()


def made(session: Any, jobs: Any, qtbot: QtBot) -> DisplayDock:
    """The dock, shown, with its histogram there."""
    from microscope_qc.app.panels.display.panel import DisplayDock

    dock = DisplayDock(session, jobs)
    dock.resize(276, 560)
    qtbot.addWidget(dock)
    with qtbot.waitExposed(dock):
        dock.show()
    qtbot.waitUntil(dock.auto.isEnabled)
    return dock


def drag_limit(dock: DisplayDock, start: float, end: float) -> None:
    """Drag a limit from one value to another."""
    view = dock.histogram
    a, b = (QPoint(round(view.place_of(value)), 60) for value in (start, end))
    QTest.mousePress(view, LEFT, Qt.KeyboardModifier.NoModifier, a)
    for share in (0.5, 1.0):
        QTest.mouseMove(view, a + (b - a) * share)
    QTest.mouseRelease(view, LEFT, Qt.KeyboardModifier.NoModifier, b)


def test_limits_are_dragged_and_typed(coloured: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(coloured, tmp_path)
    dock = made(session, jobs, qtbot)
    assert (dock.black.value(), dock.white.value()) == (0, 255)
    drag_limit(dock, 0, 60)
    assert session.slide_view.display.channel(0).window == pytest.approx((60, 255), abs=2)
    qtbot.waitUntil(lambda: abs(dock.black.value() - 60) <= 2)
    drag_limit(dock, 255, 200)
    assert session.slide_view.display.channel(0).window == pytest.approx((60, 200), abs=2)
    dock.white.setFocus()
    dock.white.selectAll()
    QTest.keyClicks(dock.white, "120")
    QTest.keyClick(dock.white, Qt.Key.Key_Return)
    assert session.slide_view.display.channel(0).window[1] == 120
    dock.black.selectAll()
    QTest.keyClicks(dock.black, "130")  # beyond white: white gives way
    QTest.keyClick(dock.black, Qt.Key.Key_Return)
    black, white = session.slide_view.display.channel(0).window
    assert black == 130
    assert white > 130
    session.set_project(None)


def test_limits_never_cross_under_the_hand(coloured: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(coloured, tmp_path)
    dock = made(session, jobs, qtbot)
    drag_limit(dock, 0, 500)
    low, high = session.slide_view.display.channel(0).window
    assert (low, high) == (254, 255)
    session.set_project(None)


def test_gamma_auto_and_reset(coloured: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(coloured, tmp_path)
    dock = made(session, jobs, qtbot)
    assert not dock.reset.isEnabled()
    dock.gamma_slider.setValue(100)
    assert session.slide_view.display.channel(0).gamma == 5.0
    qtbot.waitUntil(lambda: dock.gamma.value() == 5.0)
    QTest.mouseClick(dock.auto, LEFT)
    low, high = session.slide_view.display.channel(0).window
    assert 40 <= low <= 60
    assert 180 <= high <= 215
    qtbot.waitUntil(dock.reset.isEnabled)
    QTest.mouseClick(dock.reset, LEFT)
    assert session.slide_view.display == DisplaySettings()
    qtbot.waitUntil(lambda: dock.gamma_slider.value() == 0)
    session.set_project(None)


def test_white_balance_by_itself_and_from_a_place(coloured: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(coloured, tmp_path)
    dock = made(session, jobs, qtbot)
    QTest.mouseClick(dock.auto_grey, LEFT)
    qtbot.waitUntil(lambda: session.slide_view.display.white_balance != (1, 1, 1))
    balanced = np.array([180.0, 160.0, 110.0]) * session.slide_view.display.white_balance
    assert np.ptp(balanced) < 2
    qtbot.waitUntil(dock.no_balance.isEnabled)
    QTest.mouseClick(dock.no_balance, LEFT)
    assert session.slide_view.display.white_balance == (1, 1, 1)
    QTest.mouseClick(dock.pick_grey, LEFT)
    assert session.tool == "grey"
    session.slide_view.grey_place_picked.emit(300.0, 100.0, 12.0)
    qtbot.waitUntil(lambda: session.slide_view.display.white_balance != (1, 1, 1))
    balanced = np.array([180.0, 160.0, 110.0]) * session.slide_view.display.white_balance
    assert np.ptp(balanced) < 4
    assert session.tool == "select"
    assert not dock.pick_grey.isChecked()
    session.set_project(None)


def test_channels_are_hidden_coloured_and_set_apart(
    two_channels: Path, tmp_path: Path, jobs: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtGui import QColor

    session = opened(two_channels, tmp_path)
    dock = made(session, jobs, qtbot)
    assert [dock.channels.item(i).text() for i in range(2)] == ["SE", "BSE"]
    assert not dock._balance.isVisible()
    row = dock.channels.visualItemRect(dock.channels.item(1))
    QTest.mouseClick(dock.channels.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, row.center())
    assert dock.channel == 1
    qtbot.waitUntil(lambda: 1900 < dock.black.value() < 2100)
    dock.channels.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert session.slide_view.display.channel(1) == ChannelView(visible=False)
    assert session.slide_view.display.channel(0) == ChannelView()
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#123456"))
    QTest.mouseClick(dock.colour, LEFT)
    assert session.slide_view.display.channel(1) == ChannelView(visible=False, colour="#123456")
    session.set_project(None)


def test_without_a_slide_it_offers_one(jobs: Any, qtbot: QtBot) -> None:
    from microscope_qc.app.panels.display.panel import DisplayDock
    from microscope_qc.app.session.session import Session

    dock = DisplayDock(Session(), jobs)
    qtbot.addWidget(dock)
    dock.show()
    assert dock.empty.isVisible()
    with qtbot.waitSignal(dock.open_requested):
        QTest.mouseClick(dock.empty.button, LEFT)


def test_the_key_opens_it_and_the_canvas_gives_the_grey_place(window: Any, qtbot: QtBot) -> None:
    native = window.canvas.picture.native
    QTest.keyClick(native, Qt.Key.Key_C)
    qtbot.waitUntil(window.docks["display"].isVisible)
    picked: list[tuple] = []
    window.session.slide_view.grey_place_picked.connect(lambda *place: picked.append(place))
    window.session.set_tool("grey")
    place = window.canvas.view.to_screen(600, 800)
    QTest.mouseClick(native, LEFT, Qt.KeyboardModifier.NoModifier, QPointF(*place).toPoint())
    assert picked[0][:2] == pytest.approx((600, 800), abs=4 / window.canvas.view.zoom)
    window.docks["display"].hide()


@pytest.fixture(scope="module")
def five_axes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two time points of three focus planes in two channels; each picture has one value."""
    import tifffile

    path = tmp_path_factory.mktemp("stack") / "S.ome.tif"
    values = np.arange(12, dtype=np.uint8).reshape(2, 3, 2, 1, 1) * 20
    planes = np.broadcast_to(values, (2, 3, 2, 300, 400)).copy()
    names = {"axes": "TZCYX", "Channel": {"Name": ["SE", "BSE"]}, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, planes, metadata=names)
    return path


def test_planes_are_chosen_by_slider_and_number(five_axes: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(five_axes, tmp_path)
    dock = made(session, jobs, qtbot)
    view = session.slide_view
    assert dock.stack.isVisible()
    assert [key for key, slider in dock.stack.sliders.items() if slider.isVisible()] == ["z", "t"]
    dock.stack.sliders["z"].setFocus()
    QTest.keyClick(dock.stack.sliders["z"], Qt.Key.Key_Right)
    assert view.display.place == StackPlace(z=1)
    assert dock.stack.numbers["z"].value() == 2
    assert dock.stack.numbers["z"].text() == "2 of 3"
    box = dock.stack.numbers["t"]
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, "2")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert view.display.place == StackPlace(z=1, t=1)
    assert view.stack_axis == "t"
    # the histogram is that of the picture on screen: 8 of 12 values, in steps of 20
    qtbot.waitUntil(lambda: dock._known is not None and dock._known.counts[0][160] > 0)
    QTest.mouseClick(dock.auto, LEFT)
    qtbot.waitUntil(dock.reset.isEnabled)
    QTest.mouseClick(dock.reset, LEFT)
    assert view.display == DisplaySettings(place=StackPlace(z=1, t=1)), "the plane is no part of brightness"
    view.save()
    session.set_project(None)


def test_the_plane_is_kept_with_the_slide(five_axes: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    session = opened(five_axes, tmp_path)
    session.slide_view.set_display(DisplaySettings(place=StackPlace(z=2)))
    session.set_project(None)
    again = Session()
    again.set_project(Project.open(tmp_path / "p.mqc"))
    dock = made(again, jobs, qtbot)
    assert dock.stack.numbers["z"].value() == 3
    again.set_project(None)


def test_a_single_picture_has_no_sliders(coloured: Path, tmp_path: Path, jobs: Any, qtbot: QtBot) -> None:
    session = opened(coloured, tmp_path)
    dock = made(session, jobs, qtbot)
    assert not dock.stack.isVisible()
    assert not dock._several.isVisible()
    session.set_project(None)


def test_keys_go_through_planes_and_channels(five_axes: Path, tmp_path: Path, the_window: Any, qtbot: QtBot) -> None:
    from microscope_qc.project import Project

    window = the_window
    window.session.set_project(Project.create(tmp_path / "p.mqc", slides=[five_axes]))
    view, picture = window.session.slide_view, window.canvas.picture
    qtbot.waitUntil(lambda: window.session.mosaic is not None and picture.complete, timeout=20_000)

    def middle() -> int:
        """Value on screen, of the picture below the tiles: red, green and blue together."""
        return int(picture._base_pixels[5, 5].astype(int).max())

    window.book.actions["channel.next"].trigger()
    assert [view.display.channel(i).visible for i in range(2)] == [True, False]
    qtbot.waitUntil(lambda: middle() == 0, timeout=10_000)
    for key, value in (("plane.next", 40), ("plane.next", 80), ("plane.next", 80), ("plane.previous", 40)):
        window.book.actions[key].trigger()
        qtbot.waitUntil(lambda value=value: middle() == value and picture.complete, timeout=10_000)
    assert view.display.place == StackPlace(z=1)
    assert "focus plane 2 of 3" in window.status._plane.text()
    assert "channel SE" in window.status._plane.text()
    window.book.actions["channel.next"].trigger()
    qtbot.waitUntil(lambda: middle() == 60, timeout=10_000)
    window.book.actions["channel.all"].trigger()
    assert all(view.display.channel(i).visible for i in range(2))
    window.session.set_project(None)
    assert window.status._plane.text() == ""
