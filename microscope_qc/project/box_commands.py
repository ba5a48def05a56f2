"""Commands on boxes: add, edit, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.boxes import BOX_DTYPE, EDITABLE_COLUMNS, BoxTable, ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.project import loading, schema
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.classes import new_class_rows
from microscope_qc.project.deltas import Columns, Delta, columns_of

Ids = np.ndarray | Sequence[int]
_FEW = 20


class BoxCommands(ProjectBase):
    """The boxes of a project."""

    def boxes(self, slide_id: int) -> BoxTable:
        """Return the live table of a slide's boxes, read at first use.

        Raises
        ------
        InputError
            When there is no such slide.
        """
        table = self._tables.get(slide_id)
        if not any(slide.id == slide_id for slide in self._slides):
            raise InputError(f"There is no slide {slide_id} in {self.name}.")
        if table is None:
            with self._database.begin() as connection:
                table = BoxTable(loading.boxes(connection, slide_id))
            self._tables[slide_id] = table
        return table

    def all_rows(self, slide_id: int | None = None, *, shown: bool = True) -> np.ndarray:
        """Return copies of the box rows of one slide, or of all slides one after the other.

        Parameters
        ----------
        shown
            Leave out what the project's filter hides.
        """
        wanted = [slide.id for slide in self._slides] if slide_id is None else [slide_id]
        parts = [self.boxes(number).rows for number in wanted]
        rows = np.concatenate(parts) if parts else np.zeros(0, BOX_DTYPE)
        return rows[self.filter.mask(rows)] if shown else rows.copy()

    def slide_of(self, box_id: int) -> int:
        """Return the id of the slide a box lies on.

        Raises
        ------
        InputError
            When there is no such box.
        """
        for slide_id, table in self._tables.items():
            if box_id in table:
                return slide_id
        statement = select(schema.boxes.c.slide_id).where(schema.boxes.c.id == int(box_id))
        with self._database.begin() as connection:
            found = connection.execute(statement).scalar()
        if found is None:
            raise InputError(f"There is no box {box_id} in {self.name}.")
        return int(found)

    def add_boxes(self, slide_id: int, rows: np.ndarray, *, title: str = "Draw box") -> np.ndarray:
        """Add boxes to a slide; their ``id`` is given here.

        Returns
        -------
        ndarray
            The new ids, in the order of ``rows``.

        Raises
        ------
        InputError
            When a box is empty or not finite, or its class or slide does not exist.
        """
        return self.add_boxes_many({slide_id: rows}, title=title)[slide_id]

    def add_boxes_many(
        self,
        rows_of: Mapping[int, np.ndarray],
        *,
        title: str = "Import boxes",
        classes: Sequence[DefectClass] = (),
    ) -> dict[int, np.ndarray]:
        """Add boxes to several slides, with classes that are new, as one command.

        Parameters
        ----------
        rows_of
            Rows for each slide id.
        classes
            New classes. Rows refer to them by the negative place in this list: ``class_id`` -1 is the first one.

        Returns
        -------
        dict
            The new box ids for each slide id.
        """
        self._require_writable()
        new_classes = new_class_rows(self._classes, classes, first_id=self._next_id("classes"))
        deltas = [Delta.inserted("classes", new_classes)]
        ids_of: dict[int, np.ndarray] = {}
        first = self._next_id("boxes")
        for slide_id, given in rows_of.items():
            self.boxes(slide_id)
            rows = given.copy()
            rows["id"] = np.arange(first, first + len(rows))
            first += len(rows)
            for place, row in enumerate(new_classes, start=1):
                rows["class_id"][given["class_id"] == -place] = row["id"]
            self._check(rows, extra_classes=[row["id"] for row in new_classes])
            deltas.append(Delta("boxes", columns_of([]), box_columns(rows, slide_id)))
            ids_of[slide_id] = rows["id"].copy()
        filled = [slide_id for slide_id, ids in ids_of.items() if len(ids)]
        self._commit(title, deltas, slide_id=filled[0] if len(filled) == 1 else None)
        return ids_of

    def edit_boxes(self, ids: Ids, *, title: str = "", **columns: Any) -> None:
        """Change columns of boxes; a value is one for all or one for each.

        A box that is no longer rejected loses its reason, unless ``reason`` is given too.

        Raises
        ------
        InputError
            When a box, column or class does not exist, or a box would become empty.
        """
        self._require_writable()
        unknown = sorted(set(columns) - set(EDITABLE_COLUMNS))
        if unknown:
            raise InputError(f"A box has no {unknown[0]} that could be changed.")
        wanted = np.asarray(ids, np.int64).reshape(-1)
        if len(np.unique(wanted)) != len(wanted):
            raise InputError("A box cannot be changed twice in one step.")
        deltas = []
        owners = []
        for slide_id, places in self._by_slide(wanted):
            table = self.boxes(slide_id)
            before = table.get(wanted[places])
            after = before.copy()
            for name, value in columns.items():
                _assign(after, name, value, places, len(wanted))
            changed = list(columns)
            if "state" in columns and "reason" not in columns:
                after["reason"][after["state"] != ReviewState.REJECTED] = ""
                changed.append("reason")
            differs = _differs(before, after, changed)
            before, after = before[differs], after[differs]
            if len(after):
                self._check(after)
                old, new = (box_columns(rows, slide_id, names=changed) for rows in (before, after))
                deltas.append(Delta("boxes", old, new))
                owners.append(slide_id)
        count = sum(len(delta.after["id"]) for delta in deltas)
        default = "Change box" if count == 1 else f"Change {count} boxes"
        self._commit(title or default, deltas, slide_id=owners[0] if len(owners) == 1 else None)

    def delete_boxes(self, ids: Ids, *, title: str = "") -> None:
        """Delete boxes.

        Raises
        ------
        InputError
            When one of them does not exist.
        """
        self._require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        deltas = []
        owners = []
        for slide_id, places in self._by_slide(wanted):
            rows = self.boxes(slide_id).get(wanted[places])
            deltas.append(Delta("boxes", box_columns(rows, slide_id), columns_of([])))
            owners.append(slide_id)
        default = "Delete box" if len(wanted) == 1 else f"Delete {len(wanted)} boxes"
        self._commit(title or default, deltas, slide_id=owners[0] if len(owners) == 1 else None)

    def _by_slide(self, ids: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return slide ids and the places in ``ids`` of their boxes."""
        left = np.ones(len(ids), bool)
        result = []
        order = sorted(self._slides, key=lambda slide: slide.id not in self._tables)  # what is in memory first
        for slide in order:
            if not left.any():
                break
            table = self.boxes(slide.id)
            few = len(ids) <= _FEW  # one look-up each beats a pass over a hundred thousand ids
            mine = np.array([number in table for number in ids.tolist()]) if few else np.isin(ids, table.rows["id"])
            mine &= left
            if mine.any():
                result.append((slide.id, np.flatnonzero(mine)))
                left &= ~mine
        if left.any():
            raise InputError(f"There is no box {ids[left][0]} in {self.name}.")
        return result

    def _check(self, rows: np.ndarray, *, extra_classes: Sequence[int] = ()) -> None:
        corners = [rows[name] for name in ("y0", "x0", "y1", "x1")]
        if not np.isfinite(corners).all() or not ((rows["y1"] > rows["y0"]) & (rows["x1"] > rows["x0"])).all():
            raise InputError(
                "A box must have a width and a height.", hint="Its corners are y0 < y1 and x0 < x1, in px."
            )
        known = [defect.id for defect in self._classes] + list(extra_classes)
        lost = rows["class_id"][~np.isin(rows["class_id"], known)]
        if len(lost):
            raise InputError(f"There is no class {lost[0]} in {self.name}.")
        if not np.isin(rows["run_id"], [0, *(run.id for run in self._runs)]).all():
            raise InputError("A box names a detection run that does not exist.")
        if (rows["state"] > max(ReviewState)).any():
            raise InputError("A box is unreviewed, confirmed or rejected; there is no other state.")
        if np.isinf(rows["confidence"]).any():
            raise InputError("A confidence must be a finite number.")
        for name in ("reason", "note"):
            if not all(isinstance(text, str) for text in rows[name].tolist()):
                raise InputError(f"The {name} of a box must be text.")


