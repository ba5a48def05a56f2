"""The scan area of a detection: found in the background, shown over the slide, and edited there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.app.session.session import Session

log = logging.getLogger(__name__)

PAINTED_MS = 60
"""What was painted is counted and kept after this delay."""

Place = tuple[int, tuple[int, int], tuple[float, float]]
"""Slide, its size, and the model's pixels on it: the result depends on nothing else."""


class MaterialFinder(QObject):
    """Finds material, once for every slide and model; ``changed`` is sent when the result is known."""

    changed = Signal()

    def __init__(self, session: Session, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._found: dict[Place, AreaMask | None] = {}
        self._finding: set[Place] = set()
        self.problem = ""
        link(self, session.project_changed, self._on_project_changed)

    def _place(self, card: Any | None) -> Place | None:
        slide = self._session.slide
        if card is None or slide is None or lacks_pixel_size(card, slide.pixel_size_um):
            return None
        return slide.id, slide.shape_px, slide_scale(card.pixel_size_um, slide.pixel_size_um)

    def known(self, card: Any | None) -> bool:
        """Whether the result is known for the slide on screen."""
        return self._place(card) in self._found

    def finding(self, card: Any | None) -> bool:
        """Whether the search is running."""
        return self._place(card) in self._finding

    def mask(self, card: Any | None) -> AreaMask | None:
        """The mask found; None while it is not known, or if nothing is left out."""
        place = self._place(card)
        return None if place is None else self._found.get(place)

    def find(self, card: Any | None) -> None:
        """Find material in the background."""
        place, mosaic = self._place(card), self._session.mosaic
        if place is None or mosaic is None or place in self._found or place in self._finding:
            return
        from microscope_qc.slides.material import material_job

        slide = self._session.slide
        self.problem = ""
        self._finding.add(place)
        finding = self._finding

        def end(problem: str = "") -> None:
            if finding is self._finding:  # no other project was opened meanwhile
                finding.discard(place)
                self.problem = problem
                self.changed.emit()

        def take(mask: AreaMask | None) -> None:
            if finding is self._finding:
                self._found[place] = mask
            end()

        def fail(error: BaseException) -> None:
            if not isinstance(error, MicroscopeQCError):
                log.error("finding material failed", exc_info=error)
            end(f"Resin and empty area could not be found: {error}")

        self._jobs.run(
            material_job(mosaic, Region(0, 0, *place[1]), scale=place[2]),
            f"Looking for resin on {slide.name if slide is not None else ''}".strip(),
            on_done=take,
            on_failed=fail,
            on_cancelled=lambda: end("Stopped. The scan area is not known."),
        )

    def _on_project_changed(self) -> None:
        self._found, self._finding, self.problem = {}, set(), ""


class ScanAreaView(QObject):
    """Shows a mask over the canvas and lets the user edit it.

    ``painted`` carries the edited mask, shortly after each change; ``back_requested`` asks for the initial mask;
    ``finished`` is sent when the user is done.
    """

    painted = Signal(object)
    back_requested = Signal()
    finished = Signal()

    def __init__(self, canvas: Canvas) -> None:
        from microscope_qc.app.canvas.area.mask_bar import MaskBar
        from microscope_qc.app.canvas.area.mask_editing import MaskEditing
        from microscope_qc.app.canvas.area.mask_layer import MaskLayer

        super().__init__(canvas)
        self._canvas = canvas
        self.layer = MaskLayer(canvas)
        self.editing = MaskEditing(canvas, self.layer)
        self.bar = MaskBar(self.editing, canvas)
        layout = canvas.layout()
        if layout is not None:
            layout.insertWidget(0, self.bar)  # type: ignore[attr-defined]
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PAINTED_MS)
        self._soon.timeout.connect(self._tell)
        self._told = True
        self.editing.changed.connect(self._on_changed)
        self.editing.ending.connect(self.catch_up)
        self.editing.finished.connect(self.finished)
        self.bar.back_requested.connect(self.back_requested)

    @property
    def active(self) -> bool:
        """Whether a mask is being edited."""
        return self.editing.active

    def show(self, mask: AreaMask) -> None:
        """Show a mask over the slide on screen, unless one is being edited."""
        slide = self._canvas.session.slide
        if slide is not None and not self.active and self.layer.mask is not mask:
            self.layer.show(mask, slide.shape_px)

    def hide(self) -> None:
        """Show no mask."""
        self.finish()
        self.layer.hide()

    def change(self, mask: AreaMask, *, rectangles: bool) -> None:
        """Let the user edit a mask: drawn regions by rectangles, a mask that was found by a brush."""
        if rectangles:
            self.bar.begin(back="Remove all regions", tip="Start again with an empty area")
        else:
            self.bar.begin(back="Back to what the program found", tip="Discards all your changes")
        self.editing.begin(mask, tool="rectangle" if rectangles else "brush", add=rectangles)
        self._told = True
        if not self.active:
            self.bar.hide()

    def replace(self, mask: AreaMask) -> None:
        """Replace the mask that is being edited, as one step."""
        paint = self.editing.paint
        if paint is not None and paint.scan.shape == mask.scan.shape:
            self.editing.replace(mask)
        elif paint is not None:  # of another model, with other cells
            self.change(mask, rectangles=self.editing.tool == "rectangle")
            self._on_changed()

    def catch_up(self) -> None:
        """Send what was painted now."""
        if not self._told:
            self._soon.stop()
            self._tell()

    def finish(self) -> None:
        """End the editing; everything that was painted is kept."""
        self.editing.finish()

    def say(self, words: str) -> None:
        """Set the text of the bar."""
        self.bar.words.setText(words)

    def _on_changed(self) -> None:
        self._told = False
        self._soon.start()

    def _tell(self) -> None:
        paint = self.editing.paint
        self._told = True
        if paint is not None and not paint.stroke_under_way:
            self.painted.emit(paint.mask)
        elif paint is not None:
            self._on_changed()
