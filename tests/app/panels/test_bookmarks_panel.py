"""Bookmarks in their panel, and positions as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.canvas.view import View
from microscope_qc.app.dialogs.go_to import GoToDialog, parse_position
from microscope_qc.project.parts.bookmarks import Bookmark

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dock(session: Any, qtbot: Any) -> Any:
    """The panel, shown, with two bookmarks."""
    from microscope_qc.app.panels.bookmarks import BookmarksDock

    for name in ("Pore", "Crack"):
        session.slide_view.add_bookmark(Bookmark(name, 100.0, 200.0, 0.5))
    made = BookmarksDock(session)
    made.resize(236, 300)
    qtbot.addWidget(made)
    made.show()
    return made


def names(dock: Any) -> list[str]:
    """What the list says."""
    return [dock.items.item(place).text() for place in range(dock.items.count())]


def test_a_click_goes_there(dock: Any, qtbot: Any) -> None:
    place = dock.items.visualItemRect(dock.items.item(1)).center()
    with qtbot.waitSignal(dock.chosen) as caught:
        QTest.mouseClick(dock.items.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, place)
    assert caught.args == [Bookmark("Crack", 100.0, 200.0, 0.5)]
    assert dock.words_of(caught.args[0]).startswith("x 100, y 50.0 µm, 50 %")


def test_renamed_deleted_and_put_back(dock: Any, session: Any, qtbot: Any) -> None:
    dock.items.setCurrentRow(0)
    QTest.mouseClick(dock.rename, LEFT)
    editor = dock.items.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "Big pore")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: [b.name for b in session.slide_view.bookmarks] == ["Big pore", "Crack"])
    dock.items.item(0).setText("  ")
    assert names(dock) == ["Big pore", "Crack"]
    dock.items.setCurrentRow(0)
    QTest.keyClick(dock.items, Qt.Key.Key_Delete)
    assert names(dock) == ["Crack"]
    assert dock.put_back.isVisible()
    QTest.mouseClick(dock.put_back, LEFT)
    assert names(dock) == ["Big pore", "Crack"]
    assert not dock.put_back.isVisible()


def test_another_slide_has_its_own(dock: Any, session: Any, qtbot: Any) -> None:
    session.show_slide(session.project.slides[1].id)
    assert dock.empty.isVisible()
    with qtbot.waitSignal(dock.add_requested):
        QTest.mouseClick(dock.empty.button, LEFT)
    session.show_slide(session.project.slides[0].id)
    assert names(dock) == ["Pore", "Crack"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.5, 33", (12.5, 33, "")),
        ("12.5 33", (12.5, 33, "")),
        ("12,33", (12, 33, "")),
        ("12,5 33,25", (12.5, 33.25, "")),
        ("12,5; 33", (12.5, 33, "")),
        ("12,5, 33,1", (12.5, 33.1, "")),
        ("12,5,33,1", (12.5, 33.1, "")),
        ("100\t200", (100, 200, "")),
        ("(100, -200)", (100, -200, "")),
        ("x 8\u2009310  y 12\u2009044 px", (8310, 12044, "px")),
        ("x 8 310, y 12 044 px", (8310, 12044, "px")),
        ("X: 1.5 Y: 2", (1.5, 2, "")),
        ("2\u202f493.0, 3\u202f612.1 µm", (2493.0, 3612.1, "um")),
        ("1.234 mm, 5.678 mm", (1.234, 5.678, "mm")),
        ("1 mm, 5 px", None),
        ("12", None),
        ("8 310 12 044", None),
        ("here", None),
        ("1e999, 3", None),
        ("nan, inf", None),
        ("", None),
    ],
)
def test_positions_as_users_write_them(text: str, expected: tuple | None) -> None:
    assert parse_position(text) == (None if expected is None else pytest.approx(expected))


@given(st.text(max_size=40))
def test_any_text_is_a_position_or_none(text: str) -> None:
    parsed = parse_position(text)
    assert parsed is None or all(np.isfinite(parsed[:2]))


def test_the_unit_is_remembered_and_the_place_kept(session: Any, qtbot: Any) -> None:
    settings = AppSettings()
    dialog = GoToDialog(session, View(300.0, 400.0, 1.0, 800, 600), settings)
    qtbot.addWidget(dialog)
    assert dialog.field.text() == "200.0, 150.0"
    dialog.unit.setCurrentIndex(dialog.unit.findData("px"))
    assert dialog.field.text() == "400, 300"
    dialog.field.clear()
    QTest.keyClicks(dialog.field, "20, 30 um")
    assert dialog.unit.currentData() == "um"
    assert dialog.place_px() == (60.0, 40.0)
    dialog.accept()
    assert settings.position_unit == "um"
    dialog.field.setText("1e6")
    assert not dialog.go.isEnabled()
    dialog.field.setText("99999, 3")
    assert "outside" in dialog.words.text()
    dialog.field.setText("1 mm, 2 mm")
    assert "not known on this slide" in dialog.words.text()
    dialog.accept()  # nothing to go to: stays open, raises nothing


def test_stage_positions_go_to_the_slide(session: Any, qtbot: Any) -> None:
    from microscope_qc.correlation.registration import fit

    marks = np.array([[100.0, 100.0], [100.0, 1500.0], [1100.0, 800.0]])
    stage = np.stack([marks[:, 1] * 0.5e-3 + 20, 60 - marks[:, 0] * 0.5e-3], axis=1)
    made = fit(marks, stage, pixel_size_um=(0.5, 0.5))
    session.project.registrations.save(session.slide.id, "R1", made.to_dict())
    dialog = GoToDialog(session, View(300.0, 400.0, 1.0, 800, 600), AppSettings(position_unit="stage:R1"))
    qtbot.addWidget(dialog)
    assert dialog.unit.currentData() == "stage:R1"
    assert dialog.place_px() == (300.0, 400.0)
    dialog.field.setText("20.4, 59.7")
    assert dialog.place_px() == pytest.approx((600, 800), abs=0.5)
