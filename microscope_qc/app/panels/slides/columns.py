"""Columns of the list of slides: what they show, and by what they sort."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from microscope_qc.core.numbers import natural
from microscope_qc.core.specimen import FieldKind, SpecimenField
from microscope_qc.core.wording import UNKNOWN, count_text, percent_text, pixel_size_text
from microscope_qc.project.counting import StateCounts
from microscope_qc.project.records import SlideRecord

SortKey = tuple[int, float, tuple[object, ...]]
"""Whether there is nothing (it comes last), a number, and the parts of a text."""


@dataclass(frozen=True, slots=True)
class SlideRow:
    """What the list knows of a slide; ``counts`` and ``share`` are None until they were counted."""

    record: SlideRecord
    counts: StateCounts | None
    share: float | None
    changed: bool = False
    """Its file holds something else than the findings were made on."""


@dataclass(frozen=True, slots=True)
class SlideColumn:
    """One column; ``number`` puts it at the right."""

    name: str
    title: str
    text: Callable[[SlideRow], str]
    key: Callable[[SlideRow], float | str | None]
    number: bool = False
    help: str = ""

    def sort_key(self, row: SlideRow) -> SortKey:
        """By what it sorts, with 2 before 10 and nothing at the end."""
        value = self.key(row)
        if value is None or value == "":
            return 1, 0.0, ()
        return (0, 0.0, natural(value)) if isinstance(value, str) else (0, float(value), ())


def _of_counts(name: str) -> tuple[Callable[[SlideRow], str], Callable[[SlideRow], float | None]]:
    def text(row: SlideRow) -> str:
        return "" if row.counts is None else count_text(getattr(row.counts, name))

    def key(row: SlideRow) -> float | None:
        return None if row.counts is None else float(getattr(row.counts, name))

    return text, key


def _size_key(row: SlideRow) -> float | None:
    size = row.record.pixel_size_um
    return None if size is None else size[0] * size[1]


def _field(field: SpecimenField) -> SlideColumn:
    def key(row: SlideRow) -> float | str | None:
        value = row.record.fields.get(field.name)
        return value if value is None or isinstance(value, float) else str(value)

    return SlideColumn(
        f"field:{field.name}",
        field.heading,
        lambda row: field.text(row.record.fields.get(field.name)),
        key,
        number=field.kind is FieldKind.NUMBER,
    )


NAME = SlideColumn("name", "Slide", lambda row: row.record.name, lambda row: row.record.name)
_FIXED = (
    NAME,
    SlideColumn("findings", "Findings", *_of_counts("kept"), number=True, help="Findings that count, without rejected"),
    SlideColumn("left", "Left", *_of_counts("unreviewed"), number=True, help="Findings that are not reviewed yet"),
    SlideColumn(
        "coverage",
        "Coverage",
        lambda row: "" if row.share is None else percent_text(row.share),
        lambda row: row.share,
        number=True,
        help="Share of the slide that was scanned or declared complete",
    ),
    SlideColumn(
        "pixel_size",
        "Pixel size",
        lambda row: UNKNOWN if row.record.pixel_size_um is None else pixel_size_text(row.record.pixel_size_um),
        _size_key,
        number=True,
    ),
    SlideColumn(
        "size",
        "Size, px",
        lambda row: f"{count_text(row.record.shape_px[1])} × {count_text(row.record.shape_px[0])}",
        lambda row: float(row.record.shape_px[0]) * row.record.shape_px[1],
        number=True,
    ),
    SlideColumn("file", "File", lambda row: row.record.path.name, lambda row: row.record.path.name),
)


def slide_columns(fields: Iterable[SpecimenField]) -> list[SlideColumn]:
    """Return all columns that there can be, the name first."""
    return [*_FIXED, *map(_field, fields)]
