"""Tables that are wrong: each is refused, or taken only when it is meant, with a sentence that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.correlation.positions import wrong_unit
from microscope_qc.project import Project
from microscope_qc.workflows.stage.edx import import_edx, plan_edx
from microscope_qc.workflows.stage.stage import fit_registration

ASKED = {
    "wt_for_at": ("Spectrum,O at%,Ni at%,O wt%,Ni wt%\nD3,30,70,61.1,38.9\n", "atom % and weight % seem to be swapped"),
    "block": ("D3\nElement,Weight %,Atomic %\nO K,61.15,30\nCoK,11.07,20\nNiK,27.78,50\n", "seem to be swapped"),
    "disagreeing": ("Spectrum,O at%,Ni at%,O wt%,Ni wt%\nD3,60,40,60,40\n", "do not agree"),
    "sum_40": ("Result Type,Weight %\nSpectrum,O,Ni\nD3,20,20\n", "The weight % add up to 40"),
    "sum_140": ("D3\nElement,Weight %\nO K,90\nNiK,50\n", "The weight % add up to 140"),
    "fractions": ("Spectrum;O at%;Ni at%\nD3;0,6;0,4\n", "The atom % add up to 1"),
    "unknown": ("Spectrum,O at%,Xx at%\nD3,60,40\n", "“Xx at%” is not an element"),
    "unknown_column": ("Result Type,Weight %\nSpectrum Label,O,Xx,Ni\nD3,60,10,30\n", "“Xx” is not an element"),
    "unknown_line": ("Result Type,Weight %\nSpectrum Label,D3\nO,60\nXx,10\nNi,30\nTotal,100\n", "“Xx” is not an"),
    "unknown_in_block": ("D3\nElement,Weight %\nO K,60\nXx K,40\n", "“Xx K” is not an element"),
    "less_than_total": ("Result Type,Weight %\nSpectrum,O,Ni,Total\nD3,30,50,100\n", "says a total of 100"),
}
REFUSED = {
    "twice": ("Spectrum,O at%,Ni at%,O at%\nD3,60,30,10\n", "has O twice in line 2"),
    "twice_in_block": ("D3\nElement,Weight %\nO K,61\nNiK,11\nNiL,28\n", "has Ni twice in the lines below D3"),
    "twice_in_lines": ("Result Type,Weight %\nSpectrum Label,D3\nO,60\nO,10\nNi,30\n", "has O twice in the column D3"),
    "both_units": ("Spectrum,O at%,Ni wt%\nD3,60,40\n", "some elements are in weight % and others in atom %"),
    "no_unit": ("Spectrum,O,Ni\nD3,60,40\n", "does not say whether it holds weight % or atom %"),
    "µm_as_mm": ("Spectrum,O at%,Ni at%,stage_x_mm,stage_y_mm\nS1,60,40,10150,19900\n", "seem to be in µm"),
    "m_as_mm": ("Spectrum,O at%,Ni at%,stage_x_mm,stage_y_mm\nS1,60,40,0.01015,0.0199\n", "seem to be in m,"),
}


@pytest.fixture
def aligned(project: Project) -> Project:
    slide = project.slides[0]
    for name, y, x in (("A", 0, 0), ("B", 0, 600), ("C", 400, 0), ("D", 400, 600)):
        project.marks.add(slide.id, name, y, x, stage_x_mm=10 + x / 2000, stage_y_mm=20 - y / 2000)
    fit_registration(project, slide.id, name="R1")
    return project


@pytest.mark.parametrize(("text", "sentence"), ASKED.values(), ids=ASKED)
def test_doubtful_compositions_are_taken_only_when_they_are_meant(
    aligned: Project, tmp_path: Path, text: str, sentence: str
) -> None:
    table = tmp_path / "edx.csv"
    table.write_text(text)
    assert any(sentence in words for words in run_job(plan_edx(aligned, table)).doubts)
    with pytest.raises(InputError, match="--any-sum") as refused:
        run_job(import_edx(aligned, table))
    assert sentence in str(refused.value) and len(aligned.measurements) == 0
    run_job(import_edx(aligned, table, any_sum=True))
    assert sentence in aligned.measurements[0].note


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_known_is_refused(aligned: Project, tmp_path: Path, text: str, sentence: str) -> None:
    table = tmp_path / "edx.csv"
    table.write_text(text)
    with pytest.raises(MicroscopeQCError) as refused:
        run_job(import_edx(aligned, table, any_sum=True))
    assert sentence in str(refused.value) and len(aligned.measurements) == 0


def test_the_command_and_scripts_refuse_the_same(
    aligned: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aligned.close()
    for name in ("wt_for_at", "sum_140", "unknown", "twice", "µm_as_mm"):
        text, sentence = (ASKED | REFUSED)[name]
        table = tmp_path / "edx.csv"
        table.write_text(text)
        assert main(["edx", "import", str(aligned.path), str(table)]) == 2
        assert sentence in capsys.readouterr().err
        with pytest.raises(MicroscopeQCError) as refused:
            api.import_edx(aligned.path, table)
        assert sentence in str(refused.value)


def test_labels_that_are_missing_or_there_twice_are_said(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "edx.csv"
    table.write_text("Spectrum,O at%,Ni at%\n,60,40\nD3,50,50\nD3,40,60\n")
    plan = run_job(plan_edx(project, table))
    assert [p.box_id for p in plan.placements] == [None, 3, 3]
    assert {"D3 stands in 2 lines.", "row 2: It has no label."} <= set(plan.matching.notes)
    table.write_text("O at%,Ni at%\n60,40\n")
    (only,) = run_job(plan_edx(project, table)).placements
    assert only.box_id is None and only.spectrum.notes == ("It has no label.",)


def test_the_same_amount_twice_is_one_and_a_total_that_is_right_says_nothing(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "edx.csv"
    table.write_text("Spectrum,O at%,Ni at%,O at%,Total,Live\nD3,60,40,60,100,30\n")
    plan = run_job(plan_edx(project, table))
    assert plan.placements[0].spectrum.at_percent == {"O": 60, "Ni": 40} and not plan.doubts


def test_positions_that_no_stage_reaches_are_refused_without_an_alignment(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "edx.csv"
    table.write_text("Spectrum,O at%,Ni at%,stage_x_mm,stage_y_mm\nD3,60,40,10150,19900\n")
    with pytest.raises(InputError, match="seem to be in µm"):
        run_job(plan_edx(project, table))
    table.write_text("Spectrum,O at%,Ni at%,stage_x_um,stage_y_um\nD3,60,40,10150,19900\n")
    assert run_job(plan_edx(project, table)).placements[0].spectrum.stage_mm == pytest.approx((10.15, 19.9))


def test_positions_elsewhere_on_the_stage_may_be_in_mm() -> None:
    marks = np.array([[10.0, 20.0], [12.0, 20.0], [10.0, 22.0]])
    assert wrong_unit(np.array([[40.0, 60.0]]), marks) == ""
    assert wrong_unit(np.array([[11.0, 21.0], [10500.0, 20500.0]]), marks) == ""
    assert wrong_unit(np.array([[10500.0, 20500.0]]), marks) == "µm"


def test_positions_elsewhere_may_be_in_mm_where_the_marks_are_around_the_origin() -> None:
    marks = np.array([[-6.0, -6.0], [6.0, -6.0], [-6.0, 6.0], [6.0, 6.0]])
    assert wrong_unit(np.array([[40.0, 0.0]]), marks) == ""
    assert wrong_unit(np.array([[40.0, 0.0], [0.0, -65.0], [400.0, 0.0]]), marks) == ""  # one mistyped
    assert wrong_unit(np.array([[40.0, 0.0], [60.0, 60.0]]), marks / 20) == ""  # more than 100 times as far
    assert wrong_unit(np.array([[4000.0, 0.0], [-6000.0, 6000.0], [50.0, 30.0]]), marks) == "µm"
    assert wrong_unit(1000 * marks, marks) == "µm"


def test_marks_in_another_unit_make_no_alignment_and_no_drift(
    aligned: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aligned.close()
    places = {"A": (100, 100), "B": (500, 100), "C": (100, 300)}
    marks, visits = tmp_path / "marks.csv", tmp_path / "visits.csv"
    lines = [f"{name},{x},{y},{10000 + x / 2},{20000 - y / 2}" for name, (x, y) in places.items()]
    marks.write_text("\n".join(["name,slide_x_px,slide_y_px,stage_x_mm,stage_y_mm", *lines]))
    assert main(["stage", "fit", str(aligned.path), "--marks", str(marks), "--name", "R2"]) == 2
    assert "in mm, not in µm" in capsys.readouterr().err
    visits.write_text("name,stage_x_mm,stage_y_mm\nA,10000.5,20000.5\nB,10300.5,20000.5\n")
    assert main(["stage", "drift", str(aligned.path), "--marks", str(visits)]) == 2
    assert "seem to be in µm" in capsys.readouterr().err
    with Project.open(aligned.path, write=False) as again:
        assert [known.name for known in again.registrations] == ["R1"]
        assert [mark.stage_x_mm for mark in again.marks] == [10, 10.3, 10, 10.3]  # as they were