def box_columns(rows: np.ndarray, slide_id: int, *, names: Sequence[str] = BOX_DTYPE.names or ()) -> Columns:
    """Return box rows as the columns of a delta; ids and slide are always among them."""
    columns: Columns = {"id": rows["id"].copy(), "slide_id": np.full(len(rows), slide_id, np.int32)}
    for name in names:
        columns[name] = np.ascontiguousarray(rows[name])
    return columns


def _assign(rows: np.ndarray, name: str, value: Any, places: np.ndarray, count: int) -> None:
    try:
        if np.ndim(value) == 1:
            if len(value) != count:
                raise InputError(f"{len(value)} values were given for the {name} of {count} boxes.")
            value = np.asarray(value)[places]
        if name == "state":
            value = np.asarray(value, np.int64)
            if ((value < 0) | (value > max(ReviewState))).any():
                raise InputError("A box is unreviewed, confirmed or rejected; there is no other state.")
        rows[name] = value
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{value!r} cannot be the {name} of a box.") from error


def _differs(before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> np.ndarray:
    differs = np.zeros(len(before), bool)
    for name in names:
        old, new = before[name], after[name]
        unequal = old != new
        if name == "confidence":
            unequal &= ~(np.isnan(old) & np.isnan(new))
        differs |= unequal.astype(bool)
    return differs
