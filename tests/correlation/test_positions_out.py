"""Stage positions in every format, and compositions back to their findings."""

from __future__ import annotations

import csv
import dataclasses
import json
import struct
import zipfile

import numpy as np
import pytest
import yaml
from openpyxl import Workbook, load_workbook

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.elements import ATOMIC_WEIGHT, atomic_percent
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.correlation.edx import match_spectra
from microscope_qc.correlation.edx_tables import Spectrum, finding_number, read_spectra
from microscope_qc.correlation.registration import fit
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.correlation.targets import TargetList, make_targets

CLASSES = [DefectClass("AOP", "Anode oxide particle", id=1), DefectClass('=cmd|"x', "Evil", id=2)]


@pytest.fixture
def targets() -> TargetList:
    marks = np.array([[0.0, 0.0], [0.0, 4000.0], [4000.0, 0.0], [4000.0, 4000.0]])
    stage = np.array([[10.0, 20.0], [12.0, 20.001], [10.0, 18.0], [12.0, 18.0]])
    registration = fit(marks, stage, (0.5, 0.5))
    rows = make_rows(3, id=[4, 7, 12], class_id=[1, 2, 1], y0=[100, 900, 5000], x0=[200, 100, 5000])
    rows["y1"], rows["x1"] = rows["y0"] + 20, rows["x0"] + 40
    return TargetList("slide", "abc", "=R1", registration, make_targets(rows, CLASSES, registration))


def test_csv_has_the_columns_and_values(targets, tmp_path):
    STAGE_FORMATS.get("csv").write(tmp_path / "a.csv", targets)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == (
        "defect_id,class,stage_x_mm,stage_y_mm,stage_z_mm,r95_um,box_w_um,box_h_um,px_x,px_y,specimen_x_um,specimen_y_um,"
        "registration_id,outside_marks"
    )
    assert [row["outside_marks"] for row in rows] == ["yes" if t.outside_marks else "no" for t in targets.targets]
    first = rows[0]
    assert float(first["stage_x_mm"]) == pytest.approx(10.11, abs=1e-3)
    assert float(first["stage_y_mm"]) == pytest.approx(19.945, abs=1e-3)
    assert (float(first["px_x"]), float(first["px_y"])) == (220, 110)
    assert (float(first["specimen_x_um"]), float(first["specimen_y_um"])) == (110, 55)
    assert (float(first["box_w_um"]), float(first["box_h_um"])) == (20, 10)
    assert first["stage_z_mm"] == "" and float(first["r95_um"]) > 0
    assert rows[1]["class"].startswith("'=") and first["registration_id"] == "'=R1"


def test_column_names_carry_the_unit(targets, tmp_path):
    STAGE_FORMATS.get("csv").write(tmp_path / "a.csv", targets, unit="um")
    head, line = (tmp_path / "a.csv").read_text().splitlines()[:2]
    assert "stage_x_um" in head and "stage_x_mm" not in head
    assert float(line.split(",")[2]) == pytest.approx(10110, abs=1)


def test_xlsx_is_a_table_for_excel(targets, tmp_path):
    STAGE_FORMATS.get("xlsx").write(tmp_path / "a.xlsx", targets)
    book = load_workbook(tmp_path / "a.xlsx")
    sheet = book["Coordinates"]
    assert sheet.freeze_panes == "A2" and sheet.max_row == 4
    assert sheet["C2"].number_format == "0.0000" and isinstance(sheet["C2"].value, float)
    assert sheet["B3"].data_type == "s" and sheet["B3"].value.startswith("'=")
    assert not any(cell.data_type == "f" for ws in book for row in ws.iter_rows() for cell in row)
    assert [row[0].value for row in book["Marks"].iter_rows(min_row=2)] == ["M1", "M2", "M3", "M4"]


def test_the_sidecar_repeats_the_map(targets, tmp_path):
    STAGE_FORMATS.get("json").write(tmp_path / "a.json", targets)
    root = json.loads((tmp_path / "a.json").read_text())
    matrix = np.array(root["registration"]["matrix_slide_px_xy_to_stage_mm"])
    first = root["defects"][0]
    stage = matrix @ [first["px_x"], first["px_y"], 1]
    assert stage == pytest.approx([first["stage_x_mm"], first["stage_y_mm"]], abs=1e-5)
    assert root["slide"]["fingerprint"] == "abc" and root["defects"][2]["outside_marks"] is True


