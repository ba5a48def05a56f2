"""The window by real mouse and key events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QTabBar

from microscope_qc.app.panels.exchange.import_dialog import ImportDialog
from microscope_qc.app.shell.own_actions import palette_of
from microscope_qc.app.widgets.review_keys import RejectStrip
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

pytestmark = pytest.mark.window

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


def point(window: MainWindow, y: float, x: float) -> QPoint:
    """Where a slide position is on the canvas."""
    sx, sy = window.canvas.view.to_screen(y, x)
    return QPoint(round(sx), round(sy))


def drag(
    window: MainWindow,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    keys: Qt.KeyboardModifier = NONE,
    button: Qt.MouseButton = LEFT,
) -> None:
    """Press at a slide position, move, release at another."""
    native = window.canvas.picture.native
    a, b = point(window, *start), point(window, *end)
    QTest.mousePress(native, button, keys, a)
    for share in (0.3, 0.7, 1.0):
        QTest.mouseMove(native, a + (b - a) * share)
        # QTest.mouseMove carries no buttons on some platforms: the canvas keeps the gesture from the press
    QTest.mouseRelease(native, button, keys, b)


def click(window: MainWindow, y: float, x: float, keys: Qt.KeyboardModifier = NONE) -> None:
    """Click a slide position."""
    QTest.mouseClick(window.canvas.picture.native, LEFT, keys, point(window, y, x))


def drop(window: MainWindow, *paths: Path) -> None:
    """Drop files on the window."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    entering = QDragEnterEvent(QPoint(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE)
    QApplication.sendEvent(window, entering)  # Qt delivers a drop only where a drag came in
    assert entering.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE))


def press(window: MainWindow, key: Qt.Key, keys: Qt.KeyboardModifier = NONE) -> None:
    """Press a key on the canvas."""
    window.activateWindow()
    window.canvas.setFocus()
    QTest.keyClick(window.canvas.picture.native, key, keys)


def rows(window: MainWindow) -> np.ndarray:
    """Boxes of the slide on screen, as they are now."""
    return window.session.table.rows.copy()


