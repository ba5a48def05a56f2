"""What a search field means: words, text in quotes, numbers of findings, and conditions, all of which must hold.

``crack "near the tab" #460 confidence<0.5``. One rule tells them apart: outside of quotes, ``=``, ``<``, ``>`` and
``~`` make a condition (see :mod:`query`) of what they stand in; all else is looked for as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.box_facts import BoxFacts, Known
from microscope_qc.core.finding_texts import folded, saying
from microscope_qc.core.query import QueryError, QueryReader, Term, read_term
from microscope_qc.core.query_fields import FieldRows, field_named

LONGEST_SEARCH = 1_000
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»"}
"""Opening quotes, and what may close them."""
_CONDITION, _WORD = re.compile(r"[^\s\"“„«=<>~]*\s*[=<>~]"), re.compile(r"[^\s\"“„«=<>~]+")
_HAS_CONDITION, _NOTHING_KNOWN = re.compile(r"[=<>~]"), Known()
_AS_TEXT = "Text with =, <, > or ~ in it is looked for when it stands in double quotes."


@dataclass(frozen=True, slots=True)
class Search:
    """Words (folded) and conditions that must all hold."""

    words: tuple[str, ...]
    terms: tuple[Term, ...]

    def mask(self, rows: np.ndarray, facts: BoxFacts) -> Flags:
        """Which of the findings of a slide fit."""
        keep = saying(rows, self.words, facts) if self.words else np.ones(len(rows), bool)
        fields = FieldRows(rows, facts.slide, facts)
        for term in self.terms:
            keep &= term.mask(fields)
        return keep


@lru_cache(maxsize=64)
def read_search(text: str, known: Known) -> Search:
    """Read what stands in a search field; an empty one fits everything.

    Raises
    ------
    QueryError
        When it is too long, or a condition cannot be read, or names a class, slide or run that does not exist.
    """
    if len(text) > LONGEST_SEARCH:
        raise QueryError(f"A search has at most {LONGEST_SEARCH} characters.", hint="Ask for less at once.")
    reader = QueryReader(text)
    words, terms = [], []
    reader.skip()
    while not reader.at_end:
        if (closing := _QUOTES.get(reader.next)) is not None:
            words.append(_phrase(reader, closing))
        elif _CONDITION.match(text, reader.at):
            terms.append(_condition(reader, known))
        else:
            words.append(reader.take(_WORD))
        reader.skip()
    different = dict.fromkeys(folded(word) or word for word in words if word.strip())
    return Search(tuple(different), tuple(terms))


def search_fault(text: str, known: Known) -> str:
    """Why a search cannot be read, and what to write instead; "" where it can."""
    try:
        read_search(text, known)
    except QueryError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def found(rows: np.ndarray, text: str, facts: BoxFacts) -> Flags:
    """Which findings of a slide a search finds; one that cannot be read finds nothing, never more than was meant."""
    known = facts.known() if _HAS_CONDITION.search(text) else _NOTHING_KNOWN
    try:
        return read_search(text, known).mask(rows, facts)
    except QueryError:
        return np.zeros(len(rows), bool)


def _phrase(reader: QueryReader, closing: str) -> str:
    """Text in quotes; what is still being typed needs no quote at its end."""
    reader.at += 1
    start = reader.at
    while not reader.at_end and reader.next not in closing:
        reader.at += 1
    phrase = reader.text[start : reader.at]
    reader.at += 1
    return phrase


def _condition(reader: QueryReader, known: Known) -> Term:
    start = reader.at
    try:
        return read_term(reader, known)
    except QueryError as error:
        name = re.split(r"[\s!=<>~]", reader.text[start:], maxsplit=1)[0]
        hint = error.hint if field_named(name) is not None else f"{error.hint} {_AS_TEXT}"
        raise QueryError(error.message.replace("The query", "The search", 1), hint=hint) from None
