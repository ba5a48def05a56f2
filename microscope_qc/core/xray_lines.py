"""Energies of the X-ray lines of elements, to name the peaks of a spectrum."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from microscope_qc.core.resources import resource

OVERVOLTAGE = 1.2
"""A line is excited well where the beam has this many times its energy; weaker ones are not named."""
_GREEK = str.maketrans("ab", "αβ")


@dataclass(frozen=True, slots=True)
class XrayLine:
    """One line of an element: ``name`` is "Ka", "Kb", "La", "Lb" or "Ma"."""

    element: str
    name: str
    energy_ev: float

    @property
    def words(self) -> str:
        """As it is written at a peak: ``Ni Kα``."""
        return f"{self.element} {self.name[0]}{self.name[1:].translate(_GREEK)}"


@lru_cache(maxsize=1)
def _table() -> dict[str, tuple[XrayLine, ...]]:
    found: dict[str, list[XrayLine]] = {}
    with resource("edx", "xray_lines.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            line = XrayLine(row["element"], row["line"], float(row["energy_ev"]))
            found.setdefault(line.element, []).append(line)
    return {element: tuple(lines) for element, lines in found.items()}


def lines_of(element: str) -> tuple[XrayLine, ...]:
    """Lines of an element from K to M; () for one that has none above 30 eV or is not known."""
    return _table().get(element, ())


def lines_within(elements: Iterable[str], low_ev: float, high_ev: float, *, kv: float | None = None) -> list[XrayLine]:
    """Lines of some elements between two energies, by energy; without those that a beam of ``kv`` cannot excite."""
    most = high_ev if kv is None else min(high_ev, 1000 * kv / OVERVOLTAGE)
    known = (line for element in dict.fromkeys(elements) for line in lines_of(element))
    return sorted((line for line in known if low_ev <= line.energy_ev <= most), key=lambda line: line.energy_ev)
