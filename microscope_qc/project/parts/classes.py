"""Defect classes: read, add, edit, merge, delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import func, select

from microscope_qc.core.defect_class import DefectClass, next_colour
from microscope_qc.core.errors import InputError
from microscope_qc.project import schema
from microscope_qc.project.deltas import Delta, box_columns
from microscope_qc.project.parts.areas import Areas
from microscope_qc.project.parts.boxes import Boxes
from microscope_qc.project.parts.class_rows import EDITABLE, KEYS, clean_class, edit_title, new_class_rows
from microscope_qc.project.parts.runs import Runs
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.store import Store

_IN_SETS = ("name", "colour", "key", "description", "weight", "box_size_um", "group")


class Classes(RecordPart[DefectClass]):
    """The defect classes of a project, by position."""

    table = "classes"
    noun = "class"

    def __init__(self, store: Store, *, boxes: Boxes, runs: Runs, areas: Areas) -> None:
        super().__init__(store, store.memory.classes)
        self._boxes = boxes
        self._runs = runs
        self._areas = areas

    def by_code(self, code: str) -> DefectClass:
        """Return the class with a short code.

        Raises
        ------
        InputError
            When there is none; the message lists the codes.
        """
        for defect in self:
            if defect.code == code:
                return defect
        known = ", ".join(defect.code for defect in self)
        raise InputError(
            f"There is no class {code} in {self._store.name}.", hint=f"Its classes are {known or 'not made yet'}."
        )

    def add(self, new: DefectClass | str, **fields: Any) -> DefectClass:
        """Add a class at the end: a :class:`DefectClass`, or a code and the fields that are known.

        A code alone gets the next free colour and digit; a digit that is taken stays with its class.
        """
        self._store.require_writable()
        if isinstance(new, str):
            free = [key for key in KEYS if key not in {defect.key for defect in self}]
            known = {
                "name": new,
                "colour": next_colour([defect.colour for defect in self]),
                "key": free[0] if free else "",
                **fields,
            }
            new = DefectClass(new, **known)
        else:
            new = replace(new, **fields)
        (row,) = new_class_rows(self, [new], first_id=self._store.next_id("classes"))
        self._store.commit(f"Add class {row['code']}", [Delta.inserted("classes", [row])])
        return self.by_id(row["id"])

    def ensure(self, wanted: Iterable[DefectClass], *, kind: str = "run") -> dict[str, int]:
        """Add the classes that a model knows and the project lacks; return the class id of each code.

        The new classes are in the log with the detections; they are not undone one by one.
        """
        wanted = list(wanted)
        have = {defect.code for defect in self}
        missing = [defect for defect in {d.code: d for d in wanted}.values() if defect.code not in have]
        if missing:
            rows = new_class_rows(self, missing, first_id=self._store.next_id("classes"))
            title = "Add classes " + ", ".join(row["code"] for row in rows)
            self._store.commit(title, [Delta.inserted("classes", rows)], kind=kind)
        return {defect.code: self.by_code(defect.code).id for defect in wanted}

    def edit(self, class_id: int, **fields: Any) -> DefectClass:
        """Change a class; a digit key of another class is taken from it."""
        self._store.require_writable()
        unknown = sorted(set(fields) - set(EDITABLE))
        if unknown:
            raise InputError(f"A class has no {unknown[0]} that could be changed.")
        row = self._row(class_id)
        if fields.get("example_box"):
            self._boxes.slide_of(fields["example_box"])  # raises when there is no such box
        others = [defect for defect in self if defect.id != class_id]
        changes = {key: value for key, value in clean_class({**row, **fields}, others).items() if value != row.get(key)}
        deltas = [Delta.edited("classes", row, changes)] if changes else []
        for other in others:
            if changes.get("key") and other.key == changes["key"]:
                deltas.append(Delta.edited("classes", {"id": other.id, "key": other.key}, {"key": ""}))
        self._store.commit(edit_title(row, changes), deltas)
        return self.by_id(class_id)

    def delete(self, class_id: int, *, move_to: int | None = None) -> None:
        """Delete a class; its boxes get the class ``move_to``, or are deleted where that is None. One step of undo."""
        self._store.require_writable()
        row = self._row(class_id)
        if move_to == class_id:
            raise InputError("The boxes of a class that is deleted must move to another class.")
        target = None if move_to is None else self.by_id(move_to)
        deltas: list[Delta] = []
        for slide_id, rows in self._rows_of_classes([row["id"]]):
            deltas += self._boxes.deleting(slide_id, rows) if target is None else [_moved(slide_id, rows, target.id)]
        moved = {class_id: move_to}
        deltas += [*self._areas.following(moved), *self._runs.following(moved)]
        count = _box_count(deltas)
        boxes = f" and {'move' if target else 'delete'} its {count} boxes" if count else ""
        to = f" to {target.code}" if target and count else ""
        self._store.commit(f"Delete class {row['code']}{boxes}{to}", [*deltas, Delta.deleted("classes", [row])])

    def merge(self, class_ids: Iterable[int], into: int) -> DefectClass:
        """Merge classes: their boxes get the class ``into``, the others are deleted. One step of undo."""
        self._store.require_writable()
        target = self.by_id(into)
        others = [number for number in dict.fromkeys(class_ids) if number != into]
        rows = [self._row(number) for number in others]
        if not rows:
            raise InputError("Merging needs at least two classes.")
        found = self._rows_of_classes([row["id"] for row in rows])
        deltas = [_moved(slide_id, boxes, into) for slide_id, boxes in found]
        moved = dict.fromkeys(others, into)
        deltas += [*self._areas.following(moved), *self._runs.following(moved)]
        count, codes = _box_count(deltas), ", ".join(row["code"] for row in rows)
        title = f"Merge {codes} into {target.code}" + (f" ({count} boxes)" if count else "")
        self._store.commit(title, [*deltas, Delta.deleted("classes", rows)])
        return self.by_id(into)

    def _rows_of_classes(self, class_ids: Sequence[int]) -> list[tuple[int, np.ndarray]]:
        """Slide ids and the boxes of these classes there."""
        columns = schema.boxes.c
        statement = select(columns.slide_id).where(columns.class_id.in_(class_ids)).distinct()
        with self._store.database.begin() as connection:
            slide_ids = connection.execute(statement).scalars().all()
        found = []
        for slide_id in sorted(slide_ids):
            rows = self._boxes.table(slide_id).rows
            found.append((int(slide_id), rows[np.isin(rows["class_id"], class_ids)]))
        return found

    def reorder(self, class_ids: Sequence[int]) -> None:
        """Put all classes into this order (one step of undo).

        Raises
        ------
        InputError
            When a class is missing or named twice.
        """
        self._store.require_writable()
        if sorted(class_ids) != sorted(defect.id for defect in self):
            raise InputError("The order must name every class once.")
        place_of = {number: place for place, number in enumerate(class_ids)}
        self._store.commit("Reorder classes", self._class_deltas({n: {"position": p} for n, p in place_of.items()}))

    def recolour(self, colours: Mapping[int, str]) -> None:
        """Change the colours of classes, ``#RRGGBB`` by class id (one step of undo)."""
        self._store.require_writable()
        deltas = self._class_deltas({number: {"colour": colour} for number, colour in colours.items()})
        what = self.by_id(next(iter(colours))).code if len(colours) == 1 else f"{len(colours)} classes"
        self._store.commit(f"Recolour {what}", deltas)

    def take(self, classes: Iterable[DefectClass], *, update: bool = False, title: str = "") -> None:
        """Add the classes of a set that the project lacks (one step of undo).

        Parameters
        ----------
        update
            Classes that exist already (by code) get name, colour, key, description, weight and box size of the set, and
            its group where it has one.
        """
        self._store.require_writable()
        classes = list(classes)
        have = {defect.code: defect.id for defect in self}
        missing = [defect for defect in {d.code: d for d in classes}.values() if defect.code not in have]
        changes: dict[int, dict[str, Any]] = {}
        if update:
            for defect in classes:
                if defect.code in have:
                    said = {name: getattr(defect, name) for name in _IN_SETS}
                    if not defect.group:
                        del said["group"]  # a set made before there were groups takes none away
                    changes[have[defect.code]] = said
            keys = {change["key"] for change in changes.values()} - {""}
            for defect in self:
                if defect.id not in changes and defect.key in keys:
                    changes[defect.id] = {"key": ""}
        deltas = self._class_deltas(changes)
        now = [replace(defect, **changes.get(defect.id, {})) for defect in self]
        new = new_class_rows(now, missing, first_id=self._store.next_id("classes"))
        self._store.commit(title or "Load classes", [*deltas, Delta.inserted("classes", new)])

    def _class_deltas(self, changes: Mapping[int, Mapping[str, Any]]) -> list[Delta]:
        deltas = []
        for number, wanted in changes.items():
            row = self._row(number)
            clean = clean_class({**row, **wanted}, [defect for defect in self if defect.id != number])
            differing = {name: clean[name] for name in wanted if clean[name] != row[name]}
            if differing:
                deltas.append(Delta.edited("classes", row, differing))
        return deltas

    def box_counts(self) -> dict[int, int]:
        """Return the number of boxes of each class over all slides, whether shown or not."""
        column = schema.boxes.c.class_id
        with self._store.database.begin() as connection:
            counted = {row[0]: row[1] for row in connection.execute(select(column, func.count()).group_by(column))}
        return {defect.id: counted.get(defect.id, 0) for defect in self}


def _moved(slide_id: int, rows: np.ndarray, class_id: int) -> Delta:
    before = box_columns(rows, slide_id, names=("class_id",))
    return Delta("boxes", before, {**before, "class_id": np.full(len(rows), class_id, np.int32)})


def _box_count(deltas: Iterable[Delta]) -> int:
    return sum(len(delta.before["id"]) for delta in deltas if delta.table == "boxes")
