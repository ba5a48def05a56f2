"""Editing boxes on the canvas by real mouse and key events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from microscope_qc.app.canvas.hover import beside
from microscope_qc.app.commands import clipboard
from microscope_qc.app.session.clipboard import MIME_TYPE, CopiedBoxes
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from tests.app.test_window import click, drag, point, press, rows

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

pytestmark = pytest.mark.window

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def corners(row: np.void) -> list[float]:
    """y0, x0, y1, x1."""
    return [float(row[name]) for name in ("y0", "x0", "y1", "x1")]


def newest(window: MainWindow) -> str:
    """Title of the newest entry of the history."""
    return str(window.session.project.history.entries(1)[0].title)


def rest_at(window: MainWindow, y: float, x: float) -> None:
    """Move the mouse to a slide position."""
    native, place = window.canvas.picture.native, point(window, y, x)
    if (mouse := window.canvas.input.pointer) is not None and (round(mouse.x), round(mouse.y)) == (
        place.x(),
        place.y(),
    ):
        QTest.mouseMove(native, place + QPoint(3, 3))
    QTest.mouseMove(native, place)

    def arrived() -> bool:
        mouse = window.canvas.input.pointer
        return mouse is not None and (round(mouse.x), round(mouse.y)) == (place.x(), place.y())

    for attempt in range(2000):
        if arrived():
            return
        if attempt % 100 == 99:  # a move right after a click may be lost
            QTest.mouseMove(native, place + QPoint(3, 3))
            QTest.mouseMove(native, place)
        QTest.qWait(10)
    raise AssertionError("the mouse did not arrive")


def near(window: MainWindow) -> None:
    """Show the first findings at two screen points per pixel."""
    window.canvas.set_view(window.canvas.view.fitted(250, 60, 450, 600))


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        ((300, 100), (290, 80, 360, 180)),
        ((300, 140), (290, 100, 360, 180)),
        ((300, 180), (290, 100, 360, 160)),
        ((330, 180), (300, 100, 360, 160)),
        ((360, 180), (300, 100, 350, 160)),
        ((360, 140), (300, 100, 350, 180)),
        ((360, 100), (300, 80, 350, 180)),
        ((330, 100), (300, 80, 360, 180)),
    ],
)
def test_each_of_the_eight_handles_moves_its_sides(
    window: MainWindow, handle: tuple[float, float], expected: tuple[float, ...]
) -> None:
    near(window)
    click(window, 330, 140)
    entries = len(window.session.project.history.entries())
    drag(window, handle, (handle[0] - 10, handle[1] - 20))
    assert corners(rows(window)[0]) == pytest.approx(expected, abs=1)
    assert len(window.session.project.history.entries()) == entries + 1
    assert newest(window) == "Resize 1 finding"


def test_the_pointer_tells_what_a_handle_does(window: MainWindow) -> None:
    near(window)
    click(window, 330, 140)
    native = window.canvas.picture.native
    for place, shape in (
        ((300, 100), Qt.CursorShape.SizeFDiagCursor),
        ((300, 180), Qt.CursorShape.SizeBDiagCursor),
        ((300, 140), Qt.CursorShape.SizeVerCursor),
        ((330, 100), Qt.CursorShape.SizeHorCursor),
        ((330, 140), Qt.CursorShape.SizeAllCursor),
        ((430, 140), Qt.CursorShape.ArrowCursor),
    ):
        rest_at(window, *place)
        assert native.cursor().shape() == shape, place


def test_several_boxes_move_together_in_one_step(window: MainWindow) -> None:
    near(window)
    click(window, 330, 140)
    click(window, 330, 290, SHIFT)
    before = rows(window)
    entries = len(window.session.project.history.entries())
    drag(window, (330, 140), (350, 170))
    after = rows(window)
    for place in (0, 1):
        assert corners(after[place]) == pytest.approx(np.array(corners(before[place])) + [20, 30, 20, 30], abs=1)
    assert np.array_equal(after[2:], before[2:])
    assert len(window.session.project.history.entries()) == entries + 1
    assert newest(window) == "Move 2 findings"
    assert window.canvas.boxes._shift == (0.0, 0.0)
    press(window, Qt.Key.Key_Z, CTRL)
    assert np.array_equal(rows(window), before)
    assert "Move 2 findings" in window.toast.text
    assert len(window.session.selection) == 2


def test_boxes_stay_on_the_slide_when_several_are_moved(window: MainWindow) -> None:
    near(window)
    click(window, 330, 140)
    click(window, 330, 290, SHIFT)
    drag(window, (330, 290), (330, 90))
    after = rows(window)
    assert after["x0"][0] == 0
    assert after["x0"][1] == 150


def test_escape_cancels_a_move_of_several(window: MainWindow) -> None:
    near(window)
    click(window, 330, 140)
    click(window, 330, 290, SHIFT)
    before = rows(window)
    native = window.canvas.picture.native
    QTest.mousePress(native, LEFT, NONE, point(window, 330, 140))
    QTest.mouseMove(native, point(window, 380, 200))
    assert window.canvas.boxes._shift != (0.0, 0.0)
    press(window, Qt.Key.Key_Escape)
    QTest.mouseRelease(native, LEFT, NONE, point(window, 380, 200))
    assert np.array_equal(rows(window), before)
    assert window.canvas.boxes._shift == (0.0, 0.0)


def test_ctrl_arrows_nudge_and_stop_at_the_end_of_the_slide(window: MainWindow) -> None:
    near(window)
    click(window, 330, 140)
    press(window, Qt.Key.Key_Up, CTRL)
    press(window, Qt.Key.Key_Left, CTRL | SHIFT)
    assert corners(rows(window)[0]) == [299, 90, 359, 170]
    for _ in range(12):
        press(window, Qt.Key.Key_Left, CTRL | SHIFT)
    assert corners(rows(window)[0]) == [299, 0, 359, 80]


def test_nudges_in_quick_succession_are_undone_together(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.app.session import box_editing

    clock = [100.0]
    monkeypatch.setattr(box_editing.time, "monotonic", lambda: clock[0])
    near(window)
    click(window, 330, 140)
    count, start = len(project.history.entries()), corners(rows(window)[0])
    for _ in range(5):
        press(window, Qt.Key.Key_Right, CTRL)
        clock[0] += 0.5
    assert len(project.history.entries()) == count + 1
    clock[0] += 2.0
    press(window, Qt.Key.Key_Down, CTRL)
    click(window, 330, 290)
    press(window, Qt.Key.Key_Down, CTRL)
    assert len(project.history.entries()) == count + 3, "later, and another finding"
    press(window, Qt.Key.Key_Z, CTRL)
    press(window, Qt.Key.Key_Z, CTRL)
    assert corners(rows(window)[0]) == [start[0], start[1] + 5, start[2], start[3] + 5]
    press(window, Qt.Key.Key_Z, CTRL)
    assert corners(rows(window)[0]) == start


def test_copied_boxes_are_pasted_at_the_mouse_and_on_another_slide(window: MainWindow, project: Project) -> None:
    session = window.session
    first = int(rows(window)["id"][0])
    project.boxes.edit([first], note="seen before")
    project.attributes.edit([first], {"depth": 3})
    click(window, 330, 140)
    click(window, 330, 290, SHIFT)
    press(window, Qt.Key.Key_C, CTRL)
    board = QApplication.clipboard()
    assert "\t" in board.text()  # other programs take the table
    rest_at(window, 700, 800)
    press(window, Qt.Key.Key_V, CTRL)
    made = rows(window)[-2:]
    assert newest(window) == "Paste 2 findings"
    middle = (made["y0"].min() + made["y1"].max()) / 2, (made["x0"].min() + made["x1"].max()) / 2
    assert middle == pytest.approx((700, 800), abs=2 / window.canvas.view.zoom + 1)
    assert (made["x0"][1] - made["x0"][0], made["y1"][0] - made["y0"][0]) == (150, 60)
    assert made["class_id"].tolist() == rows(window)["class_id"][:2].tolist()
    assert (made["note"][0], project.attributes.get(int(made["id"][0]))) == ("seen before", {"depth": 3})
    assert made["state"].tolist() == [ReviewState.UNREVIEWED] * 2
    assert session.selection.ids.tolist() == made["id"].tolist()
    project.slides.set_pixel_size(project.slides[1].id, 0.25)
    session.show_slide(project.slides[1].id)
    press(window, Qt.Key.Key_V, CTRL)
    assert (rows(window)["x1"] - rows(window)["x0"]).tolist() == [160, 160]  # the same um
    press(window, Qt.Key.Key_Z, CTRL)
    assert len(rows(window)) == 0


def test_cut_boxes_come_back_where_they_are_pasted(window: MainWindow) -> None:
    click(window, 330, 140)
    press(window, Qt.Key.Key_X, CTRL)
    assert (len(rows(window)), newest(window)) == (7, "Cut 1 finding")
    rest_at(window, 20, 30)
    press(window, Qt.Key.Key_V, CTRL)
    assert len(rows(window)) == 8
    assert corners(rows(window)[-1]) == [0, 0, 60, 80]  # pushed onto the slide


def test_a_duplicate_is_next_to_its_original(window: MainWindow) -> None:
    click(window, 330, 140)
    press(window, Qt.Key.Key_J, CTRL)
    made = rows(window)[-1]
    assert (len(rows(window)), newest(window)) == (9, "Duplicate 1 finding")
    away = round(16 / window.canvas.view.zoom)
    assert corners(made) == [300 + away, 100 + away, 360 + away, 180 + away]
    assert window.session.selection.ids.tolist() == [made["id"]]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"version": 1}', b'{"corners": [[0, 0, 1, 1]], "codes": [], "notes": [], '
        b'"pixel_size_um": null, "attributes": {}, "outlines": {}}',
        b'{"corners": [[0, 0, NaN, 1]], "codes": ["ACP"], "notes": [""], "pixel_size_um": null, "attributes": {}, '
        b'"outlines": {}}',
        b'{"corners": [[0, 0, 1, 1]], "codes": ["ACP"], "notes": [""], "pixel_size_um": [0, 1], "attributes": {}, '
        b'"outlines": {}}',
        b'{"corners": [[0, 0, 1, 1]], "codes": ["ACP"], "notes": [""], "pixel_size_um": null, '
        b'"attributes": {"7": {}}, "outlines": {}}',
    ],
)  # fmt: skip
def test_what_another_program_put_on_the_clipboard_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="no findings"):
        CopiedBoxes.from_json(content)


def test_pasting_words_says_what_to_do(window: MainWindow) -> None:
    QApplication.clipboard().setText("hello")
    with pytest.raises(InputError, match="no findings"):
        clipboard.findings()
    data = QMimeData()
    copied = CopiedBoxes(np.array([[0.0, 0, 5, 5]]), ("XYZ",), ("",), None, {}, {})
    data.setData(MIME_TYPE, copied.to_json())
    QApplication.clipboard().setMimeData(data)
    with pytest.raises(InputError, match="not have the class XYZ"):
        window.session.editing.paste(clipboard.findings(), y=10, x=10)
    assert len(rows(window)) == 8


def test_one_click_makes_a_box_of_the_size_of_its_class(window: MainWindow, project: Project) -> None:
    session = window.session
    item = replace(project.classes[2], box_size_um=20.0)
    project.classes.edit(item.id, box_size_um=20.0)
    session.set_draw_class(item.id)
    press(window, Qt.Key.Key_B)
    click(window, 700, 800)
    assert len(rows(window)) == 9
    made = rows(window)[-1]
    assert (made["y1"] - made["y0"], made["x1"] - made["x0"]) == (40, 40)  # 0.5 um per pixel
    assert [(made["y0"] + made["y1"]) / 2, (made["x0"] + made["x1"]) / 2] == pytest.approx([700, 800], abs=3)
    assert made["class_id"] == item.id
    click(window, 700, 800)  # on one of its own class: selects
    assert len(rows(window)) == 9
    click(window, 3, 3)  # at the end of the slide only as far as there is one
    assert corners(rows(window)[-1])[:2] == [0, 0]
    session.set_draw_class(project.classes[3].id)
    click(window, 900, 900)  # a class without a size: nothing is made
    assert len(rows(window)) == 10


def test_a_rubber_band_with_shift_adds_to_the_selection(window: MainWindow) -> None:
    drag(window, (250, 60), (400, 320), keys=CTRL)
    first = window.session.selection.ids.tolist()
    assert first == rows(window)["id"][:2].tolist()
    drag(window, (250, 700), (400, 1000), keys=CTRL | SHIFT)
    assert window.session.selection.ids.tolist() == rows(window)["id"][[0, 1, 4, 5]].tolist()
    drag(window, (1000, 700), (1100, 1000), keys=CTRL)
    assert len(window.session.selection) == 0


def test_state_class_and_note_of_a_selection_change_in_one_step_each(window: MainWindow) -> None:
    session = window.session
    drag(window, (250, 60), (400, 500), keys=CTRL)
    assert len(session.selection) == 3
    entries = len(session.project.history.entries())
    press(window, Qt.Key.Key_Y)
    press(window, Qt.Key.Key_4)
    session.judging.set_note(session.selection.ids, "together")
    changed = rows(window)[:3]
    assert changed["state"].tolist() == [ReviewState.CONFIRMED] * 3
    assert len(set(changed["class_id"].tolist())) == 1
    assert changed["note"].tolist() == ["together"] * 3
    titles = [entry.title for entry in session.project.history.entries(3)]
    assert len(session.project.history.entries()) == entries + 3
    assert titles[0] == "Note on 3 findings"
    assert titles[1].startswith("Class 3 findings to ")
    assert titles[2] == "Confirm 3 findings"


def test_undo_goes_where_a_box_was_that_is_gone(window: MainWindow) -> None:
    press(window, Qt.Key.Key_B)
    drag(window, (1000, 1400), (1100, 1500))
    window.canvas.set_view(window.canvas.view.fitted(0, 0, 200, 200))
    press(window, Qt.Key.Key_Z, CTRL)
    assert len(rows(window)) == 8
    top, left, bottom, right = window.canvas.view.bounds
    assert top < 1000 < 1100 < bottom
    assert left < 1400 < 1500 < right
    view = window.canvas.view
    press(window, Qt.Key.Key_Z, CTRL | SHIFT)
    assert window.canvas.view == view  # it is visible already: nothing jumps
    assert window.session.selection.ids.tolist() == [rows(window)[-1]["id"]]


def test_the_card_shows_after_a_while_and_not_under_the_mouse(window: MainWindow, qtbot: QtBot) -> None:
    hover = window.canvas.hover
    window.session.project.boxes.edit([int(rows(window)["id"][1])], note="<b>dark</b> rim")
    rest_at(window, 700, 700)
    rest_at(window, 330, 290)
    assert not hover.isVisible()
    qtbot.waitUntil(hover.isVisible)
    item = window.session.class_of(int(rows(window)["class_id"][1]))
    for words in (f"<b>{item.code}</b>", item.name, "40.0 × 30.0 µm", "confidence 0.21", "unreviewed",
                  "&lt;b&gt;dark&lt;/b&gt; rim"):  # fmt: skip
        assert words in hover.words, words
    assert not hover.geometry().contains(point(window, 330, 290))
    rest_at(window, 700, 700)
    assert not hover.isVisible()


def test_the_card_is_never_under_the_mouse() -> None:
    room, card = QRect(0, 0, 400, 300), QRect(0, 0, 250, 90)
    for x in range(0, 400, 7):
        for y in range(0, 300, 7):
            found = beside(QPoint(x, y), card, room)
            assert not found.contains(QPoint(x, y)), (x, y)
            assert room.left() <= found.left()


def test_the_class_of_the_box_drawn_last_stays_for_the_next(window: MainWindow, project: Project) -> None:
    session, said = window.session, window.status.draws
    assert not said.isVisible()
    session.set_draw_class(session.classes[0].id)
    press(window, Qt.Key.Key_B)
    assert said.isVisible() and session.classes[0].code in said.text()
    drag(window, (600, 200), (700, 300))
    press(window, Qt.Key.Key_3)
    third = next(item for item in session.classes if item.key == "3")
    assert rows(window)["class_id"][-1] == third.id
    assert third.code in said.text()
    drag(window, (600, 500), (700, 600))
    assert rows(window)["class_id"][-1] == third.id
    press(window, Qt.Key.Key_V)
    assert not said.isVisible()
    click(window, 330, 140)
    press(window, Qt.Key.Key_5)
    assert session.draw_class_id == third.id, "a finding that was there before says nothing about the next box"
    path = project.path
    session.set_project(None)
    session.set_project(type(project).open(path))
    assert session.draw_class_id == third.id


def test_shift_and_a_digit_give_the_eleventh_class(window: MainWindow, project: Project) -> None:
    eleventh = project.classes.add("DEL", name="Delamination")
    assert eleventh.key == "Shift+1"
    click(window, 330, 140)
    press(window, Qt.Key.Key_1, SHIFT)
    assert rows(window)["class_id"][0] == eleventh.id
    classes = window.navigator.show_panel("classes")
    assert "⇧1" in [row.text(0) for row in classes.rows()]


def test_the_legend_names_what_is_shown_and_is_kept(window: MainWindow, qtbot: QtBot) -> None:
    legend = window.canvas.legend
    legend.set_folded(False)
    if not legend.wanted:
        window.navigator.trigger("view.legend")
    legend.look_up()
    shown = set(rows(window)["class_id"].tolist())
    assert {item.id for item in legend.classes} == shown
    window.session.set_filter(class_ids=frozenset({window.session.classes[0].id}))
    qtbot.waitUntil(lambda: [item.id for item in legend.classes] == [window.session.classes[0].id])
    window.session.set_filter(class_ids=None)
    window.navigator.trigger("view.legend")
    assert not legend.isVisible()
    assert not window.settings.legend
    window.navigator.trigger("view.legend")
    assert legend.isVisible()
    assert not legend.geometry().intersects(window.canvas.overview.geometry())
    QTest.mouseClick(legend.fold_button, LEFT)
    assert not legend.isVisible() and legend.fold_button.isVisible() and window.settings.legend_folded
    window.session.set_filter(class_ids=None)
    legend.look_up()
    assert not legend.isVisible(), "it stays folded when findings change"
    QTest.mouseClick(legend.fold_button, LEFT)
    assert legend.isVisible() and window.settings.legend_folded is False


def test_the_legend_is_folded_on_a_small_canvas_until_the_user_unfolds_it(window: MainWindow, qtbot: QtBot) -> None:
    legend, native = window.canvas.legend, window.canvas.picture.native
    if not legend.wanted:
        window.navigator.trigger("view.legend")
    window.settings.legend_folded = None
    legend.set_folded(None)
    size = legend.sizeHint()
    native.resize(6 * size.width(), 3 * size.height())
    qtbot.waitUntil(legend.isVisible)
    native.resize(2 * size.width(), 2 * size.height())
    qtbot.waitUntil(lambda: not legend.isVisible() and legend.fold_button.isVisible())
    assert window.settings.legend_folded is None, "nobody has chosen"
    QTest.mouseClick(legend.fold_button, LEFT)
    assert legend.isVisible() and window.settings.legend_folded is False
    legend.place()
    assert legend.isVisible(), "it stays as it was chosen"


def drawn(window: MainWindow) -> set[int]:
    """Ids of the boxes whose frames have a size, as they would be drawn with the next frame."""
    window.canvas._on_refresh()
    scene = window.canvas.boxes._scene
    rect = scene.records["a_rect"]
    places = np.flatnonzero(np.arange(len(rect)) >= scene.dots)
    places = places[(rect[places, 2] > rect[places, 0])]
    return set(scene.ids_at(places).tolist())


def test_an_edit_patches_one_frame_and_prepares_nothing_again(window: MainWindow) -> None:
    session, layer = window.session, window.canvas.boxes
    window.canvas._on_refresh()
    scene = layer._scene
    assert drawn(window) == set(rows(window)["id"].tolist())
    made = session.editing.draw(600, 600, 700, 700)
    assert drawn(window) == set(rows(window)["id"].tolist())
    session.editing.move(made, 620, 620, 720, 720)
    window.canvas._on_refresh()
    place = scene.place_of(made)
    y, x = scene.origin
    assert scene.records["a_rect"][place].tolist() == pytest.approx([620 - x, 620 - y, 720 - x, 720 - y])
    session.undoing.undo()
    session.undoing.undo()
    assert made not in drawn(window)
    assert len(drawn(window)) == 8
    session.judging.reject(rows(window)["id"][:1].copy(), "other")
    window.canvas._on_refresh()
    assert layer._scene is scene
    session.set_filter(min_confidence=0.5)
    window.canvas._on_refresh()
    assert layer._scene is not scene
    assert len(drawn(window)) == 5  # what was judged stays visible


def test_a_hundred_thousand_findings_are_prepared_in_the_background(
    window: MainWindow, project: Project, qtbot: QtBot
) -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    y, x = rng.uniform(0, 1150, count), rng.uniform(0, 1550, count)
    slide = project.slides[1].id
    project.boxes.add(slide, make_rows(count, y0=y, x0=x, y1=y + 1, x1=x + 1, class_id=project.classes[0].id))
    window.session.show_slide(slide)
    layer = window.canvas.boxes
    qtbot.waitUntil(lambda: layer._scene is not None and not layer.preparing, timeout=60_000)
    window.canvas.fit_slide()
    qtbot.waitUntil(lambda: layer._scene.serves(window.canvas.view) and not layer._stale, timeout=60_000)
    dots = layer._scene.dots
    assert 1000 < dots < 40_000  # one per occupied cell
    target = project.boxes.table(slide).rows[500]
    window.canvas.set_view(window.canvas.view.fitted(*(corners(target)), margin=20))
    window.canvas._on_refresh()
    assert not layer.preparing  # near by there are few: at once
    assert int(target["id"]) in drawn(window)
    window.session.editing.delete(np.array([target["id"]]))
    assert int(target["id"]) not in drawn(window)
    window.canvas.fit_slide()
    window.session.set_filter(min_confidence=0.0, class_ids=frozenset())
    qtbot.waitUntil(lambda: len(layer._scene.records) == 0, timeout=60_000)
    window.session.set_filter(class_ids=None)
    qtbot.waitUntil(lambda: layer._scene.dots == dots, timeout=60_000)


def test_a_crowd_in_the_corner_of_a_slide_is_prepared_in_the_background(
    window: MainWindow, project: Project, qtbot: QtBot
) -> None:
    count = 60_000
    y, x = np.random.default_rng(1).uniform(0, 40, (2, count))
    slide = project.slides[1].id
    project.boxes.add(slide, make_rows(count, y0=y, x0=x, y1=y + 1, x1=x + 1, class_id=project.classes[0].id))
    window.session.show_slide(slide)
    window.canvas.set_view(window.canvas.view.fitted(0, 0, 40, 40))
    window.canvas._on_refresh()
    layer = window.canvas.boxes
    assert layer._expected(window.canvas.view) < 6000
    assert layer.preparing
    qtbot.waitUntil(lambda: layer._scene is not None and layer._scene.serves(window.canvas.view), timeout=60_000)
    assert not layer.preparing
