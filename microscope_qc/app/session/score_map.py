"""The score map of a detection: read in the background, repeatedly while the detection is running."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.score_colours import coloured, scale_top
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project.records import RunRecord

LONGEST_PX = 1536
"""About as many as the canvas has: more would take longer to upload and could not be seen."""
AGAIN_MS = 1000
LATER_MS = 120
FINER_FROM_POINTS = 2.0
"""Joined cells larger than this on screen are read one by one in the visible part."""
NO_MAP = (
    "This detection has no score map: its model only marks findings. Models that score the slide tile by tile have one."
)
SELECT = "Select a detection."

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ScorePicture:
    """Pixels (rows, columns, 4) uint8 over the slide, places in full-resolution slide pixels.

    ``origin_px``, ``cell_px`` (y, x): corner of the first pixel and size of each. ``bounds_px``: y0, x0, y1, x1 of what
    is shown of them; the outer cells extend beyond the scan area. ``joined``: each is several cells.
    """

    pixels: np.ndarray
    origin_px: tuple[float, float]
    cell_px: tuple[float, float]
    bounds_px: Bounds
    joined: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read from a run's folder: the classes of its map, None without a map, and the picture asked for."""

    classes: tuple[str, ...] | None
    picture: ScorePicture | None = None
    top: float = 1.0


class ScoreMap(QObject):
    """The detection whose scores are shown over the slide, for which class and how opaque.

    ``changed``: redraw. ``state_changed``: another detection, or whether it has a map.
    """

    changed = Signal()
    state_changed = Signal()

    def __init__(self, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self.run: RunRecord | None = None
        self.why_not = SELECT
        self.classes: tuple[str, ...] = ()
        self.wanted = False
        self.label: int | None = None
        self.strength = 0.4
        self.top = 1.0
        self.whole: ScorePicture | None = None
        self.detail: ScorePicture | None = None
        self._live = False
        self._generation = 0
        self._busy = self._dirty = False
        self._view: tuple[Bounds, float] | None = None
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self.read)
        self._closer = QTimer(self)
        self._closer.setSingleShot(True)
        self._closer.setInterval(LATER_MS)
        self._closer.timeout.connect(self._read_detail)

    @property
    def there(self) -> bool:
        """Whether the detection is known to have a map."""
        return self.run is not None and not self.why_not

    @property
    def shown(self) -> bool:
        """Whether there is something to draw."""
        return self.wanted and self.there and self.whole is not None

    def show_run(self, run: RunRecord | None, *, live: bool = False) -> None:
        """Show another detection; ``live`` while it is running and its map grows."""
        same = run is not None and self.run is not None and run.folder == self.run.folder
        same_pace = live == self._live
        self.run, self._live = run, live
        if same and same_pace:
            return
        if not same:
            self._forget(SELECT if run is None else NO_MAP)
            self.label = None
        self._again.stop()
        self.read()

    def set_wanted(self, wanted: bool) -> None:
        """Switch the layer on or off."""
        if wanted != self.wanted:
            self.wanted = wanted
            self._forget_pictures()
            self.read()

    def set_label(self, label: int | None) -> None:
        """Show the scores of one class, or the highest of all."""
        if label != self.label:
            self.label = label
            self._generation += 1
            self.detail = None
            self.read()

    def set_strength(self, strength: float) -> None:
        """Set the opacity of the layer, 0 to 1."""
        self.strength = min(max(strength, 0.0), 1.0)
        self.changed.emit()

    def set_view(self, bounds: Bounds, zoom: float) -> None:
        """Set the visible part of the slide: y0, x0, y1, x1 in slide pixels, and screen points per slide pixel."""
        self._view = (bounds, zoom)
        if self.shown and self.whole is not None and self.whole.joined:
            self._closer.start()

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the folder of the detection in the background."""
        run = self.run
        if run is None or self._jobs.closed:
            return
        if self._busy:
            self._dirty = True
            return
        self._busy, self._dirty = True, False
        label, wanted = self.label, self.wanted
        generation, begun = self._generation, time.monotonic()
        self._jobs.call(
            lambda: _read(run, label, wanted=wanted),
            on_done=lambda reading: self._on_read(generation, reading, time.monotonic() - begun),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _on_read(self, generation: int, reading: _Reading, seconds: float) -> None:
        self._busy = False
        if self._dirty:
            self.read()
        elif self._live and (self.wanted or reading.classes is None):
            self._again.start(max(AGAIN_MS, round(4000 * seconds)))  # at most a fifth of the time is spent reading
        if generation != self._generation:
            return
        before = (self.why_not, self.classes)
        self.why_not = NO_MAP if reading.classes is None else ""
        self.classes = reading.classes or ()
        if (self.why_not, self.classes) != before:
            self.state_changed.emit()
        if reading.picture is not None and self.wanted:
            self.whole, self.top = reading.picture, reading.top
            self.changed.emit()
            self._read_detail()

    def _on_failed(self, generation: int, error: BaseException) -> None:
        self._busy = False
        if not isinstance(error, MicroscopeQCError):
            raise error
        if generation == self._generation:
            self._forget(str(error))
        if self._dirty:
            self.read()

    def _read_detail(self) -> None:
        """Read single cells in the visible part, if the whole map joins them and the difference is visible."""
        run, whole = self.run, self.whole
        if run is None or whole is None or self._view is None or not self.wanted or self._jobs.closed:
            return
        (y0, x0, y1, x1), zoom = self._view
        if not whole.joined or min(whole.cell_px) * zoom < FINER_FROM_POINTS:
            if self.detail is not None:
                self.detail = None
                self.changed.emit()
            return
        height, width = (y1 - y0) / 4, (x1 - x0) / 4
        region = Region(round(y0 - height), round(x0 - width), round(y1 + height) + 1, round(x1 + width) + 1)
        label, top, generation = self.label, self.top, self._generation
        self._jobs.call(
            lambda: _read(run, label, wanted=True, region=region, top=top).picture,
            on_done=lambda picture: self._on_detail(generation, picture),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _on_detail(self, generation: int, picture: ScorePicture | None) -> None:
        if generation == self._generation and self.wanted:
            self.detail = picture
            self.changed.emit()

    def _forget(self, why_not: str) -> None:
        self.why_not, self.classes = why_not, ()
        self._forget_pictures()
        self.state_changed.emit()

    def _forget_pictures(self) -> None:
        self._generation += 1
        self._again.stop()
        self._closer.stop()
        self.whole = self.detail = None
        self.changed.emit()


def _read(
    run: RunRecord, label: int | None, *, wanted: bool, region: Region | None = None, top: float | None = None
) -> _Reading:
    """Read and colour what a run's folder contains so far (any thread)."""
    from microscope_qc.project.runs.heatmap import HeatMap

    found = HeatMap.open(run.folder)
    if found is None:
        return _Reading(None)
    if not wanted:
        return _Reading(found.card.classes)
    part = found.excerpt(LONGEST_PX, label=label, region=region)
    top = scale_top(part.scores) if top is None else top
    y0, x0, y1, x1 = part.bounds_px
    area = run.plan.region
    bounds = part.bounds_px
    if area is not None:
        bounds = max(y0, area.y0), max(x0, area.x0), min(y1, area.y1), min(x1, area.x1)
    (height, width), step = found.card.cell_px, part.step
    pixels = coloured(part.scores, top=top)
    picture = ScorePicture(pixels, (y0, x0), (height * step, width * step), bounds, step > 1)
    return _Reading(found.card.classes, picture, top)
