"""Opening the pixels of slides, in the background if there is a job runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides import Mosaic


class SlidePixels:
    """Opens each slide of a project once, and reports only on the slide that was requested last.

    Parameters
    ----------
    on_opened, on_failed
        Called with the mosaic of that slide, or with the reason why it cannot be opened.
    """

    def __init__(self, on_opened: Callable[[Mosaic], None], on_failed: Callable[[MicroscopeQCError], None]) -> None:
        self._on_opened, self._on_failed = on_opened, on_failed
        self._opened: dict[int, Mosaic] = {}
        self._asked = 0

    def open(self, slide: SlideRecord, jobs: JobRunner | None) -> None:
        """Open a slide, at once without a runner; results for slides requested earlier are not reported."""
        self.leave()
        if slide.id in self._opened:
            self._on_opened(self._opened[slide.id])
            return
        asked, opened = self._asked, self._opened

        def take(mosaic: Mosaic) -> None:
            opened[slide.id] = mosaic
            if asked == self._asked:
                self._on_opened(mosaic)

        def fail(error: BaseException) -> None:
            if asked != self._asked:
                return
            if not isinstance(error, MicroscopeQCError):
                raise error
            self._on_failed(error)

        if jobs is not None:
            jobs.call(lambda: open_mosaic(slide), on_done=take, on_failed=fail)
            return
        try:
            mosaic = open_mosaic(slide)
        except MicroscopeQCError as error:
            fail(error)
        else:
            take(mosaic)

    def keep(self, slide_id: int, mosaic: Mosaic) -> None:
        """Keep the mosaic of a slide that was opened elsewhere."""
        self._opened[slide_id] = mosaic

    def leave(self) -> None:
        """Do not report on slides that are still being opened."""
        self._asked += 1

    def forget(self, slide_id: int) -> None:
        """Open a slide again when it is next shown: its file changed, or it was removed."""
        self._opened.pop(slide_id, None)

    def forget_all(self) -> None:
        """Forget all slides for a new project: one of the old project must not be taken for one of the new."""
        self.leave()
        self._opened = {}


def open_mosaic(slide: SlideRecord) -> Mosaic:
    """Open the scene of a slide record (only metadata is read; may run in a worker thread)."""
    from microscope_qc.slides import open_slide

    size = slide.pixel_size_um
    opened = open_slide(slide.path, pixel_size_um=None if size is None else float(size[0]))
    return opened.scene(slide.scene)
