"""Table rows of defect classes: checking them, and the title of a change."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from microscope_qc.core.cells import one_line, visible
from microscope_qc.core.defect_class import CLASS_KEYS, DefectClass, next_key
from microscope_qc.core.errors import InputError
from microscope_qc.project.migrations import class_row

EDITABLE = (
    "code", "name", "colour", "key", "description", "weight", "position", "box_size_um", "example_box",
    "example_picture", "group",
)  # fmt: skip
LONGEST_CODE = 500  # it is drawn beside every box
LONGEST_GROUP = 100

_FIELD_WORDS = {
    "colour": "colour", "key": "key", "description": "description", "weight": "weight", "position": "place",
    "box_size_um": "box size", "group": "group", "example_box": "example", "example_picture": "example",
}  # fmt: skip


def edit_title(row: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """Title of a change of a class in the history."""
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
    if set(changes) == {"group"}:
        return f"Group of class {code}: {changes['group']}" if changes["group"] else f"No group for class {code}"
    words = list(dict.fromkeys(word for name, word in _FIELD_WORDS.items() if name in changes))
    return f"Change {' and '.join(words) or 'nothing'} of class {code}"


def new_class_rows(known: Sequence[DefectClass], new: Sequence[DefectClass], *, first_id: int) -> list[dict[str, Any]]:
    """Return checked table rows of new classes, placed after the known ones.

    A class without a key, or with one that is taken, gets the next free one.
    """
    position = max((defect.position for defect in known), default=-1) + 1
    codes, keys = {defect.code for defect in known}, {defect.key for defect in known}
    keys_of_new = {defect.key for defect in new}
    rows = []
    for place, defect in enumerate(new):
        row = clean_class(class_row(defect, position=position + place), codes=codes)
        if not row["key"] or row["key"] in keys:
            row["key"] = next_key(keys | keys_of_new)
        rows.append({"id": first_id + place, **row})
        codes.add(row["code"])
        keys.add(row["key"])
    return rows


def clean_class(row: Mapping[str, Any], *, codes: Container[str]) -> dict[str, Any]:
    """Check the fields of a class; ``codes`` are those of the others.

    Raises
    ------
    InputError
        When the code is empty or taken, or colour, key, weight, box size or example cannot be used.
    """
    clean = {name: row[name] for name in EDITABLE}
    for name in ("code", "name", "description", "group"):
        if not isinstance(clean[name], str):
            raise InputError(f"The {name} of a class must be text.")
        clean[name] = visible(clean[name]).strip() if name == "description" else one_line(clean[name])
    if not clean["code"]:
        raise InputError("A class needs a short code.")
    if len(clean["code"]) > LONGEST_CODE:
        raise InputError(
            f"The short code of a class has at most {LONGEST_CODE} characters.", hint="Choose a shorter one."
        )
    if len(clean["group"]) > LONGEST_GROUP or not clean["group"].isprintable():
        raise InputError(
            f"A group of classes has a name of one line and at most {LONGEST_GROUP} characters.", hint="Shorten it."
        )
    if clean["code"] in codes:
        raise InputError(f"There is a class {clean['code']} already.", hint="Choose another short code.")
    clean["name"] = clean["name"] or clean["code"]
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", str(clean["colour"])):
        raise InputError(f"{clean['colour']!r} is not a colour.", hint="Write it as #RRGGBB.")
    if clean["key"] not in ("", *CLASS_KEYS):
        raise InputError(
            f"{clean['key']!r} cannot be the key of a class.",
            hint="Use 0 to 9, Shift+0 to Shift+9, or none.",
        )
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
        raise InputError(f"{value!r} is not the size of a box.", hint="Give its side in um.") from error
    if not 0 < size < 1e6:
        raise InputError("The size of a box must be a positive number of um.")
    return size
