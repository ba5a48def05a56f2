"""What every annotation format is read into and written from."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.cells import one_line, visible
from microscope_qc.core.class_colours import PALETTE
from microscope_qc.core.composition import SHORT, Amount
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.pictures import picture_path

LARGEST_PX = 1e9
"""Coordinates beyond this are a broken file, not a slide."""
LONGEST_CODE = 200
MOST_ATTRIBUTES = 100
LONGEST_TEXT = 10_000
LARGEST_ID = 2**62
MOST_PLACES = 3
LONGEST_ATTRIBUTES = 10_000
"""Characters of one box's attributes as JSON."""


@dataclass(frozen=True, slots=True)
class Box:
    """One marked defect: half-open, (y, x), in full-resolution pixels of its picture.

    ``score`` is None where a user drew the box. ``attributes`` holds whatever else the file says, ``outline`` the
    shape where it is more than a box. ``composition`` is what EDX measured, in both units; it is written, not read.
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
    composition: tuple[Amount, ...] = ()

    @property
    def measured(self) -> dict[str, float]:
        """Percentages by element and unit, ``Ni at%``, and their errors where these are known, ``Ni at% sigma``."""
        found: dict[str, float] = {}
        for amount in self.composition:
            name = f"{amount.element} {SHORT[amount.unit]}"
            found[name] = round(amount.percent, 4)
            if amount.sigma is not None:
                found[f"{name} sigma"] = round(amount.sigma, 4)
        return found


@dataclass(slots=True)
class ImageEntry:
    """One picture and its boxes.

    ``path`` is what the file calls it, with its folders (:func:`microscope_qc.exchange.pictures.picture_path`); it is
    compared and never opened. ``named`` is False where the file does not say which picture it describes,
    ``size_stated`` where ``shape_px`` is known from elsewhere.
    """

    path: str
    shape_px: tuple[int, int] | None = None
    pixel_size_um: tuple[float, float] | None = None
    boxes: list[Box] = field(default_factory=list)
    named: bool = True
    size_stated: bool = True

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Document:
    """Pictures, boxes and classes of one annotation file or folder.

    ``skipped`` counts what could not be read, by reason ("no area", "coordinates are not numbers", ...), ``noted`` what
    was read otherwise than it is written, by what is different; ``places`` says for both where that was first, see
    :meth:`at`. ``files_left_out`` holds what is wrong with files of a folder that could not be read, by their paths in
    the folder. Boxes of the class "" have none in the file.
    """

    images: list[ImageEntry] = field(default_factory=list)
    classes: list[DefectClass] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    files_left_out: dict[str, str] = field(default_factory=dict)
    _here: tuple[str, str, int] = field(default=("", "", 0), repr=False, compare=False)
    _by_path: dict[str, ImageEntry] = field(default_factory=dict, repr=False, compare=False)
    _codes: set[str] = field(default_factory=set, repr=False, compare=False)

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
        """Return the picture of this path, which begins in ``folder`` if it is relative; it is added if it is new.

        Raises
        ------
        ExchangeError
            When the picture was said to have another size.
        """
        path = picture_path(name, folder=folder)
        if len(self._by_path) != len(self.images):
            self._by_path = {entry.path: entry for entry in self.images}
        entry = self._by_path.get(path)
        if entry is None:
            entry = self._by_path[path] = ImageEntry(path)
            self.images.append(entry)
        if entry.shape_px and shape_px and entry.shape_px != shape_px:
            (h, w), (height, width) = entry.shape_px, shape_px
            raise ExchangeError(
                f"The picture {path} is {w} x {h} px in one place and {width} x {height} px in another.",
                hint="Give different pictures different names, or export the annotations again.",
            )
        entry.shape_px = entry.shape_px or shape_px
        return entry

    def add_class(self, code: object, name: object = None, colour: object = None) -> str:
        """List a class if it is new; returns its code as boxes have it, "" for what is no name of a class."""
        if not isinstance(code, str):
            return ""
        clean = class_code(code)
        if len(self._codes) != len(self.classes):
            self._codes = {known.code for known in self.classes}
        if clean and clean not in self._codes:
            self._codes.add(clean)
            title = one_line(name)[:LONGEST_CODE] if isinstance(name, str) else ""
            proper = isinstance(colour, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", colour)
            self.classes.append(DefectClass(clean, title or clean, str(colour) if proper else PALETTE[0]))
        return clean

    def at(self, file: str, what: str, number: int) -> None:
        """Say what is read next: ``labels.txt``, ``line``, 3."""
        self._here = (file, what, number)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count what is left out, and remember where."""
        self._count(self.skipped, reason, count)

    def note(self, what: str) -> None:
        """Count what is read otherwise than it is written, and remember where."""
        self._count(self.noted, what, 1)

    def _count(self, counts: Counter[str], what: str, count: int) -> None:
        counts[what] += count
        places = self.places.setdefault(what, [])
        file, kind, number = self._here
        if file and len(places) < MOST_PLACES:
            places.append(f"{file}, {kind} {number}")

    def take(self, image: ImageEntry, code: object, sides: tuple[Any, Any, Any, Any], **columns: Any) -> None:
        """Add a box y0, x0, y1, x1 to ``image``, or count why it was left out.

        Swapped sides are put in order. Numbers may be text. What is no name of a class is none.
        """
        reason = box_problem(sides)
        if reason:
            self.skip(reason)
            return
        y0, x0, y1, x1 = (float(side) for side in sides)
        score = columns.get("score")
        columns = _clean(columns)
        if score not in (None, "") and columns["score"] is None:
            self.note("confidence is not a number from 0 to 1")
        name = class_code(code) if isinstance(code, str) else ""
        image.boxes.append(Box(name, min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1), **columns))

    def absorb(self, other: Document) -> None:
        """Add everything of another document.

        Raises
        ------
        ExchangeError
            When a picture has different sizes in the two; nothing is added then.
        """
        for image in other.images:
            self.image(image.path, image.shape_px)
        for image in other.images:
            mine = self.image(image.path)
            mine.boxes.extend(image.boxes)
            mine.pixel_size_um = mine.pixel_size_um or image.pixel_size_um
            mine.named = mine.named and image.named
            mine.size_stated = mine.size_stated and image.size_stated
        for known in other.classes:
            self.add_class(known.code, known.name, known.colour)
        self.skipped.update(other.skipped)
        self.noted.update(other.noted)
        for what, places in other.places.items():
            self.places[what] = [*self.places.get(what, []), *places][:MOST_PLACES]
        self.files_left_out.update(other.files_left_out)


