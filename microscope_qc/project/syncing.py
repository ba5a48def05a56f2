"""What was committed is handed to the disk by a thread, so that nobody waits for it."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

log = logging.getLogger(__name__)


class Syncing:
    """Makes the operating system write a file to its disk soon after each request.

    What was written before a request survives the end of the program at once, and a power failure as soon as the disk
    has it, which takes some milliseconds. Several requests during one write to the disk are one.

    Parameters
    ----------
    file
        It may not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._change = threading.Condition()
        self._wanted = self._done = 0
        self._closed = False
        self.failed = False
        """Whether the disk refused; requests do nothing then."""
        self._thread = threading.Thread(target=self._run, name="to disk", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Write what is in the file by now to the disk."""
        with self._change:
            self._wanted += 1
            self._change.notify_all()

    def close(self) -> None:
        """Do what was requested and end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._done < self._wanted)
                if self._done == self._wanted:
                    return
                wanted = self._wanted
            try:
                with self._file.open("r+b") as stream:  # Windows flushes only what may be written
                    os.fsync(stream.fileno())
            except OSError as error:
                log.error("%s could not be written to the disk: %s", self._file.name, error)
                self.failed = True
                return
            self._done = wanted
