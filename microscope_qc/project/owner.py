"""One writer at a time: ``owner.lock`` decides, ``owner.json`` tells users who it is."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from microscope_qc.core.errors import MicroscopeQCError, ReadOnlyProjectError
from microscope_qc.core.files import atomic_write

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
            self._lock.release()
            raise ReadOnlyProjectError(error.message, hint=error.hint) from error

    def release(self) -> None:
        """Let go."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                (self._folder / OWNER_NAME).unlink(missing_ok=True)
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