def box_problem(sides: tuple[Any, Any, Any, Any]) -> str:
    """Say why a box cannot be used, "" when it can."""
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


def class_code(text: str) -> str:
    """A class name of a file as one line without what cannot be seen."""
    return one_line(text)[:LONGEST_CODE].strip()


def _clean(columns: dict[str, Any]) -> dict[str, Any]:
    score = columns.get("score")
    if score is not None:
        try:
            score = math.nan if isinstance(score, bool) else float(score)
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        columns["score"] = score if 0 <= score <= 1 else None
    if "attributes" in columns:
        columns["attributes"] = clean_attributes(columns["attributes"])
    for name, clean in (("reason", one_line), ("note", visible)):
        if name in columns:
            text = columns[name]
            columns[name] = clean(text)[:LONGEST_TEXT] if isinstance(text, str) else ""
    if not -LARGEST_ID <= columns.get("id", 0) <= LARGEST_ID:
        columns["id"] = 0
    return columns


def clean_attributes(attributes: dict[Any, Any]) -> dict[str, Any]:
    """Attributes of an untrusted file that can be stored: named, finite, not too large, without control characters."""
    clean: dict[str, Any] = {}
    if not attributes:
        return clean
    room = LONGEST_ATTRIBUTES - 2
    for key, value in list(attributes.items())[:MOST_ATTRIBUTES]:
        name = one_line(str(key))[:100]
        try:
            kept = _visible_inside(value)
            room -= len(json.dumps({name: kept}, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            continue
        if name and kept is not None and room >= 0:
            clean[name] = kept
    return clean


def _visible_inside(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible_inside(item) for item in value]
    if isinstance(value, dict):
        return {visible(str(key)): _visible_inside(item) for key, item in value.items()}
    return value


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
