"""Where findings lie: maps and distances of projects as plots, and in “stats --where”."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import MM2, SIDE, SIZE_UM, make, scan

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.reports.marked import picture
from microscope_qc.workflows.results.counted_findings import counted_projects
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots import make_plot
from microscope_qc.workflows.results.where import where_found


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Path]:
    """A slide with findings at random and a cluster at y 100, x 300 px, and one with fewer."""
    rng = np.random.default_rng(5)
    with make(tmp_path / "cell.mqc", slides=2) as project:
        for slide, count in ((0, 200), (1, 60)):
            places = rng.uniform(0, SIDE - 2, (count, 2))
            if slide == 0:
                places = np.concatenate([places, rng.normal((100, 300), 6, (30, 2))])
            y, x = places.T
            rows = make_rows(len(y), class_id=1, y0=y, x0=x, y1=y + 1, x1=x + 1, confidence=0.9)
            project.runs.add_findings(scan(project, slide), rows)
    yield tmp_path / "cell.mqc"


def test_a_map_shows_each_finding_once_and_outlines_the_cluster(planted: Path) -> None:
    found = run_job(counted_projects([planted]))
    plot = make_plot(found, "map", PlotChoice())
    hot, rest = plot.series
    numbers = np.concatenate([mark.findings for _, _, mark in plot.marks()])
    on_slide = found.slides[0].rows["id"]
    assert sorted(numbers.tolist()) == sorted(on_slide.tolist()), "those of the slide with the most of them"
    inside = np.concatenate([mark.findings for mark in hot.marks])
    rows = found.slides[0].rows[np.isin(on_slide, inside)]
    assert len(inside) >= 25 and np.abs(rows["y0"] - 100).max() < 80 and np.abs(rows["x0"] - 300).max() < 80
    areas = [(mark.box[2] - mark.box[0]) * (mark.box[3] - mark.box[1]) for mark in (*hot.marks, *rest.marks)]
    assert sum(areas) >= MM2
    drawn = picture(plot, 700, 500)
    assert set(drawn.places) == {key for key, _, _ in plot.marks()}, "each square can be clicked"


def test_distances_are_compared_with_chance_and_written(planted: Path, tmp_path: Path) -> None:
    found = run_job(counted_projects([planted]))
    plot = make_plot(found, "distances", PlotChoice("ACP"))
    marks = plot.series[0].marks
    assert marks[0].value > marks[0].interval[1], "many lie close together"
    assert "in clusters" in plot.notes[0] and "in steps of" in plot.notes[0]
    values = api.plot("distances", planted, of="ACP")
    assert values["pairs by those of chance (g)"].tolist() == [mark.value for mark in marks]
    assert main(["plot", "map", str(planted), str(tmp_path / "map.svg")]) == 0
    assert (tmp_path / "map.svg").read_text(encoding="utf-8").count('id="mark-') == len(
        list(make_plot(found, "map").marks())
    )


def test_stats_tell_hotspots_with_their_findings(planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(planted), "--where", "all", "--json"]) == 0
    where = json.loads(capsys.readouterr().out)["where"]
    assert where["clustering"]["clustered"] is True and where["clustering"]["p"] == 0.01
    spot = where["hotspots"][0]
    assert spot["slide"].startswith("cell 0") and spot["count"] == len(spot["findings"]) > spot["expected"]
    assert spot["x0_um"] < 300 * SIZE_UM < spot["x1_um"] or spot["y0_um"] < 100 * SIZE_UM < spot["y1_um"]
    spots, curve = api.where(planted)
    assert spots["count"].tolist() == [one["count"] for one in where["hotspots"]]
    assert curve["g"].tolist() == where["clustering"]["g"] and curve.attrs["p"] == 0.01
    assert main(["stats", str(planted), "--where", "ACP"]) == 0
    words = capsys.readouterr().out
    assert "Where (ACP): 290 findings lie in clusters" in words and "by chance (p = " in words
    assert main(["stats", str(planted), "--where", "NONE"]) == 2
    assert "no class or class group NONE" in capsys.readouterr().err


@pytest.mark.parametrize("size", [SIZE_UM, None])
def test_without_area_or_findings_a_sentence_says_why(tmp_path: Path, size: float | None) -> None:
    with make(tmp_path / "a.mqc", slides=1, pixel_size_um=size) as project:
        scan(project, 0)
        path, slide = project.path, project.slides[0].id
    nothing = run_job(where_found(run_job(counted_projects([path]))))
    assert nothing["clustering"]["reason"] and nothing["hotspots"] == []
    with Project.open(path) as project:
        project.boxes.add(slide, make_rows(3, class_id=1, y0=[1, 50, 99], x0=5.0, y1=[9, 60, 110], x1=9.0))
    found = run_job(counted_projects([path]))
    reason = run_job(where_found(found))["clustering"]["reason"]
    assert ("10 are needed" in reason) if size else ("Nothing is known" in reason)
    for name in ("map", "distances"):
        assert make_plot(found, name).why_not or size
    json.dumps(run_job(where_found(found)), allow_nan=False)
