"""VGG Image Annotator 2: region data as JSON or CSV, and whole projects. Written as region data JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import one_line
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match, certain
from microscope_qc.core.sheets import read_records
from microscope_qc.exchange.document import Box, Document, ImageEntry, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import (
    LARGEST_BYTES,
    LARGEST_ROWS,
    NotThisFormat,
    expect,
    files_of,
    read_files,
    read_json,
)
from microscope_qc.exchange.shapes import (
    EXTENSION,
    NO_SIDES,
    Sides,
    attributes_from,
    attributes_text,
    extension,
    fits,
    from_extension,
    is_plain_line,
    is_plain_polygon,
    outline_of,
    polygon_or_line,
    split_attributes,
)

_OURS = ("state", "reason", "note", "defect_id", "score", "chosen")
_COLUMNS = ("region_shape_attributes", "region_attributes")
_LABEL_NAMES = ("label", "labels", "class", "category", "name", "type")


def write(path: Path, document: Document) -> list[Path]:
    """Write one JSON file; VIA finds pictures by file name, the size in bytes is not known (-1)."""
    root = {
        f"{image.path}-1": {
            "filename": image.path,
            "size": -1,
            "regions": [_region(box) for box in image.boxes],
            "file_attributes": {},
        }
        for image in document.images
    }
    atomic_write(path, json.dumps(root, ensure_ascii=False, allow_nan=False, indent=1))
    return [path]


def _region(box: Box) -> dict[str, Any]:
    sides = {"x": box.x0, "y": box.y0, "width": box.x1 - box.x0, "height": box.y1 - box.y0}
    attributes: dict[str, Any] = {
        "label": box.class_code,
        "state": box.state.word,
        "reason": box.reason,
        "note": box.note,
        "defect_id": str(box.id),
    }
    if box.score is not None:
        attributes["score"] = repr(float(box.score))
    if box.chosen:
        attributes["chosen"] = "true"
    plain, other = split_attributes(box.attributes, (*_OURS, *_LABEL_NAMES))
    attributes |= plain
    if other:
        attributes["attributes"] = attributes_text(other)
    shape = _native(box.outline) if fits(box) and box.outline is not None else None
    if shape is None:
        shape = {"name": "rect", **{name: plain_number(value) for name, value in sides.items()}}
        if box.outline is not None:
            attributes[EXTENSION] = extension(box)
    return {"shape_attributes": shape, "region_attributes": attributes}


def _native(outline: Outline) -> dict[str, Any] | None:
    """VIA's shape for an outline, None where it has none."""
    if is_plain_polygon(outline) or is_plain_line(outline):
        ys, xs = ([plain_number(side) for side in sides] for sides in zip(*outline.parts[0][0], strict=True))
        name = "polygon" if outline.kind == "polygon" else "polyline"
        return {"name": name, "all_points_x": xs, "all_points_y": ys}
    if outline.kind == "ellipse":
        (cy, cx), (ry, rx) = outline.parts[0][0]
        shape = {"name": "ellipse", "cx": cx, "cy": cy, "rx": rx, "ry": ry}
        return {**shape, "theta": math.radians(outline.angle_deg)} if outline.angle_deg else shape
    return None


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read JSON or CSV region data, or a VIA project; of a folder the JSON files, else the CSV files."""
    suffix = ".csv"
    if path.is_dir():
        try:
            files_of(path, ".json")
            suffix = ".json"
        except ExchangeError:
            pass  # then there are tables
    return read_files(path, (suffix,), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    regions = _regions_of_csv(file) if file.suffix.lower() == ".csv" else _regions(file)
    for what, number, name, shape, attributes in regions:
        image = document.image(name, folder=folder)
        if shape is not None:
            document.at(file.name, what, number)
            _read_region(shape, attributes, image, document)


def _regions(file: Path) -> Iterator[tuple[str, int, str, Any, Any]]:
    root = expect(read_json(file), dict, file, "the file")
    root = expect(root.get("_via_img_metadata", root), dict, file, '"_via_img_metadata"')
    if root and not any(isinstance(entry, dict) and "filename" in entry for entry in root.values()):
        raise NotThisFormat(f"{file.name} is not a file of VIA.", hint="Choose its format by name.")
    number = 0
    for key, entry in root.items():
        expect(entry, dict, file, f"the entry {key[:60]!r}")
        name = expect(entry.get("filename"), str, file, f'"filename" of {key[:60]!r}')
        regions = entry.get("regions", [])
        yield "region", number, name, None, None
        for region in regions.values() if isinstance(regions, dict) else expect(regions, list, file, '"regions"'):
            number += 1
            parts = region if isinstance(region, dict) else {}
            yield "region", number, name, parts.get("shape_attributes", {}), parts.get("region_attributes", {})


def _regions_of_csv(file: Path) -> Iterator[tuple[str, int, str, Any, Any]]:
    rows = read_records(file, needed=_COLUMNS, what="VIA table", largest_bytes=LARGEST_BYTES, most_rows=LARGEST_ROWS)
    for row in rows:
        try:
            shape, attributes = (json.loads(row.get(key)) for key in _COLUMNS)
        except (ValueError, RecursionError):
            shape, attributes = "unreadable", {}  # counted as no region
        yield "line", row.line, row.get("filename") or file.stem, shape or None, attributes


def _read_region(shape: Any, attributes: Any, image: ImageEntry, document: Document) -> None:
    shape = shape if isinstance(shape, dict) else {}
    attributes = attributes if isinstance(attributes, dict) else {}
    kind = str(shape.get("name"))
    if kind not in ("rect", "circle", "ellipse", "polygon", "polyline"):
        document.skip(f"{one_line(kind)[:40]} instead of an area" if shape else "it is not a region")
        return
    number = str(attributes.get("defect_id", ""))
    if kind == "rect":
        sides, outline = _rectangle(shape), None
    else:
        sides, outline = outline_of(lambda: _outline(kind, shape))
    sides, outline = from_extension(attributes.get(EXTENSION), sides, outline)
    code, named = _label(attributes)
    hidden = (*_OURS, EXTENSION, "attributes", named)
    document.take(
        image,
        code,
        sides,
        score=attributes.get("score"),
        state=state_of(attributes.get("state")),
        reason=attributes.get("reason", ""),
        note=attributes.get("note", ""),
        chosen=attributes.get("chosen") == "true",
        id=int(number) if number.isdecimal() and len(number) < 18 else 0,
        attributes={key: value for key, value in attributes.items() if key not in hidden and value}
        | attributes_from(attributes.get("attributes")),
        outline=outline,
    )


def _label(attributes: dict[str, Any]) -> tuple[str | None, str]:
    """Class and the attribute that says it: one of a usual name, else the first; of check boxes, the ticked name."""
    for name in (*_LABEL_NAMES, *attributes):
        value = attributes.get(name)
        if isinstance(value, dict):
            value = next((key for key, ticked in value.items() if ticked), None)
        if isinstance(value, str) and value.strip():
            return value, name
    return None, ""


def _rectangle(shape: dict[str, Any]) -> Sides:
    try:
        x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
    except (TypeError, ValueError, KeyError, OverflowError):
        return NO_SIDES
    if width < 0 or height < 0:
        return y, x, y, x  # counted as "no area"
    return y, x, y + height, x + width


def _outline(kind: str, shape: dict[str, Any]) -> Outline:
    if kind in ("polygon", "polyline"):
        points = list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
        if len(points) > 3 and points[0] == points[-1]:
            points.pop()  # VIA 1 repeats the first point
        return polygon_or_line(points, closed=kind == "polygon")
    x, y = float(shape["cx"]), float(shape["cy"])
    rx, ry = (shape["r"], shape["r"]) if kind == "circle" else (shape["rx"], shape["ry"])
    return Outline.ellipse(y, x, float(ry), float(rx), angle_deg=math.degrees(float(shape.get("theta") or 0)))


def _recognises(file: Candidate) -> Match:
    if file.path.suffix.lower() == ".csv":
        return certain(b"region_shape_attributes" in file.head.replace(b"\0", b""))  # in any encoding
    root = file.json
    if not isinstance(root, dict):
        return Match.NONE
    if "_via_img_metadata" in root:
        return Match.CERTAIN
    regions = any(isinstance(value, dict) and "regions" in value for value in root.values())
    return Match.POSSIBLE if regions else Match.NONE


VIA = AnnotationFormat("via", "VGG Image Annotator", ".json", read, write, _recognises, also=(".csv",))
