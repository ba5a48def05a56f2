"""Words looked for in all that is written about a finding."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.box_facts import BoxFacts

_NUMBER = re.compile(r"#?([0-9]{1,18})")
_WRITTEN = ("note", "reason")


def folded(text: str) -> str:
    """Text in which case, accents and the kind of spaces make no difference: ``Größe`` -> ``grosse``."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return " ".join(text.lower().split())


_folded_name = lru_cache(maxsize=1_000)(folded)
"""For the few texts that are the same on each of a thousand slides."""


def number_of(word: str) -> int | None:
    """The number of a finding as it is printed, ``#460`` or ``460``; None for other words."""
    match = _NUMBER.fullmatch(word)
    return None if match is None else int(match[1])


def saying(rows: np.ndarray, words: Iterable[str], facts: BoxFacts) -> Flags:
    """Which findings of a slide have all the words, each anywhere.

    Parameters
    ----------
    rows
        (N,) of BOX_DTYPE.
    words
        As :func:`folded` makes them. A word is part of the note, the reason, the attributes, the code or name of the
        class or the name of the slide; or it is the number of the finding.
    """
    texts = _Texts(rows, facts)
    keep: Flags = np.ones(len(rows), bool)
    for word in words:
        if word not in texts.slide:
            keep &= texts.having(word)
    return keep


class _Texts:
    """The different texts of the findings of a slide, each folded once."""

    def __init__(self, rows: np.ndarray, facts: BoxFacts) -> None:
        self._rows, self._facts = rows, facts
        self.slide = folded(facts.slide)
        self._classes = {
            number: (_folded_name(facts.codes.get(number, "")), _folded_name(facts.names.get(number, "")))
            for number in facts.codes.keys() | facts.names.keys()
        }
        self._written: list[tuple[np.ndarray, list[str]]] | None = None
        self._attributes: dict[int, str] | None = None

    def having(self, word: str) -> Flags:
        """Which findings have a word in one of their texts, or as their number."""
        rows = self._rows
        classes = [number for number, texts in self._classes.items() if any(word in text for text in texts)]
        found: Flags = np.isin(rows["class_id"], classes) if classes else np.zeros(len(rows), bool)
        if (number := number_of(word)) is not None:
            found |= rows["id"] == number
        for places, texts in self._notes():
            said = {text for text in set(texts) if word in text}
            if said:
                found[places[[text in said for text in texts]]] = True
        having = [number for number, text in self._of_attributes().items() if word in text]
        if having:
            found |= np.isin(rows["id"], having)
        return found

    def _notes(self) -> list[tuple[np.ndarray, list[str]]]:
        """For note and reason: the places that are filled, for most boxes say nothing, and the texts there."""
        if self._written is None:
            self._written = []
            for name in _WRITTEN:
                column = self._rows[name]
                places = np.flatnonzero(column != "")
                texts: list[str] = column[places].tolist()
                plain = {text: folded(text) for text in set(texts)}
                self._written.append((places, [plain[text] for text in texts]))
        return self._written

    def _of_attributes(self) -> dict[int, str]:
        if self._attributes is None:
            self._attributes = {number: folded(text) for number, text in self._facts.attributes.items()}
        return self._attributes
