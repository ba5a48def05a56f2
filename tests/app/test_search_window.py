"""Going to a finding by its number, and to slides and classes from the command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.dialogs.go_to import GoToDialog
from microscope_qc.app.shell.own_actions import palette_of

if TYPE_CHECKING:
    from microscope_qc.app.shell.main_window import MainWindow


def test_g_and_a_number_lead_to_the_finding(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    session = window.session
    session.show_slide(session.project.slides[1].id)

    def typed(dialog: GoToDialog) -> int:
        dialog.field.setText("#5")
        dialog.accept()
        return dialog.result()

    monkeypatch.setattr(GoToDialog, "exec", typed)
    window.navigator.trigger("view.go_to")
    assert session.slide.id == session.project.slides[0].id and session.selection.ids.tolist() == [5]
    (row,) = session.table.get([5])
    view = window.canvas.view
    assert abs(view.y - (row["y0"] + row["y1"]) / 2) < 1 and abs(view.x - (row["x0"] + row["x1"]) / 2) < 1


def test_the_palette_finds_slides_classes_and_numbers(window: MainWindow) -> None:
    session, palette = window.session, palette_of(window.navigator, window.session)

    def choose(words: str) -> str:
        palette.popup()
        QTest.keyClicks(palette.line, words)
        chosen = palette.items.currentItem().text()
        QTest.keyClick(palette.line, Qt.Key.Key_Return)
        assert not palette.isVisible()
        return chosen

    second = session.project.slides[1]
    assert choose("slide s2") == "Go to slide › S2" and session.slide.id == second.id
    assert choose("#5") == "Go to finding › #5" and session.selection.ids.tolist() == [5]
    item = session.class_of(int(session.table.get([5])[0]["class_id"]))
    assert choose(f"only {item.code}").startswith(f"Show only class › {item.code}")
    assert session.filter.class_ids == frozenset({item.id})
    notices: list[str] = []
    session.notice.connect(notices.append)
    assert choose("#99") == "Go to finding › #99"
    assert "There is no finding #99." in notices[-1]
    session.clear_filter()
    palette.popup()
    offered = [palette.items.item(row).text() for row in range(palette.items.count())]
    assert offered and not any(text.startswith(("Go to slide ›", "Show only class")) for text in offered)
    palette.hide()
