"""COCO object detection JSON.

``bbox`` is [x, y, width, height] in full-resolution pixels; category names are the class codes; ``score`` is there
where a model made the box; ``attributes`` hold state, reason, note and choice. Coinciding boxes stay separate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.class_colours import PALETTE
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline, signed_area
from microscope_qc.core.plugins import Match, certain
from microscope_qc.exchange.coco_masks import read_mask, write_mask
from microscope_qc.exchange.document import Box, Document, ImageEntry, json_text, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import expect, files_of, read_json, size_of
from microscope_qc.exchange.pictures import folder_of
from microscope_qc.exchange.shapes import EXTENSION, NO_SIDES, Sides, extension, from_extension, outline_of

LARGEST_UM = 1e4
CROWD = "iscrowd"
"""Attribute of a box that marks many defects at once, as COCO calls it."""
_TAKEN = ("state", "reason", "note", "chosen", "attributes")


def write(path: Path, document: Document) -> list[Path]:
    """Write one JSON file."""
    atomic_write(path, json_text(to_json(document)))
    return [path]


def to_json(document: Document) -> dict[str, Any]:
    """Document as a COCO dictionary."""
    known = {cls.code: cls for cls in document.classes}
    codes = document.class_codes()
    category_of = {code: number for number, code in enumerate(codes, start=1)}
    images, annotations = [], []
    used: set[int] = set()
    free = max((box.id for image in document.images for box in image.boxes), default=0)
    for number, image in enumerate(document.images, start=1):
        height, width = image.shape_px or (0, 0)
        entry: dict[str, Any] = {"id": number, "file_name": image.path, "width": width, "height": height}
        if image.pixel_size_um:
            entry["pixel_size_um"] = list(image.pixel_size_um)
        images.append(entry)
        for box in image.boxes:
            annotation_id = box.id
            if annotation_id <= 0 or annotation_id in used:
                free += 1
                annotation_id = free
            used.add(annotation_id)
            annotations.append(_annotation(box, annotation_id, number, category_of[box.class_code], image.shape_px))
    categories = [
        {
            "id": category_of[code],
            "name": code,
            "supercategory": "defect",
            "full_name": known[code].name if code in known else code,
            "color": known[code].colour if code in known else "#000000",
        }
        for code in codes
    ]
    info = {"description": "Defects found with microscope-qc", "version": "1.0"}
    return {"info": info, "licenses": [], "images": images, "categories": categories, "annotations": annotations}


def _annotation(
    box: Box, annotation_id: int, image_id: int, category_id: int, shape_px: tuple[int, int] | None
) -> dict[str, Any]:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    taken = {key: value for key, value in box.attributes.items() if key in _TAKEN}
    annotation: dict[str, Any] = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [plain_number(value) for value in (box.x0, box.y0, width, height)],
        "area": plain_number(width * height),
        "iscrowd": 0,
        "segmentation": [],
        "attributes": {
            **{key: value for key, value in box.attributes.items() if key not in _TAKEN},
            **({"attributes": taken} if taken else {}),
            "state": box.state.word,
            "reason": box.reason,
            "note": box.note,
            "chosen": box.chosen,
        },
    }
    if box.score is not None:
        annotation["score"] = box.score
    if box.outline is not None:
        _add_outline(annotation, box, box.outline, shape_px)
    return annotation


def _add_outline(annotation: dict[str, Any], box: Box, outline: Outline, shape_px: tuple[int, int] | None) -> None:
    mask = write_mask(outline, shape_px) if shape_px else None
    if mask is not None:
        annotation["segmentation"], annotation["area"] = mask, sum(mask["counts"][1::2])
        return
    if outline.kind != "line":  # COCO knows areas only
        rings = [ring for ring in outline.rings() if len(ring) > 2]
        annotation["segmentation"] = [[plain_number(side) for y, x in ring for side in (x, y)] for ring in rings]
        annotation["area"] = float(sum(abs(signed_area(ring)) for ring in rings)) / 2
    if outline.kind != "polygon" or any(len(rings) > 1 for rings in outline.parts):
        annotation[EXTENSION] = json.loads(extension(box))


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read a COCO file, or all COCO files of a folder."""
    document = Document()
    for file in files_of(path, ".json"):
        _read_file(file, document, folder_of(file, path))
    return document


