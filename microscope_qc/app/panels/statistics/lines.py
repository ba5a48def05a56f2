"""Numbers of groups of slides as lines of a table, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from microscope_qc.core.wording import UNKNOWN, count_text, percent_text, plural, significant_text, things
from microscope_qc.workflows.results.grouping import group_words
from microscope_qc.workflows.results.grouping_text import enough_words, missed_words

COLUMNS = (
    ("Class", ""),
    ("Area mm²", "What was scanned for the class, or declared complete for it"),
    ("Slides", "On so many of them it was searched for; the density is theirs"),
    ("Raw", "What models found before the review, by the class that they said"),
    ("Raw per mm²", "With its 95 % interval"),
    ("Reviewed", "What is left after the review, with what users drew"),
    ("Reviewed per mm²", "With its 95 % interval"),
    ("Corrected", "What is true if findings that nobody judged are like a random sample, with its 95 % interval"),
    ("Corrected per mm²", "With its 95 % interval"),
    ("Spread", "Variance between specimens or slides by what chance alone makes: 1 where findings lie at random"),
    ("Share", "Of the findings of all classes, with its 95 % interval"),
    ("Judged", "Share of the findings that a user has confirmed or rejected"),
    ("Rejected", "Share of the judged ones, with its 95 % interval"),
    ("Median µm", "Of the longer side, with its 95 % interval"),
    ("90 % below µm", "Of the longer side, with its 95 % interval"),
    ("Largest µm", "Longer side of the largest"),
)
AREA, CORRECTED, SPREAD, MEDIAN = 1, 7, 9, 13


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell; a sentence stands where no number can be, and may reach over ``span`` columns."""

    text: str
    tip: str = ""
    sentence: bool = False
    span: int = 1


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line: the title of a group (a single cell), or a class; ``colour`` is "" of several classes."""

    cells: tuple[Cell, ...]
    colour: str = ""
    strong: bool = False

    @property
    def is_title(self) -> bool:
        """Whether it is the title of a group."""
        return len(self.cells) == 1


def table_lines(found: Mapping[str, Any]) -> list[TableLine]:
    """Put grouped statistics into lines: of each group its title, all classes, class groups, and classes."""
    lines = []
    for group in found["groups"]:
        lines += [TableLine((Cell(_title(group)),), strong=True), *_lines(group)]
    if len(found["groups"]) > 1:
        lines += [
            TableLine((Cell(_title(found["total"], "All slides together")),), strong=True),
            *_lines(found["total"]),
        ]
    return lines


def _title(numbers: Mapping[str, Any], title: str = "") -> str:
    specimens = numbers["specimens"]
    parts = [things(numbers["slides"], "slide") + (f" of {things(specimens, 'specimen')}" if specimens else "")]
    if numbers["area_mm2"] is not None:
        parts.append(f"{significant_text(numbers['area_mm2'], 4)} mm²")
    if numbers["area_share"] is not None:
        parts.append(f"{percent_text(numbers['area_share'])} of the slides")
    parts.append(f"{things(numbers['kept'], 'finding')} without the rejected ones")
    return f"{title or group_words(numbers['group'])}:  {', '.join(parts)}"


def _lines(numbers: Mapping[str, Any]) -> Iterator[TableLine]:
    yield TableLine(tuple(_cells("All classes", numbers)), strong=True)
    for row in numbers.get("class_groups", ()):
        yield TableLine(tuple(_cells(f"{row['name']} ({', '.join(row['classes'])})", row)), strong=True)
    for row in numbers.get("classes", ()):
        yield TableLine(tuple(_cells(f"{row['code']}  {row['name']}".strip(), row)), row["colour"])


def _cells(name: str, row: Mapping[str, Any]) -> Iterator[Cell]:
    yield Cell(name, name)
    raw, reviewed, corrected = row["raw"], row["reviewed"], row["corrected"]
    yield _sentence(row["per_mm2_reason"]) if row["area_mm2"] is None else Cell(significant_text(row["area_mm2"], 4))
    without = row["without_area"]
    yield Cell(count_text(row["sections"]), f"Without an area: {', '.join(without)}" if without else "")
    yield Cell(count_text(raw["count"]))
    yield _estimate(raw["per_mm2"], raw["interval"])
    yield Cell(count_text(reviewed["count"]), _outside(row["outside_area"]))
    yield _estimate(reviewed["per_mm2"], reviewed["interval"], tip=_enough(row))
    if corrected["count"] is None:
        yield _sentence(corrected["reason"], span=2)
        yield Cell("")
    else:
        yield _estimate(corrected["count"], corrected["count_interval"], tip=_missed(corrected))
        yield (
            _sentence(corrected["reason"])
            if corrected["per_mm2"] is None
            else _estimate(corrected["per_mm2"], corrected["interval"], tip=_missed(corrected))
        )
    yield _spread(row)
    share = row["share"]
    yield Cell("") if share is None else _share(share)
    yield Cell(UNKNOWN if row["reviewed_share"] is None else percent_text(row["reviewed_share"]))
    yield _share(row["rejected"])
    yield from _sizes(row["size_um"])


def _sentence(reason: str | None, *, span: int = 1) -> Cell:
    words = reason or UNKNOWN
    return Cell(words[:1].upper() + words[1:], words, True, span)


def _estimate(value: float | None, interval: list[float] | None, *, tip: str = "") -> Cell:
    if value is None:
        return Cell(UNKNOWN, tip)
    text = significant_text(value) if value else "0"
    return Cell(text if interval is None else f"{text} ({_limits(interval)})", tip)


def _limits(interval: list[float]) -> str:
    return " – ".join(significant_text(limit) if limit else "0" for limit in interval)


def _share(share: Mapping[str, Any]) -> Cell:
    if share["value"] is None:
        return _sentence(share["reason"])
    low, high = share["interval"]
    tip = f"{count_text(share['count'])} of {count_text(share['of'])}"
    return Cell(f"{percent_text(share['value'])} ({percent_text(low)} – {percent_text(high)})", tip)


def _spread(row: Mapping[str, Any]) -> Cell:
    if row["spread"] is None:
        return _sentence(row["spread_reason"]) if row["spread_reason"] else Cell(UNKNOWN)
    unit = row["spread_between"]
    return Cell(f"{significant_text(row['spread'])} between {count_text(row['spread_n'])} {unit}")


def _sizes(sizes: Mapping[str, Any]) -> Iterator[Cell]:
    if not sizes["n"]:
        yield _sentence(sizes["reason"], span=3)
        yield Cell("")
        yield Cell("")
        return
    about = f"Of {things(sizes['n'], 'finding')}" + (f"; {sizes['reason']}" if sizes["reason"] else "")
    for name in ("median", "q90"):
        known = sizes[name]
        reason = known["reason"]
        yield _estimate(known["value"], known["interval"], tip=f"{about}; {reason}" if reason else about)
    yield Cell(significant_text(sizes["largest"]), about)


def _outside(count: int) -> str:
    return f"{count_text(count)} {plural(count, 'lies', 'lie')} outside the area: no density has them" if count else ""


def _enough(row: Mapping[str, Any]) -> str:
    words = enough_words(row).replace("mm2", "mm²")
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _missed(corrected: Mapping[str, Any]) -> str:
    judged = f"Of {things(corrected['judged'], 'judged finding')}, {count_text(corrected['unjudged'])} were not judged."
    words = missed_words(corrected)
    return f"{judged} {words[:1].upper()}{words[1:]}."
