"""A page of HTML about a data set or a model: numbers, tables, charts and pictures in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.files import atomic_write
from microscope_qc.reports.html import drawn, render
from microscope_qc.reports.plots import Chart


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture (JPEG) and what stands below it."""

    jpeg: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page under a heading.

    Attributes
    ----------
    notes
        Sentences above the rest.
    head, rows
        A table; a row has as many cells as the head.
    charts, pictures
        Below the table.
    """

    title: str
    notes: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    charts: Sequence[Chart] = ()
    pictures: Sequence[Shown] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, a line below it, warnings, large numbers with their words, and sections."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    numbers: Sequence[tuple[str, str]] = ()


def write_page(path: Path | str, page: Page) -> Path:
    """Write a page.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    charts = [
        [drawn(chart, f"chart{number}-{place}") for place, chart in enumerate(section.charts)]
        for number, section in enumerate(page.sections)
    ]
    atomic_write(Path(path), render("page.html.j2", page=page, charts=charts))
    return Path(path)