def _read_file(path: Path, document: Document, folder: str) -> None:
    root = expect(read_json(path), dict, path, "the file")
    annotations = expect(root.get("annotations"), list, path, '"annotations"')
    images = _read_images(root, path, document, folder)
    codes = _read_categories(root, path, document)
    for number, annotation in enumerate(annotations):
        expect(annotation, dict, path, f"annotation {number + 1}")
        image = images.get(_key(annotation.get("image_id")))
        if image is None:
            document.skipped["picture is not listed in the file"] += 1
            continue
        around, outline = _outline(annotation.get("segmentation"))
        bbox = annotation.get("bbox")
        if (not isinstance(bbox, list) or len(bbox) != 4) and (bbox or outline is None):
            document.skipped["no box"] += 1
            continue
        sides, outline = from_extension(annotation.get(EXTENSION), _sides(bbox) if bbox else around, outline)
        extra = annotation.get("attributes")
        extra = dict(extra) if isinstance(extra, dict) else {}
        nested = extra.get("attributes")
        more = extra.pop("attributes") if isinstance(nested, dict) else {}
        document.take(
            image,
            codes.get(_key(annotation.get("category_id"))),
            sides,
            score=annotation.get("score"),
            state=state_of(extra.pop("state", "")),
            reason=extra.pop("reason", ""),
            note=extra.pop("note", ""),
            chosen=extra.pop("chosen", False) is True,
            id=annotation["id"] if type(annotation.get("id")) is int else 0,
            attributes={**extra, **more, **({CROWD: 1} if annotation.get(CROWD) in (1, True, "1") else {})},
            outline=outline,
        )


def _key(value: Any) -> str | None:
    """An id as text: some programs write the same id as a number in one place and as text in another."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, (int, str)) else None


def _sides(bbox: list[Any]) -> tuple[Any, Any, Any, Any]:
    x, y, width, height = bbox
    try:
        if float(width) < 0 or float(height) < 0:
            return y, x, y, x  # counted as "no area"
        return y, x, float(y) + float(height), float(x) + float(width)
    except (TypeError, ValueError):
        return None, None, None, None


def _outline(segmentation: Any) -> tuple[Sides, Outline | None]:
    """Sides and outline of polygons or of a mask; a rectangle is a box and needs no outline."""
    if isinstance(segmentation, dict):
        return outline_of(lambda: read_mask(segmentation))
    if not isinstance(segmentation, list) or not segmentation:
        return NO_SIDES, None
    return outline_of(lambda: Outline.polygons([[list(_pairs(part))] for part in segmentation]))


def _pairs(numbers: Any) -> Iterator[tuple[float, float]]:
    """Points (y, x) of x0, y0, x1, y1, ..."""
    if len(numbers) % 2:
        raise ValueError("a point has two coordinates")
    for x, y in zip(numbers[0::2], numbers[1::2], strict=True):
        yield float(y), float(x)


def _read_images(root: dict[str, Any], path: Path, document: Document, folder: str) -> dict[Any, ImageEntry]:
    images: dict[Any, ImageEntry] = {}
    about = root.get("info")
    of_all = about.get("pixel_size_um") if isinstance(about, dict) else None
    for number, entry in enumerate(expect(root.get("images", []), list, path, '"images"')):
        expect(entry, dict, path, f"image {number + 1}")
        name = expect(entry.get("file_name"), str, path, f'"file_name" of image {number + 1}')
        image = document.image(name, size_of(entry.get("width"), entry.get("height")), folder=folder)
        image.pixel_size_um = _pixel_size(entry.get("pixel_size_um", of_all))
        images[_key(entry.get("id"))] = image
    if not images and root["annotations"]:
        raise ExchangeError(f'{path.name}: "images" lists no picture.', hint="Export it again with its pictures.")
    return images


def _pixel_size(value: Any) -> tuple[float, float] | None:
    """Size (y, x) of a pixel in um, from one number or two; None where it is none."""
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2 or any(isinstance(side, bool) or not isinstance(side, int | float) for side in pair):
        return None
    y, x = (float(side) if abs(side) <= LARGEST_UM else math.inf for side in pair)
    return (y, x) if 0 < y <= LARGEST_UM and 0 < x <= LARGEST_UM else None


def _read_categories(root: dict[str, Any], path: Path, document: Document) -> dict[Any, str]:
    codes: dict[Any, str] = {}
    listed = {cls.code for cls in document.classes}
    for number, entry in enumerate(expect(root.get("categories", []), list, path, '"categories"')):
        expect(entry, dict, path, f"category {number + 1}")
        code = expect(entry.get("name"), str, path, f'"name" of category {number + 1}').strip()
        codes[_key(entry.get("id"))] = code
        if code and code not in listed:
            listed.add(code)
            name, colour = entry.get("full_name"), entry.get("color")
            colour = colour if isinstance(colour, str) and len(colour) == 7 else PALETTE[0]
            document.classes.append(DefectClass(code, name if isinstance(name, str) else code, colour))
    return codes


def _recognises(file: Candidate) -> Match:
    root = file.json
    return certain(isinstance(root, dict) and "annotations" in root and ("images" in root or "categories" in root))


COCO = AnnotationFormat("coco", "COCO", ".json", read, write, _recognises)