def test_a_box_is_drawn_undone_and_redone(window: MainWindow) -> None:
    press(window, Qt.Key.Key_B)
    assert window.session.tool == "draw"
    drag(window, (700, 400), (800, 600))
    assert len(rows(window)) == 9
    made = rows(window)[-1]
    edges = [made[name] for name in ("y0", "x0", "y1", "x1")]
    assert np.allclose(edges, (700, 400, 800, 600), atol=2 / window.canvas.view.zoom)
    assert made["state"] == ReviewState.CONFIRMED
    assert window.session.selection.ids.tolist() == [made["id"]]
    press(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(rows(window)) == 8
    press(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert len(rows(window)) == 9
    assert rows(window)[-1]["id"] == made["id"]


def test_a_digit_relabels_the_selection_in_one_step(window: MainWindow) -> None:
    session = window.session
    click(window, 330, 140)
    first = int(rows(window)["id"][0])
    assert session.selection.ids.tolist() == [first]
    click(window, 330, 290, Qt.KeyboardModifier.ShiftModifier)
    assert len(session.selection) == 2
    entries = len(session.project.history.entries())
    press(window, Qt.Key.Key_5)
    wanted = next(item.id for item in session.classes if item.key == "5")
    assert rows(window)["class_id"][:2].tolist() == [wanted, wanted]
    assert len(session.project.history.entries()) == entries + 1
    session.selection.clear()
    press(window, Qt.Key.Key_3)
    assert session.class_of(session.draw_class_id).key == "3"


def test_a_handle_resizes_and_the_middle_moves_one_command_each(window: MainWindow) -> None:
    session = window.session
    window.canvas.set_view(window.canvas.view.fitted(250, 60, 450, 260))
    click(window, 330, 140)
    entries = len(session.project.history.entries())
    drag(window, (360, 180), (400, 220))
    box = rows(window)[0]
    assert np.allclose([box["y0"], box["x0"], box["y1"], box["x1"]], (300, 100, 400, 220), atol=1)
    assert len(session.project.history.entries()) == entries + 1
    drag(window, (350, 160), (360, 180))
    moved = rows(window)[0]
    assert np.allclose([moved["y0"], moved["x0"], moved["y1"], moved["x1"]], (310, 120, 410, 240), atol=1)
    assert len(session.project.history.entries()) == entries + 2
    press(window, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert rows(window)[0]["x0"] == pytest.approx(moved["x0"] + 1)


def test_escape_cancels_a_drag(window: MainWindow) -> None:
    window.session.set_tool("draw")
    native = window.canvas.picture.native
    QTest.mousePress(native, LEFT, NONE, point(window, 700, 400))
    QTest.mouseMove(native, point(window, 900, 700))
    press(window, Qt.Key.Key_Escape)
    QTest.mouseRelease(native, LEFT, NONE, point(window, 900, 700))
    assert len(rows(window)) == 8


def test_delete_and_undo_brings_the_finding_back_and_goes_there(window: MainWindow) -> None:
    click(window, 330, 140)
    gone = int(rows(window)["id"][0])
    press(window, Qt.Key.Key_Delete)
    assert gone not in window.session.table
    assert len(window.session.selection) == 0
    window.session.show_slide(window.session.project.slides[1].id)
    press(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.slide.name == "S1"
    assert gone in window.session.table
    assert window.session.selection.ids.tolist() == [gone]
    assert "Delete" in window.toast.text


def test_the_filter_hides_at_once_and_hidden_findings_cannot_be_hit(window: MainWindow) -> None:
    window.session.set_filter(min_confidence=0.5)
    assert len(window.canvas.boxes.rows) == 4
    click(window, 330, 140)
    assert len(window.session.selection) == 0
    window.session.set_filter(min_confidence=0.0)
    assert len(window.canvas.boxes.rows) == 8


def test_ctrl_drag_selects_an_area_and_the_table_shows_it(window: MainWindow, qtbot: Any) -> None:
    table = window.navigator.show_panel("table")
    drag(window, (250, 60), (400, 500), keys=Qt.KeyboardModifier.ControlModifier)
    assert len(window.session.selection) == 3
    selected = table.view.selectionModel().selectedRows
    qtbot.waitUntil(lambda: len(selected()) == 3, timeout=60_000)
    chosen = selected()
    assert sorted(table.model.ids[[index.row() for index in chosen]]) == sorted(window.session.selection.ids)
    place = table.view.visualRect(table.model.index(6, 1)).center()
    QTest.mouseClick(table.view.viewport(), LEFT, NONE, place)
    assert window.session.selection.ids.tolist() == [table.model.ids[6]]


def test_an_empty_place_pans_and_the_wheel_zooms_at_the_cursor(window: MainWindow) -> None:
    canvas = window.canvas
    canvas.zoom_by(3)
    before = canvas.view
    drag(window, (before.y, before.x), (before.y + 50, before.x + 80))
    assert canvas.view.y == pytest.approx(before.y - 50, abs=2)
    assert canvas.view.x == pytest.approx(before.x - 80, abs=2)
    place = QPointF(100, 80)
    under = canvas.view.to_slide(place.x(), place.y())
    zoom = canvas.view.zoom
    canvas.zoom_at(1.2, place)
    assert canvas.view.zoom == pytest.approx(1.2 * zoom)
    assert canvas.view.to_slide(place.x(), place.y()) == pytest.approx(under)
    assert len(rows(window)) == 8


def test_slides_switch_and_keep_their_view(window: MainWindow, qtbot: QtBot) -> None:
    session, canvas = window.session, window.canvas
    canvas.go_to(500, 700)
    canvas.zoom_to(2.0)
    window.navigator.trigger("slide.next")
    assert session.slide.name == "S2"
    assert len(canvas.boxes.rows) == 0
    qtbot.waitUntil(lambda: session.mosaic is not None, timeout=60_000)
    window.navigator.trigger("slide.previous")
    assert (canvas.view.y, canvas.view.x, canvas.view.zoom) == pytest.approx((500, 700, 2.0))


def test_a_view_is_not_kept_for_the_slide_of_another_project(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, slide_files: list[Path]
) -> None:
    from microscope_qc.project import Project

    session, canvas = window.session, window.canvas
    number = session.slide.id
    canvas.go_to(100, 100)
    canvas.zoom_to(8.0)
    session.set_project(Project.create(tmp_path / "other.mqc", slides=slide_files))
    assert session.slide.id == number
    assert canvas.view == canvas.view.fitted(0, 0, *session.slide.shape_px)


def test_confirm_reject_and_the_order_of_review(window: MainWindow) -> None:
    session = window.session
    session.navigation.order = session.navigation.by_id
    ids = rows(window)["id"].copy()
    session.selection.set([ids[0]])
    press(window, Qt.Key.Key_Y)
    assert rows(window)["state"][0] == ReviewState.CONFIRMED
    assert session.selection.current == ids[1]
    press(window, Qt.Key.Key_N)
    reasons = window.canvas.findChild(RejectStrip)
    assert reasons.isVisible()
    QTest.keyClick(reasons, Qt.Key.Key_D)
    assert rows(window)["state"][1] == ReviewState.REJECTED
    assert rows(window)["reason"][1] == "duplicate"
    assert session.selection.current == ids[2]
    press(window, Qt.Key.Key_Left)
    assert session.selection.current == ids[1]
    press(window, Qt.Key.Key_U)
    assert rows(window)["state"][1] == ReviewState.UNREVIEWED


def test_letters_typed_into_a_field_are_not_shortcuts(window: MainWindow, qtbot: QtBot) -> None:
    card = window.navigator.show_panel("card")
    click(window, 330, 140)
    card.note.setFocus()
    QTest.keyClicks(card.note, "by 5n")
    QTest.keyClick(card.note, Qt.Key.Key_Return)
    assert window.session.tool == "select"
    assert card.note.toPlainText().startswith("by 5n")
    card.keep_note()
    assert rows(window)["note"][0] == "by 5n"


@pytest.mark.parametrize("name", ["broken.png", "empty.tif", "text.czi"])
def test_a_bad_file_that_is_dropped_leaves_the_window_alive(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, name: str
) -> None:
    bad = tmp_path / name
    bad.write_bytes({"broken.png": b"\x89PNG\r\n\x1a\n rubbish", "empty.tif": b"", "text.czi": b"hello"}[name])
    before = [slide.id for slide in window.session.project.slides]
    drop(window, bad)
    qtbot.waitUntil(window.message_bar.isVisible, timeout=60_000)
    assert name in window.message_bar.text
    assert [slide.id for slide in window.session.project.slides] == before
    click(window, 330, 140)
    assert len(window.session.selection) == 1


def test_findings_are_read_in_the_background_and_taken_in_as_one_step(
    window: MainWindow, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.jobs import run_job
    from microscope_qc.workflows.exchange.export import export_boxes

    project = window.session.project
    first = project.slides[0].id
    path = tmp_path / "findings.json"
    run_job(export_boxes(project, path, "coco"))
    before = len(project.boxes.table(first))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    window.navigator.trigger("file.import")
    dialog = window.findChild(ImportDialog)
    qtbot.waitUntil(dialog.take.isEnabled, timeout=60_000)
    assert len(project.boxes.table(first)) == before  # the dry run writes nothing
    QTest.mouseClick(dialog.take, LEFT)
    qtbot.waitUntil(lambda: len(project.boxes.table(first)) > before, timeout=60_000)
    assert project.history.undo_title.startswith("Import")
    project.history.undo()
    assert len(project.boxes.table(first)) == before
    path.write_text('{"images": [{"id": 1, "file_name": "other.png", "width": 5, "height": 5}], "categories": '
                    '[{"id": 1, "name": "X"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, '
                    '"bbox": [0, 0, 2, 2]}]}')  # fmt: skip
    qtbot.waitUntil(lambda: window.findChild(ImportDialog) is None, timeout=60_000)
    window.navigator.trigger("file.import")
    dialog = window.findChild(ImportDialog)
    qtbot.waitUntil(lambda: "other.png" in dialog.summary.text(), timeout=60_000)
    assert not dialog.take.isEnabled()
    dialog.reject()
    assert len(project.boxes.table(first)) == before


def test_a_project_opened_in_the_background_is_let_go_when_it_is_closed(
    window: MainWindow, qtbot: QtBot, project: Project
) -> None:
    place = project.path
    window.session.set_project(None)
    for _ in range(3):
        window.navigator.open_paths([place])
        qtbot.waitUntil(lambda: window.session.project is not None, timeout=60_000)
        assert not window.session.project.read_only
        window.session.set_project(None)
        assert not (place / "owner.json").exists()


def test_a_slide_is_on_screen_before_its_project(
    window: MainWindow, qtbot: QtBot, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from microscope_qc.app.commands import files

    slide = tmp_path / "alone.png"
    slide.write_bytes(project.slides[0].path.read_bytes())
    window.session.set_project(None)
    seen_first: list[bool] = []
    opening = files._open_project

    def open_slowly(path: Path) -> Project:
        seen_first.append(window.canvas.picture.source is not None)
        return opening(path)

    monkeypatch.setattr(files, "_open_project", open_slowly)
    monkeypatch.setattr(files, "AHEAD_MS", 60_000)  # a busy computer may need longer than users should wait
    window.navigator.open_paths([slide])
    qtbot.waitUntil(lambda: window.session.mosaic is not None, timeout=60_000)
    assert seen_first == [True]
    assert window.canvas.picture.source.mosaic is window.session.mosaic, "its pixels were read again"
    assert window.docks["classes"].isVisible()
    assert window.tools.isVisible()
    window.session.set_project(None)
    assert window.pages.currentWidget() is window.welcome
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0" + bytes(60))
    window.navigator.open_paths([broken])
    qtbot.waitUntil(lambda: "broken.tif" in window.message_bar.text, timeout=60_000)
    assert window.pages.currentWidget() is window.welcome


def test_an_error_in_a_slot_is_said_and_the_window_lives(window: MainWindow) -> None:
    window.errors.take(InputError("This cannot be.", hint="Do that."))
    assert window.message_bar.text == "This cannot be.\nDo that."
    window.errors.take(ZeroDivisionError("x"))
    assert "ZeroDivisionError" in window.message_bar.text
    assert "ZeroDivisionError" in window.errors.log.text()


def test_workspaces_show_their_panels_and_remember(window: MainWindow) -> None:
    assert window.docks["classes"].isVisible()
    window.docks["classes"].hide()
    window.workspaces.use("review")
    assert not any(dock.isVisible() for dock in window.docks.values())
    assert window.pages.currentWidget() is not window.canvas
    window.workspaces.use("sem")
    assert window.pages.currentWidget() is window.canvas
    assert window.docks["slides"].isVisible()
    window.workspaces.use("annotate")
    assert not window.docks["classes"].isVisible()
    window.workspaces.reset()
    assert window.docks["classes"].isVisible()


def test_what_was_said_about_a_project_goes_with_it(window: MainWindow) -> None:
    window.errors.take(InputError("The mark was not placed.", hint="Click inside the slide."))
    window.session.notice.emit("Class DEL added.")
    story = window.navigator.show_panel("detect").story
    story.setText("Done: 3 findings.")
    story.show()
    assert window.message_bar.isVisible() and window.toast.isVisible()
    window.session.set_project(None)
    assert not window.message_bar.isVisible() and not window.toast.isVisible()
    assert story.isHidden() and not story.text()


def test_a_long_sentence_is_not_cut_at_the_edges_of_the_picture(window: MainWindow) -> None:
    toast, place = window.toast, window.toast.parentWidget()
    words = "The project is no longer at this place: it was deleted, moved or renamed. "
    for times in (1, 4, 1):
        window.session.notice.emit(words * times)
        assert place.rect().contains(toast.geometry()) and toast.text == words * times
        assert toast.height() >= toast.heightForWidth(toast.width())
    window.session.notice.emit("S1")
    assert toast.width() < place.width() // 2


def test_the_review_page_says_its_zoom(window: MainWindow, qtbot: QtBot) -> None:
    window.canvas.zoom_to(0.25)
    on_canvas = window.status._zoom.text()
    window.session.selection.set([int(rows(window)["id"][0])])
    window.workspaces.use("review")
    picture = window.pages.review.picture
    qtbot.waitUntil(lambda: window.status._zoom.text() != on_canvas)
    whole = window.status._zoom.text()
    picture.set_context(picture.context * 2 + 1)
    qtbot.waitUntil(lambda: window.status._zoom.text() != whole)
    window.workspaces.use("annotate")
    assert window.status._zoom.text() == on_canvas


def test_no_tabs_of_another_workspace_stay_on_screen(window: MainWindow, qtbot: QtBot) -> None:
    def tabs() -> list[list[str]]:
        bars = window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
        seen = [bar for bar in bars if bar.isVisible() and window.rect().intersects(bar.geometry())]
        return [[bar.tabText(place) for place in range(bar.count())] for bar in seen]

    for name in ("display", "jobs", "log"):
        window.navigator.show_panel(name)
    qtbot.waitUntil(lambda: ["Gallery", "Table", "Densities", "Jobs", "Log"] in tabs())
    for name in ("review", "sem", "annotate", "sem", "review"):
        window.workspaces.use(name)
        window.workspaces.reset()
        window.navigator.show_page()
        of_annotate = [["Detect", "Suggestions"], ["Gallery", "Table", "Densities"]]
        qtbot.waitUntil(lambda wanted=of_annotate if name == "annotate" else []: sorted(tabs()) == wanted)
    window.workspaces.use("sem")
    window.navigator.show_panel("gallery")
    qtbot.waitUntil(lambda: tabs() == [["Gallery", "Table"]])
    window.workspaces.use("annotate")
    window.workspaces.reset()


def test_twenty_thousand_findings_are_shown(window: MainWindow, project: Project, qtbot: QtBot) -> None:
    rng = np.random.default_rng(0)
    count = 20_000
    y, x = rng.uniform(0, 1150, count), rng.uniform(0, 1550, count)
    slide = project.slides[1].id
    project.boxes.add(slide, make_rows(count, y0=y, x0=x, y1=y + 6, x1=x + 6, class_id=project.classes[0].id))
    window.session.show_slide(slide)
    assert len(window.canvas.boxes.rows) == count
    table = window.navigator.show_panel("table")
    assert table.model.rowCount() == count
    window.canvas.fit_slide()
    window.canvas._on_refresh()
    boxes = window.canvas.boxes
    qtbot.waitUntil(lambda: boxes._frames._count > 1000, timeout=60_000)  # dots, one per occupied cell
    window.canvas.set_view(window.canvas.view.fitted(500, 500, 600, 600))
    window.canvas._on_refresh()
    assert 0 < window.canvas.boxes._frames._count < 3000
    nearest = project.boxes.table(slide).rows[0]
    window.session.navigation.select_and_centre(int(nearest["id"]))
    click(window, float(nearest["y0"]) + 3, float(nearest["x0"]) + 3)
    assert window.session.selection.current == nearest["id"]


def test_a_layer_of_the_user_is_where_the_slide_is(window: MainWindow, qtbot: QtBot) -> None:
    canvas = window.canvas
    layers, native = canvas.picture.model.layers, canvas.picture.widget.canvas
    qtbot.waitUntil(lambda: len(layers) == 1, timeout=60_000)
    canvas.go_to(200, 200)
    own = canvas.picture.model.add_points(np.zeros((1, 2)))
    try:
        for zoom in (None, 0.3, 1.0, 8.0):
            if zoom is not None:
                canvas.go_to(330, 140)
                canvas.zoom_to(zoom)
                rect = native.view.camera.rect  # at once
                assert (rect.center[1], rect.center[0]) == pytest.approx((canvas.view.y, canvas.view.x))
            qtbot.waitUntil(lambda: not canvas.picture._tell_napari.isActive())
            world = native._map_canvas2world((100, 50), native.view)
            assert world[-2:] == pytest.approx(canvas.view.to_slide(100, 50), abs=1e-3 + 0.01 / canvas.view.zoom)
        layers.remove(canvas.picture._base)  # a user may do that too
        canvas.go_to(500, 400)
        rect = native.view.camera.rect
        assert (rect.center[1], rect.center[0]) == pytest.approx((canvas.view.y, canvas.view.x))
    finally:
        layers.remove(own)


def test_the_map_hides_over_the_whole_slide(window: MainWindow, qtbot: QtBot) -> None:
    canvas = window.canvas
    canvas.zoom_to(2.0)
    qtbot.waitUntil(canvas.overview.isVisible, timeout=60_000)
    canvas.fit_slide()
    qtbot.waitUntil(lambda: not canvas.overview.isVisible(), timeout=60_000)


def test_the_sample_made_before_is_opened_again(
    window: MainWindow, qtbot: QtBot, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.workflows.samples import ready

    window.session.set_project(None)
    project.path.rename(tmp_path / ready.PROJECT_NAME)
    monkeypatch.setenv("MICROSCOPE_QC_SAMPLE_DIR", str(tmp_path))
    before = len(window.jobs.history)
    window.navigator.trigger("file.sample")
    qtbot.waitUntil(lambda: window.session.project is not None, timeout=60_000)
    assert window.session.project.path == tmp_path / ready.PROJECT_NAME
    assert [handle.title for handle in window.jobs.history[before:]] == [f"Open {ready.PROJECT_NAME}"]


def test_at_the_sem_no_column_is_cut_and_the_travel_list_is_visible(window: MainWindow, qtbot: QtBot) -> None:
    window.workspaces.use("sem")
    window.workspaces.reset()
    assert window.docks["sem"].isVisible()
    assert not window.docks["card"].isVisible()
    qtbot.waitUntil(lambda: window.docks["sem"].width() >= 400, timeout=60_000)
    sem = window.docks["sem"].build()
    project, slide = window.session.project, window.session.slide
    for number, (y, x) in enumerate(((100, 100), (100, 1500), (1100, 150)), start=1):
        project.marks.add(slide.id, f"M{number}", y, x, stage_x_mm=50 + x / 2000, stage_y_mm=30 - y / 2000)
    window.session.judging.choose(window.session.table.rows["id"][:3], True)
    sem.refresh()
    sem.align.click()
    tables = (sem.table, sem.travel_table)
    qtbot.waitUntil(lambda: all(table.horizontalScrollBar().maximum() == 0 for table in tables), timeout=60_000)
    qtbot.waitUntil(lambda: not sem.travel_table.visibleRegion().isEmpty(), timeout=60_000)


def test_the_palette_finds_and_does(window: MainWindow) -> None:
    palette = palette_of(window.navigator, window.session)
    palette.popup()
    palette.line.setText("dra box")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.session.tool == "draw"
    assert not palette.isVisible()


def test_closing_the_project_shows_the_welcome_page(window: MainWindow, project: Project) -> None:
    window.session.set_project(None)
    assert window.pages.currentWidget() is window.welcome
    assert not any(dock.isVisible() for dock in window.docks.values())
    assert not window.book.actions["tool.draw"].isEnabled() or window.book._words.isActive()
    assert len(window.canvas.boxes.rows) == 0


def test_near_by_the_slide_is_shown_in_full_detail(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    """The overview below the tiles must not cover them: single pixels are told apart at 1:1."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 2, (2100, 2100), dtype=np.uint8) * 255
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    record = window.session.project.slides.add(tmp_path / "noise.png")
    window.session.show_slide(record.id)
    picture = window.canvas.picture
    qtbot.waitUntil(lambda: window.session.mosaic is not None and len(picture.model.layers) == 1, timeout=60_000)
    window.canvas.go_to(1000, 1000)
    window.canvas.zoom_to(4.0)
    qtbot.waitUntil(lambda: picture.complete, timeout=60_000)
    image = window.canvas.picture.native.grabFramebuffer()
    middle = [image.pixelColor(image.width() // 2 + x, image.height() // 2).value() for x in range(0, 120)]
    assert min(middle) < 40
    assert max(middle) > 215
