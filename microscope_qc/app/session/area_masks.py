"""The scan area of detections on each slide, as a user changed or drew it.

Kept with the project, one entry per slide; not part of undo. Changes are saved after a moment; a project that is open
for reading keeps them for as long as it is open.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.workflows.detection.area import KINDS, area_setting, masks_to_dict, stored_masks

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.core.area_mask import AreaMask
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord

log = logging.getLogger(__name__)

SAVE_MS = 1000
AT_ONCE = 1 << 20
"""Masks with more cells are serialised in another thread."""


class AreaMasks(QObject):
    """The masks of the slide on screen; ``changed`` is also sent when another slide is shown.

    ``leaving`` is sent before that: what is set then still belongs to the previous slide.
    """

    leaving = Signal()
    changed = Signal()

    def __init__(self, session: SessionState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._project: Project | None = None
        self._slide_id: int | None = None
        self._shape = (0, 0)
        self._masks: dict[tuple[int, str], AreaMask | None] = {}
        self._dirty: set[int] = set()
        self._save = QTimer(self)
        self._save.setSingleShot(True)
        self._save.setInterval(SAVE_MS)
        self._save.timeout.connect(self._on_save)
        link(self, session.slide_changed, self._on_slide_changed)
        link(self, session.slides_changed, self._on_slide_changed)
        self._on_slide_changed()

    def get(self, kind: str) -> AreaMask | None:
        """A mask of the slide on screen, None if the user made none."""
        return None if self._slide_id is None else self._masks.get((self._slide_id, kind))

    def set(self, kind: str, mask: AreaMask | None) -> None:
        """Keep another mask for the slide on screen, or none."""
        assert kind in KINDS
        if self._slide_id is None or self._masks.get((self._slide_id, kind)) is mask:
            return
        self._masks[self._slide_id, kind] = mask
        self._dirty.add(self._slide_id)
        if not self._save.isActive():
            self._save.start()
        self.changed.emit()

    def save(self) -> None:
        """Save now what is not stored yet; what cannot be saved is kept in memory, and the user is told."""
        self._save.stop()
        for slide_id in sorted(self._dirty):
            self._store(slide_id, self._entry(slide_id))

    def _on_save(self) -> None:
        """As :meth:`save`, but large masks are serialised in another thread."""
        jobs = self._session.jobs
        for slide_id in sorted(self._dirty):
            masks = self._of(slide_id)
            if jobs is None or sum(mask.scan.size for mask in masks.values() if mask is not None) <= AT_ONCE:
                self._store(slide_id, masks_to_dict(masks))
                continue

            def take(entry: dict[str, Any], slide_id: int = slide_id, masks: Any = masks) -> None:
                if all(self._masks.get((slide_id, kind)) is mask for kind, mask in masks.items()):
                    self._store(slide_id, entry)

            jobs.call(lambda masks=masks: masks_to_dict(masks), on_done=take)  # type: ignore[misc]

    def _of(self, slide_id: int) -> dict[str, AreaMask | None]:
        return {kind: self._masks.get((slide_id, kind)) for kind in KINDS}

    def _entry(self, slide_id: int) -> dict[str, Any]:
        return masks_to_dict(self._of(slide_id))

    def _store(self, slide_id: int, entry: dict[str, Any]) -> None:
        project = self._project
        if project is None or project.read_only or slide_id not in self._dirty:
            return
        try:
            project.settings.set(area_setting(slide_id), entry)
        except MicroscopeQCError as error:
            log.warning("area of slide %s not stored: %s", slide_id, error)
            self._session.notice.emit(f"The scan area of this slide could not be saved: {error}")
            return
        self._dirty.discard(slide_id)

    def _on_slide_changed(self) -> None:
        slide, project = self._session.slide, self._session.project
        here = None if slide is None else slide.id
        if project is self._project and here == self._slide_id and slide is not None and slide.shape_px == self._shape:
            return
        self.leaving.emit()
        self.save()
        if project is not self._project:
            self._masks.clear()
            self._dirty.clear()
            self._project = project
        if slide is not None and here == self._slide_id:  # the same slide, but its file has a different size now
            for kind in KINDS:
                self._masks.pop((slide.id, kind), None)
        self._slide_id = here
        if slide is not None and project is not None:
            self._shape = slide.shape_px
            if (slide.id, KINDS[0]) not in self._masks:
                self._load(project, slide)
        self.changed.emit()

    def _load(self, project: Project, slide: SlideRecord) -> None:
        """Load the stored masks; one that cannot be used counts as none, and the user is told why."""
        masks, problems = stored_masks(project, slide)
        self._masks |= {(slide.id, kind): mask for kind, mask in masks.items()}
        for error in problems.values():
            log.warning("area of slide %s: %s", slide.id, error)
        if problems:
            self._session.notice.emit(str(list(problems.values())[-1]))
