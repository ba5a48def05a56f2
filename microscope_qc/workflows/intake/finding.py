"""Finds slides among files, folders and patterns that a user names, and says why everything else is none."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from glob import glob, has_magic
from pathlib import Path

from microscope_qc.core.errors import InputError
from microscope_qc.core.file_names import is_text, shown_name
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text
from microscope_qc.project import SUFFIX
from microscope_qc.slides.registry import READERS, file_suffixes, inside_folders
from microscope_qc.workflows.intake.masks import PICTURES, MaskNames

LABELS = {".xml", ".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".xlsx", ".geojson"}
_JUNK = {"thumbs.db", "desktop.ini", "__macosx"}
_LOOK_EVERY = 500


class Reason(StrEnum):
    """Why a file did not become a slide; the value is what such a file is called in a summary."""

    MASK = "mask"
    LABELS = "label file"
    FOREIGN = "other file"
    HIDDEN = "hidden file"
    UNREADABLE = "file that cannot be read"
    SAME = "identical picture"
    CHANGED = "file that has changed since it was added"


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file that did not become a slide, and why: ``words`` is a sentence with its name."""

    path: Path
    reason: Reason
    words: str


@dataclass(slots=True)
class FoundFiles:
    """What was found: slides in the order of their names, those whose pixels must say whether they are masks, and what
    is not a slide.
    """

    slides: list[Path] = field(default_factory=list)
    doubtful: set[Path] = field(default_factory=set)
    left_out: list[LeftOutFile] = field(default_factory=list)


def find_files(named: Iterable[Path | str], *, masks: bool = False, subfolders: bool = True) -> Job[FoundFiles]:
    """Look through what a user named; no file is opened.

    Parameters
    ----------
    named
        Files, folders, and patterns such as ``scans/*.png`` or ``scans/**/S1*.czi``. Links are followed, each folder is
        looked through once.
    masks
        Take masks as slides, too. A single file that is named is always taken.
    subfolders
        Look through the folders within a folder as well.

    Raises
    ------
    InputError
        When there is nothing of a name.
    """
    walk = _Walk(subfolders=subfolders)
    given = [path for name in named for path in _expanded(name)]
    for path in given:
        yield from walk.take(path)
    found = FoundFiles(left_out=walk.left_out)
    pictures = list(walk.pictures.items())
    alone = len(given) == 1 and pictures == [(given[0], None)]
    names = MaskNames(pictures)
    for path, root in pictures:
        readable = path.name.lower().endswith(file_suffixes()) or path in walk.sure
        if not masks and not alone and names.is_mask(path, root):
            found.left_out.append(LeftOutFile(path, Reason.MASK, f"{path.name} is a mask by its name or folder."))
        elif not readable:
            found.left_out.append(_foreign(path))
        else:
            found.slides.append(path)
            if not masks and not alone and names.may_be_mask(path):
                found.doubtful.add(path)
    return found


def is_slide_folder(path: Path) -> bool:
    """Whether a folder is a slide itself, sound or not."""
    named = tuple(suffix for reader in READERS.values() if reader.is_folder for suffix in reader.suffixes)
    return path.name.lower().endswith(named) or any((path / name).exists() for name in inside_folders())


