"""Opening the pixels of slides, in the background if there is a job runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.app.session.slide_pool import SlidePool
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides import Mosaic


class SlidePixels:
    """Opens slides of a project through their pool, and reports only on the slide that was requested last.

    Parameters
    ----------
    on_opened, on_failed
        Called with the mosaic of that slide, or with the reason why it cannot be opened.
    """

    def __init__(self, on_opened: Callable[[Mosaic], None], on_failed: Callable[[MicroscopeQCError], None]) -> None:
        self._on_opened, self._on_failed = on_opened, on_failed
        self.pool = SlidePool(open_mosaic)
        self._asked = 0

    def open(self, slide: SlideRecord, jobs: JobRunner | None) -> None:
        """Open a slide, at once without a runner; results for slides requested earlier are not reported."""
        self.leave()
        opened = self.pool.opened(slide)
        if opened is not None:
            self._on_opened(opened)
            return
        asked = self._asked

        def take(mosaic: Mosaic) -> None:
            if asked == self._asked:
                self._on_opened(mosaic)

        def fail(error: BaseException) -> None:
            if asked != self._asked:
                return
            if not isinstance(error, MicroscopeQCError):
                raise error
            self._on_failed(error)

        if jobs is not None:
            jobs.call(lambda: self.pool.get(slide), on_done=take, on_failed=fail)
            return
        try:
            mosaic = self.pool.get(slide)
        except MicroscopeQCError as error:
            fail(error)
        else:
            take(mosaic)

    def open_ahead(self, slide: SlideRecord, jobs: JobRunner) -> None:
        """Open in the background a slide that will be on screen soon; errors wait until it is."""
        if self.pool.opened(slide) is None and not slide.missing:
            jobs.call(lambda: self.pool.get(slide), on_failed=lambda _: None)

    def keep(self, slide: SlideRecord, mosaic: Mosaic) -> None:
        """Keep the mosaic of a slide that was opened elsewhere."""
        self.pool.keep(slide, mosaic)

    def leave(self) -> None:
        """Do not report on slides that are still being opened."""
        self._asked += 1

    def forget(self, slide_id: int) -> None:
        """Open a slide again when it is next shown: its file changed, or it was removed."""
        self.pool.forget(slide_id)

    def forget_all(self) -> None:
        """Forget all slides for a new project: one of the old project must not be taken for one of the new."""
        self.leave()
        self.pool.forget_all()


def open_mosaic(slide: SlideRecord) -> Mosaic:
    """Open the scene of a slide record (only metadata is read; may run in a worker thread)."""
    from microscope_qc.slides import open_slide

    opened = open_slide(slide.path, pixel_size_um=slide.pixel_size_um, orientation=slide.orientation)
    return opened.scene(slide.scene)
