"""What runs have scanned: their region within their mask, in tiles that are done and could be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from microscope_qc.analysis.coverage import Declared, Scan, SlideCoverage
from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.wording import listed, plural
from microscope_qc.ml.tiling import merge_settings
from microscope_qc.project import Project
from microscope_qc.project.records import AreaRecord, RunRecord, SlideRecord
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_status, scanned_tiles
from microscope_qc.project.runs.mask_files import MASK_CARD_NAME, MASK_NAME, has_mask, read_mask
from microscope_qc.project.runs.plan import EVERYTHING, PLAN_NAME


@dataclass(frozen=True, slots=True)
class ScannedArea:
    """What a run has scanned; None is everything.

    ``missing`` (rows, columns) says which tiles of ``grid`` are not done or could not be read; a finding within
    ``reach_px`` of one is not final before that tile is done.
    """

    region: Region | None = None
    mask: AreaMask | None = None
    grid: TileGrid | None = None
    missing: np.ndarray | None = None
    reach_px: float = 0.0

    def would_find(self, boxes: np.ndarray) -> np.ndarray:
        """Return for each box (N, 4; y0, x0, y1, x1) whether the run would certainly have found it.

        Its centre lies where the run scanned, and no tile within reach is missing.
        """
        inside = np.ones(len(boxes), bool)
        y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        if self.region is not None:
            inside &= (y >= self.region.y0) & (y < self.region.y1) & (x >= self.region.x0) & (x < self.region.x1)
        if self.mask is not None:
            inside &= self.mask.at(y, x)
        if self.grid is None or self.missing is None:
            return inside
        return inside & ~self.grid.near(self.missing, boxes, margin_px=self.reach_px)

    def touches(self, boxes: np.ndarray) -> np.ndarray:
        """Return for each box whether it extends into the area that the run was to scan."""
        inside = np.ones(len(boxes), bool)
        if self.region is not None:
            low, high = (self.region.y0, self.region.x0), (self.region.y1, self.region.x1)
            inside &= (boxes[:, :2] < high).all(axis=1) & (boxes[:, 2:] > low).all(axis=1)
        if self.mask is not None:
            inside &= self.mask.touches(dict(zip(("y0", "x0", "y1", "x1"), boxes.T, strict=True)))
        return inside


def read_scanned_area(run: RunRecord) -> ScannedArea:
    """Return what a run has scanned, from its plan and its folder; any thread may call this.

    Raises
    ------
    ProjectError
        When its mask is damaged.
    """
    region = run.plan.region
    mask = read_mask(run.folder)
    status = read_status(run.folder)
    total = status.get("tiles_total")
    if run.state == "finished" and total and status.get("tiles_done") == total and not status.get("tiles_damaged"):
        return ScannedArea(region, mask)
    done = scanned_tiles(run.folder)
    try:
        grid = run.plan.grid()
    except ProjectError:  # a run of another program: its plan has no tiles
        return ScannedArea(region, mask)
    if done is None:
        return ScannedArea(region, mask)
    missing = np.ones(len(grid), bool)
    missing[done[done < len(grid)]] = False
    if not missing.any():
        return ScannedArea(region, mask)
    reach = 3 * merge_settings(run.plan.scale).border_px
    return ScannedArea(region, mask, grid, missing.reshape(grid.rows, grid.columns), reach)


# -- the area that densities are divided by ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScannedRun:
    """What one shown run has scanned.

    Attributes
    ----------
    scan
        For :mod:`microscope_qc.analysis.coverage`.
    missing_tiles, tiles
        Number of tiles that are not done or could not be read, and of all tiles.
    unfinished
        Whether the run is not finished, so that missing tiles may follow.
    """

    run_id: int
    title: str
    scan: Scan
    missing_tiles: int
    tiles: int
    unfinished: bool


@dataclass(frozen=True, slots=True)
class SlideAreas:
    """Where findings of a slide were searched for, and by whom.

    Attributes
    ----------
    shape_px
        Of the slide.
    runs
        Shown runs whose area counts, oldest first.
    declared
        Areas that users declared complete.
    problems
        A sentence for each shown run whose area is not known and does not count.
    """

    shape_px: tuple[int, int]
    runs: tuple[ScannedRun, ...]
    declared: tuple[AreaRecord, ...]
    problems: tuple[str, ...]
    coverage: SlideCoverage

    def source(self, class_ids: Collection[int]) -> str:
        """Who searched for any of these classes, in words: ``runs 1 and 2; declared by anna 2026-11-02``."""
        runs = [run for run in self.runs if not run.scan.classes.isdisjoint(class_ids)]
        declared = [area for area in self.declared if not area.class_ids.isdisjoint(class_ids)]
        parts = []
        for how, group in _by_kind(runs, self.shape_px):
            numbers = [str(run.run_id) for run in group]
            parts.append(f"{plural(len(group), 'run')} {listed(numbers)}{how}")
        signed = dict.fromkeys(f"{area.user} {area.declared[:10]}" for area in declared)
        if signed:
            parts.append(f"declared by {listed(list(signed))}")
        return "; ".join(parts)


def _by_kind(runs: Sequence[ScannedRun], shape_px: tuple[int, int]) -> list[tuple[str, list[ScannedRun]]]:
    """Group runs by what is to be said about their areas."""
    found: dict[str, list[ScannedRun]] = {}
    for run in runs:
        whole = run.scan.region.clip(shape_px) == Region(0, 0, *shape_px)
        how = "" if whole else " in a region"
        if run.scan.mask is not None:
            how += " within the scan mask"
        if run.missing_tiles:
            what = "not done yet" if run.unfinished else "could not be read"
            how += f" ({run.missing_tiles} of {run.tiles} tiles {what})"
        found.setdefault(how, []).append(run)
    return list(found.items())


@dataclass(frozen=True, slots=True)
class AreaSources:
    """What a project knows about where findings of a slide were searched for.

    Collected at once, so that another thread may read the folders of the runs (:func:`read_areas`).

    Attributes
    ----------
    runs
        The shown runs, oldest first, with the ids of the classes that their models know.
    declared
        Areas that users declared complete, oldest first; none that is still to be searched.
    seen
        What users viewed, as it is stored (:class:`~microscope_qc.core.seen_map.SeenMap`); None where nothing is.
    """

    slide: SlideRecord
    runs: tuple[tuple[RunRecord, frozenset[int]], ...]
    declared: tuple[AreaRecord, ...]
    seen: object = field(default=None, compare=False)


def area_sources(project: Project, slide_id: int) -> AreaSources:
    """Collect what the project knows; nothing is read from the disk."""
    runs = [run for run in project.runs if run.slide_id == slide_id and run.shown]
    known = tuple((run, frozenset(project.runs.classes_of(run.id).values())) for run in runs)
    declared = tuple(area for area in project.areas.of(slide_id) if area.class_ids)
    return AreaSources(project.slides.by_id(slide_id), known, declared, _seen(project, slide_id))


def _seen(project: Project, slide_id: int) -> object:
    return project.settings.get(f"seen:{slide_id}")


def all_area_sources(project: Project) -> list[AreaSources]:
    """Collect what the project knows about each slide in one pass; nothing is read from the disk."""
    runs: dict[int, list[RunRecord]] = {}
    classes: dict[int, set[int]] = {}
    declared: dict[int, list[AreaRecord]] = {}
    for run in project.runs:
        if run.shown:
            runs.setdefault(run.slide_id, []).append(run)
    for known in project.runs.labels:
        classes.setdefault(known.run_id, set()).add(known.class_id)
    for area in project.areas:
        if not area.class_ids:  # drawn at random and not searched yet
            continue
        declared.setdefault(area.slide_id, []).append(area)
    return [
        AreaSources(
            slide,
            tuple((run, frozenset(classes.get(run.id, ()))) for run in runs.get(slide.id, ())),
            tuple(declared.get(slide.id, ())),
            _seen(project, slide.id),
        )
        for slide in project.slides
    ]


def searched_shares(sources: Iterable[AreaSources]) -> dict[int, float]:
    """Return the share (0 to 1) of each slide that was scanned or declared complete, by slide id.

    Any thread may call this; a slide whose runs cannot be read has what is left.
    """
    return {
        known.slide.id: read_areas(known).coverage.searched_share if known.runs or known.declared else 0.0
        for known in sources
    }


def slide_areas(project: Project, slide_id: int) -> SlideAreas:
    """Read where findings of a slide were searched for: by its shown runs, and where users declared it."""
    return read_areas(area_sources(project, slide_id))


def read_areas(sources: AreaSources) -> SlideAreas:
    """Read what the runs scanned; any thread may call this. Folders are read again only when they have changed."""
    shape_px, declared = sources.slide.shape_px, sources.declared
    runs: list[ScannedRun] = []
    problems: list[str] = []
    for run, classes in sources.runs:
        try:
            scanned = _scanned_run(run, classes)
        except ProjectError as error:
            problems.append(f"Run {run.id} counts with no area: {error.message}")
        else:
            if scanned is not None:
                runs.append(scanned)
    key = (shape_px, tuple(run.scan for run in runs), declared)
    coverage = _COVERAGES.get(key)
    if coverage is None:
        coverage = _keep(_COVERAGES, key, _coverage(shape_px, runs, declared), most=8)
    return SlideAreas(shape_px, tuple(runs), declared, tuple(problems), coverage)


def _scanned_run(run: RunRecord, classes: frozenset[int]) -> ScannedRun | None:
    """What a run has scanned; None where it has not begun."""
    files = [run.folder / name for name in (JOURNAL_NAME, MASK_CARD_NAME, MASK_NAME, PLAN_NAME)]
    key = (run.folder, run.state, run.found, classes, tuple(map(_stamp, files)))
    if key not in _RUNS:
        return _keep(_RUNS, key, _read_run(run, classes), most=256)
    return _RUNS[key]


def _read_run(run: RunRecord, classes: frozenset[int]) -> ScannedRun | None:
    if not run.folder.is_dir():
        raise ProjectError("its folder is gone.")
    done = scanned_tiles(run.folder)
    if done is None and run.state != "finished" and not run.found:
        return None
    if done is None:
        raise ProjectError("its journal is gone.")
    if not classes:
        raise ProjectError("which classes its model could find is not known.")
    if run.plan.region is None:
        raise ProjectError("it does not say where it scanned.")
    grid = run.plan.grid()
    if not has_mask(run.folder) and (run.plan.skip_empty or run.plan.area not in (None, EVERYTHING)):
        raise ProjectError("its mask is gone, so where it scanned is not known.")
    mask = read_mask(run.folder)
    missing = np.ones(len(grid), bool)
    missing[done[done < len(grid)]] = False
    wanted = len(grid) if mask is None else mask.tile_count(grid)
    if mask is not None:
        missing[np.setdiff1d(np.arange(len(grid)), mask.tiles(grid))] = False  # nothing of them is in the mask
    row, column = np.divmod(np.flatnonzero(missing), grid.columns)
    top, left = grid.starts[0][row], grid.starts[1][column]
    places = np.stack([top, left, top + grid.tile_px, left + grid.tile_px], axis=1).astype(float)
    scan = Scan(run.id, classes, run.plan.region, mask, places if len(places) else None)
    return ScannedRun(run.id, run.plan.title, scan, len(places), wanted, run.state != "finished")


def _stamp(file: Path) -> tuple[int, int]:
    """Size and time of a file, to tell whether it has changed; (0, 0) where there is none."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


_RUNS: dict[tuple[object, ...], ScannedRun | None] = {}
_COVERAGES: dict[tuple[object, ...], SlideCoverage] = {}
"""Recent results, so that nothing is computed twice while nothing changes."""


T = TypeVar("T")


def _keep(kept: dict[tuple[object, ...], T], key: tuple[object, ...], value: T, *, most: int) -> T:
    while len(kept) >= most:
        kept.pop(next(iter(kept)), None)
    kept[key] = value
    return value


def _coverage(shape_px: tuple[int, int], runs: Sequence[ScannedRun], declared: Sequence[AreaRecord]) -> SlideCoverage:
    known = [Declared(area.id, area.class_ids, area.outline, bool(area.drawn)) for area in declared]
    return SlideCoverage(shape_px, [run.scan for run in runs], known)
