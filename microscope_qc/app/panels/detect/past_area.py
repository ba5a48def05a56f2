"""The scan area of a past detection, shown over the slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QPushButton, QWidget

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import share_text
from microscope_qc.project.runs.mask_files import has_mask, read_mask

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.panels.detect.area import AreaSection
    from microscope_qc.app.panels.detect.runs import RunList
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import RunRecord
    from microscope_qc.project.runs.plan import RunPlan


class PastAreaButton(QPushButton):
    """Shows and hides the mask of the selected detection."""

    def __init__(
        self, session: Session, jobs: JobRunner, runs: RunList, area: AreaSection, parent: QWidget | None = None
    ) -> None:
        super().__init__("Show its scan area", parent)
        self._session, self._jobs, self._area = session, jobs, area
        self._run: RunRecord | None = None
        self.setCheckable(True)
        self.hide()
        self.toggled.connect(self._on_toggled)
        runs.run_selected.connect(self._on_run_selected)
        area.show_area.toggled.connect(self._on_area_toggled)
        self._on_run_selected(runs.selected_run())

    def _on_run_selected(self, run: RunRecord | None) -> None:
        other = (run.id if run is not None else None) != (self._run.id if self._run is not None else None)
        self._run = run
        self.setEnabled(run is not None)
        self.setToolTip("What it left out is covered by a grey veil" if run is not None else "Select a detection.")
        if other and self.isChecked():
            self.setChecked(False)

    def _on_area_toggled(self, shown: bool) -> None:
        if shown:
            self.setChecked(False)

    def _on_toggled(self, shown: bool) -> None:
        self.setText("Hide its scan area" if shown else "Show its scan area")
        view = self._area.view
        if view is None:
            return
        if not shown:
            if not self._area.show_area.isChecked():
                view.hide()
            return
        run = self._run
        if run is None:
            self.setChecked(False)
            return
        self._area.hide_area()
        self._jobs.call(
            lambda: scan_area_of(run.folder, run.plan),
            on_done=lambda made: self._on_read(run, *made),
            on_failed=lambda error: self._on_failed(run, error),
        )

    def _on_read(self, run: RunRecord, mask: AreaMask | None, words: str) -> None:
        if not self.isChecked() or self._run is None or self._run.id != run.id:
            return
        self._session.notice.emit(words)
        if mask is None or self._area.view is None:
            self.setChecked(False)
        else:
            self._area.view.show(mask)

    def _on_failed(self, run: RunRecord, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        if self._run is not None and self._run.id == run.id:
            self.setChecked(False)
        self._session.notice.emit(str(error))


def scan_area_of(folder: Path, plan: RunPlan) -> tuple[AreaMask | None, str]:
    """Return the scan area of a detection, None if there is nothing to show, and a sentence about it.

    Raises
    ------
    ProjectError
        If its mask is damaged, or its plan has no tiles.
    """
    if not has_mask(folder):
        return None, "This detection has not started scanning."
    grid = plan.grid()
    mask = read_mask(folder)
    if mask is None:
        whole = AreaMask(grid.region, (float(grid.region.shape[0]), float(grid.region.shape[1])), np.ones((1, 1), bool))
        return whole, "This detection scanned everything in its area."
    share = share_text(mask.share(grid.region))
    return within(mask, grid.region), f"This detection scanned {share} of its area."


def within(mask: AreaMask, region: Region) -> AreaMask:
    """A mask without the cells outside a region."""
    scan = np.zeros_like(mask.scan)
    parts = []
    for axis, (start, stop) in enumerate(((region.y0, region.y1), (region.x0, region.x1))):
        corner, side = (mask.region.y0, mask.region.x0)[axis], mask.cell_px[axis]
        parts.append(slice(max(0, int((start - corner) // side)), max(0, -int(-(stop - corner) // side))))
    here = (parts[0], parts[1])
    scan[here] = mask.scan[here]
    return AreaMask(mask.region, mask.cell_px, scan)
