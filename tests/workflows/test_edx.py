"""Tables of EDX measurements come back to their findings, leave with every export, and are undone as one step."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.exports import export_named
from microscope_qc.workflows.results.report import write_report
from microscope_qc.workflows.stage.edx import candidates_of, import_edx, keep_edx, plan_edx, site_of
from microscope_qc.workflows.stage.edx_out import compositions
from microscope_qc.workflows.stage.stage import fit_registration

TABLE = "Spectrum,O at%,Ni at%\nD3,60,40\nD3 ref,100,0\nSpectrum 9,50,50\n"
CASES = ("aztec_element_rows", "aztec_wide_weight", "bruker_esprit2", "bruker_wide_mass", "de_own", "edax_team",
         "inca_all_results_weight")  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "edx.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def aligned(project: Project) -> Project:
    """The project with an alignment that has an expected error of some um."""
    slide = project.slides[0]
    for name, y, x, off in (("A", 0, 0, 0.0), ("B", 0, 600, 1e-4), ("C", 400, 0, -1e-4), ("D", 400, 600, 1e-4)):
        project.marks.add(slide.id, name, y, x, stage_x_mm=10 + x / 2000 + off, stage_y_mm=20 - y / 2000)
    fit_registration(project, slide.id, name="R1")
    return project


def stage_of(project: Project, number: int) -> tuple[float, float]:
    """Where the middle of a finding is on the stage of :func:`aligned`."""
    (row,) = project.boxes.table(project.slides[0].id).get([number])
    return 10 + float(row["x0"] + row["x1"]) / 4000, 20 - float(row["y0"] + row["y1"]) / 4000


def labels(project: Project) -> dict[str, int | None]:
    links = project.measurements.links
    return {m.label: links[m.id].finding_id if m.id in links else None for m in project.measurements}


def test_an_import_keeps_what_belongs_to_no_finding_and_is_one_step(project: Project, table: Path) -> None:
    plan = run_job(plan_edx(project, table))
    assert len(project.measurements) == 0
    assert keep_edx(project, plan).replaced == 0
    assert labels(project) == {"D3": 3, "D3 ref": 3, "Spectrum 9": None}
    assert [m.kind for m in project.measurements] == ["point", "reference", "point"]
    assert project.history.undo_title == "Import 3 measurements from edx.csv"
    project.history.undo()
    assert len(project.measurements) == 0
    project.history.redo()
    assert project.measurements.composition(3, "at")[0].percent == 60  # without the reference


def test_a_measurement_is_placed_by_the_alignment(project: Project, tmp_path: Path) -> None:
    slide = project.slides[0]
    for name, y, x in (("A", 0, 0), ("B", 0, 600), ("C", 400, 0), ("D", 400, 600)):
        project.marks.add(slide.id, name, y, x, stage_x_mm=10 + x / 2000, stage_y_mm=20 - y / 2000)
    fit_registration(project, slide.id, name="R1")
    row = project.boxes.table(slide.id).get([4])[0]
    y, x = float(row["y0"] + row["y1"]) / 2, float(row["x0"] + row["x1"]) / 2
    path = tmp_path / "edx.csv"
    path.write_text(
        f"Spectrum,O at%,stage_x_mm,stage_y_mm\nS1,100,{10 + x / 2000},{20 - y / 2000}\nS2,100,10.29,19.99\n"
    )
    plan = run_job(plan_edx(project, path, registration="R1", aligned_on=slide.id))
    keep_edx(project, plan)
    assert labels(project) == {"S1": 4, "S2": None}
    placed, far = project.measurements
    assert placed.place_px == pytest.approx((y, x), abs=1e-3) and placed.on_slide == far.on_slide == slide.id
    assert project.measurements.links[placed.id].matched_by == "position"


def test_what_a_user_decides_before_the_import_stands(project: Project, table: Path) -> None:
    plan = run_job(plan_edx(project, table))
    keep_edx(project, plan, places={0: None, 2: 4})
    assert labels(project) == {"D3": None, "D3 ref": 3, "Spectrum 9": 4}


def test_the_same_table_again_changes_nothing_and_keeps_what_a_user_linked(project: Project, table: Path) -> None:
    run_job(import_edx(project, table))
    project.measurements.link({3: 4, 1: None})
    before = list(project.measurements)
    entry = project.history.undo_entry
    assert run_job(import_edx(project, table)).replaced == 1  # D3: nobody said where it belongs instead
    assert labels(project)["Spectrum 9"] == 4
    project.history.undo()
    assert list(project.measurements) == before and project.history.undo_entry == entry


def test_a_corrected_table_replaces_what_it_says_of_the_same_finding(project: Project, table: Path) -> None:
    run_job(import_edx(project, table))
    table.write_text(TABLE.replace("60,40", "70,30"))
    assert run_job(import_edx(project, table)).replaced == 3 and len(project.measurements) == 3
    (found, reference) = compositions(project, 3)
    assert found["at_percent"] == {"O": 70, "Ni": 30} and reference["kind"] == "reference"
    other = table.with_name("second.csv")
    other.write_text(TABLE)
    assert run_job(import_edx(project, other)).replaced == 0
    assert project.measurements.composition(3, "at")[0].percent == 65


def test_a_corrected_table_replaces_lines_without_a_finding_and_keeps_what_a_user_linked(
    project: Project, tmp_path: Path
) -> None:
    table = tmp_path / "edx.csv"
    head = "Spectrum,O at%,Ni at%,stage_x_mm,stage_y_mm\n"
    table.write_text(f"{head}Spectrum 1,60,40,,\nSpectrum 2,50,50,,\nSpectrum 3,30,70,1,2\nD4,20,80,,\n")
    run_job(import_edx(project, table))
    project.measurements.link({2: 5})
    table.write_text(f"{head}D3,60,40,,\nSpectrum 2,50,50,,\nSpectrum 3,35,65,1,2\nD5,20,80,,\n")
    assert run_job(import_edx(project, table)).replaced == 4
    assert labels(project) == {"D3": 3, "Spectrum 2": 5, "Spectrum 3": None, "D5": 5}
    assert len(project.measurements) == 4
    # another session of the instrument: the same name of the file, the same labels and lines, other amounts
    table.write_text(f"{head}Spectrum 2,10,90,,\nSpectrum 2,11,89,,\nSpectrum 3,12,88,1,3\n")
    assert run_job(import_edx(project, table)).replaced == 0


@pytest.mark.parametrize(("amounts", "total"), [("20,20", 40), ("50,90", 140), ("0.6,0.4", 1)])
def test_sums_that_are_not_about_100_are_refused_unless_they_are_meant(
    project: Project, table: Path, capsys: pytest.CaptureFixture[str], amounts: str, total: float
) -> None:
    table.write_text(TABLE.replace("60,40", amounts))
    plan = run_job(plan_edx(project, table))
    with pytest.raises(InputError, match=rf"^D3: The atom % add up to {total}\. Check"):
        keep_edx(project, plan)
    assert len(project.measurements) == 0
    project.close()
    command = ["edx", "import", str(project.path), str(table)]
    assert main(command) == 2 and "--any-sum" in capsys.readouterr().err
    assert main([*command, "--dry-run"]) == 0 and f"add up to {total}" in capsys.readouterr().out
    assert main([*command, "--any-sum"]) == 0
    with Project.open(project.path, write=False) as again:
        assert len(again.measurements) == 3


@pytest.mark.parametrize("name", CASES)
def test_the_cases_are_in_the_csv_export(project: Project, tmp_path: Path, name: str) -> None:
    path = Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "cases" / "edx" / f"{name}.csv"
    if not path.is_file():
        pytest.skip("needs the real data: set MICROSCOPE_QC_DATA")
    run_job(import_edx(project, path))
    run_job(export_named("csv").write(project, tmp_path / "a.csv"))
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["defect_id"] == "3")
    found = {symbol: float(row[f"{symbol} at%"]) for symbol in ("O", "Co", "Ni")}
    assert found == pytest.approx({"O": 61.15, "Co": 11.07, "Ni": 27.78}, abs=0.01)
    found = {symbol: float(row[f"{symbol} wt%"]) for symbol in ("O", "Co", "Ni")}
    assert found == pytest.approx({"O": 30, "Co": 20, "Ni": 50}, abs=0.01)


def test_every_export_has_the_compositions(project: Project, table: Path, tmp_path: Path) -> None:
    run_job(import_edx(project, table))
    run_job(export_named("geojson").write(project, tmp_path / "a.geojson"))
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    measured = [f["properties"]["measurements"] for f in features if "Ni at%" in f["properties"]["measurements"]]
    assert [m["Ni at%"] for m in measured] == [40]
    run_job(export_named("coco").write(project, tmp_path / "a.json"))
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [a["attributes"]["edx"]["O at%"] for a in annotations if "edx" in a["attributes"]] == [60]
    run_job(export_named("measurements").write(project, tmp_path / "a.xlsx"))
    sheet = load_workbook(tmp_path / "a.xlsx")["Measurements"]
    head, *lines = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert [dict(zip(head, line, strict=True))["Ni at%"] for line in lines] == [40, 0, 50]
    assert [line[head.index("defect_id")] for line in lines] == [3, 3, None]
    run_job(write_report(project, tmp_path / "a.html"))
    page = (tmp_path / "a.html").read_text()
    assert "<h2>Compositions</h2>" in page and "<td>60.0</td>" in page and "D3 (edx.csv)" in page
    assert "D3 ref" not in page
    project.measurements.delete([1])
    run_job(write_report(project, tmp_path / "b.html"))
    assert "<h2>Compositions</h2>" not in (tmp_path / "b.html").read_text()


def test_amounts_stand_in_the_columns_of_their_elements(project: Project, table: Path, tmp_path: Path) -> None:
    table.write_text("Spectrum,O at%,Ni at%,Fe at%\n3,60,40,\n4,,30,70\n")
    run_job(import_edx(project, table))
    run_job(export_named("csv").write(project, tmp_path / "a.csv"))
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["defect_id"]: [row[f"{e} at%"] for e in ("O", "Ni", "Fe")] for row in csv.DictReader(file)}
    assert rows["3"] == ["60.0", "40.0", ""] and rows["4"] == ["", "30.0", "70.0"] and rows["5"] == ["", "", ""]


def test_equal_lines_of_two_sheets_are_not_mixed_up_in_another_import(project: Project, tmp_path: Path) -> None:
    book = Workbook()
    for sheet, amounts in ((book.active, (60, 40)), (book.create_sheet(), (20, 80))):
        sheet.append(["Spectrum", "O at%", "Ni at%"])
        sheet.append(["Spectrum 1", *amounts])
    book.save(tmp_path / "edx.xlsx")
    run_job(import_edx(project, tmp_path / "edx.xlsx"))
    keep_edx(project, run_job(plan_edx(project, tmp_path / "edx.xlsx")), places={0: 4})  # it gets another number
    assert [m.amounts[0].percent for m in project.measurements] == [20, 60]
    assert run_job(import_edx(project, tmp_path / "edx.xlsx")).replaced == 0
    assert project.measurements.composition(4, "at")[0].percent == 60


def test_findings_are_filtered_by_what_was_measured(project: Project, table: Path) -> None:
    slide, told = project.slides[0].id, []
    project.boxes.table(slide).changed.connect(lambda change: told.append(change.ids.tolist()))
    run_job(import_edx(project, table))
    assert told == [[3]]
    project.filters.set(BoxFilter(text="Ni > 20 at%"))
    assert project.boxes.rows(slide, shown=True)["id"].tolist() == [3]
    project.measurements.link({1: None})
    assert project.boxes.rows(slide, shown=True)["id"].tolist() == []


def test_the_commands(project: Project, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project.close()
    cell = str(project.path)

    def told(*words: object) -> str:
        assert main(["edx", words[0], cell, *map(str, words[1:])]) == 0
        return capsys.readouterr().out

    assert "2 of 3 spectra matched" in told("import", table, "--dry-run")
    assert told("list") == "Nothing was measured.\n"
    told("import", table)
    assert "O 60.0, Ni 40.0 at%" in told("list") and "wt%" in told("list", "--unit", "wt")
    assert [row["label"] for row in json.loads(told("list", "--unplaced", "--json"))] == ["Spectrum 9"]
    assert told("link", 4, 3) == "Link Spectrum 9 to finding 4.\n"
    assert json.loads(told("unlink", 1, 3, "--json"))["step"]["title"] == "Unlink 2 measurements"
    assert told("delete", 1, 2, 3) == "Delete 3 measurements.\n"
    assert main(["edx", "link", cell, "99", "1"]) == 2
    table.write_text("Spectrum,O,Ni\nD3,60,40\n")
    assert main(["edx", "import", cell, str(table)]) == 2
    assert "weight % or atom %" in capsys.readouterr().err
    told("import", table, "--unit", "wt")
    frame = api.compositions(cell)
    assert frame["Ni wt%"].tolist() == [40] and frame["defect_id"].tolist() == [3]
    api.link_edx(cell, {int(frame["measurement"][0]): None})
    assert api.compositions(cell)["defect_id"].isna().all()


def test_sites_of_a_shuffled_table_go_to_their_findings(
    aligned: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "sites.csv"
    positions = {number: stage_of(aligned, number) for number in (1, 2)}
    lines = [
        ("B-P2", 100, 0, (0, 0)), ("A-P1", 60, 40, positions[1]), ("D4-P2", 90, 10, ("", "")),
        ("B-P1", 50, 50, positions[2]), ("D4-P1", 20, 80, ("", "")), ("C-P1", 30, 70, (0, 0)),
    ]  # fmt: skip
    rows = [f"{label},{oxygen},{nickel},{place[0]},{place[1]}" for label, oxygen, nickel, place in lines]
    table.write_text("\n".join(["Spectrum,O at%,Ni at%,stage_x_mm,stage_y_mm", *rows]))
    aligned.close()
    assert main(["edx", "import", str(aligned.path), str(table), "--dry-run", "--sites", ""]) == 0
    assert "1 of 6 spectra" not in capsys.readouterr().out
    assert main(["edx", "import", str(aligned.path), str(table), "--sites", "{site}"]) == 2
    assert "where site and point stand" in capsys.readouterr().err
    found = api.import_edx(aligned.path, table).set_index("label")
    assert found["finding"].dropna().to_dict() == {"B-P2": 2, "A-P1": 1, "D4-P2": 4, "B-P1": 2, "D4-P1": 4}
    assert found["kind"].to_dict() == {
        "B-P2": "reference", "A-P1": "point", "D4-P2": "reference", "B-P1": "point", "D4-P1": "point", "C-P1": "point",
    }  # fmt: skip
    with Project.open(aligned.path) as again:
        assert [a.percent for a in again.measurements.composition(4, "at")] == [20, 80]  # without its reference
        assert [m.label for m in again.measurements.unplaced] == ["C-P1"]
        first = next(m.id for m in again.measurements if m.label == "D4-P1")
        assert [again.measurements.by_id(n).label for n in site_of(again, first)] == ["D4-P2", "D4-P1"]
        assert site_of(again, first, sites="") == (first,)
        placed = next(m for m in again.measurements if m.label == "A-P1")
        assert candidates_of(again, placed) == (1,)


def test_what_columns_hold_is_said_on_the_command_line(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "own.csv"
    table.write_text("Report\nProbe;c(Ni) corr.;c(O) corr.\nD3;40,0;60,0\nD4;30,0;70,0\n")
    project.close()
    command = ["edx", "import", str(project.path), str(table)]
    assert main(command) == 2 and "--column" in capsys.readouterr().err
    said = ["--header-line", "2", "--column", "Probe=label", "--column", "c(Ni) corr.=Ni at%"]
    assert main([*command, *said]) == 2 and "add up to 40" in capsys.readouterr().err
    assert main([*command, *said, "--column", "c(O) corr.=O at%"]) == 0
    assert api.compositions(project.path)["O at%"].tolist() == [60, 70]
    columns = {"Probe": "label", "c(Ni) corr.": "Ni at%", "c(O) corr.": "O at%"}
    found = api.import_edx(project.path, table, columns=columns, heading_line=2)
    assert found["finding"].tolist() == [3, 4]
