"""Densities of a project against a count in which every scanned or declared pixel is painted, one by one."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from densities_toys import (
    ACP,
    AFP,
    AOP,
    CELLS,
    CODES,
    HEIGHT,
    PX_MM2,
    SHAPE,
    WIDTH,
    Painted,
    make,
    scan,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chi2

from microscope_qc.cli import main
from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.core.numbers import number_in
from microscope_qc.core.sheets import read_sheet
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.workflows.detection.coverage import slide_areas
from microscope_qc.workflows.detection.coverage_table import read_outline
from microscope_qc.workflows.results.statistics import project_statistics, statistics_of
from microscope_qc.workflows.results.statistics_text import statistics_lines, write_statistics_table


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with make(tmp_path) as made:
        yield made


def within(points: Sequence[tuple[float, float]], per_px: int = 1) -> np.ndarray:
    """Share of each pixel inside a polygon, by the even-odd rule at ``per_px`` squared points of it."""
    y = (np.arange(HEIGHT * per_px)[:, None] + 0.5) / per_px
    x = (np.arange(WIDTH * per_px)[None, :] + 0.5) / per_px
    inside = np.zeros((HEIGHT * per_px, WIDTH * per_px), bool)
    for (y0, x0), (y1, x1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 != y1:
            inside ^= ((y >= min(y0, y1)) & (y < max(y0, y1))) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside.reshape(HEIGHT, per_px, WIDTH, per_px).mean(axis=(1, 3))


def findings(
    project: Project, *, count: int = 60, seed: int = 5, run: int | None = None, slide: int = 0, judged: bool = True
) -> np.ndarray:
    """Findings centred on pixels, drawn or of a run; only those that were not at the place of another."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, HEIGHT, count) + 0.5, rng.integers(0, WIDTH, count) + 0.5
    confidence = np.nan if run is None else rng.random(count)
    rows = make_rows(count, class_id=rng.choice(list(CODES), count), y0=y - 2, x0=x - 2, y1=y + 2, x1=x + 2,
                     confidence=confidence)  # fmt: skip
    rows["state"] = rng.choice([0, 0, 1, 2], count) if judged else 0
    if run is None:
        project.boxes.add(project.slides[slide].id, rows)
        return rows
    before = project.boxes.last_number
    ids = project.runs.add_findings(run, rows)
    ids, rows = ids[ids > before], rows[ids > before]
    for state in (ReviewState.CONFIRMED, ReviewState.REJECTED):
        project.boxes.edit(ids[rows["state"] == state], state=state)
    return rows


def expected(painted: Painted, rows: np.ndarray, classes: Sequence[int]) -> dict[str, float | int]:
    """Findings on painted pixels, and how many pixels are."""
    pixels = np.logical_and.reduce([painted.of[number] for number in classes])
    kept = rows[np.isin(rows["class_id"], classes) & (rows["state"] != ReviewState.REJECTED)]
    inside = 0
    for row in kept:
        inside += bool(pixels[int((row["y0"] + row["y1"]) / 2), int((row["x0"] + row["x1"]) / 2)])
    return {"kept": len(kept), "in_area": inside, "area_px": int(pixels.sum())}


def assert_same(project: Project, painted: Painted, rows: np.ndarray) -> None:
    found = project_statistics(project)["slides"][0]
    row_of = {row["code"]: row for row in found["classes"]}
    for classes, row in [([number], row_of.get(code)) for number, code in CODES.items()] + [(list(CODES), found)]:
        known = expected(painted, rows, classes)
        if row is None:
            assert known["kept"] == known["area_px"] == 0
            continue
        area = known["area_px"] * PX_MM2
        assert (row["kept"], row["in_area"]) == (known["kept"], known["in_area"]), classes
        assert row["outside_area"] == known["kept"] - known["in_area"]
        assert row["area_mm2"] == pytest.approx(area, abs=1e-12)
        assert row["area_share"] == pytest.approx(known["area_px"] / (HEIGHT * WIDTH))
        if not area:
            assert row["per_mm2"] is None and row["per_mm2_interval"] is None and row["per_mm2_reason"]
            continue
        assert row["per_mm2"] == pytest.approx(known["in_area"] / area) and row["per_mm2_reason"] is None
        low, high = row["per_mm2_interval"]
        count = known["in_area"]
        assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2 / area if count else 0)
        assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 2 / area)
        assert row["area_source"]


