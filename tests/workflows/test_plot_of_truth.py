"""True and false positives and what was missed, in areas that are complete: each is the findings that it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from grouping_toys import CODES, SIDE, make, scan

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.results.counted_findings import count_findings
from microscope_qc.workflows.results.plots import make_plot
from microscope_qc.workflows.results.plots_of_truth import NO_TRUTH


def test_each_outcome_has_its_findings(tmp_path: Path) -> None:
    with make(tmp_path / "cell.mqc", slides=1) as project:
        slide = project.slides[0].id
        acp, aop = (project.classes.by_code(code).id for code in CODES[:2])
        y = 20.0 + 30 * np.arange(8)
        rows = make_rows(8, class_id=acp, confidence=0.9, y0=y, y1=y + 10, x0=20.0, x1=30.0)
        rows["x0"][7], rows["x1"][7] = 300, 310  # where nothing is declared
        ids = project.runs.add_findings(scan(project, 0), rows)
        drawn = make_rows(
            2, class_id=aop, y0=[20.0, 60.0], y1=[30.0, 70.0], x0=80.0, x1=90.0, state=ReviewState.CONFIRMED
        )
        missed = project.boxes.add(slide, drawn)
        project.boxes.edit(ids[:3], state=ReviewState.CONFIRMED)
        project.boxes.edit(ids[3:4], state=ReviewState.CONFIRMED, class_id=aop)
        project.boxes.edit(ids[4:5], state=ReviewState.REJECTED, reason="false positive")
        project.boxes.edit(ids[5:6], state=ReviewState.REJECTED, reason="duplicate")
        project.boxes.edit(ids[7:], state=ReviewState.CONFIRMED)
        assert make_plot(run_job(count_findings([project])), "truth").why_not == NO_TRUTH
        project.areas.declare(slide, Region(0, 0, SIDE, SIDE // 2), [acp, aop])
        plot = make_plot(run_job(count_findings([project])), "truth")
        said = {(series.name, mark.at): mark.findings.tolist() for _, series, mark in plot.marks()}
        assert said == {
            ("found", "ACP"): ids[:3].tolist(), ("found, as another class", "AOP"): ids[3:4].tolist(),
            ("missed", "AOP"): missed.tolist(), ("false positive", "ACP"): ids[4:5].tolist(),
            ("not judged", "ACP"): ids[6:7].tolist(),
        }  # fmt: skip
        assert plot.notes[0].startswith("Models found 67 % (95 %:") and "of 6 defects" in plot.notes[0]
        assert plot.notes[1].startswith("True are 80 %") and "1 finding of models is not judged" in plot.notes[2]
