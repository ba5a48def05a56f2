"""An import is previewed before it is done; training pictures are cut from a dialog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from panels_support import SHAPE
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from microscope_qc.app.panels.exchange.import_dialog import LEAVE_OUT, NEW, ImportDialog
from microscope_qc.app.panels.exchange.training_dialog import TILES, TrainingDialog
from microscope_qc.core.errors import InputError
from microscope_qc.workflows.exchange.importing import carry_out

LEFT = Qt.MouseButton.LeftButton


def coco(path: Path, boxes: list[tuple[str, str, list[float]]]) -> Path:
    """A COCO file: (picture, class, bbox) for each box."""
    pictures = list(dict.fromkeys(picture for picture, _, _ in boxes))
    names = list(dict.fromkeys(name for _, name, _ in boxes))
    content = {
        "images": [
            {"id": n, "file_name": name, "width": SHAPE[1], "height": SHAPE[0]} for n, name in enumerate(pictures, 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
        "annotations": [
            {"id": n, "image_id": pictures.index(p) + 1, "category_id": names.index(c) + 1, "bbox": box}
            for n, (p, c, box) in enumerate(boxes, 1)
        ],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def open_dialog(session: Any, jobs: Any, qtbot: Any) -> Any:
    """Opens the dialog on a file and waits for its dry run."""

    def make(path: Path, *, fails: bool = False) -> ImportDialog:
        dialog = ImportDialog(session, jobs, path)
        qtbot.addWidget(dialog)
        dialog.show()
        ready = (lambda: "Reading" not in dialog.summary.text()) if fails else dialog.take.isEnabled
        qtbot.waitUntil(ready)
        return dialog

    return make


def test_the_dry_run_says_everything_and_writes_nothing(open_dialog: Any, session: Any, tmp_path: Path) -> None:
    first, geometry = session.classes[0], next(item for item in session.classes if item.code == "GEO")
    path = coco(
        tmp_path / "labels.json",
        [
            ("S1.png", first.code, [10, 10, 20, 20]),
            ("S1.png", first.code, [10, 10, 20, 20]),
            ("S1.png", "Riss", [50, 50, 20, 20]),
            ("S2.png", "geometry", [50, 90, 20, 20]),
            ("S1.png", "Riss", [-90, -90, 20, 20]),
            ("elsewhere.png", "Riss", [5, 5, 5, 5]),
        ],
    )
    steps = len(session.project.history.entries())
    dialog = open_dialog(path)
    assert "COCO" in dialog.format.currentText()
    words = dialog.summary.text()
    for said in ("4 findings", "S1 3", "S2 1", "Riss", "1 finding is already here", "outside", "elsewhere.png"):
        assert said in words, said
    assert dialog.chooser(first.code).currentData() == first.code
    assert dialog.chooser("geometry").currentData() == geometry.code
    assert dialog.chooser("Riss").currentData() == NEW
    assert len(session.project.history.entries()) == steps
    QTest.mouseClick(dialog.take, LEFT)
    summary = carry_out(session.project, dialog.plan)
    assert (summary.boxes, summary.new_classes) == (4, ("Riss",))
    assert len(session.project.history.entries()) == steps + 1
    session.undoing.undo()
    assert len(session.table) == 12 and "Riss" not in {item.code for item in session.classes}


def test_names_are_mapped_or_left_out(open_dialog: Any, session: Any, qtbot: Any, tmp_path: Path) -> None:
    target = session.classes[3]
    boxes = [("S1.png", "kratzer", [10, 10, 9, 9]), ("S1.png", "dreck", [40, 40, 9, 9])]
    dialog = open_dialog(coco(tmp_path / "labels.json", boxes))
    chooser = dialog.chooser("kratzer")
    chooser.setCurrentIndex(chooser.findData(target.code))
    assert not dialog.take.isEnabled()  # what it says is out of date
    other = dialog.chooser("dreck")
    other.setCurrentIndex(other.findData(LEAVE_OUT))
    qtbot.waitUntil(dialog.take.isEnabled)
    assert "1 finding would" in dialog.summary.text() and "left out" in dialog.summary.text()
    summary = carry_out(session.project, dialog.plan)
    assert summary.new_classes == ()
    assert int((session.table.rows["class_id"] == target.id).sum()) == 1


def test_duplicates_are_left_out_when_asked(open_dialog: Any, session: Any, qtbot: Any, tmp_path: Path) -> None:
    code = session.classes[0].code
    boxes = [("S1.png", code, [10, 10, 9, 9]), ("S1.png", code, [10, 10, 9, 9])]
    dialog = open_dialog(coco(tmp_path / "labels.json", boxes))
    assert "Import 2" in dialog.take.text()
    dialog.duplicates.setChecked(True)
    qtbot.waitUntil(lambda: dialog.take.isEnabled() and "Import 1" in dialog.take.text())


def test_a_broken_file_says_why(open_dialog: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{]")
    dialog = open_dialog(path, fails=True)
    assert "x.json" in dialog.summary.text()
    assert not dialog.take.isEnabled()


def test_a_plan_that_is_out_of_date_is_refused(open_dialog: Any, session: Any, tmp_path: Path) -> None:
    dialog = open_dialog(coco(tmp_path / "labels.json", [("S1.png", "Riss", [10, 10, 9, 9])]))
    session.project.classes.delete(session.classes[-1].id)
    with pytest.raises(InputError, match="changed in the meantime"):
        carry_out(session.project, dialog.plan)
    assert len(session.table) == 12


def test_training_pictures_of_some_classes_are_cut_in_tiles(
    session: Any, jobs: Any, qtbot: Any, tmp_path: Path
) -> None:
    nothing = TrainingDialog(session, jobs)
    qtbot.addWidget(nothing)
    assert not nothing.cut.isEnabled() and "confirm" in nothing.words.text()
    session.judging.confirm(session.table.rows["id"])
    first, second, third = session.classes[:3]
    dialog = TrainingDialog(session, jobs, ask_folder=lambda _parent, _here: str(tmp_path / "sets"))
    (tmp_path / "sets").mkdir()
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.chosen_classes() == [first.code, second.code, third.code]
    assert "12 findings" in dialog.words.text() and not dialog.overlap.isEnabled()
    dialog.classes.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert "8 findings" in dialog.words.text()
    dialog.layout_choice.setCurrentIndex(dialog.layout_choice.findData(TILES))
    dialog.tile.setValue(400)
    dialog.overlap.setValue(64)
    dialog.pad.setChecked(True)
    dialog.format.setCurrentIndex(dialog.format.findData("voc"))
    QTest.mouseClick(dialog.browse, LEFT)
    out = Path(dialog.folder.text())
    assert out.parent == tmp_path / "sets"
    QTest.mouseClick(dialog.cut, LEFT)
    qtbot.waitUntil(lambda: not jobs.running, timeout=60_000)
    assert any("pictures with" in words for words in session.seen.notices), session.seen.notices
    said = "".join(file.read_text() for file in (out / "annotations").glob("*.xml"))
    assert first.code in said and third.code in said and second.code not in said
    assert len(list((out / "images").glob("*.png"))) > 3


def test_a_folder_in_use_is_refused(session: Any, jobs: Any, qtbot: Any, tmp_path: Path) -> None:
    session.judging.confirm(session.table.rows["id"])
    dialog = TrainingDialog(session, jobs)
    qtbot.addWidget(dialog)
    assert dialog.cut.isEnabled()
    dialog.folder.setText(str(tmp_path))
    assert not dialog.cut.isEnabled() and "not empty" in dialog.words.text()


def test_training_pictures_are_those_of_the_scope(session: Any, jobs: Any, qtbot: Any) -> None:
    session.judging.confirm(session.table.rows["id"])
    dialog = TrainingDialog(session, jobs)
    qtbot.addWidget(dialog)
    assert dialog.words.text() == "12 findings that a user confirmed or drew, on this slide."
    session.show_slide(session.project.slides[1].id)
    assert not dialog.cut.isEnabled() and "Nothing is confirmed or drawn yet on this slide" in dialog.words.text()
    assert dialog.chosen_classes() == []
    session.scope.set_kind("all")
    assert dialog.cut.isEnabled() and dialog.words.text().endswith("on all 2 slides.")
    assert len(dialog.chosen_classes()) == 3


def test_a_picture_that_fits_two_slides_is_asked(open_dialog: Any, session: Any, qtbot: Any, tmp_path: Path) -> None:
    boxes = [(name, session.classes[0].code, [10, 10, 9, 9]) for name in ("a/S1.png", "b/S1.png", "S2.png")]
    dialog = open_dialog(coco(tmp_path / "labels.json", boxes), fails=True)
    qtbot.waitUntil(dialog.pictures.isVisible)
    assert "2 pictures fit" in dialog.summary.text() and not dialog.take.isEnabled()
    first, second = dialog.pictures.chooser("a/S1.png"), dialog.pictures.chooser("b/S1.png")
    first.setCurrentIndex(first.findText("S1"))
    second.setCurrentIndex(second.findText("Leave out"))
    qtbot.waitUntil(dialog.take.isEnabled)
    summary = carry_out(session.project, dialog.plan)
    assert summary.slides == {"S1": 1, "S2": 1} and summary.unmatched == {"b/S1.png": "left out"}


def test_findings_without_a_class_are_asked(open_dialog: Any, session: Any, qtbot: Any, tmp_path: Path) -> None:
    path = coco(tmp_path / "labels.json", [("S1.png", "Riss", [10, 10, 9, 9]), ("S1.png", "x", [40, 40, 9, 9])])
    content = json.loads(path.read_text())
    del content["annotations"][1]["category_id"]
    path.write_text(json.dumps(content))
    dialog = open_dialog(path, fails=True)
    qtbot.waitUntil(lambda: "1 finding has no class" in dialog.summary.text())
    assert not dialog.take.isEnabled()
    chooser = dialog.chooser("")
    chooser.setCurrentIndex(chooser.findData(session.classes[0].code))
    qtbot.waitUntil(dialog.take.isEnabled)
    assert carry_out(session.project, dialog.plan).mapped == {"Riss": "Riss", "": session.classes[0].code}
