"""What panels count is kept up to date box by box, and is what counting everything again would give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.core.boxes import BoxFilter, BoxTable, ReviewState, make_rows
from microscope_qc.core.inclusion import Inclusion

FILTERS = (
    BoxFilter(),
    BoxFilter(min_confidence=0.5),
    BoxFilter(class_ids=frozenset({2, 40})),
    BoxFilter(states=frozenset({ReviewState.UNREVIEWED})),
    BoxFilter(only_chosen=True),
)
KINDS = ("add", "insert", "remove", "put", "filter", "limit", "reset")
step = st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1))


def some_rows(rng: np.random.Generator, ids: np.ndarray) -> np.ndarray:
    count = len(ids)
    rows = make_rows(count, class_id=rng.choice([1, 2, 3, 40], count), confidence=rng.random(count).astype("f4"))
    rows["id"], rows["state"], rows["chosen"] = ids, rng.integers(0, 3, count), rng.random(count) < 0.3
    rows["run_id"] = rng.integers(0, 3, count)
    rows["y1"] = rows["x1"] = 10
    return rows


def change(table: BoxTable, project: Any, shown: ShownBoxes, kind: str, rng: np.random.Generator) -> None:
    known = table.rows["id"].copy()
    some = known[rng.random(len(known)) < 0.4]
    if kind == "add":
        start = int(known.max(initial=0)) + 1 + int(rng.integers(0, 3))
        table.add(some_rows(rng, start + np.arange(rng.integers(1, 4))))
    elif kind == "insert":  # undo brings old ones back
        free = np.setdiff1d(np.arange(1, 30), known)
        table.add(some_rows(rng, free[rng.random(len(free)) < 0.3]))
    elif kind == "remove":
        table.remove(some)
    elif kind == "put":
        table.put(some_rows(rng, some))
    elif kind == "filter":
        project.filters.current = FILTERS[rng.integers(len(FILTERS))]
        project.inclusion.current = Inclusion(float(rng.random() / 2), frozenset(rng.choice(3, 1).tolist()))
        shown.forget()
    elif kind == "limit":
        shown.limit(some if rng.random() < 0.7 else None)
    else:
        table.reset(some_rows(rng, some))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 20), st.lists(step, max_size=12), st.booleans())
def test_counts_follow_every_change_as_if_everything_were_counted_again(
    count: int, steps: list[tuple[str, int]], asks_between: bool
) -> None:
    table = BoxTable(some_rows(np.random.default_rng(count), 1 + np.arange(count)))
    project: Any = SimpleNamespace(
        filters=SimpleNamespace(current=BoxFilter()), inclusion=SimpleNamespace(current=Inclusion(0.2))
    )
    shown = ShownBoxes()
    shown.show(cast(Any, project), 1, table)
    table.changed.connect(shown.follow)
    shown.counts()
    for kind, seed in steps:
        change(table, project, shown, kind, np.random.default_rng(seed))
        if asks_between:
            shown.all_counts()
    rows = table.rows
    passing, counting = shown.passes(rows), project.inclusion.current.mask(rows, rejected=True)
    assert np.array_equal(shown.mask(), passing)
    assert np.array_equal(shown.rows()["id"], rows["id"][passing])
    assert tally(shown.counts()) == tally_of(rows[passing])
    assert tally(shown.all_counts()) == tally_of(rows[counting])
    assert shown.class_counts() == {
        number: int((rows["class_id"][passing] == number).sum()) for number in np.unique(rows["class_id"][passing])
    }


def tally(counts: np.ndarray) -> dict[tuple[int, int], int]:
    return {(int(a), int(b)): int(counts[a, b]) for a, b in zip(*np.nonzero(counts), strict=True)}


def tally_of(rows: np.ndarray) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for class_id, state in zip(rows["class_id"].tolist(), rows["state"].tolist(), strict=True):
        found[class_id, state] = found.get((class_id, state), 0) + 1
    return found
