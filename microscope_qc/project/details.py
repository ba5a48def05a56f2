"""What some boxes have besides their columns: free attributes and the outline they came with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.box_filter import BoxFacts
from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline
from microscope_qc.project import loading
from microscope_qc.project.base import ProjectBase
from microscope_qc.project.deltas import Columns, Delta, columns_of

if TYPE_CHECKING:
    from microscope_qc.core.boxes import BoxTable

DETAILS = ("attributes", "outlines")
LONGEST_KEY = 100
LONGEST_ATTRIBUTES = 10_000
_SAME_SIZE_PX = 1e-6
"""Sides that differ by less were moved, not resized: adding an offset to both corners rounds."""

Ids = np.ndarray | Sequence[int]


class BoxDetails(ProjectBase):
    """Attributes and outlines of boxes, read slide by slide when somebody asks."""

    if TYPE_CHECKING:

        def boxes(self, slide_id: int) -> BoxTable: ...

        def slide_of(self, box_id: int) -> int: ...

        def _by_slide(self, ids: np.ndarray) -> list[tuple[int, np.ndarray]]: ...

    def _detail(self, table: str, slide_id: int) -> dict[int, str]:
        known = self._details[table]
        if slide_id not in known:
            with self._database.begin() as connection:
                known[slide_id] = loading.details(connection, table, slide_id)
        return known[slide_id]

    # -- attributes -------------------------------------------------------------------------------------------------

    def attributes(self, box_id: int) -> dict[str, Any]:
        """Return the free attributes of a box (a copy; empty for most boxes)."""
        stored = self._detail("attributes", self.slide_of(box_id)).get(int(box_id))
        return json.loads(stored) if stored else {}

    def slide_attributes(self, slide_id: int) -> dict[int, dict[str, Any]]:
        """Return the attributes of all boxes of a slide that have any, by box id."""
        return {number: json.loads(text) for number, text in self._detail("attributes", slide_id).items()}

    def attributes_of(self, slide_id: int, ids: Ids) -> dict[int, dict[str, Any]]:
        """Return the attributes of some boxes of a slide, by box id; boxes without any are not in it."""
        known = self._detail("attributes", slide_id)
        if not known:
            return {}
        wanted = np.asarray(ids, np.int64).tolist()
        return {number: json.loads(known[number]) for number in wanted if number in known}

    def edit_attributes(self, ids: Ids, changes: Mapping[str, Any], *, title: str = "") -> None:
        """Set attributes of boxes, each to a JSON value; None takes an attribute away.

        Raises
        ------
        InputError
            When a box does not exist, a name is empty, or a value is too large or none that JSON knows.
        """
        self._require_writable()
        wanted = np.unique(np.asarray(ids, np.int64))
        deltas: list[Delta] = []
        for slide_id, places in self._by_slide(wanted):
            known = self._detail("attributes", slide_id)
            new: dict[int, str | None] = {}
            for number in wanted[places].tolist():
                merged = {**json.loads(known.get(number, "{}")), **changes}
                new[number] = attributes_to_json({key: value for key, value in merged.items() if value is not None})
            deltas += _set_details("attributes", slide_id, known, new)
        names = ", ".join(str(key) for key in changes)
        default = f"Set {names} of {'a box' if len(wanted) == 1 else f'{len(wanted)} boxes'}"
        self._commit(title or default[:200], deltas, slide_id=_only_slide(deltas))

    # -- outlines ---------------------------------------------------------------------------------------------------

    def outline(self, box_id: int) -> Outline | None:
        """Return the outline of a box, None for a box that is a box."""
        stored = self._detail("outlines", self.slide_of(box_id)).get(int(box_id))
        return Outline.from_json(stored) if stored else None

    def slide_outlines(self, slide_id: int) -> dict[int, Outline]:
        """Return the outlines of all boxes of a slide that have one, by box id."""
        return {number: Outline.from_json(text) for number, text in self._detail("outlines", slide_id).items()}

    def set_outline(self, box_id: int, outline: Outline | None, *, title: str = "") -> None:
        """Give a box an outline, or take it away; the box stays as it is."""
        self._require_writable()
        slide_id = self.slide_of(box_id)
        new = {int(box_id): None if outline is None else outline.to_json()}
        deltas = list(_set_details("outlines", slide_id, self._detail("outlines", slide_id), new))
        default = "Remove outline" if outline is None else "Draw outline"
        self._commit(title or default, deltas, slide_id=slide_id)

    # -- for filters ------------------------------------------------------------------------------------------------

    def facts(self, slide_id: int) -> BoxFacts:
        """Return what a filter must know about the boxes of a slide beside their rows."""
        texts = self._attribute_texts.get(slide_id)
        if texts is None:
            texts = {number: _text_of(found) for number, found in self.slide_attributes(slide_id).items()}
            self._attribute_texts[slide_id] = texts
        size = next((slide.pixel_size_um for slide in self._slides if slide.id == slide_id), None)
        return BoxFacts(size, {defect.id: defect.code for defect in self._classes}, texts)

    def shown(self, slide_id: int) -> np.ndarray:
        """Boolean for each row of a slide's table: whether the project's filter shows it."""
        known = self.filter
        needed = known.text or known.size_um is not None  # the facts are gathered from all boxes
        return known.mask(self.boxes(slide_id).rows, facts=self.facts(slide_id) if needed else None)

    # -- for the commands on boxes ----------------------------------------------------------------------------------

    def _new_details(self, slide_id: int, table: str, texts: Mapping[int, str]) -> Iterator[Delta]:
        yield from _set_details(table, slide_id, {}, dict(texts))

    def _drop_details(self, slide_id: int, ids: np.ndarray) -> Iterator[Delta]:
        """Deltas that take away what boxes have that go."""
        for table in DETAILS:
            known = self._detail(table, slide_id)
            if known:
                having = [number for number in ids.tolist() if number in known]
                yield from _set_details(table, slide_id, known, dict.fromkeys(having))

    def _follow_corners(self, slide_id: int, before: np.ndarray, after: np.ndarray) -> Iterator[Delta]:
        """Outlines move with their boxes; that of a box of another size is dropped, for it fits no more."""
        known = self._detail("outlines", slide_id)
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
        yield from _set_details("outlines", slide_id, known, new)


def attributes_to_json(attributes: Mapping[str, Any]) -> str | None:
    """Return attributes as they are stored, None when there are none.

    Raises
    ------
    InputError
        When a name is empty, or a value is too large or none that JSON knows.
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
        raise InputError(f"The attributes of a box have room for {LONGEST_ATTRIBUTES} characters; these need more.")
    return text


def _set_details(table: str, slide_id: int, known: Mapping[int, str], new: Mapping[int, str | None]) -> Iterator[Delta]:
    """Deltas that bring the rows of some boxes from what is known to what is new; None is no row."""
    changed = [number for number, text in new.items() if known.get(number) != text]
    if changed:
        before = {number: known[number] for number in changed if number in known}
        after = {number: text for number in changed if (text := new[number]) is not None}
        yield Delta(table, _detail_columns(before, slide_id), _detail_columns(after, slide_id))


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
    """Names and values in one text to look for words in."""
    if isinstance(value, dict):
        return "\n".join(f"{key} {_text_of(item)}" for key, item in value.items())
    return "\n".join(map(_text_of, value)) if isinstance(value, list) else str(value)
