"""One writer at a time: ``owner.lock`` decides, ``owner.json`` tells users who it is."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from microscope_qc.core.errors import DisplacedProjectError, MicroscopeQCError, ReadOnlyProjectError
from microscope_qc.core.files import atomic_write
from microscope_qc.project.folder_lock import FolderLock
from microscope_qc.project.presence import HINT, FileId, file_id

LOCK_NAME = "owner.lock"
OWNER_NAME = "owner.json"


def now() -> str:
    """Return the local time as ISO 8601 with its offset."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def user_name() -> str:
    """Return the name of the user at this machine ("unknown" where the system does not say)."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


class OwnerLock:
    """Held by the process that writes a project; the system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path, *, program: str) -> None:
        self._folder = folder
        self._program = program
        # one lock for all threads: a window opens a project in a worker and closes it in its own thread
        self._lock = FileLock(folder / LOCK_NAME, thread_local=False)
        self._folder_lock = FolderLock(folder)
        self._path = str(folder / LOCK_NAME)
        self._held: FileId | None = None
        self._checking = threading.Lock()
        self.owner: dict[str, Any] = {}

    def acquire(self) -> None:
        """Become the owner.

        Raises
        ------
        ReadOnlyProjectError
            When another process owns the project, or the folder cannot be written.
        """
        try:
            self._lock.acquire(timeout=0)
            if not self._folder_lock.acquire():  # its file was removed while the owner had it
                self._lock.release()
                raise owned_error(self._folder)
            self._held = file_id(self._path)
        except Timeout:
            raise owned_error(self._folder) from None
        except (OSError, NotImplementedError) as error:
            raise ReadOnlyProjectError(
                f"{self._folder.stem} cannot be opened for writing: its folder is read-only or cannot be locked.",
                hint="Open it for reading, or copy the project to another folder.",
            ) from error
        self.owner = {
            "user": user_name(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "program": self._program,
            "since": now(),
        }
        try:
            atomic_write(self._folder / OWNER_NAME, json.dumps(self.owner, ensure_ascii=False))
        except MicroscopeQCError as error:
            self._let_go()
            raise ReadOnlyProjectError(error.message, hint=error.hint) from error

    def require_held(self) -> None:
        """Make sure that no other process can have become the owner: somebody may have removed the lock's file.

        Raises
        ------
        DisplacedProjectError
            When that cannot be ruled out.
        """
        try:
            with self._checking:  # in any thread
                if file_id(self._path) == self._held or (self._folder_lock.held and self._take_again()):
                    return
        except OSError:  # the disk does not say
            pass
        raise DisplacedProjectError(
            f"The file {LOCK_NAME} of the open project {self._folder.stem}, which keeps other programs from writing to"
            " it, was removed or replaced.",
            hint=HINT,
        )

    def _take_again(self) -> bool:
        """Lock the file that is there now; with the folder locked all the time nobody else can have written."""
        lock = FileLock(self._folder / LOCK_NAME, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        before, self._lock = self._lock, lock
        before.release()
        self._held = file_id(self._path)
        return True

    @property
    def folder_now(self) -> Path | None:
        """Where the folder is now, should it have been moved; None where the system does not say or it is gone."""
        return self._folder_lock.folder_now

    def release(self) -> None:
        """Let go."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                if file_id(self._path) == self._held:  # else it is the folder of somebody else
                    (self._folder / OWNER_NAME).unlink(missing_ok=True)
            self._let_go()

    def _let_go(self) -> None:
        self._folder_lock.release()
        self._lock.release()


def owned_error(folder: Path) -> ReadOnlyProjectError:
    """Return the error that says who has the project open."""
    owner = read_owner(folder)
    if owner is None:
        who = "somewhere else"
    else:
        place = "a window" if owner.get("program") == "window" else "a command"
        since = str(owner.get("since", ""))[:16].replace("T", " ")
        who = f"in {place} of {owner.get('user', 'somebody')} on {owner.get('host', 'another machine')} since {since}"
    return ReadOnlyProjectError(
        f"{folder.stem} is open {who}.", hint="Close it there, or open it for reading only here."
    )


def read_owner(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``owner.json``, None without an owner (what a killed process left does not count)."""
    try:
        owner = json.loads((folder / OWNER_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(owner, dict) or _is_gone(owner):
        return None
    return owner


def _is_gone(owner: dict[str, Any]) -> bool:
    if owner.get("host") != socket.gethostname():
        return not isinstance(owner.get("host"), str)
    try:
        since = datetime.fromisoformat(str(owner.get("since"))).timestamp()
        started: float = psutil.Process(int(owner.get("pid", -1))).create_time()
        return started > since + 1.0  # the process number was reused
    except (psutil.NoSuchProcess, ValueError, TypeError):
        return True
    except psutil.Error:
        return False
