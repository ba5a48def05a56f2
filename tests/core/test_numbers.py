"""Numbers as people and instruments write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import (
    Quantity,
    exact_text,
    grouping_signs,
    natural,
    number_in,
    parse_number,
    rounded,
    short_text,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0,35", 0.35), ("0.35", 0.35), ("1,234", 1.234), ("１２，５", 12.5), ("\u00a00,00124\u202f", 0.00124),
        ("-1", -1.0), ("−1,5", -1.5), ("+3", 3.0), (",5", 0.5), ("2,", 2.0), ("1,5e-3", 0.0015), ("-0", 0.0),
    ],
)  # fmt: skip
def test_point_and_comma_are_the_same(text, value):
    assert parse_number(text) == value
    assert math.copysign(1, parse_number(text)) == (1 if value >= 0 else -1)


@pytest.mark.parametrize(
    "text",
    ["1.234,5", "1,234.5", "1,234,567", "1 234", "1\u202f234", "1’234", "1_000", "nan", "inf", "", "0x10", "1e9999",
     "< 0.1", "n.d.", "5²", "½", "3-4", "--1", "1 , 2"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_is_no_number_is_refused(text):
    with pytest.raises(InputError) as caught:
        parse_number(text)
    assert caught.value.hint
    assert math.isnan(number_in(text))


def test_a_number_may_have_its_unit_or_another_prefix_of_it():
    assert parse_number("0,35 µm", unit="µm") == parse_number("0.35um", unit="µm") == 0.35
    assert parse_number("350 nm", unit="µm") == 0.35
    assert parse_number("7 px", unit="px") == 7
    with pytest.raises(InputError, match="takes a number in µm, not “kg”"):
        parse_number("2 kg", unit="µm", what="The pixel size")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_every_number_is_read_back_as_it_is_shown(value):
    value = float(f"{value:.15g}")
    text = exact_text(value)
    if abs(value) >= 1e-300 or value == 0:
        assert parse_number(text) == parse_number(text.replace(".", ",")) == value
    assert "e" not in text


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_a_sentence(text):
    try:
        assert abs(parse_number(text)) <= 1e15
    except InputError as error:
        assert error.message and error.hint


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1 + 0.2, "0.3"), (0.00124, "0.00124"), (1e-9, "0.000000001"), (12000.0, "12000"), (-0.0, "0"), (math.inf, "")],
)  # fmt: skip
def test_a_number_is_shown_with_all_its_digits_and_no_noise(value, text):
    assert exact_text(value) == text


def test_small_lengths_keep_their_digits_beside_large_ones():
    assert [rounded(value, 3) for value in (0.00124, 12.34567, 60000.12345, 0.0, -0.0012345678)] == [
        0.00124, 12.3457, 60000.123, 0.0, -0.00123457,
    ]  # fmt: skip
    assert [short_text(value) for value in (1234567.0, 0.00001, 1 / 3, math.nan)] == [
        "1234567",
        "0.00001",
        "0.333333",
        "",
    ]


def test_limits_are_said():
    confidence = Quantity("The confidence", low=0, high=1)
    assert confidence.parse("0,5") == 0.5
    with pytest.raises(InputError, match=r"The confidence cannot be 35\. It is 0 to 1\."):
        confidence.parse("35")
    with pytest.raises(InputError, match=r"cannot be -1 µm\. It is 0 µm or more\."):
        Quantity("The width", "µm", low=0).parse("-1")
    with pytest.raises(InputError, match=r"whole number, not 2\.5\. It is 8 or less\."):
        Quantity("The number of marks", high=8, whole=True).parse("2,5")


def test_a_sign_between_thousands_makes_lone_ones_in_its_table_unclear():
    cells = ["1.234,5", "1.234", "0.35", "12,5"]
    grouped = grouping_signs(cells)
    assert grouped == {"."}
    found = [number_in(cell, grouped=grouped) for cell in cells]
    assert [math.isnan(value) for value in found] == [True, True, False, False]
    assert grouping_signs(["1,234", "2.345", "1,5"]) == frozenset(), "a lone sign is the decimal sign"
    assert grouping_signs(["1,234,567"]) == {","}


def test_names_are_sorted_as_people_count():
    assert sorted(["S10", "s2", "S1", "10", "9", "", "S1b"], key=natural) == ["", "9", "10", "S1", "S1b", "s2", "S10"]
