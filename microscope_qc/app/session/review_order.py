"""The findings of the scope in review order: one list shared by gallery, review page and "next"."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer, Signal

from microscope_qc.app.base.newest import NewestWork
from microscope_qc.app.session.merged import PixelSizes
from microscope_qc.app.session.orders import ORDERS, Columns, SeverityChoice, columns_of, order_rows
from microscope_qc.app.session.places import Places
from microscope_qc.app.session.state import SessionState
from microscope_qc.core.boxes import BoxChange, BoxFilter, FindingFlag, ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.wording import tooltip

if TYPE_CHECKING:
    from microscope_qc.analysis.sampling import SampleEstimate

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
BOX_ID = int(Qt.ItemDataRole.UserRole)
LIVE_SORT_MS = 250
"""New findings are sorted in at most this often, while nobody is reviewing."""
AT_ONCE = 5_000
"""More findings than this are sorted in a thread; the previous order stays on screen until it is done."""
ONE_BY_ONE = 50
LOOK_UP = 1_000
"""So many findings at a time are looked at for those that nobody judged."""


class FindingModel(QAbstractListModel):
    """Ids of the shown findings, in an order that does not change while a user reviews.

    Sorting happens when the filter, the order, the classes or the scope change, and on :meth:`sort_again`. A finding
    that is judged keeps its place, even if the filter would now hide it. New findings are sorted in while nobody has
    reviewed anything since the last sort; after that they are appended.

    Whatever acts on the order (a key, "next") gets the current one: a sort in progress is then finished at once.
    """

    order_changed = Signal()
    stale_changed = Signal()  # whether "sort again" would change something

    def __init__(self, session: SessionState, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._places = Places()
        self._list: list[int] | None = []
        self._rows: np.ndarray | None = None  # of the table, while none come or go
        self._order = "worst"
        self._classes: dict[int, DefectClass] = {}
        self._sizes = session.scoped.known_sizes
        self._reviewing = False
        self._appended = 0
        self._changed = 0
        self._work = NewestWork("gallery", self)
        self._came: list[np.ndarray] = []  # while a sort is under way
        self._gone = False
        self.taking_out = False  # views then choose another current cell, which is not a choice of the user
        self._live = QTimer(self)
        self._live.setSingleShot(True)
        self._live.setInterval(LIVE_SORT_MS)
        self._live.timeout.connect(self.sort_again)
        session.project_changed.connect(self._on_project_changed)
        session.slides_changed.connect(self._on_slides_changed)
        session.filter_changed.connect(self.sort_again)
        session.classes_changed.connect(self.sort_again)
        session.scoped.changed.connect(self._on_boxes_changed)
        session.standards_changed.connect(self._on_standards_changed)
        self._on_project_changed()
        self.sort_again()

    # -- for the views -----------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[int]:
        """Box ids in the current order (read only)."""
        self.settle()
        if self._list is None:
            self._list = self._places.ids.tolist()
        return self._list

    @property
    def count(self) -> int:
        """Number of findings in the list on screen."""
        return len(self._places)

    @property
    def classes(self) -> dict[int, DefectClass]:
        """Classes by id."""
        return self._classes

    @property
    def order(self) -> str:
        """Name of the order, a key of ``ORDERS``."""
        return self._order

    @property
    def appended(self) -> int:
        """Number of new findings appended to the sorted ones."""
        return self._appended

    @property
    def stale(self) -> bool:
        """Whether there were judgements or new findings since the last sort."""
        return bool(self._appended or self._changed)

    @property
    def sorting(self) -> bool:
        """Whether a sort is in progress."""
        return self._work.busy("sort")

    def order_ids(self) -> np.ndarray:
        """Ids in order, without those removed by a later edit."""
        self.settle()
        return self._places.ids

    def id_at(self, row: int) -> int:
        """The finding at a position on screen."""
        return int(self._places.ids[row])

    def ids_between(self, first: int, last: int) -> np.ndarray:
        """The findings from one position on screen to another, both included."""
        return self._places.ids[first : last + 1]

    def states(self) -> np.ndarray:
        """Review states of all findings in the list, in no particular order."""
        table = self._session.scoped.table
        if self._rows is None or len(self._rows) != len(self._places):
            self._rows = table.rows_of(self._places.sorted())
        return table.states[self._rows]

    def estimate(self) -> SampleEstimate:
        """How many of the findings in the list are true, from those that were judged at random."""
        from microscope_qc.analysis.sampling import sample_estimate

        states, table = self.states(), self._session.scoped.table
        flags, confidence = table.flags[self._rows], table.confidences[self._rows]
        return sample_estimate(
            table.ids[self._rows], confidence, known=_judged(flags, states, confidence),
            kept=states != ReviewState.REJECTED, at_random=(flags & np.uint8(FindingFlag.SAMPLED)) != 0,
        )  # fmt: skip

    def are_next_at_random(self, ids: np.ndarray) -> bool:
        """Whether findings are the next ones of a random sample: those at the top of it that nobody judged yet.

        A list in which a filter leaves out more than classes and judged findings is none of all findings.
        """
        project = self._session.project
        if self._order != "sample" or project is None or not len(ids):
            return False
        shown = project.filters.current
        if self._session.shown.limited or shown != BoxFilter(class_ids=shown.class_ids, states=shown.states):
            return False
        table, left = self._session.scoped.table, set(ids.tolist())
        order = self.order_ids()
        for first in range(0, len(order), LOOK_UP):
            some = order[first : first + LOOK_UP]
            rows = table.rows_of(some)
            judged = _judged(table.flags[rows], table.states[rows], table.confidences[rows])
            for number in some[~judged].tolist():
                if number not in left:
                    return False
                left.remove(number)
                if not left:
                    return True
        return False

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Sorted positions on screen of some findings; those not shown are left out."""
        found = self._places.of(ids)
        return np.sort(found[found >= 0])

    def row_of(self, box_id: int | None) -> int | None:
        """Position of a finding on screen, or None if it is not shown."""
        place = -1 if box_id is None else int(self._places.of(np.array([box_id]))[0])
        return None if place < 0 else place

    def box(self, box_id: int) -> np.void | None:
        """Row of a box in the table, or None if it was deleted."""
        table = self._session.scoped.table
        place = table.row_of(box_id)
        return self._session.row_of(box_id) if place is None else table.rows[place].copy()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of findings."""
        return 0 if parent.isValid() else len(self._places)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Qt: id, text for a screen reader, tooltip."""
        if not index.isValid() or not 0 <= index.row() < len(self._places):
            return None
        box_id = self.id_at(index.row())
        if role == BOX_ID:
            return box_id
        if role in (int(Qt.ItemDataRole.ToolTipRole), int(Qt.ItemDataRole.AccessibleTextRole)):
            row = self.box(box_id)
            return None if row is None else self._tooltip(row)
        return None

    def _tooltip(self, row: np.void) -> str:
        words = tooltip(row, self._classes, self._session.pixel_size_of(int(row["id"])))
        slide = self._session.slide_of(int(row["id"])) if self._session.scoped.several else None
        return words if slide is None else f"{slide.name}\n{words}"

    # -- sorting -----------------------------------------------------------------------------------------------------

    def set_order(self, name: str) -> None:
        """Sort by another order, and remember it in the project."""
        if name not in ORDERS or name == self._order:
            return
        self._order = name
        if self._session.can_write and self._session.project is not None:
            self._session.project.settings.remember("gallery_order", name)
        self.sort_again()
        self.order_changed.emit()

    def sort_again(self) -> None:
        """Sort what is shown now: at once for few findings, else in a thread."""
        self._live.stop()
        self._classes = {item.id: item for item in self._session.classes}
        self._sizes = self._session.scoped.known_sizes
        self._reviewing = False
        self._appended = self._changed = 0
        self._came.clear()
        self._gone = False
        mask = self._session.scoped.shown.mask()
        if int(np.count_nonzero(mask)) <= AT_ONCE:
            self._sort_now()
            return
        started = time.thread_time()
        columns, name, mask = self._columns(), self._order, mask.copy()
        classes, sizes, severity = list(self._classes.values()), self._session.scoped.known_sizes, self._severity()

        def work() -> tuple[Places, float]:
            begun = time.perf_counter()
            return sorted_places(columns, mask, name, classes, sizes, severity), time.perf_counter() - begun

        self._work.ask("sort", work, self._on_sorted)
        # the window's own part takes at most a tenth of the time, however many findings there are
        self._live.setInterval(max(LIVE_SORT_MS, round(10_000 * (time.thread_time() - started))))
        self.stale_changed.emit()

    def settle(self) -> None:
        """Finish a sort in progress at once, because something is about to act on the order."""
        if self.sorting:
            self._sort_now()

    def close(self) -> None:
        """Wait for the thread (the window is closing)."""
        self._work.close()

    def _sort_now(self) -> None:
        self._work.forget("sort")
        self._came.clear()
        scoped, classes = self._session.scoped, list(self._classes.values())
        mask, sizes = scoped.shown.mask(), scoped.known_sizes
        self._take(sorted_places(self._columns(), mask, self._order, classes, sizes, self._severity()))

    def _severity(self) -> SeverityChoice | None:
        """How severities are worked out, where the order is by them."""
        project, scoped = self._session.project, self._session.scoped
        if self._order != "severity" or project is None:
            return None
        from microscope_qc.workflows.review.severity import anomalies, profile_of

        counted = scoped.shown.counted() & (scoped.table.states != ReviewState.REJECTED)
        return SeverityChoice(profile_of(project), counted, partial(anomalies, project))

    def _columns(self) -> Columns:
        scoped = self._session.scoped
        return columns_of(scoped.table, scoped.slides() if scoped.several else None)

    def _on_sorted(self, made: tuple[Places, float]) -> None:
        places, took = made
        self._live.setInterval(max(self._live.interval(), round(4_000 * took)))
        if self._gone:  # some were deleted in the meantime
            places.remove(np.flatnonzero(~self._session.scoped.table.has(places.ids)))
        came, self._came = self._came, []
        self._take(places)
        if came:
            self._append(np.unique(np.concatenate(came)))

    def _take(self, places: Places) -> None:
        """Show another order."""
        if np.array_equal(places.ids, self._places.ids):
            self._repaint_all()
        else:
            self.beginResetModel()
            self._places, self._list, self._rows = places, None, None
            self.endResetModel()
        self.stale_changed.emit()

    def start_review(self) -> None:
        """Keep the order as it is until the next sort."""
        if self._live.isActive():
            self.sort_again()
        self.settle()
        self._reviewing = True

    # -- what changes the order --------------------------------------------------------------------------------------

    def _on_project_changed(self) -> None:
        project = self._session.project
        wanted = project.settings.get("gallery_order", "worst") if project is not None else "worst"
        self._order = wanted if wanted in ORDERS else "worst"
        self.order_changed.emit()

    def _on_standards_changed(self) -> None:
        if self._order == "severity":
            self.sort_again()

    def _on_slides_changed(self) -> None:
        if self._session.scoped.known_sizes != self._sizes:  # the order and the filter go by sizes in µm
            self.sort_again()
        self._repaint_all()

    def _on_boxes_changed(self, change: BoxChange) -> None:
        if change.kind != "updated":
            self._rows = None
        if change.kind == "reset":
            if not self._session.scoped.table.has(self._places.ids).all():
                self._take(Places())  # nothing of the previous slides is shown while these are sorted
            self.sort_again()
        elif change.kind == "removed":
            self._remove(change.ids)
        elif change.kind == "added":
            if self._reviewing:
                self._append(change.ids)
            elif self.sorting:
                self._came.append(change.ids)
                self._live.start()
            elif not self._live.isActive():
                self._live.start()
        else:
            places = self._places.of(change.ids)
            known = places[places >= 0]
            if len(known):
                self.dataChanged.emit(self.index(int(known.min()), 0), self.index(int(known.max()), 0))
            if self.sorting:
                self._came.append(change.ids)
            else:
                self._append(change.ids[places < 0])
            self._changed += len(known)
            self._reviewing = self._reviewing or bool(len(known))
            self.stale_changed.emit()

    def _append(self, ids: np.ndarray) -> None:
        """Append those of some findings that are shown and not in the list yet."""
        scoped = self._session.scoped
        table = scoped.table
        ids = ids[table.has(ids)]
        ids = ids[(self._places.of(ids) < 0) & scoped.shown.mask()[table.rows_of(ids)]] if len(ids) else ids
        if len(ids) == 0:
            return
        order = order_rows(
            table.get(ids),
            self._order,
            classes=list(self._classes.values()),
            pixel_size_um=scoped.pixel_sizes(ids),
            slides=scoped.slides_of(ids) if scoped.several else None,
        )
        first = len(self._places)
        self.beginInsertRows(NOWHERE, first, first + len(ids) - 1)
        self._places.append(ids[order])
        self._list = self._rows = None
        self.endInsertRows()
        self._appended += len(ids)
        self.stale_changed.emit()

    def _remove(self, gone: np.ndarray) -> None:
        self._gone = True
        places = self.rows_of(gone)
        if len(places) > ONE_BY_ONE:
            self.beginResetModel()
            self._places.remove(places)
            self._list = self._rows = None
            self.endResetModel()
        else:
            for place in places[::-1].tolist():
                self.taking_out = True
                self.beginRemoveRows(NOWHERE, place, place)
                self._places.remove(np.array([place]))
                self._list = self._rows = None
                self.endRemoveRows()
                self.taking_out = False
        if len(places):
            self.stale_changed.emit()

    def _repaint_all(self) -> None:
        if len(self._places):
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._places) - 1, 0))


