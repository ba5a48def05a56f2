"""What a search field finds, against a plain loop over all that is written about each finding."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microscope_qc.core.box_facts import BoxFacts, Known
from microscope_qc.core.box_filter import BoxFilter
from microscope_qc.core.box_rows import make_rows
from microscope_qc.core.finding_texts import folded
from microscope_qc.core.query import QueryError, parse
from microscope_qc.core.search import LONGEST_SEARCH, read_search, search_fault

CODES = {1: "CRK", 2: "COP", 3: "ÄB"}
NAMES = {1: "Crack", 2: "Copper burr", 3: "Ärmelriß"}
KNOWN = Known(tuple(CODES.values()), ("Slide Café 7", "S2"), (3,))
FACTS = BoxFacts(
    (0.5, 0.5), CODES, {4: "material Al₂O₃", 12: "lot 460"}, NAMES, slide="Slide Café 7", known=lambda: KNOWN
)


def some_rows() -> np.ndarray:
    return make_rows(
        7,
        id=[2, 4, 6, 12, 46, 460, 4600],
        class_id=[1, 1, 2, 3, 2, 9, 1],
        x1=[10, 20, 30, 40, 50, 60, 70],
        y1=10.0,
        confidence=[0.1, 0.4, 0.9, np.nan, 0.6, 0.3, 0.5],
        note=["Near the TAB", "", "à côté", "like #2", "near  the\nfoil tab", "", "a=b > c"],
        reason=["", "duplicate", "", "", "", "out of focus", ""],
        run_id=[3, 3, 3, 0, 3, 3, 3],
    )


def found(text: str) -> list[int]:
    rows = some_rows()
    return rows["id"][BoxFilter(text=text).mask(rows, facts=FACTS)].tolist()


ALL = [2, 4, 6, 12, 46, 460, 4600]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ALL),
        ("   ", ALL),
        ("crk", [2, 4, 4600]),
        ("crack", [2, 4, 4600]),
        ("copper burr", [6, 46]),
        ("armelriss", [12]),
        ("ARMELRISS ab", [12]),
        ("460", [12, 460]),
        ("#460", [460]),
        ("#2", [2, 12]),
        ("46", [12, 46]),
        ("tab", [2, 46]),
        ("tab crack", [2]),
        ('"near the"', [2, 46]),
        ('"the near"', []),
        ("“near the” foil", [46]),
        ("„near the“", [2, 46]),
        ('"near the', [2, 46]),
        ("cote", [6]),
        ("al2o3", [4]),
        ("duplicate", [4]),
        ("focus out", [460]),
        ("cafe", ALL),
        ('"slide cafe 7" dup', [4]),
        ("nowhere", []),
        ("class=CRK", [2, 4, 4600]),
        ("class=CRK confidence<0.45", [2, 4]),
        ("confidence < 0.45 crack", [2, 4]),
        ("tab class=COP", [46]),
        ("number=460", [460]),
        ("number=#460,2", [2, 460]),
        ("slide=S2", []),
        ("text~cafe", ALL),
        ("text~#2", [2, 12]),
        ('"a=b"', [4600]),
        ('"> c"', [4600]),
        ('note~"a=b" crk', [4600]),
    ],
)
def test_a_search_finds_what_is_written_of_a_finding(text, numbers):
    assert found(text) == numbers
    assert search_fault(text, KNOWN) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class=", "a value is expected"),
        ("class=CRKK", "no class CRKK. There are: CRK, COP, ÄB."),
        ("crack confidnce<0.5", "“confidnce<0.5”: there is no field confidnce. Did you mean confidence?"),
        ("a=b", "stands in double quotes"),
        ("->", "stands in double quotes"),
        ("confidence<50", "0 to 1"),
        ('note~"tab', "not closed"),
        ("x " * LONGEST_SEARCH, "at most 1000 characters"),
    ],
)
def test_a_search_that_cannot_be_read_finds_nothing_and_says_why(text, says):
    assert found(text) == []
    said = search_fault(text, KNOWN)
    assert says in said and "query" not in said


LETTERS = "crackopCRK #460=<>~!\"'“”„,.àÀßﬀ²\u0301 \n\t\u202f"


@given(st.text(alphabet=LETTERS) | st.text())
def test_any_text_is_searched_for_or_refused_in_a_sentence(text):
    mask = BoxFilter(text=text).mask(some_rows(), facts=FACTS)
    try:
        read_search(text, KNOWN)
    except QueryError as error:
        assert error.message and error.hint and not mask.any()
    else:
        assert mask.any() or text.split()


def plain(text: str) -> str:
    """Without case and accents, letter by letter."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join("".join(letter for letter in apart if not unicodedata.combining(letter)).split())


def says(row: np.void, word: str) -> bool:
    """Whether one finding has a word, looked up one text after the other."""
    number, kind = int(row["id"]), int(row["class_id"])
    texts = [row["note"], row["reason"], CODES.get(kind, ""), NAMES.get(kind, "")]
    texts += [FACTS.attributes.get(number, ""), FACTS.slide]
    return word in (str(number), f"#{number}") or any(plain(word) in plain(text) for text in texts)


WORDS = ["crk", "CRACK", "ÄB", "riss", "tab", "foil", "460", "#460", "46", "#2", "2", "à", "café", "al2", "dup", "zz"]


@given(st.lists(st.sampled_from(WORDS) | st.text(alphabet="acrkopt#0246àß₂", min_size=1), min_size=1, max_size=4))
def test_several_words_mean_all_of_them(words):
    expected = [int(row["id"]) for row in some_rows() if all(says(row, word) for word in words)]
    assert found(" ".join(words)) == expected


@given(st.sampled_from(["near the", "à côté", "the\nfoil", "Copper burr", "lot 460", "a=b > c", "near foil", "#2"]))
def test_text_in_quotes_is_one_piece(phrase):
    expected = [int(row["id"]) for row in some_rows() if says(row, phrase)]
    assert found(f'"{phrase}"') == expected


TERMS = ["class=CRK", "class!=COP", "confidence<0.5", "run=none", "note~tab", "#460", "number=2,4"]


@given(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3), st.lists(st.sampled_from(WORDS), max_size=2))
def test_conditions_and_words_must_all_hold(terms, words):
    together = found(" ".join([*words, *terms]))
    assert together == [number for number in found(" ".join(words)) if all(number in found(term) for term in terms)]


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert folded(folded(text)) == folded(text)


def test_a_number_alone_is_a_condition_of_a_query():
    for text in ("#460", "number=460", "number=#460"):
        (term,) = parse(text, KNOWN).terms
        assert (term.field.name, term.values) == ("number", (460.0,))
    with pytest.raises(QueryError, match="x is not the number of a finding"):
        parse("#x", KNOWN)
    with pytest.raises(QueryError, match="a space is expected"):
        parse("#460<5", KNOWN)
