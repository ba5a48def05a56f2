"""The scan area of a detection: shown over the slide and edited there, by real mouse and key events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from microscope_qc.core.area_mask import AreaMask, mask_from_dict
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.project.runs.mask_files import write_mask
from microscope_qc.project.runs.plan import RunPlan

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.panels.detect.panel import DetectDock
    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

pytestmark = pytest.mark.window

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE = Qt.KeyboardModifier.NoModifier
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
SHAPE = (2048, 3072)
CARD = SimpleNamespace(
    name="test-net", task="detect", architecture="ssd", network={}, tile_px=128,
    overlap_px=0, pixel_size_um=0.45, trained_at_um=None, trained_on="", classes=["ACP"],
    fingerprint="area", metrics={}, confidence=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def resin_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Material in the middle of even resin, with a pyramid."""
    from microscope_qc.slides.pyramid.write import write_ome_zarr

    rng = np.random.default_rng(4)
    picture = rng.normal(64, 2.5, (*SHAPE, 3)).clip(0, 255).astype(np.uint8)
    material = rng.integers(20, 235, (64, 128, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    picture[512:1536, 512:2560] = material
    path = tmp_path_factory.mktemp("resin") / "resin.ome.zarr"

    def read(region: Region) -> np.ndarray:
        return picture[region.y0 : region.y1, region.x0 : region.x1]

    run_job(write_ome_zarr(path, shape=SHAPE, dtype="uint8", rgb=True, read=read, pixel_size_um=(0.3, 0.3)))
    return path


@pytest.fixture
def project(tmp_path: Path, resin_slide: Path, slide_files: list[Path]) -> Project:
    from microscope_qc.project import Project

    made = Project.create(tmp_path / "P.mqc", slides=[resin_slide, slide_files[0]])
    made.slides.set_pixel_size(made.slides[1].id, 0.3)
    return made


@pytest.fixture
def dock(window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[DetectDock]:
    """The window's own dock, with a model that needs no network."""
    made = window.navigator.show_panel("detect")
    made.models._list_models = lambda: [CARD]
    made.models.refresh()
    area = made.area
    area.hide_area()
    area.whole.setChecked(True)
    area.leave_out.setChecked(True)
    window.canvas.fit_slide()
    qtbot.waitUntil(lambda: window.canvas.picture.complete)
    yield made
    area.hide_area()
    area.whole.setChecked(True)


def point(window: MainWindow, y: float, x: float) -> QPoint:
    return QPoint(*(round(value) for value in window.canvas.view.to_screen(y, x)))


def drag(window: MainWindow, *places: tuple[float, float], button: Any = LEFT, keys: Any = NONE) -> None:
    """Drag over slide positions with a button held."""
    native = window.canvas.picture.native
    points = [point(window, *place) for place in places]
    QTest.mousePress(native, button, keys, points[0])
    for a, b in zip(points, points[1:], strict=False):
        for share in (0.5, 1.0):
            QTest.mouseEvent(QTest.MouseAction.MouseMove, native, button, keys, a + (b - a) * share)
    QTest.mouseRelease(native, button, keys, points[-1])


def press(window: MainWindow, key: Qt.Key, keys: Any = NONE) -> None:
    QTest.keyClick(window.canvas.picture.native, key, keys)


def shown(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> AreaMask:
    """Press the button and wait for the mask."""
    if not dock.area.show_area.isChecked():
        dock.area.show_area.click()
    qtbot.waitUntil(lambda: dock.area.view.layer.mask is not None)
    return dock.area.view.layer.mask


def changing(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> Any:
    """Begin to change the area; returns the editing."""
    dock.area.change.click()
    qtbot.waitUntil(lambda: dock.area.view.active)
    qtbot.wait(50)  # the bar makes the canvas lower
    window.canvas.fit_slide()
    return dock.area.view.editing


def at(mask: Any, y: float, x: float) -> bool:
    """Whether a place is scanned."""
    return bool(mask.scan[int(y // mask.cell_px[0]), int(x // mask.cell_px[1])])


def kept(dock: DetectDock, qtbot: QtBot, kind: str = "changed") -> Any:
    """The mask that is kept once the hand rests."""
    dock.area.choice()
    return dock.area.masks.get(kind)


def pixel(window: MainWindow, y: float, x: float) -> np.ndarray:
    """Mean colour around a place on screen."""
    window.canvas.picture.redraw()
    QApplication.processEvents()
    image = window.canvas.picture.native.grabFramebuffer()
    ratio, middle = image.devicePixelRatio(), point(window, y, x)
    colours = [
        image.pixelColor(round((middle.x() + dx) * ratio), round((middle.y() + dy) * ratio)).getRgb()[:3]
        for dy in range(-9, 10, 3) for dx in range(-9, 10, 3)
    ]  # fmt: skip
    return np.mean(colours, axis=0)


def test_resin_is_covered_by_a_veil_and_material_is_clear(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    assert "The whole slide" in dock.area.estimate.text()
    resin, material = pixel(window, 200, 300), pixel(window, 1000, 1500)
    mask = shown(window, dock, qtbot)
    assert not at(mask, 200, 300) and at(mask, 1000, 1500) and 0.35 < mask.scan.mean() < 0.75
    assert f"<b>{100 * mask.scan.mean():.0f} %</b> of the slide will be scanned" in dock.area.estimate.text()
    tiles = dock.area.times.tiles(None, mask)
    assert f"{tiles} tiles" in dock.area.estimate.text() and tiles < dock.area.times.tiles(None)
    assert np.abs(pixel(window, 200, 300) - resin).max() > 12
    np.testing.assert_allclose(pixel(window, 1000, 1500), material, atol=1)
    dock.area.show_area.click()
    np.testing.assert_allclose(pixel(window, 200, 300), resin, atol=1)
    assert dock.area.choice().mask is None, "what the program finds by itself need not be told"


def test_area_is_left_out_with_the_brush_and_given_back(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project
) -> None:
    from microscope_qc.core.boxes import make_rows

    project.boxes.add(project.slides[0].id, make_rows(1, y0=700, y1=900, x0=700, x1=900, class_id=1), title="A box")
    before = shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    assert window.canvas.layout().itemAt(0).widget().isVisible() and dock.area.view.bar.isVisible()
    assert (editing.tool, editing.add) == ("brush", False)
    editing.set_brush(60)
    clear = pixel(window, 1000, 1500)
    drag(window, (1000, 800), (1000, 2200))
    mask = kept(dock, qtbot)
    assert not at(mask, 1000, 1500) and at(mask, 600, 1500)
    assert "as you changed it" in dock.area.estimate.text()
    assert np.abs(pixel(window, 1000, 1500) - clear).max() > 4, "the layer shows it at once"
    drag(window, (1000, 1500), (1000, 1500), button=RIGHT)
    assert at(kept(dock, qtbot), 1000, 1500), "the right button does the opposite"
    for _ in range(2):
        press(window, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(editing.paint.scan, before.scan)
    assert kept(dock, qtbot) is None, "the same as what the program found"
    assert len(window.session.table) == 1, "the project's own undo was not asked"
    press(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert not at(kept(dock, qtbot), 1000, 1500)
    QTest.mouseClick(dock.area.view.bar.back, LEFT)
    assert kept(dock, qtbot) is None and editing.paint.can_undo
    QTest.mouseClick(dock.area.view.bar.undo, LEFT)
    assert not at(kept(dock, qtbot), 1000, 1500)
    press(window, Qt.Key.Key_Escape)
    assert not editing.active and not dock.area.view.bar.isVisible()
    press(window, Qt.Key.Key_Z, CTRL)
    assert len(window.session.table) == 0, "now it is the project's again"


def test_ctrl_z_is_the_brush_s_wherever_the_focus_is(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project
) -> None:
    from microscope_qc.core.boxes import make_rows

    project.boxes.add(project.slides[0].id, make_rows(1, y0=700, y1=900, x0=700, x1=900, class_id=1), title="A box")
    shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    drag(window, (1000, 800), (1000, 2200))
    window.activateWindow()
    dock.runs.setFocus()
    qtbot.waitUntil(dock.runs.hasFocus)
    QTest.keyClick(dock.runs, Qt.Key.Key_Z, CTRL)
    assert not editing.paint.can_undo and len(window.session.table) == 1
    QTest.keyClick(dock.runs, Qt.Key.Key_Escape)
    assert not editing.active


def test_escape_cancels_the_stroke_first(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    before = shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    native = window.canvas.picture.native
    QTest.mousePress(native, LEFT, NONE, point(window, 1000, 1500))
    QTest.mouseEvent(QTest.MouseAction.MouseMove, native, LEFT, NONE, point(window, 1000, 1900))
    assert not at(SimpleNamespace(scan=editing.paint.scan, cell_px=before.cell_px), 1000, 1700)
    press(window, Qt.Key.Key_Escape)
    np.testing.assert_array_equal(editing.paint.scan, before.scan)
    assert editing.active
    QTest.mouseRelease(native, LEFT, NONE, point(window, 1000, 1900))
    np.testing.assert_array_equal(editing.paint.scan, before.scan)
    press(window, Qt.Key.Key_Escape)
    assert not editing.active


def test_panning_and_zooming_work_while_the_area_is_edited(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    canvas, native = window.canvas, window.canvas.picture.native
    view = canvas.view
    drag(window, (1000, 1500), (1200, 1700), button=MIDDLE)
    assert canvas.view.y < view.y - 100 and not editing.paint.can_undo
    QTest.keyPress(native, Qt.Key.Key_Space)
    view = canvas.view
    drag(window, (1000, 1500), (1000, 1700))
    QTest.keyRelease(native, Qt.Key.Key_Space)
    assert canvas.view.x < view.x - 100 and not editing.paint.can_undo

    def wheel(keys: Any) -> None:
        place = QPointF(point(window, 1000, 1500))
        event = QWheelEvent(
            place, native.mapToGlobal(place), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton, keys,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(native, event)

    zoom, brush = canvas.view.zoom, editing.brush_um
    wheel(NONE)
    assert canvas.view.zoom > zoom and editing.brush_um == brush
    zoom = canvas.view.zoom
    wheel(SHIFT)
    assert canvas.view.zoom == zoom and editing.brush_um > brush
    bar = dock.area.view.bar
    assert bar.width_um.value() == pytest.approx(editing.brush_um, abs=0.6)
    bar.slider.setValue(0)
    assert editing.brush_um == pytest.approx(editing.limits_um[0])


def test_the_tools_of_the_canvas_are_as_before_afterwards(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    session = window.session
    shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    drag(window, (700, 700), (1000, 1000))
    assert len(session.table) == 0
    press(window, Qt.Key.Key_B)  # another tool: done here
    assert session.tool == "draw" and not editing.active
    qtbot.wait(50)
    drag(window, (700, 700), (1000, 1000))
    assert len(session.table) == 1
    row = session.table.rows[0]
    assert abs(row["y0"] - 700) < 20 and abs(row["x1"] - 1000) < 20
    session.set_tool("select")
    session.selection.clear()
    native = window.canvas.picture.native
    QTest.mouseClick(native, LEFT, NONE, point(window, 850, 850))
    assert len(session.selection) == 1
    view = window.canvas.view
    session.selection.clear()
    drag(window, (300, 300), (600, 600))
    assert window.canvas.view.y < view.y - 100, "a drag pans again"
    press(window, Qt.Key.Key_Z, CTRL)
    assert len(session.table) == 0


def test_drawn_regions_begin_empty_and_grow_by_rectangles(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    QTest.mouseClick(dock.area.drawn, LEFT, NONE, QPoint(8, dock.area.drawn.height() // 2))
    assert dock.area.drawn.isChecked() and not dock.area.leave_out.isEnabled()
    assert not dock.start.isEnabled() and dock.start.toolTip() == "Draw a region first."
    editing = changing(window, dock, qtbot)
    assert (editing.tool, editing.add) == ("rectangle", True) and not editing.paint.scan.any()
    drag(window, (600, 600), (900, 1200))
    drag(window, (1100, 1500), (1300, 2100))
    mask = kept(dock, qtbot, "drawn")
    assert at(mask, 750, 900) and at(mask, 1200, 1800) and not at(mask, 750, 1800) and not at(mask, 400, 900)
    assert dock.start.isEnabled()
    QTest.mouseClick(dock.area.view.bar.tools["rectangle", False], LEFT)
    drag(window, (1050, 1450), (1350, 2150))
    assert not at(kept(dock, qtbot, "drawn"), 1200, 1800)
    share = 300 * 600 / (SHAPE[0] * SHAPE[1])
    assert kept(dock, qtbot, "drawn").scan.mean() == pytest.approx(share, rel=0.35)
    QTest.mouseClick(dock.area.view.bar.back, LEFT)
    assert kept(dock, qtbot, "drawn") is None and not dock.start.isEnabled()
    QTest.mouseClick(dock.area.view.bar.undo, LEFT)
    QTest.mouseClick(dock.area.view.bar.done, LEFT)
    assert kept(dock, qtbot, "drawn") is not None and dock.start.isEnabled()
    dock.area.whole.setChecked(True)
    assert dock.area.choice().mask is None, "what was drawn is not what is left out"


def test_a_detection_is_told_what_is_shown(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    calls: list[Any] = []

    def detect(project: Any, slide_id: int, model: str, **options: Any) -> Any:
        calls.append(SimpleNamespace(**options))

        def job() -> Any:
            yield Progress(1, 1)

        return job()

    monkeypatch.setattr(dock, "_detect", detect)

    def told() -> Any:
        dock.begin()
        qtbot.waitUntil(lambda: not dock.running)
        return calls[-1]

    assert (told().mask, calls[-1].everything, calls[-1].region) == (None, False, None)
    dock.area.leave_out.setChecked(False)
    assert (told().mask, calls[-1].everything) == (None, True)
    assert dock.area.show_area.toolTip() == "Nothing is left out."
    dock.area.leave_out.setChecked(True)
    found = shown(window, dock, qtbot)
    dock.area.visible.setChecked(True)
    window.canvas.zoom_by(2.0)
    assert told().mask is found and calls[-1].region is not None, "what is shown, not what a part would give"
    dock.area.whole.setChecked(True)
    editing = changing(window, dock, qtbot)
    drag(window, (1000, 800), (1000, 2200))
    assert not at(told().mask, 1000, 1500), "also what was painted a moment ago"
    assert not editing.active


def test_it_is_there_at_the_next_start_and_only_for_its_own_slide(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project
) -> None:
    from microscope_qc.project import Project

    session = window.session
    shown(window, dock, qtbot)
    changing(window, dock, qtbot)
    drag(window, (1000, 800), (1000, 2200))
    first, second = (slide.id for slide in project.slides)
    session.show_slide(second)  # in the middle of it: nothing is lost, nothing gets to the other slide
    assert not dock.area.view.active and dock.area.masks.get("changed") is None
    assert project.settings.get(f"area:{second}") is None
    assert not at(mask_from_dict(project.settings.get(f"area:{first}")["changed"], SHAPE), 1000, 1500)
    session.show_slide(first)
    assert not at(dock.area.masks.get("changed"), 1000, 1500)
    session.set_project(None)
    session.set_project(Project.open(project.path))
    session.show_slide(first)
    mask = dock.area.masks.get("changed")
    assert mask is not None and not at(mask, 1000, 1500)
    assert dock.area.choice().mask is mask

    def stored() -> Any:
        return session.project.settings.get(f"area:{first}")

    qtbot.waitUntil(lambda: session.mosaic is not None)
    dock.area.show_area.setChecked(True)
    changing(window, dock, qtbot)
    QTest.mouseClick(dock.area.view.bar.back, LEFT)  # what the program found is searched again
    qtbot.waitUntil(lambda: dock.area.masks.get("changed") is None and dock.area.view.active)
    qtbot.waitUntil(lambda: "changed" not in stored())


def test_in_a_project_for_reading_it_is_kept_in_memory(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project
) -> None:
    from microscope_qc.project import Project

    session, path = window.session, project.path
    session.set_project(None)
    owner = Project.open(path)
    session.set_project(Project.open(path, write=False))
    qtbot.waitUntil(lambda: session.mosaic is not None)
    first, second = (slide.id for slide in session.project.slides)
    session.show_slide(first)
    qtbot.waitUntil(lambda: session.mosaic is not None)
    shown(window, dock, qtbot)
    changing(window, dock, qtbot)
    drag(window, (1000, 800), (1000, 2200))
    session.show_slide(second)
    session.show_slide(first)
    assert not at(dock.area.masks.get("changed"), 1000, 1500)
    session.set_project(None)
    assert owner.settings.get(f"area:{first}") is None
    owner.close()


def test_what_leaves_nothing_cannot_be_started(window: MainWindow, dock: DetectDock, qtbot: QtBot) -> None:
    shown(window, dock, qtbot)
    editing = changing(window, dock, qtbot)
    QTest.mouseClick(dock.area.view.bar.tools["rectangle", False], LEFT)
    drag(window, (1, 1), (SHAPE[0] - 1, SHAPE[1] - 1))
    assert not editing.paint.scan.any()
    kept(dock, qtbot)
    assert not dock.start.isEnabled()
    assert dock.start.toolTip() == "Nothing of the slide is left to scan: add area first."
    assert dock.area.view.bar.words.text() == dock.start.toolTip()
    QTest.mouseClick(dock.area.view.bar.tools["brush", True], LEFT)
    drag(window, (1000, 1500), (1000, 1600))
    kept(dock, qtbot)
    assert dock.start.isEnabled()


def test_without_a_pixel_size_the_button_says_why(
    window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project
) -> None:
    shown(window, dock, qtbot)
    project.slides.set_pixel_size(project.slides[0].id, None)
    assert dock.area.view.layer.mask is None and not dock.area.change.isEnabled()
    assert dock.area.change.toolTip() == "Enter the pixel size first."
    dock.area.view.editing.begin(
        AreaMask(Region(0, 0, 9, 9), (9.0, 9.0), np.ones((1, 1), bool)), tool="brush", add=True
    )
    assert not dock.area.view.active, "a brush in micrometres needs it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": "!!"}, "The stored area of this slide cannot be read."),
        ({"region": [0, 0, 2048, 3000], "shape": [16, 24]}, "another size"),
    ],
)
def test_a_stored_area_that_cannot_be_used_is_said(
    window: MainWindow, dock: DetectDock, project: Project, change: dict, words: str
) -> None:
    from microscope_qc.core.area_mask import mask_to_dict

    first, second = (slide.id for slide in project.slides)
    window.session.show_slide(second)
    dock.area.masks._masks.clear()
    mask = AreaMask(Region(0, 0, *SHAPE), (128.0, 128.0), np.ones((16, 24), bool))
    project.settings.set(f"area:{first}", {"changed": mask_to_dict(mask) | change, "drawn": mask_to_dict(mask)})
    heard: list[str] = []
    window.session.notice.connect(heard.append)
    window.session.show_slide(first)
    assert any(words in sentence for sentence in heard), heard
    assert dock.area.masks.get("changed") is None and dock.area.masks.get("drawn") is not None


def test_a_detection_shows_its_scan_area(window: MainWindow, dock: DetectDock, qtbot: QtBot, project: Project) -> None:
    heard: list[str] = []
    window.session.notice.connect(heard.append)
    plan = RunPlan(model="test-net", region=[0, 0, *SHAPE], tile_px=384, overlap_px=0)
    scan = np.zeros((16, 24), bool)
    scan[4:8, :] = True
    slide = project.slides[0].id
    everything, some, damaged, fresh = (project.runs.start(slide, plan) for _ in range(4))
    write_mask(everything.folder, None)
    write_mask(some.folder, AreaMask(Region(0, 0, *SHAPE), (128.0, 128.0), scan))
    write_mask(damaged.folder, AreaMask(Region(0, 0, *SHAPE), (128.0, 128.0), scan))
    (damaged.folder / "mask.png").write_bytes(b"no picture")
    layer = dock.area.view.layer

    def look_at(run: Any) -> None:
        place = [line.id for line in dock.runs.runs].index(run.id)
        dock.runs.setCurrentItem(dock.runs.topLevelItem(place))
        heard.clear()
        dock.past_area.click()
        qtbot.waitUntil(lambda: bool(heard))

    dock.runs.refresh()
    look_at(some)
    assert layer.mask is not None and heard == ["This detection scanned 25 % of its area."]
    np.testing.assert_array_equal(layer.mask.scan, scan)
    dock.past_area.click()
    assert layer.mask is None
    look_at(damaged)
    assert "damaged" in heard[0] and layer.mask is None and not dock.past_area.isChecked()
    look_at(fresh)
    assert heard == ["This detection has not started scanning."] and not dock.past_area.isChecked()
    look_at(everything)
    assert heard == ["This detection scanned everything in its area."]
    shown(window, dock, qtbot)
    assert not dock.past_area.isChecked() and at(layer.mask, 1400, 1500), "now it is the area of the next one"
