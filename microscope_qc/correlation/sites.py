"""Spectra of one place: "A1-P1" is point 1 of site A1, on the defect; further points are references beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.correlation.edx_tables import Spectrum

USUAL_PATTERN = "{site}-P{point}"
_PLACEHOLDER = re.compile(r"\{(site|point)\}")
_SEPARATORS = re.compile(r"[\s_-]+")
_HINT = f"Write it like {USUAL_PATTERN}; leave it empty where every label is a place of its own."


@dataclass(frozen=True, slots=True)
class SitePattern:
    """How labels name a site and a point of it; "-", "_" and spaces are taken for each other."""

    text: str
    expression: re.Pattern[str]

    def read(self, label: str) -> tuple[str, int] | None:
        """Site and point that a label names; None where it does not fit."""
        match = self.expression.fullmatch(label.strip())
        return None if match is None else (match["site"], int(match["point"]))


def site_pattern(text: str) -> SitePattern | None:
    """Return the pattern that a user wrote; None for an empty one.

    Raises
    ------
    InputError
        When it does not hold ``{site}`` and ``{point}``, each once and with something between them.
    """
    text = text.strip()
    if not text:
        return None
    literals, names = _PLACEHOLDER.split(text)[::2], _PLACEHOLDER.findall(text)
    if sorted(names) != ["point", "site"] or not literals[1] or set("{}") & set("".join(literals)):
        raise InputError(f"“{text[:60]}” does not say where site and point stand in a label.", hint=_HINT)
    parts = {"site": "(?P<site>.+?)", "point": r"(?P<point>\d{1,9})"}
    expression = _literal(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        expression += parts[name] + _literal(literal)
    return SitePattern(text, re.compile(expression))


def _literal(text: str) -> str:
    return r"[\s_-]+".join(re.escape(part) for part in _SEPARATORS.split(text))


@dataclass(frozen=True, slots=True)
class Site:
    """Spectra that belong to one place.

    ``named`` says that their labels name the site and their points: such a site is one finding, and a finding one such
    site. Otherwise it is a single spectrum with its label. ``kinds`` are what each of them measured.
    """

    name: str
    spectra: tuple[Spectrum, ...]
    kinds: tuple[str, ...]
    named: bool = False

    @property
    def stage_mm(self) -> tuple[float, float] | None:
        """Where it lies: what was measured on the defect, the first that has a position.

        A single spectrum lies where it was measured, whatever it is.
        """
        on_defect = [s for s, kind in zip(self.spectra, self.kinds, strict=True) if kind != "reference"]
        places = [spectrum.stage_mm for spectrum in (on_defect if self.named else self.spectra)]
        return next((place for place in places if place is not None), None)


def sites_in(spectra: Sequence[Spectrum], pattern: SitePattern | None) -> list[Site]:
    """Group spectra by the site that their labels name, in their order."""
    named: dict[str, list[tuple[Spectrum, str]]] = {}
    sites: dict[str, Site | None] = {}
    for place, spectrum in enumerate(spectra):
        read = None if pattern is None else pattern.read(spectrum.label)
        if read is None:
            sites[f"spectrum {place}"] = Site(spectrum.label, (spectrum,), (spectrum.kind,))
            continue
        name, point = read
        sites.setdefault(f"site {name}", None)
        named.setdefault(name, []).append((spectrum, spectrum.kind if point == 1 else "reference"))
    made = {f"site {name}": _named(name, members) for name, members in named.items()}
    return [made[key] if site is None else site for key, site in sites.items()]


def _named(name: str, members: Sequence[tuple[Spectrum, str]]) -> Site:
    return Site(name, tuple(s for s, _ in members), tuple(kind for _, kind in members), named=True)
