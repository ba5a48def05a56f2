"""Review by keyboard: the project changes, one undo step per key, and nothing jumps."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from panels_support import findings
from qtpy.QtCore import QEvent, QItemSelectionModel, QObject, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.widgets.crop_list import AT_A_TIME
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project.runs.plan import RunPlan

pytestmark = pytest.mark.window
KEY = Qt.Key


@pytest.fixture
def gallery(qtbot: Any, session: Any) -> Any:
    dock = GalleryDock(session)
    qtbot.addWidget(dock)
    dock.resize(1200, 320)
    with qtbot.waitExposed(dock):
        dock.show()
    yield dock
    dock.close_crops()


def press(gallery: GalleryDock, *keys: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    for key in keys:
        QTest.keyClick(gallery.view, key, modifier)


def states(session: Any, ids: list[int]) -> list[int]:
    return session.table.get(ids)["state"].tolist()


def titles(project: Any) -> list[str]:
    return [entry.title for entry in project.history.entries(50) if not entry.undone]


def test_a_review_by_keyboard_is_in_the_project_one_undo_step_per_key(
    gallery: GalleryDock, session: Any, project: Any
) -> None:
    ids = list(gallery.model.ids)
    before = len(titles(project))
    press(gallery, KEY.Key_Right)
    assert session.selection.current == ids[0]
    press(gallery, KEY.Key_Return, KEY.Key_Y, KEY.Key_Enter)
    press(gallery, KEY.Key_N, KEY.Key_D, KEY.Key_N, KEY.Key_F)
    press(gallery, KEY.Key_3)
    press(gallery, KEY.Key_S)
    rows = session.table.get(ids)
    confirmed, rejected = int(ReviewState.CONFIRMED), int(ReviewState.REJECTED)
    assert rows["state"].tolist()[:6] == [confirmed] * 3 + [rejected] * 2 + [0]
    assert rows["reason"].tolist()[3:5] == ["duplicate", "false positive"]
    assert session.class_of(int(rows["class_id"][5])).key == "3"
    assert bool(rows["chosen"][5])
    assert session.selection.current == ids[5]
    assert len(titles(project)) - before == 7
    for _ in range(7):
        project.history.undo()
    after = session.table.get(ids)
    assert not after["state"].any() and not after["chosen"].any()
    assert (after["class_id"] == session.table.get(ids)["class_id"]).all()


def test_relabel_is_undone_to_the_class_before(gallery: GalleryDock, session: Any, project: Any) -> None:
    press(gallery, KEY.Key_Right)
    current = session.selection.current
    before = int(session.table.get([current])["class_id"][0])
    press(gallery, KEY.Key_9)
    assert session.class_of(int(session.table.get([current])["class_id"][0])).key == "9"
    project.history.undo()
    assert int(session.table.get([current])["class_id"][0]) == before


def test_escape_and_other_letters_leave_the_reject_strip_without_rejecting(gallery: GalleryDock, session: Any) -> None:
    press(gallery, KEY.Key_Right, KEY.Key_N)
    assert gallery.keys.strip.isVisible()
    press(gallery, KEY.Key_Escape)
    assert not gallery.keys.strip.isVisible()
    press(gallery, KEY.Key_N, KEY.Key_Z)
    assert not gallery.keys.strip.isVisible()
    assert not session.table.rows["state"].any()


def test_back_to_unreviewed_and_off_the_travel_list(gallery: GalleryDock, session: Any) -> None:
    first = gallery.model.ids[0]
    press(gallery, KEY.Key_Right, KEY.Key_Return, KEY.Key_Left, KEY.Key_S)
    row = session.table.get([first])[0]
    assert row["state"] == ReviewState.CONFIRMED and row["chosen"]
    press(gallery, KEY.Key_U, KEY.Key_S)
    row = session.table.get([first])[0]
    assert row["state"] == ReviewState.UNREVIEWED and not row["chosen"]


def test_the_first_key_selects_before_it_judges(gallery: GalleryDock, session: Any) -> None:
    press(gallery, KEY.Key_Return)
    assert session.selection.current == gallery.model.ids[0]
    assert not session.table.rows["state"].any(), "nothing may be judged that was not visible as current"


def test_several_are_judged_at_once_and_undone_at_once(gallery: GalleryDock, session: Any, project: Any) -> None:
    ids = list(gallery.model.ids)
    before = len(titles(project))
    press(gallery, KEY.Key_Right)
    model = gallery.view.selectionModel()
    for row in (1, 2):
        model.select(gallery.model.index(row, 0), QItemSelectionModel.SelectionFlag.Select)
    assert sorted(session.selection.ids.tolist()) == sorted(ids[:3])
    press(gallery, KEY.Key_Y)
    assert states(session, ids[:4]) == [1, 1, 1, 0]
    assert len(titles(project)) - before == 1
    project.history.undo()
    assert states(session, ids[:3]) == [0, 0, 0]


def test_a_click_centres_the_canvas_and_the_selection_of_others_shows_here(
    qtbot: Any, gallery: GalleryDock, session: Any
) -> None:
    index = gallery.model.index(2, 0)
    where = gallery.view.visualRect(index).center()
    QTest.mouseClick(gallery.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(where))
    assert session.selection.current == gallery.model.ids[2]
    assert session.seen.centred[-1] == gallery.model.ids[2]
    session.selection.set([gallery.model.ids[4], gallery.model.ids[5]])
    selected = [i.row() for i in gallery.view.selectionModel().selectedRows()]
    assert selected == [4, 5]
    assert len(session.seen.centred) == 1, "showing a selection is not a request to go there"


def test_the_confidence_slider_hides_at_once_and_everywhere(gallery: GalleryDock, session: Any, project: Any) -> None:
    everything = len(gallery.model.ids)
    gallery.header.confidence.setValue(60)
    assert project.inclusion.current.confidence_limit == pytest.approx(0.60)
    shown = session.shown_rows()
    assert 0 < len(shown) < everything
    assert sorted(gallery.model.ids) == sorted(shown["id"].tolist())
    assert gallery.header.confidence_value.text() == "0.60"
    gallery.header.confidence.setValue(5)
    assert len(gallery.model.ids) == everything
    assert gallery.header.confidence_value.text() == "all"
    assert project.history.undo_title == "Confidence limit 0.00 put back", "soon after each other: one step"
    gallery.header.confidence.setSliderDown(True)
    for hundredths in (10, 20, 30):
        gallery.header.confidence.setValue(hundredths)
    gallery.header.confidence.setSliderDown(False)
    assert project.history.undo_title == "Confidence limit 0.30 (was 0.00)"
    project.history.undo()
    assert gallery.header.confidence.value() == 5 and len(gallery.model.ids) == everything


def test_the_order_stays_while_reviewing_until_sorted_again(gallery: GalleryDock, session: Any) -> None:
    session.set_filter(states=frozenset([ReviewState.UNREVIEWED]))
    ids = list(gallery.model.ids)
    press(gallery, KEY.Key_Right, KEY.Key_Return, KEY.Key_Return)
    press(gallery, KEY.Key_3)
    assert gallery.model.ids == ids, "judged and relabelled findings keep their place"
    assert gallery.header.sort_again.isEnabled()
    gallery.header.sort_again.click()
    assert sorted(gallery.model.ids) == sorted(ids[2:])
    assert not gallery.header.sort_again.isEnabled()


def test_new_findings_are_sorted_in_before_a_review_and_put_behind_during_one(
    qtbot: Any, gallery: GalleryDock, session: Any, project: Any
) -> None:
    slide = session.slide.id
    early = project.boxes.add(slide, findings(project.classes, count=5, seed=3)).tolist()
    qtbot.waitUntil(lambda: set(early) <= set(gallery.model.ids), timeout=60000)
    assert not gallery.header.sort_again.isEnabled()
    press(gallery, KEY.Key_Right, KEY.Key_Right)
    ids, current = list(gallery.model.ids), session.selection.current
    late = project.boxes.add(slide, findings(project.classes, count=5, seed=4)).tolist()
    assert gallery.model.ids[: len(ids)] == ids
    assert set(gallery.model.ids[len(ids) :]) == set(late)
    assert session.selection.current == current
    assert gallery.model.appended == 5 and "5 new" in gallery.header.sort_again.text()


def test_every_order_sorts_what_it_says(gallery: GalleryDock, session: Any) -> None:
    def rows() -> np.ndarray:
        return session.table.get(gallery.model.ids)

    gallery.model.set_order("largest")
    longest = np.maximum(rows()["y1"] - rows()["y0"], rows()["x1"] - rows()["x0"])
    assert (np.diff(longest) <= 0).all()
    gallery.model.set_order("most_confident")
    assert (np.diff(rows()["confidence"]) <= 0).all()
    gallery.model.set_order("least_confident")
    assert (np.diff(rows()["confidence"]) >= 0).all()
    gallery.model.set_order("newest")
    assert (np.diff(rows()["id"]) < 0).all()
    gallery.model.set_order("worst")
    weight = {item.id: item.weight for item in session.classes}
    assert (np.diff([weight[int(c)] for c in rows()["class_id"]]) <= 0).all()
    assert session.project.settings.get("gallery_order") == "worst"


def test_crops_arrive_and_the_window_never_reads(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    import threading

    class Watched:
        def __init__(self, mosaic: Any) -> None:
            self.mosaic, self.readers = mosaic, set()

        def read_scaled(self, *arguments: Any) -> np.ndarray:
            self.readers.add(threading.get_ident())
            return self.mosaic.read_scaled(*arguments)

    watched = Watched(session.mosaic)
    crops = gallery.view.crops
    crops._source_of = lambda _mosaic: watched
    crops.forget_slides()
    gallery.view.viewport().update()
    wanted = gallery.view.delegate.spec(session.table.get([gallery.model.ids[0]])[0])
    qtbot.waitUntil(lambda: crops.cached_bytes > 0 and crops.waiting == 0, timeout=60000)
    crop = crops.get(wanted)
    assert crop is not None and crop.image is not None
    assert watched.readers and threading.get_ident() not in watched.readers


class Frames(QObject):
    """Counts how often a widget is painted."""

    count = 0

    def eventFilter(self, watched: Any, event: Any) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_pictures_that_arrive_together_are_drawn_a_few_at_a_time_and_all_of_them(
    qtbot: Any, gallery: GalleryDock, session: Any, project: Any, monkeypatch: Any
) -> None:
    project.boxes.add(session.slide.id, findings(session.classes, count=90, seed=3))
    session.findings.sort_again()
    view, frames, drawn = gallery.view, Frames(), []
    paint_cell = view.delegate._paint_cell

    def remember(painter: Any, option: Any, cell: Any, row: Any, **how: Any) -> None:
        if view.crops.get(view.delegate.spec(row)) is not None:
            drawn.append((frames.count, int(row["id"])))
        paint_cell(painter, option, cell, row, **how)

    qtbot.waitUntil(lambda: view.crops.waiting == 0 and not view._repaint.isActive(), timeout=60_000)
    monkeypatch.setattr(view.delegate, "_paint_cell", remember)
    view.viewport().installEventFilter(frames)
    view.verticalScrollBar().setValue(view.verticalScrollBar().maximum())
    seen = {gallery.model.id_at(row) for row in view.rows_in(view.viewport().rect())}
    assert len(seen) > AT_A_TIME
    qtbot.waitUntil(lambda: seen == {box_id for _, box_id in drawn}, timeout=60_000)
    assert max(Counter(frame for frame, _ in drawn).values()) <= AT_A_TIME


def test_crops_are_those_of_their_slide(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    crops, row = gallery.view.crops, session.table.rows[0].copy()
    spec = gallery.view.delegate.spec(row)
    qtbot.waitUntil(lambda: crops.get(spec) is not None)
    picture = crops.get(spec).image
    session.show_slide(session.project.slides[1].id)
    session.project.boxes.add(session.slide.id, session.project.boxes.rows(every=True)[:1], title="Draw")
    there = gallery.view.delegate.spec(session.table.rows[0])
    assert (there.region, there.shape_px, there.slide_id) == (spec.region, spec.shape_px, session.slide.id)
    qtbot.waitUntil(lambda: crops.get(there) is not None)
    assert crops.get(there).image != picture
    assert crops.get(spec).image == picture  # kept, for the way back


def test_judging_similar_findings_shows_them_first(
    qtbot: Any, gallery: GalleryDock, session: Any, project: Any
) -> None:
    session.set_filter(class_ids=frozenset([session.classes[0].id]))
    gallery.model.set_order("least_confident")
    ids = list(gallery.model.ids)
    session.selection.set([ids[1]])
    press(gallery, KEY.Key_E)
    dialog = gallery.keys.dialog
    assert dialog is not None
    assert sorted(dialog.ids.tolist()) == sorted(ids[1:])
    assert f"Confirm {len(ids) - 1} findings" in dialog.rule.text()
    assert not session.table.rows["state"].any()
    before = len(titles(project))
    dialog.accept_button.click()
    assert states(session, ids) == [0] + [1] * (len(ids) - 1)
    assert len(titles(project)) == before + 1


def test_similar_to_a_rejected_finding_are_those_with_less_confidence(gallery: GalleryDock, session: Any) -> None:
    session.set_filter(class_ids=frozenset([session.classes[0].id]))
    gallery.model.set_order("most_confident")
    ids = list(gallery.model.ids)
    session.selection.set([ids[1]])
    press(gallery, KEY.Key_N, KEY.Key_P, KEY.Key_Left, KEY.Key_E)
    dialog = gallery.keys.dialog
    assert dialog is not None
    assert sorted(dialog.ids.tolist()) == sorted(ids[2:])
    dialog.accept_button.click()
    assert states(session, ids) == [0] + [2] * (len(ids) - 1)
    assert set(session.table.get(ids[1:])["reason"].tolist()) == {"preparation artefact"}


def test_cancelling_similar_findings_changes_nothing(gallery: GalleryDock, session: Any, project: Any) -> None:
    press(gallery, KEY.Key_Right, KEY.Key_E)
    before = len(titles(project))
    gallery.keys.dialog.reject()
    assert len(titles(project)) == before and not session.table.rows["state"].any()


def test_counts_in_the_header_follow(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    header = gallery.header
    press(gallery, KEY.Key_Right, KEY.Key_Return, KEY.Key_S)
    qtbot.waitUntil(lambda: "1 chosen" in header.chosen.text(), timeout=60000)
    lines = [action.text() for action in header.states.menu().actions() if action.isCheckable()]
    assert lines == ["unreviewed\t11", "confirmed\t1", "rejected\t0"]
    header.states.menu().actions()[3].trigger()
    assert session.filter.states == frozenset([ReviewState.CONFIRMED])
    assert header.states.text().strip() == "confirmed 1"
    header.states.menu().actions()[0].trigger()
    assert session.filter.states is None
    header.chosen.click()
    assert session.filter.only_chosen and len(gallery.model.ids) == 1


def test_search_looks_into_notes(gallery: GalleryDock, session: Any) -> None:
    session.judging.set_note(np.asarray(gallery.model.ids[:1]), "look here")
    gallery.header.search.setText("LOOK")
    assert len(gallery.model.ids) == 1
    gallery.header.search.clear()
    assert len(gallery.model.ids) == 12


def test_nothing_in_the_header_lies_over_its_neighbour_on_a_small_screen(qtbot: Any, gallery: GalleryDock) -> None:
    gallery.resize(1089, 240)  # a window of 1366 px with both columns of panels
    gallery.show()
    qtbot.waitUntil(lambda: gallery.header.width() > 1000)
    gallery.header.layout().activate()
    parts = [
        part
        for part in gallery.header.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        if part.isVisible()
    ]
    over = [(a, b) for a, b in combinations(parts, 2) if a.geometry().intersects(b.geometry())]
    assert len(parts) > 10 and not over


def test_an_empty_gallery_says_what_to_do_next(qtbot: Any, gallery: GalleryDock, session: Any) -> None:
    session.set_confidence_limit(0.99)
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.empty, timeout=60000)
    assert "12 findings are hidden" in gallery.empty.text.text() and "0.99" in gallery.empty.text.text()
    gallery.empty.button.click()
    assert session.inclusion.confidence_limit == 0.0
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.view, timeout=60000)
    session.set_filter(text="nowhere")
    qtbot.waitUntil(lambda: gallery.pages.currentWidget() is gallery.empty, timeout=60000)
    gallery.empty.button.click()
    assert len(gallery.model.ids) == 12
    session.show_slide(session.project.slides[1].id)
    qtbot.waitUntil(lambda: "No findings yet" in gallery.empty.text.text(), timeout=60000)
    with qtbot.waitSignal(gallery.detect_requested):
        gallery.empty.button.click()
    project, here = session.project, session.slide.id
    run = project.runs.start(here, RunPlan(model="models/one", model_name="one"))
    project.runs.finish(run.id, "finished")
    qtbot.waitUntil(lambda: "The detection found nothing" in gallery.empty.text.text(), timeout=60000)


def test_keys_that_the_user_changed_are_used(gallery: GalleryDock, session: Any, own_settings: Path) -> None:
    own_settings.mkdir(exist_ok=True)
    (own_settings / "settings.json").write_text(json.dumps({"shortcuts": {"review.confirm": ["K"]}}))
    gallery.keys.load_keys()
    press(gallery, KEY.Key_Right, KEY.Key_Y)
    assert not session.table.rows["state"].any()
    press(gallery, KEY.Key_K)
    assert session.table.rows["state"].sum() == 1


def test_a_read_only_project_says_so_and_stays(
    qtbot: Any, gallery: GalleryDock, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.core.errors import ReadOnlyProjectError

    def refuse(*_: Any, **__: Any) -> None:
        raise ReadOnlyProjectError("Someone else owns this project.", hint="Ask them.")

    monkeypatch.setattr(session.project.boxes, "prepare_edit", refuse)
    press(gallery, KEY.Key_Right, KEY.Key_Return)
    assert session.seen.notices[-1] == "Someone else owns this project. Ask them."
    assert not session.table.rows["state"].any()


def test_removed_findings_leave_and_come_back_with_undo(
    qtbot: Any, gallery: GalleryDock, session: Any, project: Any
) -> None:
    ids = list(gallery.model.ids)
    press(gallery, KEY.Key_Right)
    session.editing.delete(np.asarray(ids[2:4]))
    assert gallery.model.ids == ids[:2] + ids[4:]
    project.history.undo()
    assert sorted(gallery.model.ids) == sorted(ids)
