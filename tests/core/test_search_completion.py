"""How words typed into a search field go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.box_facts import Known
from microscope_qc.core.query import parse
from microscope_qc.core.search_completion import MOST, completions

NAMES = {"CRK": "Crack", "COP": "Copper burr", 'A "x", y': "Odd"}
KNOWN = Known(tuple(NAMES), ("S1", "slide 2"), (3, 14))


def offered(text: str) -> list[str]:
    """The whole text after each completion."""
    return [text[: new.start] + new.text for new in completions(text, KNOWN, NAMES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("crk ", []),
        ("conf", ["confidence<"]),
        ("CRA", ["class=CRK"]),
        ("cr", ["class=CRK"]),
        ("burr", ["class=COP"]),
        ("tab size", ["tab size_um>", "tab size_px>"]),
        ("class=", ["class=CRK", "class=COP", 'class="A \\"x\\", y"']),
        ("class=CRK", []),
        ("class=CRK,co", ["class=CRK,COP"]),
        ("class!=crack", ["class!=CRK"]),
        ("x state=c", ["x state=confirmed", "x state=rejected"]),
        ("slide=2", ['slide="slide 2"']),
        ("run=1", ["run=14"]),
        ("chosen=", ["chosen=yes", "chosen=no"]),
        ('note~"cr', []),
        ('"cr', []),
        ("number", ["number="]),
        ("nothing=cr", []),
        ("zzz", []),
    ],
)
def test_fields_classes_and_values_are_offered(text, expected):
    assert offered(text) == expected


@given(st.text(alphabet="clasrundtconfi=<>~!,\"' #") | st.text())
def test_what_is_offered_fits_the_text_and_can_be_read_once_it_has_a_value(text):
    found = completions(text, KNOWN, NAMES)
    assert len(found) <= MOST
    for new in found:
        assert 0 <= new.start <= len(text) and new.text
    for new in completions("class=", KNOWN, NAMES):
        parse(f"class={new.text}", KNOWN)
