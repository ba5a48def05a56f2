"""Filters act on every view, say so, and are kept by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels_support import findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMenu

from microscope_qc.app.panels.gallery.filter import FilterButton, FilterHint, SavedFilters
from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.panels.table import TableDock
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project.runs.plan import RunPlan

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def button(session: Any, qtbot: Any) -> FilterButton:
    """The button with its panel, as if it were open."""
    made = FilterButton(session)
    qtbot.addWidget(made)
    made.panel.refresh()
    return made


def type_into(spin: Any, text: str) -> None:
    """Type a number and press Return."""
    spin.selectAll()
    QTest.keyClicks(spin, text)
    QTest.keyClick(spin, Qt.Key.Key_Return)


def longest_um(session: Any) -> np.ndarray:
    """Longer sides of all findings."""
    rows = session.table.rows
    return np.maximum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"]) * 0.5


def test_a_range_of_sizes_is_taken_and_said(button: FilterButton, session: Any) -> None:
    sizes = longest_um(session)
    type_into(button.panel.size_range.low, "15")
    type_into(button.panel.size_range.high, "25")
    assert session.filter.size_um == (15.0, 25.0)
    wanted = session.table.rows["id"][(sizes >= 15) & (sizes <= 25)]
    assert session.shown_rows()["id"].tolist() == wanted.tolist()
    assert 0 < len(wanted) < 12
    button.refresh()
    assert button.text().strip() == "15–25 µm"
    type_into(button.panel.size_range.low, "0")
    button.panel.size_range.high.setValue(button.panel.size_range.high.maximum())
    assert session.filter.size_um is None


def test_a_range_upside_down_is_not_taken(button: FilterButton, session: Any) -> None:
    type_into(button.panel.confidence.high, "0.4")
    assert session.filter.max_confidence == 0.4
    type_into(button.panel.confidence.low, "0.6")
    assert session.filter.min_confidence == 0.0
    assert not button.panel.fault.isHidden()


def test_sizes_need_a_pixel_size(button: FilterButton, session: Any, project: Any) -> None:
    project.slides.set_pixel_size(session.slide.id, None)
    button.panel.refresh()
    assert not button.panel.size_range.isEnabled()
    assert "pixel size" in button.panel.size_range.toolTip()


def test_finders_are_ticked(button: FilterButton, session: Any, project: Any, tmp_path: Path) -> None:
    run = project.runs.start(session.slide.id, RunPlan(model="models/tiny"))
    project.runs.add_findings(run.id, findings(project.classes, count=3, seed=5, run_id=run.id))
    button.panel.refresh()
    boxes = button.panel.finders
    assert "tiny" in boxes[run.id].text() and "(3)" in boxes[run.id].text()
    boxes[0].click()
    assert session.filter.found_by == frozenset({run.id})
    assert len(session.shown_rows()) == 3
    boxes[run.id].click()
    assert session.filter.found_by is None  # nothing checked means all
    assert boxes[0].isChecked() and boxes[run.id].isChecked()


def test_what_models_say_otherwise_and_found_again_is_filtered(
    button: FilterButton, session: Any, project: Any
) -> None:
    slide = session.slide.id
    first, second = (project.runs.start(slide, RunPlan(model="models/tiny")) for _ in range(2))
    rows = findings(project.classes, count=6, seed=5)
    ids = project.runs.add_findings(first.id, rows)
    project.boxes.edit([ids[0]], state=ReviewState.REJECTED)
    project.boxes.delete([ids[1]])
    rows["class_id"][2] = project.classes[5].id
    assert project.runs.add_findings(second.id, rows).tolist() == ids.tolist()
    button.panel.refresh()
    assert "(1)" in button.panel.disputed.text() and "(2)" in button.panel.again.text()
    assert "(6)" in button.panel.finders[first.id].text() and "(6)" in button.panel.finders[second.id].text()
    button.panel.disputed.click()
    button.refresh()
    assert session.shown_rows()["id"].tolist() == [ids[2]] and "models disagree" in button.text()
    button.panel.disputed.click()
    button.panel.again.click()
    assert session.shown_rows()["id"].tolist() == [ids[0], ids[1]]
    session.judging.confirm(ids[:2])
    assert len(session.shown_rows()) == 0, "taken back"
    session.clear_filter()
    assert project.boxes.table(slide).get(ids[:2])["state"].tolist() == [1, 1]
    session.set_filter(found_by=frozenset({second.id}))
    assert session.shown_rows()["id"].tolist() == ids.tolist(), "whichever opinion leads"


def test_a_list_of_any_length_is_shown_and_lifted(button: FilterButton, session: Any, project: Any) -> None:
    ids = session.shown_rows()["id"]
    session.set_filter(numbers=frozenset({*ids[:3].tolist(), *range(10_000, 60_000)}))
    assert session.shown_rows()["id"].tolist() == ids[:3].tolist()
    button.refresh()
    button.panel.refresh()
    assert "list" in button.text() and not button.panel.listed.isHidden() and button.panel.listed.isChecked()
    assert button.panel.listed.text() == "of a list  (50\u202f003)"
    button.panel.listed.click()
    button.panel.refresh()
    assert len(session.shown_rows()) == len(ids) and button.panel.listed.isHidden()


def action(menu: QMenu, words: str) -> Any:
    """The line of a menu."""
    return next(line for line in menu.actions() if words in line.text())


def test_filters_are_saved_applied_and_deleted(session: Any, qtbot: Any) -> None:
    saved = SavedFilters(session, ask_name=lambda _parent, _offered: "large & sure")
    qtbot.addWidget(saved)
    saved.fill()
    assert not action(saved.menu(), "No filter").isEnabled()
    session.set_filter(min_confidence=0.5, text="a")
    action(saved.menu(), "Save").trigger()
    session.clear_filter()
    assert not session.filter_active
    saved.fill()
    line = action(saved.menu(), "large && sure")
    assert not line.isChecked()
    line.trigger()
    assert (session.filter.min_confidence, session.filter.text) == (0.5, "a")
    saved.fill()
    assert action(saved.menu(), "large && sure").isChecked()
    action(action(saved.menu(), "Delete").menu(), "large").trigger()
    assert session.project.filters.saved == {}
    saved.fill()
    action(saved.menu(), "Show all").trigger()
    assert not session.filter_active


def test_the_hint_says_how_many_are_shown_and_shows_all(session: Any, qtbot: Any) -> None:
    hint = FilterHint(session)
    qtbot.addWidget(hint)
    assert hint.isHidden()
    session.set_filter(min_confidence=0.5)
    shown = len(session.shown_rows())
    assert not hint.isHidden() and f"{shown} of 12" in hint.words.text()
    session.editing.delete(session.shown_rows()["id"][:1])
    qtbot.waitUntil(lambda: f"{shown - 1} of 11" in hint.words.text())
    QTest.mouseClick(hint.clear, LEFT)
    assert hint.isHidden() and len(session.shown_rows()) == 11


def test_gallery_and_table_follow_the_same_filter(session: Any, qtbot: Any) -> None:
    gallery, table = GalleryDock(session), TableDock(session)
    for dock in (gallery, table):
        qtbot.addWidget(dock)
        dock.resize(1366, 240)
        dock.show()
    median = float(np.median(longest_um(session)))
    session.set_filter(size_um=(0.0, median))
    wanted = set(session.shown_rows()["id"].tolist())
    assert len(wanted) == 6
    qtbot.waitUntil(lambda: table.model.rowCount() == 6)
    assert set(table.model.ids.tolist()) == set(gallery.model.ids) == wanted
    QTest.mouseClick(table.show_all, LEFT)
    assert len(gallery.model.ids) == 12
    gallery.close_crops()


def test_the_table_counts_only_findings_above_the_confidence_limit(session: Any, qtbot: Any) -> None:
    table = TableDock(session)
    qtbot.addWidget(table)
    table.resize(1366, 240)
    table.show()
    confidence = np.sort(session.table.rows["confidence"])
    session.set_confidence_limit(float(confidence[4:6].mean()))
    qtbot.waitUntil(lambda: table.model.rowCount() == 7)
    assert table._counts.text() == "7 findings", "those below the limit are not hidden by the filter"
    wide = float(np.sort(longest_um(session))[-1])
    session.set_filter(size_um=(0.0, wide - 1e-3))
    shown = len(session.shown_rows())
    assert 0 < shown < 7
    qtbot.waitUntil(lambda: table.model.rowCount() == shown)
    assert table._counts.text() == f"{shown} of 7 findings pass the filter"
