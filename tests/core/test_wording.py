"""Numbers, units and findings in words."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import microscope_qc
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.wording import (
    NARROW_SPACE,
    area_text,
    bytes_text,
    confidence_text,
    count_text,
    degrees_text,
    duration_text,
    elapsed_text,
    extent_text,
    metric_text,
    number_text,
    percent_text,
    pixel_size_text,
    place_text,
    plural,
    position_text,
    progress_text,
    round_length,
    rounded_text,
    share_text,
    significant_text,
    size_text,
    slide_extent_text,
    state_text,
    things,
    tooltip,
    zoom_text,
)

NOT_FINITE = (math.nan, math.inf, -math.inf)
finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


def value_of(text: str) -> float:
    """The number that a reader takes from a text."""
    return float(text.replace(NARROW_SPACE, "").replace("−", "-"))


def test_large_numbers_are_grouped_and_keep_together() -> None:
    assert count_text(12044) == f"12{NARROW_SPACE}044"
    assert number_text(-1234567.25, 1) == f"−1{NARROW_SPACE}234{NARROW_SPACE}567.2"
    assert NARROW_SPACE == "\u202f"  # the thin space U+2009 would let a line end within a number
    assert number_text(-0.01) == "0" and number_text(-0.0, 2) == "0.00"


@given(finite, st.integers(0, 6))
def test_a_number_reads_back_to_its_decimals(value: float, decimals: int) -> None:
    text = number_text(value, decimals)
    assert value_of(text) == pytest.approx(value, abs=0.5 * 10**-decimals * (1 + 1e-9) + 1e-12 * abs(value))
    assert re.fullmatch(r"−?\d{1,3}(\u202f\d{3})*(\.\d+)?", text)


def test_one_thing_and_several() -> None:
    assert [things(n, "finding") for n in (0, 1, 2, 1200)] == [
        "0 findings",
        "1 finding",
        "2 findings",
        "1\u202f200 findings",
    ]
    assert things(3, "class", "classes") == "3 classes"
    assert [plural(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


def test_rounded_numbers_keep_the_digits_that_mean_something() -> None:
    told = {
        0: "0.0",
        0.0616: "0.062",
        0.85: "0.85",
        0.999: "1.0",
        14.24: "14.2",
        99.96: "100",
        312.4: "312",
        3612.4: "3\u202f612",
    }
    assert {value: rounded_text(value) for value in told} == told
    assert rounded_text(-14.24) == "−14.2"


@given(finite)
def test_rounding_changes_no_number_by_more_than_a_twentieth(value: float) -> None:
    assert value_of(rounded_text(value)) == pytest.approx(value, rel=0.0501, abs=1e-300)


@given(finite, st.integers(1, 9))
def test_significant_digits_are_kept_without_exponents(value: float, digits: int) -> None:
    text = significant_text(value, digits)
    assert value_of(text) == pytest.approx(value, rel=0.5001 * 10.0 ** (1 - digits), abs=1e-300)
    assert "e" not in text and not re.search(r"\.\d*0$|\.$", text)


def test_significant_digits_by_hand() -> None:
    assert [significant_text(v) for v in (2.458, 0.06166, 0.5, 100.0, 3612.4, 0.0)] == [
        "2.46", "0.0617", "0.5", "100", "3\u202f612", "0",
    ]  # fmt: skip


def test_a_share_is_never_rounded_to_nothing_or_to_all() -> None:
    told = {
        0.0: "0 %",
        1e-9: "under 0.1 %",
        0.004: "0.4 %",
        0.25: "25 %",
        0.9951: "99.5 %",
        0.999999: "99.9 %",
        1.0: "100 %",
    }
    assert {share: percent_text(share) for share in told} == told
    assert (share_text(1.0), share_text(0.25), share_text(0.0)) == ("all", "25 %", "0 %")


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_shares_between_are_told_as_between(share: float) -> None:
    text = percent_text(share)
    assert text not in ("0 %", "0.0 %", "100 %", "100.0 %")
    if not text.startswith("under"):
        assert float(text.removesuffix(" %")) == pytest.approx(100 * share, abs=0.5)


@given(st.integers(1, 10**7), st.data())
def test_progress_is_complete_only_when_it_is(total: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, total))
    percent = int(progress_text(done / total).removesuffix(" %"))
    assert percent == 100 * done // total


def test_zoom_and_angles() -> None:
    assert [zoom_text(z) for z in (0.0625, 0.5, 16.0)] == ["6.2 %", "50 %", "1\u202f600 %"]
    assert (degrees_text(-12.345, 2), degrees_text(-0.001)) == ("−12.35°", "0.0°")


def test_lengths_take_the_unit_that_suits_them() -> None:
    told = {
        0.5: "500 nm",
        0.9996: "1 µm",
        14.24: "14.2 µm",
        999.4: "999 µm",
        999.9: "1 mm",
        2458.0: "2.46 mm",
        0.0: "0 µm",
    }
    assert {um: metric_text(um) for um in told} == told
    assert metric_text(1234.5, 4) == "1.234 mm" and metric_text(2e7) == "20\u202f000 mm"


@given(st.floats(1e-4, 1e9), st.integers(1, 6))
def test_a_length_keeps_its_value_whatever_its_unit(um: float, digits: int) -> None:
    number, unit = metric_text(um, digits).split(" ")
    per_um = {"nm": 1e-3, "µm": 1.0, "mm": 1e3}[unit]
    assert value_of(number) * per_um == pytest.approx(um, rel=0.5001 * 10.0 ** (1 - digits))
    assert digits < 4 or 0.999 <= value_of(number) < 1000.1 or unit == "mm" or um < 1e-3


@given(st.floats(1e-9, 1e9))
def test_round_lengths_are_one_two_or_five_and_as_long_as_fits(longest: float) -> None:
    length = round_length(longest)
    assert 0.399 * longest <= length <= longest * (1 + 1e-6)
    assert length / 10 ** math.floor(math.log10(length) + 1e-9) == pytest.approx(1, abs=1e-6) or round(
        length / 10 ** math.floor(math.log10(length) + 1e-9), 6
    ) in (2.0, 5.0)


@pytest.mark.parametrize("longest", [0.0, -1.0, *NOT_FINITE])
def test_a_scale_bar_without_a_length_is_refused(longest: float) -> None:
    with pytest.raises(ValueError, match="positive length"):
        round_length(longest)


def test_bytes_as_disks_are_sold() -> None:
    sizes = (0, 999, 1_000, 999_499, 999_950, 98 * 10**9, 1_400 * 10**9, 5 * 10**15)
    assert [bytes_text(n) for n in sizes] == [
        "0 bytes", "999 bytes", "1.0 kB", "999 kB", "1.0 MB", "98 GB", "1.4 TB", "5\u202f000 TB",
    ]  # fmt: skip


def test_durations() -> None:
    assert [duration_text(s) for s in (0, 59.4, 59.6, 80, 3599.7, 4000)] == [
        "0:00", "0:59", "1:00", "1:20", "1:00:00", "1:06:40",
    ]  # fmt: skip
    assert [elapsed_text(s) for s in (0.04, 3.21, 59.94, 59.96, 80)] == ["0.0 s", "3.2 s", "59.9 s", "1:00", "1:20"]


@given(st.floats(0, 1e7))
def test_a_duration_reads_back_to_the_second(seconds: float) -> None:
    parts = [int(part) for part in duration_text(seconds).split(":")]
    assert sum(part * 60**power for power, part in enumerate(reversed(parts))) == round(seconds)
    assert all(part < 60 for part in parts[1:])


@pytest.mark.parametrize("value", NOT_FINITE)
def test_what_is_not_known_is_a_dash(value: float) -> None:
    told = (number_text, rounded_text, significant_text, percent_text, metric_text, duration_text)
    assert [say(value) for say in told] == ["–"] * len(told)


def test_sizes_and_places_say_x_before_y_and_their_unit() -> None:
    assert extent_text(10, 1200.4, None) == "1\u202f200 × 10 px"
    assert extent_text(10, 100.4, (0.05, 0.5)) == "50.2 × 0.50 µm"
    assert place_text(8310, 120, None) == "x 120, y 8\u202f310 px"
    assert place_text(100, 200, (0.5, 0.25)) == "x 50.0, y 50.0 µm"
    assert slide_extent_text((8192, 4096), (0.3, 0.5)) == "2.05 × 2.46 mm"
    assert (pixel_size_text((0.3, 0.3)), pixel_size_text((0.25, 0.34482))) == ("0.3 µm", "0.3448 × 0.25 µm")


def test_a_finding_in_words() -> None:
    classes = {1: DefectClass("CRK", "Crack", "#ff0000")}
    row = make_rows(
        1, id=7, y0=10, x0=20, y1=20, x1=120.4, class_id=1, confidence=0.876, state=ReviewState.REJECTED,
        reason="duplicate", chosen=True, note="see SEM",
    )[0]  # fmt: skip
    assert size_text(row, (0.05, 0.5)) == "50.2 × 0.50 µm" and size_text(row, None) == "100 × 10 px"
    assert position_text(row, None) == "x 70, y 15 px"
    assert state_text(row) == "rejected: duplicate"
    assert tooltip(row, classes, None).splitlines() == [
        "CRK  Crack", "confidence 0.88", "100 × 10 px", "rejected: duplicate", "chosen for the SEM", "see SEM",
    ]  # fmt: skip
    assert tooltip(row, {}, None).startswith("?  No class")
    assert (confidence_text(math.nan), confidence_text(1.0)) == ("drawn", "1.00")


def test_an_area_is_said_in_the_unit_that_suits_it() -> None:
    assert area_text(1920000, (0.5, 0.5)) == "0.48 mm²"
    assert area_text(8192 * 8192, (0.3, 0.25)) == "5.03 mm²"
    assert area_text(3996, (0.5, 0.5)) == "999 µm²" and area_text(4000, (0.5, 0.5)) == "0.001 mm²"
    assert area_text(1920000, None) == f"1{NARROW_SPACE}920{NARROW_SPACE}000 px²"
    assert area_text(0, (0.5, 0.5)) == "0 µm²"


def test_percentages_are_written_in_one_way():
    """``100 %`` everywhere, never ``100%``: by percent_text or its like, not by a format of their own."""
    package = Path(microscope_qc.__file__).parent
    by_hand = re.compile(r"""\{[^{}]*:[^{}\s]*%\}|["'] \| format\(.*\}\} %""")
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted([*package.rglob("*.py"), *package.rglob("*.j2")])
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_hand.search(line)
    ]
    assert found == []
