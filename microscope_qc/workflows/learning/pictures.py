"""Finds the pictures of a data set: inside its folder only, by as much of their path as the annotations give."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.exchange.pictures import picture_path, without_suffix
from microscope_qc.slides import open_slide
from microscope_qc.slides.registry import READERS

MOST_ENTRIES = 1_000_000
_DEEPEST = 16
_BESIDE = ("annotations", "annotation", "labels", "label", "xml")
"""Folders of annotations whose pictures lie in a folder beside them."""
_NAMED = 3
NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class _File:
    """A picture, and its path below the folder of the data set as annotations would give it."""

    path: Path
    parts: tuple[str, ...]

    @property
    def words(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a picture agrees with a path: in all of it, in parts from the end, and in folders anywhere."""

    file: _File
    whole: bool
    parts: int
    folders: int
    same_case: bool

    @property
    def rank(self) -> tuple[bool, int, int, bool]:
        return self.whole, self.parts, self.folders, self.same_case


class PictureFolder:
    """The pictures below a folder. Links that lead out of it are never followed.

    Parameters
    ----------
    chosen
        What a user chose as the data set: the folder, or a file of annotations in it.
    """

    def __init__(self, chosen: Path) -> None:
        folder = (chosen if chosen.is_dir() else chosen.parent).resolve()
        self.folder = folder.parent if folder.name.casefold() in _BESIDE else folder
        self.outside: set[str] = set()
        self._kinds = tuple(suffix for reader in READERS.values() for suffix in reader.suffixes)
        self._folder_kinds = tuple(s for reader in READERS.values() if reader.is_folder for s in reader.suffixes)
        self._seen = 0

    def matched(self, paths: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
        """The picture of each path, and for the others why they have none.

        Raises
        ------
        InputError
            When the folder holds far more than a data set.
        """
        fits: dict[str, _Fit] = {}
        why: dict[str, str] = {}
        for path in paths:
            found = self._fitting(path)
            if len(found) == 1:
                fits[path] = found[0]
            else:
                why[path] = f"several pictures fit: {_some(fit.file.words for fit in found)}" if found else NOT_FOUND
            if not found and path.rpartition("/")[2].casefold() in self.outside:
                why[path] = "a link that leads out of the folder of the data set"
        claims: dict[Path, list[str]] = defaultdict(list)
        for path, fit in fits.items():
            claims[fit.file.path].append(path)
        for file, rivals in claims.items():
            best = max(fits[path].rank for path in rivals)
            ahead = [path for path in rivals if fits[path].rank == best]
            for path in rivals if len(ahead) > 1 else [path for path in rivals if path not in ahead]:
                alike = len(ahead) > 1
                why[path] = f"{file.name} may be any of {_some(rivals)}" if alike else NOT_FOUND
                del fits[path]
        return {path: fit.file.path for path, fit in fits.items()}, why

    def _fitting(self, path: str) -> list[_Fit]:
        """The pictures that agree best; several where none is better than the others."""
        exact = self.folder / path
        if _kind(path, self._kinds) and exact.exists() and self._is_inside(exact):
            return [_Fit(_File(exact, tuple(path.split("/"))), True, path.count("/") + 1, 0, True)]
        *folders, name = path.split("/")
        by_name, by_stem = self._index
        files = by_name.get(name.casefold()) or by_stem.get(without_suffix(name).casefold(), [])
        fits = [self._fit(file, folders, name) for file in files]
        if folders and folders[-1].casefold() in self._picture_folders.difference(_BESIDE):
            fits = [fit for fit in fits if fit.parts > 1]  # the folder is there, and the picture not in it
        best = max((fit.rank for fit in fits), default=None)
        return [fit for fit in fits if fit.rank == best]

    def _fit(self, file: _File, folders: list[str], name: str) -> _Fit:
        own = [part.casefold() for part in (self.folder.name, *file.parts[:-1])]
        theirs = [part.casefold() for part in folders]
        shared = 1
        for a, b in zip(reversed(own), reversed(theirs), strict=False):
            if a != b:
                break
            shared += 1
        common = sum((Counter(own) & Counter(theirs)).values())
        return _Fit(file, False, shared, common, file.parts[-1] == name)

    @cached_property
    def _index(self) -> tuple[dict[str, list[_File]], dict[str, list[_File]]]:
        by_name: dict[str, list[_File]] = defaultdict(list)
        by_stem: dict[str, list[_File]] = defaultdict(list)
        for path in self._walk(self.folder, _DEEPEST):
            parts = tuple(picture_path(part) for part in path.relative_to(self.folder).parts)
            by_name[parts[-1].casefold()].append(_File(path, parts))
            by_stem[without_suffix(parts[-1]).casefold()].append(_File(path, parts))
        return by_name, by_stem

    @cached_property
    def _picture_folders(self) -> set[str]:
        """Names of the folders that hold pictures themselves."""
        by_name, _ = self._index
        return {file.parts[-2].casefold() for files in by_name.values() for file in files if len(file.parts) > 1}

    def _walk(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        self._seen += len(entries)
        if self._seen > MOST_ENTRIES:
            raise InputError(
                f"{self.folder} holds more than {MOST_ENTRIES} files: too many for a data set.",
                hint="Choose the folder of the data set itself.",
            )
        for entry in entries:
            place = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and not self._is_inside(place):
                self.outside.add(entry.name.casefold())
            elif entry.is_dir() and not _kind(entry.name, self._folder_kinds):
                if depth > 1 and not entry.is_symlink() and not entry.name.lower().endswith(".mqc"):
                    yield from self._walk(place, depth - 1)
            elif _kind(entry.name, self._kinds):
                yield place

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.resolve(strict=True).is_relative_to(self.folder)
        except (OSError, RuntimeError):
            return False

    def sizes(self) -> PictureSizes:
        """Sizes by path, for formats that give positions as shares of the picture."""
        return PictureSizes(self)

    def paths(self) -> Iterator[str]:
        """Paths of all pictures below the folder."""
        return (file.words for files in self._index[0].values() for file in files)

    def only(self, path: str) -> Path | None:
        """The one picture that a path, or the end of one, means."""
        fits = self._fitting(path)
        return fits[0].file.path if len(fits) == 1 else None


class PictureSizes(Mapping[str, tuple[int, int]]):
    """Height and width, upright, by path; read from the header of a file when asked for."""

    def __init__(self, folder: PictureFolder) -> None:
        self._folder = folder

    def __getitem__(self, path: str) -> tuple[int, int]:
        file = self._folder.only(path) if path else None
        if file is None:
            raise KeyError(path)
        try:
            with open_slide(file) as slide:
                height, width = slide.scene(None).shape[:2]
        except MicroscopeQCError as error:
            raise KeyError(path) from error
        return height, width

    def __iter__(self) -> Iterator[str]:
        return self._folder.paths()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        """Always: counting would look through the whole folder."""
        return True


def _kind(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)


def _some(words: Iterable[str]) -> str:
    known = list(words)
    return ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
