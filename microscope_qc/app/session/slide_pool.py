"""Slides that are open: a few of those used last, shared by the canvas and by whatever cuts crops. No Qt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides import Mosaic

MOST_OPEN = 48
"""Further slides are closed; those that are in use (on the canvas) stay open until they are not. The strip of the
review page and what is read ahead fit in it, each on a slide of its own: else every slide is opened twice."""

_Place = tuple[int, Path, str | None]


class SlidePool:
    """Opens each slide once, in the thread that asks for it; others that ask meanwhile wait for the same.

    Parameters
    ----------
    open_slide
        Opens the scene of a record.
    """

    def __init__(self, open_slide: Callable[[SlideRecord], Mosaic], *, most: int = MOST_OPEN) -> None:
        self._open_slide = open_slide
        self._most = most
        self._lock = threading.Lock()
        self._open: OrderedDict[_Place, Future[Mosaic]] = OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)

    def get(self, slide: SlideRecord) -> Mosaic:
        """Return an open slide (any thread; may wait for the file).

        Raises
        ------
        MicroscopeQCError
            When it cannot be opened. The next call tries again.
        """
        place = _place(slide)
        with self._lock:
            future = self._open.get(place)
            mine = future is None
            if future is None:
                future = self._open[place] = Future()
            self._open.move_to_end(place)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        if mine:
            try:
                future.set_result(self._open_slide(slide))
            except BaseException as error:  # for those that wait too
                with self._lock:
                    if self._open.get(place) is future:
                        del self._open[place]
                future.set_exception(error)
        return future.result()

    def opened(self, slide: SlideRecord) -> Mosaic | None:
        """Return a slide if it is open already; never waits."""
        with self._lock:
            future = self._open.get(_place(slide))
            if future is None or not future.done() or future.exception() is not None:
                return None
            self._open.move_to_end(_place(slide))
            return future.result()

    def keep(self, slide: SlideRecord, mosaic: Mosaic) -> None:
        """Keep a slide that was opened elsewhere."""
        future: Future[Mosaic] = Future()
        future.set_result(mosaic)
        with self._lock:
            self._open[_place(slide)] = future

    def forget(self, slide_id: int) -> None:
        """Open a slide again when it is next asked for: its file changed, or it was removed."""
        with self._lock:
            for place in [place for place in self._open if place[0] == slide_id]:
                del self._open[place]

    def forget_all(self) -> None:
        """Forget all slides: those of another project have the same numbers."""
        with self._lock:
            self._open.clear()


def _place(slide: SlideRecord) -> _Place:
    return slide.id, slide.path, slide.scene
