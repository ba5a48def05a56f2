"""The registry of slide readers, and which of them a path is for."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.plugins import Match, Registry
from microscope_qc.slides.slide_reader import SlideReader

HEAD_BYTES = 4096


def _a_reader(thing: object) -> SlideReader:
    if not isinstance(thing, SlideReader):
        raise TypeError(f"it is a {type(thing).__name__}, not a SlideReader")
    if not thing.name or not thing.title:
        raise ValueError("it has no name or title")
    if not all(suffix.startswith(".") and suffix == suffix.lower() for suffix in thing.suffixes):
        raise ValueError("a suffix begins with a dot and is in small letters")
    if not (callable(thing.recognises) and callable(thing.open)):
        raise TypeError("it does not recognise and open slides")
    return thing


_HERE = "microscope_qc.slides"

READERS: Registry[SlideReader] = Registry(
    "slide_readers",
    _a_reader,
    {
        "czi": f"{_HERE}.czi.reader:CZI",
        "ome-zarr": f"{_HERE}.ome_zarr.reader:OME_ZARR",
        "tiff": f"{_HERE}.tiff.reader:TIFF",
        "picture": f"{_HERE}.picture:PICTURE",
        "virtual": f"{_HERE}.virtual.reader:VIRTUAL",
    },
    what="slide reader",
)


def reader_of(path: Path, head: bytes) -> SlideReader | None:
    """Return the reader that fits a path best; of those that fit alike, the one that is listed first.

    Parameters
    ----------
    head
        The first ``HEAD_BYTES`` bytes of a file, b"" for a folder.
    """
    best, match = None, Match.NONE
    for name, reader in READERS.items():
        try:
            fits = reader.recognises(path, head)
        except Exception as error:  # somebody else's code: whatever it raises, the other readers are asked
            READERS.drop(name, error)
            continue
        if fits > match:
            best, match = reader, fits
    return best


def file_suffixes() -> tuple[str, ...]:
    """What names of slides that are files end in."""
    return tuple(dict.fromkeys(s for reader in READERS.values() if not reader.is_folder for s in reader.suffixes))


def inside_folders() -> dict[str, SlideReader]:
    """Names of files that stand for the folder they lie in, and whose folder it is."""
    return {name: reader for reader in READERS.values() for name in reader.inside}


def readable() -> str:
    """``CZI, OME-Zarr or PNG``: what users can save their pictures as."""
    *first, last = dict.fromkeys(name for reader in READERS.values() for name in reader.saved_as)
    return f"{', '.join(first)} or {last}"
