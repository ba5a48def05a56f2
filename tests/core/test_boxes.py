"""The table of boxes against a plain dictionary, and what the filter shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.boxes import BoxFilter, BoxTable, ReviewState, coordinates, make_rows


def some_rows(ids: list[int]) -> np.ndarray:
    rng = np.random.default_rng(len(ids))
    corner = rng.uniform(0, 100, (len(ids), 2))
    return make_rows(
        len(ids), id=ids, y0=corner[:, 0], x0=corner[:, 1], y1=corner[:, 0] + 10, x1=corner[:, 1] + 5, class_id=1
    )


some_ids = st.sets(st.integers(1, 60), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "put"]), some_ids), max_size=30))
def test_the_table_does_what_a_dictionary_does_with_several_at_once(steps):
    table, expected = BoxTable(), {}
    for number, (kind, ids) in enumerate(steps):
        there = sorted(box_id for box_id in ids if (box_id in expected) == (kind != "add"))
        if not there:
            continue
        if kind == "remove":
            table.remove(np.array(there[::-1]))
            for box_id in there:
                del expected[box_id]
            continue
        rows = some_rows(there)
        rows["class_id"], rows["state"], rows["note"] = number + 1, number % 3, f"note {number}"
        rows["confidence"], rows["flags"] = number / 100, number % 8
        (table.add if kind == "add" else table.put)(rows)
        expected |= {int(row["id"]): str(row.item()) for row in rows}
    assert table.rows["id"].tolist() == sorted(expected)
    assert [str(row.item()) for row in table.rows] == [expected[box_id] for box_id in sorted(expected)]
    # what is kept beside the rows says the same
    assert np.array_equal(table.corners, coordinates(table.rows).T)
    assert np.array_equal(table.class_ids, table.rows["class_id"])
    assert np.array_equal(table.states, table.rows["state"])
    assert np.array_equal(table.ids, table.rows["id"]) and np.array_equal(table.flags, table.rows["flags"])
    assert np.array_equal(table.confidences, table.rows["confidence"], equal_nan=True)
    assert all(int(table.rows_of([box_id])[0]) == place for place, box_id in enumerate(sorted(expected)))
    places = {box_id: place for place, box_id in enumerate(sorted(expected))}
    assert [table.row_of(box_id) for box_id in range(62)] == [places.get(box_id) for box_id in range(62)]


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "put"]), st.integers(1, 30)), max_size=40))
def test_the_table_does_what_a_dictionary_does(steps):
    table, expected, heard = BoxTable(), {}, []
    table.changed.connect(lambda change: heard.append((change.kind, change.ids.tolist())))
    for kind, box_id in steps:
        if kind == "add" and box_id not in expected:
            row = some_rows([box_id])
            table.add(row)
            expected[box_id] = row[0].item()
        elif kind == "remove" and box_id in expected:
            table.remove([box_id])
            del expected[box_id]
        elif kind == "put" and box_id in expected:
            row = some_rows([box_id])
            row["note"] = f"note {len(heard)}"
            table.put(row)
            expected[box_id] = row[0].item()
        else:
            continue
        assert heard[-1][1] == [box_id]
    assert table.rows["id"].tolist() == sorted(expected)
    for box_id, row in expected.items():
        assert str(table.get([box_id])[0].item()) == str(row)


def test_adding_an_id_twice_and_asking_for_a_missing_one_are_errors():
    table = BoxTable(some_rows([1, 2, 5]))
    with pytest.raises(ValueError):
        table.add(some_rows([2]))
    with pytest.raises(KeyError):
        table.get([3])
    with pytest.raises(KeyError):
        table.remove([9])
    assert 5 in table and 4 not in table


def test_the_smallest_box_under_the_cursor_is_hit():
    rows = make_rows(3, id=[1, 2, 3], y0=[0, 10, 50], x0=[0, 10, 50], y1=[100, 20, 60], x1=[100, 20, 60])
    table = BoxTable(rows)
    assert table.at(15, 15) == 2
    assert table.at(30, 30) == 1
    assert table.at(200, 200) is None
    assert table.at(20, 15) == 1, "boxes are half-open"
    assert table.rows["id"][table.inside(55, 55, 58, 58)].tolist() == [1, 3]


def test_confidence_hides_unreviewed_finds_only():
    rows = make_rows(4, id=[1, 2, 3, 4], confidence=[0.2, 0.8, 0.2, np.nan], run_id=[1, 1, 1, 0])
    rows["state"][2] = ReviewState.CONFIRMED
    assert BoxFilter(min_confidence=0.5).mask(rows).tolist() == [False, True, True, True]
    assert BoxFilter(states=frozenset({ReviewState.CONFIRMED})).mask(rows).tolist() == [False, False, True, False]
    rows["note"][1] = "near the Foil"
    assert BoxFilter(text="foil").mask(rows).tolist() == [False, True, False, False]


def test_coordinates_of_nothing_have_four_columns():
    assert coordinates(make_rows(0)).shape == (0, 4)
