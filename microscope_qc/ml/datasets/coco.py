"""COCO annotations with their images or slides beside them."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import ModelError
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, full_names

_LARGEST_BYTES = 2 << 30
_REJECTED, _UNREVIEWED = ReviewState.REJECTED.word, ReviewState.UNREVIEWED.word


def find_coco(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """COCO documents in a folder (not inside slides), or the single document ``root``."""
    if root.is_file():
        return [(root, _read(root))] if root.suffix.lower() == ".json" else []
    folders = [root, root / "annotations"]
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.json"))]
    documents = []
    for file in files:
        document = _read(file)
        if isinstance(document, dict) and "images" in document and "annotations" in document:
            documents.append((file, document))
    return documents


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise ModelError(f"{file.name} is too large to be a list of annotations.")
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file.name} cannot be read as JSON ({error}).", hint="Export it again.") from error


def load_coco(documents: list[tuple[Path, dict[str, Any]]]) -> Dataset:
    """Read COCO documents into one data set; category names are the class codes.

    In an export of this program ``attributes.state`` says what is true. A rejected finding is no truth and its place is
    background. A finding of a model that is unreviewed (it has a ``score``) is neither: nobody has said what is there.
    Drawn and imported boxes are truth as soon as they are there, as everywhere else.

    Raises
    ------
    ModelError
        When a document is not valid COCO.
    """
    classes: list[str] = []
    images: list[AnnotatedImage] = []
    left_out = Counter[str]()
    for file, document in documents:
        try:
            images += _images(file, document, classes, left_out)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{file.name} is not a valid COCO file ({error!r}).", hint="Export it again.") from error
    return Dataset(classes, images, full_names(classes), left_out[_REJECTED], left_out[_UNREVIEWED])


def _no_truth(entry: dict[str, Any]) -> str:
    """Why a box is no truth, "" where it is."""
    attributes = entry.get("attributes")
    state = attributes.get("state") if isinstance(attributes, dict) else None
    if state == _REJECTED:
        return _REJECTED
    return _UNREVIEWED if state == _UNREVIEWED and entry.get("score") is not None else ""


def _images(file: Path, document: dict[str, Any], classes: list[str], left_out: Counter[str]) -> list[AnnotatedImage]:
    category: dict[int, int] = {}
    for entry in document.get("categories", []):
        code = str(entry["name"])
        if code not in classes:
            classes.append(code)
        category[entry["id"]] = classes.index(code)
    size = document.get("info", {}).get("pixel_size_um")
    boxes: dict[Any, list[tuple[float, ...]]] = {}
    still_open: dict[Any, list[tuple[float, ...]]] = {}
    for entry in document["annotations"]:
        x, y, width, height = (float(value) for value in entry["bbox"])
        if not (all(map(math.isfinite, (x, y, width, height))) and width > 0 and height > 0):
            continue
        sides = (y, x, y + height, x + width)
        why = _no_truth(entry)
        left_out[why] += 1
        if not why:
            boxes.setdefault(entry["image_id"], []).append((*sides, category[entry["category_id"]]))
        elif why == _UNREVIEWED:
            still_open.setdefault(entry["image_id"], []).append(sides)
    found = []
    for entry in document["images"]:
        path = find_image(file.parent, str(entry["file_name"]))
        if path is None:
            continue
        rows = np.array(boxes.get(entry["id"], []), float).reshape(-1, 5)
        own = entry.get("pixel_size_um", size)
        pixel = (
            None
            if own is None
            else (float(own), float(own))
            if not isinstance(own, list)
            else (float(own[0]), float(own[1]))
        )
        shape = (int(entry["height"]), int(entry["width"]))
        left = np.array(still_open.get(entry["id"], []), float).reshape(-1, 4)
        labels = rows[:, 4].astype(np.int64)
        found.append(AnnotatedImage(path, shape, rows[:, :4], labels, pixel, open_boxes=left))
    return found


def find_image(folder: Path, file_name: str) -> Path | None:
    """Find a image by its name alone: paths in a file are never followed out of the data set's folder."""
    name = file_name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    if not name or name in (".", ".."):
        return None
    for place in (folder, folder / "images", folder.parent, folder.parent / "images"):
        if (place / name).exists():
            return place / name
    return None
