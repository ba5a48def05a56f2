"""Commands on defect classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from microscope_qc.core.defect_class import DefectClass, next_colour
from microscope_qc.core.errors import InputError
from microscope_qc.project import schema
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.deltas import Delta, box_columns
from microscope_qc.project.migrations import class_row

if TYPE_CHECKING:
    from microscope_qc.core.boxes import BoxTable

_EDITABLE = (
    "code", "name", "colour", "key", "description", "weight", "position", "box_size_um", "example_box",
    "example_picture",
)  # fmt: skip
_IN_SETS = ("name", "colour", "key", "description", "weight", "box_size_um")
_KEYS = "1234567890"


class ClassCommands(ProjectBase):
    """The defect classes of a project."""

    if TYPE_CHECKING:

        def boxes(self, slide_id: int) -> BoxTable: ...

        def slide_of(self, box_id: int) -> int: ...

        def _deleted(self, slide_id: int, rows: np.ndarray) -> Iterator[Delta]: ...

    @property
    def classes(self) -> list[DefectClass]:
        """The classes by position."""
        return list(self._classes)

    def class_by_code(self, code: str) -> DefectClass:
        """Return the class with a short code.

        Raises
        ------
        InputError
            When there is none; the sentence lists the codes.
        """
        for defect in self._classes:
            if defect.code == code:
                return defect
        known = ", ".join(defect.code for defect in self._classes)
        raise InputError(
            f"There is no class {code} in {self.name}.", hint=f"Its classes are {known or 'not made yet'}."
        )

    def class_by_id(self, class_id: int) -> DefectClass:
        """Return a class by its number.

        Raises
        ------
        InputError
            When there is none.
        """
        for defect in self._classes:
            if defect.id == class_id:
                return defect
        raise InputError(f"There is no class {class_id} in {self.name}.")

    def add_class(self, new: DefectClass | str, **fields: Any) -> DefectClass:
        """Add a class at the end: a :class:`DefectClass`, or a code and the fields that are known.

        A code alone gets the next free colour and digit; a digit that is taken stays where it is.
        """
        self._require_writable()
        if isinstance(new, str):
            free = [key for key in _KEYS if key not in {defect.key for defect in self._classes}]
            known = {
                "name": new,
                "colour": next_colour([defect.colour for defect in self._classes]),
                "key": free[0] if free else "",
                **fields,
            }
            new = DefectClass(new, **known)
        else:
            new = replace(new, **fields)
        (row,) = new_class_rows(self._classes, [new], first_id=self._next_id("classes"))
        self._commit(f"Add class {row['code']}", [Delta.inserted("classes", [row])])
        return self.class_by_id(row["id"])

    def ensure_classes(self, wanted: Iterable[DefectClass], *, kind: str = "run") -> dict[str, int]:
        """Make the classes a model knows and the project lacks; return the class id of each code.

        The new classes are in the log with the detections; they are not undone one by one.
        """
        wanted = list(wanted)
        have = {defect.code for defect in self._classes}
        missing = [defect for defect in {d.code: d for d in wanted}.values() if defect.code not in have]
        if missing:
            rows = new_class_rows(self._classes, missing, first_id=self._next_id("classes"))
            title = "Add classes " + ", ".join(row["code"] for row in rows)
            self._commit(title, [Delta.inserted("classes", rows)], kind=kind)
        return {defect.code: self.class_by_code(defect.code).id for defect in wanted}

    def edit_class(self, class_id: int, **fields: Any) -> DefectClass:
        """Change a class; a digit key that another class has is taken over from it."""
        self._require_writable()
        unknown = sorted(set(fields) - set(_EDITABLE))
        if unknown:
            raise InputError(f"A class has no {unknown[0]} that could be changed.")
        row = self._row("classes", class_id, what="class")
        if fields.get("example_box"):
            self.slide_of(fields["example_box"])  # says so when there is no such box
        others = [defect for defect in self._classes if defect.id != class_id]
        changes = {key: value for key, value in clean_class({**row, **fields}, others).items() if value != row.get(key)}
        deltas = [Delta.edited("classes", row, changes)] if changes else []
        for other in others:
            if changes.get("key") and other.key == changes["key"]:
                deltas.append(Delta.edited("classes", {"id": other.id, "key": other.key}, {"key": ""}))
        self._commit(_edit_title(row, changes), deltas)
        return self.class_by_id(class_id)

    def delete_class(self, class_id: int, *, move_to: int | None = None) -> None:
        """Delete a class; its boxes get the class ``move_to``, or go too when that is None. One step of undo."""
        self._require_writable()
        row = self._row("classes", class_id, what="class")
        if move_to == class_id:
            raise InputError("The boxes of a class that is deleted must move to another class.")
        target = None if move_to is None else self.class_by_id(move_to)
        deltas: list[Delta] = []
        for slide_id, rows in self._rows_of_classes([class_id]):
            deltas += self._deleted(slide_id, rows) if target is None else [_moved(slide_id, rows, target.id)]
        count = _box_count(deltas)
        boxes = f" and {'move' if target else 'delete'} its {count} boxes" if count else ""
        to = f" to {target.code}" if target and count else ""
        self._commit(f"Delete class {row['code']}{boxes}{to}", [*deltas, Delta.deleted("classes", [row])])

    def merge_classes(self, class_ids: Iterable[int], into: int) -> DefectClass:
        """Make one class of several: their boxes get the class ``into``, the others go. One step of undo."""
        self._require_writable()
        target = self.class_by_id(into)
        rows = [self._row("classes", number, what="class") for number in dict.fromkeys(class_ids) if number != into]
        if not rows:
            raise InputError("Merging needs at least two classes.")
        found = self._rows_of_classes([row["id"] for row in rows])
        deltas = [_moved(slide_id, boxes, into) for slide_id, boxes in found]
        count, codes = _box_count(deltas), ", ".join(row["code"] for row in rows)
        title = f"Merge {codes} into {target.code}" + (f" ({count} boxes)" if count else "")
        self._commit(title, [*deltas, Delta.deleted("classes", rows)])
        return self.class_by_id(into)

    def _rows_of_classes(self, class_ids: Sequence[int]) -> list[tuple[int, np.ndarray]]:
        """Slide ids and the boxes of these classes there."""
        found = []
        for slide in self._slides:
            rows = self.boxes(slide.id).rows
            rows = rows[np.isin(rows["class_id"], class_ids)]
            if len(rows):
                found.append((slide.id, rows))
        return found

    def reorder_classes(self, class_ids: Sequence[int]) -> None:
        """Put all classes into this order (one step of undo).

        Raises
        ------
        InputError
            When a class is missing or named twice.
        """
        self._require_writable()
        if sorted(class_ids) != sorted(defect.id for defect in self._classes):
            raise InputError("The order must name every class once.")
        place_of = {number: place for place, number in enumerate(class_ids)}
        self._commit("Reorder classes", self._class_deltas({n: {"position": p} for n, p in place_of.items()}))

    def recolour_classes(self, colours: Mapping[int, str]) -> None:
        """Give classes other colours, ``#RRGGBB`` by class id (one step of undo)."""
        self._require_writable()
        deltas = self._class_deltas({number: {"colour": colour} for number, colour in colours.items()})
        what = self.class_by_id(next(iter(colours))).code if len(colours) == 1 else f"{len(colours)} classes"
        self._commit(f"Recolour {what}", deltas)

    def take_classes(self, classes: Iterable[DefectClass], *, update: bool = False, title: str = "") -> None:
        """Add the classes of a set that the project lacks (one step of undo).

        Parameters
        ----------
        update
            Classes that are there already (by code) get name, colour, key, description, weight and box size of the set.
        """
        self._require_writable()
        classes = list(classes)
        have = {defect.code: defect.id for defect in self._classes}
        missing = [defect for defect in {d.code: d for d in classes}.values() if defect.code not in have]
        changes: dict[int, dict[str, Any]] = {}
        if update:
            for defect in classes:
                if defect.code in have:
                    changes[have[defect.code]] = {name: getattr(defect, name) for name in _IN_SETS}
            keys = {change["key"] for change in changes.values()} - {""}
            for defect in self._classes:
                if defect.id not in changes and defect.key in keys:
                    changes[defect.id] = {"key": ""}
        deltas = self._class_deltas(changes)
        now = [replace(defect, **changes.get(defect.id, {})) for defect in self._classes]
        new = new_class_rows(now, missing, first_id=self._next_id("classes"))
        self._commit(title or "Load classes", [*deltas, Delta.inserted("classes", new)])

    def _class_deltas(self, changes: Mapping[int, Mapping[str, Any]]) -> list[Delta]:
        deltas = []
        for number, wanted in changes.items():
            row = self._row("classes", number, what="class")
            clean = clean_class({**row, **wanted}, [defect for defect in self._classes if defect.id != number])
            differing = {name: clean[name] for name in wanted if clean[name] != row[name]}
            if differing:
                deltas.append(Delta.edited("classes", row, differing))
        return deltas

    def class_counts(self) -> dict[int, int]:
        """Return how many boxes each class has, over all slides, whether shown or not."""
        column = schema.boxes.c.class_id
        with self._database.begin() as connection:
            counted = {row[0]: row[1] for row in connection.execute(select(column, func.count()).group_by(column))}
        return {defect.id: counted.get(defect.id, 0) for defect in self._classes}


