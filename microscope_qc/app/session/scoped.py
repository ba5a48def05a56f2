"""The findings that lists, counts and review work over: those of the slides in the scope, in one table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from microscope_qc.app.session.merged import (
    MadeAhead,
    MergedTable,
    PixelSizes,
    SpareTable,
    made_ahead,
    merged,
    rows_of,
    together,
)
from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.app.session.shown_in_scope import ShownInScope
from microscope_qc.core.boxes import BoxChange, BoxTable
from microscope_qc.core.errors import MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.scope import Scope
    from microscope_qc.core.arrays import Ints
    from microscope_qc.project import Project
    from microscope_qc.project.commands import Ahead
    from microscope_qc.project.parts.tables import ReadTables
    from microscope_qc.project.records import SlideRecord

log = logging.getLogger(__name__)

AT_ONCE = 5_000
"""More findings than this are put together in a thread; what was shown before stays until they are there."""
FEW_SLIDES = 20
"""When at most so many slides come or go, the table is changed instead of made again."""
SLIDES_AT_A_TIME = 200
AGAIN_MS = 50
AHEAD_MS = 1500
MOST_AHEAD = 1_000_000
"""No more findings are read before a user asks for them."""


class Place(Protocol):
    """What the window shows, as the findings of its scope need to know it."""

    project: Project | None
    slide: SlideRecord | None
    jobs: JobRunner | None
    scope: Scope
    shown: ShownBoxes

    @property
    def table(self) -> BoxTable:
        """Boxes of the slide on screen."""

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Pixel size of the slide on screen (y, x) in micrometres."""


