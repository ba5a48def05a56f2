"""Everything the program logs, kept for the log dock."""

from __future__ import annotations

import logging
from collections import deque

from qtpy.QtCore import QObject, Signal

KEPT = 2000


class LogKeeper(QObject):
    """Keeps the newest log lines and tells when one is added (from any thread)."""

    line_added = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.lines: deque[str] = deque(maxlen=KEPT)
        self._handler = _Handler(self)
        self._handler.setFormatter(logging.Formatter("%(asctime)s  %(levelname)-7s  %(name)s  %(message)s"))
        self._root = logging.getLogger("microscope_qc")
        self._root.addHandler(self._handler)
        if self._root.level == logging.NOTSET:
            self._root.setLevel(logging.INFO)

    def close(self) -> None:
        """Stop listening."""
        self._root.removeHandler(self._handler)

    def text(self) -> str:
        """All lines, for the clipboard."""
        return "\n".join(self.lines)


class _Handler(logging.Handler):
    def __init__(self, keeper: LogKeeper) -> None:
        super().__init__()
        self._keeper = keeper

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        self._keeper.lines.append(line)
        self._keeper.line_added.emit(line)
