"""Batches against each other and against acceptance limits."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouping_toys import CODES, MM2, detect, make, scan

from microscope_qc import api
from microscope_qc.analysis.acceptance import Limit
from microscope_qc.analysis.comparison import Group, holm, rate_ratio
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.batches import compare_batches, read_limits
from microscope_qc.workflows.results.batches_text import batch_lines

COUNTS = (20, 24, 22, 60, 70, 62, 21, 25, 23)


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[Project]:
    """Three batches of three slides; the second has three times as many findings."""
    with make(tmp_path / "cells.mqc", slides=9) as project:
        for slide, count in enumerate(COUNTS):
            detect(project, slide, count)
            project.fields.set({project.slides[slide].id: {"batch": "ABC"[slide // 3]}})
        yield project


def compare(project: Project, *limits: Limit, by: str = "batch", reference: str | None = None) -> dict[str, Any]:
    found = run_job(compare_batches([project], [by], limits=limits, reference=reference))
    json.dumps(found, allow_nan=False)
    return found


def judge(project: Project, code: str, state: ReviewState, *, slides: slice = slice(None)) -> list[int]:
    """Judge all findings of a class; returns their numbers."""
    number, judged = project.classes.by_code(code).id, []
    for slide in list(project.slides)[slides]:
        rows = project.boxes.rows(slide.id)
        ids = rows["id"][rows["class_id"] == number]
        project.boxes.edit(ids, state=state)
        judged += ids.tolist()
    return judged


def test_a_batch_with_three_times_as_many_differs_from_both_others(batches: Project) -> None:
    found = compare(batches)
    assert [group["group"] for group in found["groups"]] == ["batch A", "batch B", "batch C"]
    everything = {(one["first"], one["second"]): one for one in found["ratios"] if one["kind"] == "all"}
    differs = {pair: one["differs"] for pair, one in everything.items()}
    assert differs == {("batch A", "batch B"): True, ("batch A", "batch C"): False, ("batch B", "batch C"): True}
    groups = [Group(COUNTS[n : n + 3], [MM2] * 3) for n in (0, 3, 6)]
    one = everything["batch A", "batch B"]
    expected = rate_ratio(groups[1], groups[0], [groups[2]])
    assert one["ratio"] == pytest.approx(192 / 66) == pytest.approx(expected.value)
    assert one["interval"] == pytest.approx(list(expected.interval)) and one["freedom"] == 6
    assert one["densities"] == pytest.approx([66 / 3 / MM2, 192 / 3 / MM2])
    assert (one["counts"], one["areas_mm2"], one["sections"]) == ([66, 192], [3 * MM2] * 2, [3, 3])
    assert "batch B by batch A:" in batch_lines(found)


def test_classes_are_corrected_together(batches: Project) -> None:
    found = compare(batches)["ratios"]
    for kind, rows in (("class", 3 * 3), ("class group", 2 * 3), ("all", 3)):
        mine = [one for one in found if one["kind"] == kind]
        assert len(mine) == rows
        assert [one["p_corrected"] for one in mine] == holm([one["p"] for one in mine])


def test_all_others_can_be_compared_with_one(batches: Project) -> None:
    found = compare(batches, reference="C")
    assert {(one["first"], one["second"]) for one in found["ratios"]} == {
        ("batch C", "batch A"), ("batch C", "batch B")
    }  # fmt: skip
    with pytest.raises(InputError, match="no group Z") as raised:
        compare(batches, reference="Z")
    assert "batch A, batch B and batch C" in raised.value.hint


@pytest.mark.parametrize("reference", ["2018-02", "production date 2018-02"])
def test_a_reference_is_called_by_its_name_or_its_value(batches: Project, reference: str) -> None:
    for number, date in enumerate(("2018-01", "2018-02", None)):
        batches.fields.set({slide.id: {"production_date": date} for slide in list(batches.slides)[3 * number :][:3]})
    found = compare(batches, by="production_date", reference=reference)
    assert {(one["first"], one["second"]) for one in found["ratios"]} == {
        ("production date 2018-02", "production date 2018-01"), ("production date 2018-02", "no production date")
    }  # fmt: skip


@pytest.mark.parametrize("by", ["furnace", "class", "class-group"])
def test_what_makes_no_groups_is_refused(batches: Project, by: str) -> None:
    with pytest.raises(InputError):
        compare(batches, by=by)


def test_one_group_alone_can_only_be_judged_by_limits(batches: Project) -> None:
    batches.fields.set({slide.id: {"batch": "A"} for slide in batches.slides})
    with pytest.raises(InputError, match="batch A is the only group"):
        compare(batches)
    assert compare(batches, Limit("all", per_mm2=1000))["verdicts"][0]["verdict"] == "pass"


def test_a_batch_where_a_class_was_not_found_or_not_searched_for(tmp_path: Path) -> None:
    with make(tmp_path / "some.mqc", slides=5) as project:
        for slide in (0, 1):
            detect(project, slide, 30)
            scan(project, slide + 2)
        for number, slide in enumerate(project.slides):
            project.fields.set({slide.id: {"batch": "ABC"[number // 2]}})
        found = {(one["first"], one["second"]): one for one in compare(project)["ratios"] if one["kind"] == "all"}
        below = found["batch A", "batch B"]
        assert below["ratio"] == 0 and below["interval"][1] < 1 and below["detectable"] is None
        assert found["batch A", "batch C"]["reason"] == "no area was searched in batch C"
        assert found["batch A", "batch C"]["p_corrected"] is None
        assert found["batch A", "batch C"]["counts"] == [60, None]
        project.fields.set({project.slides[0].id: {"batch": "B"}, project.slides[1].id: {"batch": "B"},
                            project.slides[2].id: {"batch": "A"}, project.slides[3].id: {"batch": "A"}})  # fmt: skip
        found = {(one["first"], one["second"]): one for one in compare(project)["ratios"] if one["kind"] == "all"}
        above = found["batch A", "batch B"]
        assert above["ratio"] is None and above["interval"][1] is None
        assert above["reason"] == "nothing was found in batch A"


def test_slide_by_slide_nothing_is_tested(batches: Project) -> None:
    for one in compare(batches, by="slide")["ratios"]:
        assert one["differs"] is None and one["reason"].startswith(("spread between sections unknown", "nothing"))


# -- limits -----------------------------------------------------------------------------------------------------------


def verdicts(found: dict[str, Any]) -> list[str]:
    return [verdict["verdict"] for verdict in found["verdicts"]]


def test_densities_pass_by_what_was_kept_and_fail_by_what_was_judged(batches: Project) -> None:
    between = 40 / MM2
    assert verdicts(compare(batches, Limit("all", per_mm2=between))) == ["pass", "undecided", "pass"]
    for code in CODES:
        judge(batches, code, ReviewState.CONFIRMED)
    found = compare(batches, Limit("all", per_mm2=between, source="contract 7"))
    assert verdicts(found) == ["pass", "fail", "pass"]
    (check,) = found["verdicts"][1]["checks"]
    assert check["low"] > between and check["value"] == pytest.approx(192 / 3 / MM2)
    assert check["reason"].startswith("192 findings on 12 mm2") and check["source"] == "contract 7"
    assert verdicts(compare(batches, Limit("all", per_mm2=23 / MM2)))[0] == "undecided"
    slides = found["verdicts"][1]["slides"]
    assert [slide["verdict"] for slide in slides] == ["fail"] * 3


def test_the_largest_finding_decides_and_is_named(batches: Project) -> None:
    limit = Limit("ACP", largest_um=55)  # sides are up to 60 um
    found = compare(batches, limit)
    assert set(verdicts(found)) == {"undecided"}
    (check,) = found["verdicts"][0]["checks"]
    rows = np.concatenate([batches.boxes.rows(batches.slides[n].id) for n in range(3)])
    mine = rows[rows["class_id"] == batches.classes.by_code("ACP").id]
    large = mine["id"][(mine["y1"] - mine["y0"]) * 5 > 55]
    assert check["decides"] == large.tolist() and len(large) > 0 and check["value"] == 60
    batches.boxes.edit(large[:1], state=ReviewState.CONFIRMED)
    (check,) = (failed := compare(batches, limit)["verdicts"][0])["checks"]
    assert failed["verdict"] == "fail" and check["decides"] == [large[0]]
    assert f"#{large[0]}" in "\n".join(batch_lines(compare(batches, limit)))
    batches.boxes.edit(large, state=ReviewState.REJECTED)
    assert compare(batches, limit)["verdicts"][0]["verdict"] == "pass"


def test_none_at_all(batches: Project) -> None:
    limit = Limit("COP", none_at_all=True)
    assert set(verdicts(compare(batches, limit))) == {"undecided"}
    judge(batches, "COP", ReviewState.REJECTED)
    assert set(verdicts(compare(batches, limit))) == {"pass"}
    (first, *_) = judge(batches, "COP", ReviewState.CONFIRMED, slides=slice(3, 4))
    found = compare(batches, limit)
    assert verdicts(found) == ["pass", "fail", "pass"]
    assert [slide["verdict"] for slide in found["verdicts"][1]["slides"]] == ["fail", "pass", "pass"]
    assert first in found["verdicts"][1]["checks"][0]["decides"]


def test_what_was_not_searched_for_does_not_pass(batches: Project) -> None:
    found = compare(batches, Limit("CRK", per_mm2=1, largest_um=10, none_at_all=True))
    assert set(verdicts(found)) == {"undecided"}
    reasons = [check["reason"] for check in found["verdicts"][0]["checks"]]
    assert reasons[0] == "nothing was scanned or declared complete for this class"
    assert reasons[1:] == ["3 slides not searched for it"] * 2


def test_without_a_pixel_size_nothing_passes(tmp_path: Path) -> None:
    with make(tmp_path / "px.mqc", slides=1, pixel_size_um=None) as project:
        detect(project, 0, 10)
        (verdict,) = compare(project, Limit("all", per_mm2=1e6, largest_um=1e6), by="slide")["verdicts"]
        assert [check["verdict"] for check in verdict["checks"]] == ["undecided"] * 2
        assert all("pixel size" in check["reason"] for check in verdict["checks"])


def test_a_judged_finding_fails_a_batch_of_which_another_slide_has_no_pixel_size(batches: Project) -> None:
    batches.slides.set_pixel_size(batches.slides[2].id, None)
    limit = Limit("ACP", largest_um=55)
    assert verdicts(compare(batches, limit))[0] == "undecided"
    judge(batches, "ACP", ReviewState.CONFIRMED, slides=slice(0, 1))
    found = compare(batches, limit)
    assert verdicts(found) == ["fail", "undecided", "undecided"]
    assert [slide["verdict"] for slide in found["verdicts"][0]["slides"]] == ["fail", "pass", "undecided"]
    assert found["verdicts"][0]["checks"][0]["value"] == 60


@pytest.mark.parametrize(("slides", "per_mm2"), [(1, 2.996), (3, 2.996 / 3)])
def test_limits_of_a_density_are_one_sided(tmp_path: Path, slides: int, per_mm2: float) -> None:
    """Without a finding, a density is below 3.0 per area with 95 %: minus the logarithm of 0.05."""
    with make(tmp_path / "clean.mqc", slides=slides) as project:
        for slide in range(slides):
            scan(project, slide)
        for factor, verdict in ((1.01, "pass"), (0.99, "undecided")):
            found = compare(project, Limit("all", per_mm2=factor * per_mm2 / MM2), by="project")
            assert verdicts(found) == [verdict]


def test_limits_for_a_class_group_and_for_what_is_not_there(batches: Project) -> None:
    found = compare(batches, Limit("Anode", per_mm2=1000))
    assert set(verdicts(found)) == {"pass"}
    with pytest.raises(InputError, match="neither a class nor a class group"):
        compare(batches, Limit("XYZ", per_mm2=1))


def test_limits_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "limits.csv"
    table.write_text("class;per mm2;largest_um;none_at_all;source\nACP;2,5;;;norm\nall;;40;yes;\n", encoding="utf-8")
    assert read_limits(table) == [Limit("ACP", 2.5, None, False, "norm"), Limit("all", None, 40.0, True, "")]
    for text, words in (
        ("class,per_mm2\nACP,many\n", "line 2"), ("class,per_mm2\n\nACP,\n", "no limit"),
        ("class,per_mm2\nA,-1\n", "no limit"), ("class,none_at_all\nA,perhaps\n", "neither yes nor no"),
        ("code,per_mm2\nA,1\n", "lacks"), ("class,per_mm2\n,1\n", "names no class"),
    ):  # fmt: skip
        table.write_text(text, encoding="utf-8")
        with pytest.raises(MicroscopeQCError, match=words):
            read_limits(table)


def test_the_command_the_tables_and_the_frames_say_the_same(
    batches: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "limits.csv"
    limits.write_text("class,per_mm2,none_at_all\nall,10,\nCOP,,yes\n", encoding="utf-8")
    found, path = compare(batches, *read_limits(limits)), str(batches.path)
    batches.close()
    command = ["compare-batches", path, "--group-by", "batch", "--progress", "none"]
    assert main([*command, "--limits", str(limits), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    out = tmp_path / "ratios.csv"
    assert main([*command, "--csv", str(out)]) == 0
    frame = api.compare_batches(path, by=["batch"])
    with out.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(frame.columns) and len(lines) == len(frame) == 18
    (all_of_b,) = [line for line in lines if line["rows"] == "all" and line["second"] == "batch B"]
    assert (all_of_b["second_count"], float(all_of_b["second_mm2"]), all_of_b["second_sections"]) == ("192", 12, "3")
    assert [float(line["ratio"]) for line in lines] == pytest.approx(frame["ratio"].tolist(), rel=1e-5)
    judged = api.verdicts(path, by=["batch"], limits=limits)
    assert len(judged) == 2 * (3 + 9) and set(judged["verdict"]) <= {"pass", "fail", "undecided"}
    capsys.readouterr()
    assert main([*command, "--limits", str(limits)]) == 0
    assert "batch B: UNDECIDED" in (text := capsys.readouterr().out) and "none at all" in text
    assert main(["compare-batches", path, "--group-by", "furnace", "--progress", "none"]) == 2