def by_name(name: str) -> list[str | int]:
    """Sorts names as people do: ``S2`` before ``S10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _expanded(name: Path | str) -> Iterator[Path]:
    if not str(name).strip():
        raise InputError("A file or folder without a name cannot be added.", hint="Name a file, a folder or a pattern.")
    path = _absolute(name)
    if has_magic(str(name)) and not os.path.lexists(path):
        matching = sorted(glob(str(path), recursive=True), key=by_name)  # noqa: PTH207 - its ** follows no hidden folder
        if not matching:
            raise InputError(f"Nothing is called like {name}.", hint="Check the pattern.")
        yield from map(Path, matching)
        return
    try:
        there = path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({error}).", hint="Check the path.") from error
    if not there:
        raise InputError(f"There is no file {path}.", hint="Check the name; it may have been moved.")
    yield path


def _absolute(name: Path | str) -> Path:
    return Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 - a link stays a link


class _Walk:
    """Collects what may be a slide or a mask: each with the folder it was found below."""

    def __init__(self, *, subfolders: bool) -> None:
        self._subfolders = subfolders
        self._seen: set[tuple[int, int]] = set()
        self._looked_at = 0
        self.pictures: dict[Path, Path | None] = {}
        self.sure: set[Path] = set()  # folders that are slides, and files that were named: their content decides
        self.left_out: list[LeftOutFile] = []

    def take(self, path: Path) -> Iterator[Progress]:
        if not path.is_dir():
            self._file(path, None, named=True)
        elif is_slide_folder(path):
            self.pictures.setdefault(path, None)
            self.sure.add(path)
        elif path.suffix.lower() == SUFFIX:
            words = f"{path.name} is a project; open it instead of adding it."
            self.left_out.append(LeftOutFile(path, Reason.FOREIGN, words))
        else:
            yield from self._folder(path)

    def _folder(self, root: Path) -> Iterator[Progress]:
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            yield self._progress(folder)
            try:
                about = folder.stat()
                if (about.st_dev, about.st_ino) in self._seen:
                    continue  # a link leads back to it
                self._seen.add((about.st_dev, about.st_ino))
                entries = sorted(os.scandir(folder), key=lambda entry: by_name(entry.name))
            except OSError as error:
                self._unreadable(folder, f"cannot be read ({error.strerror or error})")
                continue
            inside: list[Path] = []
            for entry in entries:
                self._looked_at += 1
                if self._looked_at % _LOOK_EVERY == 0:
                    yield self._progress(folder)
                self._entry(entry, root, inside)
            waiting += reversed(inside)

    def _progress(self, folder: Path) -> Progress:
        return Progress(0, 0, "", f"Looking through {folder.name}: {count_text(self._looked_at)} files so far")

    def _entry(self, entry: os.DirEntry[str], root: Path, inside: list[Path]) -> None:
        path = Path(entry.path)
        try:
            folder, hidden = entry.is_dir(), _is_hidden(entry)
        except OSError as error:  # a link that leads round in a circle
            self._unreadable(path, f"cannot be read ({error.strerror or error})")
            return
        if hidden:
            self.left_out.append(LeftOutFile(path, Reason.HIDDEN, f"{shown_name(entry.name)} is hidden."))
        elif not folder:
            self._file(path, root)
        elif path.suffix.lower() == SUFFIX:
            self.left_out.append(LeftOutFile(path, Reason.FOREIGN, f"{shown_name(entry.name)} is a project."))
        elif is_slide_folder(path):
            self.pictures.setdefault(path, root)
            self.sure.add(path)
        elif self._subfolders:
            inside.append(path)

    def _file(self, path: Path, root: Path | None, *, named: bool = False) -> None:
        name = path.name.lower()
        try:
            ordinary = path.is_file()
        except OSError as error:
            self._unreadable(path, f"cannot be read ({error.strerror or error})")
            return
        if not is_text(str(path)):
            own = "has a name that is no text; rename it"
            self._unreadable(
                path, own if not is_text(path.name) else "lies in a folder that has a name that is no text"
            )
        elif not ordinary:  # a pipe would wait for ever
            self._unreadable(path, "is not a file, or leads to one that is not there")
        elif name.endswith((*file_suffixes(), *PICTURES)) or (named and path.suffix.lower() not in LABELS):
            self.pictures.setdefault(path, root)
            if named:
                self.sure.add(path)
        elif path.suffix.lower() in LABELS:
            words = f"{path.name} is no picture; labels are taken in by an import."
            self.left_out.append(LeftOutFile(path, Reason.LABELS, words))
        else:
            self.left_out.append(_foreign(path))

    def _unreadable(self, path: Path, why: str) -> None:
        self.left_out.append(LeftOutFile(path, Reason.UNREADABLE, f"{shown_name(path.name)} {why}."))


def _foreign(path: Path) -> LeftOutFile:
    return LeftOutFile(path, Reason.FOREIGN, f"{shown_name(path.name)} is not a slide this program can read.")


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name.casefold() in _JUNK:
        return True
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0) if os.name == "nt" else 0
    return bool(attributes & getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 0))
