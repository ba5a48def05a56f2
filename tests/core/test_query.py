"""Queries: what they mean, against a plain loop; and that no mistake chooses more than was meant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.box_facts import BoxFacts, Known
from microscope_qc.core.box_rows import FindingFlag, ReviewState, make_rows
from microscope_qc.core.composition import Amount
from microscope_qc.core.opinions import OPINION_DTYPE, OpinionTable
from microscope_qc.core.query import QueryError, parse
from microscope_qc.core.query_fields import FIELDS, FieldRows
from microscope_qc.core.query_words import FIELD_WORDS

CODES = {1: "CRK", 2: "COP", 3: "ACP, old"}
KNOWN = Known(codes=tuple(CODES.values()), slides=("S1", "slide 2"), runs=(3, 4))


def some_rows() -> np.ndarray:
    rows = make_rows(
        6,
        id=range(1, 7),
        class_id=[1, 1, 2, 3, 1, 2],
        y0=0.0,
        x0=[0, 10, 20, 30, 40, 50],
        y1=10.0,
        x1=[10, 30, 70, 31, 45, 90],
        confidence=[0.3, 0.5, 0.9, np.nan, 0.0, 1.0],
        state=[0, 1, 2, 1, 0, 0],
        run_id=[3, 3, 4, 0, 4, 4],
        chosen=[False, True, False, True, False, False],
        reason=["", "", "duplicate", "", "", ""],
        note=["", "Near the TAB", "", "tab", "", "x=1"],
        flags=[0, FindingFlag.DISPUTED, FindingFlag.FOUND_AGAIN, FindingFlag.DRAWN, 0, FindingFlag.DISPUTED],
    )
    return rows


def some_opinions() -> OpinionTable:
    """One for each finding of a model; run 4 found number 2, too, and is less sure of it."""
    opinions = np.zeros(6, OPINION_DTYPE)
    opinions["id"] = range(1, 7)
    opinions["finding_id"] = [1, 2, 3, 5, 6, 2]
    opinions["run_id"] = [3, 3, 4, 4, 4, 4]
    return OpinionTable(opinions)


def found(text: str, *, pixel_size_um: tuple[float, float] | None = (0.5, 0.25)) -> list[int]:
    rows = some_rows()
    facts = BoxFacts(pixel_size_um, CODES, {6: "operator Anna"}, opinions=some_opinions())
    return rows["id"][parse(text, KNOWN).mask(FieldRows(rows, "S1", facts))].tolist()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("class=CRK", [1, 2, 5]),
        ("class != CRK", [3, 4, 6]),
        ('class=CRK,"ACP, old"', [1, 2, 4, 5]),
        ("class~c", [1, 2, 3, 4, 5, 6]),
        ("class~CRK,op", [1, 2, 3, 5, 6]),
        ("confidence<0.5", [1, 5]),
        ("confidence<=0.5", [1, 2, 5]),
        ("confidence>=0.9", [3, 6]),
        ("confidence>0.3", [2, 3, 6]),
        ("confidence=0.3", [1]),
        ("confidence!=0.3", [2, 3, 5, 6]),
        ("confidence=drawn", [4]),
        ("confidence!=drawn", [1, 2, 3, 5, 6]),
        ("state=unreviewed", [1, 5, 6]),
        ("state!=Unreviewed", [2, 3, 4]),
        ("slide=S1", [1, 2, 3, 4, 5, 6]),
        ('slide="slide 2"', []),
        ("slide~S", [1, 2, 3, 4, 5, 6]),
        ("run=3", [1, 2]),
        ("run=4", [2, 3, 5, 6]),
        ("run=none,3", [1, 2, 4]),
        ("run!=4", [1, 4]),
        ("run!=none", [1, 2, 3, 5, 6]),
        ("disputed=yes", [2, 6]),
        ("disputed!=yes class=CRK", [1, 5]),
        ("disputed=no again=no", [1, 4, 5]),
        ("again=yes", [3]),
        ("chosen=yes", [2, 4]),
        ("chosen=no state=rejected", [3]),
        ("note~tab", [2, 4]),
        ("note=TAB", [4]),
        ('note=""', [1, 3, 5]),
        ('note!=""', [2, 4, 6]),
        ('note="x=1"', [6]),
        ('reason~"dup"', [3]),
        ("text~anna", [6]),
        ("text~tab,dup", [2, 3, 4]),
        ("size_um>5", [3, 6]),
        ("width_um=5", [2]),
        ("height_um>=5", [1, 2, 3, 4, 5, 6]),
        ("size_px<=10", [1, 4, 5]),
        ("x_px<30", [1, 2]),
        ("y_px=5", [1, 2, 3, 4, 5, 6]),
        ("number=1,6,99", [1, 6]),
        ("  class=CRK\tconfidence<0.5  note=''\n", [1, 5]),
        ("CLASS=CRK Confidence<0.5", [1, 5]),
    ],
)
def test_a_query_means_what_it_says(text, numbers):
    assert found(text) == numbers


@pytest.mark.parametrize("text", ["size_um>0", "size_um!=1", "width_um<1e9"])
def test_a_size_in_um_that_is_not_known_fits_nothing(text):
    assert found(text, pixel_size_um=None) == []
    assert found(text) != []


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("class=CRKK", 7, "no class CRKK"),
        ("class!=CRKK", 8, "no class CRKK"),
        ("class=crk", 7, "no class crk"),
        ("class=CRK,", 11, "value"),
        ("slide!=S3", 8, "There are: S1, slide 2."),
        ("run!=5", 6, "There are: 3, 4."),
        ("run=-3", 5, "whole number, or none"),
        ("run>3", 4, "run takes = !="),
        ("state=reviewed", 7, "confirmed"),
        ("chosen=maybe", 8, "yes"),
        ("disputed=often", 10, "yes"),
        ("confidnce<0.5", 1, "Did you mean confidence?"),
        ("confidence<50", 12, "0 to 1"),
        ("confidence<0.1,0.5", 12, "not a number"),
        ("confidence<nan", 12, "not a number"),
        ("confidence<inf", 12, "not a number"),
        ("confidence<drawn", 12, "not a number"),
        ("size_um>-1", 9, "0 or more"),
        ("confidence~5", 11, "takes"),
        ("class=CRK or class=COP", 11, "no field or"),
        ("class=CRK;state=confirmed", 7, "CRK;state"),
        ("class", 6, "operator"),
        ("class=", 7, "value"),
        ("class==CRK", 7, "value"),
        ("=CRK", 1, "field"),
        ("note~", 6, "value"),
        ('note~""', 6, "empty"),
        ('note="tab', 6, "not closed"),
        ('note="tab"x', 11, "space"),
        ("note=a=b", 7, "quotes"),
        ("number!=1", 7, "takes"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text, at, says):
    with pytest.raises(QueryError) as caught:
        parse(text, KNOWN)
    assert f"at character {at}," in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_query_means_nothing_and_not_everything(text):
    with pytest.raises(QueryError, match="Fields: class, confidence"):
        parse(text, KNOWN)


@given(st.text() | st.text(alphabet="clasonfidetukrm=<>!~,\"'\\ 0.5CRKS1"))
def test_no_text_is_a_crash(text):
    try:
        query = parse(text, KNOWN)
    except QueryError as error:
        assert error.message and error.hint
    else:
        assert query.terms


TERMS = {
    "class=CRK": lambda row: row["class_id"] == 1,
    "class!=COP": lambda row: row["class_id"] != 2,
    "confidence<0.5": lambda row: row["confidence"] < np.float32(0.5),
    "confidence>=0.3": lambda row: row["confidence"] >= np.float32(0.3),
    "state=confirmed": lambda row: row["state"] == ReviewState.CONFIRMED,
    "run=4": lambda row: row["run_id"] == 4 or row["id"] == 2,
    "chosen=no": lambda row: not row["chosen"],
    'note~"tab"': lambda row: "tab" in row["note"].lower(),
    "size_um>3": lambda row: max(10 * 0.5, (row["x1"] - row["x0"]) * 0.25) > 3,
}


@given(st.lists(st.sampled_from(sorted(TERMS)), min_size=1, max_size=5))
def test_terms_together_are_those_that_fit_each(terms):
    expected = [int(row["id"]) for row in some_rows() if all(TERMS[term](row) for term in terms)]
    assert found(" ".join(terms)) == expected


@given(
    st.sampled_from(["class=CRK", "state=rejected", "run=3", "chosen=yes", "slide=S1", "confidence<0.5"]),
    st.data(),
)
def test_one_letter_wrong_never_means_more(text, data):
    """A letter that is lost, doubled or another one is an error, or what is left means no more than before."""
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(["", text[place] * 2, "x", "q", ";"]))
    changed = text[:place] + letter + text[place + 1 :]
    if changed.startswith("confidence") and changed != text:
        changed_limit = changed.replace("confidence<", "")  # another number is another question
        if changed_limit.replace(".", "").isdigit():
            return
    try:
        numbers = found(changed)
    except QueryError:
        return
    assert set(numbers) <= set(found(text))


def test_every_field_is_in_words():
    assert list(FIELD_WORDS) == list(FIELDS)


@given(st.text(min_size=1))
def test_any_text_can_be_asked_for_in_quotes(text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    (term,) = parse(f'note="{quoted}"', KNOWN).terms
    assert term.values == (text,)


def test_confidence_is_compared_as_it_is_stored():
    rows = make_rows(1, class_id=1, confidence=np.float32(0.1))
    for operator, fits in {"=": True, "<": False, "<=": True, ">": False, ">=": True, "!=": False}.items():
        mask = parse(f"confidence{operator}0.1", KNOWN).mask(FieldRows(rows, "S1", BoxFacts(None, CODES)))
        assert mask.tolist() == [fits], operator
    assert math.isnan(parse("confidence=drawn", KNOWN).terms[0].values[0])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Ni>20", [2]),
        ("Ni > 20 at%", [2]),
        ("ni>20at%", [2]),
        ("Ni>=20 wt%", [1, 2]),
        ("Ni>20,5wt%", [2]),
        ("Ni<50 at% O > 0", [1]),
        ("Al=0", [1, 2]),
        ("Al!=0", []),
    ],
)
def test_elements_are_fields(text: str, numbers: list[int]) -> None:
    measured = {
        1: (Amount("O", "at", 90), Amount("Ni", "at", 10), Amount("Ni", "wt", 20)),
        2: (Amount("Ni", "at", 100), Amount("Ni", "wt", 100)),
    }
    rows = some_rows()
    facts = BoxFacts(None, CODES, compositions=measured)
    assert rows["id"][parse(text, KNOWN).mask(FieldRows(rows, "S1", facts))].tolist() == numbers
    assert found(text) == []  # nothing was measured


@pytest.mark.parametrize("text", ["Ni>20%", "Ni>much", "Ni>-1", "Ni>101", "Ni~2", "Xy>2", "Ni>20 at% at%"])
def test_amounts_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text, KNOWN)
