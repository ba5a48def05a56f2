"""The language of a report: its words, and how numbers are written in it.

English sentences are the keys. What a user wrote, and sentences that have no translation, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.core.wording import UNKNOWN, count_text, percent_text, plural, significant_text
from microscope_qc.reports.german import SENTENCES, WORDS

LANGUAGES = {"en": "English", "de": "Deutsch"}


@dataclass(frozen=True, slots=True)
class Language:
    """One of :data:`LANGUAGES`."""

    code: str = "en"

    def say(self, text: str) -> str:
        """Return a word or sentence in this language."""
        if self.code == "en" or not text:
            return text
        if text in WORDS:
            return WORDS[text]
        for pattern, translated in SENTENCES:
            found = re.fullmatch(pattern, text)
            if found:
                return translated.format(*(self.say(part or "") for part in found.groups()))
        return text

    def things(self, count: int, one: str, many: str = "") -> str:
        """``12 findings``, in this language."""
        return f"{count_text(count)} {self.say(plural(count, one, many))}"

    def number(self, value: float | None, digits: int = 2) -> str:
        """A number with so many decimals, "–" for None."""
        return UNKNOWN if value is None else self.pointed(f"{value:.{digits}f}")

    def significant(self, value: float | None, digits: int = 3) -> str:
        """A number with so many digits that count, "–" for None."""
        return UNKNOWN if value is None else self.pointed(significant_text(value, digits))

    def percent(self, share: float | None) -> str:
        """A share in per cent, "–" for None."""
        return UNKNOWN if share is None else self.pointed(self.say(percent_text(share)))

    def interval(self, limits: Sequence[float] | None, digits: int = 2) -> str:
        """``0.61 to 0.84``, "–" for None."""
        if limits is None:
            return UNKNOWN
        low, high = (self.number(limit, digits) for limit in limits)
        return f"{low} {self.say('to')} {high}"

    def pointed(self, text: str) -> str:
        """A number with its unit, with the decimal sign of this language: ``14,2 × 9,8 µm``."""
        return re.sub(r"(?<=\d)\.(?=\d)", ",", text) if self.code == "de" else text

    def filters(self) -> dict[str, Any]:
        """What a template can do with a value: ``{{ total.per_mm2 | number }}``."""
        return {
            "say": self.say, "number": self.number, "significant": self.significant, "percent": self.percent,
            "interval": self.interval, "things": self.things, "count": count_text, "pointed": self.pointed,
        }  # fmt: skip
