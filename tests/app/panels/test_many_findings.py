"""Panels with many findings: sorted in a thread, counted later, hidden ones left alone, and never wrong in the end."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from hypothesis import given
from hypothesis import strategies as st
from panels_support import findings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.panels.classes.panel import COUNT, ClassesDock
from microscope_qc.app.panels.gallery.filter import FilterHint
from microscope_qc.app.panels.gallery.panel import GalleryDock
from microscope_qc.app.panels.history import ENTRY, HistoryDock
from microscope_qc.app.panels.table import COLUMNS, CONFIDENCE, NUMBER, SIZE, FindingsTableModel, TableDock
from microscope_qc.app.session import review_order
from microscope_qc.app.session.orders import columns_of, order_rows
from microscope_qc.core.boxes import BoxFilter, ReviewState

pytestmark = pytest.mark.window


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Any:
    """All sorts go to the thread, and wait there while ``held`` is cleared."""
    free = threading.Event()
    free.set()
    plain = review_order.sorted_places

    def sorted_places(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            assert free.wait(60)
        return plain(*arguments)

    monkeypatch.setattr(review_order, "AT_ONCE", -1)
    monkeypatch.setattr(review_order, "sorted_places", sorted_places)
    yield free
    free.set()


@pytest.fixture
def gallery(qtbot: Any, session: Any, held: Any) -> Any:
    dock = GalleryDock(session)
    qtbot.addWidget(dock)
    dock.resize(1200, 320)
    with qtbot.waitExposed(dock):
        dock.show()
    qtbot.waitUntil(lambda: dock.model.count == 12, timeout=60_000)
    yield dock
    held.set()
    dock.close_crops()


def on_screen(gallery: GalleryDock) -> list[int]:
    return [gallery.model.id_at(row) for row in range(gallery.model.count)]


def wanted(session: Any, name: str = "worst") -> list[int]:
    rows = session.shown_rows()
    order = order_rows(rows, name, classes=session.classes, pixel_size_um=session.pixel_size_um)
    return rows["id"][order].tolist()


def test_the_old_order_stays_until_the_new_one_is_there(
    qtbot: Any, gallery: GalleryDock, session: Any, held: Any
) -> None:
    before = on_screen(gallery)
    held.clear()
    session.set_filter(min_confidence=0.5)
    assert on_screen(gallery) == before and gallery.model.sorting
    held.set()
    qtbot.waitUntil(lambda: not gallery.model.sorting, timeout=60_000)
    assert on_screen(gallery) == wanted(session) != before


def test_of_several_filters_the_last_one_counts(qtbot: Any, gallery: GalleryDock, session: Any, held: Any) -> None:
    held.clear()
    for least in (0.9, 0.2, 0.7):
        session.set_filter(min_confidence=least)
    held.set()
    qtbot.waitUntil(lambda: not gallery.model.sorting, timeout=60_000)
    assert on_screen(gallery) == wanted(session)


def test_a_key_acts_on_the_order_that_is_true(gallery: GalleryDock, session: Any, held: Any) -> None:
    held.clear()
    session.set_filter(min_confidence=0.6)
    shown = wanted(session)
    QTest.keyClick(gallery.view, Qt.Key.Key_Right)
    assert session.selection.current == shown[0] and on_screen(gallery) == shown
    gallery.model.set_order("least_confident")
    QTest.keyClick(gallery.view, Qt.Key.Key_Return)
    order = wanted(session, "least_confident")
    judged = session.table.get([shown[0]])[0]
    assert judged["state"] == ReviewState.CONFIRMED
    place = order.index(shown[0])
    assert session.selection.current == (order[place + 1] if place + 1 < len(order) else shown[0])


def test_what_comes_and_goes_during_a_sort_is_not_lost(
    qtbot: Any, gallery: GalleryDock, session: Any, project: Any, held: Any
) -> None:
    held.clear()
    session.set_filter(min_confidence=0.05)
    gone = on_screen(gallery)[:2]
    session.editing.delete(np.array(gone))
    came = project.boxes.add(session.slide.id, findings(project.classes, count=4, seed=9)).tolist()
    assert not set(gone) & set(on_screen(gallery))
    held.set()
    qtbot.waitUntil(lambda: not gallery.model.sorting, timeout=60_000)
    assert set(on_screen(gallery)) == set(session.shown_rows()["id"].tolist()) >= set(came)
    qtbot.waitUntil(lambda: on_screen(gallery) == wanted(session), timeout=60_000)


def test_nothing_of_another_slide_stays_while_its_findings_are_sorted(
    gallery: GalleryDock, session: Any, held: Any
) -> None:
    held.clear()
    session.show_slide(session.project.slides[1].id)
    assert on_screen(gallery) == []


def test_one_that_is_judged_repaints_its_cell_and_moves_no_other(gallery: GalleryDock, session: Any) -> None:
    before, heard = on_screen(gallery), []
    gallery.model.dataChanged.connect(lambda first, last: heard.append((first.row(), last.row())))
    gallery.model.modelReset.connect(lambda: heard.append("reset"))
    session.judging.confirm(np.array([before[4]]))
    assert heard == [(4, 4)] and on_screen(gallery) == before


@given(st.permutations(range(8)), st.sampled_from(["worst", "largest", "position", "newest", "least_confident"]))
def test_columns_are_sorted_as_rows_are(order: list[int], name: str) -> None:
    from microscope_qc.core.boxes import BoxTable
    from microscope_qc.core.defect_class import DefectClass

    classes = [DefectClass(str(n), str(n), "#000000", id=n, weight=float(n)) for n in (1, 2, 3)]
    rows = findings(classes, count=8)
    rows["id"] = np.array(order) + 1
    table = BoxTable(rows)
    by_rows = order_rows(table.rows, name, classes=classes, pixel_size_um=(0.5, 0.5))
    assert order_rows(columns_of(table), name, classes=classes, pixel_size_um=(0.5, 0.5)).tolist() == by_rows.tolist()


def test_a_hidden_panel_waits_and_is_right_when_it_is_shown(qtbot: Any) -> None:
    label, said = QLabel(), []
    qtbot.addWidget(label)
    due = Refresh(label, lambda: said.append(len(said)), after_ms=0)
    for _ in range(5):
        due.soon()
    QTest.qWait(20)
    assert said == [] and due.due
    label.show()
    assert said == [0], "at the first sight of it"
    for _ in range(5):
        due.soon()
    qtbot.waitUntil(lambda: not due.due, timeout=60_000)
    assert said == [0, 1], "once for all changes"
    label.hide()
    due.soon()
    label.show()
    assert len(said) == 3


class Panels:
    """Everything that counts or lists findings, seen."""

    def __init__(self, qtbot: Any, session: Any) -> None:
        self.session = session
        self.gallery, self.table = GalleryDock(session), TableDock(session)
        self.classes, self.history, self.hint = ClassesDock(session), HistoryDock(session), FilterHint(session)
        for dock in (self.gallery, self.table, self.classes, self.history):
            qtbot.addWidget(dock)
            dock.resize(1366, 300)
            dock.show()
        qtbot.addWidget(self.hint)

    def wrong(self) -> list[str]:
        """What is not as it is in the project."""
        session = self.session
        rows = session.table.rows[session.project.boxes.shown(session.slide.id)]
        shown = set(rows["id"].tolist())
        faults = []
        listed = set(self.gallery.model.order_ids().tolist())
        # what was judged keeps its place in the gallery until it is sorted again
        if not shown <= listed or (not self.gallery.model.stale and listed != shown):
            faults.append("gallery")
        if set(self.table.model.ids.tolist()) != shown:
            faults.append("table")
        ids, counts = np.unique(rows["class_id"], return_counts=True)
        count_of = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        for item in self.classes.rows():
            count = count_of.get(item.data(0, Qt.ItemDataRole.UserRole), 0)
            if item.text(COUNT) != (str(count) if count else ""):
                faults.append(f"count of {item.text(1)}")
        chosen = int(np.count_nonzero(session.table.rows["chosen"]))
        if f"★ {chosen} chosen" != self.gallery.header.chosen.text():
            faults.append("chosen")
        entries = [self.history.items.item(place).data(ENTRY) for place in range(self.history.items.count())]
        if entries != session.project.history.entries(300) or [entry.title for entry in entries] != [
            self.history.items.item(place).text() for place in range(len(entries))
        ]:
            faults.append("history")
        if session.filter_active and f"{len(rows)} of {len(session.table)}" not in self.hint.words.text():
            faults.append("hint")
        return faults


def edits(session: Any, project: Any, rng: np.random.Generator) -> None:
    """One thing a user may do."""
    ids = session.table.rows["id"]
    some = rng.permutation(ids)[: rng.integers(1, 4)]
    kind = rng.integers(0, 12)
    if kind == 0 or len(ids) < 6:
        session.editing.draw(*rng.uniform(0, 400, 2), *rng.uniform(500, 900, 2))
    elif kind == 1:
        session.judging.confirm(some)
    elif kind == 2:
        session.judging.reject(some, "duplicate")
    elif kind == 3:
        session.judging.relabel(some, int(rng.choice([item.id for item in session.classes])))
    elif kind == 4:
        session.editing.delete(some)
    elif kind == 5:
        session.judging.choose(some, bool(rng.integers(0, 2)))
    elif kind == 6:
        session.set_filter(min_confidence=float(rng.uniform(0, 0.9)))
    elif kind == 7:
        session.set_filter(states=frozenset([ReviewState(int(rng.integers(0, 3)))]))
    elif kind == 8:
        session.clear_filter()
    elif kind == 9:
        project.boxes.add(session.slide.id, findings(project.classes, count=7, seed=int(rng.integers(0, 99))))
    elif kind == 10:
        session.undoing.undo()
    else:
        session.undoing.redo()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_when_the_window_rests_nothing_that_is_shown_is_out_of_date(
    qtbot: Any, session: Any, project: Any, held: Any, seed: int
) -> None:
    panels, rng = Panels(qtbot, session), np.random.default_rng(seed)
    for step in range(40):
        if step == 20:
            panels.table.model.sort([SIZE, CONFIDENCE, NUMBER][seed % 3], Qt.SortOrder.DescendingOrder)
        if rng.integers(0, 10) == 0:
            panels.classes.setVisible(not panels.classes.isVisible())
        edits(session, project, rng)
        if rng.integers(0, 3) == 0:
            QTest.qWait(5)
        if step % 8 == 7:
            panels.classes.show()
            qtbot.waitUntil(lambda: not panels.wrong(), timeout=30_000)
            QTest.qWait(20)
            assert panels.wrong() == []
    panels.gallery.close_crops()


def test_the_table_follows_single_findings_as_if_it_were_read_again(qtbot: Any, session: Any, project: Any) -> None:
    table, rng = TableDock(session), np.random.default_rng(4)
    qtbot.addWidget(table)
    table.show()
    resets: list[int] = []
    table.model.modelReset.connect(lambda: resets.append(1))
    for _ in range(12):
        made = session.editing.draw(*rng.uniform(0, 400, 2), *rng.uniform(500, 900, 2))
        table._due.catch_up()
        assert table.model.ids[-1] == made
        session.editing.move(made, 10, 10, 60, 70)
        session.editing.delete(session.table.rows["id"][rng.integers(0, len(session.table)) :][:1].copy())
        table._due.catch_up()
        assert table.model.ids.tolist() == session.shown_rows()["id"].tolist()
        row = int(np.flatnonzero(table.model.ids == session.table.rows["id"][0])[0])
        assert table.model.index(row, 0).data() == str(session.table.rows["id"][0])
    assert resets == [], "nothing was listed again"
    assert [index.row() for index in table.view.selectionModel().selectedRows()] == [
        place for place, number in enumerate(table.model.ids) if number in session.selection.ids
    ]


def test_the_table_says_of_every_finding_what_holds_after_each_edit(qtbot: Any, session: Any) -> None:
    table, rng = TableDock(session), np.random.default_rng(5)
    qtbot.addWidget(table)
    table.show()
    first, last = session.classes[0].id, session.classes[-1].id

    def said(model: FindingsTableModel) -> list[list[str]]:
        return [[model.index(row, column).data() for column in range(len(COLUMNS))] for row in range(model.rowCount())]

    for edit in (session.judging.confirm, lambda ids: session.judging.reject(ids, "duplicate"),
                 lambda ids: session.judging.relabel(ids, first), lambda ids: session.judging.relabel(ids, last),
                 lambda ids: session.judging.choose(ids, True), lambda ids: session.judging.set_note(ids, "seen"),
                 lambda _ids: session.undoing.undo(), lambda _ids: session.undoing.redo()):  # fmt: skip
        said(table.model)
        edit(np.sort(rng.choice(session.table.rows["id"], 3, replace=False)))
        table._due.catch_up()
        assert said(table.model) == said(FindingsTableModel(session))


def test_a_finding_that_the_filter_hides_once_it_is_judged_leaves_the_table(qtbot: Any, session: Any) -> None:
    table = TableDock(session)
    qtbot.addWidget(table)
    table.show()
    session.set_filter(states=frozenset([ReviewState.UNREVIEWED]))
    qtbot.waitUntil(lambda: not table._due.due, timeout=60_000)
    first = int(table.model.ids[0])
    session.judging.confirm(np.array([first]))
    qtbot.waitUntil(lambda: first not in table.model.ids and table.model.rowCount() == 11, timeout=60_000)
    session.undoing.undo()
    qtbot.waitUntil(lambda: first in table.model.ids, timeout=60_000)


@pytest.mark.parametrize("column", range(9))
def test_every_column_of_the_table_sorts_by_what_it_shows(qtbot: Any, session: Any, column: int) -> None:
    table = TableDock(session)
    qtbot.addWidget(table)
    ids = session.table.rows["id"]
    session.judging.set_note(ids[2:5].copy(), "b")
    session.judging.set_note(ids[7:8].copy(), "A")
    session.judging.choose(ids[3:6].copy(), True)
    session.judging.reject(ids[1:2].copy(), "duplicate")
    table.model.reload()
    table.model.sort(column, Qt.SortOrder.AscendingOrder)
    texts = [table.model.index(row, column).data() for row in range(table.model.rowCount())]
    if column in (NUMBER, CONFIDENCE, SIZE):
        keys: list[Any] = [float(text) for text in texts]
    else:
        keys = [text.casefold() if not text.startswith("rejected") else "zz" for text in texts]
        keys = [{"unreviewed": "a"}.get(key, key) for key in keys]
    assert keys == sorted(keys)
    table.model.sort(column, Qt.SortOrder.DescendingOrder)
    assert set(table.model.ids.tolist()) == set(ids.tolist())


def test_counts_of_what_is_shown_are_those_of_the_rows(session: Any) -> None:
    ids = session.table.rows["id"]
    session.judging.confirm(ids[:3].copy())
    session.judging.reject(ids[5:6].copy(), "duplicate")
    for least in (0.0, 0.4, 2.0):
        session.set_filter(min_confidence=least)
        rows = session.shown_rows()
        counts = session.shown.counts()
        assert counts.sum() == len(rows) and counts.shape[1] == 3
        for class_id in {item.id for item in session.classes}:
            for state in ReviewState:
                expected = int(np.count_nonzero((rows["class_id"] == class_id) & (rows["state"] == state)))
                found = int(counts[class_id, state]) if class_id < len(counts) else 0
                assert found == expected
    assert session.filter != BoxFilter()


def test_a_table_of_nothing_says_what_to_do(qtbot: Any, session: Any) -> None:
    table = TableDock(session)
    qtbot.addWidget(table)
    table.show()  # one that nobody sees does not work
    qtbot.waitUntil(table.isVisible)
    assert table._counts.text().endswith("findings")
    session.editing.delete(session.table.rows["id"].copy())
    qtbot.waitUntil(lambda: "Run a detection" in table.empty.text.text())
    session.project.history.undo()
    qtbot.waitUntil(lambda: table._counts.text().endswith("findings"))
