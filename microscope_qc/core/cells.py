"""Cells of tables: text that must stay text and never become a formula."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of formulas (OWASP, CSV injection), including the full-width forms."""


_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def escape_cell(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would read as a formula; :func:`unescape_cell` removes it.

    Text that begins with an apostrophe gets a second one, so that the original can be restored.
    """
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def unescape_cell(text: str) -> str:
    """Undo :func:`escape_cell`; other text is returned as it is."""
    return text[1:] if text[:1] == "'" and text[1:].startswith((*FORMULA_STARTS, "'")) else text


def visible(text: str) -> str:
    """Remove all control characters except tabs and line breaks, also those that change the direction of writing."""
    if text.isprintable():  # most texts are, and there may be very many
        return text
    return "".join(c for c in printable(text) if not "\x7f" <= c <= "\x9f" and c not in _DIRECTIONS)


def one_line(text: str) -> str:
    """:func:`visible` text of one line, without spaces around it."""
    if text.isprintable():
        return text.strip()
    return "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in visible(text)).strip()


def printable(text: str) -> str:
    """Remove the control characters that XML and spreadsheets reject, except tabs and line breaks."""
    return "".join(
        c for c in text if (c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff") or c in "\t\n\r"
    )
