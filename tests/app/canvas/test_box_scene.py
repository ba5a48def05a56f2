"""What is drawn of boxes, and which are shown, without a window."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.canvas.boxes import box_scene
from microscope_qc.app.canvas.boxes.box_scene import Snapshot, density, prepare, prepare_selected
from microscope_qc.app.canvas.boxes.boxes_visual import CORNERS, SPARE, frame_vertices, packed_colour, packed_style
from microscope_qc.app.canvas.view import View
from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.core.boxes import BoxChange, BoxFilter, BoxTable, ReviewState, make_rows
from microscope_qc.core.defect_class import LI_ION_CLASSES
from microscope_qc.core.inclusion import Inclusion

CLASSES = [replace(item, id=number) for number, item in enumerate(LI_ION_CLASSES, start=3)]
SIDE = 4000


def some(count: int, seed: int, size: float = 40.0) -> BoxTable:
    """Boxes all over a slide."""
    rng = np.random.default_rng(seed)
    rows = make_rows(
        count, id=np.arange(1, count + 1), class_id=rng.integers(3, 13, count), state=rng.integers(0, 3, count)
    )
    rows["y0"], rows["x0"] = rng.uniform(0, SIDE, (2, count))
    rows["y1"], rows["x1"] = rows["y0"] + rng.uniform(1, size, count), rows["x0"] + rng.uniform(1, size, count)
    rows["confidence"] = rng.random(count)
    return BoxTable(rows)


def snapshot(table: BoxTable, shown: np.ndarray | None = None) -> Snapshot:
    """All boxes, or those that are shown."""
    return Snapshot.of(table, np.ones(len(table), bool) if shown is None else shown, CLASSES)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 9), st.floats(0.01, 20), st.floats(-500, 4500), st.floats(-500, 4500))
def test_every_visible_box_is_a_frame_or_part_of_a_dot(count: int, seed: int, zoom: float, y: float, x: float) -> None:
    table = some(count, seed)
    view = View(y, x, zoom, 800, 500)
    scene = prepare(snapshot(table), view)
    inside = set(table.rows["id"][table.inside(*scene.area)].tolist())
    framed = set(scene.ids.tolist())
    assert framed <= inside
    rows = table.get(sorted(inside))
    size = np.maximum(rows["y1"] - rows["y0"], rows["x1"] - rows["x0"]) * zoom
    assert framed == set(rows["id"][size >= 5].tolist())
    small = rows[size < 5]
    middle = np.stack([small["x0"] + small["x1"], small["y0"] + small["y1"]], axis=1) / 2 - (x, y)
    dots = scene.records["a_rect"][: scene.dots, :2]
    assert (len(small) == 0) == (scene.dots == 0)
    for place in middle:  # the dot of its cell
        assert np.abs(dots - place).max(axis=1).min() <= 3.5 / zoom * 1.01 + 1e-3
    for box_id, record in zip(scene.ids.tolist(), scene.records[scene.dots :], strict=True):
        row = table.get([box_id])[0]
        wanted = row["x0"] - x, row["y0"] - y, row["x1"] - x, row["y1"] - y
        assert record["a_rect"] == pytest.approx(wanted, abs=1e-2)


def test_frames_tell_class_and_state() -> None:
    table = some(30, 1)
    view = View(SIDE / 2, SIDE / 2, 2.0, SIDE * 2, SIDE * 2)
    scene = prepare(snapshot(table), view)
    for place, box_id in enumerate(scene.ids.tolist()):
        row = table.get([box_id])[0]
        colour, style = scene.records["a_style"][scene.dots + place]
        if row["state"] == ReviewState.REJECTED:
            assert (colour, style) == (packed_colour("#b8b8b8"), packed_style(1, 0, 1, 0.85))
        else:
            item = next(item for item in CLASSES if item.id == row["class_id"])
            dash = 9 if row["state"] == ReviewState.UNREVIEWED else 0
            assert (colour, style) == (packed_colour(item.colour), packed_style(2, dash, 1))


def test_what_is_filtered_or_under_the_hand_is_not_drawn() -> None:
    table = some(50, 2)
    shown = table.rows["confidence"] > 0.5
    view = View(SIDE / 2, SIDE / 2, 8.0, SIDE * 8, SIDE * 8)
    scene = prepare(snapshot(table, shown), view)
    assert scene.ids.tolist() == table.rows["id"][shown].tolist()
    hidden = int(scene.ids[3])
    assert hidden not in prepare(snapshot(table, shown), view, hidden=hidden).ids


def test_where_lines_would_cover_everything_the_smaller_boxes_become_dots() -> None:
    table = some(60_000, 3)
    view = View(SIDE / 2, SIDE / 2, 0.2, 800, 800)
    scene = prepare(snapshot(table), view)
    assert len(scene.ids) <= 800 * 800 * 1.1 / box_scene.ROOM_PX
    assert scene.dots > 1000
    assert scene.frame_from_px > box_scene.DOT_BELOW_PX


def test_a_dot_has_the_colour_found_most_often_and_grows_with_the_number() -> None:
    colours = np.array([10.0, 20.0, 30.0])
    y = np.array([0.5, 0.6, 0.7, 8.0])
    dots = density(y, np.full(4, 0.5), np.array([1, 2, 1, 0]), colours=colours, zoom=1.0)
    assert dots["a_style"][:, 0].tolist() == [20.0, 10.0]
    assert dots["a_style"][0, 1] > dots["a_style"][1, 1]
    assert dots["a_rect"][0].tolist() == [3.5, 3.5, 3.5, 3.5]


def test_many_selected_boxes_become_dots() -> None:
    table = some(9000, 4)
    view = View(SIDE / 2, SIDE / 2, 0.2, 1000, 1000)
    few = prepare_selected(snapshot(table), view, np.arange(100))
    assert (few.dots, len(few.records)) == (0, 200)  # a halo and a line each
    many = prepare_selected(snapshot(table), view, np.arange(9000))
    assert many.dots > 100
    assert len(many.ids) < box_scene.MANY_SELECTED


def test_what_is_selected_is_drawn_also_where_a_filter_hides_it() -> None:
    table = some(9, 4)
    hidden = Snapshot.of(table, np.zeros(9, bool), CLASSES)
    view = View(SIDE / 2, SIDE / 2, 1.0, SIDE, SIDE)
    assert prepare_selected(hidden, view, np.array([2])).ids.tolist() == [3]


def test_vertices_leave_room_for_frames_that_come() -> None:
    records = prepare(snapshot(some(40, 5)), View(SIDE / 2, SIDE / 2, 1.0, SIDE, SIDE)).records
    vertices = frame_vertices(records).reshape(-1, CORNERS)
    assert len(vertices) >= len(records) + SPARE
    assert (vertices[: len(records)] == records[:, None]).all()
    assert not vertices[len(records) :]["a_rect"].any()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "insert", "remove", "put", "reset"]), st.integers(0, 999)), max_size=12)
)
def test_the_shown_boxes_follow_every_change(steps: list[tuple[str, int]]) -> None:
    table = some(60, 6)
    counts, known = Inclusion(confidence_limit=0.4), BoxFilter(class_ids=frozenset({3, 4, 5, 6, 7}))
    project = SimpleNamespace(filters=SimpleNamespace(current=known), inclusion=SimpleNamespace(current=counts))
    shown = ShownBoxes()
    shown.show(project, 1, table)  # type: ignore[arg-type]

    def follow(change: BoxChange) -> None:
        shown.follow(change)

    table.changed.connect(follow)
    shown.mask()
    gone: list[np.ndarray] = []
    for what, seed in steps:
        rng = np.random.default_rng(seed)
        if what == "add":
            new = some(3, seed).rows.copy()
            new["id"] += 1000 + (int(table.rows["id"].max()) if len(table) else 0)
            table.add(new)
        elif what == "insert" and gone:
            table.add(gone.pop())
        elif what == "remove" and len(table) > 5:
            ids = rng.permutation(table.rows["id"])[:4]
            gone.append(table.get(ids))
            table.remove(ids)
        elif what == "put" and len(table):
            rows = table.get(rng.permutation(table.rows["id"])[:5])
            rows["confidence"] = rng.random(len(rows))
            table.put(rows)
        elif what == "reset":
            gone.clear()
            table.reset(some(40, seed).rows.copy())
        if shown._mask is not None:  # it has followed, not started again
            assert np.array_equal(shown._ids, table.rows["id"])
        expected = counts.mask(table.rows, rejected=True) & known.mask(table.rows)
        assert np.array_equal(shown.mask(), expected)
        assert shown.rows()["id"].tolist() == table.rows["id"][expected].tolist()
    with pytest.raises(ValueError, match="read-only"):
        shown.rows()["x0"] = 1


def test_only_the_newest_work_of_a_name_is_taken(qtbot: object) -> None:
    work = NewestWork("test")
    taken: list[int] = []
    for number in range(20):
        work.ask("a", lambda number=number: number, taken.append)
    work.ask("b", lambda: 100, taken.append)
    assert work.busy("a")
    qtbot.waitUntil(lambda: not work.busy("a") and not work.busy("b"))  # type: ignore[attr-defined]
    assert sorted(taken) == [19, 100]
    work.ask("a", lambda: 7, taken.append)
    work.close()
    qtbot.wait(1)  # type: ignore[attr-defined]
    assert 7 not in taken
