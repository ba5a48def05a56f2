"""One writer per run: two would compute the same tiles and cut off each other's last line in the journal."""

from __future__ import annotations

import time
from pathlib import Path

from filelock import FileLock, Timeout

from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import write_error
from microscope_qc.core.jobs import Job, Progress

LOCK_NAME = "writer.lock"
PATIENCE_SECONDS = 20.0
_STEP_SECONDS = 0.2


class RunLock:
    """Held by the process that writes a run's journal; the system releases it when the process ends in any way.

    Parameters
    ----------
    what
        What else may write into the folder: a "detection", or a "training".
    """

    def __init__(self, folder: Path, *, what: str = "detection") -> None:
        self._path, self._what = folder / LOCK_NAME, what
        # the job that holds it may be closed by another thread than the one that ran it
        self._lock = FileLock(self._path, thread_local=False)

    def acquire(self, *, patience_s: float = PATIENCE_SECONDS) -> Job[None]:
        """Become the writer, waiting for the previous one to end.

        Raises
        ------
        ProjectError
            When the previous one has not ended within ``patience_s``, or the folder cannot be written.
        """
        end = time.monotonic() + patience_s
        while True:
            left = end - time.monotonic()
            try:
                self._lock.acquire(timeout=max(0.0, min(_STEP_SECONDS, left)))
                return
            except Timeout:
                if left <= 0:
                    raise ProjectError(
                        f"Another {self._what} is still writing here.",
                        hint="Wait until it has ended, and start again.",
                    ) from None
            except (OSError, NotImplementedError) as error:
                raise write_error(self._path, OSError(*error.args)) from error
            yield Progress(0, 0, "tiles", f"waiting for the previous {self._what} to end")

    def release(self) -> None:
        """Let the next writer in."""
        self._lock.release()
