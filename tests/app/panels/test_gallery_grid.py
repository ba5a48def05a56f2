"""The view of equal cells: where they lie, what is chosen, what is painted."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import QPoint, QRect, QSize, QStringListModel, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractItemView, QStyledItemDelegate

from microscope_qc.app.widgets.cell_grid import GridView

pytestmark = pytest.mark.window
LEFT, SHIFT, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class Painted(QStyledItemDelegate):
    """Remembers which rows were painted."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.rows: list[int] = []

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        self.rows.append(index.row())


def shown(qtbot: Any, count: int, *, one_row: bool = False) -> GridView:
    view = GridView(one_row=one_row)
    view.delegate = Painted(view)
    view.setItemDelegate(view.delegate)
    view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    view.set_cell_size(QSize(50, 40))
    view.setModel(QStringListModel([""] * count, view))
    view.setFrameShape(GridView.Shape.NoFrame)
    qtbot.addWidget(view)
    view.resize(260 + view.verticalScrollBar().sizeHint().width(), 130)
    with qtbot.waitExposed(view):
        view.show()
    qtbot.waitUntil(lambda: bool(view.delegate.rows), timeout=60_000)
    return view


def chosen(view: GridView) -> list[int]:
    return sorted(index.row() for index in view.selectionModel().selectedRows())


def test_every_place_belongs_to_the_cell_at_that_place(qtbot: Any) -> None:
    view = shown(qtbot, 1000)
    view.verticalScrollBar().setValue(333)
    model = view.model()
    for row in (0, 1, 39, 42, 999):
        rect = view.visualRect(model.index(row, 0))
        for corner in (rect.topLeft(), rect.bottomRight(), rect.center()):
            assert view.indexAt(corner).row() == row
    assert not view.indexAt(QPoint(view.columns() * 50 + 1, 10)).isValid(), "right of the last column"
    assert list(view.rows_in(QRect(0, 0, 1, 1))) == [333 // 40 * view.columns()]


def test_only_visible_cells_are_painted_and_one_that_changed_alone(qtbot: Any) -> None:
    view = shown(qtbot, 100_000)
    assert set(view.delegate.rows) == set(range(4 * view.columns()))
    view.delegate.rows.clear()
    index = view.model().index(3, 0)
    view.model().dataChanged.emit(index, index)
    qtbot.waitUntil(lambda: 3 in view.delegate.rows, timeout=60_000)
    assert set(view.delegate.rows) == {3}
    view.delegate.rows.clear()
    far = view.model().index(70_000, 0)
    view.model().dataChanged.emit(far, far)
    view.model().insertRows(100_000, 5)
    QTest.qWait(50)
    assert view.delegate.rows == []


def test_cells_that_come_and_go_are_seen(qtbot: Any) -> None:
    view = shown(qtbot, 3)
    view.delegate.rows.clear()
    view.model().insertRows(3, 2)
    qtbot.waitUntil(lambda: {3, 4} <= set(view.delegate.rows), timeout=60_000)
    view.delegate.rows.clear()
    view.model().removeRows(0, 4)
    qtbot.waitUntil(lambda: 0 in view.delegate.rows, timeout=60_000)
    assert not view.indexAt(QPoint(60, 10)).isValid()
    view.model().insertRows(1, 999)
    assert view.verticalScrollBar().maximum() == 1000 // view.columns() * 40 - view.viewport().height()


def test_a_cell_out_of_view_is_scrolled_to(qtbot: Any) -> None:
    view = shown(qtbot, 1000)
    for row in (999, 500, 3):
        index = view.model().index(row, 0)
        view.scrollTo(index)
        assert view.viewport().rect().contains(view.visualRect(index))
    before = view.verticalScrollBar().value()
    view.scrollTo(view.model().index(4, 0))
    assert view.verticalScrollBar().value() == before, "what is visible stays where it is"


def test_clicks_with_shift_and_control_choose_ranges_and_single_cells(qtbot: Any) -> None:
    view = shown(qtbot, 40)

    def click(row: int, keys: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseClick(view.viewport(), LEFT, keys, view.visualRect(view.model().index(row, 0)).center())

    click(2)
    assert chosen(view) == [2]
    click(8, SHIFT)
    assert chosen(view) == [2, 3, 4, 5, 6, 7, 8]
    click(1, SHIFT)
    assert chosen(view) == [1, 2]
    click(9, CTRL)
    assert chosen(view) == [1, 2, 9]


def test_arrow_keys_lead_to_the_neighbours(qtbot: Any) -> None:
    view = shown(qtbot, 13)
    assert view.columns() == 5
    steps = [(Qt.Key.Key_Right, 1), (Qt.Key.Key_Down, 6), (Qt.Key.Key_Down, 11), (Qt.Key.Key_Down, 11),
             (Qt.Key.Key_End, 12), (Qt.Key.Key_Up, 7), (Qt.Key.Key_Home, 0), (Qt.Key.Key_Left, 0)]  # fmt: skip
    view.setCurrentIndex(view.model().index(0, 0))
    for key, row in steps:
        QTest.keyClick(view, key)
        assert view.currentIndex().row() == row
    QTest.keyClick(view, Qt.Key.Key_Right, SHIFT)
    assert chosen(view) == [0, 1]


def test_one_row_runs_sideways(qtbot: Any) -> None:
    view = shown(qtbot, 1000, one_row=True)
    index = view.model().index(900, 0)
    view.scrollTo(index)
    assert view.viewport().rect().intersects(view.visualRect(index)) and view.visualRect(index).top() == 0
    assert view.indexAt(view.visualRect(index).center()).row() == 900
    assert not view.indexAt(QPoint(10, 60)).isValid()
