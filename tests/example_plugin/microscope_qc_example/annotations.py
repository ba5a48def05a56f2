"""An annotation format: a line ``picture class y0 x0 y1 x1`` for every box, after a line ``# boxes``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from microscope_qc.core.files import atomic_write
from microscope_qc.core.plugins import Match, certain
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import files_of, read_text

FIRST = "# boxes"


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read a file, or those of a folder."""
    document = Document()
    for file in files_of(path, ".boxes"):
        for line in read_text(file).splitlines()[1:]:
            name, code, *sides = line.split()
            y0, x0, y1, x1 = (*sides, "", "", "", "")[:4]
            document.take(document.image(name), code, (y0, x0, y1, x1))
    return document


def write(path: Path, document: Document) -> list[Path]:
    """Write one file."""
    lines = [
        f"{image.name} {box.class_code} {box.y0:g} {box.x0:g} {box.y1:g} {box.x1:g}"
        for image in document.images
        for box in image.boxes
    ]
    atomic_write(path, "\n".join([FIRST, *lines]) + "\n")
    return [path]


def recognises(file: Candidate) -> Match:
    return certain(file.text.startswith(FIRST))


BOX_LINES = AnnotationFormat(
    "box-lines", "Lines of boxes", ".boxes", read, write, recognises, loses="everything but the box and its class"
)
