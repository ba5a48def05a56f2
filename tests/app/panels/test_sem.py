"""Marks, alignment, travel list and exports."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from panels_support import PIXEL_UM
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.exchange.export_dialog import ExportDialog
from microscope_qc.app.panels.sem.marks import LEFT_OUT, NAME, RESIDUAL, STAGE_X, STAGE_Y
from microscope_qc.app.panels.sem.panel import SemDock
from microscope_qc.app.panels.sem.travel import MARKS
from microscope_qc.app.widgets.export_kinds import other_exports
from microscope_qc.app.widgets.parts import ScrolledColumn
from microscope_qc.core.xray_spectrum import XraySpectrum
from microscope_qc.project import EdxMeasurement

pytestmark = pytest.mark.window

PLACES = [(100.0, 100.0), (100.0, 1500.0), (1100.0, 150.0), (1080.0, 1450.0)]


def on_stage(y: float, x: float, *, mirrored: bool = False) -> tuple[float, float]:
    """A stage turned by 10 degrees, at 50, 30 mm."""
    angle = math.radians(10)
    u, v = x * PIXEL_UM / 1000, -y * PIXEL_UM / 1000
    v = -v if mirrored else v
    return 50 + u * math.cos(angle) - v * math.sin(angle), 30 + u * math.sin(angle) + v * math.cos(angle)


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Path]:
    """Where the file dialog was answered."""
    return {}


@pytest.fixture
def settings() -> AppSettings:
    """Settings of a window."""
    return AppSettings()


def no_save() -> None:
    """Write no settings."""


@pytest.fixture
def dock(qtbot: Any, session: Any, jobs: Any, settings: AppSettings, tmp_path: Path, asked: dict[str, Path]) -> Any:
    def ask(_parent: Any, export: Any, offered: Path) -> Path:
        asked[export.name] = tmp_path / "out" / offered.name
        asked[export.name].parent.mkdir(exist_ok=True)
        return asked[export.name]

    made = SemDock(session, jobs, settings, save=no_save, ask_path=ask)
    qtbot.addWidget(made)
    made.resize(400, 720)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.close_crops()


def place(dock: SemDock, session: Any, places: list[tuple[float, float]], **how: Any) -> None:
    for y, x in places:
        session.mark_placed.emit(y, x)
        row = len(dock.marks.marks) - 1
        stage = on_stage(y, x, **how)
        assert dock.marks.setData(dock.marks.index(row, STAGE_X), f"{stage[0]:.6f}")
        assert dock.marks.setData(dock.marks.index(row, STAGE_Y), f"{stage[1]:.6f}".replace(".", ","))
    dock.refresh()


def choose(session: Any, count: int = 5) -> np.ndarray:
    ids = session.table.rows["id"][:count].copy()
    session.judging.choose(ids, True)
    return ids


def test_a_mark_from_the_canvas_asks_for_its_stage_position(dock: SemDock, session: Any, project: Any) -> None:
    dock.place.click()
    assert session.tool == "mark"
    session.mark_placed.emit(120.0, 340.0)
    mark = project.marks.of_slide(session.slide.id)[0]
    assert (mark.name, mark.y_px, mark.x_px, mark.stage_x_mm) == ("M1", 120.0, 340.0, None)
    assert dock.table.currentIndex().row() == 0 and dock.table.currentIndex().column() == STAGE_X
    assert "without a stage position" in dock.marks_note.text()
    assert not dock.align.isEnabled() and "two marks" in dock.align.toolTip()
    session.set_tool("select")
    assert not dock.place.isChecked()


def test_what_is_not_a_number_is_refused_with_a_sentence(dock: SemDock, session: Any, project: Any) -> None:
    session.mark_placed.emit(1.0, 2.0)
    assert not dock.marks.setData(dock.marks.index(0, STAGE_X), "twelve")
    assert "Stage position of M1: “twelve” is not a number" in session.seen.notices[-1]
    assert project.marks.of_slide(session.slide.id)[0].stage_x_mm is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_two_marks_demand_a_choice(qtbot: Any, dock: SemDock, session: Any, mirrored: bool) -> None:
    place(dock, session, PLACES[:2], mirrored=mirrored)
    assert dock.choice.isVisible() and dock.choice.mirror is None
    assert not dock.align.isEnabled() and "two pictures" in dock.align.toolTip()
    (dock.choice.mirrored if mirrored else dock.choice.plain).click()
    assert dock.align.isEnabled()
    dock.align.click()
    assert dock.registration is not None and dock.registration.mirror is mirrored
    expected = on_stage(700.0, 800.0, mirrored=mirrored)
    assert np.allclose(dock.registration.to_stage(np.array([[700.0, 800.0]])), [expected], atol=1e-3)
    assert f"<b>{'yes' if mirrored else 'no'}</b>" in dock.result.text()


def test_marks_that_are_too_close_together_demand_a_choice_too(dock: SemDock, session: Any) -> None:
    choose(session)
    place(dock, session, [(100.0, 100.0), (100.0, 130.0), (125.0, 110.0)])
    assert dock.choice.isVisible() and not dock.align.isEnabled()
    dock.choice.plain.click()
    dock.align.click()
    assert dock.registration is not None and not dock.registration.mirror and dock.registration.mirror_certain
    marks = [dock.travel.data(dock.travel.index(row, MARKS)) for row in range(dock.travel.rowCount())]
    assert marks == ["outside" if target.outside_marks else "" for target in dock.travel.targets]
    assert "outside" in marks


def test_the_two_pictures_differ_and_arrive(qtbot: Any, dock: SemDock, session: Any) -> None:
    place(dock, session, PLACES[:2])
    qtbot.waitUntil(lambda: dock.choice.plain._image is not None, timeout=60000)
    plain, mirrored = dock.choice.plain.grab().toImage(), dock.choice.mirrored.grab().toImage()
    assert plain != mirrored


def test_a_choice_is_forgotten_when_a_mark_moves(dock: SemDock, session: Any, project: Any) -> None:
    place(dock, session, PLACES[:2])
    dock.choice.plain.click()
    project.marks.edit(dock.marks.marks[0].id, stage_x_mm=51.0)
    dock.refresh()
    assert dock.choice.mirror is None and not dock.align.isEnabled()


def test_three_marks_are_aligned_and_the_expected_error_is_said(dock: SemDock, session: Any, project: Any) -> None:
    ids = choose(session)
    place(dock, session, PLACES[:3])
    assert not dock.choice.isVisible()
    dock.align.click()
    stored = project.registrations[-1]
    assert stored.name == "R1" and stored.slide_id == session.slide.id
    assert "Expected error (95 %) on the travel list" in dock.result.text()
    assert "Rotation" in dock.result.text() and "10.00°" in dock.result.text()
    assert dock.marks.data(dock.marks.index(0, RESIDUAL)) == "0.0"
    assert dock.marks.data(dock.marks.index(0, LEFT_OUT)) == "–", "three marks allow no leaving out"
    assert [target.finding_id for target in dock.travel.targets] == dock.travel.rows["id"].tolist()
    assert sorted(dock.travel.rows["id"].tolist()) == sorted(ids.tolist())
    texts = [dock.travel.data(dock.travel.index(0, column)) for column in range(5)]
    first = dock.travel.rows[0]
    stage = on_stage((first["y0"] + first["y1"]) / 2, (first["x0"] + first["x1"]) / 2)
    assert texts[2:4] == [f"{stage[0]:.4f}", f"{stage[1]:.4f}"]
    assert float(texts[4]) >= 0


def test_a_wrong_mark_shows_in_the_numbers(dock: SemDock, session: Any, project: Any) -> None:
    place(dock, session, PLACES)
    project.marks.edit(dock.marks.marks[3].id, stage_x_mm=dock.marks.marks[3].stage_x_mm + 0.05)
    dock.refresh()
    dock.align.click()
    left_out = [float(dock.marks.data(dock.marks.index(row, LEFT_OUT))) for row in range(4)]
    assert max(left_out) > 30
    assert "do not fit well" in dock.result.text()


def test_marks_that_changed_make_the_alignment_old(dock: SemDock, session: Any, project: Any) -> None:
    place(dock, session, PLACES[:3])
    dock.align.click()
    assert "align again" not in dock.result.text()
    dock.marks.setData(dock.marks.index(0, NAME), "corner")
    dock.refresh()
    assert "align again" in dock.result.text()
    assert dock.marks.data(dock.marks.index(0, RESIDUAL)) == "–"


def test_undo_takes_the_alignment_away(dock: SemDock, session: Any, project: Any) -> None:
    place(dock, session, PLACES[:3])
    dock.align.click()
    assert dock.registration is not None
    project.history.undo()
    dock.refresh()
    assert dock.registration is None and not dock.exports.buttons["stage:csv"].isEnabled()


def test_the_travel_list_leaves_rejected_findings_out_and_a_click_goes_there(dock: SemDock, session: Any) -> None:
    ids = choose(session)
    session.judging.reject(ids[:1], "duplicate")
    dock.refresh()
    assert ids[0] not in dock.travel.rows["id"]
    assert "1 chosen finding left out" in dock.travel_note.text()
    dock.travel_table.clicked.emit(dock.travel.index(2, 0))
    assert session.selection.current == int(dock.travel.rows["id"][2])
    dock.route.setCurrentIndex(dock.route.findData("worst"))
    assert sorted(dock.travel.rows["id"].tolist()) == sorted(ids[1:].tolist())


def test_a_mark_is_deleted(dock: SemDock, session: Any, project: Any) -> None:
    place(dock, session, PLACES[:2])
    dock.table.setCurrentIndex(dock.marks.index(0, 0))
    dock.delete.click()
    assert [mark.name for mark in project.marks.of_slide(session.slide.id)] == ["M2"]
    session.mark_placed.emit(5.0, 5.0)
    assert [mark.name for mark in project.marks.of_slide(session.slide.id)] == ["M2", "M1"]


def test_exports_that_cannot_be_written_say_why(dock: SemDock, session: Any) -> None:
    dock.refresh()
    button = dock.exports.buttons["stage:csv"]
    assert not button.isEnabled() and "Choose findings" in button.toolTip()
    choose(session)
    dock.refresh()
    assert not button.isEnabled() and "Align" in button.toolTip()
    assert dock.exports.buttons["coco"].isEnabled()


def test_coordinates_are_written_in_the_order_of_the_list(
    qtbot: Any, dock: SemDock, session: Any, asked: dict[str, Path]
) -> None:
    choose(session, 6)
    place(dock, session, PLACES)
    dock.align.click()
    for kind in ("drive-sheet", "stage:csv", "stage:xlsx"):
        with qtbot.waitSignal(dock.exports.exported, timeout=60000):
            dock.exports.buttons[kind].click()
    with asked["stage:csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["defect_id"]) for row in rows] == dock.travel.rows["id"].tolist()
    assert float(rows[0]["stage_x_mm"]) == pytest.approx(dock.travel.targets[0].stage_x_mm, abs=1e-5)
    assert asked["stage:xlsx"].stat().st_size > 1000
    sheet = asked["drive-sheet"].read_text(encoding="utf-8")
    assert "M1" in sheet and rows[0]["stage_x_mm"][:6] in sheet
    assert dock.exports.done.text() == f"Written: {asked['stage:xlsx'].name}"
    assert dock.exports.open_folder.isVisible()


def test_annotations_and_overview_are_written_beside_the_open_project(
    qtbot: Any, dock: SemDock, session: Any, asked: dict[str, Path]
) -> None:
    choose(session)
    session.set_confidence_limit(0.5)
    session.set_filter(text="nowhere")
    dock.refresh()
    shown = len(session.project.boxes.rows())
    assert f"the {shown} findings that count" in dock.exports.what.text()
    for kind in ("coco", "geojson", "voc", "overview", "report"):
        with qtbot.waitSignal(dock.exports.exported, timeout=60000):
            dock.exports.buttons[kind].click()
    coco = json.loads(asked["coco"].read_text())
    assert len(coco["annotations"]) == shown
    assert asked["overview"].read_bytes()[:4] == b"\x89PNG"
    assert "<html" in asked["report"].read_text(encoding="utf-8").lower()
    assert list(asked["voc"].rglob("*.xml"))
    session.judging.confirm(session.table.rows["id"][:1])  # the window's own project is still there to write to


def test_a_failed_export_is_a_sentence(
    qtbot: Any, session: Any, jobs: Any, settings: AppSettings, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    dialog = ExportDialog(session, jobs, settings, save=no_save, ask_path=lambda *_: blocked / "x.json")
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.exports.export("coco")
    qtbot.waitUntil(lambda: "was not written" in dialog.exports.done.text(), timeout=60000)
    assert not dialog.exports.open_folder.isVisible()


def test_a_folder_that_takes_nothing_is_asked_for_again_and_not_remembered(
    qtbot: Any, session: Any, project: Any, jobs: Any, settings: AppSettings, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    offered: list[Path] = []
    answers = iter([tmp_path / "missing", good, None])

    def ask(_parent: Any, _kind: Any, path: Path) -> Path | None:
        offered.append(path.parent)
        folder = next(answers)
        return None if folder is None else folder / path.name

    dialog = ExportDialog(session, jobs, settings, save=no_save, ask_path=ask)
    qtbot.addWidget(dialog)
    with qtbot.waitSignal(dialog.exports.exported, timeout=60000):
        dialog.exports.export("coco")
    assert offered == [project.path.parent, project.path.parent]
    dialog.exports.export("coco")
    assert offered[2] == good, "the folder that took a file is offered"
    project.settings.set("export_folder", tmp_path.anchor)
    dialog = ExportDialog(
        session, jobs, settings, save=no_save, ask_path=lambda _parent, _kind, path: offered.append(path.parent)
    )
    qtbot.addWidget(dialog)
    dialog.exports.export("coco")
    assert offered[-1] == project.path.parent, "the top of the disk is not offered"


def test_a_mark_placed_before_the_panel_is_there_still_asks(qtbot: Any, dock: SemDock, session: Any) -> None:
    dock.hide()
    session.mark_placed.emit(120.0, 340.0)
    assert dock.table.state() != dock.table.State.EditingState
    dock.show()
    qtbot.waitUntil(lambda: dock.table.state() == dock.table.State.EditingState, timeout=60000)
    assert dock.table.currentIndex().column() == STAGE_X


def test_no_answer_writes_nothing(qtbot: Any, session: Any, jobs: Any, settings: AppSettings) -> None:
    dialog = ExportDialog(session, jobs, settings, save=no_save, ask_path=lambda *_: None)
    qtbot.addWidget(dialog)
    dialog.exports.export("coco")
    assert jobs.history == []
    dialog.exports.export("overview")
    assert "Choose findings" in session.seen.notices[-1]


def test_every_other_format_is_offered(qtbot: Any, dock: SemDock, session: Any, asked: dict[str, Path]) -> None:
    choose(session)
    place(dock, session, PLACES)
    dock.align.click()
    measured = EdxMeasurement(0, 0, "a.msa", "", 0, "D1")
    session.project.measurements.add([measured], links={}, spectra={0: XraySpectrum(0, 10, (1.0, 2.0))})
    menu = dock.exports.other.menu()
    menu.aboutToShow.emit()
    assert len(menu.actions()) == len(other_exports()) >= 8
    assert all(action.isEnabled() for action in menu.actions())
    for export in other_exports():
        with qtbot.waitSignal(dock.exports.exported, timeout=60000):
            dock.exports.export(export.name)
        assert asked[export.name].exists(), export.name


def test_name_column_is_text_and_numbers_stand_right(dock: SemDock, session: Any) -> None:
    session.mark_placed.emit(1.0, 2.0)
    model = dock.marks
    assert model.headerData(STAGE_X, Qt.Orientation.Horizontal) == "X mm"
    assert model.flags(model.index(0, NAME)) & Qt.ItemFlag.ItemIsEditable
    assert not model.flags(model.index(0, RESIDUAL)) & Qt.ItemFlag.ItemIsEditable


def test_a_narrow_dock_cuts_off_no_text(dock: SemDock) -> None:
    area = dock.findChild(ScrolledColumn)
    dock.resize(120, 500)
    assert area.viewport().width() >= area.widget().minimumSizeHint().width() > 200


def place_only(session: Any, *places: tuple[float, float]) -> None:
    for y, x in places:
        session.mark_placed.emit(y, x)


def stage_of(project: Any) -> list[tuple[float | None, float | None]]:
    return [(mark.stage_x_mm, mark.stage_y_mm) for mark in project.marks]


def test_both_axes_can_be_typed_at_once_or_pasted(dock: SemDock, session: Any, project: Any) -> None:
    place_only(session, *PLACES[:3])
    assert dock.marks.setData(dock.marks.index(0, STAGE_X), "75,5 60,25")
    assert stage_of(project) == [(75.5, 60.25), (None, None), (None, None)]
    dock.refresh()
    dock.table.selectRow(1)
    QGuiApplication.clipboard().setText("x\ty\n1,5\t2,5\nM1; 3; 4")
    dock.mark_tools.paste.click()
    assert stage_of(project) == [(3, 4), (1.5, 2.5), (None, None)]
    assert project.history.undo_title == "Stage positions of 2 marks"
    QGuiApplication.clipboard().setText("M9; 3; 4")
    dock.mark_tools.paste.click()
    assert "no mark “M9”" in session.seen.notices[-1]


def test_a_mark_snaps_to_the_corner_or_says_that_there_is_none(
    dock: SemDock, session: Any, project: Any, qtbot: Any, monkeypatch: Any
) -> None:
    from microscope_qc.workflows.stage import marks

    dock.mark_tools.snap.click()
    assert not dock.mark_tools.snap.isEnabled()
    place_only(session, (100.0, 200.0))
    dock.table.selectRow(0)
    dock.mark_tools.snap.click()
    qtbot.waitUntil(lambda: any("no corner" in words for words in session.seen.notices))
    monkeypatch.setattr(marks, "exact_place", lambda slide, mark: (mark.y_px + 3, mark.x_px + 4))
    dock.mark_tools.snap.click()
    qtbot.waitUntil(lambda: project.marks[0].y_px == 103)
    assert session.seen.notices[-1] == "M1 moved by 5.0 px." and project.history.undo_title == "Snap mark M1"


def drop(dock: SemDock, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place, copy, left, none = QPointF(5, 5), Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier(0)
    enter = QDragEnterEvent(place.toPoint(), copy, data, left, none)
    dock.dragEnterEvent(enter)
    assert enter.isAccepted()
    dock.dropEvent(QDropEvent(place, copy, data, left, none))


def test_dropped_pictures_give_marks_their_positions_and_tables_are_imported(
    dock: SemDock, session: Any, project: Any, qtbot: Any, tmp_path: Path
) -> None:
    import tifffile

    paths = []
    for name, x in (("M2", 2), ("other", 3), ("third", 4)):
        tag = (34682, 2, 0, f"[User]\r\n\r\n[Stage]\r\nStageX={x / 1000}\r\nStageY=0.001", True)
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], np.zeros((8, 8), np.uint8), extratags=[tag], metadata=None)
    bad = tmp_path / "M1.txt.tif"
    bad.write_text("no picture")
    drop(dock, *paths)
    qtbot.waitUntil(lambda: any("Place the marks" in words for words in session.seen.notices))
    place_only(session, *PLACES[:2])
    drop(dock, *paths, bad)
    qtbot.waitUntil(lambda: dock.mark_tools.asked is not None)
    dialog = dock.mark_tools.asked
    assert dialog is not None and [choice.currentText() for choice in dialog.choices] == ["M2", "–", "–"]
    assert "M1.txt.tif" in dialog.words.text() and dialog.take.isEnabled()
    dialog.choices[1].setCurrentText("M2")
    assert not dialog.take.isEnabled() and "same mark" in dialog.words.text()
    dialog.choices[1].setCurrentText("M1")
    dialog.accept()
    assert stage_of(project) == [(pytest.approx(3), 1), (pytest.approx(2), 1)]
    project.history.undo()
    assert stage_of(project) == [(None, None)] * 2
    (tmp_path / "edx.csv").write_text("Spectrum,O at%\nD1,100\n")
    imported: list[Path] = []
    dock.measurements.import_from = imported.append  # type: ignore[method-assign,assignment]
    drop(dock, tmp_path / "edx.csv")
    qtbot.waitUntil(lambda: imported == [tmp_path / "edx.csv"])


def test_the_stage_is_shown_on_the_slide_and_the_list_is_driven_along(
    dock: SemDock, session: Any, project: Any, qtbot: Any, tmp_path: Path
) -> None:
    place(dock, session, PLACES)
    dock.align.click()
    choose(session, 4)
    dock.refresh()
    bar = dock.stage
    ids = dock.travel.rows["id"].tolist()
    dock.step(+1)
    dock.step(+1)
    assert session.seen.centred[-2:] == ids[:2] and dock.travel_table.currentIndex().row() == 1
    assert f" {ids[1]} at " in bar.words.text() and bar.words.text().startswith("2 of 4")
    bar.previous.click()
    dock.step(-1)
    assert session.seen.notices[-1] == "That was the first place of the travel list."
    last = dock.travel.targets[-1]
    bar.entry.setText(f"{last.stage_x_mm:.6f}; {last.stage_y_mm:.6f}".replace(".", ","))
    bar.entry.returnPressed.emit()
    now = session.stage_now
    assert now.place == (session.slide.id, pytest.approx(last.y_px, abs=0.1), pytest.approx(last.x_px, abs=0.1))
    assert "away" in bar.words.text()
    bar.from_here.click()
    assert dock.travel.rows["id"][0] == last.finding_id
    bar.entry.setText("75")
    bar.entry.returnPressed.emit()
    assert "no position" in session.seen.notices[-1]
    path = tmp_path / "stage.txt"
    path.write_text("50 30\n")
    bar.follow_file(path)
    qtbot.waitUntil(lambda: now.xy_mm == (50, 30))
    path.write_text("51,5 31\n")
    qtbot.waitUntil(lambda: now.xy_mm == (51.5, 31))
    path.unlink()
    qtbot.waitUntil(lambda: not bar.follow.isChecked())
    assert "stage.txt cannot be read" in session.seen.notices[-1]
