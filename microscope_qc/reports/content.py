"""What a report says, before it becomes a page: the same for HTML and PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microscope_qc.core.composition import Amount, of_unit, percent_error_text


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One finding with its picture (JPEG)."""

    defect_id: int
    code: str
    class_name: str
    colour: str
    size_words: str
    confidence: float | None
    state: str
    reason: str
    note: str
    slide: str
    picture: bytes


@dataclass(frozen=True, slots=True)
class MeasuredItem:
    """A finding that EDX measured: its picture, what it consists of, and what was measured in words."""

    item: GalleryItem
    rows: tuple[tuple[str, str, str], ...]
    words: str

    @classmethod
    def of(cls, item: GalleryItem, amounts: Sequence[Amount], *, words: str) -> MeasuredItem:
        """Make one; ``rows`` are element, atom % and weight %, each with its error, the largest amount first."""
        at, wt = of_unit(amounts, "at"), of_unit(amounts, "wt")
        order = sorted(at, key=lambda element: -at[element].percent)
        return cls(item, tuple((e, percent_error_text(at[e]), percent_error_text(wt.get(e))) for e in order), words)


@dataclass(frozen=True, slots=True)
class ModelWords:
    """A model that was used, in words."""

    name: str
    trained_on: str
    when: str
    area: str


@dataclass(frozen=True, slots=True)
class SlideContent:
    """One slide: numbers, positions and sizes of its findings.

    ``points`` has columns x_um, y_um, class index (into the report's ``classes``); in pixels where the pixel size is
    not known. ``sizes_um`` goes with it. ``thumbnail`` is a JPEG of the whole slide, b"" without one. Among many slides
    only some are ``detailed``: they have a map of positions and tables of their own.
    """

    name: str
    words: str
    statistics: dict[str, Any]
    extent: tuple[float, float]
    unit: str
    points: np.ndarray
    sizes_um: np.ndarray
    thumbnail: bytes
    detailed: bool = True


@dataclass(frozen=True, slots=True)
class ReportClass:
    """A class that occurs."""

    code: str
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Column:
    """A statistic in the tables of counts: its name in ``statistics``, and how it is written."""

    name: str
    heading: str
    unit: str
    digits: int

    @property
    def head(self) -> str:
        """The head of the column, with the unit as it is read on screen: "Median, µm"."""
        unit = self.unit.replace("um", "µm").replace("mm2", "mm²")
        return f"{self.heading}, {unit}" if unit else self.heading

    def text(self, row: dict[str, Any]) -> str:
        """The number of one row of a slide's statistics."""
        value = row["statistics"].get(self.name, {}).get("value")
        return "–" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything a report shows."""

    title: str
    date: str
    software: str
    shown: str
    total: dict[str, Any]
    columns: tuple[Column, ...]
    classes: tuple[ReportClass, ...]
    slides: tuple[SlideContent, ...]
    models: tuple[ModelWords, ...]
    gallery: tuple[GalleryItem, ...]
    gallery_of: int
    measured: tuple[MeasuredItem, ...] = ()
    measured_of: int = 0
    warnings: tuple[str, ...] = field(default=())

    @property
    def detailed(self) -> tuple[SlideContent, ...]:
        """Slides with maps and tables of their own."""
        return tuple(slide for slide in self.slides if slide.detailed)

    @property
    def many(self) -> bool:
        """Whether there are too many slides for all of them to have these: a line for each stands for them."""
        return len(self.detailed) < len(self.slides)

    def kept_of(self, statistics: dict[str, Any]) -> list[int]:
        """Findings of each class of :attr:`classes`, by a slide's statistics or the total, without rejected ones."""
        kept = {row["code"]: row["kept"] for row in statistics["classes"]}
        return [kept.get(cls.code, 0) for cls in self.classes]
