"""Compositions: from one unit to the other with their errors, means, and how they are stored."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.composition import (
    Amount,
    amounts_from_json,
    amounts_to_json,
    composition_text,
    in_both_units,
    less_reference,
    mean,
    of_unit,
    percent_error_text,
)
from microscope_qc.core.elements import ATOMIC_WEIGHT

PERCENT = st.dictionaries(st.sampled_from(list(ATOMIC_WEIGHT)), st.floats(0.1, 100), min_size=1, max_size=8)


@given(PERCENT, st.sampled_from(["at", "wt"]))
def test_there_and_back_gives_the_same_shares(percent, unit):
    given_amounts = [Amount(e, unit, value, value / 10) for e, value in percent.items()]
    other = "wt" if unit == "at" else "at"
    computed = of_unit(in_both_units(given_amounts), other)
    assert all(not amount.measured for amount in computed.values())
    assert sum(amount.percent for amount in computed.values()) == pytest.approx(100)
    back = of_unit(in_both_units(list(computed.values())), unit)
    total = sum(percent.values())
    assert {e: a.percent for e, a in back.items()} == pytest.approx({e: 100 * v / total for e, v in percent.items()})


def test_what_is_given_in_both_units_stays():
    known = (Amount("O", "at", 61.15), Amount("O", "wt", 30.0))
    assert in_both_units(known) == known


def test_an_error_that_is_not_known_makes_none():
    computed = of_unit(in_both_units([Amount("O", "wt", 30, 0.3), Amount("Ni", "wt", 70)]), "at")
    assert [amount.sigma for amount in computed.values()] == [None, None]


def test_in_a_mean_an_element_that_one_lacks_is_zero_there():
    first, second = [Amount("O", "at", 60, 0.6), Amount("Al", "at", 40, 0.8)], [Amount("O", "at", 100, 0.8)]
    assert mean([first, second], "at") == (Amount("O", "at", 80, 0.5), Amount("Al", "at", 20, 0.4))
    assert mean([first, second], "wt") == () == mean([], "at")


def test_a_reference_is_taken_away():
    found = less_reference(
        [Amount("C", "at", 60, 0.3), Amount("O", "at", 30, 0.4), Amount("F", "at", 10, 0.1)],
        [Amount("C", "at", 70, 0.4), Amount("O", "at", 10, 0.3)],
    )
    assert [(a.element, a.percent) for a in found] == [("C", 0), ("O", 20), ("F", 10)]
    assert [a.sigma for a in found] == [0.5, 0.5, 0.1]
    assert less_reference([Amount("C", "at", 60)], [Amount("C", "at", 1, 0.1)])[0].sigma is None


def test_stored_amounts_are_read_back_and_others_refused():
    known = (Amount("O", "at", 61.15, 0.25), Amount("O", "wt", 30.0, None, False))
    assert amounts_from_json(amounts_to_json(known)) == known
    entries = (
        '["Xx", "at", 1, null, true]', '["O", "kg", 1, null, true]', '["O", "at", NaN, null, true]',
        '["O", "at", "1", null, true]', '["O", "at", 1, "x", true]', f'["O", "at", {10**400}, null, true]',
        "[1]", "3",
    )  # fmt: skip
    for wrong in ("", "{", "3", *(f"[{entry}]" for entry in entries)):
        with pytest.raises(ValueError):
            amounts_from_json(wrong)


def test_words():
    amounts = [Amount("Co", "at", 11.07), Amount("O", "at", 61.15, 0.25)]
    assert composition_text(amounts) == "O 61.1, Co 11.1 at%" and composition_text([]) == ""
    assert [percent_error_text(a) for a in (*amounts, None)] == ["11.1", "61.1 ± 0.2", "–"]
    assert math.isclose(sum(a.percent for a in amounts), 72.22)