class ScopedFindings:
    """One table over the slides of the scope, and which of its findings are shown.

    Where the scope is the slide on screen, this is the slide's own table. Otherwise it is a copy that follows every
    change of its slides: views connect to ``changed`` here, not to the tables of a thousand slides.
    """

    changed: ClassVar[Signal] = Signal(BoxChange)  # "reset" when other slides are in the scope
    loading_changed: ClassVar[Signal] = Signal()

    def __init__(self, state: Place, say: Callable[[str], None]) -> None:
        self._state = state
        self._say = say
        self._project: Project | None = None
        self._slide_ids: tuple[int, ...] = ()
        self._wanted: tuple[int, ...] | None = None  # None: whatever slide is on screen
        self._own: MergedTable | None = None
        self._own_shown = ShownInScope(state.shown)
        self._last: BoxTable | None = None  # the one that the views were told of
        self._links: dict[int, tuple[BoxTable, Callable[[BoxChange], None]]] = {}
        self._build = 0
        self._changes = 0
        self._held: list[tuple[int, BoxChange]] | None = None
        self._loading = False
        self._sizes: PixelSizes | None = None
        self._spare: SpareTable | None = None
        self._made_ahead: tuple[int, int, MadeAhead] | None = None  # made at these numbers of builds and changes
        state.scope.changed.connect(self.sync)

    # -- for the views -----------------------------------------------------------------------------------------------

    @property
    def table(self) -> BoxTable:
        """Findings of all slides in the scope, sorted by id."""
        return self._state.table if self._own is None else self._own

    @property
    def shown(self) -> ShownBoxes:
        """Which of them count and pass the filter."""
        return self._state.shown if self._own is None else self._own_shown

    @property
    def slide_ids(self) -> tuple[int, ...]:
        """Slides whose findings are in the table; while others are being read these are the previous ones."""
        return self._slide_ids

    @property
    def several(self) -> bool:
        """Whether views must say on which slide a finding is."""
        return self._own is not None

    @property
    def loading(self) -> bool:
        """Whether findings of the scope are still being read."""
        return self._loading

    def slides_of(self, ids: Ints) -> Ints:
        """Id of the slide of each finding, 0 where it is not in the table."""
        if self._own is not None:
            return self._own.slides_of(ids)
        slide = self._state.slide
        return np.where(self.table.has(ids), 0 if slide is None else slide.id, 0)

    def slides(self) -> Ints:
        """Id of the slide of each row of the table."""
        if self._own is not None:
            return self._own.slides
        slide = self._state.slide
        return np.full(len(self.table), 0 if slide is None else slide.id, np.int64)

    def pixel_sizes(self, ids: Ints) -> tuple[np.ndarray, np.ndarray] | tuple[float, float] | None:
        """Pixel sizes (y, x) in um of the slides of some findings, or one for all, to sort by; None if unknown."""
        if self._own is None:
            return self._state.pixel_size_um
        return self.known_sizes.of(self._own.slides_of(ids))

    @property
    def known_sizes(self) -> PixelSizes:
        """Pixel sizes of the slides in the scope."""
        if self._sizes is None:
            project, inside = self._project, set(self._slide_ids)
            known = {} if project is None else {
                slide.id: slide.pixel_size_um
                for slide in project.slides if slide.id in inside and slide.pixel_size_um is not None
            }  # fmt: skip
            self._sizes = PixelSizes(known)
        return self._sizes

    @property
    def all_sizes_known(self) -> bool:
        """Whether lengths in um are known on all slides in the scope."""
        return len(self.known_sizes.by_slide) == len(self._slide_ids)

    # -- following the scope -----------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Take over the slides of the scope: at once for few findings, else in the background."""
        state, wanted = self._state, self._state.scope.slide_ids
        project, slide = state.project, state.slide
        if project is None or wanted == (() if slide is None else (slide.id,)):
            self._use_slide(project, wanted)
        elif project is not self._project or wanted != self._wanted:
            self._wanted = wanted
            self._use(project, wanted)

    def forget(self) -> None:
        """Which findings count or pass the filter changed."""
        self._own_shown.forget()

    def hold(self) -> None:
        """Several slides change: follow all of them together, with :meth:`release`."""
        self._held = []

    def release(self) -> None:
        """Follow the changes since :meth:`hold`."""
        held, self._held = self._held or [], None
        if self._take_made_ahead(held):
            return
        if any(change.kind == "reset" for _, change in held):
            for slide_id, change in held:
                self._follow(slide_id, change)
            return
        for kind in ("removed", "added", "updated"):
            ids_of: dict[int, list[Ints]] = {}
            for slide_id, change in held:
                if change.kind == kind and slide_id in self._links:
                    ids_of.setdefault(slide_id, []).append(change.ids)
            self._follow_many(kind, ids_of)

    def make_ahead(self, ahead: Ahead) -> None:
        """Work out what a large change makes of the table, in the thread that wrote it; following it is quick then."""
        build, changes, own, links = self._build, self._changes, self._own, list(self._links.items())
        if own is None:
            return
        try:
            made = made_ahead(own, {number: table for number, (table, _) in links}, ahead)
            self._made_ahead = None if made is None else (build, changes, made)
        except Exception:  # it is written: following it says what is wrong, if it still is
            log.exception("what a change makes of the findings of all slides was not worked out ahead")

    def _take_made_ahead(self, told: Sequence[tuple[int, BoxChange]]) -> bool:
        """Take over what was made ahead, if it is what slides have told."""
        found, self._made_ahead = self._made_ahead, None
        if found is None:
            return False
        build, changes, made = found
        if (build, changes + len(told)) != (self._build, self._changes) or not made.fits(self._own, told):
            return False
        made.of.take_over(made.table, ())
        self._own_shown.follow(made.change)
        self.changed.emit(made.change)
        return True

    def follow_slide(self, change: BoxChange) -> None:
        """The slide on screen changed."""
        if self._own is None:
            self.changed.emit(change)

    def read_ahead(self) -> None:
        """Read the findings of all slides in the background, so that they are there when the scope is widened."""
        project = self._state.project
        if project is None or self._state.jobs is None or len(project.slides) < 2:
            return
        QTimer.singleShot(AHEAD_MS, lambda: self._read_more(project, MOST_AHEAD))

    def _read_more(self, project: Project, most: int) -> None:
        state = self._state
        if state.project is not project or state.jobs is None or state.jobs.closed or most <= 0 or self._loading:
            return
        missing = project.boxes.unread(slide.id for slide in project.slides)[:SLIDES_AT_A_TIME]
        if not missing:
            self._merge_ahead(project)
            return

        def take(read: ReadTables) -> None:
            if state.project is project:
                taken = project.boxes.take(read)
                count = sum(len(rows) for rows, _ in read.rows.values()) if taken else 0
                QTimer.singleShot(AGAIN_MS, lambda: self._read_more(project, most - count))

        # what cannot be read is asked for again, and the error shown, when the scope needs it
        state.jobs.call(project.boxes.reading(missing), on_done=take, on_failed=lambda _: None)

    def _merge_ahead(self, project: Project) -> None:
        """Put the findings of all slides together, for a scope that is widened before anything changes."""
        jobs, wanted = self._state.jobs, tuple(slide.id for slide in project.slides)
        if jobs is None or self._own is not None:
            return
        version = project.boxes.version
        tables = {number: project.boxes.table(number) for number in wanted}

        def take(made: MergedTable | None) -> None:
            if made is not None and self._own is None and self._state.project is project:
                self._spare = SpareTable(project, wanted, version, made)

        if sum(map(len, tables.values())) > AT_ONCE:
            # what goes wrong here goes wrong again, and is shown, when the scope needs it
            jobs.call(lambda: _merged_if_still(tables), on_done=take, on_failed=lambda _: None)

    def _use_slide(self, project: Project | None, slide_ids: tuple[int, ...]) -> None:
        self._build += 1
        if project is not self._project:
            self._spare = None
        elif project is not None and self._own is not None and not self._loading:
            self._spare = SpareTable(project, self._slide_ids, project.boxes.version, self._own)
        self._wanted = None
        self._drop_links(())
        self._project, self._slide_ids, self._own, self._sizes = project, slide_ids, None, None
        self._set_loading(False)
        self._tell()

    def _use(self, project: Project, wanted: tuple[int, ...]) -> None:
        self._build += 1
        if project is not self._project:  # findings of another project must not stay on screen
            self._drop_links(())
            self._take(project, (), MergedTable())
        if self._adjust(project, wanted):
            return
        spare, self._spare = self._spare, None
        if spare is not None and spare.is_of(project, wanted):
            self._link(project, wanted)
            self._take(project, wanted, spare.table)
            return
        jobs = self._state.jobs
        missing = project.boxes.unread(wanted)
        if jobs is None or (not missing and sum(len(project.boxes.table(number)) for number in wanted) <= AT_ONCE):
            self._take(project, wanted, merged(self._link(project, wanted)))
        else:
            self._set_loading(True)
            self._read(project, wanted, self._build)

    def _adjust(self, project: Project, wanted: tuple[int, ...]) -> bool:
        """Add and remove few slides; False if that is not possible."""
        own, before = self._own, set(self._slide_ids)
        come, gone = [n for n in wanted if n not in before], before.difference(wanted)
        if own is None or self._loading or not before or len(come) + len(gone) > FEW_SLIDES:
            return False
        if project.boxes.unread(come) or sum(len(project.boxes.table(number)) for number in come) > AT_ONCE:
            return False
        if gone:
            own.go(own.rows["id"][np.isin(own.slides, list(gone))])
        for number, table in self._link(project, come).items():
            own.come(number, table.rows)
        self._take(project, wanted, own)
        return True

    # -- reading in the background -----------------------------------------------------------------------------------

    def _read(self, project: Project, wanted: tuple[int, ...], build: int) -> None:
        """Read what is missing, some slides at a time, then put it together."""
        jobs = self._state.jobs
        if build != self._build or self._state.project is not project or jobs is None or jobs.closed:
            return
        missing = project.boxes.unread(wanted)[:SLIDES_AT_A_TIME]
        if not missing:
            self._merge(project, wanted, build)
            return

        def take(read: ReadTables) -> None:
            if build != self._build or self._state.project is not project:
                return
            if project.boxes.take(read):
                self._read(project, wanted, build)
            else:
                QTimer.singleShot(AGAIN_MS, lambda: self._read(project, wanted, build))

        jobs.call(project.boxes.reading(missing), on_done=take, on_failed=lambda error: self._failed(error, build))

    def _merge(self, project: Project, wanted: tuple[int, ...], build: int) -> None:
        tables, changes, jobs = self._link(project, wanted), self._changes, self._state.jobs
        assert jobs is not None

        def take(made: MergedTable | None) -> None:
            if build != self._build or self._state.project is not project:
                return
            if made is None or changes != self._changes:  # an edit came in between
                self._merge(project, wanted, build)
            else:
                self._take(project, wanted, made)

        jobs.call(lambda: _merged_if_still(tables), on_done=take, on_failed=lambda error: self._failed(error, build))

    def _failed(self, error: BaseException, build: int) -> None:
        if build != self._build:
            return
        self._wanted = None  # the next change of the scope tries again
        self._set_loading(False)
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._say(f"The findings of the other slides could not be read: {error}")

    def _take(self, project: Project, slide_ids: tuple[int, ...], table: MergedTable) -> None:
        self._drop_links(slide_ids)
        self._project, self._slide_ids, self._own, self._sizes = project, slide_ids, table, None
        self._own_shown.show_slides(project, slide_ids, table)
        self._last = None
        self._set_loading(False)
        self._tell()

    def _tell(self) -> None:
        table = self.table
        if table is not self._last:
            self._last = table
            self.changed.emit(BoxChange("reset", table.rows["id"].copy()))

    def _set_loading(self, loading: bool) -> None:
        if loading != self._loading:
            self._loading = loading
            self.loading_changed.emit()

    def forget_sizes(self) -> None:
        """Pixel sizes of slides may have changed."""
        self._sizes = None

    # -- following the tables ----------------------------------------------------------------------------------------

    def _link(self, project: Project, slide_ids: Iterable[int]) -> dict[int, BoxTable]:
        tables = {number: project.boxes.table(number) for number in slide_ids}
        for number, table in tables.items():
            if number in self._links:
                if self._links[number][0] is table:
                    continue
                self._drop_links(self._links.keys() - {number})
            slot = partial(self._on_table_changed, number)
            table.changed.connect(slot, check_nargs=False)
            self._links[number] = table, slot
        return tables

    def _drop_links(self, kept: Iterable[int]) -> None:
        for number in self._links.keys() - set(kept):
            table, slot = self._links.pop(number)
            table.changed.disconnect(slot, missing_ok=True)

    def _on_table_changed(self, slide_id: int, change: BoxChange) -> None:
        self._changes += 1
        if self._held is not None:
            self._held.append((slide_id, change))
        elif not self._take_made_ahead([(slide_id, change)]):
            self._follow(slide_id, change)

    def _follow_many(self, kind: str, ids_of: Mapping[int, list[Ints]]) -> None:
        """Follow changes of one kind of several slides."""
        own = self._own
        known = {slide_id: ids for slide_id, ids in ids_of.items() if slide_id in self._own_shown.slide_ids}
        if own is None or not known:
            return
        parts = [found[0] if len(found) == 1 else np.unique(np.concatenate(found)) for found in known.values()]
        ids = np.concatenate(parts)
        if kind == "removed":
            own.go(ids)
        else:
            rows = together(
                [rows_of(self._links[slide_id][0], part) for slide_id, part in zip(known, parts, strict=True)]
            )
            if kind == "added":
                own.come(np.repeat(np.fromiter(known, np.int64, len(known)), [len(part) for part in parts]), rows)
            else:
                own.put(rows)
        change = BoxChange(kind, np.sort(ids))
        self._own_shown.follow(change)
        self.changed.emit(change)

    def _follow(self, slide_id: int, change: BoxChange) -> None:
        own = self._own
        if own is None or slide_id not in self._own_shown.slide_ids:
            return
        table = self._links[slide_id][0]
        if change.kind == "reset":
            own.go(own.rows["id"][own.slides == slide_id])
            own.come(slide_id, table.rows)
            self._own_shown.forget()
            self.changed.emit(BoxChange("reset", own.rows["id"].copy()))
            return
        if change.kind == "removed":
            own.go(change.ids)
        elif change.kind == "added":
            own.come(slide_id, table.get(change.ids))
        else:
            own.put(table.get(change.ids))
        self._own_shown.follow(change)
        self.changed.emit(change)


def _merged_if_still(tables: Mapping[int, BoxTable]) -> MergedTable | None:
    """The merged table; None where an edit changed the tables meanwhile in a way that shows here already."""
    try:
        return merged(tables)
    except (ValueError, IndexError):
        return None
