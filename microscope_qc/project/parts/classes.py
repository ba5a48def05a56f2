"""Defect classes: read, add, edit, merge, delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import select

from microscope_qc.core.class_colours import next_colour
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.opinions import class_is_users
from microscope_qc.core.wording import things
from microscope_qc.project import schema
from microscope_qc.project.commands import CarryOut, at_once
from microscope_qc.project.deltas import Delta
from microscope_qc.project.parts.areas import Areas
from microscope_qc.project.parts.boxes import Boxes
from microscope_qc.project.parts.class_rows import EDITABLE, clean_class, edit_title, new_class_rows
from microscope_qc.project.parts.opinions import Opinions
from microscope_qc.project.parts.runs import Runs
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.store import PendingCommand, Store

_IN_SETS = ("name", "colour", "key", "description", "weight", "box_size_um", "group")


class Classes(RecordPart[DefectClass]):
    """The defect classes of a project, by position."""

    table = "classes"
    noun = "class"

    def __init__(self, store: Store, *, boxes: Boxes, opinions: Opinions, runs: Runs, areas: Areas) -> None:
        super().__init__(store, store.memory.classes)
        self._boxes = boxes
        self._opinions = opinions
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

        A code alone gets the next free colour and key; a key that is taken stays with its class.
        """
        self._store.require_writable()
        if isinstance(new, str):
            known = {
                "name": new,
                "colour": next_colour([defect.colour for defect in self]),
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
            missing = self._told_apart(missing)
            rows = new_class_rows(self, missing, first_id=self._store.next_id("classes"))
            title = "Add classes " + ", ".join(row["code"] for row in rows)
            self._store.commit(title, [Delta.inserted("classes", rows)], kind=kind)
        return {defect.code: self.by_code(defect.code).id for defect in wanted}

    def _told_apart(self, new: Iterable[DefectClass]) -> list[DefectClass]:
        """New classes, each with a colour of its own."""
        colours, told = [defect.colour for defect in self], []
        for defect in new:
            colour = next_colour(colours) if defect.colour in colours else defect.colour
            colours.append(colour)
            told.append(replace(defect, colour=colour))
        return told

    def edit(self, class_id: int, **fields: Any) -> DefectClass:
        """Change a class; the key of another class is taken from it."""
        self._store.require_writable()
        unknown = sorted(set(fields) - set(EDITABLE))
        if unknown:
            raise InputError(f"A class has no {unknown[0]} that could be changed.")
        row = self._row(class_id)
        if fields.get("example_box"):
            self._boxes.slide_of(fields["example_box"])  # raises when there is no such box
        others = [defect for defect in self if defect.id != class_id]
        clean = clean_class({**row, **fields}, codes={defect.code for defect in others})
        changes = {key: value for key, value in clean.items() if value != row.get(key)}
        deltas = [Delta.edited("classes", row, changes)] if changes else []
        for other in others:
            if changes.get("key") and other.key == changes["key"]:
                deltas.append(Delta.edited("classes", {"id": other.id, "key": other.key}, {"key": ""}))
        self._store.commit(edit_title(row, changes), deltas)
        return self.by_id(class_id)

    def delete(self, class_id: int, *, move_to: int | None = None, carry_out: CarryOut = at_once) -> None:
        """Delete a class; its boxes get the class ``move_to``, or are deleted where that is None. One step of undo."""
        self._store.require_writable()
        row = self._row(class_id)
        class_id = row["id"]
        if move_to == class_id:
            raise InputError("The boxes of a class that is deleted must move to another class.")
        target = None if move_to is None else self.by_id(move_to)

        def build(command: PendingCommand) -> None:
            count = self.box_counts()[class_id]
            deltas = [*(self._going(class_id) if target is None else self._moving([class_id], target.id))]
            moved = {class_id: move_to}
            deltas += [*self._areas.following(moved), *self._runs.following(moved)]
            boxes = f" and {'move' if target else 'delete'} its {things(count, 'finding')}" if count else ""
            to = f" to {target.code}" if target and count else ""
            command.title = f"Delete class {row['code']}{boxes}{to}"
            command.deltas = [*deltas, Delta.deleted("classes", [row])]

        carry_out(self._store.prepare(f"Delete class {row['code']}", build=build, size=self._most_concerned()))

    def merge(self, class_ids: Iterable[int], into: int, *, carry_out: CarryOut = at_once) -> DefectClass:
        """Merge classes: their boxes get the class ``into``, the others are deleted. One step of undo."""
        self._store.require_writable()
        target = self.by_id(into)
        others = [int(number) for number in dict.fromkeys(class_ids) if number != into]
        rows = [self._row(number) for number in others]
        if not rows:
            raise InputError("Merging needs at least two classes.")
        title = f"Merge {', '.join(row['code'] for row in rows)} into {target.code}"

        def build(command: PendingCommand) -> None:
            counts = self.box_counts()
            count = sum(counts[number] for number in others)
            moved = dict.fromkeys(others, into)
            deltas = [*self._moving(others, into), *self._areas.following(moved), *self._runs.following(moved)]
            command.title = title + (f" ({things(count, 'finding')})" if count else "")
            command.deltas = [*deltas, Delta.deleted("classes", rows)]

        carry_out(self._store.prepare(title, build=build, size=self._most_concerned()))
        return target

    def _most_concerned(self) -> int:
        """How many findings have a class, and places that were left; the highest number is never less."""
        return self._store.next_id("boxes") - 1

    def _moving(self, class_ids: Sequence[int], into: int) -> Iterator[Delta]:
        """Deltas that give another class to whatever has one of these: findings, places, opinions."""
        for table in ("boxes", "opinions"):
            yield self._class_delta(table, self._having(table, class_ids), into)

    def _going(self, class_id: int) -> Iterator[Delta]:
        """Deltas that take away findings of a class and the opinions that say it; other opinions stay."""
        lost = self._having("opinions", [class_id])
        for slide_id in sorted({int(row["slide_id"]) for row in [*lost, *self._having("boxes", [class_id])]}):
            rows = self._boxes.table(slide_id).rows
            said = self._opinions.of_slide(slide_id)
            said = said[said["class_id"] != class_id]
            going = (rows["class_id"] == class_id) & (class_is_users(rows) | ~np.isin(rows["id"], said["finding_id"]))
            yield from self._boxes.leaving(slide_id, rows[going])
            gone = set(rows["id"][going].tolist())
            others = [row for row in self._having("boxes", [class_id], slide_id) if row["id"] not in gone]
            yield self._class_delta("boxes", others, 0)
        yield Delta.deleted("opinions", self._store.rows("opinions", class_id=class_id))

    def _having(self, table: str, class_ids: Sequence[int], slide_id: int | None = None) -> list[dict[str, Any]]:
        """Id, slide and class of the rows of a table that have one of these classes, whether they count or not."""
        columns = schema.metadata.tables[table].c
        statement = select(columns.id, columns.slide_id, columns.class_id).where(columns.class_id.in_(class_ids))
        if slide_id is not None:
            statement = statement.where(columns.slide_id == slide_id)
        with self._store.database.begin() as connection:
            return [dict(row._mapping) for row in connection.execute(statement.order_by(columns.id))]

    def _class_delta(self, table: str, rows: Sequence[Mapping[str, Any]], class_id: int) -> Delta:
        ids, slides, before = (
            np.array([row[name] for row in rows], kind)
            for name, kind in (("id", np.int64), ("slide_id", np.int32), ("class_id", np.int32))
        )
        known = {"id": ids, "slide_id": slides}
        return Delta(table, {**known, "class_id": before}, {**known, "class_id": np.full_like(before, class_id)})

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
            clean = clean_class({**row, **wanted}, codes={defect.code for defect in self if defect.id != number})
            differing = {name: clean[name] for name in wanted if clean[name] != row[name]}
            if differing:
                deltas.append(Delta.edited("classes", row, differing))
        return deltas

    def box_counts(self) -> dict[int, int]:
        """Return the number of findings of each class over all slides, whether shown or not."""
        counted: Counter[int] = Counter()
        self._boxes.load()
        for slide in self._store.memory.slides:
            numbers, counts = np.unique(self._boxes.table(slide.id).class_ids, return_counts=True)
            counted.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        return {defect.id: counted[defect.id] for defect in self}
