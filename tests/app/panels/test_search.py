"""The search field of the gallery, and the page that says why nothing is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels_support import findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.canvas.view import View
from microscope_qc.app.dialogs.go_to import GoToDialog, parse_number, parse_position
from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.panels.table import CONFIDENCE, NUMBER, TableDock
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.project.runs.plan import RunPlan

LEFT = Qt.MouseButton.LeftButton
HORIZONTAL, ALIGNMENT = Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole


@pytest.fixture
def gallery(session: Any, qtbot: Any) -> Iterator[GalleryDock]:
    """The gallery, on screen."""
    made = GalleryDock(session)
    qtbot.addWidget(made)
    made.resize(1200, 400)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.close_crops()


def says(qtbot: Any, gallery: GalleryDock, words: str) -> None:
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.empty)
    qtbot.waitUntil(lambda: words in gallery.empty.text.text())


def count_of(session: Any, code: str) -> int:
    (number,) = (item.id for item in session.classes if item.code == code)
    return int(np.count_nonzero(session.table.rows["class_id"] == number))


def test_only_what_hides_the_findings_of_a_search_is_lifted(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    code = session.class_of(int(session.table.rows["class_id"][0])).code
    count = count_of(session, code)
    session.set_filter(states=frozenset({ReviewState.CONFIRMED}), only_chosen=False)
    gallery.header.search.setText(f"class={code}")
    says(qtbot, gallery, f"{count} findings fit “class={code}”, but the choice of states hides them.")
    QTest.mouseClick(gallery.empty.button, LEFT)
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.view)
    assert session.filter.text == f"class={code}" and session.filter.states is None
    assert len(gallery.model.ids) == count


def test_the_limit_is_lifted_as_a_step_of_undo_and_not_in_a_project_that_is_read(
    qtbot: Any, gallery: GalleryDock, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.set_confidence_limit(0.99)
    gallery.header.search.setText("#3")
    says(qtbot, gallery, "1 finding fits “#3”, but the confidence limit 0.99 hides it.")
    assert gallery.empty.button.text() == "Show it"
    monkeypatch.setattr(type(session), "why_not_write", lambda self: "Read only: someone is writing to it.")
    gallery.empty.refresh()
    qtbot.waitUntil(lambda: not gallery.empty.button.isEnabled())
    assert "Read only" in gallery.empty.button.toolTip()
    monkeypatch.undo()
    gallery.empty.refresh()
    qtbot.waitUntil(gallery.empty.button.isEnabled)
    QTest.mouseClick(gallery.empty.button, LEFT)
    assert session.shown_rows()["id"].tolist() == [3]
    session.undoing.undo()
    assert session.inclusion.confidence_limit == 0.99


def test_a_detection_that_is_switched_off_is_switched_on(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    project = session.project
    session.show_slide(project.slides[1].id)
    run = project.runs.start(session.slide.id, RunPlan(model="models/tiny"))
    project.runs.add_findings(run.id, findings(project.classes, count=3, seed=5, run_id=run.id))
    project.runs.show(run.id, False)
    says(qtbot, gallery, "All 3 findings are hidden: a detection that is switched off hides them.")
    QTest.mouseClick(gallery.empty.button, LEFT)
    assert len(session.shown_rows()) == 3


def test_findings_on_other_slides_are_counted_and_a_click_goes_there(
    qtbot: Any, gallery: GalleryDock, session: Any
) -> None:
    first, second = session.project.slides
    session.show_slide(second.id)
    gallery.header.search.setText("#3")
    says(qtbot, gallery, "There are no findings on this slide yet. On S1, 1 finding fits “#3”.")
    assert gallery.empty.button.text() == "Go to S1"
    QTest.mouseClick(gallery.empty.button, LEFT)
    assert session.slide.id == first.id and session.shown_rows()["id"].tolist() == [3]
    gallery.header.search.setText("<b>nowhere</b>")
    says(qtbot, gallery, "Nothing is shown: the search cannot be read.")
    assert gallery.header.fault.isVisible()
    assert "The search cannot be read at character 1" in gallery.header.fault.text()
    QTest.mouseClick(gallery.empty.button, LEFT)
    assert session.filter.text == gallery.header.search.text() == "" and not gallery.header.fault.isVisible()
    gallery.header.search.setText("nowhere")
    says(qtbot, gallery, "None of the 12 findings on this slide fits “nowhere”.")


def test_a_number_leads_to_its_finding_also_on_another_slide_and_when_it_is_hidden(session: Any) -> None:
    first, second = session.project.slides
    session.show_slide(second.id)
    session.navigation.go_to_number(3)
    assert session.slide.id == first.id and session.selection.ids.tolist() == [3]
    assert session.seen.centred == [3] and session.seen.notices == []
    session.set_confidence_limit(0.99)
    session.set_filter(text="nowhere", only_chosen=True)
    session.navigation.go_to_number(4)
    assert session.selection.ids.tolist() == [4] and session.seen.centred == [3, 4]
    assert session.seen.notices == [
        "#4 is selected, but not in the lists: the search “nowhere”, the confidence limit 0.99 and “chosen” (for the "
        "SEM) hide it."
    ]


def test_a_number_that_leads_nowhere_says_so(session: Any) -> None:
    session.editing.delete(np.array([5]))
    for number, words in ((5, "#5 is gone: it was deleted"), (13, "highest number so far is #12"), (0, "no finding")):
        with pytest.raises(InputError, match=words):
            session.navigation.go_to_number(number)
    assert session.seen.centred == []
    session.undoing.undo()
    session.navigation.go_to_number(5)
    assert session.selection.ids.tolist() == [5]


@pytest.mark.parametrize(
    ("text", "number"),
    [("460", 460), ("#460", 460), (" # 460 ", 460), ("12\u202f044", 12044), ("#12 044", 12044), ("12 044", None),
     ("12, 44", None), ("#", None), ("-3", None), ("4.5", None), ("460 px", None), ("9" * 19, None)],
)  # fmt: skip
def test_one_number_is_a_finding_and_two_are_a_position(text: str, number: int | None) -> None:
    assert parse_number(text) == number


@given(st.text(alphabet="#0123456789 ,.;xy\u202f") | st.text())
def test_no_text_is_both_a_finding_and_a_position(text: str) -> None:
    assert parse_number(text) is None or parse_position(text) is None


def test_the_dialog_goes_to_a_finding(session: Any, qtbot: Any) -> None:
    dialog = GoToDialog(session, View(300.0, 400.0, 1.0, 800, 600), AppSettings())
    qtbot.addWidget(dialog)
    dialog.field.clear()
    QTest.keyClicks(dialog.field, "#3")
    assert dialog.words.text() == "Finding #3 on S1" and dialog.number == 3 and dialog.go.isEnabled()
    assert not dialog.unit.isEnabled()
    QTest.keyClicks(dialog.field, "9")
    assert "There is no finding #39." in dialog.words.text() and not dialog.go.isEnabled() and dialog.number is None
    dialog.accept()
    assert dialog.result() == 0
    dialog.field.setText("20, 30")
    assert dialog.number is None and dialog.unit.isEnabled() and dialog.go.isEnabled()


def popup_of(gallery: GalleryDock) -> Any:
    return gallery.header.search.suggestions.popup()


def test_a_class_is_chosen_from_what_is_offered_by_keys(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    field = gallery.header.search
    code = session.class_of(int(session.table.rows["class_id"][0])).code
    field.setFocus()
    QTest.keyClicks(field, "clas")
    qtbot.waitUntil(lambda: popup_of(gallery).isVisible())
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Return):
        QTest.keyClick(popup_of(gallery), key)
    assert field.text() == "class="
    qtbot.waitUntil(lambda: popup_of(gallery).isVisible())
    QTest.keyClicks(popup_of(gallery), code[:2].lower())
    place = next(row for row in range(field.offers.rowCount()) if field.offers.item(row).text().split("   ")[0] == code)
    for _ in range(place + 1):
        QTest.keyClick(popup_of(gallery), Qt.Key.Key_Down)
    QTest.keyClick(popup_of(gallery), Qt.Key.Key_Return)
    assert field.text() == f"class={code}" == session.filter.text
    assert len(session.shown_rows()) == count_of(session, code)


def test_typing_is_searched_for_after_a_pause_and_at_return(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    field = gallery.header.search
    field.setFocus()
    QTest.keyClicks(field, "#1")
    assert field.pending and session.filter.text == ""
    session.set_filter(only_chosen=True)  # what is typed is not lost when the filter changes meanwhile
    session.set_filter(only_chosen=False)
    assert field.text() == "#1"
    qtbot.waitUntil(lambda: session.filter.text == "#1")
    QTest.keyClicks(field, "2 ")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert session.filter.text == "#12" and session.shown_rows()["id"].tolist() == [12]
    assert field.text() == "#12 ", "a space at the end stays, or no second word could be typed"


def test_a_mistake_is_said_under_the_field(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    field, fault = gallery.header.search, gallery.header.fault
    field.setFocus()
    QTest.keyClicks(field, "confidence<5")
    assert not fault.isVisible(), "it is not complete yet"
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert fault.isVisible() and "confidence cannot be 5. It is 0 to 1." in fault.text()
    QTest.keyClick(field, Qt.Key.Key_Backspace)
    QTest.keyClicks(field, "0.5")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert not fault.isVisible() and 0 < len(session.shown_rows()) < 12


def test_f1_explains_the_search(qtbot: Any, gallery: GalleryDock) -> None:
    field = gallery.header.search
    field.setFocus()
    QTest.keyClick(field, Qt.Key.Key_F1)
    qtbot.waitUntil(field.help.isVisible)
    assert "#460" in field.help.words.text() and "confidence of the model" in field.help.words.text()
    QTest.keyClick(field.help, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not field.help.isVisible())


def test_the_table_says_why_it_is_empty_and_its_arrow_does_not_cover_the_title(qtbot: Any, session: Any) -> None:
    table = TableDock(session)
    qtbot.addWidget(table)
    with qtbot.waitExposed(table):
        table.show()
    title = [table.model.headerData(place, HORIZONTAL, ALIGNMENT) for place in (NUMBER, CONFIDENCE)]
    assert title[0] & Qt.AlignmentFlag.AlignLeft and title[1] & Qt.AlignmentFlag.AlignRight, "the arrow is at the right"
    table.view.sortByColumn(CONFIDENCE, Qt.SortOrder.AscendingOrder)
    assert table.model.headerData(NUMBER, HORIZONTAL, ALIGNMENT) & Qt.AlignmentFlag.AlignRight
    session.set_filter(text="#3", only_chosen=True)
    qtbot.waitUntil(lambda: "1 finding fits “#3”, but “chosen”" in table.empty.text.text())
    assert table.pages.currentWidget() is table.empty
    QTest.mouseClick(table.empty.button, LEFT)
    qtbot.waitUntil(lambda: table.pages.currentWidget() is table.view)
    assert table.model.ids.tolist() == [3]
    session.set_filter(text="class=QQQ")
    qtbot.waitUntil(lambda: "there is no class QQQ" in table.empty.text.text())
