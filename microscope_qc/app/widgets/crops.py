"""Crops for gallery and review: read by worker threads and kept in a bounded cache; the window never waits for them."""

from __future__ import annotations

import heapq
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from qtpy.QtCore import QObject, Qt, QTimer, Signal, Slot
from qtpy.QtGui import QImage

from microscope_qc.core.geometry import Region
from microscope_qc.slides.tile_cache import TileSource

if TYPE_CHECKING:
    from microscope_qc.app.session.slide_view import SlideView
    from microscope_qc.slides import Mosaic
    from microscope_qc.slides.display import DisplaySettings

logger = logging.getLogger(__name__)

CONTEXT = 0.6
"""Margin around a box as a share of its longer side."""
MIN_SIDE_PX = 40
"""A smaller region would show single pixels and no surroundings."""
DISPLAY_MS = 120
"""Crops follow brightness and contrast after this delay: the canvas goes first."""
MISSING = "slide not found"
SOURCES_KEPT = 8
SIZES_PX = (128, 192, 256, 384, 512, 768, 1024, 1600, 2400)
"""Crops are read in these sizes, so that most of them are in the cache when the size slider moves."""


@dataclass(frozen=True, slots=True)
class CropSpec:
    """What to read: a region of a slide in full-resolution pixels, and the size of the picture (height, width).

    ``slide_id`` is a slide of the project; 0 is the mosaic that :meth:`CropProvider.set_mosaic` was given.
    """

    region: Region
    shape_px: tuple[int, int]
    slide_id: int = 0

    @classmethod
    def around(
        cls,
        box: tuple[float, float, float, float],
        *,
        shape_px: tuple[int, int],
        context: float = CONTEXT,
        within: tuple[int, int] | None = None,
        slide_id: int = 0,
    ) -> CropSpec:
        """Region with the picture's proportions that contains a box (y0, x0, y1, x1) and its surroundings.

        ``within`` is the slide's shape: the region is moved onto the slide if possible, and the box is then
        off centre. Without it the box is always in the middle.
        """
        y0, x0, y1, x1 = box
        margin = 2.0 * context * max(y1 - y0, x1 - x0, 1.0)
        height, width = y1 - y0 + margin, x1 - x0 + margin
        aspect = shape_px[1] / shape_px[0]
        height = max(height, width / aspect, MIN_SIDE_PX)
        width = height * aspect
        top, left = round((y0 + y1 - height) / 2), round((x0 + x1 - width) / 2)
        rows, columns = max(1, round(height)), max(1, round(width))
        if within is not None:
            top, left = _moved(top, rows, within[0]), _moved(left, columns, within[1])
        region = Region(top, left, top + rows, left + columns)
        return cls(region, _picture_shape(region.shape, shape_px), slide_id)

    @classmethod
    def whole(cls, slide_shape: tuple[int, int], *, longest_px: int, slide_id: int = 0) -> CropSpec:
        """Return the whole slide as a thumbnail."""
        height, width = slide_shape
        scale = min(1.0, longest_px / max(height, width, 1))
        shape = max(1, round(height * scale)), max(1, round(width * scale))
        return cls(Region(0, 0, height, width), shape, slide_id)


def _moved(start: int, length: int, limit: int) -> int:
    """Start of an interval moved into [0, limit); one that is longer is centred on it."""
    return min(max(start, 0), limit - length) if length <= limit else (limit - length) // 2


