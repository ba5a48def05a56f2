"""Marks as checks, and drift between visits, through the project and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.correlation.registration import Registration
from microscope_qc.project import Project
from microscope_qc.workflows.stage.drift import keep_drifted, visit
from microscope_qc.workflows.stage.stage import fit_registration

PLACES = {"M1": (10, 10), "M2": (10, 590), "M3": (390, 590), "M4": (390, 10), "C1": (200, 300)}


def stage(name: str, *, by: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    y, x = PLACES[name]
    return x * 0.0005 + 30 + by[0], -y * 0.0005 + 20 + by[1]


@pytest.fixture
def marked(project: Project) -> Project:
    """Four marks, and a check that is 9 um off."""
    slide = project.slides[0].id
    for name, (y, x) in PLACES.items():
        at = stage(name, by=(0.009, 0) if name == "C1" else (0, 0))
        project.marks.add(slide, name, y, x, stage_x_mm=at[0], stage_y_mm=at[1], is_check=name == "C1")
    return project


def test_checks_are_kept_out_of_the_fit_and_undone(marked: Project) -> None:
    slide = marked.slides[0].id
    fitted = fit_registration(marked, slide, name="R1")
    assert fitted.n == 4 and fitted.checks[0].error_um == pytest.approx(9, abs=0.01)
    check = marked.marks.of_slide(slide)[-1]
    marked.marks.edit(check.id, is_check=False)
    assert fit_registration(marked, slide, name="R1").n == 5
    marked.history.undo()
    marked.history.undo()
    assert marked.marks.by_id(check.id).is_check
    with Project.open(marked.path, write=False) as reader:
        assert [mark.is_check for mark in reader.marks] == [False] * 4 + [True]


def test_the_alignment_as_it_is_now(marked: Project) -> None:
    slide = marked.slides[0].id
    before = fit_registration(marked, slide, name="R1")
    found = visit(marked, {"M1": stage("M1", by=(0.05, -0.02)), "M3": stage("M3", by=(0.05, -0.02))})
    assert found.drift.shift_um == pytest.approx((50, -20)) and len(marked.registrations) == 1
    with pytest.raises(InputError, match="earlier visit"):
        keep_drifted(marked, found, name="R1")
    keep_drifted(marked, found, name="R2")
    now = Registration.from_dict(marked.registrations[-1].data)
    places = np.array([[100.0, 100.0]])
    np.testing.assert_allclose(now.to_stage(places), before.to_stage(places) + [0.05, -0.02], atol=1e-6)
    assert marked.marks[1].stage_x_mm == pytest.approx(stage("M2", by=(0.05, 0))[0])
    for _ in range(2):
        marked.history.undo()
    assert len(marked.registrations) == 1 and marked.marks[1].stage_x_mm == pytest.approx(stage("M2")[0])


def test_the_commands(marked: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked.close()
    cell = str(marked.path)

    def table(name: str, head: str, lines: list[str]) -> str:
        (tmp_path / name).write_text("\n".join([head, *lines]) + "\n")
        return str(tmp_path / name)

    rows = [f"{n},{x},{y},{stage(n)[0]},{stage(n)[1]},{'yes' if n == 'C1' else ''}" for n, (y, x) in PLACES.items()]
    marks = table("marks.csv", "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm,check", rows)
    assert main(["marks", cell, "edit", "C1", "--check", "no"]) == 0
    assert main(["stage", "fit", cell, "--marks", marks, "--name", "R1"]) == 0
    assert "check C1 is 0.0 um off" in capsys.readouterr().out
    assert main(["marks", cell, "list", "--json"]) == 0
    assert [row["is_check"] for row in json.loads(capsys.readouterr().out)] == [False] * 4 + [True]
    visits = table("now.csv", "name;stage_x_mm;stage_y_mm", ["M1;30,055;19,995", "M2;30,345;19,995"])
    assert main(["stage", "drift", cell, "--marks", visits, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["shift_x_um"] == pytest.approx(50) and told["kept_as"] is None and told["n"] == 2
    assert main(["stage", "drift", cell, "--marks", visits, "--name", "R2"]) == 0
    assert "Alignment R2 takes it into account." in capsys.readouterr().out
    assert main(["alignments", cell, "list"]) == 0
    assert "R2" in capsys.readouterr().out
    for lines, words in ((["M1;a;1"], "does not say"), (["M1;1;1", "M1;1;1"], "twice"), (["M9;1;1"], "no mark M9")):
        visits = table("now.csv", "name;stage_x_mm;stage_y_mm", lines)
        assert main(["stage", "drift", cell, "--marks", visits]) == 2 and words in capsys.readouterr().err
    marks = table("marks.csv", "name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm,check", ["M1,1,1,1,1,perhaps"])
    assert main(["stage", "fit", cell, "--marks", marks, "--name", "R1"]) == 2
    assert "check is 'perhaps'" in capsys.readouterr().err
