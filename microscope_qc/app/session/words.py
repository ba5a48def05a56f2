"""Titles of what a user does to findings, as the history shows them."""

from __future__ import annotations

from collections.abc import Sized


def count_words(verb: str, ids: Sized) -> str:
    """``Move 1 finding``, ``Move 12 findings``."""
    return f"{verb} 1 finding" if len(ids) == 1 else f"{verb} {len(ids)} findings"
