"""Work in a thread where only the newest request counts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Qt, Signal

T = TypeVar("T")


class NewestWork(QObject):
    """One thread; a new request replaces an earlier one of the same name, whose result is dropped."""

    _finished = Signal(str, int, object, object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._serials: dict[str, int] = {}
        self._takers: dict[str, Callable[[Any], None]] = {}
        self._finished.connect(self._on_finished, Qt.ConnectionType.QueuedConnection)

    def ask(self, name: str, work: Callable[[], T], take: Callable[[T], None]) -> None:
        """Run ``work`` in the thread and pass its result to ``take`` in this one, unless a newer request came in."""
        serial = self._serials.get(name, 0) + 1
        self._serials[name] = serial
        self._takers[name] = take
        self._pool.submit(self._do, name, serial, work)

    def busy(self, name: str) -> bool:
        """Whether a result is pending."""
        return name in self._takers

    def forget(self, name: str) -> None:
        """Drop a pending request."""
        self._serials[name] = self._serials.get(name, 0) + 1
        self._takers.pop(name, None)

    def forget_all(self) -> None:
        """Drop all pending requests."""
        for name in list(self._serials):
            self.forget(name)

    def close(self) -> None:
        """Wait for the thread; no more results are delivered."""
        self.forget_all()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _do(self, name: str, serial: int, work: Callable[[], Any]) -> None:
        if self._serials[name] != serial:
            return
        result, error = None, None
        try:
            result = work()
        except BaseException as problem:  # raised again in the window's thread, where errors are shown
            error = problem
        self._finished.emit(name, serial, result, error)

    def _on_finished(self, name: str, serial: int, result: Any, error: BaseException | None) -> None:
        if self._serials[name] != serial:
            return
        take = self._takers.pop(name)
        if error is not None:
            raise error
        take(result)