def _picture_shape(region_shape: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Never more pixels than the region has: enlarging is cheaper in the painter than in the reader."""
    longest = next((size for size in SIZES_PX if size >= max(wanted)), SIZES_PX[-1])
    scale = min(1.0, longest / max(region_shape))
    return max(1, round(region_shape[0] * scale)), max(1, round(region_shape[1] * scale))


class Readable(Protocol):
    """What crops are cut from."""

    def read_scaled(
        self, region_level0: Region, shape: tuple[int, int], /, *, display: DisplaySettings | None = None
    ) -> np.ndarray:
        """As :meth:`Mosaic.read_scaled`, with the user's display settings."""


@dataclass(frozen=True, slots=True)
class CropImage:
    """A picture, or the reason why it is missing."""

    image: QImage | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class CropSlide:
    """A slide of the project that crops are cut from.

    ``open_slide`` runs in a worker; ``place`` is another one when the file is; a ``missing`` file is not looked for.
    """

    open_slide: Callable[[], Mosaic]
    place: Hashable
    display: DisplaySettings | None = None
    missing: bool = False


SlideLookup = Callable[[int], CropSlide | None]
"""Finds a slide of the project by its id (window's thread)."""


class CropProvider(QObject):
    """Reads crops of the slides of a project, or of one mosaic.

    :meth:`get` answers from the cache or returns None and reads in the background; ``ready`` then carries the specs
    that arrived. The latest requests are read first; requests made in the same turn of the event loop keep their
    order. A change of a slide or its display starts a new generation: older replies for it are dropped.

    Parameters
    ----------
    source_of
        Makes the reader of a slide: by default its tiles, through the cache shared by canvas and gallery.
    """

    ready = Signal(object)
    _arrived = Signal()

    def __init__(
        self,
        parent: QObject | None = None,
        *,
        cache_bytes: int = 96 << 20,
        workers: int = 2,
        source_of: Callable[[Mosaic], Readable] = TileSource,
    ) -> None:
        super().__init__(parent)
        self._source_of = source_of
        self._source: Readable | None = None
        self._cache: OrderedDict[CropSpec, CropImage] = OrderedDict()
        self._cache_bytes = 0
        self._cache_limit = cache_bytes
        self._condition = threading.Condition()
        self._mosaic: Mosaic | None = None
        self._generation = 0
        self._since: dict[int, int] = {}  # by slide: replies of generations before are dropped
        self._lookup: SlideLookup = lambda _: None
        self._slides: dict[int, CropSlide] = {}
        self._sources: OrderedDict[int, tuple[Mosaic, Readable]] = OrderedDict()
        self._queue: list[tuple[int, int, CropSpec]] = []
        self._wanted: dict[CropSpec, int] = {}
        self._reading: set[CropSpec] = set()
        self._pass = 0
        self._sequence = 0
        self._replies: deque[tuple[int, CropSpec, CropImage]] = deque()
        self._slide_view: SlideView | None = None
        self._display: DisplaySettings | None = None
        self._old: set[CropSpec] = set()  # cached with other display settings: shown until the new ones are there
        self._display_soon = QTimer(self)
        self._display_soon.setSingleShot(True)
        self._display_soon.setInterval(DISPLAY_MS)
        self._display_soon.timeout.connect(self._take_display)
        self._stopped = False
        self._threads: list[threading.Thread] = []
        self._worker_count = workers
        self._new_pass = QTimer(self)
        self._new_pass.setSingleShot(True)
        self._new_pass.timeout.connect(self._on_new_pass)
        self._arrived.connect(self._on_arrived, Qt.ConnectionType.QueuedConnection)
        # a bound method would be disconnected before the signal is sent
        self.destroyed.connect(lambda: self._stop())  # noqa: PLW0108

    @property
    def generation(self) -> int:
        """Number of changes of the slide or its display so far."""
        return self._generation

    @property
    def cached_bytes(self) -> int:
        """Memory used by the cached pictures."""
        return self._cache_bytes

    @property
    def waiting(self) -> int:
        """Number of unanswered requests."""
        with self._condition:
            return len(self._wanted)

    def set_mosaic(self, mosaic: Mosaic | None) -> None:
        """Cut crops without a slide id from another mosaic (or none): drops theirs, also those that are being read."""
        with self._condition:
            if mosaic is self._mosaic:
                return
            self._mosaic = mosaic
            self._source = None if mosaic is None else self._source_of(mosaic)
        self._drop({0})
        self._take_display()

    def set_slides(self, lookup: SlideLookup) -> None:
        """Cut crops with a slide id from the slides of a project."""
        self._lookup = lookup
        self.forget_slides()

    def forget_slides(self) -> None:
        """Drop the crops of all slides: another project is open."""
        self._drop({spec.slide_id for spec in (*self._cache, *self._wanted)} - {0})
        self._slides.clear()
        with self._condition:
            self._sources.clear()

    @Slot()
    def refresh_slides(self) -> None:
        """Drop the crops of slides whose file is another one now, was found again, or is missing."""
        changed = set()
        for number, before in list(self._slides.items()):
            now = self._lookup(number)
            if now is None or (now.place, now.missing) != (before.place, before.missing):
                changed.add(number)
                self._slides.pop(number)
        gone = [spec for spec in self._cache if spec.slide_id in changed]
        self._drop(changed)
        if gone:
            self.ready.emit(gone)

    def _drop(self, slide_ids: set[int]) -> None:
        """Drop the crops of some slides, and what is being read for them."""
        self._begin_again(slide_ids)
        for spec in [spec for spec in self._cache if spec.slide_id in slide_ids]:
            self._cache_bytes -= _size(self._cache.pop(spec))
            self._old.discard(spec)

    def _begin_again(self, slide_ids: set[int]) -> None:
        """What has not arrived yet for some slides is not wanted any more."""
        with self._condition:
            self._generation += 1
            self._since.update(dict.fromkeys(slide_ids, self._generation))
            self._queue = [entry for entry in self._queue if entry[2].slide_id not in slide_ids]
            heapq.heapify(self._queue)
            for spec in [spec for spec in self._wanted if spec.slide_id in slide_ids]:
                del self._wanted[spec]
            self._reading = {spec for spec in self._reading if spec.slide_id not in slide_ids}
            for number in slide_ids & self._sources.keys():
                del self._sources[number]

    def follow(self, slide_view: SlideView) -> None:
        """Show crops with the display settings of the slide: brightness, contrast, channels, white balance."""
        self._slide_view = slide_view
        slide_view.display_changed.connect(self._on_display_changed)
        self._take_display()

    @Slot(object)
    def _on_display_changed(self, _display: object) -> None:
        if not self._display_soon.isActive():
            self._display_soon.start()

    @Slot()
    def _take_display(self) -> None:
        self._display_soon.stop()
        view = self._slide_view
        display = None if view is None or view.display.neutral else view.display
        changed = set() if display == self._display else {0}
        for number, before in list(self._slides.items()):
            now = self._lookup(number)
            if now is not None and now.display != before.display:
                self._slides[number] = now
                changed.add(number)
        if not changed:
            return
        self._begin_again(changed)
        with self._condition:
            self._display = display
        old = [spec for spec in self._cache if spec.slide_id in changed]
        self._old.update(old)
        if old:
            self.ready.emit(old)  # views that show one request it again

    def get(self, spec: CropSpec) -> CropImage | None:
        """Crop from the cache, or None after asking the workers for it. Window's thread; never waits."""
        crop = self._cache.get(spec)
        if crop is not None:
            self._cache.move_to_end(spec)
            if spec in self._old:
                self._request(spec)
            return crop
        if spec.slide_id:
            slide = self._slide(spec.slide_id)
            if slide is None or slide.missing:
                return CropImage(None, MISSING)
        self._request(spec)
        return None

    def _slide(self, slide_id: int) -> CropSlide | None:
        known = self._slides.get(slide_id)
        if known is None:
            known = self._lookup(slide_id)
            if known is not None:
                self._slides[slide_id] = known
        return known

    def forget_waiting(self) -> None:
        """Drop the requests that no worker has started (the view scrolled away)."""
        with self._condition:
            for spec in [spec for spec in self._wanted if spec not in self._reading]:
                del self._wanted[spec]
            self._queue.clear()

    def close(self) -> None:
        """Stop the workers and wait for reads in progress."""
        self._stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _request(self, spec: CropSpec) -> None:
        if not self._new_pass.isActive():
            self._new_pass.start(0)
        with self._condition:
            if self._stopped or spec in self._reading or self._wanted.get(spec) == self._pass:
                return
            if self._mosaic is None if spec.slide_id == 0 else spec.slide_id not in self._slides:
                return
            self._wanted[spec] = self._pass
            self._sequence += 1
            heapq.heappush(self._queue, (-self._pass, self._sequence, spec))
            self._condition.notify()
        if not self._threads:
            self._start()

    def _start(self) -> None:
        for number in range(self._worker_count):
            thread = threading.Thread(target=self._work, name=f"crops-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    @Slot()
    def _on_new_pass(self) -> None:
        self._pass += 1

    def _next(self) -> tuple[int, Callable[[], Readable], DisplaySettings | None, CropSpec] | None:
        with self._condition:
            while True:
                if self._stopped:
                    return None
                while self._queue:
                    negative_pass, _, spec = heapq.heappop(self._queue)
                    # a spec that was asked for again later has a newer entry: only that one counts
                    if self._wanted.get(spec) != -negative_pass:
                        continue
                    slide = self._slides.get(spec.slide_id)
                    if slide is not None:
                        self._reading.add(spec)
                        return self._generation, partial(self._source_for, spec.slide_id, slide), slide.display, spec
                    if spec.slide_id == 0 and self._source is not None:
                        self._reading.add(spec)
                        return self._generation, partial(_same, self._source), self._display, spec
                self._condition.wait()

    def _source_for(self, slide_id: int, slide: CropSlide) -> Readable:
        """The reader of a slide, which is opened if it is not open (worker)."""
        mosaic = slide.open_slide()
        with self._condition:
            known = self._sources.get(slide_id)
            if known is None or known[0] is not mosaic:
                known = self._sources[slide_id] = mosaic, self._source_of(mosaic)
            self._sources.move_to_end(slide_id)
            while len(self._sources) > SOURCES_KEPT:
                self._sources.popitem(last=False)
        return known[1]

    def _work(self) -> None:
        while (task := self._next()) is not None:
            generation, source, display, spec = task
            how = {} if display is None else {"display": display}
            try:
                crop = CropImage(to_image(source().read_scaled(spec.region, spec.shape_px, **how)))
            except (
                Exception
            ) as error:  # a worker must survive any unreadable tile; the cell shows that it cannot be read
                logger.info("crop %s: %s", spec.region, error)
                crop = CropImage(None, str(error) or type(error).__name__)
            with self._condition:
                if self._stopped:
                    return
                first = not self._replies
                self._replies.append((generation, spec, crop))
            if first:
                try:
                    self._arrived.emit()
                except RuntimeError:  # the window was closed between the read and the reply
                    return

    @Slot()
    def _on_arrived(self) -> None:
        arrived: list[CropSpec] = []
        with self._condition:
            replies = list(self._replies)
            self._replies.clear()
            for generation, spec, _ in replies:
                if generation >= self._since.get(spec.slide_id, 0):
                    self._wanted.pop(spec, None)
                    self._reading.discard(spec)
        for generation, spec, crop in replies:
            if generation >= self._since.get(spec.slide_id, 0):
                self._keep(spec, crop)
                arrived.append(spec)
        if arrived:
            self.ready.emit(arrived)

    def _keep(self, spec: CropSpec, crop: CropImage) -> None:
        self._old.discard(spec)
        old = self._cache.pop(spec, None)
        self._cache_bytes += _size(crop) - (_size(old) if old is not None else 0)
        self._cache[spec] = crop
        while self._cache_bytes > self._cache_limit and len(self._cache) > 1:
            gone, dropped = self._cache.popitem(last=False)
            self._old.discard(gone)
            self._cache_bytes -= _size(dropped)


def _same(source: Readable) -> Readable:
    return source


def _size(crop: CropImage) -> int:
    return 256 + (crop.image.sizeInBytes() if crop.image is not None else 0)


def to_image(pixels: np.ndarray) -> QImage:
    """Return RGB pixels (h, w, 3) as a picture that owns its memory."""
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    height, width = pixels.shape[:2]
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    # RGB32 is what the raster painter draws without converting; the conversion also copies out of numpy's memory
    return image.convertToFormat(QImage.Format.Format_RGB32)
