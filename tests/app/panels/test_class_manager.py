"""Classes: added, changed, merged, ordered, deleted, kept in files; one step of undo each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog

from microscope_qc.app.panels.classes.dialogs import DeleteClassDialog, MergeDialog
from microscope_qc.app.panels.classes.example import ExamplePicker
from microscope_qc.app.panels.classes.manager import ClassManager
from microscope_qc.app.panels.classes.panel import CODE, ClassesDock
from microscope_qc.core.class_colours import class_colours
from microscope_qc.core.class_sets import load_class_set
from microscope_qc.core.defect_class import MAGNET_CLASSES, PATCH_CLASSES, grouped

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def manager(session: Any, qtbot: Any, tmp_path: Path) -> Iterator[ClassManager]:
    """The manager on the test's project; its files lie in the test's folder."""
    path = str(tmp_path / "mine.classes.json")
    made = ClassManager(session, ask_open=lambda: path, ask_save=lambda: path)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.close()


def codes(session: Any) -> list[str]:
    """Codes of the classes in their order."""
    return [item.code for item in session.classes]


def steps(session: Any) -> int:
    """Commands in the history."""
    return len(session.project.history.entries())


def answer(kind: type[QDialog], act: Any) -> None:
    """Answer the next dialog of a kind; it must come."""

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, kind), dialog
        try:
            act(dialog)
        except BaseException:
            dialog.reject()
            raise

    QTimer.singleShot(50, look)


def click(button: Any) -> None:
    """Click with the mouse."""
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, LEFT)


def test_a_class_is_added_named_and_undone_step_by_step(manager: ClassManager, session: Any) -> None:
    before = codes(session)
    click(manager.add_button)
    assert codes(session) == [*before, "NEW"]
    manager.form.name.selectAll()
    QTest.keyClicks(manager.form.name, "Binder lump")
    QTest.keyClick(manager.form.name, Qt.Key.Key_Return)
    assert session.classes[-1].name == "Binder lump"
    manager.form.code.selectAll()
    QTest.keyClicks(manager.form.code, "BIN")
    QTest.keyClick(manager.form.code, Qt.Key.Key_Return)
    assert session.classes[-1].code == "BIN"
    click(manager.undo)
    assert (session.classes[-1].code, manager.form.code.text()) == ("NEW", "NEW")
    click(manager.undo)
    click(manager.undo)
    assert codes(session) == before


def test_what_was_typed_is_kept_when_another_class_is_chosen(manager: ClassManager, session: Any) -> None:
    first, second = session.classes[:2]
    manager.show_class(first.id)
    manager.form.description.setPlainText("Only whole ones")
    manager.form.name.setText("Another name")
    manager.show_class(second.id)
    kept = session.class_of(first.id)
    assert (kept.name, kept.description) == ("Another name", "Only whole ones")
    assert session.class_of(second.id).name == second.name


def test_a_code_that_is_taken_is_refused_in_words(manager: ClassManager, session: Any) -> None:
    first, second = session.classes[:2]
    manager.show_class(second.id)
    manager.form.code.setText(first.code)
    QTest.keyClick(manager.form.code, Qt.Key.Key_Return)
    assert session.class_of(second.id).code == second.code
    assert manager.form.code.text() == second.code
    assert first.code in manager.reason.text() and manager.reason.isVisible()


def test_the_palette_recolours_in_one_step(manager: ClassManager, session: Any) -> None:
    first = session.classes[0]
    manager.show_class(first.id)
    before = steps(session)
    wanted = len(manager.form.colour.swatches) - 1  # no class has it
    click(manager.form.colour.swatches[wanted])
    assert session.classes[0].colour == class_colours()[wanted] != first.colour
    assert steps(session) == before + 1
    used = class_colours().index(session.classes[1].colour)
    assert session.classes[1].code in manager.form.colour.swatches[used].toolTip()


def test_a_digit_of_another_class_is_shown_and_taken_over(manager: ClassManager, session: Any) -> None:
    first, third = session.classes[0], session.classes[2]
    manager.show_class(first.id)
    place = manager.form.key.findData(third.key)
    assert third.code in manager.form.key.itemText(place)
    before = steps(session)
    manager.form.key.setCurrentIndex(place)
    manager.form.key.activated.emit(place)
    assert session.class_of(first.id).key == third.key
    assert session.class_of(third.id).key == ""
    assert steps(session) == before + 1
    assert any(first.code in words for words in session.seen.notices)


def test_box_size_and_weight_are_numbers_with_an_empty_state(manager: ClassManager, session: Any) -> None:
    manager.show_class(session.classes[0].id)
    assert manager.form.box_size.text() == "" and manager.form.box_size.lineEdit().placeholderText() == "not set"
    manager.form.box_size.selectAll()
    QTest.keyClicks(manager.form.box_size, "12.5")
    QTest.keyClick(manager.form.box_size, Qt.Key.Key_Return)
    assert session.classes[0].box_size_um == 12.5
    manager.form.box_size.setValue(0)
    assert session.classes[0].box_size_um is None
    manager.form.weight.setValue(3)
    assert session.classes[0].weight == 3


def test_rows_are_ordered_by_button_and_by_dragging(manager: ClassManager, session: Any) -> None:
    start = codes(session)
    manager.show_class(session.classes[0].id)
    assert not manager.up.isEnabled() and "first" in manager.up.toolTip()
    click(manager.down)
    assert codes(session) == [start[1], start[0], *start[2:]]
    before = steps(session)
    last = manager.list.topLevelItem(manager.list.topLevelItemCount() - 1)
    below = manager.list.visualItemRect(last).bottomLeft()
    drop = QDropEvent(QPointF(below), Qt.DropAction.MoveAction, QMimeData(), LEFT, Qt.KeyboardModifier.NoModifier)
    manager.list.dropEvent(drop)
    assert codes(session) == [*start[1:], start[0]]
    assert steps(session) == before + 1
    assert manager.list.current_id() == session.classes[-1].id
    click(manager.undo)
    assert codes(session) == [start[1], start[0], *start[2:]]


def test_several_rows_are_moved_together(manager: ClassManager, session: Any) -> None:
    start = codes(session)
    ids = [item.id for item in session.classes]
    manager.list.choose([ids[1], ids[2]], current=ids[1])
    manager.list.move_to(5)
    assert codes(session) == [start[0], start[3], start[4], start[1], start[2], *start[5:]]
    manager.list.move_to(2)  # where they are
    manager.list.move_by(-1)
    assert codes(session)[:5] == [start[0], start[1], start[2], start[3], start[4]]


def test_a_merge_says_how_many_findings_move_and_is_one_step(manager: ClassManager, session: Any) -> None:
    a, b, c = session.classes[:3]
    manager.list.choose([a.id, b.id], current=a.id)
    before, findings = steps(session), len(session.table)

    def look(dialog: MergeDialog) -> None:
        dialog.into.setCurrentIndex(dialog.into.findData(b.id))
        assert dialog.moving() == 4
        assert "4 findings" in dialog.words.text() and dialog.crops is not None
        dialog.accept()

    answer(MergeDialog, look)
    click(manager.merge_button)
    assert a.code not in codes(session)
    assert len(session.table) == findings
    assert int((session.table.rows["class_id"] == b.id).sum()) == 8
    assert steps(session) == before + 1
    click(manager.undo)
    assert codes(session)[0] == a.code
    assert np.bincount(session.table.rows["class_id"])[[a.id, b.id, c.id]].tolist() == [4, 4, 4]


@pytest.mark.parametrize("delete", [False, True])
def test_deleting_a_class_in_use_asks_where_its_findings_go(
    manager: ClassManager, session: Any, *, delete: bool
) -> None:
    first, second = session.classes[:2]
    manager.show_class(first.id)

    def look(dialog: DeleteClassDialog) -> None:
        if delete:
            dialog.delete_button.setChecked(True)
            assert not dialog.target.isEnabled()
        else:
            dialog.target.setCurrentIndex(dialog.target.findData(second.id))
        dialog.accept()

    answer(DeleteClassDialog, look)
    click(manager.delete_button)
    assert first.code not in codes(session)
    assert len(session.table) == (8 if delete else 12)
    click(manager.undo)
    assert codes(session)[0] == first.code
    assert int((session.table.rows["class_id"] == first.id).sum()) == 4


def test_an_unused_class_goes_without_a_question(manager: ClassManager, session: Any) -> None:
    unused = session.classes[-1]
    manager.show_class(unused.id)
    click(manager.delete_button)
    assert unused.code not in codes(session)


def test_sets_are_added_saved_and_loaded(manager: ClassManager, session: Any, tmp_path: Path) -> None:
    before = steps(session)
    manager.take(MAGNET_CLASSES, "Magnets")
    assert codes(session)[-4:] == [item.code for item in MAGNET_CLASSES]
    assert steps(session) == before + 1
    manager.take(MAGNET_CLASSES, "Magnets")
    assert steps(session) == before + 1 and "already" in session.seen.notices[-1]
    manager.save()
    saved = load_class_set(tmp_path / "mine.classes.json")
    assert [item.code for item in saved] == codes(session)
    click(manager.undo)
    assert len(codes(session)) == 10
    manager.load()
    assert codes(session)[-4:] == [item.code for item in MAGNET_CLASSES]
    (tmp_path / "mine.classes.json").write_text("{}")
    manager.load()
    assert "no classes" in manager.reason.text()
    titles = [action.text() for action in manager.sets.menu().actions()]
    assert any(str(len(PATCH_CLASSES)) in title for title in titles)


def test_an_example_is_chosen_among_the_crops_of_the_class(manager: ClassManager, session: Any, qtbot: Any) -> None:
    first = session.classes[0]
    manager.show_class(first.id)
    assert not manager.example.go_there.isEnabled()

    def look(dialog: ExamplePicker) -> None:
        assert dialog.crops.model().rowCount() == 4
        dialog.crops.setCurrentIndex(dialog.crops.model().index(1, 0))
        dialog.accept()

    answer(ExamplePicker, look)
    click(manager.example.choose)
    example = session.class_of(first.id).example_box
    assert example and int(session.table.get([example])[0]["class_id"]) == first.id
    assert not manager.example.crop.pixmap().isNull()
    click(manager.example.go_there)
    assert session.selection.current == example
    assert session.seen.centred[-1] == example
    click(manager.example.remove)
    assert session.class_of(first.id).example_box == 0
    click(manager.example.take_selected)
    assert session.class_of(first.id).example_box == example
    session.editing.delete(np.array([example]))
    manager.show_class(session.classes[1].id)
    manager.show_class(first.id)
    assert "has been deleted" in manager.example.crop.text()


def test_a_reader_sees_everything_and_is_told_who_writes(
    session: Any, project: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project

    reader = Session()
    reader.set_project(Project.open(project.path, write=False))
    manager = ClassManager(reader)
    qtbot.addWidget(manager)
    manager.show()
    user = project.owner["user"]
    assert user in manager.reason.text()
    for button in (manager.add_button, manager.down, manager.merge_button, manager.delete_button):
        assert not button.isEnabled() and user in button.toolTip()
    assert not manager.form.isEnabled()
    assert manager.list.topLevelItemCount() == len(project.classes)
    manager.close()
    reader.set_project(None)


def test_the_dock_adds_deletes_and_asks_for_the_manager(session: Any, qtbot: Any) -> None:
    dock = ClassesDock(session)
    qtbot.addWidget(dock)
    dock.show()
    asked: list[int] = []
    dock.manage_requested.connect(asked.append)
    QTest.keyClicks(dock.new_name, "Bright streak wide")
    QTest.keyClick(dock.new_name, Qt.Key.Key_Return)
    assert codes(session)[-1] == "BSW"
    click(dock.manage_button)
    row = next(dock.rows())
    dock.tree.itemDoubleClicked.emit(row.parent(), 0)
    assert asked == [0], "a heading is no class"
    dock.tree.itemDoubleClicked.emit(row, 1)
    assert asked == [0, session.classes[0].id]


def headings(dock: ClassesDock) -> list[str]:
    items = (dock.tree.topLevelItem(place) for place in range(dock.tree.topLevelItemCount()))
    return [item.text(0) for item in items if item.childCount()]


def test_classes_stand_below_their_groups_with_counts(session: Any, qtbot: Any) -> None:
    dock = ClassesDock(session)
    qtbot.addWidget(dock)
    dock.show()
    shown = session.shown.class_counts()
    of_group = {
        group: sum(shown.get(item.id, 0) for item in items) for group, items in grouped(session.classes).items()
    }
    assert sum(of_group.values()) == len(session.shown_rows()) and of_group["Anode"]
    assert headings(dock) == [
        f"{group or 'Without a group'}   {count}".removesuffix("   0") for group, count in of_group.items()
    ]
    for item in session.classes:
        session.project.classes.edit(item.id, group="")
    assert headings(dock) == []
    assert [row.text(CODE) for row in dock.rows()] == codes(session)


def test_a_group_is_typed_and_undone(manager: ClassManager, session: Any) -> None:
    first = session.classes[0]
    manager.show_class(first.id)
    assert manager.form.group.currentText() == "Anode"
    line = manager.form.group.lineEdit()
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "Casing")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert session.classes[0].group == "Casing"
    assert manager.form.group.findText("Casing") >= 0
    session.undoing.undo()
    assert session.classes[0].group == manager.form.group.currentText() == "Anode"
