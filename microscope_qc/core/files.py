"""Atomic writing: a file has either its old or its new content, never part of one."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError


class WriteError(MicroscopeQCError, OSError):
    """A file could not be written; what was there before is untouched."""


class FolderGoneError(WriteError):
    """A folder was deleted, moved or replaced while something wrote into it."""


def temporary_prefix(target: Path) -> str:
    """How the temporary name of a file or folder begins: short, as its own may be as long as the disk allows."""
    return f".{target.name[:40]}."


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces ``path`` when the block ends without an error.

    Raises
    ------
    WriteError
        When the folder is missing or read-only, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=temporary_prefix(target), suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise write_error(target, error) from error
    except ValueError as error:  # a NUL character
        raise WriteError(f"{str(target)!r} cannot be the name of a file.", hint="Choose another name.") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except MicroscopeQCError:
        raise
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_half_written(*targets: Path) -> None:
    """Delete what a process that was killed has left of these files; no other may be writing them now."""
    for target in targets:
        for left in target.parent.glob(f"{glob.escape(temporary_prefix(target))}*{glob.escape(target.suffix)}"):
            with contextlib.suppress(OSError):
                left.unlink()


_SPECIAL = (
    (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def special_kind(path: Path | str) -> str:
    """What a path is if it is neither a file nor a folder: ``a pipe``, ``a socket``, ``a device``; else "".

    Reading one of these may never end. A path that does not exist, or cannot be looked at, is none of them.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return ""
    return next((kind for test, kind in _SPECIAL if test(mode)), "")


def atomic_write(path: Path | str, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


class FolderWatch:
    """Tells whether a folder is still the one that it was: it may be deleted or moved while it is written into.

    Files would be written where nobody finds them again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._known = folder, _number_of(folder)

    def require(self) -> None:
        """Refuse to go on where it is gone, or another one.

        Raises
        ------
        FolderGoneError
            With where it was.
        """
        if _number_of(self._folder) != self._known:
            raise FolderGoneError(
                f"The folder {self._folder} was deleted or moved while it was written into.",
                hint="Where it was moved, go on there.",
            )


def _number_of(folder: Path) -> tuple[int, int] | None:
    """Volume and number of a folder; None where there is none, or its disk is gone."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def system_error(error: BaseException | None) -> OSError | None:
    """What the operating system said where a library that writes says something of its own; None if it did not."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def write_error(path: Path, error: OSError) -> WriteError:
    """Turn an error of the operating system into a message for the user."""
    if error.errno == errno.ENOSPC:
        return WriteError(f"The disk is full; {path.name} was not written.", hint="Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WriteError(f"{path} cannot be written: the folder is read-only.", hint="Choose another folder.")
    return WriteError(f"{path} cannot be written ({error.strerror or error}).", hint="Choose another folder.")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
