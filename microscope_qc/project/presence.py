"""Whether the files of an open project are still where they were opened.

A folder can be deleted, renamed or replaced by a copy under an open database; what is written afterwards goes into
files that nobody will find again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from microscope_qc.core.errors import DisplacedProjectError

FileId = tuple[int, int]

HINT = "Nothing can be changed until it is back; save what is open as a new project."


def file_id(path: str) -> FileId | None:
    """Volume and number of a file, which stay with it when it is renamed; None where there is none.

    Raises
    ------
    OSError
        When the disk does not say.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path of each costs as much as asking
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


class OpenFiles:
    """The files of a database as they were opened.

    Nothing else can get the number of a file that is still open, so that the same number is the same file.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self._database, *_ = names = [str(folder / name) for name in names]
        known = {name: file_id(name) for name in names}
        self._known = {name: number for name, number in known.items() if number is not None}

    @property
    def database_is_there(self) -> bool:
        """Whether the database itself is the one that was opened, whatever became of the files beside it."""
        try:
            return file_id(self._database) == self._known.get(self._database)
        except OSError:
            return False

    def require(self) -> None:
        """Refuse when a file is gone or another one.

        Raises
        ------
        DisplacedProjectError
            It says what happened.
        """
        name = self._folder.stem
        for path, known in self._known.items():
            try:
                now = file_id(path)
            except OSError as error:
                raise DisplacedProjectError(
                    f"The project {name} cannot be reached any more ({error.strerror}).",
                    hint="Check the connection to its drive. " + HINT,
                ) from error
            if now == known:
                continue
            if path != self._database:
                raise DisplacedProjectError(
                    f"Another program has removed or replaced a part of the open project {name} ({Path(path).name}).",
                    hint=HINT,
                )
            if now is None:
                raise DisplacedProjectError(
                    f"The open project {name} is no longer at {self._folder}: it was deleted, moved or renamed.",
                    hint=HINT,
                )
            raise DisplacedProjectError(
                f"The open project {name} was replaced by another copy, for example by a program that synchronises or"
                " restores files.",
                hint=HINT,
            )
