"""Severities of a project: the kept profile, the list, the travel list and the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from grouping_toys import detect, make

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project import Project
from microscope_qc.workflows.review.severity import kept_profile, profile_of, severity_words, slide_severities


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    with make(tmp_path / "cell.mqc", slides=2) as project:
        for slide in range(2):
            ids = detect(project, slide, 40)
            project.boxes.edit(ids[:3], state=ReviewState.REJECTED, reason="duplicate")
    return tmp_path / "cell.mqc"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_findings_are_listed_by_it_and_the_kept_profile_holds_the_medians(
    cell: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    listed = told(capsys, "severity", str(cell))["findings"]
    assert len(listed) == 74 and [one["severity"] for one in listed] == sorted(
        (one["severity"] for one in listed), reverse=True
    )
    limits = tmp_path / "limits.csv"
    limits.write_text("class,largest_um\nAnode,30\nCOP,20\n", encoding="utf-8")
    assert main(["severity", str(cell), "keep", "--crowding", "0", "--limits", str(limits)]) == 0
    assert capsys.readouterr().out == "Keep the profile of severity.\n"
    with Project.open(cell) as project:
        profile, kept = profile_of(project), kept_profile(project)
        assert kept is not None and kept.user and profile.crowding == 0 and profile.medians_um
        codes = {project.classes.by_code(code).id: size for code, size in (("ACP", 30), ("AOP", 30), ("COP", 20))}
        assert {number: profile.limits_um[number] for number in codes} == codes
        before = severity_words(project, project.slides[0].id, int(project.boxes.rows(project.slides[0].id)["id"][5]))
        assert "size" in before and "crowding" not in before and "anomaly" not in before
    found = api.severity(cell)
    assert found["severity"].is_monotonic_decreasing and len(found) == 74
    assert main(["severity", str(cell), "forget"]) == 0
    with Project.open(cell) as project:
        assert kept_profile(project) is None
        project.history.undo()
        assert kept_profile(project) == kept
    assert "Kept by" in (main(["severity", str(cell), "profile"]) or capsys.readouterr().out)


def test_a_limit_of_nothing_that_is_there_is_refused(
    cell: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    limits = tmp_path / "limits.csv"
    limits.write_text("class,largest_um\nNONE,30\n", encoding="utf-8")
    assert main(["severity", str(cell), "keep", "--limits", str(limits)]) == 2
    assert "NONE is neither a class nor a class group" in capsys.readouterr().err


def test_an_attribute_says_how_strange_a_finding_looks(cell: Path) -> None:
    with Project.open(cell) as project:
        slide = project.slides[0].id
        ids = project.boxes.rows(slide)["id"]
        before = slide_severities(project, slide)[1].total
        project.attributes.edit(ids[5:7], {"anomaly_p": 1e-6})
        project.attributes.edit(ids[7:8], {"anomaly_p": "odd"})
        rows, found = slide_severities(project, slide)
        assert found.parts["anomaly"][[5, 6]].tolist() == [1, 1] and (found.total[[5, 6]] > before[[5, 6]]).all()
        assert found.total[7] == before[7]
        _, some = slide_severities(project, slide, rows["id"][5:8])
        assert some.total.tolist() == found.total[5:8].tolist(), "the card says what the list says"
