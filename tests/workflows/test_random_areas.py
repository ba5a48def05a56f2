"""Areas drawn at random: where they lie, what the command line makes of them, and what statistics make of those."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import SIDE, SIZE_UM, detect, make, scan

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.detection.random_areas import draw_areas, next_to_search
from microscope_qc.workflows.results.grouping import statistics_by

UM = 100.0
PX = UM / SIZE_UM


@pytest.fixture
def scanned(tmp_path: Path) -> Iterator[Project]:
    with make(tmp_path / "cell.mqc", slides=3) as project:
        for slide in (0, 2):
            scan(project, slide)
        yield project


def test_every_scanned_square_has_the_same_chance(scanned: Project) -> None:
    centres, slides = [], []
    for seed in range(60):
        areas = run_job(draw_areas(scanned, count=40, side_um=UM, seed=seed))
        bounds = np.array([area.outline.bounds for area in areas])
        slides += [area.slide_id for area in areas]
        whole = np.ptp(bounds.reshape(-1, 2, 2), axis=1) == PX
        centres.append((bounds[:, :2] + bounds[:, 2:])[whole.all(axis=1)] / 2)
        assert (np.ptp(bounds.reshape(-1, 2, 2), axis=1) <= PX).all() and (bounds >= 0).all() and (bounds <= SIDE).all()
        scanned.history.undo()
    assert set(slides) == {scanned.slides[0].id, scanned.slides[2].id}, "nobody scanned the other one"
    assert abs(np.mean(np.array(slides) == scanned.slides[0].id) - 0.5) < 0.04
    at = np.concatenate(centres)
    assert abs(at.mean() - SIDE / 2) < 10 and np.histogram2d(*at.T, bins=4)[0].min() > 0.6 * len(at) / 16


def test_nothing_is_drawn_twice_and_the_same_seed_draws_the_same(scanned: Project) -> None:
    first = [area.outline for area in run_job(draw_areas(scanned, count=30, side_um=UM, seed=3))]
    scanned.history.undo()
    assert [area.outline for area in run_job(draw_areas(scanned, count=30, side_um=UM, seed=3))] == first
    drawn = run_job(draw_areas(scanned, count=1000, side_um=UM, seed=4))
    covered = {slide.id: np.zeros((SIDE, SIDE), int) for slide in scanned.slides}
    for area in scanned.areas:
        y0, x0, y1, x1 = (round(side) for side in area.outline.bounds)
        covered[area.slide_id][y0:y1, x0:x1] += 1
    assert len(drawn) > 200 and max(one.max() for one in covered.values()) == 1
    assert next_to_search(scanned.areas) == scanned.areas[0]
    assert next_to_search(scanned.areas, scanned.areas[-1].id) == scanned.areas[0]


def test_without_a_scanned_slide_of_known_size_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with make(tmp_path / "a.mqc", slides=1) as project:
        with pytest.raises(InputError, match="No model has scanned"):
            run_job(draw_areas(project))
        scan(project, 0)
        project.slides.set_pixel_size(project.slides[0].id, None)
        with pytest.raises(InputError, match="pixel size"):
            run_job(draw_areas(project))
        project.slides.set_pixel_size(project.slides[0].id, 5.0)
        with pytest.raises(InputError, match="1 to 1000"):
            run_job(draw_areas(project, count=0))


def test_statistics_add_what_was_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cell.mqc"
    with make(path, slides=2) as project:
        for slide in range(2):
            ids = detect(project, slide, 300)
            project.boxes.edit(ids, state=ReviewState.CONFIRMED)
    assert main(["coverage", str(path), "draw", "--count", "12", "--side", "400", "--seed", "1", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)["to_search"]
    assert len(numbers) == 12
    assert main(["coverage", str(path)]) == 0 and "Drawn at random on" in capsys.readouterr().out
    with Project.open(path) as project:
        missed = 0
        for area in project.areas:
            y0, x0, y1, x1 = area.outline.bounds
            rows = make_rows(2, class_id=1, y0=[y0 + 1] * 2, x0=[x0 + 1, x0 + 9], y1=y0 + 5, x1=[x0 + 5, x0 + 13])
            if y1 - y0 > 20 and x1 - x0 > 20:
                project.boxes.add(area.slide_id, rows)
                missed += 2
        before = run_job(statistics_by([project]))["total"]["corrected"]
        assert before["recall"] is None and before["recall_reason"].endswith("was searched")
    for number in numbers[:6]:
        assert main(["coverage", str(path), "searched", str(number)]) == 0
    api.areas_searched(path, numbers[6:])
    capsys.readouterr()
    with Project.open(path) as project:
        found = run_job(statistics_by([project]))["total"]
        column = found["corrected"]
        assert column["recall"]["of"] - column["recall"]["count"] == missed and column["recall"]["areas"] == 12
        assert column["count"] > found["kept"] and column["recall_reason"] is None
        assert column["count_interval"][0] >= found["kept"] and column["interval"][0] < column["per_mm2"]
    assert main(["stats", str(path), "--group-by", "project"]) == 0
    assert "and for what was missed: models found" in capsys.readouterr().out
    everything = api.statistics(path).iloc[-1]
    more = api.draw_areas(path, count=3, side_um=UM, seed=1)
    assert len(more) == 3 and set(more["slide"]) <= {"cell 0.png", "cell 1.png", "cell 0", "cell 1"}
    assert everything["recall"] == pytest.approx(column["recall"]["value"]) and everything["recall_of"] > 20
