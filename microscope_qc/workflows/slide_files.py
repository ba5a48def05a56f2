"""Slides among the files that a user names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.slides import open_slide
from microscope_qc.slides.registry import READERS, file_suffixes, inside_folders


def slide_paths(named: Iterable[Path | str]) -> tuple[list[Path], list[str]]:
    """Return files as they are named, and for a folder every slide in it that can be read, by name.

    Returns
    -------
    list of Path, list of str
        The slides, and a sentence for each file of a folder that is called like a slide and cannot be read.

    Raises
    ------
    InputError
        When a folder holds no slide.
    """
    paths: list[Path] = []
    left_out: list[str] = []
    for given in map(Path, named):
        if not given.is_dir() or _is_slide_folder(given):
            paths.append(given)
            continue
        readable, unreadable = _in_folder(given)
        if not readable:
            raise InputError(f"{given} holds no slide that can be read.", hint=" ".join(unreadable[:3]))
        paths += readable
        left_out += unreadable
    return paths, left_out


def _in_folder(folder: Path) -> tuple[list[Path], list[str]]:
    readable, unreadable = [], []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name.casefold()):
        if not (_is_slide_folder(entry) if entry.is_dir() else entry.name.lower().endswith(file_suffixes())):
            continue
        try:
            open_slide(entry).close()
        except SlideError as error:
            unreadable.append(str(error))
        else:
            readable.append(entry)
    return readable, unreadable


def _is_slide_folder(path: Path) -> bool:
    """Whether a folder is a slide itself, sound or not."""
    named = tuple(suffix for reader in READERS.values() if reader.is_folder for suffix in reader.suffixes)
    return path.name.lower().endswith(named) or any((path / name).exists() for name in inside_folders())
