"""Second reviews: what two people say of the same findings, and how well that agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from grouping_toys import detect, make

from microscope_qc.analysis.agreement import kappa, specific_agreement
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.sheets import read_sheet, write_sheet
from microscope_qc.project import Project
from microscope_qc.project.parts import standards
from microscope_qc.project.parts.standards import SECOND_REVIEW
from microscope_qc.workflows.results.second_agreement import again_lines, compared_again
from microscope_qc.workflows.review import second_review
from microscope_qc.workflows.review.second_review import SecondVerdict


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Project]:
    """60 findings on two slides; 30 confirmed, 15 rejected, the others not judged."""
    with make(tmp_path / "cells.mqc", slides=2) as project:
        ids = np.concatenate([detect(project, 0, 30), detect(project, 1, 30)])
        project.boxes.edit(ids[:30], state=ReviewState.CONFIRMED)
        project.boxes.edit(ids[30:45], state=ReviewState.REJECTED, reason="false positive")
        yield project


def every(project: Project) -> np.ndarray:
    return np.concatenate([project.boxes.rows(slide.id)["id"] for slide in project.slides])


def test_only_judged_findings_come_in_an_order_of_chance(cells: Project) -> None:
    one, two = (second_review.begin(cells, every(cells)) for _ in range(2))
    judged = [number for number, verdict in one.first.items()]
    assert len(one.findings) == 45 and sorted(one.findings.tolist()) == sorted(judged)
    assert one.findings.tolist() != two.findings.tolist(), "each has an order of its own"
    states = np.array([one.first[number].is_defect for number in one.findings.tolist()])
    assert 5 <= states[:20].sum() <= 18, "the order tells nothing of the first verdict"
    assert len(second_review.begin(cells, every(cells), count=10).findings) == 10
    cells.history.undo()
    assert [known.number for known in second_review.second_reviews(cells)] == [1, 2]
    unjudged = np.setdiff1d(every(cells), one.findings)
    with pytest.raises(InputError, match="None of these findings was judged"):
        second_review.begin(cells, unjudged)


def test_agreement_is_that_of_counts_by_hand(cells: Project) -> None:
    known = second_review.begin(cells, every(cells), user="B")
    before = {slide.id: cells.boxes.rows(slide.id)["state"].copy() for slide in cells.slides}
    other = {defect.id: (defect.id % len(cells.classes)) + 1 for defect in cells.classes}
    true = [number for number, said in known.first.items() if said.is_defect]
    false = [number for number, said in known.first.items() if not said.is_defect]
    verdicts = {number: SecondVerdict(True, known.first[number].class_id) for number in true[:24]}
    verdicts |= {number: SecondVerdict(True, other[known.first[number].class_id]) for number in true[24:27]}
    verdicts |= {number: SecondVerdict(False, 0, "duplicate") for number in [*true[27:], *false[:13]]}
    verdicts[false[13]] = SecondVerdict(True, cells.classes[0].id)
    second_review.judge(cells, known.number, verdicts)
    assert second_review.second_review_named(cells, 1).left == [false[14]]
    found = compared_again(cells, 1)
    assert [found[name] for name in ("both", "only_first", "only_second", "neither")] == [27, 3, 1, 13]
    share = specific_agreement(27, 3, 1)
    assert share is not None and found["defect"]["value"] == share.value == pytest.approx(54 / 58)
    assert found["defect"]["interval"] == list(share.interval)
    wanted = kappa(np.repeat([1, 1, 0, 0], [27, 3, 1, 13]), np.repeat([1, 0, 1, 0], [27, 3, 1, 13]))
    assert found["deciding"]["value"] == pytest.approx(wanted.value) and found["deciding"]["of"] == 44
    assert found["naming"]["of"] == 27 and found["naming"]["same"]["value"] == pytest.approx(24 / 27)
    assert sum(one["differs"] for one in found["each"]) == 3 + 1 + 3
    assert any("kappa" in line for line in again_lines(found))
    json.dumps(found, allow_nan=False)
    for slide in cells.slides:
        assert (cells.boxes.rows(slide.id)["state"] == before[slide.id]).all(), "the project's verdicts stay"


def test_the_first_verdict_is_the_one_at_the_beginning(cells: Project) -> None:
    known = second_review.begin(cells, every(cells))
    number = known.findings.tolist()[0]
    cells.boxes.edit([number], state=ReviewState.UNREVIEWED)
    again = second_review.second_review_named(cells, 1)
    assert again.first[number] == known.first[number]
    second_review.judge(cells, 1, {number: SecondVerdict(False, 0, "other")})
    second_review.judge(cells, 1, {number: None})
    with pytest.raises(InputError, match="Nothing was judged again"):
        second_review.end(cells, 1)
    with pytest.raises(InputError, match="none of second review"):
        second_review.judge(cells, 1, {999_999: SecondVerdict(False, 0, "other")})
    with pytest.raises(InputError, match="no second review 7"):
        compared_again(cells, 7)


def test_a_verdict_writes_little_and_undo_takes_back_only_it(cells: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_review, "PIECE", 10)
    known = second_review.begin(cells, every(cells), user="B")
    order, no = known.findings.tolist(), SecondVerdict(False, 0, "duplicate")
    sizes = []
    for finding in order:
        known = second_review.judge(cells, 1, {finding: no}, seconds=2.0)
        sizes.append(max(len(json.dumps(one.data)) for one in list(cells.standards)[1:]))
    assert max(sizes) < 600 and len(cells.standards) == 1 + 5
    assert not known.left and known.seconds == 2.0 * 45
    cells.history.undo()
    back = second_review.second_review_named(cells, 1)
    assert back.left == [order[-1]] and back.seconds == 2.0 * 44
    yes = SecondVerdict(True, cells.classes[0].id)
    second_review.judge(cells, 1, {order[0]: yes, order[20]: yes, order[30]: None})
    path = cells.path
    cells.close()
    with Project.open(path) as again:
        read = second_review.second_review_named(again, 1)
        expected = dict.fromkeys(order[:44], no) | {order[0]: yes, order[20]: yes}
        del expected[order[30]]
        assert read.second == expected
        again.history.undo()
        assert second_review.second_review_named(again, 1).second == back.second
        second_review.end(again, 1)
        assert not second_review.second_review_named(again, 1).is_open
        again.history.undo()
        assert second_review.second_review_named(again, 1).is_open
        second_review.remove(again, 1)
        assert not again.standards
        again.history.undo()
        assert second_review.second_review_named(again, 1).second == back.second


def test_no_verdict_is_refused_for_its_length(cells: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    known = second_review.begin(cells, every(cells))
    monkeypatch.setattr(second_review, "PIECE", 10)
    monkeypatch.setattr(standards, "LONGEST", len(json.dumps(known.record.data)))
    for finding in known.findings.tolist():
        second_review.judge(cells, 1, {finding: SecondVerdict(False, 0, "preparation artefact")})
    second_review.end(cells, 1)
    assert len(second_review.second_review_named(cells, 1).second) == 45


def test_it_keeps_when_it_was_begun(cells: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    known = second_review.begin(cells, every(cells))
    monkeypatch.setattr(standards, "now", lambda: "2099-01-01T00:00:00")
    second_review.judge(cells, 1, {known.findings.tolist()[0]: SecondVerdict(False, 0, "other")})
    second_review.end(cells, 1)
    assert second_review.second_review_named(cells, 1).begun[:10] == known.begun[:10] < "2099"


def test_verdicts_of_an_older_version_are_read_and_can_be_taken_back(cells: Project) -> None:
    known = second_review.begin(cells, every(cells))
    one, two = known.findings.tolist()[:2]
    older = known.record.data | {"second": {str(n): [False, 0, "other"] for n in (one, two)}, "seconds": 5.0}
    del older["begun"]
    kept = cells.standards.keep(SECOND_REVIEW, "1", older)
    read = second_review.judge(cells, 1, {one: None}, seconds=1.0)
    assert read.second == {two: SecondVerdict(False, 0, "other")} and read.seconds == 6.0 and read.begun == kept.kept
    assert second_review.second_review_named(cells, 1).second == read.second
    cells.standards.keep(SECOND_REVIEW, "1", {})
    assert second_review.begin(cells, every(cells)).number == 2, "nothing replaces one that cannot be read"


def test_a_finding_with_two_verdicts_in_a_table_is_named(cells: Project, tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    write_sheet(path, ["finding", "verdict"], [["4", "f"], ["5", "d"], ["4", "F"]], title="t")
    assert len(second_review.read_verdicts(cells, path)) == 2
    write_sheet(path, ["finding", "verdict"], [["4", "f"], ["5", "d"], ["4", "d"]], title="t")
    with pytest.raises(InputError, match="Line 4 of twice.csv: finding 4 is there twice, with different verdicts"):
        second_review.read_verdicts(cells, path)


def test_a_table_goes_out_without_verdicts_and_comes_back_with_them(
    cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, back = str(cells.path), tmp_path / "places.csv", tmp_path / "back.csv"
    codes = {defect.id: defect.code for defect in cells.classes}
    classes = {int(r["id"]): codes[int(r["class_id"])] for s in cells.slides for r in cells.boxes.rows(s.id)}
    cells.close()
    assert main(["second-review", path, "begin", "--all", "--count", "20", "--by", "B", "--csv", str(out)]) == 0
    heads, *lines = read_sheet(out)
    assert heads == ["finding", "slide", "x0", "y0", "x1", "y1", "verdict"] and len(lines) == 20
    filled = [[line[0], classes[int(line[0])] if n % 4 else "f"] for n, line in enumerate(lines[:19])]
    write_sheet(back, ["finding", "verdict"], filled, title="t")
    assert main(["second-review", path, "judge", "1", str(back)]) == 0
    assert main(["second-review", path, "end", "1", "--minutes", "3"]) == 0
    capsys.readouterr()
    assert main(["second-review", path, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["user"], row["findings"], row["judged"], row["minutes"], row["ended"]) == ("B", 20, 19, 3.0, True)
    assert main(["second-review", path, "compare", "1", "--json", "--csv", str(tmp_path / "each.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["judged"] == 19 == len(read_sheet(tmp_path / "each.csv")) - 1
    assert main(["second-review", path, "judge", "1", str(back)]) == 2
    assert "has ended" in capsys.readouterr().err
    write_sheet(back, ["finding", "verdict"], [["1", "maybe"]], title="t")
    assert main(["second-review", path, "judge", "1", str(back)]) == 2
    assert "Line 2 of back.csv: “maybe” is neither a class nor a reason." in capsys.readouterr().err
    assert main(["second-review", path, "remove", "1"]) == 0
