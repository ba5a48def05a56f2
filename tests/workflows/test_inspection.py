"""Blind inspections: what is drawn, what it becomes, and how it agrees with models and with other inspections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouping_toys import SIDE, make, scan
from sklearn.metrics import cohen_kappa_score

from microscope_qc.analysis.agreement import specific_agreement
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, coordinates, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.project import Project
from microscope_qc.workflows.results.agreement import agreement_words, compared
from microscope_qc.workflows.review.inspection import (
    begin,
    drawn,
    end,
    inspections,
    open_inspection,
    pairs_to_compare,
    read_inspection,
    remove,
    take,
)

HALF = Region(0, 0, SIDE, SIDE // 2)


def boxes(*places: tuple[int, int], side: int = 10) -> np.ndarray:
    y, x = np.array(places).T
    return np.stack([y, x, y + side, x + side], axis=1).astype(float)


def draw(project: Project, corners: np.ndarray, codes: list[str]) -> np.ndarray:
    y0, x0, y1, x1 = corners.T
    ids = [project.classes.by_code(code).id for code in codes]
    rows = make_rows(len(corners), class_id=ids, y0=y0, x0=x0, y1=y1, x1=x1, state=ReviewState.CONFIRMED)
    return project.boxes.add(project.slides[0].id, rows)


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Project]:
    """A model found four in the left half, one of them weak, and one in the right half."""
    with make(tmp_path / "cell.mqc", slides=1) as project:
        y0, x0, y1, x1 = boxes((20, 20), (60, 20), (100, 20), (140, 20), (20, 300)).T
        rows = make_rows(
            5, class_id=project.classes.by_code("ACP").id, y0=y0, x0=x0, y1=y1, x1=x1,
            confidence=[0.9, 0.8, 0.7, 0.1, 0.9],
        )  # fmt: skip
        project.runs.add_findings(scan(project, 0), rows)
        project.inclusion.set_limit(0.3)
        yield project


def inspect(project: Project) -> Any:
    """Two of the model's, one of them called otherwise, one that it missed, and one outside of the area."""
    begun = begin(project, project.slides[0].id, HALF)
    corners = boxes((22, 21), (61, 22), (200, 50), (20, 302))
    ids = draw(project, corners, ["ACP", "COP", "ACP", "ACP"])
    assert drawn(project, begun)["id"].tolist() == ids[:3].tolist()
    return end(project, begun.number, seconds=90.0)


def test_what_is_drawn_in_the_area_is_matched_with_what_models_found(cell: Project) -> None:
    before = len(cell.boxes.table(cell.slides[0].id).rows)
    one = inspect(cell)
    assert (one.seconds, one.blind, one.is_open, len(one.boxes)) == (90.0, True, False, 3)
    found = compared(cell, pairs_to_compare(cell, one.number))
    assert (found["both"], found["only_first"], found["only_second"]) == (2, 1, 1)
    agreed = specific_agreement(2, 1, 1)
    assert agreed is not None and found["finding"]["value"] == pytest.approx(agreed.value)
    assert found["found_by_second"]["value"] == pytest.approx(2 / 3) and found["seconds"] == [90.0, None]
    assert found["naming"]["same"]["value"] == 0.5 and "too few" in found["naming"]["reason"]
    assert found["area_mm2"] == pytest.approx(2.0) and found["second"] == "models"
    rows = cell.boxes.table(cell.slides[0].id).rows
    # the two that the model had, too, are one finding each, with the class of the inspector
    assert len(rows) == before + 2
    named = {int(row["id"]): row for row in rows}
    both = [row["finding"] for row in found["each"] if row["who"] == "both"]
    assert all(named[number]["state"] == ReviewState.CONFIRMED for number in both)
    codes = {defect.id: defect.code for defect in cell.classes}
    assert sorted(codes[int(named[number]["class_id"])] for number in both) == ["ACP", "COP"]
    (missed,) = (row["finding"] for row in found["each"] if row["who"] == "first")
    assert coordinates(rows[rows["id"] == missed])[0].tolist() == [200, 50, 210, 60]


def test_what_a_user_judged_before_stays(cell: Project) -> None:
    first = cell.boxes.table(cell.slides[0].id).rows[0]
    cell.boxes.edit([int(first["id"])], state=ReviewState.REJECTED, reason="false positive")
    inspect(cell)
    rows = cell.boxes.table(cell.slides[0].id).rows
    assert rows[rows["id"] == first["id"]]["state"][0] == ReviewState.REJECTED


