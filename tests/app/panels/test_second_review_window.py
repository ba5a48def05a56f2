"""The second review in the window: no first verdict is shown, keys judge, and differences go to the gallery."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes.util import find_library
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QGuiApplication, QKeyEvent, QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from microscope_qc.app.commands.review import ACTIONS
from microscope_qc.app.dialogs.second_review import SecondReviewDialog
from microscope_qc.core.boxes import ReviewState
from microscope_qc.workflows.review import second_review
from microscope_qc.workflows.review.second_review import SecondVerdict, second_reviews

pytestmark = pytest.mark.window

LEFT, KEY = Qt.MouseButton.LeftButton, Qt.Key


@pytest.fixture
def judged(session: Any) -> np.ndarray:
    """Six findings of the slide were judged: four confirmed, two rejected."""
    ids = session.table.rows["id"][:6].copy()
    session.project.boxes.edit(ids[:4], state=ReviewState.CONFIRMED)
    session.project.boxes.edit(ids[4:], state=ReviewState.REJECTED, reason="false positive")
    return ids


@pytest.fixture
def dialog(session: Any, judged: np.ndarray, qtbot: Any) -> Iterator[SecondReviewDialog]:
    made = SecondReviewDialog(session)
    qtbot.addWidget(made)
    show(made)
    yield made
    made.close()


def show(dialog: SecondReviewDialog) -> None:
    """Show a dialog and make it the active window, which alone gets shortcuts; no window manager does that here."""
    dialog.show()
    QApplication.setActiveWindow(dialog)


def begin(dialog: SecondReviewDialog) -> None:
    dialog.user.setText("B")
    QTest.mouseClick(dialog.begin, LEFT)


def key_of(session: Any, code: str) -> Any:
    key = next(defect.key for defect in session.project.classes if defect.code == code)
    return getattr(KEY, f"Key_{key}")


def test_keys_judge_again_and_the_project_stays_as_it_is(
    dialog: SecondReviewDialog, session: Any, judged: np.ndarray
) -> None:
    assert dialog.count.maximum() == 6
    begin(dialog)
    known = dialog.known
    assert known is not None and known.user == "B" and dialog.pages.currentIndex() == 1
    first = known.findings.tolist()[0]
    code = session.project.classes[1].code
    QTest.keyClick(dialog, key_of(session, code))
    assert dialog.place == 1 and dialog.known.second[first] == SecondVerdict(True, session.project.classes[1].id)
    QTest.keyClick(dialog, KEY.Key_D)
    second = dialog.known.findings.tolist()[1]
    assert dialog.known.second[second] == SecondVerdict(False, 0, "duplicate")
    QTest.keyClick(dialog, KEY.Key_Left)
    assert dialog.place == 1 and dialog.buttons[SecondVerdict(False, 0, "duplicate")].isDown()
    QTest.keyClick(dialog, KEY.Key_F)
    assert dialog.known.second[second].reason == "false positive"
    states = session.project.boxes.table(session.slide.id).get(judged)["state"]
    assert states.tolist() == [1] * 4 + [2] * 2
    assert session.project.history.undo_title == "Keep the second review “1”"


def press_for_real(dialog: SecondReviewDialog, *keysyms: bytes) -> None:
    """Press keys together on the keyboard of the X server, so that what the layout types arrives."""
    x11, tst = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XStringToKeysym.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    try:
        codes = [x11.XKeysymToKeycode(display, ctypes.c_ulong(x11.XStringToKeysym(name))) for name in keysyms]
        for code, is_press in [*((code, 1) for code in codes), *((code, 0) for code in reversed(codes))]:
            tst.XTestFakeKeyEvent(display, code, is_press, ctypes.c_ulong(0))
        x11.XSync(display, 0)
    finally:
        x11.XCloseDisplay(display)


def test_shift_and_a_digit_judge_with_what_the_layout_types(session: Any, judged: np.ndarray, qtbot: Any) -> None:
    if QGuiApplication.platformName() != "xcb" or find_library("Xtst") is None:
        pytest.skip("no keyboard of an X server")
    defect = session.project.classes.edit(session.project.classes[1].id, key="Shift+1")
    dialog = SecondReviewDialog(session)
    qtbot.addWidget(dialog)
    show(dialog)
    begin(dialog)
    dialog.activateWindow()
    qtbot.waitExposed(dialog)
    qtbot.waitUntil(lambda: QGuiApplication.focusWindow() is dialog.windowHandle())
    first = dialog.known.findings.tolist()[0]
    press_for_real(dialog, b"Shift_L", b"1")
    qtbot.waitUntil(lambda: dialog.place == 1)
    assert dialog.known.second == {first: SecondVerdict(True, defect.id)}
    dialog.close()


def test_a_held_key_judges_one_finding(dialog: SecondReviewDialog) -> None:
    begin(dialog)
    QTest.keyClick(dialog, KEY.Key_F)
    assert dialog.place == 1
    for _ in range(6):
        held = QKeyEvent(QEvent.Type.KeyPress, KEY.Key_F, Qt.KeyboardModifier.NoModifier, "f", True)
        QApplication.sendEvent(dialog, held)
    assert dialog.place == 1 and len(dialog.known.second) == 1 and dialog.pages.currentIndex() == 1
    keys = dialog.findChildren(QShortcut)
    assert len(keys) >= len(dialog.buttons) - 1 and not any(key.autoRepeat() for key in keys)


def test_the_command_leaves_no_dialog_behind(session: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = []

    def exec_(dialog: SecondReviewDialog) -> int:
        dialog.destroyed.connect(lambda: gone.append(True))
        return 0

    monkeypatch.setattr(SecondReviewDialog, "exec", exec_)
    window = QWidget()
    qtbot.addWidget(window)
    action = next(one for one in ACTIONS if one.id == "review.again")
    action.run(SimpleNamespace(session=session, navigator=SimpleNamespace(window=window)))
    qtbot.waitUntil(lambda: gone == [True])


def test_nothing_in_it_tells_the_first_verdict(dialog: SecondReviewDialog, session: Any) -> None:
    begin(dialog)
    seen = []
    for number in dialog.known.findings.tolist():
        dialog.crop.resize(400, 300)
        words = " ".join(label.text() for label in dialog.findChildren(QLabel) if label.isVisible())
        assert not any(word in words for word in ("confirmed", "rejected", "unreviewed")), words
        assert not any(button.isDown() for button in dialog.buttons.values())
        seen.append(dialog.known.first[number].is_defect)
        dialog._go(dialog.place + 1)
    assert set(seen) == {True, False}


def test_it_goes_on_where_it_was_left_and_shows_the_differences(
    dialog: SecondReviewDialog, session: Any, judged: np.ndarray, qtbot: Any
) -> None:
    begin(dialog)
    QTest.keyClick(dialog, KEY.Key_F)
    dialog.close()
    again = SecondReviewDialog(session)
    qtbot.addWidget(again)
    show(again)
    assert again.pages.currentIndex() == 1 and len(again.known.second) == 1 and again.place == 1
    for _ in range(5):
        QTest.keyClick(again, KEY.Key_F)
    assert again.pages.currentIndex() == 2 and not second_reviews(session.project)[0].is_open
    assert "6 findings judged again" in again.words.text() and "agreement on what is a defect: 0" in again.words.text()
    QTest.mouseClick(again.show_different, LEFT)
    assert sorted(session.scoped.shown.rows()["id"].tolist()) == sorted(judged[:4].tolist())
    session.clear_filter()


def test_without_judged_findings_it_says_so(session: Any, qtbot: Any) -> None:
    rows = session.table.rows
    session.project.boxes.edit(rows["id"].copy(), state=ReviewState.UNREVIEWED, reason="")
    made = SecondReviewDialog(session)
    qtbot.addWidget(made)
    assert not made.begin.isEnabled() and made.why_not.text() == second_review.NO_JUDGED
    made.close()
