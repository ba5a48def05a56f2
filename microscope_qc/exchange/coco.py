"""COCO object detection JSON.

``bbox`` is [x, y, width, height] in full-resolution pixels; category names are the class codes; ``score`` is there
where a model made the box; ``attributes`` hold state, reason, note, choice and, as ``edx``, what EDX
measured. Coinciding boxes stay separate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match, certain
from microscope_qc.core.runs import signed_area
from microscope_qc.exchange.coco_masks import read_mask, write_mask
from microscope_qc.exchange.coco_results import are_results, key_of, names_for_results
from microscope_qc.exchange.document import Box, Document, ImageEntry, json_text, plain_number, state_of
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import NotThisFormat, expect, read_files, read_json, size_of
from microscope_qc.exchange.shapes import EXTENSION, NO_SIDES, Sides, extension, from_extension, outline_of

LARGEST_UM = 1e4
CROWD = "iscrowd"
"""Attribute of a box that marks many defects at once, as COCO calls it."""
_TAKEN = ("state", "reason", "note", "chosen", "attributes", "edx")


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
    attributes = {key: value for key, value in box.attributes.items() if key != CROWD}
    taken = {key: value for key, value in attributes.items() if key in _TAKEN}
    annotation: dict[str, Any] = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [plain_number(value) for value in (box.x0, box.y0, width, height)],
        "area": plain_number(width * height),
        "iscrowd": int(box.attributes.get(CROWD) == 1),
        "segmentation": [],
        "attributes": {
            **{key: value for key, value in attributes.items() if key not in _TAKEN},
            **({"attributes": taken} if taken else {}),
            **({"edx": box.measured} if box.composition else {}),
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
    """Read a COCO file or a file of results, or all of a folder."""

    def read_one(file: Path, folder: str, document: Document) -> None:
        root = read_json(file)
        if isinstance(root, list):
            names = names_for_results(file, root)
            root = {**names, "annotations": root}
        _read_root(expect(root, dict, file, "the file"), file, folder, document)

    return read_files(path, (".json",), read_one)


def _read_root(root: dict[str, Any], path: Path, folder: str, document: Document) -> None:
    if "annotations" not in root and not {"images", "categories"} & root.keys():
        raise NotThisFormat(f"{path.name} is not a COCO file.", hint="Choose its format by name.")
    annotations = expect(root.get("annotations"), list, path, '"annotations"')
    images = _read_images(root, path, document, folder)
    codes = _read_categories(root, path, document)
    for number, annotation in enumerate(annotations, start=1):
        document.at(path.name, "annotation", number)
        if not isinstance(annotation, dict):
            document.skip("it is not an object")
        else:
            _read_annotation(annotation, images, codes, document)


def _read_annotation(
    annotation: dict[str, Any], images: dict[str, ImageEntry], codes: dict[str, str], document: Document
) -> None:
    image = images.get(key_of(annotation.get("image_id")))
    if image is None:
        document.skip("picture is not listed in the file")
        return
    category = annotation.get("category_id")
    if category is not None and key_of(category) not in codes:
        document.note("category is not listed in the file: without a class")
    around, outline = _outline(annotation.get("segmentation"))
    bbox = annotation.get("bbox")
    if (not isinstance(bbox, list) or len(bbox) != 4) and (bbox or around == NO_SIDES):
        document.skip("no box")
        return
    if bbox and outline is not None and not _near(_sides(bbox), around):
        document.note("its outline lies elsewhere than its box, and is left out")
        outline = None
    sides, outline = from_extension(annotation.get(EXTENSION), _sides(bbox) if bbox else around, outline)
    extra = annotation.get("attributes")
    extra = dict(extra) if isinstance(extra, dict) else {}
    nested = extra.get("attributes")
    more = extra.pop("attributes") if isinstance(nested, dict) else {}
    if annotation.get(CROWD) in (1, True, "1"):  # CVAT writes it for every mask
        more = {**more, CROWD: 1}
        document.note(f"a group of many objects, or a mask ({CROWD}): kept as an attribute")
    document.take(
        image,
        codes.get(key_of(category)),
        sides,
        score=annotation.get("score"),
        state=state_of(extra.pop("state", "")),
        reason=extra.pop("reason", ""),
        note=extra.pop("note", ""),
        chosen=extra.pop("chosen", False) is True,
        id=annotation["id"] if type(annotation.get("id")) is int else 0,
        attributes={**extra, **more},
        outline=outline,
    )


def _sides(bbox: list[Any]) -> tuple[Any, Any, Any, Any]:
    x, y, width, height = bbox
    try:
        if float(width) < 0 or float(height) < 0:
            return y, x, y, x  # counted as "no area"
        return y, x, float(y) + float(height), float(x) + float(width)
    except (TypeError, ValueError, OverflowError):
        return NO_SIDES


def _near(box: Sides, around: Sides) -> bool:
    """Whether an outline keeps to its box, give or take as much as the box is large."""
    try:
        y0, x0, y1, x1 = (float(side) for side in box)
    except (TypeError, ValueError, OverflowError):
        return True  # counted as no numbers
    room_y, room_x = y1 - y0 + 2, x1 - x0 + 2
    low_y, low_x, high_y, high_x = around
    return bool(low_y >= y0 - room_y and low_x >= x0 - room_x and high_y <= y1 + room_y and high_x <= x1 + room_x)


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


def _read_images(root: dict[str, Any], path: Path, document: Document, folder: str) -> dict[str, ImageEntry]:
    images: dict[str, ImageEntry] = {}
    about = root.get("info")
    of_all = about.get("pixel_size_um") if isinstance(about, dict) else None
    for number, entry in enumerate(expect(root.get("images", []), list, path, '"images"'), start=1):
        expect(entry, dict, path, f"image {number}")
        name = expect(entry.get("file_name"), str, path, f'"file_name" of image {number}')
        image = document.image(name, size_of(entry.get("width"), entry.get("height")), folder=folder)
        image.named = image.named and entry.get("named", True) is not False
        image.pixel_size_um = _pixel_size(entry.get("pixel_size_um", of_all))
        key = key_of(entry.get("id"))
        if key and images.setdefault(key, image) is not image:
            raise _twice(path, "pictures", entry)
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


def _read_categories(root: dict[str, Any], path: Path, document: Document) -> dict[str, str]:
    codes: dict[str, str] = {}
    for number, entry in enumerate(expect(root.get("categories", []), list, path, '"categories"'), start=1):
        expect(entry, dict, path, f"category {number}")
        name = expect(entry.get("name"), str, path, f'"name" of category {number}')
        code = document.add_class(name, entry.get("full_name"), entry.get("color"))
        key = key_of(entry.get("id"))
        if key and codes.setdefault(key, code) != code:
            raise _twice(path, "categories", entry)
    return codes


def _twice(path: Path, what: str, entry: dict[str, Any]) -> ExchangeError:
    return ExchangeError(
        f"{path.name}: two {what} have the id {key_of(entry.get('id'))[:40]}.", hint="Give each an id of its own."
    )


def _recognises(file: Candidate) -> Match:
    root = file.json
    if isinstance(root, list):
        return certain(are_results(root))
    return certain(isinstance(root, dict) and "annotations" in root and ("images" in root or "categories" in root))


COCO = AnnotationFormat("coco", "COCO", ".json", read, write, _recognises)
