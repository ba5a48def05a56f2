"""One finding per place: whatever detections find, in whatever order and however often they are killed."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.boxes import FindingFlag, ReviewState, make_rows
from microscope_qc.core.geometry import Region
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import JournalWriter
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.detection.intake import RunIntake

SIDE = 900
CLASSES = ("ACP", "AOP", "CRK")
SIDES = ("y0", "x0", "y1", "x1")
USERS = FindingFlag.DRAWN | FindingFlag.DELETED


class Killed(BaseException):
    """The program was killed."""


def make_project(folder: Path) -> Project:
    Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(folder / "slide.png")
    project = Project.create(folder / "p.mqc", slides=[folder / "slide.png"])
    project._store.database.pragma("synchronous=OFF")
    return project


def start(project: Project, region: Region) -> RunRecord:
    plan = RunPlan(model="m", region=region, tile_px=300, overlap_px=90, classes=CLASSES)
    return project.runs.start(project.slides[0].id, plan)


def a_place(rng: random.Random) -> list[float]:
    y, x, height, width = rng.uniform(0, 850), rng.uniform(0, 850), rng.uniform(12, 45), rng.uniform(12, 45)
    return [round(value, 2) for value in (y, x, y + height, x + width)]


def near(place: list[float], rng: random.Random) -> list[float]:
    """The place as another model sees it: a little off, or only a part of it."""
    shift = rng.choice([1.0, 4.0, 10.0])
    y0, x0, y1, x1 = (value + rng.uniform(-shift, shift) for value in place)
    if rng.random() < 0.2:
        y1 = y0 + (y1 - y0) * 0.5
    return [round(value, 2) for value in (y0, x0, max(y1, y0 + 2), max(x1, x0 + 2))]


def journal_of(run: RunRecord, found: list[tuple[list[float], float, int]]) -> list[tuple[int, np.ndarray]]:
    """Tiles of a run with what is wholly in each of them."""
    grid = run.plan.grid()
    tiles = []
    for number in range(len(grid)):
        tile = grid[number]
        inside = [
            (*box, confidence, label, number)
            for box, confidence, label in found
            if tile.y0 <= box[0] and tile.x0 <= box[1] and box[2] <= tile.y1 and box[3] <= tile.x1
        ]
        tiles.append((number, np.array(inside, CANDIDATE_DTYPE)))
    return tiles


def append(run: RunRecord, tiles: list[tuple[int, np.ndarray]]) -> None:
    writer = JournalWriter(run.folder)
    for number, candidates in tiles:
        writer.tile(number, candidates)
    writer.close()


def user_works(project: Project, rng: random.Random) -> None:
    """Draw, judge, move, relabel, delete and note, and take some of it back."""
    slide = project.slides[0].id
    for _ in range(rng.randint(4, 14)):
        ids = project.boxes.table(slide).rows["id"].tolist()
        kind = rng.choice(["draw", "state", "move", "class", "delete", "note", "undo", "redo"])
        if kind == "draw":
            rows = project.boxes.table(slide).rows
            place = a_place(rng) if not len(rows) or rng.random() < 0.5 else near([rows[0][s] for s in SIDES], rng)
            columns = dict(zip(SIDES, place, strict=True))
            project.boxes.add(slide, make_rows(1, class_id=rng.randint(1, 3), **columns))
        elif kind == "undo":
            project.history.undo()
        elif kind == "redo":
            project.history.redo()
        elif not ids:
            continue
        elif kind == "state":
            project.boxes.edit([rng.choice(ids)], state=rng.choice(list(ReviewState)))
        elif kind == "move":
            number = rng.choice(ids)
            row, dy, dx = project.boxes.table(slide).get([number])[0], rng.uniform(-30, 30), rng.uniform(-30, 30)
            project.boxes.edit([number], y0=row["y0"] + dy, y1=row["y1"] + dy, x0=row["x0"] + dx, x1=row["x1"] + dx)
        elif kind == "class":
            project.boxes.edit([rng.choice(ids)], class_id=rng.randint(1, 3))
        elif kind == "note":
            project.boxes.edit([rng.choice(ids)], note=f"said {rng.random():.3f}")
        else:
            project.boxes.delete([rng.choice(ids)])


def table(project: Project, older: int) -> list[tuple[Any, ...]]:
    """The findings in an order of their own: without the numbers of those that are newer than ``older``."""
    slide = project.slides[0].id
    said: dict[int, list[tuple[Any, ...]]] = {}
    for o in project.opinions.of_slide(slide):
        said.setdefault(int(o["finding_id"]), []).append(tuple(o[n].item() for n in o.dtype.names if n != "id")[1:])
    rows = project.boxes.table(slide).rows
    return sorted(
        (
            int(row["id"]) if row["id"] <= older else 0,
            *(row[n].item() for n in ("class_id", *SIDES, "state", "chosen", "flags", "run_id")),
            row["reason"], row["note"], str(sorted(said.get(int(row["id"]), []))),
        )
        for row in rows
    )  # fmt: skip


def claims(project: Project) -> dict[int, tuple[Any, ...]]:
    """What the user said, by number: nothing of it may change because something is detected."""
    found = {}
    for row in project.boxes.table(project.slides[0].id).rows:
        users = row["flags"] & USERS or row["state"]
        named, placed = users or row["flags"] & FindingFlag.CLASS, users or row["flags"] & FindingFlag.BOX
        if named or placed or row["note"]:
            found[int(row["id"])] = (
                int(row["class_id"]) if named else None,
                tuple(float(row[side]) for side in SIDES) if placed else None,
                int(row["state"]), row["note"],
            )  # fmt: skip
    return found


def fits(one: Any, other: Any, *, alike: bool) -> bool:
    common = max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1])
    )
    first, second = ((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return common / (first + second - common) >= 0.5 + 1e-9 or (alike and common / min(first, second) >= 0.8 + 1e-9)


def assert_no_place_counts_twice(project: Project, run_id: int) -> None:
    """What a run made anew lies at no older place, unless the run found that place by another result, too."""
    slide = project.slides[0].id
    opinions, rows = project.opinions.of_slide(slide), project.boxes.table(slide).rows
    mine = opinions[opinions["run_id"] == run_id]
    assert len(np.unique(mine["finding_id"])) == len(mine)
    taken, made = set(mine["finding_id"].tolist()), set(mine["finding_id"][mine["made"]].tolist())
    for new in mine[mine["made"]]:
        box = [new[side] for side in SIDES]
        for row in rows:
            if int(row["id"]) in taken or int(row["id"]) in made:
                continue
            users = row["flags"] & (USERS | FindingFlag.BOX) or row["state"]
            known = [row] if users else [o for o in opinions if o["finding_id"] == row["id"]]
            for place in known:
                assert not fits(box, [place[s] for s in SIDES], alike=place["class_id"] == new["class_id"]), (new, row)


@contextlib.contextmanager
def killed_after(project: Project, commits: int) -> Iterator[None]:
    """Kill the program at its next commit but so many."""
    database = project._store.database
    begin, left = database.begin, [commits]

    def dying() -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return begin()

    database.begin = dying  # type: ignore[method-assign]
    try:
        yield
    finally:
        database.begin = begin  # type: ignore[method-assign]


def take_in_pieces(project: Project, run_id: int, tiles: list[tuple[int, np.ndarray]], rng: random.Random) -> Project:
    """Take in a journal that grows, stopped and killed at random; return the project, opened again each time."""
    tiles = rng.sample(tiles, len(tiles))
    intake = RunIntake(project, project.runs.by_id(run_id))
    while tiles:
        count = rng.randint(1, 4)
        append(project.runs.by_id(run_id), tiles[:count])
        tiles = tiles[count:]
        try:
            with killed_after(project, rng.choice([0, 1, 2, 3, 5, 99, 99])):
                intake.poll()
        except Killed:
            project.close()
            project = Project.open(project.path)
            project._store.database.pragma("synchronous=OFF")
            project.runs.finish(run_id, "running")
            intake = RunIntake(project, project.runs.by_id(run_id))
    RunIntake(project, project.runs.finish(run_id, "running")).finish("finished")
    return project


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=settings().max_examples // 4)
@given(st.integers(0, 10**9))
def test_no_place_counts_twice_and_no_judgement_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder)
        user_works(project, rng)
        seen = [a_place(rng) for _ in range(14)]
        first = start(project, Region(0, 0, SIDE, SIDE))
        found = [(near(place, rng), round(rng.uniform(0.1, 1), 4), rng.randint(0, 2)) for place in seen]
        append(first, journal_of(first, found))
        RunIntake(project, first).finish("finished")
        user_works(project, rng)
        if rng.random() < 0.3:
            project.runs.delete(first.id)
            if rng.random() < 0.5:
                project.history.undo()
        rows = project.boxes.table(project.slides[0].id).rows
        seen += [[float(row[side]) for side in SIDES] for row in rows]
        before, older = claims(project), project.boxes.last_number
        region = rng.choice([Region(0, 0, SIDE, SIDE), Region(200, 100, 750, 880)])
        second = start(project, region)
        again = [near(place, rng) for place in seen for _ in range(rng.choice([0, 1, 1, 2]))]
        boxes = [(box, round(rng.uniform(0.1, 1), 4), rng.randint(0, 2)) for box in again]
        tiles = journal_of(second, boxes)
        project.close()
        shutil.copytree(folder / "p.mqc", folder / "q.mqc")
        tables = []
        for name_of in ("p.mqc", "q.mqc"):
            with contextlib.closing(Project.open(folder / name_of)) as opened:
                opened._store.database.pragma("synchronous=OFF")
                run = opened.runs.finish(second.id, "running")
                if name_of == "p.mqc":
                    append(run, tiles)
                    RunIntake(opened, run).finish("finished")
                else:
                    opened = take_in_pieces(opened, second.id, tiles, rng)  # noqa: PLW2901
                assert {number: claims(opened).get(number) for number in before} == before
                assert_no_place_counts_twice(opened, second.id)
                assert opened.runs.by_id(second.id).found == len(opened.opinions.of_run(second.id))
                assert opened.check() == []
                tables.append(table(opened, older))
                opened.close()
        assert tables[0] == tables[1]


def test_found_whole_then_in_part_then_by_another_model_is_counted_once(tmp_path: Path) -> None:
    rng = random.Random(3)
    places = [[y, x, y + 20.0, x + 30.0] for y in range(10, 850, 100) for x in range(10, 850, 100)]
    with make_project(tmp_path) as project:
        for number, region in enumerate([Region(0, 0, SIDE, SIDE), Region(0, 0, 500, 500), Region(0, 0, SIDE, SIDE)]):
            run = start(project, region)
            found = [([v + rng.uniform(-2, 2) for v in place], 0.5 + 0.1 * number, number % 2) for place in places]
            append(run, journal_of(run, found))
            RunIntake(project, run).finish("finished")
            assert len(project.boxes.rows()) == len(places)
        assert [run.found for run in project.runs] == [81, 25, 81]
        counts = project.opinions.counts(project.slides[0].id)
        assert [counts[run.id].new for run in project.runs] == [81, 0, 0]
        rows = project.boxes.rows()
        assert (rows["confidence"] == np.float32(0.7)).all() and set(rows["run_id"]) == {3}
        disputed = (rows["flags"] & FindingFlag.DISPUTED) != 0
        assert disputed.sum() == 25  # the second one, over a part, gave another class
        project.runs.show(3, False)
        assert len(project.boxes.rows()) == len(places)
        for run in list(project.runs):
            project.runs.delete(run.id)
        assert len(project.boxes.rows(every=True)) == 0
        for _ in range(3):
            project.history.undo()
        assert len(project.boxes.rows()) == len(places)


def test_a_pore_in_a_crack_stays_a_finding(tmp_path: Path) -> None:
    with make_project(tmp_path) as project:
        run = start(project, Region(0, 0, SIDE, SIDE))
        append(run, journal_of(run, [([10.0, 10.0, 110.0, 110.0], 0.9, 2)]))
        RunIntake(project, run).finish("finished")
        again = start(project, Region(0, 0, SIDE, SIDE))
        append(again, journal_of(again, [([50.0, 50.0, 62.0, 62.0], 0.8, 0), ([12.0, 12.0, 100.0, 90.0], 0.7, 2)]))
        RunIntake(project, again).finish("finished")
        codes = {defect.id: defect.code for defect in project.classes}
        assert sorted(codes[number] for number in project.boxes.rows()["class_id"]) == ["ACP", "CRK"]


@pytest.mark.parametrize("verdict", ["rejected", "deleted"])
def test_what_was_rejected_or_deleted_stays_so_and_is_marked_when_it_is_found_again(
    tmp_path: Path, verdict: str
) -> None:
    with make_project(tmp_path) as project:
        slide = project.slides[0].id
        (number,) = project.boxes.add(slide, make_rows(1, class_id=1, y0=100, x0=100, y1=140, x1=140))
        if verdict == "rejected":
            project.boxes.edit([number], state=ReviewState.REJECTED, reason="duplicate")
        else:
            project.boxes.delete([number])
        run = start(project, Region(0, 0, SIDE, SIDE))
        append(run, journal_of(run, [([102.0, 101.0, 140.0, 141.0], 0.9, 0)]))
        RunIntake(project, run).finish("finished")
        (row,) = project.boxes.table(slide).rows
        assert row["id"] == number and row["state"] == ReviewState.REJECTED
        assert row["flags"] & FindingFlag.FOUND_AGAIN
        assert row["reason"] == ("duplicate" if verdict == "rejected" else "deleted")
        project.boxes.edit([number], state=ReviewState.CONFIRMED)
        (row,) = project.boxes.table(slide).rows
        assert row["state"] == ReviewState.CONFIRMED and not row["flags"] & (
            FindingFlag.FOUND_AGAIN | FindingFlag.DELETED
        )
        project.history.undo()
        (row,) = project.boxes.table(slide).rows
        assert row["state"] == ReviewState.REJECTED and row["flags"] & FindingFlag.FOUND_AGAIN


def test_undoing_a_drawing_leaves_what_models_say_with_its_number(tmp_path: Path) -> None:
    with make_project(tmp_path) as project:
        slide = project.slides[0].id
        (number,) = project.boxes.add(slide, make_rows(1, class_id=2, y0=100, x0=100, y1=140, x1=140, note="mine"))
        run = start(project, Region(0, 0, SIDE, SIDE))
        append(run, journal_of(run, [([102.0, 101.0, 140.0, 141.0], 0.9, 0)]))
        RunIntake(project, run).finish("finished")
        (row,) = project.boxes.table(slide).rows
        assert (row["id"], row["class_id"], row["y0"], row["note"]) == (number, 2, 100, "mine")
        project.history.undo()
        (row,) = project.boxes.table(slide).rows
        assert (row["id"], row["y0"], row["note"], row["state"]) == (number, 102, "", ReviewState.UNREVIEWED)
        assert row["class_id"] == project.classes.by_code("ACP").id and row["confidence"] == np.float32(0.9)
        project.history.redo()
        (row,) = project.boxes.table(slide).rows
        assert (row["id"], row["class_id"], row["y0"], row["note"]) == (number, 2, 100, "mine")


def test_what_two_runs_made_is_new_once(tmp_path: Path) -> None:
    with make_project(tmp_path) as project:
        slide = project.slides[0].id
        for _ in range(2):  # the second while the first is deleted
            run = start(project, Region(0, 0, SIDE, SIDE))
            append(run, journal_of(run, [([100.0, 100.0, 140.0, 140.0], 0.9, 0)]))
            RunIntake(project, run).finish("finished")
            if run.id == 1:
                project.runs.delete(1)
        assert project.opinions.counts(slide)[2].new == 1
        project.history.undo()
        assert len(project.boxes.rows()) == 1
        assert [project.opinions.counts(slide)[run].new for run in (1, 2)] == [1, 0]
