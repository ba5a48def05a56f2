"""Pixel sizes of many slides, what is known of specimens, removing several slides: in the real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QFileDialog, QLineEdit, QMessageBox

from microscope_qc.app.commands import slides as commands
from microscope_qc.app.dialogs.slide import PixelSizeDialog
from microscope_qc.app.dialogs.specimen import SEVERAL, SpecimenDialog
from microscope_qc.app.dialogs.specimen_field import NewFieldDialog
from microscope_qc.app.dialogs.specimen_import import SpecimenNamesDialog, SpecimenTableDialog

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from microscope_qc.app.shell.main_window import MainWindow
    from microscope_qc.project import Project

LEFT = Qt.MouseButton.LeftButton


def choose(window: MainWindow, *names: str) -> None:
    project = window.session.project
    dock = window.navigator.show_panel("slides")
    dock.view.choose([project.slides.named(name).id for name in names])


def type_into(line: QLineEdit, text: str) -> None:
    line.setFocus()
    line.selectAll()
    QTest.keyClick(line, Qt.Key.Key_Delete)
    if text:
        QTest.keyClicks(line, text)


def answering(monkeypatch: pytest.MonkeyPatch, kind: type, act: Callable) -> None:
    """Instead of waiting for the user, a dialog is acted on and returns what ``act`` does."""

    def run(dialog: object) -> int:
        dialog.show()
        return act(dialog) or dialog.result()

    monkeypatch.setattr(kind, "exec", run)


# -- pixel size --------------------------------------------------------------------------------------------------------


def test_the_pixel_size_of_all_slides_is_typed_once(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(dialog: PixelSizeDialog) -> None:
        assert [button.text() for button in dialog.slides.buttons] == ["S1", "All 2 slides"]
        assert dialog.slides.slide_ids() == [1]
        QTest.mouseClick(dialog.slides.buttons[1], LEFT)
        for text, problem in (("1.234,5", "not a number"), ("", "is missing"), ("0", "It is"), ("2 kg", "µm")):
            type_into(dialog.number, text)
            assert not dialog._accept.isEnabled() and problem in dialog._result.text(), text
        type_into(dialog.number, "0,35")
        assert dialog.size_um() == 0.35 and "2 slides with another size" in dialog._result.text()
        dialog.accept()

    answering(monkeypatch, PixelSizeDialog, act)
    window.navigator.trigger("slide.pixel_size")
    assert [slide.pixel_size_um for slide in project.slides] == [(0.35, 0.35)] * 2
    assert project.history.undo_title == "Set pixel size of 2 slides"
    window.navigator.trigger("edit.undo")
    assert [slide.pixel_size_um for slide in project.slides] == [(0.5, 0.5)] * 2


def test_the_pixel_size_is_that_of_the_chosen_slides_and_different_ones_are_said(
    window: MainWindow, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.slides.set_pixel_size(2, 0.2)

    def act(dialog: PixelSizeDialog) -> None:
        assert dialog.slides.slide_ids() == [1, 2]
        assert dialog.number.text() == "" and dialog.number.lineEdit().placeholderText() == "several sizes"
        type_into(dialog.number, "500 nm")
        assert "1 slide with another size" in dialog._result.text()
        dialog.reject()

    answering(monkeypatch, PixelSizeDialog, act)
    choose(window, "S1", "S2")
    window.navigator.trigger("slide.pixel_size")
    assert [slide.pixel_size_um for slide in project.slides] == [(0.5, 0.5), (0.2, 0.2)]


def test_the_pixel_size_is_that_of_the_slides_without_one_and_no_choice_is_cut(
    window: MainWindow, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{name}.png" for name in ("bare1", "bare2")]
    for place, path in enumerate(paths):
        Image.fromarray(np.full((40, 50), 90 + place, np.uint8)).save(path)
    bare = [project.slides.add(path).id for path in paths]

    def act(dialog: PixelSizeDialog) -> None:
        words = [button.text() for button in dialog.slides.buttons]
        assert words == ["S1", "The 2 slides without a size", "All 4 slides"]
        type_into(dialog.number, "0,35")
        QTest.mouseClick(dialog.slides.buttons[2], LEFT, pos=QPoint(8, 8))
        assert "2 slides with another size" in dialog._result.text()
        dialog.layout().activate()
        assert all(button.height() >= button.minimumSizeHint().height() for button in dialog.slides.buttons)
        QTest.mouseClick(dialog.slides.buttons[1], LEFT, pos=QPoint(8, 8))
        assert dialog.slides.slide_ids() == bare and not dialog._result.text()
        assert dialog.size_um() == 0.35, "what was typed before stays"
        dialog.accept()

    answering(monkeypatch, PixelSizeDialog, act)
    window.navigator.trigger("slide.pixel_size")
    assert [slide.pixel_size_um for slide in project.slides] == [(0.5, 0.5)] * 2 + [(0.35, 0.35)] * 2


def test_the_question_for_the_pixel_size_goes_when_its_words_are_true_no_more(
    window: MainWindow, project: Project, qtbot: QtBot
) -> None:
    project.slides.set_pixel_sizes([1, 2], None)
    commands.ask_pixel_size_once(window.context)
    assert window.message_bar.isVisible() and "S1 and 1 other slide do not say" in window.message_bar.text
    project.slides.set_pixel_size(1, 0.35)
    qtbot.waitUntil(lambda: not window.message_bar.isVisible())


# -- the form ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def form(window: MainWindow, project: Project, qtbot: QtBot) -> SpecimenDialog:
    """The form about both slides, whose batches differ."""
    project.fields.add("Side", "choice", choices=["left", "right"])
    project.fields.set({1: {"batch": "B1", "producer": "LG", "side": "left"}, 2: {"batch": "B2", "producer": "LG"}})
    made = SpecimenDialog(window.session, [1, 2], window)
    qtbot.addWidget(made)
    made.show()
    return made


def test_only_what_was_changed_is_set_on_all_slides(form: SpecimenDialog, project: Project, window: MainWindow) -> None:
    assert form.lines["batch"].placeholderText() == SEVERAL and form.lines["batch"].text() == ""
    assert form.lines["producer"].text() == "LG"
    assert form.changed() == {}
    side = form.lines["Side"]
    assert isinstance(side, QComboBox) and side.currentText() == SEVERAL
    type_into(form.lines["capacity"], "2,85")
    type_into(form.lines["production_date"], "2018-02-08")
    form.save_button.click()
    new = {"producer": "LG", "capacity": 2.85, "production_date": "2018-02-08"}
    assert project.fields.of(1) == {"batch": "B1", "Side": "left", **new}
    assert project.fields.of(2) == {"batch": "B2", **new}
    assert project.history.undo_title == "Set production date and capacity of 2 slides"
    window.navigator.trigger("edit.undo")
    assert "capacity" not in project.fields.of(2)


def test_a_wrong_value_is_said_at_once_and_cannot_be_saved(form: SpecimenDialog, project: Project) -> None:
    entry = project.history.undo_entry
    for name, wrong in (("capacity", "1.234,5"), ("capacity", "3 kg"), ("production_date", "08.02.2018")):
        type_into(form.lines[name], wrong)
        assert not form.save_button.isEnabled()
        assert wrong.split()[-1] in form.problem.text()
        type_into(form.lines[name], "")
        assert form.save_button.isEnabled() and not form.problem.isVisible()
    form.save_button.click()
    assert project.history.undo_entry == entry


def test_values_are_taken_away_and_chosen(form: SpecimenDialog, project: Project) -> None:
    type_into(form.lines["producer"], "")
    side = form.lines["Side"]
    side.setCurrentIndex(side.findData("right"))
    form.save_button.click()
    assert [project.fields.of(n) for n in (1, 2)] == [
        {"batch": "B1", "Side": "right"},
        {"batch": "B2", "Side": "right"},
    ]


def test_a_field_is_added_renamed_and_removed_in_the_form(
    form: SpecimenDialog, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_into(form.lines["model"], "ICR")

    def act(dialog: NewFieldDialog) -> None:
        dialog.name.setText("batch")
        dialog._on_accepted()
        assert "already" in dialog.problem.text()
        dialog.name.setText("Force")
        dialog.kind.setCurrentIndex(1)
        assert dialog.unit.isVisibleTo(dialog) and not dialog.choices.isVisibleTo(dialog)
        dialog.unit.setText("kN")
        dialog._on_accepted()

    answering(monkeypatch, NewFieldDialog, act)
    QTest.mouseClick(form.add_button, LEFT)
    assert form.lines["model"].text() == "ICR", "what was typed stays"
    type_into(form.lines["Force"], "1,5")
    form.save_button.click()
    assert project.fields.of(1)["Force"] == 1.5 and project.fields.of(2)["model"] == "ICR"
    assert [field.name for field in project.fields] == ["Side", "Force"]


# -- tables and names --------------------------------------------------------------------------------------------------


def test_a_table_is_shown_before_it_is_taken_over(
    window: MainWindow, project: Project, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "specimens.csv"
    path.write_text("slide;batch;capacity (mAh);operator\nS1;B7;2850;anna\nS9;x;1;\nS2;;1.234,5;\n", encoding="utf-8")
    dialog = SpecimenTableDialog(window.context, path, window)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.up_to_date)
    cells = [[dialog.cells.index(row, column).data() for column in range(4)] for row in range(dialog.cells.rowCount())]
    assert cells == [["S1", "Batch", "–", "B7"], ["S1", "Capacity (Ah)", "–", "2.85"]]
    told = dialog.problems.toPlainText()
    assert "no slide S9" in told and "“operator”" in told and "1.234,5" in told
    assert project.fields.of(1) == {}
    dialog.add_fields.setChecked(True)
    qtbot.waitUntil(lambda: dialog.up_to_date)
    assert "1 field would be added" in dialog.words.text()
    dialog.take_button.click()
    assert project.fields.of(1) == {"batch": "B7", "capacity": 2.85, "operator": "anna"}
    assert project.history.undo_title == "Fields from specimens.csv"
    window.navigator.trigger("edit.undo")
    assert project.fields.of(1) == {} and not list(project.fields)


def test_a_file_that_is_no_table_says_so(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"nonsense")
    dialog = SpecimenTableDialog(window.context, tmp_path / "a.xlsx", window)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.up_to_date)
    assert "not an Excel table" in dialog.words.text() and not dialog.take_button.isEnabled()
    dialog._on_accepted()


def test_a_pattern_shows_what_each_name_gives(window: MainWindow, project: Project, qtbot: QtBot) -> None:
    choose(window, "S1", "S2")
    dialog = SpecimenNamesDialog(window.context, window)
    qtbot.addWidget(dialog)
    dialog.show()
    assert "such as {batch}" in dialog.words.text() and not dialog.take_button.isEnabled()
    for text, words in (("{colour}", "no field {colour}"), ("S{", "not closed"), ("X{batch}", "0 of 2 names fit")):
        dialog.pattern.setText(text)
        qtbot.waitUntil(lambda: dialog.up_to_date)
        assert words in dialog.words.text() and not dialog.take_button.isEnabled(), text
    type_into(dialog.pattern, "S")
    dialog._insert(project.fields.named("specimen"))
    qtbot.waitUntil(lambda: dialog.up_to_date)
    assert dialog.pattern.text() == "S{specimen}" and "2 values on 2 slides" in dialog.words.text()
    assert [dialog.cells.index(row, 1).data() for row in range(2)] == ["1", "2"]
    dialog.take_button.click()
    assert [project.fields.of(n) for n in (1, 2)] == [{"specimen": "1"}, {"specimen": "2"}]
    window.navigator.trigger("edit.undo")
    assert project.fields.of(1) == {}
    again = SpecimenNamesDialog(window.context, window)
    qtbot.addWidget(again)
    assert again.pattern.text() == "S{specimen}"
    again.close()
    again.deleteLater()  # an answer that is on its way finds nobody


def test_the_specimens_are_written_as_a_table_with_the_ending_that_was_chosen(
    window: MainWindow, project: Project, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.fields.set({1: {"batch": "B7"}})
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "out"), "CSV table (*.csv)"))
    window.navigator.trigger("slide.export_fields")
    qtbot.waitUntil((tmp_path / "out.csv").exists)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1].startswith("S1,,B7,")


# -- removing ----------------------------------------------------------------------------------------------------------


def removing(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> list[QMessageBox]:
    asked: list[QMessageBox] = []

    def run(box: QMessageBox) -> int:
        asked.append(box)
        role = QMessageBox.ButtonRole.AcceptRole if yes else QMessageBox.ButtonRole.RejectRole
        next(button for button in box.buttons() if box.buttonRole(button) == role).click()
        return 0

    monkeypatch.setattr(commands.QMessageBox, "exec", run)
    return asked


def test_several_slides_are_removed_after_saying_in_numbers_what_goes(
    window: MainWindow, project: Project, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.marks.add(2, "A", 1, 1)
    project.inclusion.set_limit(0.95)  # what does not count now goes too
    choose(window, "S1", "S2")
    dock = window.navigator.show_panel("slides")
    asked = removing(monkeypatch, yes=False)
    QTest.keyClick(dock.view, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(asked) == 1)
    assert asked[0].text() == "Remove 2 slides from the project?"
    assert asked[0].informativeText().startswith("8 findings and 1 mark will be removed with them.")
    assert len(project.slides) == 2
    asked = removing(monkeypatch, yes=True)
    window.book.refresh()
    assert window.book.actions["slide.remove"].text() == "Remove 2 slides from the project…"
    window.navigator.trigger("slide.remove")
    qtbot.waitUntil(lambda: not len(project.slides))
    window.navigator.trigger("edit.undo")
    assert len(project.slides) == 2 and len(project.boxes.table(1)) == 8


def test_many_findings_are_removed_by_a_worker(
    window: MainWindow, project: Project, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "REMOVED_AT_ONCE", 0)
    qtbot.waitUntil(lambda: not window.jobs.running)
    removing(monkeypatch, yes=True)
    choose(window, "S1")
    window.navigator.trigger("slide.remove")
    qtbot.waitUntil(lambda: len(project.slides) == 1)
    assert not project.is_writing and project.history.undo_title == "Remove slide S1 with 8 findings"
    assert window.session.slide.name == "S2"
    window.navigator.trigger("edit.undo")
    assert len(project.boxes.table(1)) == 8


def test_f2_renames_in_the_list(window: MainWindow, project: Project, qtbot: QtBot) -> None:
    QTest.keyClick(window.canvas, Qt.Key.Key_F2)
    dock = window.navigator.show_panel("slides")
    editor = dock.view.findChild(QLineEdit)
    assert editor is not None
    type_into(editor, "Cell")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: project.slides[0].name == "Cell")


def test_the_menu_of_the_list_offers_what_can_be_done(window: MainWindow) -> None:
    from microscope_qc.app.panels.slides.panel import MENU

    actions = window.navigator.menu_actions([name for group in MENU for name in group])
    assert [action.objectName() for action in actions] == [name for group in MENU for name in group]
