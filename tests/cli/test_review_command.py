"""``review``: the findings that a query means are listed and judged, in one step that can be undone."""

from __future__ import annotations

import pytest

from microscope_qc.core.boxes import FindingFlag, ReviewState, has_flag
from microscope_qc.project import Project


def rows(path, name="S1"):
    """Rows of a slide by number."""
    with Project.open(path, write=False) as project:
        table = project.boxes.rows(project.slides.named(name).id, every=True)
        return {int(row["id"]): dict(zip(table.dtype.names, map(str, row), strict=True)) for row in table}


def steps(path) -> list[str]:
    with Project.open(path, write=False) as project:
        return [entry.title for entry in project.history.entries() if entry.kind == "command" and not entry.undone]


def test_without_an_action_matches_are_listed_and_nothing_is_changed(cell, told):
    before = steps(cell)
    listed = told("review", cell, "--where", "class=CRK confidence<0.7")
    assert (listed["matching"], listed["hidden"], listed["slides"], listed["action"]) == (2, 0, {"S1": 2}, None)
    assert [found["confidence"] for found in listed["findings"]] == [0.2, 0.6]
    opinion = listed["findings"][0]["opinions"][0]
    assert {name: opinion[name] for name in opinion if name != "started"} == {
        "run": 1, "name": "li-ion-ssd", "model": "li-ion-ssd", "counts": True, "leads": True, "class": "CRK",
        "confidence": 0.2, "bbox": [100.0, 10.0, 10.0, 10.0],
    }  # fmt: skip
    assert listed["findings"][0] == {
        "number": 4, "slide": "S1", "class": "CRK", "confidence": 0.2, "state": "unreviewed", "reason": "",
        "size_um": 5.0, "x_px": 105.0, "y_px": 15.0, "found_by": "li-ion-ssd", "run": 1, "chosen": False, "note": "",
        "opinions": [opinion],
    }  # fmt: skip
    words = told("review", cell, "--where", "class=CRK", "--limit", 1, text=True)
    assert words.splitlines()[0] == "4 findings"
    assert "3 more are not listed" in words
    assert len([line for line in words.splitlines() if " CRK " in line]) == 1
    assert told("review", cell, "--all")["slides"] == {"S1": 5, "S2": 1}
    assert told("review", cell, "--where", 'note~"no such"', text=True) == "0 findings\n"
    assert steps(cell) == before


def test_a_random_sample_is_listed_and_judged_and_tells_of_the_others(cell, told):
    every = told("review", cell, "--all")["matching"]
    listed = told("review", cell, "--all", "--sample", 2)
    numbers = [found["number"] for found in listed["findings"]]
    assert len(numbers) == 2 and {found["state"] for found in listed["findings"]} == {"unreviewed"}
    done = told("review", cell, "--all", "--sample", 2, "--confirm")
    assert done["changed"] == 2 and {rows(path=cell)[n]["state"] for n in numbers if n in rows(cell)} <= {"1"}
    again = told("review", cell, "--all", "--sample", 100)
    assert not {found["number"] for found in again["findings"]} & set(numbers)
    assert again["estimate"]["of"] == every and again["estimate"]["interval"][1] <= every
    assert f"of {every} findings are true" in told("review", cell, "--all", "--sample", 1, text=True)


@pytest.mark.parametrize("query", ["number=4", "number=#4", "#4", "#4 class=CRK"])
def test_a_finding_is_meant_by_its_number(cell, told, query):
    listed = told("review", cell, "--where", query)
    assert [found["number"] for found in listed["findings"]] == [4]


@pytest.mark.parametrize(
    ("action", "column", "value", "title"),
    [
        (["--confirm"], "state", 1, "Confirm 3 findings"),
        (["--reject", "duplicate"], "reason", "duplicate", "Reject 3 findings: duplicate"),
        (["--reject", "F"], "reason", "false positive", "Reject 3 findings: false positive"),
        (["--class", "COP"], "class_id", 7, "Class 3 findings to COP"),
        (["--choose"], "chosen", True, "Choose 3 findings for the SEM"),
        (["--note", "looked at twice"], "note", "looked at twice", "Note on 3 findings"),
    ],
)
def test_an_action_is_one_step_that_can_be_undone(cell, told, action, column, value, title):
    before = rows(cell)
    done = told("review", cell, "--where", "class=CRK run=1", *action)
    assert (done["matching"], done["changed"], done["step"]["title"]) == (3, 3, title)
    after = rows(cell)
    assert {number for number in after if after[number][column] != before[number][column]} == {4, 5, 6}
    assert {after[number][column] for number in (4, 5, 6)} == {str(value)}
    assert steps(cell)[0] == title
    assert [entry["title"] for entry in told("history", cell, "undo")] == [title]
    assert rows(cell) == before