def sorted_places(
    columns: Columns,
    mask: np.ndarray,
    name: str,
    classes: list[DefectClass],
    sizes: PixelSizes,
    severity: SeverityChoice | None = None,
) -> Places:
    """The shown boxes in the order called ``name`` (any thread)."""
    if severity is not None:  # hidden ones crowd the others, too
        slides = columns.get("slide")
        size = sizes.of(np.zeros(0, np.int64) if slides is None else slides)
        order = order_rows(columns, name, classes=classes, pixel_size_um=size, slides=slides, severity=severity)
        return Places(columns["id"][order[mask[order]]])
    shown = columns if mask.all() else {column: values[mask] for column, values in columns.items()}
    slides = shown.get("slide")
    size = sizes.of(np.zeros(0, np.int64) if slides is None else slides)
    return Places(shown["id"][order_rows(shown, name, classes=classes, pixel_size_um=size, slides=slides)])


def _judged(flags: np.ndarray, states: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Whether a user drew, named or judged each finding, see :func:`microscope_qc.core.opinions.is_judged`."""
    drawn, named = ((flags & np.uint8(flag)) != 0 for flag in (FindingFlag.DRAWN, FindingFlag.CLASS))
    judged: np.ndarray = (states != ReviewState.UNREVIEWED) | (drawn & np.isnan(confidence)) | (named & ~drawn)
    return judged
