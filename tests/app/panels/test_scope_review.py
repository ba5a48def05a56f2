"""Reviewing across slides: order, keys, the end, undo, crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels_support import findings, write_picture
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.panels.review.page import ReviewPane
from microscope_qc.app.panels.table import SLIDE, TableDock
from microscope_qc.app.widgets.crops import MISSING
from microscope_qc.app.widgets.findings_text import as_text
from microscope_qc.core.boxes import ReviewState

pytestmark = pytest.mark.window

KEY = Qt.Key
COUNT = 4


@pytest.fixture
def slides(project: Any, session: Any, tmp_path: Path) -> list[int]:
    """Three slides with four findings each, and a session over all of them."""
    project.slides.add(write_picture(tmp_path / "S3.png", seed=3))
    ids = [slide.id for slide in project.slides]
    project.boxes.delete(project.boxes.table(ids[0]).rows["id"].copy())
    for seed, slide_id in enumerate(ids):
        project.slides.set_pixel_size(slide_id, 0.5)
        project.boxes.add(slide_id, findings(project.classes, count=COUNT, seed=seed), title="Import")
    session.scope.set_kind("all")
    return ids


def shown(qtbot: QtBot, widget: Any) -> Any:
    qtbot.addWidget(widget)
    widget.resize(900, 500)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def gallery(qtbot: QtBot, session: Any, slides: list[int]) -> Any:
    made = shown(qtbot, GalleryDock(session))
    made.header.close_menus = None
    yield made
    made.close_crops()


@pytest.fixture
def page(qtbot: QtBot, session: Any, slides: list[int]) -> Any:
    made = shown(qtbot, ReviewPane(session))
    yield made
    made.close_crops()
    session.findings.close()


def press(qtbot: QtBot, widget: QWidget, key: KEY) -> None:
    qtbot.keyClick(widget, key)


def test_enter_runs_on_from_slide_to_slide_and_ends_on_a_page(qtbot: QtBot, page: Any, session: Any) -> None:
    order = list(session.findings.ids)
    owners = session.scoped.slides_of(np.array(order)).tolist()
    assert len(order) == 3 * COUNT
    assert sum(a != b for a, b in zip(owners, owners[1:], strict=False)) > 2  # worst first goes to and fro
    for number in order:
        assert session.selection.current == number
        assert not page.end.isVisible()
        press(qtbot, page.strip, KEY.Key_Return)
    assert (session.scoped.table.states == ReviewState.CONFIRMED).all()
    assert page.end.isVisible() and not page.picture.isVisible()
    assert f"the last of {3 * COUNT} findings on all 3 slides" in page.end.words.text()
    assert f"{3 * COUNT} judged" in page.end.words.text() and "0 left" in page.end.words.text()
    assert not page.end.left.isVisible()
    press(qtbot, page.strip, KEY.Key_Left)
    assert page.picture.isVisible() and not page.end.isVisible()
    assert session.selection.current == order[-2]


def test_the_canvas_follows_when_the_user_stays(qtbot: QtBot, page: Any, session: Any) -> None:
    first = session.slide.id
    order = session.findings.order_ids()
    owners = session.scoped.slides_of(order)
    there = int(order[owners != first][0])
    switched: list[int] = []
    session.slide_changed.connect(lambda: switched.append(session.slide.id))
    session.navigation.select_and_centre(there)
    assert session.slide.id == first and session.selection.current == there  # the step itself does not wait
    assert page.map._slide().id == owners[order == there][0]
    qtbot.waitUntil(lambda: session.slide.id != first)
    assert session.selection.current == there and session.seen.centred[-1] == there
    assert switched == [int(owners[order == there][0])]


def test_what_is_left_at_the_end_can_be_reviewed(qtbot: QtBot, gallery: Any, session: Any) -> None:
    order = list(session.findings.ids)
    session.selection.set([order[-2]])
    press(qtbot, gallery.view, KEY.Key_Return)
    press(qtbot, gallery.view, KEY.Key_Return)
    assert gallery.end.isVisible()
    assert "2 judged (2 confirmed, 0 rejected), 10 left" in gallery.end.words.text()
    gallery.end.left.click()
    assert session.selection.current == order[0]
    assert not gallery.end.isVisible()


def test_undo_goes_to_the_slide_where_it_undid(qtbot: QtBot, gallery: Any, session: Any, slides: list[int]) -> None:
    there = session.project.boxes.table(slides[2]).rows["id"][:1].copy()
    session.judging.confirm(there)
    session.selection.clear()
    session.undoing.undo()
    assert session.slide.id == slides[2]
    assert session.selection.ids.tolist() == there.tolist()
    everywhere = session.scoped.table.rows["id"].copy()
    session.editing.delete(everywhere)
    assert len(session.selection) == 0 and session.findings.count == 0
    session.undoing.undo()  # of several slides: stays on one of them
    assert session.slide.id == slides[2]
    assert session.selection.ids.tolist() == everywhere.tolist()
    session.undoing.redo()
    assert session.findings.count == 0
    session.undoing.undo()
    assert session.findings.count == 3 * COUNT


def test_one_command_judges_findings_on_several_slides(qtbot: QtBot, gallery: Any, session: Any) -> None:
    ids = session.scoped.table.rows["id"].copy()
    before = len(session.project.history.entries(100))
    session.selection.set(ids)
    press(qtbot, gallery.view, KEY.Key_S)
    assert session.scoped.table.rows["chosen"].all()
    press(qtbot, gallery.view, KEY.Key_1)
    assert len(session.project.history.entries(100)) == before + 2
    session.undoing.undo()
    session.undoing.undo()
    assert not session.scoped.table.rows["chosen"].any()


def test_similar_findings_are_those_of_the_scope(qtbot: QtBot, gallery: Any, session: Any) -> None:
    rows = session.scoped.table.rows
    this = rows[int(np.argmin(rows["confidence"]))].copy()
    session.selection.set([int(this["id"])])
    press(qtbot, gallery.view, KEY.Key_E)
    dialog = gallery.keys.dialog
    like = rows["id"][(rows["class_id"] == this["class_id"]) & (rows["confidence"] >= this["confidence"])]
    assert dialog.ids.tolist() == like.tolist() and len(set(session.scoped.slides_of(like))) == 3
    assert "on all 3 slides" in dialog.rule.text()
    dialog.accept_button.click()
    assert (session.scoped.table.get(like)["state"] == ReviewState.CONFIRMED).all()


def test_crops_are_read_from_the_slide_of_each_finding(
    qtbot: QtBot, gallery: Any, session: Any, slides: list[int]
) -> None:
    from microscope_qc.slides import open_slide

    crops, spec_of = gallery.view.crops, gallery.view.delegate.spec
    for slide_id in slides:
        row = session.project.boxes.table(slide_id).rows[0]
        spec = spec_of(row)
        assert spec.slide_id == slide_id
        qtbot.waitUntil(lambda spec=spec: crops.get(spec) is not None)
        image = crops.get(spec).image
        path = session.project.slides.by_id(slide_id).path
        pixels = open_slide(path).scene(None).read_scaled(spec.region, spec.shape_px)
        assert image.pixelColor(5, 7).getRgb()[:3] == tuple(pixels[7, 5].tolist())
    assert session.slide.id == slides[0]


def test_a_slide_that_is_missing_says_so_in_its_cells(
    qtbot: QtBot, gallery: Any, session: Any, slides: list[int]
) -> None:
    record = session.project.slides.by_id(slides[1])
    moved = record.path.with_name("elsewhere.png")
    record.path.rename(moved)
    session.project.reload()
    spec = gallery.view.delegate.spec(session.project.boxes.table(slides[1]).rows[0])
    assert gallery.view.crops.get(spec).error == MISSING
    gallery.grab()
    session.project.slides.relocate(slides[1], moved)
    qtbot.waitUntil(lambda: getattr(gallery.view.crops.get(spec), "image", None) is not None)


def test_a_slide_that_is_removed_takes_its_findings_along(
    qtbot: QtBot, gallery: Any, session: Any, slides: list[int]
) -> None:
    gone = session.project.boxes.table(slides[1]).rows["id"].copy()
    session.selection.set(gone)
    session.project.slides.remove(slides[1])
    assert len(session.selection) == 0
    assert session.findings.count == 2 * COUNT
    session.project.slides.remove(slides[0])
    session.project.slides.remove(slides[2])
    assert session.findings.count == 0 and session.slide is None
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.empty)
    for _ in range(3):
        session.project.history.undo()
    qtbot.waitUntil(lambda: session.findings.count == 3 * COUNT)


def test_the_filter_stays_when_the_scope_changes(qtbot: QtBot, gallery: Any, session: Any, slides: list[int]) -> None:
    session.set_filter(size_um=(10.0, 1000.0), text="")
    rows = session.scoped.table.rows
    long = np.maximum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"]) * 0.5 >= 10.0
    assert sorted(session.findings.ids) == rows["id"][long].tolist()
    session.project.slides.set_pixel_size(slides[1], None)  # no size is known there
    known = long & (session.scoped.slides() != slides[1])
    assert sorted(session.findings.ids) == rows["id"][known].tolist()
    session.scope.set_kind("slide")
    here = session.scoped.table.rows["id"]
    assert sorted(session.findings.ids) == sorted(set(here.tolist()) & set(rows["id"][long].tolist()))
    assert session.filter.size_um == (10.0, 1000.0)


def test_search_names_slides(session: Any, gallery: Any, slides: list[int]) -> None:
    name = session.project.slides.by_id(slides[2]).name
    session.set_filter(text=name)
    assert set(session.scoped.slides_of(session.findings.order_ids()).tolist()) == {slides[2]}
    number = int(session.project.boxes.table(slides[1]).rows["id"][0])
    session.set_filter(text=f"#{number}")
    assert session.findings.ids == [number]


def test_the_table_lists_the_slide_of_each_finding(qtbot: QtBot, session: Any, slides: list[int]) -> None:
    table = shown(qtbot, TableDock(session))
    assert table.model.rowCount() == 3 * COUNT
    assert not table.view.isColumnHidden(SLIDE)
    table.model.sort(SLIDE, Qt.SortOrder.DescendingOrder)
    names = [table.model.index(row, SLIDE).data() for row in range(3 * COUNT)]
    assert names == sorted(names, reverse=True) and set(names) == {"S1", "S2", "S3"}
    text = as_text(session, session.scoped.table.rows["id"]).splitlines()
    assert text[0].startswith("slide\tnumber") and [line.split("\t")[0] for line in text[1:]].count("S2") == COUNT
    session.scope.set_kind("slide")
    assert table.model.rowCount() == COUNT
    assert table.view.isColumnHidden(SLIDE)


def test_all_switches_say_the_same(qtbot: QtBot, session: Any, gallery: Any, slides: list[int]) -> None:
    table = shown(qtbot, TableDock(session))
    switch, other = gallery.header.scope, table.scope
    assert (switch.currentText(), other.currentText()) == ("All 3 slides",) * 2
    assert not switch.model().item(1).isEnabled()  # nothing is selected in the list of slides
    session.scope.set_chosen(slides[1:])
    assert switch.model().item(1).isEnabled()
    qtbot.keyClick(switch, KEY.Key_Up)
    assert session.scope.kind == "selected" and other.currentText() == "2 selected slides"
    for slide_id in slides[1:]:
        session.project.slides.remove(slide_id)
    assert not switch.isVisible()


@pytest.mark.parametrize(
    ("text", "size_um"),
    [
        ("S2", None), ("s", None), ("{code}", None), ("S3 {code}", None), ("near", None), ("near S1", None),
        ("material", None), ("#{number}", None), ("slide=S2", None), ("confidence<0.5 S", None), ("size_um>12", None),
        ("class=", None), ("", (5.0, 14.0)), ("S1", (5.0, 14.0)), ('"S1"', None),
    ],
)  # fmt: skip
def test_a_filter_over_many_slides_is_that_of_each(
    session: Any, slides: list[int], text: str, size_um: tuple[float, float] | None
) -> None:
    project = session.project
    project.slides.set_pixel_size(slides[1], 0.8)
    project.slides.set_pixel_size(slides[2], None)
    some = [int(project.boxes.table(number).rows["id"][number % COUNT]) for number in slides]
    project.boxes.edit(some[:2], title="Note", note="Near the tab")
    project.attributes.edit(some[1:], {"material": "Al"})
    code = session.classes[1].code
    session.set_filter(text=text.format(code=code, number=some[2]), size_um=size_um)
    expected = [
        number
        for slide_id in slides
        for number in project.boxes.table(slide_id).rows["id"][project.boxes.shown(slide_id)].tolist()
    ]
    assert sorted(session.findings.ids) == sorted(expected)
    project.boxes.edit(some, title="Note", note="")
    for slide_id in slides:  # one changed finding is judged as all are
        shown = session.scoped.shown.mask()[session.scoped.table.rows_of(project.boxes.table(slide_id).rows["id"])]
        assert shown.tolist() == project.boxes.shown(slide_id).tolist()
