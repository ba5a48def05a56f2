"""Which picture of a stack and which channels a detection looks at: those that the window shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides.display import DisplaySettings
    from microscope_qc.slides.plane import Plane


class PlaneOnScreen:
    """The planes of slides as they are shown; None is the one that is read without a choice."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def words(self, *, several: bool) -> str:
        """What a detection would look at; nothing of an ordinary slide."""
        from microscope_qc.slides.plane_choice import plane_words, shown_plane

        mosaic = self._session.mosaic
        words = "" if mosaic is None else plane_words(mosaic, shown_plane(mosaic, self._session.slide_view.display))
        if not words:
            return ""
        return "Looks at every slide as it is shown." if several else f"Looks at what is shown: {words}."

    def of_slide(self) -> Plane | None:
        """The plane of the slide on screen."""
        from microscope_qc.slides.plane_choice import default_plane, shown_plane

        mosaic = self._session.mosaic
        if mosaic is None:
            return None
        shown = shown_plane(mosaic, self._session.slide_view.display)
        return None if shown == default_plane(mosaic) else shown

    def of_each(self, slides: Sequence[SlideRecord]) -> Callable[[SlideRecord], Plane | None]:
        """What says the plane of each of some slides; only those are opened of which another one is shown."""
        from microscope_qc.slides.plane_choice import default_plane, shown_plane
        from microscope_qc.workflows.scenes import open_scene

        view = self._session.slide_view
        displays = {slide.id: display for slide in slides if _chosen(display := view.display_of(slide.id))}

        def plane_of(slide: SlideRecord) -> Plane | None:
            if slide.id not in displays:
                return None
            with open_scene(slide) as mosaic:
                shown = shown_plane(mosaic, displays[slide.id])
                return None if shown == default_plane(mosaic) else shown

        return plane_of

    @property
    def opening(self) -> bool:
        """Whether a plane was chosen of a slide that is still being opened."""
        session = self._session
        return session.mosaic is None and session.mosaic_error is None and _chosen(session.slide_view.display)


def _chosen(display: DisplaySettings) -> bool:
    """Whether display settings may show another plane than the one that is read without a choice."""
    return bool(display.place.to_dict()) or any(view.visible is not None for view in display.channels)
