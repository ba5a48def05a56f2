"""EDX measurements in the window: their import, the card, the table, the filter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import Qt

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.finding.panel import FindingDock
from microscope_qc.app.panels.sem.columns_dialog import ColumnsDialog
from microscope_qc.app.panels.sem.edx_rows import COMPOSITION, FINDING
from microscope_qc.app.panels.sem.measurements import MeasurementList
from microscope_qc.app.panels.table import COLUMNS, TableDock
from microscope_qc.app.widgets.crop_slides import follow_slides
from microscope_qc.app.widgets.crops import CropProvider
from microscope_qc.core.boxes import make_rows
from microscope_qc.workflows.stage.stage import fit_registration

pytestmark = pytest.mark.window
EDIT = Qt.ItemDataRole.EditRole


@pytest.fixture
def settings() -> AppSettings:
    return AppSettings()


@pytest.fixture
def panel(session: Any, jobs: Any, settings: AppSettings, qtbot: Any) -> Iterator[MeasurementList]:
    crops = CropProvider(workers=1)
    made = MeasurementList(session, jobs, settings, save=lambda: None, crops=crops)
    follow_slides(made, crops, session)
    qtbot.addWidget(made)
    made.resize(420, 400)
    made.show()
    yield made
    crops.close()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "edx.csv"
    path.write_text(text)
    return path


def type_finding(panel: Any, place: int, text: str) -> None:
    assert panel.setData(panel.index(place, FINDING), text, EDIT)


def test_a_table_is_previewed_corrected_and_imported_as_one_step(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    path = write(tmp_path, "Spectrum,O at%,Ni at%\nD3,60,40\nD3 b,80,20\nSpectrum 9,50,50\n")
    steps = len(session.project.history.entries())
    dialog = panel.import_from(path)
    qtbot.waitUntil(dialog.take.isEnabled)
    assert [(row.label, row.finding, row.by) for row in dialog.rows.rows] == [
        ("D3", 3, "label"), ("D3 b", 3, "label"), ("Spectrum 9", None, ""),
    ]  # fmt: skip
    assert "no number of a finding" in dialog.rows.rows[2].remark and not dialog.any_sum.isVisible()
    type_finding(dialog.rows, 2, "999")
    assert "999" in dialog.summary.text() and dialog.rows.rows[2].finding is None
    type_finding(dialog.rows, 2, "#5")
    assert dialog.rows.rows[2].finding == 5 and len(session.project.history.entries()) == steps
    dialog.accept()
    assert len(session.project.history.entries()) == steps + 1
    assert [row.finding for row in panel.model.rows] == [3, 3, 5]
    session.project.history.undo()
    qtbot.waitUntil(lambda: panel.model.rows == [])


def test_what_the_table_does_not_say_is_asked(panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path) -> None:
    dialog = panel.import_from(write(tmp_path, "Spectrum,O,Ni\nD3,30,70\n"))
    qtbot.waitUntil(lambda: "weight % or atom %" in dialog.summary.text())
    assert not dialog.take.isEnabled() and "Choose it above" in dialog.summary.text()
    place = dialog.unit.findData("wt")
    dialog.unit.setCurrentIndex(place)
    dialog.unit.activated.emit(place)
    qtbot.waitUntil(dialog.take.isEnabled)
    assert dialog.rows.rows[0].composition == "O 61.1, Ni 38.9 at%"
    dialog.reject()
    assert len(session.project.measurements) == 0


def test_what_was_typed_stays_when_the_table_is_read_again(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    dialog = panel.import_from(write(tmp_path, "Spectrum,O at%,Ni at%\nD3,60,40\nSpectrum 9,50,50\n"))
    qtbot.waitUntil(dialog.take.isEnabled)
    type_finding(dialog.rows, 1, "5")
    dialog.alignment.activated.emit(0)
    assert not dialog.take.isEnabled()
    type_finding(dialog.rows, 0, "4")  # before it has been read
    qtbot.waitUntil(dialog.take.isEnabled)
    assert [row.finding for row in dialog.rows.rows] == [4, 5]
    dialog.reject()


@pytest.mark.parametrize(
    ("table", "remark"),
    [
        ("Spectrum,O at%,Ni at%\nD3,60,40\nD4,50,90\n", "add up to 140"),
        ("Spectrum,O at%,Ni at%,O wt%,Ni wt%\nD3,60,40,29,71\nD4,30,70,61.1,38.9\n", "seem to be swapped"),
    ],
    ids=["sum", "swapped"],
)
def test_doubtful_compositions_are_asked_about(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path, table: str, remark: str
) -> None:
    dialog = panel.import_from(write(tmp_path, table))
    qtbot.waitUntil(dialog.any_sum.isVisible)
    assert not dialog.take.isEnabled() and remark in dialog.rows.rows[1].remark
    dialog.any_sum.click()
    assert dialog.take.isEnabled()
    dialog.take.click()
    assert len(session.project.measurements) == 2


def test_a_measurement_without_a_finding_stays_in_sight_and_gets_one(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    dialog = panel.import_from(write(tmp_path, "Spectrum,O at%,Ni at%\nD3,60,40\nSpectrum 9,50,50\n"))
    qtbot.waitUntil(dialog.take.isEnabled)
    dialog.accept()
    assert [row.label for row in panel.model.rows] == ["Spectrum 9", "D3"]
    assert "1 without a finding" in panel.words.text()
    type_finding(panel.model, 0, "4")
    assert session.project.history.undo_title == "Link Spectrum 9 to finding 4"
    qtbot.waitUntil(lambda: "without" not in panel.words.text())
    type_finding(panel.model, 0, "")
    qtbot.waitUntil(lambda: len(session.project.measurements.links) == 1)
    panel.table.clicked.emit(panel.model.index(1, COMPOSITION))
    panel.table.selectRow(1)
    panel.delete.click()
    qtbot.waitUntil(lambda: len(panel.model.rows) == 1)


def test_card_table_and_filter_show_what_was_measured(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    card, table = FindingDock(session), TableDock(session)
    for dock in (card, table):
        qtbot.addWidget(dock)
        dock.show()
    session.selection.set([3])
    composition = COLUMNS.index("Composition")
    assert table.view.isColumnHidden(composition)
    dialog = panel.import_from(
        write(tmp_path, "D3\nElement,Wt%,Wt% Sigma\nO,30,0.3\nNi,70,0.5\nD3 b\nElement,Wt%\nO,100\n")
    )
    qtbot.waitUntil(dialog.take.isEnabled)
    dialog.accept()
    bars = card.composition
    qtbot.waitUntil(bars.isVisible)
    assert [bars.which.itemText(n) for n in range(bars.which.count())] == ["Mean of 2", "D3", "D3 b"]
    assert [(a.element, round(a.percent, 1)) for a in bars.bars.amounts] == [("O", 80.6), ("Ni", 19.4)]
    assert not bars.unlink.isEnabled() and "does not list counts as 0" in bars.words.text()
    for chooser, place in ((bars.which, 1), (bars.unit, bars.unit.findData("wt"))):
        chooser.setCurrentIndex(place)
        chooser.activated.emit(place)
    assert [(a.element, a.percent, a.sigma) for a in bars.bars.amounts] == [("Ni", 70, 0.5), ("O", 30, 0.3)]
    assert "edx.csv" in bars.words.text()
    qtbot.waitUntil(lambda: not table.view.isColumnHidden(composition))
    place = int(table.model.places_of(session.selection.ids)[0])
    assert table.model.index(place, composition).data() == "O 80.6, Ni 19.4 at%"
    session.set_filter(text="Ni > 15 at%")
    assert session.shown_rows()["id"].tolist() == [3]
    bars.unlink.click()
    qtbot.waitUntil(lambda: [bars.which.itemText(n) for n in range(bars.which.count())] == ["D3 b"])
    qtbot.waitUntil(lambda: len(session.shown_rows()) == 0)
    session.project.history.undo()
    qtbot.waitUntil(lambda: session.shown_rows()["id"].tolist() == [3])


def test_a_reference_is_subtracted_in_the_view_only(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    card = FindingDock(session)
    qtbot.addWidget(card)
    card.show()
    session.selection.set([3])
    dialog = panel.import_from(write(tmp_path, "Spectrum,O at%,C at%\nD3,60,40\nD3 ref,10,90\n"))
    qtbot.waitUntil(dialog.take.isEnabled)
    dialog.accept()
    bars = card.composition
    qtbot.waitUntil(bars.subtract.isVisible)
    assert [(a.element, a.percent) for a in bars.bars.amounts] == [("O", 60), ("C", 40)]
    bars.subtract.click()
    assert [(a.element, a.percent) for a in bars.bars.amounts] == [("O", 50), ("C", 0)]
    assert "subtracted" in bars.words.text()
    assert [a.percent for a in session.project.measurements.composition(3, "at")] == [60, 40]
    place = bars.which.count() - 1
    bars.which.setCurrentIndex(place)
    bars.which.activated.emit(place)
    assert not bars.subtract.isEnabled() and [a.percent for a in bars.bars.amounts] == [90, 10]


def stage_mm(y: float, x: float) -> tuple[float, float]:
    """Where a place lies on the stage of :func:`pair`."""
    return 10 + x / 2000, 20 - y / 2000


@pytest.fixture
def pair(session: Any) -> tuple[int, int]:
    """Two findings side by side, and an alignment with an expected error of some um."""
    project, slide = session.project, session.slide
    for name, y, x, off in (("A", 0, 0, 0.0), ("B", 0, 1600, 2e-3), ("C", 1200, 0, -2e-3), ("D", 1200, 1600, 2e-3)):
        mm = stage_mm(y, x)
        project.marks.add(slide.id, name, y, x, stage_x_mm=mm[0] + off, stage_y_mm=mm[1])
    fit_registration(project, slide.id, name="R1")
    rows = make_rows(2, class_id=project.classes[0].id, y0=600, y1=604, x0=[800, 810], x1=[804, 814])
    first, second = project.boxes.add(slide.id, rows)
    return int(first), int(second)


def test_points_of_a_site_that_fits_two_findings_are_decided_side_by_side(
    panel: MeasurementList, session: Any, settings: AppSettings, qtbot: Any, tmp_path: Path, pair: tuple[int, int]
) -> None:
    x, y = stage_mm(602, 807)
    path = write(tmp_path, f"Spectrum,O at%,C at%,stage_x_mm,stage_y_mm\nA1:1,60,40,{x},{y}\nA1:2,10,90,,\n")
    dialog = panel.import_from(path)
    qtbot.waitUntil(dialog.take.isEnabled)
    assert not dialog.candidates.isVisible() or len(dialog.rows.rows) == 2
    dialog.sites.setText("{site}:{point}")
    dialog.sites.editingFinished.emit()
    qtbot.waitUntil(lambda: "point of site A1" in dialog.rows.rows[0].remark)
    assert dialog.candidates.isVisible() and [b.finding for b in dialog.candidates.buttons] == list(pair)
    assert "µm" in dialog.candidates.buttons[0].text()
    qtbot.waitUntil(lambda: dialog.candidates._crops.waiting == 0)
    dialog.candidates.buttons[1].click()
    assert [(row.finding, row.by) for row in dialog.rows.rows] == [(pair[1], "user")] * 2
    assert not dialog.candidates.isVisible()
    dialog.accept()
    assert settings.edx_sites == "{site}:{point}"
    assert [m.kind for m in session.project.measurements.of_finding(pair[1])] == ["point", "reference"]


def test_a_site_that_stayed_without_a_finding_is_decided_later(
    panel: MeasurementList, session: Any, qtbot: Any, tmp_path: Path, pair: tuple[int, int]
) -> None:
    x, y = stage_mm(602, 807)
    path = write(tmp_path, f"Spectrum,O at%,C at%,stage_x_mm,stage_y_mm\nA1-P1,60,40,{x},{y}\nA1-P2,10,90,,\n")
    dialog = panel.import_from(path)
    qtbot.waitUntil(dialog.take.isEnabled)
    dialog.accept()
    assert [row.finding for row in panel.model.rows] == [None, None] and panel.model.rows[1].remark == "reference."
    panel.table.selectRow(0)
    assert {button.finding for button in panel.candidates.buttons} == set(pair)
    wanted = panel.candidates.buttons[0].finding
    panel.candidates.buttons[0].click()
    qtbot.waitUntil(lambda: [row.finding for row in panel.model.rows] == [wanted] * 2)
    assert session.project.history.undo_title.startswith("Link 2 measurements")
    type_finding(panel.model, 1, "")
    qtbot.waitUntil(lambda: len(session.project.measurements.links) == 0)


def test_columns_that_say_nothing_are_explained_once(
    panel: MeasurementList, session: Any, settings: AppSettings, qtbot: Any, tmp_path: Path
) -> None:
    table = "Report\n\nProbe;c(Ni) corr.;c(O) corr.;Remark\nD3;40,0;60,0;x\nD4;30,0;70,0;y\n"
    dialog = panel.import_from(write(tmp_path, table))
    qtbot.waitUntil(lambda: "holds no composition" in dialog.summary.text())
    dialog.ask_columns.click()
    qtbot.waitUntil(lambda: dialog.asked is not None)
    asked = dialog.asked
    assert asked is not None and asked.line.value() == 3 and not asked.take.isEnabled()
    for place, held in enumerate(("label", "Ni at%", "O at%")):
        asked.choices[place].setCurrentText(held)
    assert asked.take.isEnabled() and "D3: O 60.0, Ni 40.0 at%" in asked.words.text()
    asked.choices[3].setCurrentText("Xx at%")
    assert not asked.take.isEnabled() and "No column can hold" in asked.words.text()
    asked.choices[3].setCurrentText("–")
    asked.accept()
    qtbot.waitUntil(dialog.take.isEnabled)
    assert [(row.label, row.finding) for row in dialog.rows.rows] == [("D3", 3), ("D4", 4)]
    dialog.accept()
    again = panel.import_from(write(tmp_path, table.replace("40,0", "41,0").replace("60,0", "59,0")))
    qtbot.waitUntil(again.take.isEnabled)
    assert again.rows.rows[0].composition == "O 59.0, Ni 41.0 at%" and settings.edx_columns
    again.reject()


def test_columns_without_a_unit_are_asked_for_it(qtbot: Any) -> None:
    asked = ColumnsDialog([["Spectrum", "Ni K", "O K", "Stage X"], ["D3", "40", "60", "x"]])
    qtbot.addWidget(asked)
    assert [choice.currentText() for choice in asked.choices.values()][:3] == ["label", "Ni", "O"]
    assert not asked.take.isEnabled() and "amounts of Ni are atom % or weight %" in asked.words.text()
    place = asked.unit.findData("wt%")
    asked.unit.setCurrentIndex(place)
    asked.unit.activated.emit(place)
    assert asked.columns is not None and asked.take.isEnabled()
    assert [held for _, held in asked.columns.holds] == ["label", "Ni wt%", "O wt%"]
