"""The identity of a slide: a hash of everything that its file or folder holds."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from microscope_qc.core.errors import SlideError
from microscope_qc.core.jobs import Job, Progress

SMALL_BYTES = 16 << 20
"""Files up to this size are read whole as soon as they are added."""

_BLOCK = 4 << 20
_LARGE_BYTES = 1 << 30
"""More than this would drive everything else out of the system's file cache."""

_NOT_CONTENT = {".ds_store", "thumbs.db", "desktop.ini"}
"""What file managers leave in a folder: it says nothing of the slide."""


def content_of(path: Path) -> Job[str]:
    """Read a slide whole.

    Yields
    ------
    Progress
        After every 4 MiB at the latest, in bytes; ``total`` is 0 while a folder is being listed.

    Returns
    -------
    str
        Hexadecimal BLAKE2b digest of a file; of a folder that of the names, sizes and digests of all its files.

    Raises
    ------
    SlideError
        When it cannot be read, or has no end.
    """
    try:
        if not path.is_dir():
            digest, _ = yield from _file(path, 0, _size(path))
            return digest
        files = yield from _files(path)
        done, total = 0, sum(size for _, size in files)
        whole = hashlib.blake2b(digest_size=16)
        for name, size in files:
            digest, done = yield from _file(path / name, done, total)
            whole.update(f"{name}\0{size}\0{digest}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()
    except OSError as error:
        if isinstance(error, SlideError):
            raise
        raise SlideError(
            f"{path.name} cannot be read ({error.strerror or error}).", hint="Check the disk or the network."
        ) from error


def small_content(path: Path) -> str:
    """Return the content of a small file at once; "" for a large one, a folder, or what cannot be read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > SMALL_BYTES:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, _digest).hexdigest()
    except (OSError, ValueError):
        return ""


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _size(path: Path) -> int:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe or a device never ends
        raise SlideError(f"{path.name} is not a file.", hint="Choose the file of a slide.")
    return about.st_size


def _file(path: Path, done: int, total: int) -> Job[tuple[str, int]]:
    digest, place = _digest(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if total > _LARGE_BYTES and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), place, len(block), os.POSIX_FADV_DONTNEED)
            place += len(block)
            yield Progress(done + place, max(total, done + place), "bytes")
    return digest.hexdigest(), done + place


def _refuse(error: OSError) -> None:
    raise error


def _files(folder: Path) -> Job[list[tuple[str, int]]]:
    """Names below the folder with "/" between their parts, and sizes; links to folders are not followed."""
    found: list[tuple[str, int]] = []
    for place, _, names in os.walk(folder, onerror=_refuse):
        inside = Path(place).relative_to(folder)
        for name in names:
            if name.casefold() not in _NOT_CONTENT:
                found.append(((inside / name).as_posix(), _size(Path(place) / name)))
        yield Progress(0, 0, "bytes")
    return sorted(found)
