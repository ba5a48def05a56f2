"""LabelMe 5 and later: one JSON file per picture, without the picture's data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import one_line
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match, certain
from microscope_qc.exchange.document import Box, Document, ImageEntry, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import NotThisFormat, expect, picture_in_text, read_files, read_json, size_of
from microscope_qc.exchange.pictures import file_paths
from microscope_qc.exchange.shapes import (
    EXTENSION,
    as_yx,
    attributes_from,
    extension,
    fits,
    from_extension,
    is_plain_line,
    is_plain_polygon,
    outline_of,
    polygon_or_line,
)

_AREAS = ("rectangle", "polygon", "circle", "mask", "oriented_rectangle", "linestrip", "line")  # a crack may be a line


def write(path: Path, document: Document) -> list[Path]:
    """Write ``PATH/<picture>.json`` for every picture (``PATH`` itself for one picture when it ends in .json)."""
    if path.suffix.lower() == ".json" and len(document.images) == 1:
        targets = [path]
    else:
        targets = [path / f"{stem}.json" for stem in file_paths([image.path for image in document.images])]
    for target, image in zip(targets, document.images, strict=True):
        height, width = image.shape_px or (0, 0)
        root: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_shape(box) for box in image.boxes],
            "imagePath": image.path if target == path else image.name,  # from where the file lies
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        atomic_write(target, json.dumps(root, ensure_ascii=False, allow_nan=False, indent=2))
    return targets


def _shape(box: Box) -> dict[str, Any]:
    corners = ((box.x0, box.y0), (box.x1, box.y1))
    shape: dict[str, Any] = {
        "label": box.class_code,
        "points": [[plain_number(x), plain_number(y)] for x, y in corners],
        "group_id": None,
        "description": box.note,
        "shape_type": "rectangle",
        "flags": {"chosen": box.chosen},
        "mask": None,
        "state": box.state.word,
        "reason": box.reason,
        "defect_id": box.id,
    }
    if box.score is not None:
        shape["score"] = box.score
    if box.attributes:
        shape["attributes"] = box.attributes
    if box.outline is not None:
        native = _native(box.outline) if fits(box) else None
        shape |= native or {}
        if native is None or box.outline.kind in ("mask", "ellipse"):
            shape[EXTENSION] = json.loads(extension(box))
    return shape


def _native(outline: Outline) -> dict[str, Any] | None:
    """Shape that LabelMe draws: one polygon, one line, a circle; None for what it has no shape for."""
    if is_plain_polygon(outline) or is_plain_line(outline):
        points = [[plain_number(x), plain_number(y)] for y, x in outline.parts[0][0]]
        return {"points": points, "shape_type": "polygon" if outline.kind == "polygon" else "linestrip"}
    if outline.kind == "ellipse":
        (cy, cx), (ry, rx) = outline.parts[0][0]
        return {"points": [[cx, cy], [cx + rx, cy]], "shape_type": "circle"} if rx == ry else None
    return None


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read one file or a folder; the picture's data inside the files are ignored."""
    return read_files(path, (".json",), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    root = read_json(file)
    if not isinstance(root, dict) or "shapes" not in root:
        raise NotThisFormat(
            f'{file.name} is not a LabelMe file: it has no "shapes".', hint="Choose its format by name."
        )
    shapes = expect(root["shapes"], list, file, '"shapes"')
    name = root.get("imagePath")
    image = document.image(
        name if isinstance(name, str) and name else file.stem,
        size_of(root.get("imageWidth"), root.get("imageHeight")),
        folder=folder,
    )
    for number, shape in enumerate(shapes, start=1):
        document.at(file.name, "shape", number)
        if isinstance(shape, dict):
            _read_shape(shape, image, document)
        else:
            document.skip("it is not an object")


def _read_shape(shape: dict[str, Any], image: ImageEntry, document: Document) -> None:
    kind = shape.get("shape_type") or "polygon"
    if kind not in _AREAS:
        document.skip(f"{one_line(str(kind))[:40]} instead of an area")
        return
    sides, outline = outline_of(lambda: _outline(kind, shape))
    if kind == "rectangle":
        outline = None
    sides, outline = from_extension(shape.get(EXTENSION), sides, outline)
    flags = shape.get("flags")
    number = shape.get("defect_id")
    document.take(
        image,
        shape.get("label"),
        sides,
        score=shape.get("score"),
        state=state_of(shape.get("state")),
        reason=shape.get("reason", ""),
        note=shape.get("description", ""),
        chosen=isinstance(flags, dict) and flags.get("chosen") is True,
        id=number if type(number) is int else 0,
        attributes=attributes_from(shape.get("attributes")),
        outline=outline,
    )


def _outline(kind: str, shape: dict[str, Any]) -> Outline:
    points = shape["points"]
    if kind == "circle":
        (cy, cx), (ey, ex) = as_yx(points)
        radius = math.hypot(ex - cx, ey - cy)
        return Outline.ellipse(cy, cx, radius, radius)
    if kind == "mask":
        (y0, x0), *_ = sorted(as_yx(points))
        return Outline.mask(picture_in_text(shape["mask"]) > 0, y0, x0)
    return polygon_or_line(points, closed=kind not in ("rectangle", "line", "linestrip"))


def _recognises(file: Candidate) -> Match:
    return certain(isinstance(file.json, dict) and "shapes" in file.json)


LABELME = AnnotationFormat("labelme", "LabelMe", ".json", read, write, _recognises, is_folder=True)
