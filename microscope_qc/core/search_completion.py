"""How a word that is being typed into a search field may go on: fields, classes, and the values of a field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from microscope_qc.core.box_facts import Known
from microscope_qc.core.box_rows import ReviewState
from microscope_qc.core.finding_texts import folded
from microscope_qc.core.query_fields import FIELDS
from microscope_qc.core.query_words import FIELD_WORDS

MOST = 12
_CONDITION = re.compile(r"(\w+)(?:!=|<=|>=|=|<|>|~)(?:[^\s\"']*,)?([^\s\"',]*)")
_PLAIN = re.compile(r"[^\s,\"'=<>~!]+")


@dataclass(frozen=True, slots=True)
class Completion:
    """What to write in place of the text from ``start`` to the cursor, and what it means."""

    start: int
    text: str
    words: str = ""


def completions(text: str, known: Known, names: Mapping[str, str]) -> list[Completion]:
    """How the last word of a text may go on.

    Parameters
    ----------
    text
        What stands before the cursor.
    names
        Name of each class, by its code.
    """
    start = _start_of_word(text)
    if start is None:
        return []
    word = text[start:]
    match = _CONDITION.fullmatch(word)
    if match is None:
        offered = (Completion(start, new, said) for new, said in _beginnings(word, names))
    else:
        first = start + match.start(2)
        values = _values(match[1].casefold(), known, names)
        offered = (Completion(first, new, said) for new, said in values if _fits(match[2], new, said))
    return list(islice((new for new in offered if new.text != text[new.start :]), MOST))


def _start_of_word(text: str) -> int | None:
    """Where the last word begins; None inside quotes."""
    start, quote = 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter == '"':
            quote = letter
        elif letter.isspace():
            start = place + 1
    return None if quote or start == len(text) else start


def _beginnings(word: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Classes and fields for a word that is no condition yet."""
    for code, name in names.items():
        if _fits(word, code, name):
            yield f"class={_quoted(code)}", name
    for field, said in FIELD_WORDS.items():
        if field.startswith(word.casefold()):
            yield f"{field}{_operator(field)}", said


def _operator(name: str) -> str:
    """The operator that suits a field most often."""
    field = FIELDS[name]
    if "<" in field.operators:
        return "<" if name == "confidence" else ">"
    return "=" if name in ("class", "slide") or "~" not in field.operators else "~"


def _values(field: str, known: Known, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if field == "class":
        yield from ((_quoted(code), name) for code, name in names.items())
    elif field == "slide":
        yield from ((_quoted(name), "") for name in known.slides)
    elif field == "run":
        yield from (("none", "drawn or imported"), *((str(run), "") for run in known.runs))
    elif field == "state":
        yield from ((state.word, "") for state in ReviewState)
    elif field == "chosen":
        yield from (("yes", ""), ("no", ""))
    elif field == "confidence":
        yield "drawn", "without a confidence: only after ="


def _fits(typed: str, code: str, name: str) -> bool:
    wanted = folded(typed)
    return wanted in folded(code) or wanted in folded(name)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
