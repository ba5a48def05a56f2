"""The review page: the same findings, the same keys."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("qtpy")
from panels_support import findings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.panels.review.crop import map_of
from microscope_qc.app.panels.review.page import ReviewPane
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag
from microscope_qc.project.runs.plan import RunPlan

pytestmark = pytest.mark.window
KEY = Qt.Key


@pytest.fixture
def pane(qtbot: Any, session: Any) -> Any:
    made = ReviewPane(session)
    qtbot.addWidget(made)
    made.resize(1366, 700)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.close_crops()


def test_it_starts_with_the_first_finding_and_judges_by_keyboard(qtbot: Any, pane: ReviewPane, session: Any) -> None:
    ids = list(pane.model.ids)
    assert session.selection.current == ids[0]
    QTest.keyClick(pane.strip, KEY.Key_Return)
    QTest.keyClick(pane.strip, KEY.Key_N)
    assert pane.keys.strip.isVisible()
    QTest.keyClick(pane.strip, KEY.Key_O)
    rows = session.table.get(ids[:3])
    assert rows["state"].tolist() == [1, 2, 0] and rows["reason"][1] == "out of focus"
    assert session.selection.current == ids[2]
    qtbot.waitUntil(lambda: "2 of 12 judged" in pane.progress.text(), timeout=60000)
    assert "<b>3</b> of 12" in pane.progress.text()


def test_a_random_sample_says_how_many_are_true_and_the_worst_first_does_not(
    qtbot: Any, pane: ReviewPane, session: Any
) -> None:
    project = session.project
    project.boxes.delete(session.table.rows["id"])
    run = project.runs.start(session.slide.id, RunPlan(model="m"))
    project.runs.add_findings(run.id, findings(list(project.classes), seed=9))
    qtbot.waitUntil(lambda: "says nothing of the 12 findings" in pane.progress.text(), timeout=60000)
    session.findings.set_order("sample")
    qtbot.waitUntil(lambda: "Nothing is judged yet" in pane.progress.text(), timeout=60000)
    ids = session.findings.order_ids().copy()
    session.judging.confirm(ids[1:2])
    qtbot.waitUntil(lambda: "Of 1 judged finding none was drawn at random" in pane.progress.text(), timeout=60000)
    session.judging.confirm(ids[[0, *range(2, 11)]])
    qtbot.waitUntil(lambda: "12 of 12 findings are true (11 to 12, 95 %), from 1" in pane.progress.text(),
                    timeout=60000)  # fmt: skip
    rows = session.table.get(ids)
    assert has_flag(rows, FindingFlag.SAMPLED).tolist() == [True, False, *[True] * 9, False]
    session.judging.reject(ids[11:], "duplicate")
    qtbot.waitUntil(lambda: "11 of 12 findings are true: all are judged." in pane.progress.text(), timeout=60000)


def test_it_shows_what_is_known(qtbot: Any, pane: ReviewPane, session: Any) -> None:
    current = session.selection.current
    session.judging.reject(session.selection.ids, "duplicate")
    qtbot.waitUntil(lambda: "rejected: duplicate" in pane.facts.text(), timeout=60000)
    row = session.table.get([current])[0]
    found = session.class_of(int(row["class_id"]))
    assert found.code in pane.title.text() and found.name in pane.title.text()
    assert f"{float(row['confidence']):.2f}" in pane.facts.text() and "µm" in pane.facts.text()
    assert "Reject 1 finding: duplicate" in pane.history.text()
    session.undoing.undo()
    qtbot.waitUntil(lambda: "unreviewed" in pane.facts.text(), timeout=60000)
    assert "Reject" not in pane.history.text()


def test_the_large_picture_arrives_and_the_next_ones_are_read_ahead(qtbot: Any, pane: ReviewPane, session: Any) -> None:
    def is_there(place: int) -> bool:
        row = session.table.get([pane.model.ids[place]])[0]
        return pane.crops._cache.get(pane.picture.spec(row)) is not None

    qtbot.waitUntil(lambda: all(map(is_there, range(4))), timeout=60000)
    assert not is_there(4)


def test_what_is_read_ahead_paints_nothing(
    qtbot: Any, pane: ReviewPane, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = session.table.get([session.selection.current])[0]
    spec, ahead = pane.picture.spec(row), pane.picture.spec(session.table.get([pane.model.ids[5]])[0])
    qtbot.waitUntil(lambda: pane.crops.waiting == 0 and pane.crops.get(spec) is not None, timeout=60000)
    asked: list[QWidget] = []
    for widget in (pane.picture, pane.map):
        monkeypatch.setattr(widget, "update", lambda widget=widget: asked.append(widget))
    pane.crops.ready.emit([ahead])  # nothing is waited for here: a project's last news may ask for a paint as well
    assert asked == []
    pane.crops.ready.emit([spec])
    assert asked == [pane.picture]
    pane.crops.ready.emit([map_of(session.slide)])
    assert asked == [pane.picture, pane.map]


def test_the_wheel_shows_more_of_the_surroundings(pane: ReviewPane, session: Any) -> None:
    row = session.table.get([session.selection.current])[0]
    before = pane.picture.spec(row).region.shape
    pane.picture.set_context(pane.picture.context * 3)
    after = pane.picture.spec(row).region.shape
    assert after[0] > before[0] and after[1] > before[1]
    pane.picture.set_context(1e9)
    assert pane.picture.context < 100


def test_a_click_on_the_map_goes_to_the_nearest_finding(pane: ReviewPane, session: Any) -> None:
    target = session.table.rows[7]
    place = pane.map._place()
    assert place is not None
    scale = place.width() / session.slide.shape_px[1]
    x = place.left() + (target["x0"] + target["x1"]) / 2 * scale
    y = place.top() + (target["y0"] + target["y1"]) / 2 * scale
    QTest.mouseClick(pane.map, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    assert session.selection.current == int(target["id"])


def test_gallery_and_page_are_one_list(qtbot: Any, pane: ReviewPane, session: Any) -> None:
    gallery = GalleryDock(session)
    qtbot.addWidget(gallery)
    assert gallery.model is pane.model
    session.set_filter(min_confidence=0.5)
    assert (
        pane.strip.model().rowCount() == len(gallery.model.ids) == int((session.table.rows["confidence"] >= 0.5).sum())
    )
    QTest.keyClick(pane.strip, KEY.Key_Right)
    QTest.keyClick(pane.strip, KEY.Key_Y)
    assert (session.table.rows["state"] == ReviewState.CONFIRMED).sum() == 1
    gallery.close_crops()


def test_a_closed_page_no_longer_listens(qtbot: Any, session: Any) -> None:
    made = ReviewPane(session)
    made.show()
    made.close_crops()
    with qtbot.waitSignal(made.destroyed):
        made.deleteLater()
    session.selection.set(session.table.rows["id"][:2])
    session.judging.confirm(session.selection.ids)
    session.set_filter(min_confidence=0.3)