STAIRS = [(10.0, 20.0), (10.0, 60.0), (40.0, 60.0), (40.0, 100.0), (80.0, 100.0), (80.0, 20.0)]


def test_a_region(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(10, 20, 70, 90), [ACP, AOP, AFP])
    assert_same(project, painted, rows)
    assert project_statistics(project)["slides"][0]["area_source"] == "run 1 in a region"


def test_a_part_of_a_slide_like_that_of_the_demo(tmp_path: Path) -> None:
    """7 findings on 0.36 of 6.04 mm2 are 19.4 per mm2; by the whole slide they would be 1.16."""
    file = tmp_path / "slide.png"
    Image.fromarray(np.zeros((8192, 8192), np.uint8)).save(file)
    with Project.create(tmp_path / "demo.mqc", slides=[file]) as project:
        project.slides.set_pixel_size(project.slides[0].id, 0.3)
        run = scan(project, None, Region(0, 0, 2000, 2000), list(CODES))
        corner = np.linspace(100, 1900, 7)
        project.runs.add_findings(run, make_rows(7, class_id=ACP, y0=corner, x0=corner, y1=corner + 9, x1=corner + 9,
                                                 confidence=0.9))  # fmt: skip
        found = project_statistics(project)
        assert found["total"]["per_mm2"] == found["slides"][0]["per_mm2"] == pytest.approx(7 / (2000 * 0.3e-3) ** 2)
        assert found["slides"][0]["per_mm2"] == pytest.approx(19.4, abs=0.05)
        assert found["slides"][0]["area_share"] == pytest.approx(4 / 67.1, abs=1e-3)


def test_a_mask_whose_resin_is_not_area(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(0, 0, *SHAPE), [ACP, AOP, AFP], cells=CELLS)
    assert_same(project, painted, rows)
    slide = project_statistics(project)["slides"][0]
    assert slide["area_source"] == "run 1 within the scan mask"
    assert slide["masked_share"] == pytest.approx(1 - CELLS.mean())


def test_two_runs_that_overlap_and_two_models_with_other_classes(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(0, 0, 60, 80), [ACP, AOP])
    scan(project, painted, Region(30, 40, 90, 130), [AOP, AFP], cells=CELLS)
    assert_same(project, painted, rows)
    sources = {row["code"]: row["area_source"] for row in project_statistics(project)["slides"][0]["classes"]}
    assert sources["ACP"] == "run 1 in a region"
    assert sources["AOP"] == "run 1 in a region; run 2 in a region within the scan mask"


def boxes(*corners: tuple[int, int], state: int = 0) -> np.ndarray:
    """Findings of 10 x 10 px."""
    y, x = np.array(corners).T
    return make_rows(len(corners), class_id=ACP, y0=y, x0=x, y1=y + 10, x1=x + 10, confidence=0.9, state=state)


def test_a_defect_counts_once_however_often_it_is_found(project: Project) -> None:
    one = scan(project, None, Region(0, 0, 60, 80), [ACP])
    other = scan(project, None, Region(0, 0, 90, 130), [ACP])
    project.runs.add_findings(one, boxes((5, 5), (20, 20), (40, 40)))
    project.runs.add_findings(other, boxes((6, 6), (20, 26), (40, 41), (70, 100)))  # IoU 0.68, 0.25, 0.82, none
    assert project_statistics(project)["total"]["kept"] == 5
    project.boxes.add(project.slides[0].id, boxes((71, 100)))
    assert project_statistics(project)["total"]["kept"] == 6, "what a user draws is kept, wherever it is"
    project.runs.show(other, False)
    found = project_statistics(project)
    assert found["total"]["kept"] == 4 and found["slides"][0]["warnings"] == []
    project.runs.show(one, False)
    assert project_statistics(project)["total"]["kept"] == 1, "only what was drawn"


def test_damaged_tiles_and_tiles_that_are_not_done(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(5, 5, 90, 130), [ACP, AOP, AFP], damaged=[0, 7])
    assert_same(project, painted, rows)
    scan(project, painted, Region(0, 0, 60, 60), [ACP], undone=[3, 4, 5], cells=CELLS)
    assert_same(project, painted, rows)
    acp = project_statistics(project)["slides"][0]["classes"][0]["area_source"]
    assert "2 of" in acp and "could not be read" in acp and "not done yet" in acp


