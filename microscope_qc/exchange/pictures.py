"""How annotation files name pictures: paths that are cleaned and compared, and never opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from microscope_qc.core.cells import one_line

ANY_PICTURE = ""
"""In place of a path: any picture has this size."""
LONGEST_PART = 255
MOST_PARTS = 64
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".czi", ".zarr")
_DOUBLE_SUFFIXES = (".ome.zarr", ".ome.tiff", ".ome.tif", ".ome.tf2", ".ome.btf")
_SCHEME_OR_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")


def picture_path(text: object, *, folder: str = "") -> str:
    """Path of a picture, written on any system, with forward slashes and no drive, root, "." or "..".

    Parameters
    ----------
    folder
        Where a relative path begins: the folders of the annotation file, see :func:`folder_of`.
    """
    parts = one_line(str(text)).replace("\\", "/").split("/")
    absolute = len(parts) > 1 and not parts[0].strip()
    if len(parts) > 1 and _SCHEME_OR_DRIVE.fullmatch(parts[0].strip()):
        absolute, parts = True, parts[1:]
    kept = [] if absolute else [part for part in folder.split("/") if part not in ("", ".")]
    for part in (part.strip()[:LONGEST_PART] for part in parts):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return "/".join(kept[-MOST_PARTS:]) or "picture"


def folder_of(file: Path, chosen: Path) -> str:
    """Folders of an annotation file below the folder that was chosen, "" where the file itself was chosen."""
    return "" if file == chosen else file.parent.relative_to(chosen).as_posix()


def without_suffix(name: str) -> str:
    """``a.ome.tif`` -> ``a``; only what pictures end in is taken off, so ``part 1.5`` stays."""
    lower = name.lower()
    for suffix in (*_DOUBLE_SUFFIXES, *PICTURE_SUFFIXES):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def without_upload(name: str) -> str:
    """Take off what Label Studio puts before the name of an uploaded picture: ``0a1b2c3d-a.png`` -> ``a.png``."""
    return _UPLOAD.sub("", name, count=1) if _UPLOAD.match(name) else name


def file_paths(pictures: Sequence[str]) -> list[str]:
    """For the path of each picture a path of its own for its annotation file, without a suffix.

    Folders are kept: other programs look for annotations there. Pictures whose names differ in their suffix only, or
    in small and capital letters, keep their full names.
    """
    stems = [_writable(_with_last(path, without_suffix(path.rpartition("/")[2]))) for path in pictures]
    count = Counter(stem.casefold() for stem in stems)
    paths: list[str] = []
    used: set[str] = set()
    for stem, picture in zip(stems, pictures, strict=True):
        base = stem if count[stem.casefold()] == 1 else _writable(picture)
        path, number = base, 2
        while path.casefold() in used:
            path, number = f"{base}_{number}", number + 1
        used.add(path.casefold())
        paths.append(path)
    return paths


def _with_last(path: str, name: str) -> str:
    before, slash, _ = path.rpartition("/")
    return f"{before}{slash}{name}"


def _writable(path: str) -> str:
    """The path with only such characters as every file system allows, and no part that begins with a dot.

    Those are hidden, and what was left behind half written is called so: readers of folders do not look at them.
    """
    parts = (re.sub(r'[:*?"<>|\x00-\x1f]', "_", part).rstrip(". ") or "_" for part in path.split("/"))
    return "/".join(re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), part) for part in parts)


def file_name_of(name: str) -> str:
    """How a file is called that stands for a picture of this name."""
    return _writable(name.replace("/", "_"))


def endings(path: str) -> Iterator[str]:
    """``a/b/c``, ``b/c``, ``c``."""
    parts = path.split("/")
    for place in range(len(parts)):
        yield "/".join(parts[place:])


def size_for(path: str, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    """(h, w) of the picture with this path, from ``sizes`` by path or name; None where it is not known.

    As much of the path counts as ``sizes`` knows; of names that are several pictures it has none.
    """
    name = path.rpartition("/")[2]
    for shape in (name, without_suffix(name), without_upload(without_suffix(name))):
        for ending in endings(_with_last(path, shape)):
            size = sizes.get(ending) or sizes.get(ending.casefold())
            if size is not None:
                return size
    return sizes.get(ANY_PICTURE)


def told_apart(paths: Iterable[str]) -> dict[str, str]:
    """For each path its file name, with as many folders before it as tell it from the others.

    Names that differ in their suffix are alike too: in some formats a picture has no suffix.
    """
    alike: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        alike.setdefault(without_suffix(path.rpartition("/")[2]).casefold(), []).append(path)
    return {path: ending for group in alike.values() for path, ending in zip(group, _least(group), strict=True)}


def _least(paths: list[str]) -> list[str]:
    most = max(path.count("/") for path in paths) + 1
    for alike in (str.casefold, str):  # names that differ in small and capital letters only are told apart if need be
        for count in range(1, most + 1):
            ends = ["/".join(path.split("/")[-count:]) for path in paths]
            if len(set(map(alike, ends))) == len(paths):
                return ends
    return paths


def sizes_by_ending(known: Iterable[tuple[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """(h, w) by every ending of the paths, without those that stand for pictures of different sizes."""
    found: dict[str, tuple[int, int]] = {}
    clash: set[str] = set()
    for path, shape in known:
        for ending in (*endings(path), *endings(path.casefold())):
            if found.setdefault(ending, shape) != shape:
                clash.add(ending)
    return {ending: shape for ending, shape in found.items() if ending not in clash}
