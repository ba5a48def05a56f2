"""Stage positions leave the window and the command line as the same files."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMenu
from test_sem import PLACES, choose, no_save, place

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.exchange.export_dialog import ExportDialog
from microscope_qc.app.panels.sem.panel import SemDock
from microscope_qc.app.widgets.export_kinds import BUTTONS, other_exports
from microscope_qc.cli import main
from microscope_qc.correlation.registry import STAGE_FORMATS

pytestmark = pytest.mark.window
SHEET = "sheet"
NAMES = (*STAGE_FORMATS.names(), SHEET)
"""What the command line calls them."""


@pytest.fixture
def settings() -> AppSettings:
    return AppSettings()


@pytest.fixture
def dock(qtbot: Any, session: Any, jobs: Any, settings: AppSettings, tmp_path: Path) -> Iterator[SemDock]:
    """The panel on six chosen findings, one of them rejected and two hidden by the view filter, aligned."""
    (tmp_path / "window").mkdir()
    files = {export_name(name): file_of(name) for name in NAMES}
    made = SemDock(
        session,
        jobs,
        settings,
        save=no_save,
        ask_path=lambda _parent, export, _path: tmp_path / "window" / files[export.name],
    )
    qtbot.addWidget(made)
    made.resize(400, 900)
    with qtbot.waitExposed(made):
        made.show()
    ids = choose(session, 7)
    session.judging.reject(ids[2:3], "duplicate")
    place(made, session, PLACES)
    made.align.click()
    session.set_filter(text="nowhere")
    made.refresh()
    assert len(made.travel.rows) == 6 and len(session.shown_rows()) < 12
    yield made
    made.close_crops()


def export_name(name: str) -> str:
    """What the window calls a format."""
    return "drive-sheet" if name == SHEET else f"stage:{name}"


def file_of(name: str) -> str:
    return f"{name}{'.html' if name == SHEET else STAGE_FORMATS.get(name).suffix}"


def click_export(qtbot: Any, dock: SemDock, name: str) -> None:
    """Press the button of a format, or its line in the menu of other formats."""
    wanted = export_name(name)
    with qtbot.waitSignal(dock.exports.exported, timeout=60_000):
        if wanted in dock.exports.buttons:
            qtbot.mouseClick(dock.exports.buttons[wanted], Qt.MouseButton.LeftButton)
            return
        menu = dock.exports.other.menu()
        assert isinstance(menu, QMenu)
        menu.popup(dock.exports.other.mapToGlobal(dock.exports.other.rect().bottomLeft()))
        place = [export.name for export in other_exports()].index(wanted)
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(menu.actions()[place]).center())


def pick(qtbot: Any, box: Any, name: str) -> None:
    """Choose from a list with the keyboard."""
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.findData(name)):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentData() == name


def without_the_time(path: Path) -> Any:
    """What a file holds, but for the time it was written at."""
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        about = parts["docProps/core.xml"]
        parts["docProps/core.xml"], count = re.subn(rb"<dcterms:(created|modified).*?</dcterms:\1>", b"", about)
        assert count == 2
        return parts
    if path.suffix == ".html":
        text, count = re.subn(r", \d{4}-\d\d-\d\d \d\d:\d\d", "", path.read_text(encoding="utf-8"))
        assert count == 1
        return text
    return path.read_bytes()


def command_line(project: Any, folder: Path, name: str, *options: str) -> Path:
    folder.mkdir(exist_ok=True)
    target = folder / file_of(name)
    arguments = ["stage", "export", str(project.path), str(target), "--registration", "R1", "--format", name, *options]
    assert main([*arguments, "--progress", "none"]) == 0
    return target


def test_every_format_is_offered_in_the_window() -> None:
    offered = {button.name for button in BUTTONS} | {export.name for export in other_exports()}
    assert offered >= {export_name(name) for name in NAMES}


def test_untouched_the_window_writes_what_the_command_line_writes(
    qtbot: Any, dock: SemDock, project: Any, tmp_path: Path, capsys: Any
) -> None:
    for name in NAMES:
        click_export(qtbot, dock, name)
        written = command_line(project, tmp_path / "command", name)
        assert without_the_time(tmp_path / "window" / written.name) == without_the_time(written), name
    with (tmp_path / "command" / "csv.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["defect_id"]) for line in lines] == dock.travel.rows["id"].tolist(), "in the order of the list"
    assert all(line["stage_z_mm"] == "" for line in lines)


def test_order_unit_and_height_are_those_of_the_command_line(
    qtbot: Any, dock: SemDock, project: Any, settings: AppSettings, tmp_path: Path, capsys: Any
) -> None:
    pick(qtbot, dock.route, "worst")
    pick(qtbot, dock.exports.stage.unit, "um")
    dock.exports.stage.height_mm.setFocus()
    qtbot.keyClicks(dock.exports.stage.height_mm, "12,5")  # and straight on to a button, without Return
    for name in NAMES:
        click_export(qtbot, dock, name)
        options = ["--order", "worst", "--unit", "um", "--stage-z", "12.5"]
        written = command_line(project, tmp_path / "command", name, *options)
        other = command_line(project, tmp_path / "plain", name)
        assert without_the_time(tmp_path / "window" / written.name) == without_the_time(written), name
        if not (name in STAGE_FORMATS and STAGE_FORMATS.get(name).marks_only):
            assert without_the_time(written) != without_the_time(other), name
    assert (settings.stage_order, settings.stage_unit) == ("worst", "um")
    assert "12500.0" in (tmp_path / "window" / "csv.csv").read_text()


def test_marks_leave_without_any_chosen_finding(
    qtbot: Any, dock: SemDock, project: Any, session: Any, tmp_path: Path, capsys: Any
) -> None:
    session.judging.choose(session.table.rows["id"], False)
    dock.refresh()
    assert not dock.exports.buttons["stage:csv"].isEnabled()
    click_export(qtbot, dock, "bigwarp")
    written = command_line(project, tmp_path / "command", "bigwarp")
    assert (tmp_path / "window" / written.name).read_bytes() == written.read_bytes()


def test_the_height_belongs_to_its_slide(
    qtbot: Any, dock: SemDock, session: Any, jobs: Any, project: Any, settings: AppSettings, tmp_path: Path
) -> None:
    field = dock.exports.stage.height_mm
    qtbot.keyClicks(field, "7.125")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert dock.exports.stage.options().stage_z_mm == 7.125
    dialog = ExportDialog(session, jobs, settings, save=no_save)
    qtbot.addWidget(dialog)
    assert dialog.exports.stage.height_mm.text() == "7.125 mm", "the dialog knows it"
    dialog.exports.stage.height_mm.clear()
    qtbot.keyClicks(dialog.exports.stage.height_mm, "8")
    first, second = project.slides
    session.show_slide(second.id)
    assert field.text() == "" and dock.exports.stage.options().stage_z_mm is None
    assert dialog.exports.stage.commit() and dialog.exports.stage.options().stage_z_mm is None, "typed for the other"
    session.show_slide(first.id)
    assert field.text() == "7.125 mm"
    field.clear()
    qtbot.keyClick(field, Qt.Key.Key_Space)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert dock.exports.stage.options().stage_z_mm is None and project.settings.get("stage_z_mm") == {}


def test_what_is_not_a_height_stops_the_export(qtbot: Any, dock: SemDock, session: Any, tmp_path: Path) -> None:
    qtbot.keyClicks(dock.exports.stage.height_mm, "12.5.1")
    qtbot.mouseClick(dock.exports.buttons["stage:csv"], Qt.MouseButton.LeftButton)
    assert "Stage height: “12.5.1” is not a number" in session.seen.notices[-1]
    assert list((tmp_path / "window").iterdir()) == [] and dock.exports.stage.height_mm.text() == "12.5.1"


def test_two_places_that_show_a_choice_agree(
    qtbot: Any, dock: SemDock, session: Any, jobs: Any, settings: AppSettings
) -> None:
    saved: list[str] = []
    dialog = ExportDialog(session, jobs, settings, save=lambda: saved.append(settings.stage_unit))
    qtbot.addWidget(dialog)
    pick(qtbot, dialog.exports.stage.unit, "um")
    assert saved == ["um"] and dock.exports.stage.unit.currentData() == "um"
