"""Where the crops of a project's findings are read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.crops import CropProvider, CropSlide
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from microscope_qc.app.session.session import Session
    from microscope_qc.slides import Mosaic


def follow_slides(owner: QObject, crops: CropProvider, session: Session) -> None:
    """Let crops be cut from the slides of the session's project, with the display settings of each."""
    crops.set_slides(partial(_crop_slide, session))
    crops.follow(session.slide_view)
    link(owner, session.project_changed, crops.forget_slides)
    for signal in (session.slides_changed, session.mosaic_changed):
        link(owner, signal, crops.refresh_slides)


def _crop_slide(session: Session, slide_id: int) -> CropSlide | None:
    """How a slide is opened: that on screen is open already, or cannot be."""
    if session.project is None:
        return None
    try:
        record = session.project.slides.by_id(slide_id)
    except InputError:
        return None
    display = session.slide_view.display_of(slide_id)
    pool = session.pool

    def open_slide() -> Mosaic:
        return pool.get(record)

    place = record.path, record.scene, record.fingerprint
    return CropSlide(open_slide, place, None if display.neutral else display, record.missing)
