"""Commands on boxes: add, edit, delete."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.boxes import BOX_DTYPE, EDITABLE_COLUMNS, BoxTable, ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline
from microscope_qc.project import loading, schema
from microscope_qc.project.base import PendingCommand
from microscope_qc.project.classes import new_class_rows
from microscope_qc.project.deltas import Delta, box_columns, columns_of
from microscope_qc.project.details import BoxDetails, attributes_to_json
from microscope_qc.project.records import LogEntry

Ids = np.ndarray | Sequence[int]
_CORNERS = {"y0", "x0", "y1", "x1"}


class BoxCommands(BoxDetails):
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
        parts = []
        for number in wanted:
            rows = self.boxes(number).rows
            parts.append(rows[self.shown(number)] if shown else rows)
        return np.concatenate([np.zeros(0, BOX_DTYPE), *parts])

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
        attributes: Mapping[int, Mapping[int, Mapping[str, Any]]] | None = None,
        outlines: Mapping[int, Mapping[int, Outline]] | None = None,
    ) -> dict[int, np.ndarray]:
        """Add boxes to several slides, with classes that are new, as one command.

        Parameters
        ----------
        rows_of
            Rows for each slide id.
        classes
            New classes. Rows refer to them by the negative place in this list: ``class_id`` -1 is the first one.
        attributes, outlines
            For each slide id, what some rows have, by the place of the row.

        Returns
        -------
        dict
            The new box ids for each slide id.
        """
        pending, ids_of = self.prepare_boxes(
            rows_of, title=title, classes=classes, attributes=attributes, outlines=outlines
        )
        pending.write()
        pending.finish()
        return ids_of

    def prepare_boxes(
        self,
        rows_of: Mapping[int, np.ndarray],
        *,
        title: str = "Import boxes",
        classes: Sequence[DefectClass] = (),
        attributes: Mapping[int, Mapping[int, Mapping[str, Any]]] | None = None,
        outlines: Mapping[int, Mapping[int, Outline]] | None = None,
    ) -> tuple[PendingCommand, dict[int, np.ndarray]]:
        """Work :meth:`add_boxes_many` out and write nothing yet: for so many boxes that a window would stand still.

        Returns
        -------
        PendingCommand, dict
            To be written and finished, and the ids the boxes then have.
        """
        self._require_writable()
        new_classes = new_class_rows(self._classes, classes, first_id=self._next_id("classes"))
        deltas = [Delta.inserted("classes", new_classes)]
        ids_of: dict[int, np.ndarray] = {}
        first = self._next_id("boxes")
        for slide_id, given in rows_of.items():
            self.boxes(slide_id)
            rows = given[np.arange(len(given))]  # a copy, at ten times the pace of .copy()
            rows["id"] = np.arange(first, first + len(rows))
            first += len(rows)
            for place, row in enumerate(new_classes, start=1):
                rows["class_id"][given["class_id"] == -place] = row["id"]
            self._check(rows, extra_classes=[row["id"] for row in new_classes])
            deltas.append(Delta("boxes", columns_of([]), box_columns(rows, slide_id)))
            ids = ids_of[slide_id] = rows["id"].copy()
            texts = {
                int(ids[n]): attributes_to_json(found) for n, found in (attributes or {}).get(slide_id, {}).items()
            }
            deltas += self._new_details(slide_id, "attributes", {n: text for n, text in texts.items() if text})
            shapes = {int(ids[n]): found.to_json() for n, found in (outlines or {}).get(slide_id, {}).items()}
            deltas += self._new_details(slide_id, "outlines", shapes)
        filled = [slide_id for slide_id, ids in ids_of.items() if len(ids)]
        return self._prepare(title, deltas, slide_id=filled[0] if len(filled) == 1 else None), ids_of

    def edit_boxes(self, ids: Ids, *, title: str = "", amends: LogEntry | None = None, **columns: Any) -> None:
        """Change columns of boxes; a value is one for all or one for each.

        ``amends`` is the newest command: where it changed the same columns of the same boxes, both become one entry.

        A box that is no longer rejected loses its reason, unless ``reason`` is given too. The outline of a box that
        moves moves along; that of a box of another size is dropped.

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
        deltas: list[Delta] = []
        owners = []
        count = 0
        for slide_id, places in self._by_slide(wanted):
            table = self.boxes(slide_id)
            before = table.get(wanted[places])
            after = table.get(wanted[places])
            for name, value in columns.items():
                _assign(after, name, value, places, len(wanted))
            changed = list(columns)
            if "state" in columns and "reason" not in columns:
                after["reason"][after["state"] != ReviewState.REJECTED] = ""
                changed.append("reason")
            differs = _differs(before, after, changed)
            if not differs.all():
                before, after = before[differs], after[differs]
            if len(after):
                self._check(after, names=changed)
                old, new = (box_columns(rows, slide_id, names=changed) for rows in (before, after))
                deltas.append(Delta("boxes", old, new))
                owners.append(slide_id)
                count += len(after)
                if _CORNERS & set(columns):
                    deltas += self._follow_corners(slide_id, before, after)
        default = "Change box" if count == 1 else f"Change {count} boxes"
        slide_of_all = owners[0] if len(owners) == 1 else None
        self._commit(title or default, deltas, slide_id=slide_of_all, amends=amends)

    def delete_boxes(self, ids: Ids, *, title: str = "") -> None:
        """Delete boxes.

        Raises
        ------
        InputError
            When one of them does not exist.
        """
        self._require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        deltas: list[Delta] = []
        owners = []
        for slide_id, places in self._by_slide(wanted):
            deltas += self._deleted(slide_id, self.boxes(slide_id).get(wanted[places]))
            owners.append(slide_id)
        default = "Delete box" if len(wanted) == 1 else f"Delete {len(wanted)} boxes"
        self._commit(title or default, deltas, slide_id=owners[0] if len(owners) == 1 else None)

    def duplicate_boxes(
        self, ids: Ids, *, dy_px: float, dx_px: float, slide_id: int | None = None, title: str = ""
    ) -> np.ndarray:
        """Make copies of boxes ``dy_px``, ``dx_px`` further, on their slide or another one; return the new ids.

        Copies are a person's: unreviewed, without confidence, not chosen; class, note, attributes and outline go along.
        """
        self._require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        rows_of: dict[int, list[np.ndarray]] = {}
        attributes: dict[int, dict[int, dict[str, Any]]] = {}
        outlines: dict[int, dict[int, Outline]] = {}
        for source, places in self._by_slide(wanted):
            target = source if slide_id is None else slide_id
            rows = self.boxes(source).get(wanted[places])
            start = sum(map(len, rows_of.get(target, [])))
            for place, number in enumerate(rows["id"].tolist(), start=start):
                if found := self.attributes(number):
                    attributes.setdefault(target, {})[place] = found
                if outline := self.outline(number):
                    outlines.setdefault(target, {})[place] = outline.moved(dy_px, dx_px)
            corners = {name: rows[name] + (dy_px if name[0] == "y" else dx_px) for name in ("y0", "x0", "y1", "x1")}
            copies = make_rows(len(rows), class_id=rows["class_id"], note=rows["note"], **corners)
            rows_of.setdefault(target, []).append(copies)
        count = len(wanted)
        joined = {target: np.concatenate(parts) for target, parts in rows_of.items()}
        title = title or ("Duplicate box" if count == 1 else f"Duplicate {count} boxes")
        made = self.add_boxes_many(joined, title=title, attributes=attributes, outlines=outlines)
        return np.concatenate([np.zeros(0, np.int64), *made.values()])

    def _deleted(self, slide_id: int, rows: np.ndarray) -> Iterator[Delta]:
        """Deltas that take boxes of a slide away, with all that belongs to them."""
        yield from self._drop_details(slide_id, rows["id"])
        yield Delta("boxes", box_columns(rows, slide_id), columns_of([]))

    def _by_slide(self, ids: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return slide ids and the places in ``ids`` of their boxes."""
        left = np.ones(len(ids), bool)
        result = []
        order = sorted(self._slides, key=lambda slide: slide.id not in self._tables)  # what is in memory first
        for slide in order:
            if not left.any():
                break
            table = self.boxes(slide.id)
            mine = table.has(ids) & left
            if mine.any():
                result.append((slide.id, np.flatnonzero(mine)))
                left &= ~mine
        if left.any():
            raise InputError(f"There is no box {ids[left][0]} in {self.name}.")
        return result

    def _check(
        self, rows: np.ndarray, *, names: Collection[str] = BOX_DTYPE.names or (), extra_classes: Sequence[int] = ()
    ) -> None:
        """Check the columns ``names`` of boxes; the others are as they were."""
        if _CORNERS & set(names):
            corners = [rows[name] for name in ("y0", "x0", "y1", "x1")]
            if not np.isfinite(corners).all() or not ((rows["y1"] > rows["y0"]) & (rows["x1"] > rows["x0"])).all():
                raise InputError(
                    "A box must have a width and a height.", hint="Its corners are y0 < y1 and x0 < x1, in px."
                )
        if "class_id" in names:
            known = [defect.id for defect in self._classes] + list(extra_classes)
            lost = rows["class_id"][~np.isin(rows["class_id"], known)]
            if len(lost):
                raise InputError(f"There is no class {lost[0]} in {self.name}.")
        if "run_id" in names and not np.isin(rows["run_id"], [0, *(run.id for run in self._runs)]).all():
            raise InputError("A box names a detection run that does not exist.")
        if (rows["state"] > max(ReviewState)).any():
            raise InputError("A box is unreviewed, confirmed or rejected; there is no other state.")
        if np.isinf(rows["confidence"]).any():
            raise InputError("A confidence must be a finite number.")
        for name in {"reason", "note"} & set(names):
            if not all(issubclass(kind, str) for kind in set(map(type, rows[name].tolist()))):
                raise InputError(f"The {name} of a box must be text.")


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
