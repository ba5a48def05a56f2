"""How much of a slide was looked at, against a count of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from densities_toys import ACP, AFP, AOP, CELLS, HEIGHT, SHAPE, WIDTH, Painted, make, scan

from microscope_qc.analysis.coverage import DECLARED, MASKED, MISSING, NOBODY, SCANNED
from microscope_qc.cli import main
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.seen_map import SeenMap
from microscope_qc.core.sheets import read_sheet
from microscope_qc.project import Project
from microscope_qc.reports.marked import picture
from microscope_qc.workflows.detection.looked_at import looked_at_together, looked_words
from microscope_qc.workflows.results.counted_findings import count_findings
from microscope_qc.workflows.results.plots import make_plot
from microscope_qc.workflows.results.plots_of_coverage import kinds_of
from microscope_qc.workflows.results.statistics import project_statistics
from microscope_qc.workflows.results.statistics_text import write_statistics_table


def view(project: Project, slide: int, *views: tuple[float, float, float, float, float]) -> SeenMap:
    seen = SeenMap(SHAPE)
    for one in views:
        seen.mark(*one)
    project.settings.set(f"seen:{project.slides[slide].id}", seen.to_dict())
    return seen


def test_scanned_masked_and_missing_make_what_was_to_be_scanned(tmp_path: Path) -> None:
    with make(tmp_path) as project:
        painted = Painted()
        scan(project, painted, Region(0, 0, *SHAPE), [ACP, AOP, AFP], cells=CELLS, damaged=[8])
        project.areas.declare(project.slides[0].id, Region(0, 0, HEIGHT, WIDTH // 2), [ACP])
        found = project_statistics(project)["slides"][0]["looked_at"]
        assert found["scanned"] == pytest.approx(painted.of[ACP].mean())
        assert found["masked"] == pytest.approx(1 - CELLS.mean())
        assert found["missing"] > 0
        assert found["scanned"] + found["masked"] + found["missing"] == pytest.approx(1)
        assert found["declared"] == pytest.approx(0.5)
        assert (found["seen"], found["seen_zoom_unknown"]) == (0, 0)
        assert found["nobody"] < 1 - found["scanned"]


def test_what_was_viewed_is_told_by_zoom_and_what_nobody_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with make(tmp_path, slides=2) as project:
        scan(project, Painted(), Region(0, 0, HEIGHT, WIDTH // 2), [ACP, AOP, AFP])
        seen = view(project, 0, (0, 0, HEIGHT / 3, WIDTH, 0.3), (0, 0, HEIGHT / 3, WIDTH / 2, 1.0))
        one, other = (slide["looked_at"] for slide in project_statistics(project)["slides"])
        assert one["seen"] == pytest.approx(1 / 3, abs=0.01)
        assert {row["zoom"]: round(row["share"], 2) for row in one["seen_at"]} == {
            0.1: 0.33,
            0.25: 0.33,
            0.5: 0.17,
            1.0: 0.17,
        }
        middle = (np.arange(seen.cells.shape[1]) + 0.5) * seen.cell_px[1]
        assert one["nobody"] == pytest.approx((~seen.cells[:, middle >= WIDTH // 2]).sum() / seen.cells.size)
        assert (other["scanned"], other["seen"], other["nobody"]) == (0, 0, 1)
        assert looked_words(other) == "Nothing of the slide was scanned, declared or viewed."
        words = looked_words(one)
        assert words.startswith("Of the slide 50 % scanned and 33 % viewed (33 % at a zoom of 10 % or more")
        assert words.endswith("33 % neither scanned nor declared nor viewed.")
        both = looked_at_together([one, other], [1.0, 3.0])
        assert both is not None and both["scanned"] == pytest.approx(0.125)
        assert both["seen_at"][-1]["share"] == pytest.approx(one["seen_at"][-1]["share"] / 4)
        assert looked_at_together([one, other], [1.0, None]) is None
        table = write_statistics_table(tmp_path / "out.csv", project_statistics(project))
        head, *lines = read_sheet(table)
        row = next(line for line in lines if line[head.index("class")] == "all")
        assert float(row[head.index("scanned_share")]) == pytest.approx(0.5)
        assert float(row[head.index("seen_share")]) == pytest.approx(one["seen"])
        path = str(project.path)
    assert main(["coverage", path]) == 0
    assert words in capsys.readouterr().out
    assert main(["stats", path]) == 0
    assert words in capsys.readouterr().out


def test_what_cannot_be_read_of_the_views_counts_as_not_viewed(tmp_path: Path) -> None:
    with make(tmp_path) as project:
        project.settings.set(f"seen:{project.slides[0].id}", {"shape": [1, 2], "cells": "!!"})
        assert project_statistics(project)["slides"][0]["looked_at"]["seen"] == 0


def test_a_map_shows_what_became_of_every_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with make(tmp_path) as project:
        painted = Painted()
        scan(project, painted, Region(0, 0, *SHAPE), [ACP, AOP, AFP], cells=CELLS, damaged=[8])
        project.areas.declare(project.slides[0].id, Region(0, 0, HEIGHT, WIDTH // 4), [ACP])
        seen = view(project, 0, (0, 0, HEIGHT / 3, WIDTH, 0.3), (0, 0, HEIGHT / 3, WIDTH / 2, 1.0))
        found = run_job(count_findings([project]))
        (slide,) = found.slides
        searched, viewed = kinds_of(slide.coverage, seen)
        rows, columns = seen.cells.shape
        y = ((np.arange(rows) + 0.5) * seen.cell_px[0]).astype(int)
        x = ((np.arange(columns) + 0.5) * seen.cell_px[1]).astype(int)
        scanned = painted.of[ACP][np.ix_(y, x)]
        left = np.broadcast_to(x < WIDTH // 4, scanned.shape)
        assert np.array_equal(searched == DECLARED, left)
        assert np.array_equal(searched == SCANNED, scanned & ~left)
        known = project_statistics(project)["slides"][0]["looked_at"]
        assert (searched == MASKED).any() and (searched == MISSING).any() and not (searched == NOBODY).any()
        assert np.bincount(viewed.ravel(), minlength=6)[[3, 5]].tolist() == [
            (seen.closely(0.25) & ~seen.closely(0.5)).sum(), seen.closely(1.0).sum()
        ]  # fmt: skip
        plot = make_plot(found, "coverage")
        assert [panel.name for panel in plot.panels] == [
            f"{slide.slide.section.name}, {w}" for w in ("searched", "viewed")
        ]
        (record,) = plot.records()
        assert record["scanned"] == known["scanned"] and record["seen_at_100_percent"] == known["seen_at"][-1]["share"]
        assert len(picture(plot, 600, 300).places) == 2
        path = str(project.path)
    assert main(["plot", "coverage", path, str(tmp_path / "map.png")]) == 0
    assert "% scanned" in capsys.readouterr().out
    assert main(["plot", "coverage", path, str(tmp_path / "map.csv")]) == 0
    assert read_sheet(tmp_path / "map.csv")[0][:3] == ["slide", "scanned", "masked"]
