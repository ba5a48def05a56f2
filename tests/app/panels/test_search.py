"""The search field of the gallery, and the page that says why nothing is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from panels_support import findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project.runs.plan import RunPlan

LEFT = Qt.MouseButton.LeftButton


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
    assert not gallery.empty.button.isEnabled() and "Read only" in gallery.empty.button.toolTip()
    monkeypatch.undo()
    gallery.empty.refresh()
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
    says(qtbot, gallery, "The search cannot be read at character 1")
    QTest.mouseClick(gallery.empty.button, LEFT)
    assert session.filter.text == gallery.header.search.text() == ""
    gallery.header.search.setText("nowhere")
    says(qtbot, gallery, "None of the 12 findings on this slide fits “nowhere”.")