def test_serialem_items_have_one_point_in_um(targets, tmp_path):
    STAGE_FORMATS.get("nav").write(tmp_path / "a.nav", targets)
    text = (tmp_path / "a.nav").read_text()
    assert text.startswith("AdocVersion = 2.00\n")
    assert text.count("[Item = ") == 3 == text.count("NumPts = 1")
    x = float(text.split("PtsX = ")[1].split()[0])
    assert x == pytest.approx(10110, abs=1)


def test_epma_bigwarp_useq_micromanager(targets, tmp_path):
    for name in ("epma", "bigwarp", "useq", "micromanager"):
        STAGE_FORMATS.get(name).write(tmp_path / name, targets)
    epma = (tmp_path / "epma").read_text().splitlines()
    assert epma[:3] == ["0,0,0,0"] * 3
    cells = next(csv.reader([epma[3]]))
    assert cells[:3] == ["2", "1", "4 AOP"] and len(cells) == 11
    warp = list(csv.reader((tmp_path / "bigwarp").read_text().splitlines()))
    assert warp[1][:2] == ["Pt-1", "true"] and [float(v) for v in warp[1][2:]] == [4000, 0, 12000, 20001]
    positions = yaml.safe_load((tmp_path / "useq").read_text())["stage_positions"]
    assert positions[0]["name"] == "4 AOP" and positions[0]["x"] == pytest.approx(10110, abs=1)
    manager = json.loads((tmp_path / "micromanager").read_text())["map"]["StagePositions"]["array"]
    assert manager[2]["DevicePositions"]["array"][0]["Position_um"]["array"][0] == pytest.approx(12510, abs=1)


def test_useq_is_yaml_whatever_a_class_is_called(targets, tmp_path):
    names = ["4 no: #1", "7 - *x", "12 裂纹 {a, b}"]
    renamed = [
        dataclasses.replace(t, class_code=n.split(" ", 1)[1]) for t, n in zip(targets.targets, names, strict=True)
    ]
    listed = dataclasses.replace(targets, targets=tuple(renamed), stage_z_mm=-1.5)
    STAGE_FORMATS.get("useq").write(tmp_path / "a.yaml", listed)
    root = yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8"))
    assert root["axis_order"] == "p"
    for position, target in zip(root["stage_positions"], renamed, strict=True):
        assert position == {
            "x": pytest.approx(target.stage_x_mm * 1000, abs=6e-4),
            "y": pytest.approx(target.stage_y_mm * 1000, abs=6e-4),
            "name": f"{target.finding_id} {target.class_code}" + (" (outside marks)" if target.outside_marks else ""),
            "z": -1500.0,
        }
    STAGE_FORMATS.get("useq").write(tmp_path / "b.yaml", dataclasses.replace(targets, targets=()))
    assert yaml.safe_load((tmp_path / "b.yaml").read_text()) == {"axis_order": "p", "stage_positions": []}


def roi(data: bytes) -> tuple[tuple[int, ...], tuple[float, ...], str]:
    """Whole sides (top, left, bottom, right), exact ones (x, y, width, height) and name, as ij.io.RoiDecoder reads."""
    assert data[:4] == b"Iout" and struct.unpack_from(">h", data, 4)[0] >= 223 and data[6] == 1, "a rectangle"
    assert struct.unpack_from(">h", data, 48)[0] == 0, "no subtype"
    assert struct.unpack_from(">h", data, 50)[0] & 128, "the exact sides count"
    second = struct.unpack_from(">i", data, 60)[0]
    start, length = struct.unpack_from(">ii", data, second + 16)
    name = data[start : start + 2 * length].decode("utf-16-be")
    assert len(data) == start + 2 * length
    return struct.unpack_from(">4h", data, 8), struct.unpack_from(">4f", data, 18), name


def test_imagej_rois_hold_the_boxes(targets, tmp_path):
    STAGE_FORMATS.get("imagej").write(tmp_path / "a.zip", targets)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        found = [roi(archive.read(name)) for name in names]
    assert names[0] == "4 AOP.roi" and len(names) == 3
    assert found[0] == ((100, 200, 120, 240), (200, 100, 40, 20), "4 AOP")
    assert found[1][2] + ".roi" == names[1]


