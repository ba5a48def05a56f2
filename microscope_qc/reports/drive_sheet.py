"""A sheet to drive by at any microscope: the marks first as a check, then every chosen finding with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.files import atomic_write
from microscope_qc.reports.html import render


@dataclass(frozen=True, slots=True)
class SheetPlace:
    """One place to visit: a mark or a finding. Pictures are JPEG; ``facts`` are short lines beside them."""

    label: str
    title: str
    colour: str
    x: str
    y: str
    facts: tuple[str, ...]
    pictures: tuple[tuple[bytes, str], ...]
    warning: str = ""


@dataclass(frozen=True, slots=True)
class SheetContent:
    """Everything on the sheet. ``facts`` are pairs of words and value about the alignment."""

    title: str
    subtitle: str
    unit: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    marks: tuple[SheetPlace, ...]
    findings: tuple[SheetPlace, ...]
    software: str


def write_drive_sheet(path: Path | str, content: SheetContent) -> Path:
    """Write the sheet as one HTML file that prints well."""
    atomic_write(path, render("drive_sheet.html.j2", content=content))
    return Path(path)