_FIELD_WORDS = {
    "colour": "colour", "key": "key", "description": "description", "weight": "weight", "position": "place",
    "box_size_um": "box size", "example_box": "example", "example_picture": "example",
}  # fmt: skip


def _edit_title(row: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """What a change of a class is called in the history."""
    code = row["code"]
    if "code" in changes:
        return f"Rename class {code} to {changes['code']}"
    if "name" in changes:
        return f"Rename class {code}: “{row['name']}” to “{changes['name']}”"
    if set(changes) == {"colour"}:
        return f"Recolour {code}"
    if set(changes) == {"key"}:
        return f"Key {changes['key']} for class {code}" if changes["key"] else f"No key for class {code}"
    if set(changes) == {"weight"}:
        return f"Weight of class {code}: {row['weight']:g} to {changes['weight']:g}"
    if set(changes) == {"box_size_um"} and changes["box_size_um"] is not None:
        return f"Box size of class {code}: {changes['box_size_um']:g} µm"
    words = list(dict.fromkeys(word for name, word in _FIELD_WORDS.items() if name in changes))
    return f"Change {' and '.join(words) or 'nothing'} of class {code}"


def _moved(slide_id: int, rows: np.ndarray, class_id: int) -> Delta:
    before = box_columns(rows, slide_id, names=("class_id",))
    return Delta("boxes", before, {**before, "class_id": np.full(len(rows), class_id, np.int32)})


def _box_count(deltas: Iterable[Delta]) -> int:
    return sum(len(delta.before["id"]) for delta in deltas if delta.table == "boxes")


def new_class_rows(known: Sequence[DefectClass], new: Sequence[DefectClass], *, first_id: int) -> list[dict[str, Any]]:
    """Return checked table rows of new classes, placed after the known ones."""
    position = max((defect.position for defect in known), default=-1) + 1
    taken = list(known)
    rows = []
    for place, defect in enumerate(new):
        row = clean_class(class_row(defect, position=position + place), taken)
        if row["key"] in {other.key for other in taken}:
            row["key"] = ""
        rows.append({"id": first_id + place, **row})
        taken.append(replace(defect, code=row["code"], key=row["key"]))
    return rows


def clean_class(row: dict[str, Any], others: Sequence[DefectClass]) -> dict[str, Any]:
    """Check the fields of a class.

    Raises
    ------
    InputError
        When the code is empty or taken, the colour is none, the key is no digit or the weight no number.
    """
    clean = {name: row[name] for name in _EDITABLE}
    for name in ("code", "name", "description"):
        if not isinstance(clean[name], str):
            raise InputError(f"The {name} of a class must be text.")
        clean[name] = clean[name].strip()
    if not clean["code"]:
        raise InputError("A class needs a short code.")
    if clean["code"] in {other.code for other in others}:
        raise InputError(f"There is a class {clean['code']} already.", hint="Choose another short code.")
    clean["name"] = clean["name"] or clean["code"]
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", str(clean["colour"])):
        raise InputError(f"{clean['colour']!r} is no colour.", hint="Write it as #RRGGBB.")
    if clean["key"] not in ("", *_KEYS):
        raise InputError(f"{clean['key']!r} cannot be the key of a class.", hint="Use a digit from 0 to 9, or none.")
    try:
        clean["weight"], clean["position"] = float(clean["weight"]), int(clean["position"])
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("The weight of a class must be a number.") from error
    if not math.isfinite(clean["weight"]) or clean["weight"] < 0:
        raise InputError("The weight of a class must be a number, zero or more.")
    if clean["box_size_um"] is not None:
        clean["box_size_um"] = _box_size(clean["box_size_um"])
    clean["example_box"] = int(clean["example_box"] or 0)
    place = PurePosixPath(str(clean["example_picture"]).replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in str(place):
        raise InputError(
            "The example of a class is a picture inside the project's folder.", hint="Copy it there first."
        )
    clean["example_picture"] = "" if str(place) == "." else str(place)
    return clean


def _box_size(value: Any) -> float:
    try:
        size = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r} is no size of a box.", hint="Give its side in um.") from error
    if not 0 < size < 1e6:
        raise InputError("The size of a box must be a positive number of um.")
    return size
