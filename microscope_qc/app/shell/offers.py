"""What the window offers to do next, one after the other in a quiet bar: nothing waits for an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from microscope_qc.app.shell.conversion import OfferBar

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session


@dataclass(frozen=True, slots=True)
class _Offer:
    words: str
    button: str
    accept: Callable[[], None]
    later: Callable[[], None]


class Offers(QObject):
    """Keeps further offers until the one in the bar is answered; those about a closed project are dropped."""

    def __init__(self, session: Session) -> None:
        self.bar = OfferBar(icon="image-multiple-outline")
        super().__init__(self.bar)
        self._session = session
        self._waiting: deque[_Offer] = deque()
        self._shown = False
        session.project_changed.connect(self.clear)

    def offer(
        self, words: str, button: str, accept: Callable[[], None], later: Callable[[], None] = lambda: None
    ) -> None:
        """Offer a step now, or after those that were offered before."""
        self._waiting.append(_Offer(words, button, accept, later))
        if not self._shown:
            self._next()

    def clear(self) -> None:
        """Forget all offers."""
        self._waiting.clear()
        self._shown = False
        self.bar.hide()

    def _next(self) -> None:
        self._shown = bool(self._waiting)
        if self._shown:
            offer = self._waiting.popleft()
            self.bar.offer(
                offer.words, offer.button, lambda: self._answer(offer.accept), lambda: self._answer(offer.later)
            )

    def _answer(self, action: Callable[[], None]) -> None:
        self._next()
        action()