def test_judgements_are_reset_and_findings_of_several_slides_are_one_step(cell, told):
    told("review", cell, "--where", "class=ACP", "--confirm")
    assert [rows(cell, name)[number]["state"] for name, number in (("S1", 1), ("S2", 3))] == ["1", "1"]
    assert told("review", cell, "--where", "state=confirmed", "--unreview")["changed"] == 2
    told("review", cell, "--where", "slide=S2", "--choose")
    assert told("review", cell, "--where", "chosen=yes", "--unchoose")["changed"] == 1
    count = len(steps(cell))
    assert told("review", cell, "--all", "--delete")["changed"] == 6
    assert rows(cell) == rows(cell, "S2") == {}
    assert len(steps(cell)) == count + 1
    told("history", cell, "undo")
    assert (len(rows(cell)), len(rows(cell, "S2"))) == (5, 1)


def test_a_dry_run_counts_and_changes_nothing(cell, told):
    before = rows(cell), steps(cell)
    said = told("review", cell, "--all", "--delete", "--dry-run")
    assert (said["matching"], said["changed"], said["dry_run"], said["step"]) == (6, 0, True, None)
    assert "6 findings would be taken; nothing was changed." in told(
        "review", cell, "--all", "--delete", "--dry-run", text=True
    )
    assert (rows(cell), steps(cell)) == before


def test_what_changes_nothing_is_not_a_step(cell, told):
    told("review", cell, "--where", "class=ACP", "--confirm")
    count = len(steps(cell))
    again = told("review", cell, "--where", "class=ACP", "--confirm")
    assert (again["matching"], again["changed"], again["step"]) == (2, 0, None)
    assert told("review", cell, "--where", "class=GEO", "--confirm")["step"] is None
    assert "nothing was changed" in told("review", cell, "--where", "class=GEO", "--confirm", text=True)
    assert len(steps(cell)) == count


def test_what_does_not_count_is_left_alone_unless_asked_for(cell, told):
    told("runs", cell, "hide", 1)
    listed = told("review", cell, "--where", "class=CRK")
    assert (listed["matching"], listed["hidden"]) == (1, 3)
    assert told("review", cell, "--where", "class=CRK", "--confirm")["changed"] == 1
    assert [row["state"] for row in rows(cell).values()] == ["0", "1", "0", "0", "0"]
    assert "3 more fit" in told("review", cell, "--where", "class=CRK", text=True)
    assert told("review", cell, "--where", "class=CRK", "--hidden", "--confirm")["changed"] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Which findings are meant"),
        (["--confirm"], "Which findings are meant"),
        (["--where", "", "--confirm"], "empty"),
        (["--where", "class=CRKK", "--delete"], "no class CRKK"),
        (["--where", "class!=CRKK", "--delete"], "no class CRKK"),
        (["--where", "class=CRK", "--all", "--delete"], "not allowed with"),
        (["--all", "--confirm", "--delete"], "not allowed with"),
        (["--all", "--reject", "because"], "not a reason"),
        (["--all", "--class", "XXX"], "no class XXX"),
        (["--all", "--limit", "-1"], "negative"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(cell, refused, arguments, says):
    before = rows(cell), steps(cell)
    assert says in refused("review", cell, *arguments)
    assert (rows(cell), steps(cell)) == before


def test_a_project_that_a_window_has_open_is_read_but_not_changed(cell, told, refused):
    with Project.open(cell, program="window"):
        assert told("review", cell, "--all")["matching"] == 6
        assert told("review", cell, "--all", "--delete", "--dry-run")["matching"] == 6
        for command in (["review", cell, "--all", "--confirm"], ["history", cell, "undo"], ["runs", cell, "delete", 1]):
            said = refused(*command)
            assert "is open in a window of" in said and "Close it there" in said


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        (("--all", "--sample", 2), True),
        (("--where", "class=CRK slide=S1", "--sample", 2), True),
        (("--where", "confidence<0.9", "--sample", 2), False),
        (("--all",), False),
    ],
)
def test_only_a_sample_of_all_is_marked_as_drawn_at_random(cell, told, asked, drawn):
    """A sample of some findings says nothing of the others, and whoever judges all of a list has chosen it."""
    told("review", cell, *asked, "--confirm")
    with Project.open(cell, write=False) as project:
        judged = [row for row in project.boxes.rows() if row["state"] == ReviewState.CONFIRMED]
        assert judged and any(row["flags"] & FindingFlag.SAMPLED for row in judged) == drawn


def test_a_judgement_that_is_taken_back_was_not_drawn_either(cell, told):
    told("review", cell, "--all", "--sample", 2, "--reject", "false positive")
    told("review", cell, "--all", "--unreview")
    told("review", cell, "--all", "--confirm")
    with Project.open(cell) as project:
        assert not has_flag(project.boxes.rows(), FindingFlag.SAMPLED).any()
        for _ in range(2):
            project.history.undo()
        assert has_flag(project.boxes.rows(), FindingFlag.SAMPLED).sum() == 2
