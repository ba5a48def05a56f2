"""What every annotation format is read into and written from."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.pictures import picture_path

LARGEST_PX = 1e9
"""Coordinates beyond this are a broken file, not a slide."""
LONGEST_CODE = 200
MOST_ATTRIBUTES = 100
LONGEST_ATTRIBUTES = 10_000
"""Characters of one box's attributes as JSON."""


@dataclass(frozen=True, slots=True)
class Box:
    """One marked defect: half-open, (y, x), in full-resolution pixels of its picture.

    ``score`` is None where a user drew the box. ``attributes`` holds whatever else the file says, ``outline`` the
    shape where it is more than a box.
    """

    class_code: str
    y0: float
    x0: float
    y1: float
    x1: float
    score: float | None = None
    state: ReviewState = ReviewState.UNREVIEWED
    reason: str = ""
    note: str = ""
    id: int = 0
    chosen: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    outline: Outline | None = None


@dataclass(slots=True)
class ImageEntry:
    """One picture and its boxes.

    ``path`` is what the file calls it, with its folders (:func:`microscope_qc.exchange.pictures.picture_path`); it is
    compared and never opened. ``named`` is False where the file does not say which picture it describes.
    """

    path: str
    shape_px: tuple[int, int] | None = None
    pixel_size_um: tuple[float, float] | None = None
    boxes: list[Box] = field(default_factory=list)
    named: bool = True

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Document:
    """Pictures, boxes and classes of one annotation file or folder.

    ``skipped`` counts what could not be read, by reason ("no area", "coordinates are not numbers", ...).
    """

    images: list[ImageEntry] = field(default_factory=list)
    classes: list[DefectClass] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    _by_path: dict[str, ImageEntry] = field(default_factory=dict, repr=False, compare=False)

    @property
    def box_count(self) -> int:
        """Boxes of all pictures."""
        return sum(len(image.boxes) for image in self.images)

    def class_codes(self) -> list[str]:
        """Codes of ``classes`` and of boxes whose class is not listed, each once, in order of appearance."""
        codes = dict.fromkeys(known.code for known in self.classes)
        codes.update(dict.fromkeys(box.class_code for image in self.images for box in image.boxes))
        return list(codes)

    def image(self, name: str, shape_px: tuple[int, int] | None = None, *, folder: str = "") -> ImageEntry:
        """Return the picture of this path, which begins in ``folder`` if it is relative; it is added if it is new."""
        path = picture_path(name, folder=folder)
        if len(self._by_path) != len(self.images):
            self._by_path = {entry.path: entry for entry in self.images}
        entry = self._by_path.get(path)
        if entry is None:
            entry = self._by_path[path] = ImageEntry(path)
            self.images.append(entry)
        entry.shape_px = entry.shape_px or shape_px
        return entry

    def take(self, image: ImageEntry, code: object, sides: tuple[Any, Any, Any, Any], **columns: Any) -> None:
        """Add a box y0, x0, y1, x1 to ``image``, or count why it was left out.

        Swapped sides are put in order. Numbers may be text.
        """
        reason = box_problem(code, sides)
        if reason:
            self.skipped[reason] += 1
            return
        y0, x0, y1, x1 = (float(side) for side in sides)
        box = Box(
            str(code).strip()[:LONGEST_CODE], min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1), **_clean(columns)
        )
        image.boxes.append(box)


def box_problem(code: object, sides: tuple[Any, Any, Any, Any]) -> str:
    """Say why a box cannot be used, "" when it can."""
    if code is None or not str(code).strip():
        return "no class name"
    try:
        values = [float(side) for side in sides]
    except (TypeError, ValueError, OverflowError):
        return "coordinates are not numbers"
    if any(isinstance(side, bool) for side in sides) or not all(math.isfinite(value) for value in values):
        return "coordinates are not numbers"
    if max(map(abs, values)) > LARGEST_PX:
        return "coordinates are too large"
    if values[0] == values[2] or values[1] == values[3]:
        return "no area"
    return ""


def _clean(columns: dict[str, Any]) -> dict[str, Any]:
    score = columns.get("score")
    if score is not None:
        try:
            score = float(score)
        except (TypeError, ValueError):
            score = None
        columns["score"] = score if score is not None and math.isfinite(score) and 0 <= score <= 1 else None
    if "attributes" in columns:
        columns["attributes"] = clean_attributes(columns["attributes"])
    for name in ("reason", "note"):
        if name in columns:
            columns[name] = str(columns[name] or "")[:10_000]
    return columns


def clean_attributes(attributes: dict[Any, Any]) -> dict[str, Any]:
    """Attributes of an untrusted file that can be stored: named, finite, not too large."""
    clean: dict[str, Any] = {}
    if not attributes:
        return clean
    room = LONGEST_ATTRIBUTES - 2
    for key, value in list(attributes.items())[:MOST_ATTRIBUTES]:
        name = str(key).strip()[:100]
        try:
            room -= len(json.dumps({name: value}, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            continue
        if name and value is not None and room >= 0:
            clean[name] = value
    return clean


def state_of(word: object) -> ReviewState:
    """Review state of a word in a file; anything unknown is unreviewed."""
    try:
        return ReviewState[str(word).strip().upper()]
    except KeyError:
        return ReviewState.UNREVIEWED


def json_text(root: dict[str, Any]) -> str:
    """JSON with one line per item of the lists: readable, and written without json's slow indentation."""
    parts = []
    for key, value in root.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            body = "[\n" + ",\n".join(_dumps(item) for item in value) + "\n]"
        else:
            body = _dumps(value)
        parts.append(f"{_dumps(key)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain_number(value: float) -> int | float:
    """Whole numbers without ".0", so that files stay short and readable."""
    return int(value) if float(value).is_integer() else float(value)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """``"#E69F00"`` -> (230, 159, 0); black where it is not a colour."""
    try:
        number = int(colour.lstrip("#"), 16)
    except ValueError:
        return 0, 0, 0
    return number >> 16 & 255, number >> 8 & 255, number & 255
