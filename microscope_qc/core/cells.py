"""Text that goes into a cell of a table and must stay text, whatever a spreadsheet would make of it."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make a spreadsheet compute (OWASP, CSV injection), full-width forms included."""


def escape_cell(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula; :func:`unescape_cell` takes it off.

    Text that begins with an apostrophe gets a second one, so that nothing is lost on the way back.
    """
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def unescape_cell(text: str) -> str:
    """Undo :func:`escape_cell`; other text is returned as it is."""
    return text[1:] if text[:1] == "'" and text[1:].startswith((*FORMULA_STARTS, "'")) else text


def printable(text: str) -> str:
    """Drop the control characters that XML and spreadsheets refuse (tab and line ends stay)."""
    return "".join(
        c for c in text if (c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff") or c in "\t\n\r"
    )
