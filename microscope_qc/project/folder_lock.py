"""A lock on a folder itself, which nobody can remove as long as it is held, and which goes along when it is renamed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FolderLock:
    """Held where the system locks folders: on local disks of Linux and macOS.

    On Windows the file of a lock cannot be removed while it is held. On network drives there is often no such lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self.held = False
        """Whether the folder is locked by this process."""

    def acquire(self) -> bool:
        """Lock it if the system can; False when another process has locked it."""
        if sys.platform == "win32":
            return True
        import fcntl

        try:
            self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return True
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        except OSError:  # this file system has no such locks
            return True
        self.held = True
        return True

    @property
    def folder_now(self) -> Path | None:
        """Where the folder is now; None where the system does not say, or when it was deleted."""
        if self._handle is None or not sys.platform.startswith("linux"):
            return None
        try:
            now = os.readlink(f"/proc/self/fd/{self._handle}")  # noqa: PTH115 - no Path is needed
            found, mine = os.stat(now), os.fstat(self._handle)  # noqa: PTH116
        except OSError:
            return None
        return Path(now) if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino) else None

    def release(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self.held = None, False
