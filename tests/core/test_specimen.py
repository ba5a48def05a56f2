"""Fields of specimens: what people write becomes a typed value, or is refused in a sentence."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.errors import InputError
from microscope_qc.core.specimen import (
    STANDARD_FIELDS,
    FieldKind,
    SpecimenField,
    field_of_heading,
    find_field,
    unit_factor,
)

NAMED = {field.name: field for field in STANDARD_FIELDS}
CAPACITY, DATE, BATCH = NAMED["capacity"], NAMED["production_date"], NAMED["batch"]
PART = SpecimenField("side", "Side", FieldKind.CHOICE, choices=("Left", "Right"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.85", 2.85), ("2,85", 2.85), ("0,35", 0.35), (" 2.85 Ah ", 2.85), ("2850 mAh", 2.85), ("2850mAh", 2.85),
        ("-1", -1.0), ("−1,5", -1.5), ("+3", 3.0), (".5", 0.5), (",5", 0.5), ("1e3", 1000.0), ("2,", 2.0), (2.6, 2.6),
        (3, 3.0), ("1,234", 1.234), ("-0", 0.0),
    ],
)  # fmt: skip
def test_a_number_has_a_point_or_a_comma_and_may_have_its_unit(text, value):
    assert CAPACITY.parse(text) == value
    assert math.copysign(1, CAPACITY.parse(text)) == (1 if value >= 0 else -1)


@pytest.mark.parametrize(
    "text",
    [
        "1,234,567", "1.234.567", "1.234,5", "1,234.5", "1 234", "1\u202f234", "1'234", "1’234", "1_000", "nan", "inf",
        "--1", "2.85 kg", "2.85 T", "about 3", "1e999", "9e15", "1e4x", "٣", "2.85 min",
    ],
)  # fmt: skip
def test_signs_between_thousands_and_other_units_are_refused(text):
    if text == "٣":
        assert CAPACITY.parse(text) == 3.0, "digits of other scripts are digits"
        return
    with pytest.raises(InputError) as caught:
        CAPACITY.parse(text)
    assert caught.value.hint
    if text[:5] in ("1,234", "1.234", "1 234", "1\u202f234", "1'234", "1’234"):
        assert "not a number" in caught.value.message


@pytest.mark.parametrize("text", ["2018-02-08", "2018-02", "2018", "2018-02-08 00:00:00"])
def test_a_date_is_iso(text):
    assert DATE.parse(text) == text.split()[0]


@pytest.mark.parametrize(
    "text", ["08.02.2018", "2018-13-01", "2018-02-30", "18", "2018-2-8", "2018-02-08 12:00:00", "0000"]
)
def test_another_date_is_refused(text):
    with pytest.raises(InputError, match="not a date"):
        DATE.parse(text)


def test_text_is_one_line_and_a_choice_is_one_of_its_words():
    assert BATCH.parse("  LG\n Chem\t1 ") == "LG Chem 1"
    assert BATCH.parse("cafe\u0301") == "caf\u00e9"
    assert [field.parse("  ") for field in (BATCH, CAPACITY, DATE, PART)] == [None] * 4
    assert BATCH.parse(None) is None
    for wrong in ("a" * 1001, "a\x07", "a\ud800"):
        with pytest.raises(InputError):
            BATCH.parse(wrong)
    assert PART.parse("left") == "Left"
    with pytest.raises(InputError, match="cannot be “up”") as caught:
        PART.parse("up")
    assert "Left, Right" in (caught.value.hint or "")


@given(st.floats(-1e15, 1e15))
def test_a_number_comes_back_from_its_text(value):
    assert CAPACITY.parse(CAPACITY.text(value)) == pytest.approx(value, rel=1e-14)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_value_or_a_sentence(text):
    for field in (BATCH, CAPACITY, DATE, PART):
        try:
            value = field.parse(text)
        except InputError as error:
            assert error.message
        else:
            assert value is None or field.parse(field.text(value)) == value


def test_fields_are_found_by_name_title_and_what_tables_call_them():
    for words, name in (
        ("Production date", "production_date"), ("production-date", "production_date"), ("BR", "br"),
        ("(BH)max", "bhmax"), ("Manufacturer", "producer"), ("Sample designation", "specimen"),
    ):  # fmt: skip
        assert find_field(STANDARD_FIELDS, words) is NAMED[name]
    assert find_field(STANDARD_FIELDS, "colour") is None
    assert find_field(STANDARD_FIELDS, "") is None


@pytest.mark.parametrize(
    ("heading", "name", "unit"),
    [
        ("Capacity (Ah)", "capacity", "Ah"), ("Nominal capacity mAh", "capacity", "mAh"),
        ("capacity_mAh", "capacity", "mAh"), ("Capacity [mAh]", "capacity", "mAh"),
        ("Capacity, Ah", "capacity", "Ah"), ("HcJ / kA/m", "hcj", "kA/m"),
        ("(BH)max (kJ/m^3)", "bhmax", "kJ/m^3"), ("Br", "br", ""), ("Batch", "batch", ""),
    ],
)  # fmt: skip
def test_a_heading_may_say_the_unit(heading, name, unit):
    assert field_of_heading(STANDARD_FIELDS, heading) == (NAMED[name], unit)


def test_a_heading_in_another_unit_is_refused_and_a_strange_one_is_no_field():
    with pytest.raises(InputError, match="not in Ah"):
        field_of_heading(STANDARD_FIELDS, "Capacity (kg)")
    for words in ("Colour", "Batch number", "Batch (x)", ""):
        assert field_of_heading(STANDARD_FIELDS, words) is None


def test_units_differ_by_powers_of_ten_only():
    assert float(unit_factor("mAh", "Ah")) == 0.001
    assert float(unit_factor("MA/m", "kA/m")) == 1000
    assert float(unit_factor("μm", "µm")) == 1
    assert unit_factor("kJ/m³", "kJ/m^3") == 1
    assert unit_factor("min", "in") is None and unit_factor("T", "Ah") is None and unit_factor("", "Ah") is None


def test_the_fields_of_every_project_have_different_names():
    names = [word for field in STANDARD_FIELDS for word in (field.name, *field.also)]
    assert len(set(names)) == len(names) and [field.heading for field in STANDARD_FIELDS][7] == "Capacity (Ah)"