def test_a_declared_area_alone_and_beside_a_run(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    area = project.areas.declare(project.slides[0].id, STAIRS, [ACP, AOP])
    painted.add(within(STAIRS) > 0, [ACP, AOP])
    assert_same(project, painted, rows)
    scan(project, painted, Region(0, 0, 50, 130), [AOP, AFP], damaged=[2])
    assert_same(project, painted, rows)
    source = project_statistics(project)["slides"][0]["classes"][0]["area_source"]
    assert source == f"declared by {area.user} {area.declared[:10]}"


def test_a_slanted_polygon_to_a_hundredth_of_a_pixel(project: Project) -> None:
    corners = [(12.3, 18.9), (30.0, 110.5), (150.0, 60.25), (60.0, -20.0)]  # it extends beyond the slide
    project.areas.declare(project.slides[0].id, corners, [ACP])
    exact = within(corners, per_px=40).sum()
    found = project_statistics(project)["slides"][0]["classes"][0]
    assert found["area_mm2"] == pytest.approx(exact * PX_MM2, rel=1e-4)


def test_what_does_not_count(project: Project) -> None:
    painted, drawn = Painted(), findings(project)
    run = scan(project, painted, Region(0, 0, 60, 80), [ACP, AOP, AFP])
    found = findings(project, seed=6, run=run)
    hidden = scan(project, painted, Region(40, 0, 90, 130), [ACP], shown=False)
    findings(project, seed=7, run=hidden, judged=False)
    assert_same(project, painted, np.concatenate([drawn, found]))
    judged = findings(project, seed=8, run=hidden)
    judged = judged[judged["state"] != ReviewState.UNREVIEWED]
    assert len(judged) > 5
    found = np.concatenate([found, judged])
    assert_same(project, painted, np.concatenate([drawn, found]))
    project.inclusion.set_limit(0.5)
    sure = found[(found["confidence"] >= 0.5) | (found["state"] != ReviewState.UNREVIEWED)]
    assert 0 < len(sure) < len(found)
    assert_same(project, painted, np.concatenate([drawn, sure]))
    project.filters.set(BoxFilter(text="nowhere", class_ids=frozenset({ACP}), min_confidence=0.9))
    assert_same(project, painted, np.concatenate([drawn, sure]))
    project.history.undo()
    assert_same(project, painted, np.concatenate([drawn, found]))


def test_a_class_that_was_merged(project: Project) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(0, 0, 60, 80), [ACP, AOP])
    project.areas.declare(project.slides[0].id, STAIRS, [ACP])
    painted.add(within(STAIRS) > 0, [ACP])
    project.classes.merge([ACP], into=AFP)
    rows["class_id"][rows["class_id"] == ACP] = AFP
    painted.of[AFP], painted.of[ACP] = painted.of[ACP], np.zeros(SHAPE, bool)
    found = {row["code"]: row for row in project_statistics(project)["slides"][0]["classes"]}
    assert "ACP" not in found
    for number in (AOP, AFP):
        known = expected(painted, rows, [number])
        assert found[CODES[number]]["in_area"] == known["in_area"]
        assert found[CODES[number]]["area_mm2"] == pytest.approx(known["area_px"] * PX_MM2)


