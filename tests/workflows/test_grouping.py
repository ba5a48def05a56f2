"""Numbers of groups of slides against a count, finding by finding, and what is said where there are none."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouping_toys import CODES, MM2, SIZE_UM, detect, make, places, scan

from microscope_qc import api
from microscope_qc.analysis.counts import pooled_density
from microscope_qc.analysis.shares import pooled_share
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.counted_findings import count_findings
from microscope_qc.workflows.results.grouping import statistics_by
from microscope_qc.workflows.results.grouping_text import grouped_lines
from microscope_qc.workflows.results.plot_parts import members_by
from microscope_qc.workflows.results.statistics import numbers_together, slide_findings, slide_numbers, statistics_of
from microscope_qc.workflows.review import judging
from microscope_qc.workflows.review.matching import matching

SPECIMENS = ("a1", "a1", "a2", "b1", "b2", "b3")


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[Project]:
    """Two batches of three slides; many findings were judged, some got another class, some were drawn."""
    with make(tmp_path / "cell.mqc", slides=6) as project:
        other = project.classes.by_code("COP").id
        for slide, specimen in enumerate(SPECIMENS):
            ids = detect(project, slide, 40 + 20 * (slide >= 3) + 5 * slide)
            project.boxes.edit(ids[::4], state=ReviewState.CONFIRMED)
            project.boxes.edit(ids[1::8], state=ReviewState.REJECTED, reason="false positive")
            project.boxes.edit(ids[2::16], state=ReviewState.REJECTED, reason="duplicate")
            project.boxes.edit(ids[6::16], class_id=other)
            drawn = make_rows(4, class_id=other, y0=[380.0] * 4, x0=[5.0, 15, 25, 35], y1=390.0, x1=[9.0, 19, 29, 39])
            project.boxes.add(project.slides[slide].id, drawn)
            values = {"batch": "AB"[slide >= 3], "specimen": specimen, "capacity": 10.0 if slide < 3 else 9.0}
            project.fields.set({project.slides[slide].id: values})
        yield project


def by(project: Project, *fields: str) -> dict[str, Any]:
    found = run_job(statistics_by([project], fields))
    json.dumps(found, allow_nan=False)
    return found


def row_of(group: dict[str, Any], code: str) -> dict[str, Any]:
    return next(row for row in group["classes"] if row["code"] == code)


def test_a_group_is_counted_finding_by_finding(batches: Project) -> None:
    found = by(batches, "batch")
    assert [group["group"] for group in found["groups"]] == [{"batch": "A"}, {"batch": "B"}]
    for group, slides in zip(found["groups"], (range(3), range(3, 6)), strict=True):
        assert group["slide_names"] == [batches.slides[n].name for n in slides]
        records = [batches.slides[n].id for n in slides]
        for code in CODES:
            row, number = row_of(group, code), batches.classes.by_code(code).id
            rows = [mine[mine["class_id"] == number] for mine in map(batches.boxes.rows, records)]
            kept = [int((mine["state"] != ReviewState.REJECTED).sum()) for mine in rows]
            assert row["reviewed"]["count"] == row["kept"] == sum(kept)
            said = [batches.opinions.of_slide(record) for record in records]
            raw = [int((mine["class_id"] == number).sum()) for mine in said]
            assert row["raw"]["count"] == row["raw"]["in_area"] == sum(raw)
            units = [[0, 1], [2]] if group["group"]["batch"] == "A" else [[0], [1], [2]]
            for column, counts in (("raw", raw), ("reviewed", kept)):
                joined = [sum(counts[n] for n in unit) for unit in units]
                expected = pooled_density(joined, [MM2 * len(unit) for unit in units])
                assert row[column]["per_mm2"] == pytest.approx(sum(counts) / (3 * MM2))
                assert row[column]["interval"] == pytest.approx(list(expected.interval))
            assert row["spread_between"] == "specimens" and row["spread_n"] == len(units)
            sizes = np.concatenate([mine[mine["state"] != 2] for mine in rows])
            longer = (sizes["y1"] - sizes["y0"]).clip(min=(sizes["x1"] - sizes["x0"])) * SIZE_UM
            assert row["size_um"]["median"]["value"] == pytest.approx(np.median(longer))
            assert row["size_um"]["largest"] == longer.max() and row["size_um"]["n"] == len(longer)
            reasons = {one["reason_given"]: one["count"] for one in row["rejections"]}
            rejected = np.concatenate(rows)[np.concatenate(rows)["state"] == 2]["reason"].tolist()
            assert reasons == {reason: rejected.count(reason) for reason in set(rejected)}


def test_corrected_stands_between_what_is_known_and_what_is_kept(batches: Project) -> None:
    assert "worst-first" in by(batches)["total"]["corrected"]["reason"], "how they were chosen is not known"
    drawn = matching(batches, None).sample(120).ids
    judging.confirm(batches, drawn[::2], at_random=True)
    judging.reject(batches, drawn[1::2], "false positive", at_random=True)
    everything = by(batches)["total"]
    column = everything["corrected"]
    assert everything["kept"] - column["unjudged"] < column["count"] < everything["kept"] < everything["raw"]["count"]
    low, high = column["count_interval"]
    assert low < column["count"] < high <= everything["kept"]
    assert column["per_mm2"] == pytest.approx(column["count"] / everything["area_mm2"])
    assert column["interval"][0] < column["per_mm2"] < column["interval"][1]
    assert column["recall"] is None and column["recall_reason"].startswith("not estimable")
    for slide in batches.slides:
        rows = batches.boxes.rows(slide.id)
        batches.boxes.edit(rows["id"][rows["state"] == 0], state=ReviewState.CONFIRMED)
    everything = by(batches)["total"]
    assert everything["corrected"]["count_interval"] == [everything["kept"]] * 2, "all is known"
    assert everything["corrected"]["interval"] == pytest.approx(everything["reviewed"]["interval"])


def test_what_was_imported_with_a_confidence_is_not_known_to_be_true(tmp_path: Path) -> None:
    """Some other program found it; boxes without a confidence were drawn by somebody."""
    with make(tmp_path / "cell.mqc", slides=1) as project:
        class_id, slide = project.classes.by_code("ACP").id, project.slides[0].id
        ids = project.boxes.add(slide, make_rows(40, class_id=class_id, confidence=0.9, **places(40)))
        far = {name: side + 300 for name, side in places(5).items()}
        project.boxes.add(slide, make_rows(5, class_id=class_id, **far))
        everything = by(project)["total"]
        assert everything["raw"]["count"] == 40 and everything["reviewed"]["count"] == 45
        column = everything["corrected"]
        assert (column["count"], column["unjudged"]) == (None, 40) and "no such was judged" in column["reason"]
        drawn = matching(project, None).sample(20).ids
        assert set(drawn.tolist()) < set(ids.tolist())
        judging.confirm(project, drawn[:15], at_random=True)
        judging.reject(project, drawn[15:], "false positive", at_random=True)
        assert by(project)["total"]["corrected"]["count"] == pytest.approx(5 + 15 + 20 * 0.75)


def test_how_much_is_enough_is_said_in_sections_findings_and_area(batches: Project) -> None:
    found = by(batches, "batch")
    everything = found["groups"][0]
    known = everything["enough"]
    assert known["sections"] > everything["spread_n"] == 2 and known["precision"] == 0.3
    assert known["area_mm2"] == pytest.approx(known["findings"] / everything["per_mm2"])
    words = f"needs {known['sections']} specimens like these (2 there), {known['findings']} findings on"
    assert any(words in line for line in grouped_lines(found))


def test_shares_are_of_all_findings_and_class_groups_are_sums(batches: Project) -> None:
    found = by(batches, "batch")["total"]
    shares = [row["share"] for row in found["classes"]]
    assert sum(share["value"] for share in shares) == pytest.approx(1)
    assert {share["of"] for share in shares} == {found["kept"]}
    anode, cathode = found["class_groups"]
    assert (anode["name"], anode["classes"], cathode["classes"]) == ("Anode", ["ACP", "AOP"], ["COP"])
    assert anode["kept"] == row_of(found, "ACP")["kept"] + row_of(found, "AOP")["kept"]
    assert cathode["per_mm2"] == row_of(found, "COP")["per_mm2"]
    kept = [[int(((rows := batches.boxes.rows(slide.id))["state"] != 2).sum()),
             int(((rows["state"] != 2) & (rows["class_id"] == batches.classes.by_code("ACP").id)).sum())]
            for slide in batches.slides]  # fmt: skip
    of, counts = np.array([np.sum(kept[:2], axis=0), *kept[2:]]).T
    expected = pooled_share(counts, of, together=3)
    assert row_of(found, "ACP")["share"]["interval"] == pytest.approx(list(expected.interval))


def test_the_total_is_that_of_the_slides(batches: Project) -> None:
    """The numbers of slides together that the window adds up, those of ``stats``, and those of groups."""
    with_slides = run_job(statistics_of([batches]))
    slides = [slide_numbers(slide_findings(batches, slide.id)) for slide in batches.slides]
    together = numbers_together(slides, [MM2] * 6)
    grouped = by(batches, "slide")
    assert grouped["total"] == with_slides["total"]
    names = (
        "total", "kept", "states", "reviewed_share", "in_area", "outside_area", "area_mm2", "area_share", "per_mm2",
        "per_mm2_interval", "per_mm2_reason", "sections", "without_area",
    )  # fmt: skip
    for name in (*names, "classes_of_all"):
        assert together[name] == grouped["total"][name], name
    for code in CODES:
        mine, other = row_of(together, code), row_of(grouped["total"], code)
        assert {name: mine[name] for name in names} == {name: other[name] for name in names}
    for slide, full in zip(grouped["slides"], slides, strict=True):
        assert all(slide[name] == full[name] for name in slide.keys() & full.keys())


def test_groups_by_two_fields_by_number_and_without_a_value(batches: Project) -> None:
    batches.fields.set({batches.slides[0].id: {"batch": None}})
    found = by(batches, "Capacity", "batch")
    assert found["by"] == ["capacity", "batch"]
    assert [(g["group"]["capacity"], g["group"]["batch"], g["slides"]) for g in found["groups"]] == [
        (9.0, "B", 3), (10.0, "A", 2), (10.0, None, 1),
    ]  # fmt: skip
    assert "capacity 10, no batch: 1 slide" in "\n".join(grouped_lines(found))
    assert found["groups"][2]["spread_reason"] == "spread between sections unknown"
    assert [group["group"]["slide"] for group in by(batches, "slide")["groups"]] == [s.name for s in batches.slides]
    assert "classes" not in by(batches, "class-group")["groups"][0]
    assert "class_groups" not in by(batches, "class")["groups"][0]


def test_groups_come_in_the_order_of_the_numbers_in_their_names(batches: Project) -> None:
    batches.fields.set({slide.id: {"batch": f"B{12 - n}"} for n, slide in enumerate(batches.slides)})
    expected = [f"B{n}" for n in range(7, 13)]
    assert [group["group"]["batch"] for group in by(batches, "batch")["groups"]] == expected
    assert list(members_by(run_job(count_findings([batches])), "batch")) == expected


def test_specimens_of_different_batches_may_be_called_alike(batches: Project) -> None:
    batches.fields.set({slide.id: {"specimen": str(n % 3)} for n, slide in enumerate(batches.slides)})
    everything = by(batches)["total"]
    assert (everything["specimens"], everything["spread_n"]) == (6, 6)


def test_a_field_that_is_not_there_is_refused(batches: Project) -> None:
    with pytest.raises(InputError, match="nothing called furnace") as raised:
        by(batches, "furnace")
    assert "batch" in raised.value.hint and "class-group" in raised.value.hint


def test_raw_is_what_models_found_before_the_review(tmp_path: Path) -> None:
    with make(tmp_path / "raw.mqc", slides=1) as project:
        ids = detect(project, 0, 12)
        said = project.opinions.of_slide(project.slides[0].id)
        before = {code: int((said["class_id"] == project.classes.by_code(code).id).sum()) for code in CODES}
        project.boxes.edit(ids, class_id=project.classes.by_code("CRK").id)
        project.boxes.edit(ids[:5], state=ReviewState.REJECTED)
        hidden = scan(project, 0, ["CRK"], "other")
        project.runs.add_findings(
            hidden, make_rows(12, class_id=project.classes.by_code("CRK").id, confidence=1, **places(12))
        )
        project.runs.show(hidden, False)
        found = by(project)["total"]
        assert {row["code"]: row["raw"]["count"] for row in found["classes"]} == {**before, "CRK": 0}
        assert row_of(found, "CRK")["kept"] == 7
        limit = float(np.sort(said["confidence"])[6])
        project.inclusion.set_limit(limit)
        assert by(project)["total"]["raw"]["count"] == 6


def test_projects_share_classes_by_their_codes(tmp_path: Path) -> None:
    with make(tmp_path / "one.mqc", slides=2) as one, make(tmp_path / "two.mqc", slides=1) as two:
        two.classes.reorder([two.classes.by_code("COP").id, *(c.id for c in two.classes if c.code != "COP")])
        own = two.classes.add("NEW", name="New class").id
        for project, slides in ((one, 2), (two, 1)):
            for slide in range(slides):
                detect(project, slide, 30, seed=slides)
        two.boxes.add(two.slides[0].id, make_rows(1, class_id=own, y0=390, x0=390, y1=395, x1=395))
        found = run_job(statistics_by([one, two], ["project"]))
        assert [group["group"]["project"] for group in found["groups"]] == [one.name, two.name]
        assert row_of(found["total"], "COP")["kept"] == sum(row_of(g, "COP")["kept"] for g in found["groups"])
        assert (
            row_of(found["total"], "NEW")["per_mm2_reason"] == "nothing was scanned or declared complete for this class"
        )
        assert [head["project"] for head in found["projects"]] == [one.name, two.name]


# -- a sentence, never a false number ---------------------------------------------------------------------------------


def test_without_a_pixel_size(tmp_path: Path) -> None:
    with make(tmp_path / "px.mqc", slides=2, pixel_size_um=None) as project:
        detect(project, 0, 20)
        found = by(project)
        total = found["total"]
        assert total["per_mm2"] is None and total["size_um"]["median"] is None
        assert total["per_mm2_reason"].startswith("the pixel size of the slide is not known")
        assert total["size_um"]["reason"] == "the pixel size is not known"
        assert total["raw"]["count"] == 20 and total["raw"]["per_mm2"] is None
        assert any("pixel size" in line for line in grouped_lines(found))


def test_without_an_area_or_any_slide(tmp_path: Path) -> None:
    with make(tmp_path / "drawn.mqc", slides=1) as project:
        number = project.classes.by_code("ACP").id
        project.boxes.add(project.slides[0].id, make_rows(1, class_id=number, y0=5, x0=5, y1=9, x1=15))
        total = by(project)["total"]
        assert total["per_mm2"] is None
        assert total["reviewed"]["reason"] == "nothing was scanned or declared complete for this class"
        (row,) = total["classes"]
        assert row["size_um"]["median"] == {
            "value": 50.0,
            "n": 1,
            "interval": None,
            "reason": "1 is too few for an interval",
        }
        assert row["share"]["reason"] == "nothing was scanned or declared complete"
        assert row["rejected"]["reason"] == "nothing was judged"
        assert total["corrected"]["count"] == 1 and total["raw"]["count"] == 0
    with Project.create(tmp_path / "empty.mqc") as project:
        found = by(project, "batch")
        assert found["groups"] == [] and found["total"]["kept"] == 0 and found["total"]["per_mm2"] is None
        assert grouped_lines(found)


def test_where_nothing_was_found(tmp_path: Path) -> None:
    with make(tmp_path / "clean.mqc", slides=2) as project:
        for slide in range(2):
            scan(project, slide)
        total = by(project)["total"]
        assert (total["per_mm2"], total["spread"]) == (0, None)
        assert total["per_mm2_interval"] == pytest.approx([0, 3.689 / (2 * MM2)], abs=1e-3)
        assert total["spread_reason"] == "nothing found: spread between sections unknown"
        assert total["size_um"]["reason"] == "nothing was found" and total["rejected"]["value"] is None
        assert total["corrected"]["count"] == 0 and math.isfinite(total["corrected"]["interval"][1])


def test_a_group_in_which_a_class_was_not_found(batches: Project) -> None:
    slides = [slide.id for slide in batches.slides[:3]]
    number = batches.classes.by_code("AOP").id
    for slide in slides:
        rows = batches.boxes.rows(slide)
        batches.boxes.delete(rows["id"][rows["class_id"] == number])
    first, second = by(batches, "batch")["groups"]
    row = row_of(first, "AOP")
    assert row["per_mm2"] == 0 and row["per_mm2_interval"][1] > 0 and row["share"]["value"] == 0
    assert row_of(second, "AOP")["per_mm2"] > 0


# -- command line and tables ------------------------------------------------------------------------------------------


def test_the_command_the_table_and_the_frame_say_the_same(
    batches: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judging.confirm(batches, matching(batches, None).sample(150).ids, at_random=True)
    found, path = by(batches, "batch"), str(batches.path)
    batches.close()
    assert main(["stats", path, "--group-by", "batch", "--json", "--progress", "none"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    table = tmp_path / "groups.csv"
    assert main(["stats", path, "--group-by", "batch", "--csv", str(table), "--progress", "none"]) == 0
    capsys.readouterr()
    with table.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    frame = api.statistics(path, by=["batch"])
    assert list(frame.columns) == list(lines[0]) and len(frame) == len(lines) == 2 * (3 + 2 + 1)
    for line, (_, row) in zip(lines, frame.iterrows(), strict=True):
        assert (line["batch"], line["rows"], line["class"]) == (row["batch"], row["rows"], row["class"])
        for name in ("raw_per_mm2", "reviewed_per_mm2_low", "corrected_per_mm2_high", "median_um", "share_high"):
            assert float(line[name] or "nan") == pytest.approx(float(row[name]), rel=1e-5, nan_ok=True)
    assert main(["stats", path, "--group-by", "batch", "--progress", "none"]) == 0
    text = capsys.readouterr().out
    assert "batch A: 3 slides of 2 specimens" in text and "All slides: 6 slides of 5 specimens" in text
    assert main(["stats", path, "--group-by", "nothing", "--progress", "none"]) == 2
