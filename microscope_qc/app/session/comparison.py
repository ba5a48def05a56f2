"""Comparison of two detections of the slide on screen: what both found, and what only one of them found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.app.base.signals import link
from microscope_qc.core.boxes import BoxFilter, coordinates
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.inclusion import Inclusion

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project.records import RunRecord

BOTH, FIRST, SECOND = PARTS = ("both", "first", "second")
UNCOMPARED = "uncompared"
"""What one of the two found outside the scan area of the other."""
_NUMBERS = {BOTH: 1, FIRST: 2, SECOND: 3}
_TWIN = 4
"""The second detection's finding where the two made one each for what both have."""
_PAIRED = 5
"""The first detection's of these."""
_UNCOMPARED = 6, 7
"""Findings of the first and of the second detection that are not compared."""
LATER_MS = 150
"""Delay before findings are matched again after the confidence or the findings changed."""


class Comparison(QObject):
    """Matches the findings of two detections in the background and shows the parts that the user chose.

    Where the two made a finding each for what both have, that of the first is shown. What is compared follows the
    confidence range: a finding that the second detection is too little sure of was found by the first alone. Findings
    outside the other detection's scan area are not compared; they are counted, and shown on request.
    """

    changed = Signal()

    def __init__(self, session: SessionState, jobs: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self.runs: tuple[RunRecord, RunRecord] | None = None
        self.shown_parts: set[str] = set(PARTS)
        self.counts: dict[str, int] | None = None
        self.found: tuple[int, int] | None = None
        self.uncompared: tuple[int, int] = (0, 0)
        self._same_area = True
        self._part_of: np.ndarray | None = None  # a number for each id: 0 is not in any part
        self._generation = 0
        self._busy = self._again = self._applying = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(LATER_MS)
        self._soon.timeout.connect(self._match)
        for signal in (session.slide_changed, session.project_changed):
            link(self, signal, self.end)
        link(self, session.filter_changed, self._on_filter_changed)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.runs_changed, self._on_runs_changed)

    @property
    def partial(self) -> bool:
        """Whether the scan areas differ: only what both scanned is compared."""
        return not self._same_area or any(self.uncompared)

    @property
    def active(self) -> bool:
        """Whether two detections are being compared."""
        return self.runs is not None

    def start(self, first: int, second: int) -> None:
        """Compare two detections of the slide on screen.

        Raises
        ------
        InputError
            If there is no such detection, or they have no scan area in common.
        """
        from microscope_qc.workflows.detection.compare import common_area

        project = self._session.project
        if project is None or first == second:
            return
        runs = project.runs.by_id(first), project.runs.by_id(second)
        common_area(*runs)
        self._same_area = runs[0].plan.region == runs[1].plan.region
        self._generation += 1
        self.runs = runs
        self.shown_parts = set(PARTS)
        self.counts = self.found = self._part_of = None
        self.uncompared = (0, 0)
        self.changed.emit()
        self._match()

    def end(self) -> None:
        """End the comparison: show everything that passes the filter again."""
        if self.runs is None:
            return
        self._generation += 1
        self.runs = self.counts = self.found = self._part_of = None
        self._soon.stop()
        self._limit(None)
        self.changed.emit()

    def show_part(self, part: str, shown: bool) -> None:
        """Show or hide what both found (``BOTH``), one of them alone (``FIRST``, ``SECOND``), or ``UNCOMPARED``."""
        wanted = self.shown_parts | {part} if shown else self.shown_parts - {part}
        if wanted != self.shown_parts:
            self.shown_parts = wanted
            self._show()

    # -- matching ----------------------------------------------------------------------------------------------------

    def _match(self) -> None:
        if self.runs is None or self._session.project is None or self._jobs.closed:
            return
        if self._busy:
            self._again = True
            return
        project, runs = self._session.project, self.runs
        known = project.filters.current
        limit = Inclusion(self._session.inclusion.confidence_limit)
        sure = BoxFilter(min_confidence=known.min_confidence, max_confidence=known.max_confidence)
        sides = []
        for run in runs:  # copies: the findings may change while another thread compares
            rows = project.opinions.findings_of_run(run.id)
            rows = rows[limit.mask(rows, rejected=True) & sure.mask(rows)]
            sides.append((rows["id"].copy(), coordinates(rows)))
        generation = self._generation
        self._busy, self._again = True, False
        self._jobs.call(
            lambda: _parts(sides, runs=runs),
            on_done=lambda part_of: self._on_matched(generation, part_of),
            on_failed=self._on_failed,
        )

    def _on_matched(self, generation: int, part_of: np.ndarray) -> None:
        self._busy = False
        if self._again:
            self._match()
        if generation == self._generation and self.runs is not None:
            self._part_of = part_of
            self._show()

    def _on_failed(self, error: BaseException) -> None:
        self._busy = False
        self.end()
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    # -- showing -----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        part_of = self._part_of
        if part_of is None:
            self.changed.emit()
            return
        wanted = np.zeros(_UNCOMPARED[-1] + 1, bool)
        wanted[[_NUMBERS[part] for part in self.shown_parts if part in _NUMBERS]] = True
        wanted[_PAIRED] = wanted[_NUMBERS[BOTH]]
        wanted[list(_UNCOMPARED)] = UNCOMPARED in self.shown_parts
        self._limit(np.flatnonzero(wanted[part_of]))
        rows = self._session.table.rows
        ids = rows["id"][self._session.shown.passes(rows, limited=False)]
        counts = np.bincount(part_of[ids[ids < len(part_of)]], minlength=len(wanted)).tolist()
        self.counts = {part: counts[number] for part, number in _NUMBERS.items()}
        in_one = self.counts[BOTH]
        self.counts[BOTH] += counts[_PAIRED]
        self.found = self.counts[BOTH] + self.counts[FIRST], in_one + counts[_TWIN] + self.counts[SECOND]
        self.uncompared = counts[_UNCOMPARED[0]], counts[_UNCOMPARED[1]]
        self.changed.emit()

    def _limit(self, ids: np.ndarray | None) -> None:
        self._applying = True
        try:
            self._session.shown.limit(ids)
        finally:
            self._applying = False

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_filter_changed(self) -> None:
        if self.runs is None or self._applying:
            return
        if self._part_of is not None and not self._session.shown.limited:  # the user chose to see everything
            self.end()
        else:
            self._soon.start()

    def _on_boxes_changed(self, _change: object) -> None:
        if self.runs is not None and not self._soon.isActive():
            self._soon.start()

    def _on_runs_changed(self) -> None:
        project = self._session.project
        if self.runs is None or project is None:
            return
        there = {run.id: run for run in project.runs}
        if any(run.id not in there for run in self.runs):
            self.end()
        else:
            self.runs = there[self.runs[0].id], there[self.runs[1].id]


def _parts(sides: Sequence[tuple[np.ndarray, np.ndarray]], *, runs: tuple[RunRecord, RunRecord]) -> np.ndarray:
    """The part of each id, from ids and boxes of the two runs (any thread)."""
    from microscope_qc.workflows.detection.compare import compare_findings
    from microscope_qc.workflows.detection.coverage import read_scanned_area

    scanned = read_scanned_area(runs[0]), read_scanned_area(runs[1])
    found = compare_findings(*sides[0], *sides[1], scanned=scanned)
    part_of = np.zeros(max(int(ids.max(initial=0)) for ids, _ in sides) + 1, np.uint8)
    one, other = found.both.T
    part_of[one] = np.where(one == other, _NUMBERS[BOTH], _PAIRED)
    part_of[other[one != other]] = _TWIN
    part_of[found.only_first] = _NUMBERS[FIRST]
    part_of[found.only_second] = _NUMBERS[SECOND]
    part_of[found.beside_first], part_of[found.beside_second] = _UNCOMPARED
    return part_of
