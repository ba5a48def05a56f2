"""Control charts over batches of a project."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouping_toys import MM2, SIDE, SIZE_UM, detect, make, scan

from microscope_qc import api
from microscope_qc.analysis.control_charts import CHARTS, RULE_SETS
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.heatmap import HEAT_CARD_NAME, HeatMap
from microscope_qc.project.runs.map_card import MapCard
from microscope_qc.workflows.results.counted_findings import count_findings
from microscope_qc.workflows.results.plot_parts import PlotChoice
from microscope_qc.workflows.results.plots import make_plot
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


OF_COUNTS = [chart for chart in CHARTS if chart != "nqi"]


@pytest.mark.parametrize("chart", OF_COUNTS)
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


@pytest.mark.parametrize("chart", OF_COUNTS)
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
        titles = [entry.title for entry in project.history.entries(None)]
        assert "Keep the limits of the control chart “Laney's u' chart of all classes by production date”" in titles
        project.history.undo()
        assert draw(project)["frozen"], "freezing and thawing are steps of the history"


# -- the plot ----------------------------------------------------------------------------------------------------------


def plotted(project: Project, **choices: Any) -> Any:
    choice = PlotChoice(**{"by": "production_date", "phase_1": 6} | choices)
    return make_plot(run_job(count_findings([project])), "control", choice)


def test_the_plot_has_the_points_of_the_chart_and_their_findings(cells: Project) -> None:
    plot, found = plotted(cells), draw(cells, phase_1=6)
    marks = {mark.at: (series.name, mark) for _, series, mark in plot.marks()}
    assert list(plot.names) == [f"2018-{n:02}" for n in range(1, 8)] and plot.x == "production date"
    for point, row, slide in zip(found["points"], found["charts"][0]["points"], cells.slides, strict=False):
        series, mark = marks[point["group"].removeprefix("production date ")]
        assert mark.value == pytest.approx(row["value"]) and series == ("unusual" if row["unusual"] else "usual")
        assert sorted(mark.findings.tolist()) == sorted(cells.boxes.rows(slide.id)["id"].tolist())
    assert marks["2018-07"][0] == "unusual" and "1 beyond 3 sigma" in marks["2018-07"][1].tip
    assert plot.limits[0].upper == [row["upper"] for row in found["charts"][0]["points"]] and plot.pointer == 5.5
    assert plot.notes[0] == "Limits alone: a false alarm every 370 points while nothing changes."


def test_ranges_stand_below_the_values_and_the_first_has_none(cells: Project) -> None:
    plot = plotted(cells, chart="individuals")
    panels = [mark.panel for _, _, mark in plot.marks()]
    assert (panels.count(0), panels.count(1)) == (7, 6) and len(plot.limits) == 2


def test_a_chart_of_a_class_selects_its_findings_alone(cells: Project) -> None:
    plot = plotted(cells, of="COP", chart="u", phase_1=0)
    number = cells.classes.by_code("COP").id
    rows = cells.boxes.rows(cells.slides[2].id)
    mark = next(mark for _, _, mark in plot.marks() if mark.at == "2018-03")
    assert sorted(mark.findings.tolist()) == sorted(rows["id"][rows["class_id"] == number].tolist())


def test_what_cannot_be_drawn_is_a_sentence_in_the_plot(cells: Project) -> None:
    assert "fewer than two points" in plotted(cells, of="CRK").why_not
    assert "score map of an anomaly model" in plotted(cells, chart="nqi").why_not


def test_the_command_draws_it_and_saves_the_points(
    cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = draw(cells, phase_1=6)
    freeze_limits(cells, found)
    cells.close()
    for suffix in ("svg", "png", "pdf", "csv"):
        out = tmp_path / f"chart.{suffix}"
        assert main(["plot", "control", str(cells.path), str(out), "--group-by", "production_date"]) == 0
        assert out.stat().st_size
    assert "Limits frozen by" in capsys.readouterr().out
    with out.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    wanted = [row["upper"] for row in found["charts"][0]["points"]]
    assert [float(line["upper"]) for line in lines] == pytest.approx(wanted, rel=1e-5)
    assert "unusual" in (tmp_path / "chart.svg").read_text(encoding="utf-8")


# -- quality index -----------------------------------------------------------------------------------------------------


def score(project: Project, slide: int, above: int, *, model: str = "odd") -> None:
    """A detection with a map of 40 x 40 cells, of which so many are anomalous and the last row was not scanned."""
    run = project.runs.by_id(scan(project, slide, ("ACP",), model))
    heat = HeatMap.create(run.folder, MapCard((0.0, 0.0), (10.0, 10.0), (40, 40), ("ODD",)))
    scores = np.full(39 * 40, 0.2, np.float32)
    scores[:above] = 0.7
    heat.add(Region(0, 0, SIDE - 10, SIDE), scores.reshape(1, 39, 40), start_px=(0.0, 0.0), step_px=(10.0, 10.0))
    heat.flush()


CELL_MM2 = (10 * SIZE_UM / 1000) ** 2
ABOVE = (20, 40, 60, 80, 60, 40, 400)


@pytest.fixture
def scored(cells: Project) -> Project:
    for slide, above in enumerate(ABOVE):
        score(cells, slide, above)
    return cells


def index(amounts: Sequence[float]) -> np.ndarray:
    first = np.array(amounts[:6], float)
    return (np.array(amounts, float) - first.min()) / first.std()


def test_a_quality_index_is_that_of_the_anomalous_area_of_a_map(scored: Project) -> None:
    found = draw(scored, chart="nqi", phase_1=6)
    assert [point["anomalous_mm2"] for point in found["points"]] == pytest.approx([n * CELL_MM2 for n in ABOVE])
    assert [point["area_mm2"] for point in found["points"]] == pytest.approx([39 * 40 * CELL_MM2] * 7)
    rows = found["charts"][0]["points"]
    assert [row["value"] for row in rows] == pytest.approx(index(ABOVE))
    assert [bool(row["unusual"]) for row in rows] == [False] * 6 + [True]
    assert found["remarks"][0] == "anomalous area by the score maps of odd"
    assert any("anomalous mm2" in line for line in chart_lines(found))
    frame = api.process_control(scored.path, by=["production_date"], chart="nqi", phase_1=6)
    assert frame["value"].tolist() == pytest.approx(index(ABOVE))
    plot = plotted(scored, chart="nqi")
    assert plot.limits[0].y == "nQI" and "are anomalous" in next(mark for _, _, mark in plot.marks()).tip


def test_a_frozen_quality_index_does_not_move_with_later_points(scored: Project) -> None:
    first = draw(scored, chart="nqi", phase_1=6)
    freeze_limits(scored, first)
    score(scored, 7, 2)
    later = draw(scored, chart="nqi")
    values = [row["value"] for row in later["charts"][0]["points"]]
    assert later["base"] == first["base"] and len(values) == 8 and values[0] < 0, "better than all of phase I"
    assert values[1:] == pytest.approx(index(ABOVE))


def test_a_frozen_quality_index_is_of_the_model_whose_maps_it_was_frozen_with(scored: Project) -> None:
    first = draw(scored, chart="nqi", phase_1=6)
    assert first["base"]["model"] == "odd"
    freeze_limits(scored, first)
    for run in list(scored.runs):
        scored.runs.rename(run.id, "the first try")
    for slide in range(8):
        score(scored, slide, 300, model="new")
    later = draw(scored, chart="nqi")
    assert [row["value"] for row in later["charts"][0]["points"]] == pytest.approx(index(ABOVE))
    assert "maps of new left out" in later["remarks"]
    assert "1 slide left out" not in " ".join(later["remarks"])
    assert any("no score map of odd, or no pixel size" in remark for remark in later["remarks"])
    for run in list(scored.runs):
        if run.plan.title == "odd":
            scored.runs.delete(run.id)
    with pytest.raises(InputError, match="frozen with the score maps of odd, and no slide has one"):
        draw(scored, chart="nqi")


def test_the_map_of_a_classifier_is_no_map_of_anomalies(scored: Project) -> None:
    for run in list(scored.runs):
        card = run.folder / HEAT_CARD_NAME
        if card.exists():
            card.write_text(json.dumps(json.loads(card.read_text()) | {"task": "classify"}))
    with pytest.raises(InputError, match="score map of an anomaly model"):
        draw(scored, chart="nqi", phase_1=6)


def test_maps_of_another_model_are_left_out_and_a_class_is_refused(scored: Project) -> None:
    score(scored, 0, 900, model="other")
    found = draw(scored, chart="nqi", phase_1=6)
    assert "maps of other left out" in found["remarks"]
    assert found["points"][0]["anomalous_mm2"] == pytest.approx(ABOVE[0] * CELL_MM2)
    with pytest.raises(InputError, match="not of a class"):
        draw(scored, chart="nqi", of="ACP")
