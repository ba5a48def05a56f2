"""The finds of the slide on screen in review order: one list that gallery, review page and "next" share."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from qtpy.QtCore import QModelIndex, QObject, QPersistentModelIndex, QStringListModel, Qt, QTimer, Signal

from microscope_qc.app.docks.gallery_order import ORDERS, order_rows
from microscope_qc.app.docks.gallery_text import tooltip
from microscope_qc.app.session import Session
from microscope_qc.core.boxes import BoxChange
from microscope_qc.core.defect_class import DefectClass

BOX_ID = int(Qt.ItemDataRole.UserRole)
LIVE_SORT_MS = 250
"""Finds that come while nobody reviews are sorted in at most this often."""


class FindModel(QStringListModel):
    """Ids of the shown finds, in an order that stays put while a person reviews.

    Sorting happens when the filter, the order, the classes or the slide change, and on :meth:`sort_again`. A find that
    is judged keeps its place, even if the filter would now hide it. New finds are sorted in while nobody has reviewed
    anything since the last sort; afterwards they are put behind the others.

    The rows are empty strings of a model in C++: a view lays 100,000 of them out without asking Python for each.
    """

    order_changed = Signal()
    stale_changed = Signal()  # whether "sort again" would change something

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ids: list[int] = []
        self._row_of: dict[int, int] = {}
        self._order = "worst"
        self._classes: dict[int, DefectClass] = {}
        self._reviewing = False
        self._appended = 0
        self._changed = 0
        self._live = QTimer(self)
        self._live.setSingleShot(True)
        self._live.setInterval(LIVE_SORT_MS)
        self._live.timeout.connect(self.sort_again)
        session.project_changed.connect(self._on_project_changed)
        session.slide_changed.connect(self.sort_again)
        session.slides_changed.connect(self._on_slides_changed)
        session.filter_changed.connect(self.sort_again)
        session.classes_changed.connect(self.sort_again)
        session.boxes_changed.connect(self._on_boxes_changed)
        session.order = self.order_ids
        self._on_project_changed()
        self.sort_again()

    # -- what views ask ----------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[int]:
        """Box ids in their order (read it, do not change it)."""
        return self._ids

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
        """How many new finds stand behind the sorted ones."""
        return self._appended

    @property
    def stale(self) -> bool:
        """Whether judgements or new finds came since the last sort."""
        return bool(self._appended or self._changed)

    def order_ids(self) -> np.ndarray:
        """Ids in their order, those a later edit removed left out."""
        return np.asarray(self._ids, np.int64)

    def row_of(self, box_id: int | None) -> int | None:
        """Place of a find, or None when it is not shown."""
        return None if box_id is None else self._row_of.get(int(box_id))

    def box(self, box_id: int) -> np.void | None:
        """Row of a box in the table, or None when it is gone."""
        table = self._session.table
        return table.get([box_id])[0] if box_id in table else None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Qt: id, words for a screen reader, tooltip."""
        if not index.isValid() or not 0 <= index.row() < len(self._ids):
            return None
        box_id = self._ids[index.row()]
        if role == BOX_ID:
            return box_id
        if role in (int(Qt.ItemDataRole.ToolTipRole), int(Qt.ItemDataRole.AccessibleTextRole)):
            row = self.box(box_id)
            return None if row is None else tooltip(row, self._classes, self._session.pixel_size_um)
        return None

    # -- what changes the order --------------------------------------------------------------------------------------

    def set_order(self, name: str) -> None:
        """Sort by another order, and remember it in the project."""
        if name not in ORDERS or name == self._order:
            return
        self._order = name
        if self._session.can_write and self._session.project is not None:
            self._session.project.set_setting("gallery_order", name)
        self.sort_again()
        self.order_changed.emit()

    def sort_again(self) -> None:
        """Compute the order from what is shown now."""
        self._live.stop()
        started = time.perf_counter()
        self._classes = {item.id: item for item in self._session.classes}
        rows = self._session.shown_rows()
        order = order_rows(
            rows, self._order, classes=list(self._classes.values()), pixel_size_um=self._session.pixel_size_um
        )
        self._reviewing = False
        self._appended = self._changed = 0
        self._replace(rows["id"][order].tolist())
        # sorting takes at most a tenth of the time, however many finds there are
        self._live.setInterval(max(LIVE_SORT_MS, round(10_000 * (time.perf_counter() - started))))
        self.stale_changed.emit()

    def start_review(self) -> None:
        """From now on nothing moves until the next sort."""
        if self._live.isActive():
            self.sort_again()
        self._reviewing = True

    def _on_project_changed(self) -> None:
        project = self._session.project
        wanted = project.setting("gallery_order", "worst") if project is not None else "worst"
        self._order = wanted if wanted in ORDERS else "worst"
        self.order_changed.emit()

    def _on_slides_changed(self) -> None:
        # a pixel size that was set or a place that changed: sizes in µm read differently
        self._update_rows(range(len(self._ids)))

    def _on_boxes_changed(self, change: BoxChange) -> None:
        if change.kind == "reset":
            self.sort_again()
        elif change.kind == "removed":
            self._remove({int(box_id) for box_id in change.ids})
        elif change.kind == "added":
            if self._reviewing:
                self._append(change.ids)
            elif not self._live.isActive():
                self._live.start()
        else:
            known = [self._row_of[int(box_id)] for box_id in change.ids if int(box_id) in self._row_of]
            self._update_rows(known)
            self._append(np.asarray([box_id for box_id in change.ids if int(box_id) not in self._row_of], np.int64))
            self._changed += len(known)
            self._reviewing = self._reviewing or bool(known)
            self.stale_changed.emit()

    def _replace(self, ids: list[int]) -> None:
        self._ids = ids
        self._row_of = {box_id: place for place, box_id in enumerate(ids)}
        self.setStringList([""] * len(ids))  # resets every view

    def _append(self, ids: np.ndarray) -> None:
        rows = self._session.table.get(ids)
        rows = rows[self._session.filter.mask(rows)] if len(rows) else rows
        if len(rows) == 0:
            return
        order = order_rows(
            rows, self._order, classes=list(self._classes.values()), pixel_size_um=self._session.pixel_size_um
        )
        new = rows["id"][order].tolist()
        first = len(self._ids)
        self._ids.extend(new)
        self._row_of.update({box_id: first + place for place, box_id in enumerate(new)})
        self._appended += len(new)
        self.insertRows(first, len(new))
        self.stale_changed.emit()

    def _remove(self, gone: set[int]) -> None:
        places = sorted((self._row_of[box_id] for box_id in gone if box_id in self._row_of), reverse=True)
        if len(places) > 50:
            self._replace([box_id for box_id in self._ids if box_id not in gone])
        else:
            for place in places:
                del self._ids[place]
                self._row_of = {box_id: number for number, box_id in enumerate(self._ids)}
                self.removeRows(place, 1)
        if places:
            self.stale_changed.emit()

    def _update_rows(self, places: Any) -> None:
        places = list(places)
        if places:
            self.dataChanged.emit(self.index(min(places), 0), self.index(max(places), 0))


def find_model(session: Session) -> FindModel:
    """Return the one model of a window's session (it is the one that gives the session its order)."""
    owner = getattr(session.order, "__self__", None)
    return owner if isinstance(owner, FindModel) else FindModel(session)
