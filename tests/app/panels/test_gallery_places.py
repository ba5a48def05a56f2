"""Ids in an order, against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.app.session.places import Places

ids = st.lists(st.integers(1, 40), unique=True, max_size=20)
steps = st.lists(st.tuples(st.booleans(), ids), max_size=8)


@given(ids, steps)
def test_places_are_those_of_a_list(start: list[int], changes: list[tuple[bool, list[int]]]) -> None:
    places, expected = Places(start), list(start)
    for adding, numbers in changes:
        if adding:
            new = [number for number in numbers if number not in expected]
            places.append(np.array(new, np.int64))
            expected += new
        else:
            gone = [place for place, number in enumerate(expected) if number in numbers]
            places.remove(np.array(gone, np.int64))
            expected = [number for number in expected if number not in numbers]
        assert places.ids.tolist() == expected and len(places) == len(expected)
        wanted = [expected.index(number) if number in expected else -1 for number in range(45)]
        assert places.of(np.arange(45)).tolist() == wanted
