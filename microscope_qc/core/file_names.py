"""Names of files that are no text: a Latin-1 "ü" on a disk of Linux, half a character on one of Windows.

Python keeps them apart from text with surrogates, which neither a database nor a document can hold.
"""

from __future__ import annotations


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown_name(name: str) -> str:
    """A name as it can be printed, with ``?`` for what is no text."""
    return name.encode("utf-8", "replace").decode("utf-8")