def test_imagej_rois_on_a_large_slide_and_of_any_class(targets, tmp_path):
    far = dataclasses.replace(targets.targets[0], x_px=120_000.25, y_px=90_000.5, class_code="a/b\\裂😀")
    for name in ("a.zip", "b.zip"):
        STAGE_FORMATS.get("imagej").write(tmp_path / name, dataclasses.replace(targets, targets=(far,)))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (name,) = archive.namelist()
        whole, exact, label = roi(archive.read(name))
    assert label == "4 a_b_裂" and name == "4 a_b_裂.roi"
    assert whole == (32767,) * 4 and exact == pytest.approx((120_000.25 - 20, 90_000.5 - 10, 40, 20), abs=0.01)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_no_check_leaves_the_error_empty(tmp_path):
    marks = np.array([[0.0, 0.0], [0.0, 4000.0], [4000.0, 0.0]])
    registration = fit(marks, np.array([[0.0, 0], [2, 0], [0, -2]]), (0.5, 0.5), model="affine")
    rows = make_rows(1, id=1, class_id=1, y1=10, x1=10)
    found = TargetList("s", "", "R", registration, make_targets(rows, CLASSES, registration))
    for name, known in STAGE_FORMATS.items():
        known.write(tmp_path / f"{name}{known.suffix}", found)
    assert (tmp_path / "csv.csv").read_text().splitlines()[1].split(",")[5] == ""


def test_unknown_formats_are_refused():
    with pytest.raises(InputError, match="oxford"):
        STAGE_FORMATS.get("oxford")


@pytest.mark.parametrize(
    ("label", "number"),
    [("12", 12), ("D012", 12), ("#12", 12), ("defect 12", 12), ("12 AOP", 12), ("Spectrum 12", None), ("", None)],
)
def test_numbers_of_findings_in_labels(label, number):
    assert finding_number(label) == number


def test_wide_tables_with_units_and_positions(tmp_path):
    path = tmp_path / "edx.csv"
    path.write_text("Label;O at%;Al at%;stage_x_mm;stage_y_mm\nD4;60,5;39,5;;\npoint;1;2;10,11;19,945\nfar;1;2;0;0\n")
    spectra = read_spectra(path)
    assert spectra[0].at_percent == {"O": 60.5, "Al": 39.5}
    assert spectra[1].stage_mm == (10.11, 19.945)


def test_matching_by_label_then_position_and_never_by_guessing(targets):
    rows = make_rows(3, id=[4, 7, 9], class_id=1, y0=[100, 900, 900], x0=[200, 100, 110])
    rows["y1"], rows["x1"] = rows["y0"] + 20, rows["x0"] + 40
    stage = targets.registration.to_stage(np.array([[110.0, 220.0], [910.0, 130.0], [3000.0, 3000.0]]))

    spectra = [Spectrum("D7", {"O": 100.0})] + [
        Spectrum(name, {"O": 100.0}, stage_mm=(float(x), float(y)))
        for name, (x, y) in zip(("one", "both", "none"), stage, strict=True)
    ]
    found = match_spectra(spectra, rows, targets.registration)
    assert [(m.label, m.box_id, m.by) for m in found.matched] == [("D7", 7, "label"), ("one", 4, "position")]
    assert found.ambiguous == {"both": (7, 9)}
    assert list(found.unmatched) == ["none"]


def test_aztec_blocks_in_excel_and_weight_percent(tmp_path):
    book = Workbook()
    for row in [["D4"], ["Element", "Wt%", "Wt% Sigma"], ["O", 47.07, 0.1], ["Al", 52.93, 0.1], ["Total", 100]]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    (spectrum,) = read_spectra(tmp_path / "a.xlsx")
    assert spectrum.label == "D4"
    assert spectrum.at_percent == pytest.approx({"O": 60.0, "Al": 40.0}, abs=0.05)  # Al2O3


def test_atomic_weights_are_in_order():
    weights = list(ATOMIC_WEIGHT.values())
    assert len(weights) == 94
    swapped = [s for s, a, b in zip(ATOMIC_WEIGHT, weights, weights[1:], strict=False) if b < a]
    assert swapped == ["Ar", "Co", "Te", "Th", "U"]  # the known inversions of the periodic table
    assert atomic_percent({}) == {}


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "Label,Comment\nD1,x\n"])
def test_tables_without_compositions_are_refused(tmp_path, content):
    path = tmp_path / "edx.csv"
    path.write_text(content)
    with pytest.raises(ExchangeError, match="edx.csv"):
        read_spectra(path)
    (tmp_path / "edx.xlsx").write_text("no workbook")
    with pytest.raises(ExchangeError, match="edx.xlsx"):
        read_spectra(tmp_path / "edx.xlsx")


@pytest.mark.parametrize("name", ["nav", "epma", "useq", "micromanager"])
def test_a_place_outside_the_marks_is_named_so_and_still_tells_its_number(targets, tmp_path, name):
    assert [target.outside_marks for target in targets.targets].count(True) == 1
    STAGE_FORMATS.get(name).write(tmp_path / "a", targets)
    assert (tmp_path / "a").read_text(encoding="utf-8").count("(outside marks)") == 1
    assert finding_number("12 AOP (outside marks)") == 12
