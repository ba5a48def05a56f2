"""Which findings of several slides are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.app.session.merged import MergedTable
from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.app.session.slide_facts import facts_of
from microscope_qc.core.boxes import BoxFilter

if TYPE_CHECKING:
    from microscope_qc.core.arrays import Flags
    from microscope_qc.project import Project


class ShownInScope(ShownBoxes):
    """Which findings of several slides are shown; the limit is that of the slide on screen."""

    def __init__(self, on_screen: ShownBoxes) -> None:
        super().__init__()
        self._on_screen = on_screen
        self._merged = MergedTable()
        self.slide_ids: frozenset[int] = frozenset()

    def show_slides(self, project: Project, slide_ids: Iterable[int], table: MergedTable) -> None:
        """Switch to the findings of other slides."""
        self.slide_ids, self._merged = frozenset(slide_ids), table
        self.show(project, None, table)

    @property
    def limited(self) -> bool:
        """Whether only some of the boxes that pass the filter are shown."""
        return self._on_screen.limited

    def limit(self, ids: np.ndarray | None) -> None:
        """Show only these of the boxes that pass the filter; None removes the limit."""
        self._on_screen.limit(ids)

    def within_limit(self, rows: np.ndarray) -> Flags:
        """One boolean for each of some rows: whether the limit lets it be shown."""
        return self._on_screen.within_limit(rows)

    def _filtered(self, rows: np.ndarray, box_filter: BoxFilter) -> Flags:
        project = self._project
        if project is None or not box_filter.needs_facts:
            return box_filter.mask(rows)
        slides = self._merged.slides_of(rows["id"])
        keep = np.zeros(len(rows), bool)
        for facts, alike in facts_of(project, self.slide_ids, box_filter):
            if len(alike) == len(self.slide_ids):
                return box_filter.mask(rows, facts=facts)
            places = np.flatnonzero(np.isin(slides, alike))
            keep[places] = box_filter.mask(rows[places], facts=facts)
        return keep
