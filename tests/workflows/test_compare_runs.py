"""Two runs over one slide: both, only one, only the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import iou_matrix
from microscope_qc.project import Project
from microscope_qc.workflows.compare_runs import compare_finds, compare_runs


def add(
    project: Project, slide: int, *boxes: tuple[float, float, float, float, float], region: list[int] | None = None
) -> tuple[int, np.ndarray]:
    """A run with finds y0, x0, y1, x1, confidence; its id and theirs."""
    run = project.start_run(slide, {"model": "m", "region": region}, {})
    values = np.array(boxes, float)
    columns = {name: values[:, i] for i, name in enumerate(("y0", "x0", "y1", "x1", "confidence"))}
    return run.id, project.add_finds(run.id, make_rows(len(values), class_id=project.classes[0].id, **columns))


def test_finds_of_two_runs_are_matched_once(project: Project, tmp_path) -> None:
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
    assert found.both.tolist() == [[a[1], b[2]], [a[0], b[0]]], "the better overlap first, each find once"
    assert found.only_first.tolist() == [a[3]] and found.only_second.tolist() == [b[1], b[3]]
    assert a[2] in compare_runs(project, first, second, min_confidence=0.0).only_first
    assert compare_runs(project, first, second, iou=0.99, min_confidence=0.3).both.shape == (0, 2)
    empty = project.start_run(slide, {"model": "m"}, {}).id
    assert len(compare_runs(project, first, empty, min_confidence=0.3).only_first) == 3

    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "S2.png")
    other = project.add_slide(tmp_path / "S2.png")
    elsewhere, _ = add(project, getattr(other, "id", other), (0, 0, 9, 9, 0.9))
    with pytest.raises(InputError, match="different slides"):
        compare_runs(project, first, elsewhere)


def test_a_judged_find_is_compared_whatever_its_confidence(project: Project) -> None:
    slide = project.slides[0].id
    first, a = add(project, slide, (0, 0, 20, 20, 0.1), (100, 100, 140, 140, 0.1))
    second, b = add(project, slide, (0, 0, 20, 20, 0.9))
    project.edit_boxes([a[0]], title="Confirm", state=ReviewState.CONFIRMED)
    found = compare_runs(project, first, second, min_confidence=0.5)
    assert found.both.tolist() == [[a[0], b[0]]] and len(found.only_first) == len(found.only_second) == 0


def test_runs_are_compared_where_both_looked(project: Project) -> None:
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


@given(seed=st.integers(0, 10_000), counts=st.tuples(st.integers(0, 60), st.integers(0, 60)), iou=st.floats(0.05, 0.95))
def test_matching_is_that_of_one_pair_at_a_time(seed: int, counts: tuple[int, int], iou: float) -> None:
    rng = np.random.default_rng(seed)
    sides = []
    for count in counts:
        corner = rng.integers(0, 12, (count, 2)) * 2.0  # a crowd: most boxes have several rivals, many tie
        sides.append(np.concatenate([corner, corner + rng.integers(2, 6, (count, 2)) * 2.0], axis=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microscope_qc.workflows.compare_runs.STRIP", 7)  # many strips
        found = compare_finds(np.arange(counts[0]), sides[0], np.arange(counts[1]) + 1000, sides[1], iou=iou)

    overlap = iou_matrix(*sides) if all(counts) else np.zeros(counts)
    wanted = []
    for a, b in sorted(np.argwhere(overlap >= iou).tolist(), key=lambda pair: (-overlap[tuple(pair)], *pair)):
        if all(a != one and b + 1000 != other for one, other in wanted):
            wanted.append([a, b + 1000])
    assert found.both.tolist() == wanted
    assert set(found.only_first) == set(range(counts[0])) - {a for a, _ in wanted}
    assert set(found.only_second) == set(range(1000, 1000 + counts[1])) - {b for _, b in wanted}
