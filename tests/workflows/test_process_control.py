"""Control charts over batches of a project."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grouping_toys import MM2, detect, make

from microscope_qc import api
from microscope_qc.analysis.control_charts import CHARTS, RULE_SETS
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.process_control import (
    chart_lines,
    freeze_limits,
    process_control,
    thaw_limits,
)

COUNTS = (20, 24, 19, 22, 26, 21, 70)


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Project]:
    """One slide for each month, added in another order; the last month has three times as many findings."""
    with make(tmp_path / "cells.mqc", slides=8) as project:
        for slide, count in enumerate(COUNTS):
            detect(project, slide, count)
            project.fields.set({project.slides[slide].id: {"production_date": f"2018-{slide + 1:02}"}})
        project.fields.set({project.slides[7].id: {"production_date": "2017-12"}})
        yield project


def draw(project: Project, **options: Any) -> dict[str, Any]:
    found = run_job(process_control([project], ["production_date"], **options))
    json.dumps(found, allow_nan=False)
    return found


def test_points_come_by_date_and_the_last_is_unusual(cells: Project) -> None:
    found = draw(cells, phase_1=6)
    assert [point["group"] for point in found["points"]] == [f"production date 2018-{n:02}" for n in range(1, 8)]
    assert [point["count"] for point in found["points"]] == list(COUNTS)
    (chart,) = found["charts"]
    assert [point["value"] for point in chart["points"]] == pytest.approx([count / MM2 for count in COUNTS])
    assert chart["centre"] == pytest.approx(sum(COUNTS[:6]) / 6 / MM2)
    assert [point["unusual"] for point in chart["points"]] == [[]] * 6 + [["1 beyond 3 sigma"]]
    assert found["remarks"] == [
        "no point for production date 2017-12: no area was searched for it",
        "limits from 6 points are uncertain: 20 or more are wanted",
    ]
    assert any("1 beyond 3 sigma" in line and "2018-07" in line for line in chart_lines(found))


def test_slides_that_were_not_searched_are_left_out_of_a_point(cells: Project) -> None:
    cells.fields.set({cells.slides[7].id: {"production_date": "2018-07"}})
    found = draw(cells, phase_1=6)
    assert [point["slides"] for point in found["points"]] == [1] * 7
    assert found["points"][-1]["area_mm2"] == pytest.approx(MM2)
    assert found["remarks"][0] == "1 slide left out of the points: not searched for all that is counted"


def test_without_a_phase_all_points_count_and_it_is_said(cells: Project) -> None:
    assert draw(cells)["phase_1"] == 7
    assert "what is unusual now has widened them" in draw(cells)["remarks"][-1]


@pytest.mark.parametrize("chart", CHARTS)
def test_every_chart_of_every_kind_of_class(cells: Project, chart: str) -> None:
    for of in ("all", "Anode", "COP"):
        found = draw(cells, chart=chart, of=of, phase_1=6)
        assert [len(one["points"]) for one in found["charts"]] == [7] * (2 if chart == "individuals" else 1)
        assert chart_lines(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"of": "XYZ"}, "neither a class"), ({"chart": "pie"}, "no chart pie"), ({"phase_1": 9}, "9 of 7"),
        ({"chart": "ewma", "rules": "nelson"}, "ewma"), ({"of": "CRK"}, "fewer than two points"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said(cells: Project, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        draw(cells, **options)


def test_the_command_the_table_and_the_frame_say_the_same(
    cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, path = draw(cells, rules="western-electric", phase_1=6), str(cells.path)
    cells.close()
    command = [
        "spc",
        path,
        "--group-by",
        "production_date",
        "--rules",
        "western-electric",
        "--phase-1",
        "6",
        "--progress",
        "none",
    ]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    out = tmp_path / "points.csv"
    assert main([*command, "--csv", str(out)]) == 0
    with out.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    frame = api.process_control(path, by=["production_date"], rules="western-electric", phase_1=6)
    assert list(lines[0]) == list(frame.columns) and len(lines) == len(frame) == 7
    assert [float(line["value"]) for line in lines] == pytest.approx(frame["value"].tolist(), rel=1e-5)
    capsys.readouterr()
    assert main(command) == 0
    assert f"a false alarm every {RULE_SETS['western-electric'].run_length} points" in capsys.readouterr().out
    assert main(["spc", path, "--group-by", "furnace", "--progress", "none"]) == 2


@pytest.mark.parametrize("chart", CHARTS)
def test_frozen_limits_stay_whatever_comes_later(chart: str, cells: Project) -> None:
    first = draw(cells, chart=chart, phase_1=6)
    freeze_limits(cells, first)
    again = draw(cells, chart=chart)
    assert again["base"] == first["base"] and again["frozen"]["user"]
    assert [point["upper"] for point in again["charts"][0]["points"]] == pytest.approx(
        [point["upper"] for point in first["charts"][0]["points"]]
    )
    assert any("limits frozen by" in remark for remark in again["remarks"])
    detect(cells, 7, 200)
    later = draw(cells, chart=chart)
    assert later["base"] == first["base"] and len(later["points"]) == 8
    assert draw(cells, chart=chart, phase_1=8)["base"] != first["base"], "limits that are asked for count"
    thaw_limits(cells, later)
    assert draw(cells, chart=chart)["frozen"] is None
    with pytest.raises(InputError, match="not frozen"):
        thaw_limits(cells, later)


def test_the_command_freezes_limits_and_keeps_events(cells: Project, capsys: pytest.CaptureFixture[str]) -> None:
    cells.close()
    command = ["spc", str(cells.path), "--group-by", "production_date"]
    assert main([*command, "--phase-1", "6", "--freeze", "--event", "production date 2018-07", "new mill"]) == 0
    words = capsys.readouterr().out
    assert "frozen limits" in words and "new mill" in words
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frozen"]["user"] and found["points"][-1]["event"] == "new mill"
    assert main([*command, "--event", "batch 1", "none such"]) == 2
    assert "has no point batch 1" in capsys.readouterr().err
    assert main([*command, "--thaw", "--event", "production date 2018-07", "", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frozen"] is None and found["points"][-1]["event"] is None
    with Project.open(cells.path) as project:
        project.history.undo()
        assert draw(project)["frozen"], "freezing and thawing are steps of the history"