REGIONS = st.tuples(*(st.integers(0, limit) for limit in (HEIGHT, WIDTH, HEIGHT, WIDTH))).map(
    lambda c: Region(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1).clip(SHAPE)
).filter(lambda region: not region.empty)  # fmt: skip
CLASS_LISTS = st.lists(st.sampled_from(list(CODES)), min_size=1, unique=True)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_was_scanned_and_declared(data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with make(folder) as project:
            painted, rows = Painted(), findings(project, seed=data.draw(st.integers(0, 99)))
            for _ in range(data.draw(st.integers(0, 3), label="runs")):
                cells = data.draw(st.none() | st.integers(0, 2**32 - 1).map(
                    lambda seed: np.random.default_rng(seed).random((9, 13)) < 0.6))  # fmt: skip
                tiles = st.lists(st.integers(0, 20), max_size=3)
                scan(project, painted, data.draw(REGIONS), data.draw(CLASS_LISTS), cells=cells,
                     damaged=data.draw(tiles), undone=data.draw(tiles), shown=data.draw(st.booleans()))  # fmt: skip
            for _ in range(data.draw(st.integers(0, 2), label="areas")):
                place, classes = data.draw(REGIONS), data.draw(CLASS_LISTS)
                project.areas.declare(project.slides[0].id, place, classes)
                pixels = np.zeros(SHAPE, bool)
                pixels[place.y0 : place.y1, place.x0 : place.x1] = True
                painted.add(pixels, classes)
            found = project_statistics(project)["slides"][0]
            if found["classes_of_all"] == list(CODES.values()):
                assert_same(project, painted, rows)
    finally:
        shutil.rmtree(folder)


# -- runs whose folders are damaged ------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["folder", "journal.jsonl", "mask.json", "mask.png"])
def test_a_run_whose_area_is_not_known_is_named_and_has_none(project: Project, harm: str) -> None:
    painted, rows = Painted(), findings(project)
    scan(project, painted, Region(0, 0, 40, 40), [ACP, AOP, AFP])
    run = scan(project, Painted(), Region(0, 0, *SHAPE), [ACP], cells=CELLS)
    slide = project.slides[0].id
    assert slide_areas(project, slide).problems == ()
    folder = project.runs.by_id(run).folder
    if harm == "folder":
        shutil.rmtree(folder)
    elif harm == "journal.jsonl":
        (folder / harm).unlink()
    else:
        (folder / harm).write_bytes(b"damaged")
    assert_same(project, painted, rows)
    (warning,) = project_statistics(project)["slides"][0]["warnings"]
    assert f"Run {run} counts with no area" in warning
    assert any(warning in line for line in statistics_lines(project_statistics(project)))


def test_what_was_read_is_read_again_only_when_it_changed(project: Project) -> None:
    slide = project.slides[0].id
    run = project.runs.by_id(scan(project, Painted(), Region(0, 0, *SHAPE), [ACP], undone=[0]))
    before = slide_areas(project, slide)
    assert slide_areas(project, slide).coverage is before.coverage
    writer = JournalWriter(run.folder)
    writer.tile(0, np.zeros(0, CANDIDATE_DTYPE))
    writer.close()
    after = slide_areas(project, slide)
    assert before.runs[0].missing_tiles == 1 and after.runs[0].missing_tiles == 0
    assert after.coverage.of_class(ACP).size_px == HEIGHT * WIDTH


# -- several slides and projects --------------------------------------------------------------------------------------


def test_slides_are_pooled_only_where_the_same_classes_were_searched_for(tmp_path: Path) -> None:
    with make(tmp_path, slides=3) as project:
        painted = Painted()
        for slide in (0, 1):
            findings(project, seed=slide, slide=slide)
            scan(project, painted, Region(0, 0, *SHAPE), list(CODES), slide=slide)
        scan(project, painted, Region(0, 0, *SHAPE), [AFP], slide=2)
        found = project_statistics(project)
        total, slides = found["total"], found["slides"]
        assert total["sections"] == 2 and total["without_area"] == ["S3"]
        assert total["per_mm2"] == pytest.approx(
            (slides[0]["in_area"] + slides[1]["in_area"]) / (2 * HEIGHT * WIDTH * PX_MM2)
        )
        of = {row["code"]: row for row in total["classes"]}
        assert (of["AFP"]["sections"], of["ACP"]["sections"]) == (3, 2), "searched for on S3 and not found there"
        assert of["AFP"]["area_mm2"] == pytest.approx(3 * HEIGHT * WIDTH * PX_MM2)
        both = run_job(statistics_of([project, project]))
        assert len(both["slides"]) == 6 and both["total"]["kept"] == 2 * total["kept"]
        assert both["total"]["per_mm2"] == pytest.approx(total["per_mm2"])
        assert any(line.startswith("All slides") for line in statistics_lines(both))


# -- command line -----------------------------------------------------------------------------------------------------


def test_coverage_and_stats_on_the_command_line(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.classes.edit(ACP, name="=cmd()")
    findings(project)
    path = str(project.path)
    project.close()

    def told(*words: str) -> Any:
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert told("coverage", path)["slides"][0]["classes"] == []
    outline = tmp_path / "outline.csv"
    outline.write_text("x_px,y_px\n" + "".join(f"{x},{y}\n" for y, x in STAIRS))
    first = told("coverage", path, "declare", "--polygon", str(outline), "--class", "ACP", "--class", "AOP")
    assert first["area"] == 1 and first["step"]["title"] == "Declare an area of S1 complete for ACP, AOP"
    told("coverage", path, "declare", "--region", "0,0,20,30", "--class", "AFP")
    told("coverage", path, "declare", "--whole")
    told("coverage", path, "remove", "3")
    slide = told("coverage", path)["slides"][0]
    assert [area["classes"] for area in slide["declared"]] == [["ACP", "AOP"], ["AFP"]]
    assert slide["declared"][0]["outline"] == [[x, y] for y, x in STAIRS]
    assert {row["code"]: row["area_mm2"] for row in slide["classes"]} == {
        "ACP": pytest.approx((within(STAIRS) > 0).sum() * PX_MM2),
        "AOP": pytest.approx((within(STAIRS) > 0).sum() * PX_MM2),
        "AFP": pytest.approx(600 * PX_MM2),
    }
    assert main(["coverage", path]) == 0
    assert "declared by" in capsys.readouterr().out
    for wrong in (["declare"], ["declare", "--whole", "--class", "NONE"], ["remove", "9"]):
        assert main(["coverage", path, *wrong]) == 2
    capsys.readouterr()
    assert main(["stats", path, "--csv", str(tmp_path / "stats.csv")]) == 0
    capsys.readouterr()
    with (tmp_path / "stats.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first_row = next(row for row in rows if row["class"] == "ACP")
    assert first_row["name"] == "'=cmd()" and first_row["area_source"].startswith("declared by")
    assert float(first_row["per_mm2_low"]) < float(first_row["per_mm2"]) < float(first_row["per_mm2_high"])
    assert len(told("stats", path, path)["slides"]) == 2


def test_outlines_from_files(tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    polygon = {"type": "Polygon", "coordinates": [[[x, y] for y, x in STAIRS]]}
    feature = {"type": "Feature", "geometry": polygon, "properties": {}}
    for document in (polygon, feature, {"type": "FeatureCollection", "features": [feature]}):
        file.write_text(json.dumps(document))
        assert read_outline(file).tolist() == [list(point) for point in STAIRS]
    for nonsense in (
        "{}",
        "[]",
        "{",
        '{"type": "Point", "coordinates": [1, 2]}',
        json.dumps(polygon).replace("20.0", "null"),
    ):
        file.write_text(nonsense)
        with pytest.raises(ExchangeError):
            read_outline(file)
    for name, text in (
        ("semicolons.csv", "\ufeffx_px;y_px\n0,5;1\n9;1,25\n9;9\n"),
        ("separator.csv", "sep=;\r\nx_px;y_px\r\n0,5;1\r\n9;1,25\r\n9;9\r\n"),
        ("long.csv", f"note,x_px,y_px\n{'x' * 200_000},0.5,1\n,9,1.25\n,9,9\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        assert read_outline(tmp_path / name).tolist() == [[1, 0.5], [1.25, 9], [9, 9]]
    hole = {**polygon, "coordinates": [*polygon["coordinates"], [[1, 1], [2, 1], [2, 2], [1, 1]]]}
    for document in (json.dumps(hole), json.dumps(polygon).replace("20.0", "9" * 400)):
        file.write_text(document)
        with pytest.raises(ExchangeError):
            read_outline(file)
    for name, text in (("a.csv", "x,y\n1,2\n"), ("b.csv", "x_px,y_px\n1,2\n"), ("c.csv", "x_px,y_px\n1,b\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ExchangeError):
            read_outline(tmp_path / name)
    with pytest.raises(ExchangeError):
        read_outline(tmp_path / "none.csv")


def test_statistics_are_written_where_they_can_be(project: Project, tmp_path: Path) -> None:
    found = project_statistics(project)
    tables = [write_statistics_table(tmp_path / "new" / name, found) for name in ("a.csv", "a.xlsx")]
    read = [[row + [""] * (len(rows[0]) - len(row)) for row in rows] for rows in map(read_sheet, tables)]
    assert read[0] == read[1] and len(read[0]) > 2
    assert max(len(cell) for row in read[0][1:] for cell in row if not math.isnan(number_in(cell))) < 12, "no noise"
