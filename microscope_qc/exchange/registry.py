"""All annotation formats, by name. Only what reads and writes is listed here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.errors import ExchangeError, InputError

if TYPE_CHECKING:
    from microscope_qc.exchange.document import Document


@dataclass(frozen=True, slots=True)
class Format:
    """One annotation format.

    ``is_folder``: one file per picture in a folder. ``loses``: what the format has no place for, as words for a person.
    """

    name: str
    title: str
    suffix: str
    is_folder: bool
    module: str
    loses: str = ""

    def write(self, path: Path | str, document: Document) -> list[Path]:
        """Write the document; returns the files written."""
        written: list[Path] = importlib.import_module(self.module).write(Path(path), document)
        return written

    def read(self, path: Path | str, *, sizes: Mapping[str, tuple[int, int]] | None = None) -> Document:
        """Read a file or folder.

        Parameters
        ----------
        sizes
            (h, w) of known pictures by file name without suffix, for formats with relative coordinates.

        Raises
        ------
        ExchangeError
            One sentence that names the file and what is wrong.
        """
        path = Path(path)
        if not path.exists():
            raise ExchangeError(f"{path} does not exist.", hint="Check the path.")
        document: Document = importlib.import_module(self.module).read(path, sizes=sizes or {})
        return document


_HERE = "microscope_qc.exchange"
FORMATS: dict[str, Format] = {
    known.name: known
    for known in (
        Format("coco", "COCO", ".json", False, f"{_HERE}.coco"),
        Format("voc", "Pascal VOC", ".xml", True, f"{_HERE}.voc"),
        Format(
            "yolo", "YOLO", ".txt", True, f"{_HERE}.yolo", "review state, reason, note, choice, attributes and outlines"
        ),
        Format("geojson", "GeoJSON (QuPath)", ".geojson", False, f"{_HERE}.geojson"),
        Format("csv", "CSV table", ".csv", False, f"{_HERE}.table"),
        Format("cvat", "CVAT 1.1", ".xml", False, f"{_HERE}.cvat"),
        Format("labelme", "LabelMe", ".json", True, f"{_HERE}.labelme"),
        Format("via", "VGG Image Annotator", ".json", False, f"{_HERE}.via"),
        Format("label-studio", "Label Studio", ".json", False, f"{_HERE}.labelstudio"),
    )
}


def format_named(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in FORMATS:
        raise InputError(f"There is no format {name!r}.", hint=f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def detect_format(path: Path | str) -> Format:
    """Tell from names and content which format a file or folder has.

    Raises
    ------
    ExchangeError
        When it looks like none of them.
    """
    from microscope_qc.exchange.guess import guess

    path = Path(path)
    if not path.exists():
        raise ExchangeError(f"{path} does not exist.", hint="Check the path.")
    name = guess(path)
    if name is None:
        raise ExchangeError(
            f"{path.name} is in no annotation format that can be read.",
            hint=f"These can: {', '.join(known.title for known in FORMATS.values())}.",
        )
    return FORMATS[name]