def test_an_inspection_survives_and_only_one_is_open(cell: Project) -> None:
    begun = begin(cell, cell.slides[0].id, HALF)
    with pytest.raises(InputError, match="has not ended"):
        begin(cell, cell.slides[0].id, HALF)
    draw(cell, boxes((200, 50)), ["ACP"])
    path = cell.path
    cell.close()
    with Project.open(path) as again:
        there = open_inspection(again)
        assert there is not None and there.number == begun.number
        assert len(drawn(again, there)) == 1
        assert len(end(again, there.number).boxes) == 1
        assert open_inspection(again) is None
        remove(again, there.number)
        assert inspections(again) == []
        again.history.undo()
        assert len(inspections(again)) == 1


def written(path: Path, corners: np.ndarray, codes: list[str]) -> Path:
    """A COCO file."""
    names = sorted(set(codes))
    path.write_text(
        json.dumps({
            "images": [{"id": 1, "file_name": "cell 0.png", "width": SIDE, "height": SIDE}],
            "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
            "annotations": [
                {"id": n, "image_id": 1, "category_id": names.index(code) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
                for n, ((y0, x0, y1, x1), code) in enumerate(zip(corners.tolist(), codes, strict=True), 1)
            ],
        })
    )  # fmt: skip
    return path


def test_two_people_are_compared(cell: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide = cell.slides[0].id
    places = [(20 * n + 5, 20 + 30 * (n % 3)) for n in range(19)] + [(250, 150), (300, 150), (350, 150)]
    rng = np.random.default_rng(0)
    first = rng.choice(["ACP", "AOP", "COP"], len(places)).tolist()
    second = np.where(rng.random(len(places)) < 0.8, first, "ACP").tolist()
    one = written(tmp_path / "anna.json", boxes(*places), first)
    other = written(tmp_path / "ben.json", boxes(*places[:-2], (10, 250)) + 1, [*second[:-2], "ACP"])
    anna = read_inspection(cell, one, slide, Region(0, 0, SIDE, 200), user="anna", seconds=600)
    ben = read_inspection(cell, other, slide, Region(0, 0, SIDE, SIDE), user="ben")
    assert len(ben.boxes) == len(places) - 1
    found = compared(cell, pairs_to_compare(cell, people=True))
    assert (found["first"], found["second"]) == ("anna", "ben")
    # what only ben saw at x 250 lies outside of what anna searched
    assert (found["both"], found["only_first"], found["only_second"]) == (20, 2, 0)
    assert found["naming"]["value"] == pytest.approx(cohen_kappa_score(first[:-2], second[:-2]))
    assert "Agreement on finding 95 %" in agreement_words(found)
    assert found["seconds"] == [600.0, None]
    rows = len(cell.boxes.table(slide).rows)
    take(cell, anna.number)
    taken = len(cell.boxes.table(slide).rows)
    take(cell, anna.number)
    assert len(cell.boxes.table(slide).rows) == taken > rows, "nothing is taken twice"
    path = str(cell.path)
    cell.close()
    assert main(["inspect", path, "compare", "--people", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["both"] == 20
    assert main(["inspect", path]) == 0
    listed = capsys.readouterr().out
    assert "anna" in listed and "ben" in listed and " 10 " in listed
    assert main(["inspect", path, "compare", "1", "2", "--csv", str(tmp_path / "out.csv")]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 22


def test_the_command_reads_an_inspection(cell: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "anna.json", boxes((22, 21), (200, 50), (20, 302)), ["ACP", "ACP", "ACP"])
    path = str(cell.path)
    cell.close()
    begin_ = [
        "inspect",
        path,
        "import",
        str(file),
        "--region",
        f"0,0,{SIDE},{SIDE // 2}",
        "--by",
        "anna",
        "--minutes",
        "3",
    ]
    assert main(begin_) == 0
    capsys.readouterr()
    assert main(["inspect", path, "compare"]) == 0
    said = capsys.readouterr().out
    assert "anna and models: 1 defect found by both, 1 only by anna, 2 only by models" in said
    assert "anna took 3.0 minutes" in said
    assert main(["inspect", path, "take", "1"]) == 0
    unknown = written(tmp_path / "odd.json", boxes((22, 21)), ["XYZ"])
    assert main(["inspect", path, "import", str(unknown), "--whole"]) == 2
    assert "no class XYZ" in capsys.readouterr().err
    assert main(["inspect", path, "remove", "7"]) == 2
