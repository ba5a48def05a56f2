"""What hides findings, against lifting each thing in turn."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.box_facts import BoxFacts
from microscope_qc.core.box_filter import BoxFilter
from microscope_qc.core.box_rows import FindingFlag, ReviewState, make_rows
from microscope_qc.core.hiding import Hidden, Hider, Hiding, hidden, least_hiding, without
from microscope_qc.core.inclusion import Inclusion
from microscope_qc.core.opinions import OPINION_DTYPE, OpinionTable

DISPUTED = FindingFlag.DISPUTED
OPINIONS = np.zeros(8, OPINION_DTYPE)
OPINIONS["id"], OPINIONS["finding_id"] = range(1, 9), [1, 2, 3, 4, 5, 7, 8, 3]
OPINIONS["run_id"] = [1, 1, 2, 2, 1, 1, 2, 1]
FACTS = BoxFacts((0.5, 0.5), {1: "CRK", 2: "COP"}, names={1: "Crack", 2: "Burr"}, opinions=OpinionTable(OPINIONS))


def some_rows() -> np.ndarray:
    return make_rows(
        8, id=range(1, 9), class_id=[1, 1, 1, 2, 2, 1, 2, 1], run_id=[1, 1, 2, 2, 1, 0, 1, 2],
        confidence=[0.2, 0.7, 0.9, 0.3, 0.8, np.nan, 0.1, 0.4], state=[0, 0, 0, 0, 1, 0, 2, 1],
        x1=[10, 20, 30, 40, 50, 60, 70, 80], y1=10.0, chosen=[False, True] * 4,
        flags=[0, DISPUTED, 0, DISPUTED, FindingFlag.FOUND_AGAIN | DISPUTED, 7, FindingFlag.FOUND_AGAIN, 0],
    )  # fmt: skip


FILTERS = st.builds(
    BoxFilter,
    min_confidence=st.sampled_from([0.0, 0.5]),
    max_confidence=st.sampled_from([1.0, 0.6]),
    class_ids=st.sampled_from([None, frozenset({2})]),
    states=st.sampled_from([None, frozenset({ReviewState.CONFIRMED})]),
    only_chosen=st.booleans(),
    text=st.sampled_from(["", "crack", "nowhere", "class="]),
    size_um=st.sampled_from([None, (12.0, 100.0)]),
    found_by=st.sampled_from([None, frozenset({1})]),
    only_disputed=st.booleans(),
    only_again=st.booleans(),
    numbers=st.sampled_from([None, frozenset({2, 5, 99})]),
)
COUNTED = st.builds(
    Inclusion, st.sampled_from([0.0, 0.5]), st.sampled_from([frozenset(), frozenset({2}), frozenset({1, 2})])
)


def lifted(counted: Inclusion, by: Hider) -> Inclusion:
    limit = 0.0 if Hider.LIMIT in by else counted.confidence_limit
    return Inclusion(limit, frozenset() if Hider.RUNS in by else counted.hidden_runs)


def shown_now(counted: Inclusion, shown: BoxFilter) -> int:
    rows = some_rows()
    return int((counted.mask(rows, rejected=True) & shown.mask(rows, facts=FACTS)).sum())


@given(COUNTED, FILTERS)
def test_lifting_what_is_named_shows_what_was_promised_and_nothing_less_would(counted, shown):
    found = hidden(some_rows(), counted, shown, FACTS)
    before = shown_now(counted, shown)
    assert found[Hider(0)] == before
    hiding = least_hiding(found)
    matching = int(replace(BoxFilter(), text=shown.text).mask(some_rows(), facts=FACTS).sum())
    assert found.total() == matching
    if hiding is None:
        assert matching == before
        return
    assert shown_now(lifted(counted, hiding.by), without(shown, hiding.by)) == before + hiding.count
    assert hiding.count > 0
    for count in range(int(hiding.by).bit_count()):
        for fewer in combinations(list(Hider), count):
            by = Hider(sum(fewer))
            assert shown_now(lifted(counted, by), without(shown, by)) == before, "fewer things would have done"


def test_counts_of_slides_are_added():
    one, two = Hidden({Hider.LIMIT: 2, Hider.SIZE: 1}), Hidden({Hider.SIZE: 4, Hider.SIZE | Hider.LIMIT: 9})
    assert least_hiding(one) == Hiding(Hider.LIMIT, 2)
    assert least_hiding(one + two) == Hiding(Hider.SIZE, 5)
    assert least_hiding(Hidden({Hider(0): 7})) is None
    assert least_hiding(Hidden({Hider.SIZE | Hider.LIMIT: 9, Hider.RUNS | Hider.LIMIT | Hider.SIZE: 1})) == Hiding(
        Hider.SIZE | Hider.LIMIT, 9
    )
