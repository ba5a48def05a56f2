"""The report of many slides: bounded pictures, a line for each slide, and totals that are those of the places."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Progress, run_job
from microscope_qc.project import Project
from microscope_qc.reports.crops import bounded_jpeg, decoded
from microscope_qc.workflows.results.report import write_report
from microscope_qc.workflows.results.report_content import ReportChoice, collect
from microscope_qc.workflows.results.statistics import project_statistics

SIDE = 120


def many_slides(folder: Path, count: int) -> Project:
    """Slides of noise, which compresses worst; slide n has n % 5 findings on 0.0036 mm2."""
    rng = np.random.default_rng(3)
    paths = [folder / f"S{number:03d}.png" for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))
    project = Project.create(folder / "many", slides=paths)
    ids = [cls.id for cls in project.classes]
    for number, slide in enumerate(list(project.slides)):
        project.slides.set_pixel_size(slide.id, 0.5)
        rows = make_rows(number % 5)
        rows["class_id"] = [ids[place % 2] for place in range(len(rows))]
        rows["y0"], rows["x0"] = np.arange(len(rows)) * 20 + 4, 10
        rows["y1"], rows["x1"] = rows["y0"] + 9, 20
        rows["confidence"], rows["state"] = np.nan, 1
        project.boxes.add(slide.id, rows)
        project.areas.declare(slide.id, Region(0, 0, SIDE, SIDE))
    return project


@pytest.fixture
def project(tmp_path: Path):
    with many_slides(tmp_path, 20) as made:
        yield made


def test_every_slide_has_a_line_and_some_have_a_map(project: Project, tmp_path: Path) -> None:
    steps: list[Progress] = []
    run_job(write_report(project, tmp_path / "r.html", choice=ReportChoice(worst=3, maps=3)), steps.append)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('<img class="small"') == 20 and page.count("<h2>Positions") == 3
    assert len(re.findall(r'<figure><img [^>]* alt="\w+ #\d+">', page)) == 6, "three of each of two classes"
    assert page.count('<img class="sheet"') == 2
    assert [page.count(f": {word}</figcaption>") for word in ("searched", "viewed")] == [3, 3]
    for slide in project.slides:
        assert f'<td class="text">{slide.name}</td>' in page
    assert "Every slide" in page
    fractions = [step.done / step.total for step in steps if step.unit == "pictures"]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert {step.unit for step in steps} == {"slides", "pictures", "patterns", ""}, (
        "without one where files are looked at"
    )

    run_job(write_report(project, tmp_path / "whole.html"))
    assert (tmp_path / "whole.html").read_text(encoding="utf-8").count("<h2>Positions") == 12


def test_few_slides_all_have_a_map(project: Project, tmp_path: Path) -> None:
    names = [slide.name for slide in project.slides][3:5]
    chosen = [word for name in names for word in ("--slide", name)]
    project.close()
    assert main(["report", str(project.path), str(tmp_path / "r.html"), *chosen, "--progress", "none"]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<h2>Positions") == 2 and "S000" not in page


def test_totals_are_those_of_the_places(project: Project) -> None:
    report = run_job(collect(project, ReportChoice(maps=2)))
    places = sum(len(project.boxes.rows(slide.id)) for slide in project.slides)
    assert report.total.kept == places == 40
    assert {row.code: row.kept for row in report.total.classes if row.kept} == {"ACP": 24, "AOP": 16}
    of_slides = [row for slide in report.slides for row in slide.classes]
    assert [sum(row.kept for row in of_slides if row.code == code) for code in ("ACP", "AOP")] == [24, 16]
    area_mm2 = 20 * (SIDE * 0.5 / 1000) ** 2
    assert report.total.area_mm2 == pytest.approx(area_mm2)
    assert report.total.per_mm2 == pytest.approx(places / area_mm2)
    assert sum(slide.detailed for slide in report.slides) == 2
    assert [(sheet.code, sheet.shown) for sheet in report.gallery] == [("ACP", 24), ("AOP", 16)]
    some = project_statistics(project, [slide.id for slide in project.slides][4:6])
    assert [slide["slide"] for slide in some["slides"]] == ["S004", "S005"] and some["total"]["kept"] == 4


def test_what_cannot_be_opened_is_one_sentence(project: Project, tmp_path: Path) -> None:
    for number in (2, 3, 4):
        (tmp_path / f"S{number:03d}.png").write_bytes(b"damaged")
    report = run_job(collect(project, ReportChoice(maps=2)))
    assert len(report.slides) == 20 and len(report.warnings) == 1
    assert report.warnings[0].startswith("3 slides (S002, S003, S004), such as S002: No pictures of S002")
    assert report.total.kept == 40, "its numbers are there"
    assert sum(sheet.of - sheet.shown for sheet in report.gallery) == 2 + 3 + 4


def test_a_report_can_be_stopped(project: Project, tmp_path: Path) -> None:
    job = write_report(project, tmp_path / "r.html")
    for _ in range(5):
        next(job)
    job.close()
    assert not (tmp_path / "r.html").exists()


def test_a_picture_has_no_more_bytes_than_it_may() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (900, 700, 3), dtype=np.uint8)
    data = bounded_jpeg(noise, 60_000)
    assert len(data) <= 60_000 and decoded(data).shape[0] >= 225
    plain = np.full((900, 700, 3), 90, np.uint8)
    assert decoded(bounded_jpeg(plain, 60_000)).shape == plain.shape, "what is small enough keeps its size"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_four_hundred_slides_stay_below_twenty_megabytes(tmp_path: Path) -> None:
    with many_slides(tmp_path, 400) as project:
        for name in ("r.html", "r.pdf"):
            run_job(write_report(project, tmp_path / name))
            assert (tmp_path / name).stat().st_size < 20e6
