"""A small project for each test, and the command line run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.project.runs.plan import RunPlan


@pytest.fixture
def cell(tmp_path) -> Path:
    """Slides S1 (a pixel is 0.5 um) and S2; drawn ACP and CRK, and three CRK of run 1 on S1; one ACP on S2."""
    for number in (1, 2):
        Image.fromarray(np.full((100, 200), 40 * number, np.uint8)).save(tmp_path / f"S{number}.png")
    with Project.create(tmp_path / "cell.mqc", slides=[tmp_path / "S1.png", tmp_path / "S2.png"]) as made:
        first, second = made.slides
        made.slides.set_pixel_size(first.id, 0.5)
        codes = {defect.code: defect.id for defect in made.classes}
        side = {"y0": 10.0, "y1": 20.0}
        drawn = make_rows(2, class_id=[codes["ACP"], codes["CRK"]], x0=[0, 50], x1=[40, 60], **side)
        made.boxes.add(first.id, drawn)
        made.boxes.add(second.id, make_rows(1, class_id=codes["ACP"], x0=0, x1=10, **side))
        run = made.runs.start(first.id, plan())
        rows = make_rows(3, class_id=codes["CRK"], x0=[100, 120, 140], x1=[110, 130, 150], **side)
        rows["confidence"] = [0.2, 0.6, 0.9]
        made.runs.add_findings(run.id, rows)
        made.runs.finish(run.id, "finished")
    return tmp_path / "cell.mqc"


def plan() -> RunPlan:
    """A run over all of S1."""
    return RunPlan(
        model="li-ion-ssd", model_name="li-ion-ssd", weights="0", region=Region(0, 0, 100, 200), tile_px=64,
        overlap_px=16, scale=(1.0, 1.0), classes=("CRK",), class_names=("Crack",), confidence=0.5,
        candidate_confidence=0.05,
    )  # fmt: skip


@pytest.fixture
def told(capsys) -> Callable[..., Any]:
    """Run a command that must succeed; return the one JSON document it prints, or with ``text=True`` its text."""

    def run(*arguments: object, text: bool = False) -> Any:
        capsys.readouterr()
        code = main([*map(str, arguments), *([] if text else ["--json"]), "--progress", "none"])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, ""), captured.err
        return captured.out if text else json.loads(captured.out)

    return run


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Run a command that must be refused: exit code 2, nothing on stdout, no traceback; return its message."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        code = main([*map(str, arguments), "--progress", "none"])
        captured = capsys.readouterr()
        assert (code, captured.out) == (2, ""), captured.out
        assert "Traceback" not in captured.err and captured.err.strip()
        return captured.err

    return run
