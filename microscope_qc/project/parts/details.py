"""What some boxes have besides their columns: free attributes and outlines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline
from microscope_qc.project.deltas import Columns, Delta, columns_of
from microscope_qc.project.loading import fields_from_json
from microscope_qc.project.parts.tables import Tables
from microscope_qc.project.store import Store

LONGEST_KEY = 100
LONGEST_ATTRIBUTES = 10_000
_SAME_SIZE_PX = 1e-6
"""A box whose sides change by less was moved, not resized: adding an offset to both corners rounds."""

Ids = np.ndarray | Sequence[int]


class _Details:
    """One table beside the boxes: a JSON text for some of them, read slide by slide when needed."""

    name: ClassVar[str]

    def __init__(self, store: Store, tables: Tables) -> None:
        self._store = store
        self._tables = tables

    def stored(self, slide_id: int) -> Mapping[int, str]:
        """Return what is stored for the boxes of a slide, as JSON text by box id."""
        return self._tables.details(self.name, slide_id)

    def adding(self, slide_id: int, texts: Mapping[int, str]) -> Iterator[Delta]:
        """Deltas that store the texts of new boxes."""
        yield from self._changed(slide_id, {}, texts)

    def dropping(self, slide_id: int, ids: np.ndarray) -> Iterator[Delta]:
        """Deltas that delete the texts of deleted boxes."""
        known = self.stored(slide_id)
        if known:
            having = [number for number in ids.tolist() if number in known]
            yield from self._changed(slide_id, known, dict.fromkeys(having))

    def _changed(
        self, slide_id: int, known: Mapping[int, str], new: Mapping[int, str | None] | Mapping[int, str]
    ) -> Iterator[Delta]:
        """Deltas from the known texts of some boxes to new ones; None means no row."""
        changed = [number for number, text in new.items() if known.get(number) != text]
        if changed:
            before = {number: known[number] for number in changed if number in known}
            after = {number: text for number in changed if (text := new[number]) is not None}
            yield Delta(self.name, _detail_columns(before, slide_id), _detail_columns(after, slide_id))


class Attributes(_Details):
    """Free attributes of boxes: names with JSON values."""

    name = "attributes"

    def get(self, box_id: int) -> dict[str, Any]:
        """Return the attributes of a box (a copy; empty for most boxes)."""
        stored = self.stored(self._tables.slide_of(box_id)).get(int(box_id))
        return fields_from_json(stored) if stored else {}

    def of_slide(self, slide_id: int) -> dict[int, dict[str, Any]]:
        """Return the attributes of all boxes of a slide that have any, by box id."""
        return {number: fields_from_json(text) for number, text in self.stored(slide_id).items()}

    def of_boxes(self, slide_id: int, ids: Ids) -> dict[int, dict[str, Any]]:
        """Return the attributes of some boxes of a slide, by box id; boxes without any are left out."""
        known = self.stored(slide_id)
        if not known:
            return {}
        wanted = np.asarray(ids, np.int64).tolist()
        return {number: fields_from_json(known[number]) for number in wanted if number in known}

    def texts(self, slide_id: int) -> Mapping[int, str]:
        """Return names and values as one searchable text per box of a slide."""
        known = self._store.memory.attribute_texts
        if slide_id not in known:
            known[slide_id] = {number: _text_of(found) for number, found in self.of_slide(slide_id).items()}
        return known[slide_id]

    def having(self, attribute: str) -> dict[int, Any]:
        """Return the value of an attribute of all boxes of the project that have it, by box id."""
        with self._store.database.reading() as connection:
            found = connection.execute("SELECT id, data FROM attributes WHERE instr(data, ?)", (json.dumps(attribute),))
            texts = found.fetchall()
        known = {number: fields_from_json(text) for number, text in texts}
        return {number: values[attribute] for number, values in known.items() if attribute in values}

    def changing(self, slide_id: int, changes: Mapping[int, Mapping[str, Any]]) -> Iterator[Delta]:
        """Deltas that set attributes of boxes of a slide, by box id; see :meth:`edit`."""
        known = self.stored(slide_id)
        new: dict[int, str | None] = {}
        for number, values in changes.items():
            merged = {**json.loads(known.get(number, "{}")), **values}
            new[number] = attributes_to_json({key: value for key, value in merged.items() if value is not None})
        yield from self._changed(slide_id, known, new)

    def edit(self, ids: Ids, changes: Mapping[str, Any], *, title: str = "") -> None:
        """Set attributes of boxes, each to a JSON value; None removes an attribute.

        Raises
        ------
        InputError
            When a box does not exist, a name is empty, or a value is too large or cannot be JSON.
        """
        self._store.require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        deltas: list[Delta] = []
        for slide_id, places in self._tables.by_slide(wanted):
            deltas += self.changing(slide_id, dict.fromkeys(wanted[places].tolist(), changes))
        names = ", ".join(str(key) for key in changes)
        default = f"Set {names} of {'a box' if len(wanted) == 1 else f'{len(wanted)} boxes'}"
        self._store.commit(title or default[:200], deltas, slide_id=_only_slide(deltas))


class Outlines(_Details):
    """Outlines of boxes."""

    name = "outlines"

    def get(self, box_id: int) -> Outline | None:
        """Return the outline of a box, None where it has none."""
        stored = self.stored(self._tables.slide_of(box_id)).get(int(box_id))
        return Outline.from_json(stored) if stored else None

    def of_slide(self, slide_id: int) -> dict[int, Outline]:
        """Return the outlines of all boxes of a slide that have one, by box id."""
        return {number: Outline.from_json(text) for number, text in self.stored(slide_id).items()}

    def set(self, box_id: int, outline: Outline | None, *, title: str = "") -> None:
        """Set or remove the outline of a box; the box stays as it is."""
        self._store.require_writable()
        slide_id = self._tables.slide_of(box_id)
        new = {int(box_id): None if outline is None else outline.to_json()}
        deltas = list(self._changed(slide_id, self.stored(slide_id), new))
        default = "Remove outline" if outline is None else "Draw outline"
        self._store.commit(title or default, deltas, slide_id=slide_id)

    def following(self, slide_id: int, before: np.ndarray, after: np.ndarray) -> Iterator[Delta]:
        """Deltas that move outlines with their boxes; that of a resized box is deleted, as it no longer fits."""
        known = self.stored(slide_id)
        if not known:
            return
        new: dict[int, str | None] = {}
        for old, now in zip(before, after, strict=True):
            number = int(old["id"])
            shift = [float(now[side] - old[side]) for side in ("y0", "x0", "y1", "x1")]
            if number not in known or not any(shift):
                continue
            moved = abs(shift[0] - shift[2]) < _SAME_SIZE_PX and abs(shift[1] - shift[3]) < _SAME_SIZE_PX
            new[number] = Outline.from_json(known[number]).moved(shift[0], shift[1]).to_json() if moved else None
        yield from self._changed(slide_id, known, new)


def attributes_to_json(attributes: Mapping[str, Any]) -> str | None:
    """Return attributes as they are stored, None without any.

    Raises
    ------
    InputError
        When a name is empty, or a value is too large or cannot be JSON.
    """
    if not attributes:
        return None
    for key in attributes:
        if not isinstance(key, str) or not key.strip() or len(key) > LONGEST_KEY:
            raise InputError("An attribute needs a name of at most 100 characters.")
    try:
        text = json.dumps(dict(attributes), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"These attributes cannot be stored ({error}).", hint="Use text and numbers.") from error
    if len(text) > LONGEST_ATTRIBUTES:
        raise InputError(f"The attributes of a box may have {LONGEST_ATTRIBUTES} characters; these have more.")
    return text


def _detail_columns(texts: Mapping[int, str], slide_id: int) -> Columns:
    if not texts:
        return columns_of([])
    data = np.empty(len(texts), object)
    data[:] = list(texts.values())
    return {
        "id": np.array(list(texts), np.int64),
        "slide_id": np.full(len(texts), slide_id, np.int32),
        "data": data,
    }


def _only_slide(deltas: Sequence[Delta]) -> int | None:
    found = {int(n) for delta in deltas for side in (delta.before, delta.after) for n in side.get("slide_id", ())[:1]}
    return found.pop() if len(found) == 1 else None


def _text_of(value: Any) -> str:
    """Names and values as one searchable text."""
    if isinstance(value, dict):
        return "\n".join(f"{key} {_text_of(item)}" for key, item in value.items())
    return "\n".join(map(_text_of, value)) if isinstance(value, list) else str(value)
