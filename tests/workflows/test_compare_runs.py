"""Two runs over one slide: both, only one, only the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.matching import iou_matrix
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JOURNAL_NAME, JournalWriter, write_status
from microscope_qc.project.runs.mask_files import write_mask
from microscope_qc.project.runs.plan import RunPlan
from microscope_qc.workflows.detection.compare import compare_findings, compare_runs
from microscope_qc.workflows.detection.coverage import ScannedArea, read_scanned_area


def add(
    project: Project, slide: int, *boxes: tuple[float, float, float, float, float], region: list[int] | None = None
) -> tuple[int, np.ndarray]:
    """A run with findings y0, x0, y1, x1, confidence; its id and theirs."""
    run = project.runs.start(slide, RunPlan(model="m", region=region))
    values = np.array(boxes, float)
    columns = {name: values[:, i] for i, name in enumerate(("y0", "x0", "y1", "x1", "confidence"))}
    return run.id, project.runs.add_findings(run.id, make_rows(len(values), class_id=project.classes[0].id, **columns))


def test_findings_of_two_runs_are_matched_once(project: Project, tmp_path) -> None:
    slide = project.slides[0].id
    first, a = add(
        project, slide, (0, 0, 20, 20, 0.9), (100, 100, 140, 140, 0.8), (200, 10, 220, 30, 0.1), (300, 0, 320, 20, 0.9)
    )
    second, b = add(
        project,
        slide,
        (0, 3, 20, 23, 0.9),
        (102, 100, 140, 140, 0.7),
        (101, 101, 140, 140, 0.9),
        (300, 40, 320, 60, 0.9),
    )
    found = compare_runs(project, first, second, min_confidence=0.3)
    assert found.both.tolist() == [[a[0], b[0]], [a[1], b[2]]], "each finding once, with the better overlap"
    assert found.only_first.tolist() == [a[3]] and found.only_second.tolist() == [b[1], b[3]]
    assert a[2] in compare_runs(project, first, second, min_confidence=0.0).only_first
    found = compare_runs(project, first, second, iou=0.99, min_confidence=0.3)
    assert len(found.both) == 2, "what is one finding stays one"
    empty = project.runs.start(slide, RunPlan(model="m")).id
    assert len(compare_runs(project, first, empty, min_confidence=0.3).only_first) == 3

    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "S2.png")
    other = project.slides.add(tmp_path / "S2.png")
    elsewhere, _ = add(project, getattr(other, "id", other), (0, 0, 9, 9, 0.9))
    with pytest.raises(InputError, match="different slides"):
        compare_runs(project, first, elsewhere)


def test_a_judged_finding_is_compared_whatever_its_confidence(project: Project) -> None:
    slide = project.slides[0].id
    first, a = add(project, slide, (0, 0, 20, 20, 0.1), (100, 100, 140, 140, 0.1))
    second, b = add(project, slide, (0, 0, 20, 20, 0.9))
    project.boxes.edit([a[0]], title="Confirm", state=ReviewState.CONFIRMED)
    found = compare_runs(project, first, second, min_confidence=0.5)
    assert found.both.tolist() == [[a[0], b[0]]] and len(found.only_first) == len(found.only_second) == 0


def test_runs_are_compared_where_both_scanned(project: Project) -> None:
    slide = project.slides[0].id
    first, a = add(project, slide, (0, 0, 20, 20, 0.9), (95, 40, 105, 50, 0.9), (200, 0, 220, 20, 0.9),
                   region=[0, 0, 400, 400])  # fmt: skip
    second, b = add(project, slide, (0, 0, 20, 20, 0.9), region=[0, 0, 100, 400])
    found = compare_runs(project, first, second, min_confidence=0.0)
    assert found.both.tolist() == [[a[0], b[0]]] and len(found.only_first) == len(found.only_second) == 0
    third, _ = add(project, slide, (300, 0, 320, 20, 0.9), region=[100, 0, 400, 400])
    assert compare_runs(project, first, third, min_confidence=0.0).only_first.tolist() == [a[1], a[2]]
    with pytest.raises(InputError, match="different parts"):
        compare_runs(project, second, third)


def mask(*, rows: int, columns: int = 6, side: int = 600) -> AreaMask:
    """The first rows and columns of 6 x 6 cells."""
    scan = np.zeros((6, 6), bool)
    scan[:rows, :columns] = True
    return AreaMask(Region(0, 0, side, side), (side / 6, side / 6), scan)


def test_a_finding_where_the_other_did_not_scan_is_not_compared(project: Project) -> None:
    slide = project.slides[0].id
    first, a = add(project, slide, (10, 10, 30, 30, 0.9), (90, 90, 130, 110, 0.9), (310, 10, 330, 30, 0.9),
                   (10, 410, 30, 430, 0.9), region=[0, 0, 600, 600])  # fmt: skip
    second, b = add(project, slide, (12, 10, 30, 30, 0.9), (91, 90, 130, 110, 0.9), (50, 50, 70, 70, 0.9),
                    (210, 10, 230, 30, 0.9), region=[0, 0, 600, 600])  # fmt: skip
    write_mask(project.runs.by_id(second).folder, mask(rows=3, columns=4))
    found = compare_runs(project, first, second, min_confidence=0.0)
    assert found.both.tolist() == [[a[0], b[0]], [a[1], b[1]]]
    assert found.only_first.tolist() == [] and found.beside_first.tolist() == [a[2], a[3]]
    assert found.only_second.tolist() == [b[2], b[3]] and found.beside_second.tolist() == []
    write_mask(project.runs.by_id(first).folder, mask(rows=1))
    found = compare_runs(project, first, second, min_confidence=0.0)
    assert found.both.tolist() == [[a[0], b[0]], [a[1], b[1]]], "a pair that extends into both is one"
    assert found.only_second.tolist() == [b[2]] and found.beside_second.tolist() == [b[3]]
    # so is a pair with one box that ends just before the border
    third, c = add(project, slide, (96, 410, 116, 430, 0.9), region=[0, 0, 600, 600])
    fourth, d = add(project, slide, (101, 410, 117, 430, 0.9), region=[0, 0, 600, 600])
    write_mask(project.runs.by_id(third).folder, mask(rows=1))
    assert compare_runs(project, third, fourth, min_confidence=0.0).both.tolist() == [[c[0], d[0]]]


def test_a_finding_in_a_tile_that_is_not_done_is_not_compared(project: Project) -> None:
    slide = project.slides[0].id
    boxes = [(y + 40, x + 40, y + 60, x + 60, 0.9) for y in (0, 100, 200) for x in (0, 100, 200)]
    first, a = add(project, slide, *boxes, (10, 85, 30, 98, 0.9), region=[0, 0, 300, 300])
    run = project.runs.start(slide, RunPlan(model="m", region=[0, 0, 300, 300], tile_px=100, overlap_px=0))
    assert len(compare_runs(project, first, run.id, min_confidence=0.0).only_first) == 10, "without a journal: whole"
    writer = JournalWriter(run.folder)
    none = np.zeros(0, CANDIDATE_DTYPE)
    for tile in (0, 1, 3):
        writer.tile(tile, none)
    writer.error(1, "damaged")
    writer.empty([4, 5])
    writer.close()
    with (run.folder / JOURNAL_NAME).open("ab") as file:
        file.write(b'{"tile":2,"cand')  # killed here
    found = compare_runs(project, first, run.id, min_confidence=0.0)
    assert found.only_first.tolist() == [a[0], a[3], a[4], a[5]]
    assert found.beside_first.tolist() == [a[1], a[2], a[6], a[7], a[8], a[9]], "the last is too near to a missing tile"
    writer = JournalWriter(run.folder)
    for tile in (2, 6, 7, 8):
        writer.tile(tile, none)
    writer.close()
    assert compare_runs(project, first, run.id, min_confidence=0.0).beside_first.tolist() == [a[1], a[9]]
    write_status(run.folder, {"tiles_done": 9, "tiles_total": 9, "tiles_damaged": 0})
    run = project.runs.finish(run.id, "finished")
    assert read_scanned_area(run).missing is None, "a finished run without damage is not read through"
    write_status(run.folder, {"tiles_done": 9, "tiles_total": 9, "tiles_damaged": 1})
    assert np.argwhere(read_scanned_area(run).missing).tolist() == [[0, 1]]


@given(seed=st.integers(0, 10_000))
def test_what_a_run_scanned_agrees_with_testing_every_tile(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(v) for v in rng.integers(1, 7, 2))
    side = float(rng.uniform(20, 90))
    shape = (int(rows * side), int(columns * side))
    area = AreaMask(Region(0, 0, *shape), (side, side), rng.random((rows, columns)) < 0.5)
    grid = TileGrid(Region(0, 0, *shape), 50, 10)
    missing = rng.random((grid.rows, grid.columns)) < 0.3
    corner = rng.uniform(0, 1, (40, 2)) * np.array(shape)
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (40, 2))], axis=1)
    said = ScannedArea(Region(0, 0, *shape), area, grid, missing, 4.0).would_find(boxes)
    for (y0, x0, y1, x1), told in zip(boxes.tolist(), said.tolist(), strict=True):
        y, x = (y0 + y1) / 2, (x0 + x1) / 2
        wanted = y < shape[0] and x < shape[1]
        wanted = wanted and area.scan[min(int(y / side), rows - 1), min(int(x / side), columns - 1)]
        for tile, gone in zip(grid, missing.ravel(), strict=True):
            near = y0 - 4 < tile.y0 + 50 and y1 + 4 > tile.y0 and x0 - 4 < tile.x0 + 50 and x1 + 4 > tile.x0
            wanted = wanted and not (gone and near)
        assert told == bool(wanted)


@given(seed=st.integers(0, 10_000), counts=st.tuples(st.integers(0, 60), st.integers(0, 60)), iou=st.floats(0.05, 0.95))
def test_matching_agrees_with_matching_one_pair_at_a_time(seed: int, counts: tuple[int, int], iou: float) -> None:
    rng = np.random.default_rng(seed)
    sides = []
    for count in counts:
        corner = rng.integers(0, 12, (count, 2)) * 2.0  # a crowd: most boxes have several rivals, many tie
        sides.append(np.concatenate([corner, corner + rng.integers(2, 6, (count, 2)) * 2.0], axis=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microscope_qc.core.matching._DENSE", 0)
        patch.setattr("microscope_qc.core.matching._STRIP", 7)  # many strips
        found = compare_findings(np.arange(counts[0]), sides[0], np.arange(counts[1]) + 1000, sides[1], iou=iou)

    overlap = iou_matrix(*sides) if all(counts) else np.zeros(counts)
    wanted = []
    for a, b in sorted(np.argwhere(overlap >= iou).tolist(), key=lambda pair: (-overlap[tuple(pair)], *pair)):
        if all(a != one and b + 1000 != other for one, other in wanted):
            wanted.append([a, b + 1000])
    assert found.both.tolist() == wanted
    assert set(found.only_first) == set(range(counts[0])) - {a for a, _ in wanted}
    assert set(found.only_second) == set(range(1000, 1000 + counts[1])) - {b for _, b in wanted}
