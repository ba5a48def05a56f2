"""One project with everything that can happen to a finding: every output counts the same findings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project
from microscope_qc.project.counting import count_states
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.exports import ExportOptions, export_named
from microscope_qc.workflows.results.report_content import ReportChoice, collect
from microscope_qc.workflows.results.statistics import project_statistics
from microscope_qc.workflows.stage.stage import fit_registration

STATES = {"unreviewed": 7, "confirmed": 3, "rejected": 3}
"""Of what counts on the first slide, and twice as many in all."""


def take(project: Project, slide: int, places: dict[int, tuple[str, float]]) -> int:
    """A detection that finds the class and with the confidence given at some places."""
    plan = RunPlan(model="m", region=Region(0, 0, 400, 600), tile_px=300, overlap_px=90, classes=("ACP", "AOP"))
    run = project.runs.start(slide, plan)
    corner = np.array([(5.0 + place // 5 * 60, 5.0 + place % 5 * 60) for place in places])
    found = make_rows(
        len(places), y0=corner[:, 0], x0=corner[:, 1], y1=corner[:, 0] + 20, x1=corner[:, 1] + 20,
        class_id=[project.classes.by_code(code).id for code, _ in places.values()],
        confidence=[confidence for _, confidence in places.values()],
    )  # fmt: skip
    project.runs.add_findings(run.id, found)
    project.runs.finish(run.id, "finished")
    return run.id


def fill(project: Project, slide: int) -> None:
    take(project, slide, {place: ("ACP", 0.6) for place in range(8)})
    at = project.boxes.table(slide).rows["id"].tolist()
    project.boxes.edit([at[0]], state=ReviewState.CONFIRMED)
    project.boxes.edit([at[1], at[2]], state=ReviewState.REJECTED, reason="duplicate")
    project.boxes.delete([at[3], at[4]])
    take(project, slide, {place: ("AOP", 0.8) for place in (1, 3, 5)})  # rejected, deleted, of another class
    take(project, slide, {place: ("ACP", 0.3) for place in (6, 8)})  # surer of before, and below the limit
    hidden = take(project, slide, {place: ("ACP", 0.9) for place in (7, 9, 10, 11, 12)})
    alone = project.opinions.of_run(hidden)["finding_id"][1:].tolist()
    project.boxes.edit([alone[0]], state=ReviewState.CONFIRMED)
    project.boxes.edit([alone[1]], note="remarkable")
    project.runs.show(hidden, False)
    gone = take(project, slide, {place: ("ACP", 0.9) for place in (0, 13, 14)})
    project.boxes.edit(project.opinions.of_run(gone)["finding_id"][1:2], state=ReviewState.CONFIRMED)
    project.runs.delete(gone)
    drawn = make_rows(3, class_id=project.classes.by_code("AOP").id, y0=300, x0=[5, 65, 125], y1=320, x1=[25, 85, 145])
    project.boxes.add(slide, drawn)
    project.history.undo()
    project.history.redo()


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Project]:
    for number in range(2):
        pixels = np.random.default_rng(number).integers(60, 200, (400, 600), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"S{number}.png")
    with Project.create(tmp_path / "all.mqc", slides=[tmp_path / "S0.png", tmp_path / "S1.png"]) as project:
        for slide in project.slides:
            project.slides.set_pixel_size(slide.id, 0.5)
            fill(project, slide.id)
            for name, y, x, stage_x, stage_y in (("A", 0, 0, 10, 20), ("B", 0, 600, 10.3, 20), ("C", 400, 0, 10, 19.8)):
                project.marks.add(slide.id, name, y_px=y, x_px=x, stage_x_mm=stage_x, stage_y_mm=stage_y)
            fit_registration(project, slide.id, name=f"R{slide.id}")
        project.inclusion.set_limit(0.5)
        project.boxes.edit(project.boxes.rows()["id"], chosen=True)
        yield project


def test_the_project_has_everything(everything: Project) -> None:
    rows = everything.boxes.rows(1, every=True)
    for flag in (FindingFlag.FOUND_AGAIN, FindingFlag.DISPUTED, FindingFlag.DRAWN):
        assert has_flag(rows, flag).any()
    assert len(rows) == len(everything.boxes.rows(1)) + 3  # two of the run that is off, one below the limit
    assert everything.check() == []


def test_every_output_counts_the_same_findings(everything: Project, tmp_path: Path, capsys) -> None:
    ids = everything.boxes.rows()["id"].tolist()
    both = {state: 2 * count for state, count in STATES.items()}
    assert len(ids) == len(set(ids)) == sum(both.values())
    found = project_statistics(everything)
    assert found["total"]["states"] == both
    counted = count_states(everything.path, everything.inclusion.current)
    assert [(c.unreviewed, c.confirmed, c.rejected) for c in counted.values()] == [tuple(STATES.values())] * 2
    for name in FORMATS:
        export = export_named(name)
        path = tmp_path / name / f"out{'' if export.is_folder else export.suffix}"
        assert run_job(export.write(everything, path)).facts["boxes"] == len(ids), name
    coco = json.loads((tmp_path / "coco" / "out.json").read_text(encoding="utf-8"))
    assert len(coco["annotations"]) == len(ids)
    kept = both["unreviewed"] + both["confirmed"]
    positions = 0
    for slide in everything.slides:
        path = tmp_path / f"{slide.id}.csv"
        run_job(export_named("stage:csv").write(everything, path, ExportOptions(slide.id)))
        with path.open(encoding="utf-8", newline="") as file:
            positions += len(list(csv.DictReader(file)))
    assert positions == kept
    report = run_job(collect(everything))
    assert report.total.states == both and sum(sheet.of for sheet in report.gallery) == kept
    assert [len(slide.map.points) for slide in report.slides] == [kept // 2] * 2
    every = run_job(collect(everything, ReportChoice(rejected=True)))
    assert sum(sheet.shown for sheet in every.gallery) == len(ids)
    place = str(everything.path)
    everything.close()
    assert main(["stats", place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["states"] == both
