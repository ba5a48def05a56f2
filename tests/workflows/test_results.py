"""Overview, report, stage positions and compositions of a project."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from microscope_qc.core.boxes import BoxFilter
from microscope_qc.core.errors import ExchangeError, InputError, RegistrationError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.reports import overview
from microscope_qc.workflows.results.report import write_overview, write_report
from microscope_qc.workflows.results.statistics import project_statistics
from microscope_qc.workflows.results.statistics_text import statistics_lines
from microscope_qc.workflows.stage.edx import import_edx
from microscope_qc.workflows.stage.edx_out import compositions
from microscope_qc.workflows.stage.stage import export_stage, fit_registration, read_marks, store_marks

MARKS = "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm\nA,0,0,10,20\nB,600,0,10.3,20\nC,0,400,10,19.8\n"


@pytest.fixture
def aligned(project, tmp_path):
    (tmp_path / "marks.csv").write_text(MARKS)
    slide = project.slides[0]
    store_marks(project, slide.id, read_marks(tmp_path / "marks.csv"))
    fit_registration(project, slide.id, name="R1")
    return project


def test_overview_marks_what_is_chosen(project, tmp_path):
    run_job(write_overview(project, tmp_path / "a.png", selected=True))
    run_job(write_overview(project, tmp_path / "b.png"))
    chosen, everything = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert min(chosen.shape[:2]) > 800  # a small slide is enlarged
    amber, vermilion = (230, 159, 0), (213, 94, 0)
    assert (chosen == amber).all(axis=2).any()  # ACP is chosen
    blue = (0, 114, 178)  # CFA is not
    assert not (chosen == blue).all(axis=2).any() and (everything == blue).all(axis=2).any()
    assert not (everything == vermilion).all(axis=2).any()  # CRP does not occur
    with pytest.raises(InputError, match="PNG"):
        run_job(write_overview(project, tmp_path / "a.bmp"))


def test_overview_as_tiff_knows_its_scale(project, tmp_path):
    run_job(write_overview(project, tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        numerator, denominator = page.tags["XResolution"].value
        assert page.tags["ResolutionUnit"].value == 3  # per cm
        # 600 px of 0.5 um stand on 1200 px: 0.25 um each
        assert numerator / denominator == pytest.approx(1e4 / 0.25, rel=1e-3)


def test_a_large_overview_is_written_in_parts_and_is_the_same(project, tmp_path, monkeypatch):
    run_job(write_overview(project, tmp_path / "whole.tif", long_side_px=1200))
    monkeypatch.setattr(overview, "MOST_PX_AT_ONCE", 1000)
    monkeypatch.setattr(overview, "BAND_PX", 37)
    run_job(write_overview(project, tmp_path / "parts.tif", long_side_px=1200))
    whole, parts = (tifffile.imread(tmp_path / name) for name in ("whole.tif", "parts.tif"))
    assert whole.shape == parts.shape
    # numbers stand between pixels, and are rounded from where a part begins
    assert (np.abs(whole.astype(int) - parts).max(axis=2) > 40).mean() < 2e-3
    with tifffile.TiffFile(tmp_path / "parts.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == 3 and file.pages[0].compression == 1
    for name in ("a.png", "a.pdf"):
        with pytest.raises(InputError, match="too large"):
            run_job(write_overview(project, tmp_path / name))
    assert not list(tmp_path.glob("a.*"))


def test_overview_as_pdf_is_one_page(project, tmp_path):
    run_job(write_overview(project, tmp_path / "a.pdf", long_side_px=1500))
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF") and len(re.findall(rb"/Type /Page\b", data)) == 1
    (box,) = re.findall(rb"/MediaBox \[ *0 0 ([\d.]+) ([\d.]+) *\]", data)
    assert max(map(float, box)) == pytest.approx(400 / 25.4 * 72, rel=0.01), "points"


def test_overview_without_anything_chosen_is_refused(project, tmp_path):
    project.boxes.edit(project.boxes.rows()["id"], chosen=False)
    with pytest.raises(InputError, match="chosen"):
        run_job(write_overview(project, tmp_path / "a.png", selected=True))


def test_report_is_one_page_that_needs_nothing(project, tmp_path):
    project.inclusion.set_limit(0.4)
    project.filters.set(BoxFilter(text="nowhere"))  # a view filter does not matter to a report
    run_job(write_report(project, tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:|#)', page) and "<script" not in page
    assert "&lt;script&gt;" in page  # the note
    assert "confidence ≥ 0.40" in page and "prefers-color-scheme" in page and "@media print" in page
    for words in ("Anode carbon particle", "per mm²", "Sizes of all classes", "reviewed"):
        assert words in page


def test_report_without_the_slides_file_keeps_its_numbers(project, tmp_path):
    (tmp_path / "S1.png").unlink()
    run_job(write_report(project, tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "No pictures of S1" in page and "Anode carbon particle" in page


def test_a_project_without_a_slide_has_neither_overview_nor_report(tmp_path):
    with Project.create(tmp_path / "empty") as empty:
        for write, name in ((write_overview, "a.png"), (write_report, "r.html")):
            with pytest.raises(InputError, match="no slide in empty"):
                run_job(write(empty, tmp_path / name))
            assert not (tmp_path / name).exists()


def test_statistics_of_a_project(project):
    found = project_statistics(project)
    assert found["total"]["states"] == {"unreviewed": 5, "confirmed": 2, "rejected": 1}
    assert found["slides"][0]["slide_area_mm2"] == pytest.approx(0.06)
    assert found["total"]["per_mm2"] is None and found["total"]["outside_area"] == 7, "nothing was scanned or declared"
    project.areas.declare(project.slides[0].id, Region(0, 0, *project.slides[0].shape_px))
    found = project_statistics(project)
    assert found["slides"][0]["area_mm2"] == pytest.approx(0.06)
    assert found["total"]["per_mm2"] == pytest.approx(7 / 0.06)
    json.dumps(found, allow_nan=False)
    assert any(line.split()[:1] == ["AHS"] for line in statistics_lines(found))


def test_stage_positions_leave_rejected_ones_out(aligned, tmp_path):
    result = run_job(export_stage(aligned, tmp_path / "a.csv", registration="R1", format="csv"))
    assert result.positions == 2
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["defect_id"] for row in rows] == ["1", "3"]
    # box 1: x 20..40, y 10..16 px at 0.5 um
    assert float(rows[0]["stage_x_mm"]) == pytest.approx(10.015, abs=1e-6)
    assert float(rows[0]["stage_y_mm"]) == pytest.approx(19.9935, abs=1e-6)
    with pytest.raises(InputError, match="R9"):
        run_job(export_stage(aligned, tmp_path / "a.csv", registration="R9", format="csv"))


def test_only_formats_of_marks_are_written_while_nothing_is_chosen(aligned, tmp_path):
    aligned.boxes.edit(aligned.boxes.rows()["id"], chosen=False)
    with pytest.raises(InputError, match="chosen for the SEM"):
        run_job(export_stage(aligned, tmp_path / "a.csv", registration="R1", format="csv"))
    run_job(export_stage(aligned, tmp_path / "b.csv", registration="R1", format="bigwarp"))
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 3


def test_drive_sheet_shows_marks_first(aligned, tmp_path):
    run_job(export_stage(aligned, tmp_path / "a.html", registration="R1", format="sheet"))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.index("Marks: drive to these first") < page.index("<h2>Findings")
    assert page.count("data:image/jpeg") == 2 * (3 + 2) and "10.0150" in page
    assert "<script" not in page


def test_marks_are_stored_once_and_moved_by_name(aligned, tmp_path):
    slide = aligned.slides[0]
    (tmp_path / "marks.csv").write_text(MARKS.replace("B,600,0,10.3,20", "B,600,0,10.4,20"))
    store_marks(aligned, slide.id, read_marks(tmp_path / "marks.csv"))
    assert [(m.name, m.stage_x_mm) for m in aligned.marks.of_slide(slide.id)] == [("A", 10.0), ("B", 10.4), ("C", 10.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("name,slide_x_px\nA,1\n", "lacks the columns slide_y_px"),
        (MARKS + "A,1,2,3,4\n", "twice"),
        (MARKS.replace("10.3", "ten"), "not a number"),
        (MARKS.replace("10.3", "nan"), "not a number"),
    ],
)
def test_bad_tables_of_marks_are_refused(tmp_path, text, words):
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_marks(tmp_path / "marks.csv")


def test_tables_of_marks_in_other_languages_and_orders(tmp_path):
    text = "\n Stage X (mm) ;name;slide_x_px;SLIDE_Y_PX;stage_y_mm\n10,5 mm;M1;100;1e2;-0,25\n;;;;\n12;;7000,5;100;20\n"
    (tmp_path / "marks.csv").write_bytes(text.encode("cp1252"))
    first, second = read_marks(tmp_path / "marks.csv")
    assert (first.name, first.stage_x_mm, first.stage_y_mm, first.x_px, first.y_px) == ("M1", 10.5, -0.25, 100, 100)
    assert (second.name, second.x_px) == ("M2", 7000.5)
    (tmp_path / "marks.csv").write_text(text.replace("10,5 mm", "1.010,5"))
    with pytest.raises(InputError, match=r"line 3: stage_x_mm is '1\.010,5', not a number"):
        read_marks(tmp_path / "marks.csv")


def test_the_case_of_german_marks():
    path = Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "cases" / "edx" / "marks_de.csv"
    if not path.is_file():
        pytest.skip("needs the real data: set MICROSCOPE_QC_DATA")
    found = [(m.stage_x_mm, m.stage_y_mm, m.x_px) for m in read_marks(path)]
    assert found == [
        (10, 20, 100),
        (12, 20, 7000),
        (10, 22, 100),
    ]


def test_weight_percent_is_said_to_be_computed_and_a_silent_table_is_asked(aligned, tmp_path):
    (tmp_path / "edx.csv").write_text("Spectrum,O,Al\n3,47.07,52.93\n77,1,99\n")
    with pytest.raises(ExchangeError, match="does not say whether"):
        run_job(import_edx(aligned, tmp_path / "edx.csv"))
    assert compositions(aligned, 3) == []
    run_job(import_edx(aligned, tmp_path / "edx.csv", unit="wt"))
    (kept,) = compositions(aligned, 3)
    assert kept["computed"] == "at" and kept["wt_percent"] == {"O": 47.07, "Al": 52.93}
    assert kept["at_percent"] == pytest.approx({"O": 60, "Al": 40}, abs=0.05)
    assert run_job(import_edx(aligned, tmp_path / "edx.csv", unit="at")).replaced == 2


def test_alignment_needs_marks_and_a_pixel_size(project):
    slide = project.slides[0]
    with pytest.raises(RegistrationError, match="0 marks"):
        fit_registration(project, slide.id, name="R1")
    project.slides.set_pixel_size(slide.id, None)
    with pytest.raises(InputError, match="pixel size"):
        fit_registration(project, slide.id, name="R1")


def test_compositions_are_matched_to_their_defects(aligned, tmp_path):
    (tmp_path / "edx.csv").write_text("defect_id,O at%,Al at%\n3,60,40\n6,1,99\n77,1,99\n")
    result = run_job(import_edx(aligned, tmp_path / "edx.csv"))
    assert [(m.box_id, m.by) for m in result.matching.matched] == [(3, "label")]
    assert set(result.matching.unmatched) == {"6", "77"}  # 6 was rejected, 77 is none
    assert compositions(aligned, 3)[0]["at_percent"] == {"O": 60.0, "Al": 40.0}
    run_job(import_edx(aligned, tmp_path / "edx.csv"))
    assert len(compositions(aligned, 3)) == 1  # the same spectrum again replaces itself
