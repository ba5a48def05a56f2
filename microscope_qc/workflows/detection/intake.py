"""The owner's side of a run: candidates from the journal become findings of the project, merged in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.defect_class import CLASS_SETS, DefectClass
from microscope_qc.core.errors import ModelError
from microscope_qc.core.merge import CANDIDATE_DTYPE, SeamMerger
from microscope_qc.ml.tiling import merge_settings
from microscope_qc.project import Project
from microscope_qc.project.model_classes import read_model_classes
from microscope_qc.project.records import RunRecord
from microscope_qc.project.runs.journal import LEFT_OUT, read_journal
from microscope_qc.project.runs.mask_files import read_mask
from microscope_qc.project.runs.plan import EVERYTHING, RunPlan

_CONFIDENCE_KEY = "model_confidence"

Tile = tuple[int, np.ndarray]


class RunIntake:
    """Takes findings from a run's journal into the project.

    Only findings that no unfinished tile can still change are taken in, so that a run that is stopped and continued
    gives exactly the findings of an uninterrupted one. Findings that were taken in before are not taken twice, even if
    they were changed or deleted: the run knows how many there were, and the journal gives them in the same order.

    Reading and merging run in a thread of their own, writing to the project in the caller's.
    """

    def __init__(self, project: Project, run: RunRecord) -> None:
        self._project = project
        self._run = run
        self._class_ids(range(len(run.plan.classes)))
        self._suggest_confidence(run.plan)
        chosen = run.settings.get("area") not in (None, EVERYTHING)
        labels = len(run.plan.classes)
        self._journal = _JournalMerger(run.folder, run.plan, classes=labels, taken=run.found, chosen=chosen)
        self.tiles_done: set[int] = set()
        self.tiles_left_out: set[int] = set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="merge")
        self._step: Future[_Settled] | None = None

    @property
    def tiles_total(self) -> int:
        """Number of tiles of the run."""
        return len(self._journal.grid)

    @property
    def idle(self) -> bool:
        """Whether nothing is being merged, the last step found nothing new, and all of it could be taken in."""
        return self._step is None and not self._project.is_writing

    def take_ready(self) -> np.ndarray:
        """Take in what is merged already, without waiting; return the ids of the new boxes.

        Nothing is taken while the project is writing a large command.
        """
        if self._step is None:
            self._step = self._worker.submit(self._journal.step)
        if self._project.is_writing or not self._step.done():
            return np.zeros(0, np.int64)
        settled = self._step.result()
        taken = self._take(settled)  # what could not be taken (the disk was full) is there for the next try
        self._step = self._worker.submit(self._journal.step) if settled.more else None
        return taken

    def poll(self) -> np.ndarray:
        """Take in everything that the child has written so far; return the ids of the new boxes."""
        taken = []
        while True:
            self._step = self._step or self._worker.submit(self._journal.step)
            settled = self._step.result()
            taken.append(self._take(settled))
            self._step = None
            if not settled.more:
                return np.concatenate(taken)

    def in_pieces(self, most: int, *, after: int = 0) -> Iterator[int]:
        """Take in what the journal holds, at most so many findings at a time; yields how many it has taken so far.

        For a journal that nothing continues. What was interrupted is taken up with the number of findings that were
        taken ``after`` which it begins, by the intake of a run that knows of none.
        """
        step = self._worker.submit(self._journal.step)
        while not step.done():
            yield 0
        settled = step.result()
        for start in range(after, len(settled.found), most):
            self._take(replace(settled, found=settled.found[start : start + most]))
            yield start + most

    def finish(self, state: str) -> RunRecord:
        """Take in the rest and store how the run ended: "finished", "stopped" or "failed"."""
        try:
            self.poll()
            self.poll()  # a running step may have begun before the last line was written
        finally:
            self._worker.shutdown()
        return self._project.runs.finish(self._run.id, state)

    def _take(self, settled: _Settled) -> np.ndarray:
        self.tiles_done |= settled.tiles
        self.tiles_left_out |= settled.left_out
        found = settled.found
        if len(found) == 0:
            return np.zeros(0, np.int64)
        columns = {name: found[name] for name in ("y0", "x0", "y1", "x1", "confidence")}
        class_of = self._class_ids(np.unique(found["label"]).tolist())  # a user may have merged some, or deleted one
        class_ids = np.array([class_of[label] for label in found["label"].tolist()], np.int32)
        rows = make_rows(len(found), class_id=class_ids, **columns)
        return self._project.runs.add_findings(self._run.id, rows)

    def _class_ids(self, labels: Iterable[int]) -> dict[int, int]:
        """The class of each of these labels now; one that is not there any more, or not yet, is made."""
        plan = self._run.plan
        # a label that has a class keeps it, whatever that is called now
        class_of = self._project.runs.classes_of(self._run.id)
        unknown = [label for label in labels if label not in class_of]
        if not unknown:
            return class_of
        before = self._classes_before()
        new = {label: before[label] for label in unknown if label in before}
        known = {defect.code: defect for group in CLASS_SETS.values() for defect in group}
        names = plan.class_names or plan.classes
        missing = {
            label: known.get(plan.classes[label]) or DefectClass(plan.classes[label], names[label])
            for label in unknown
            if label not in new
        }
        ids = self._project.classes.ensure(missing.values())
        new |= {label: ids[defect.code] for label, defect in missing.items()}
        self._project.runs.know_classes(self._run.id, new)
        return class_of | new

    def _classes_before(self) -> dict[int, int]:
        """What the model's labels mean in this project: as in its last run, else as when it was trained here.

        A class that was renamed, or merged into another one, is not made again.
        """
        project, plan = self._project, self._run.plan
        found: dict[int, int] = {}
        if plan.model_relative:
            trained = read_model_classes(project.path / plan.model_relative)
            there = {defect.id for defect in project.classes}
            ids = {label: trained.get(code) for label, code in enumerate(plan.classes)}
            found = {label: number for label, number in ids.items() if number is not None and number in there}
        for run in project.runs:
            own = run.plan
            if plan.weights and own.weights == plan.weights and own.classes == plan.classes and run.id != self._run.id:
                found |= project.runs.classes_of(run.id)
        return found

    def _suggest_confidence(self, plan: RunPlan) -> None:
        # the model's threshold is used unless the user has changed the limit since the last suggestion
        project = self._project
        suggested = plan.confidence
        if abs(project.inclusion.current.confidence_limit - float(project.settings.get(_CONFIDENCE_KEY, 0.0))) < 1e-6:
            project.inclusion.set_limit(suggested, suggested_by=plan.title)
            project.settings.set(_CONFIDENCE_KEY, suggested)


@dataclass(frozen=True, slots=True)
class _Settled:
    """Result of one step: final findings, tiles that are done, and whether there was anything new.

    ``left_out`` are those of the tiles that were not scanned.
    """

    found: np.ndarray
    tiles: set[int]
    left_out: set[int]
    more: bool


class _JournalMerger:
    """Reads and merges a journal step by step, each from where the last one ended, in any thread."""

    def __init__(self, folder: Path, plan: RunPlan, *, classes: int, taken: int, chosen: bool = False) -> None:
        self._folder, self._classes, self._taken = folder, classes, taken
        # a tile extends beyond the area a user chose; what the program itself leaves out is empty anyway
        self._area: AreaMask | None = read_mask(folder) if chosen else None
        self.grid = plan.grid()
        self._settings = merge_settings(plan.scale, told_apart=plan.told_apart)
        self._merger = SeamMerger(self.grid, self._settings)
        self._offset = 0

    def step(self) -> _Settled:
        """Read and merge what is new."""
        if self._taken:
            before, tiles = self._skip_taken()
        else:
            before = []
            tiles, self._offset = read_journal(self._folder, self._offset)
            tiles = self._proper(tiles)
        for tile, candidates in tiles:
            self._merger.add(tile, candidates)
        found = self._settled(self._merger) if tiles else np.zeros(0, CANDIDATE_DTYPE)
        new = (*before, *tiles)
        left_out = {tile for tile, candidates in new if candidates is LEFT_OUT}
        return _Settled(found, {tile for tile, _ in new}, left_out, bool(tiles))

    def _skip_taken(self) -> tuple[list[Tile], list[Tile]]:
        """Tiles whose findings were taken in before, and those after them."""
        tiles, self._offset = read_journal(self._folder)
        tiles = self._proper(tiles)
        low, high = 0, len(tiles)
        while low < high:  # findings only increase with the journal: find the shortest part with as many as were taken
            middle = (low + high) // 2
            if self._settled_after(tiles[:middle])[1] < self._taken:
                low = middle + 1
            else:
                high = middle
        self._merger, count = self._settled_after(tiles[:low])
        if count != self._taken:
            raise ModelError(
                f"The journal of {self._folder.name} does not fit the findings in the project.",
                hint="Start this detection again (--fresh on the command line); the findings so far are kept.",
            )
        self._taken = 0
        return tiles[:low], tiles[low:]

    def _settled_after(self, tiles: list[Tile]) -> tuple[SeamMerger, int]:
        merger = SeamMerger(self.grid, self._settings)
        for tile, candidates in tiles:
            merger.add(tile, candidates)
        return merger, len(self._settled(merger))

    def _settled(self, merger: SeamMerger) -> np.ndarray:
        """Final findings that touch the area that was chosen."""
        found = merger.settled()
        return found if self._area is None or len(found) == 0 else found[self._area.touches(found)]

    def _proper(self, tiles: list[Tile]) -> list[Tile]:
        """Tiles of this run's grid whose classes the model has."""
        return [
            (tile, candidates)
            for tile, candidates in tiles
            if 0 <= tile < len(self.grid) and ((candidates["label"] >= 0) & (candidates["label"] < self._classes)).all()
        ]
