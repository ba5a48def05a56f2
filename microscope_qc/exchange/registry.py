"""The registry of annotation formats, and detection of a file's format."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.plugins import Match, Registry
from microscope_qc.exchange.format import AnnotationFormat, Candidate

_FOLDER_ORDER = (".xml", ".json", ".geojson", ".txt", ".csv")
"""The first of these that a folder holds decides: text files and tables are there for many other reasons."""
_MOST_FILES = 20
_FEWEST_MARKS = 4
"""Between the columns of a table of boxes, which has a class and four sides at least."""


def _a_format(thing: object) -> AnnotationFormat:
    if not isinstance(thing, AnnotationFormat):
        raise TypeError(f"it is a {type(thing).__name__}, not an AnnotationFormat")
    if not thing.name or not thing.title:
        raise ValueError("it has no name or title")
    if not all(suffix.startswith(".") and suffix == suffix.lower() for suffix in thing.suffixes):
        raise ValueError("a suffix must begin with a dot and be in lower case")
    if not (callable(thing.reader) and callable(thing.writer) and callable(thing.recognises)):
        raise TypeError("it does not read, write and recognise files")
    return thing


_HERE = "microscope_qc.exchange"

FORMATS: Registry[AnnotationFormat] = Registry(
    "annotation_formats",
    _a_format,
    {
        "coco": f"{_HERE}.coco:COCO",
        "voc": f"{_HERE}.voc:VOC",
        "yolo": f"{_HERE}.yolo:YOLO",
        "geojson": f"{_HERE}.geojson:GEOJSON",
        "csv": f"{_HERE}.table:TABLE",
        "cvat": f"{_HERE}.cvat:CVAT",
        "labelme": f"{_HERE}.labelme:LABELME",
        "via": f"{_HERE}.via:VIA",
        "label-studio": f"{_HERE}.labelstudio:LABEL_STUDIO",
    },
    what="annotation format",
)


def suffixes() -> list[str]:
    """Suffixes of all files that can be read, each once."""
    return list(dict.fromkeys(suffix for known in FORMATS.values() for suffix in known.suffixes))


def detect_format(path: Path | str) -> AnnotationFormat:
    """Tell from names and content which format a file or folder has.

    Raises
    ------
    ExchangeError
        When it has none of them, or is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise ExchangeError(f"{path} does not exist.", hint="Check the path.")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None:
        raise ExchangeError(
            f"{path.name} is not in an annotation format that can be read.",
            hint=f"Formats that can be read: {', '.join(known.title for known in FORMATS.values())}.",
        )
    return found


def _of_folder(folder: Path) -> AnnotationFormat | None:
    from microscope_qc.exchange.loading import files_of

    broken: ExchangeError | None = None
    for suffix in dict.fromkeys((*_FOLDER_ORDER, *suffixes())):
        try:
            files = files_of(folder, suffix)
        except ExchangeError:
            continue
        for file in files[:_MOST_FILES]:
            try:
                found = _of_file(file)
            except ExchangeError as error:  # one damaged file says nothing about the others
                broken = broken or error
                continue
            if found is not None:
                return found
    if broken is not None:
        raise broken
    return None


def _of_file(file: Path) -> AnnotationFormat | None:
    """The format that matches best; among equals the first in the list.

    A file whose suffix no format has may have been saved without one: what it begins with says which are asked.
    """
    candidate, best, match = Candidate(file), None, Match.NONE
    suffix = file.suffix.lower()
    foreign = suffix not in suffixes()
    if foreign:
        suffix = _suffix_for(candidate)
    for name, known in FORMATS.items():
        if suffix not in known.suffixes:
            continue
        try:
            fits = known.recognises(candidate)
        except ExchangeError:
            if foreign:  # it only looked like one
                continue
            raise
        except Exception as error:  # a plugin may raise anything; the other formats are still asked
            FORMATS.drop(name, error)
            continue
        if fits > match:
            best, match = known, fits
    return best


def _suffix_for(file: Candidate) -> str:
    """The suffix that a file should have by its beginning, "" for what is no text."""
    from microscope_qc.exchange.loading import UTF_16

    wide = file.head.startswith(UTF_16)
    if b"\0" in file.head and not wide:  # a slide, for example, which would be read whole
        return ""
    first, *_ = file.head.decode("utf-16" if wide else "utf-8-sig", "replace").lstrip().splitlines() or [""]
    table = ".csv" if any(first.count(mark) >= _FEWEST_MARKS for mark in ",;\t") else ""
    return {"{": ".json", "[": ".json", "<": ".xml"}.get(first[:1], table)
