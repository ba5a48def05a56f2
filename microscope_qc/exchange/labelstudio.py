"""Label Studio JSON: a list of tasks; positions in percent of the picture; models' boxes are predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from microscope_qc.core.cells import one_line
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import Match, certain
from microscope_qc.exchange.brush import read_brush
from microscope_qc.exchange.document import Box, Document, ImageEntry, state_of
from microscope_qc.exchange.format import AnnotationFormat, Candidate
from microscope_qc.exchange.loading import NotThisFormat, as_list, read_files, read_json, size_of
from microscope_qc.exchange.pictures import PICTURE_SUFFIXES, size_for
from microscope_qc.exchange.shapes import (
    EXTENSION,
    NO_SIDES,
    Sides,
    attributes_from,
    extension,
    fits,
    from_extension,
    is_plain_polygon,
    outline_of,
    turned_rectangle,
    whole,
)

_PLAIN = ("rectangle", "polygon", "ellipse", "brush")
_KINDS = dict.fromkeys(f"{shape}labels" for shape in _PLAIN).keys()


def write(path: Path, document: Document) -> list[Path]:
    """Write one JSON file; unreviewed boxes of a model are predictions, all others annotations.

    Raises
    ------
    ExchangeError
        When a picture's size is not known.
    """
    tasks = []
    for number, image in enumerate(document.images, start=1):
        if image.shape_px is None:
            raise ExchangeError(
                f"Label Studio needs the size of {image.name}, which is not known.",
                hint="Choose COCO, or open the slide once.",
            )
        judged: list[dict[str, Any]] = []
        predicted: list[dict[str, Any]] = []
        for index, box in enumerate(image.boxes):
            model = box.score is not None and box.state.word == "unreviewed"
            (predicted if model else judged).append(_result(box, image.shape_px, f"{number}_{index}"))
        tasks.append(
            {
                "id": number,
                "data": {"image": image.path},
                "annotations": [{"id": number, "result": judged}],
                "predictions": [{"id": number, "model_version": "microscope-qc", "result": predicted}],
            }
        )
    atomic_write(path, json.dumps(tasks, ensure_ascii=False, allow_nan=False, indent=1))
    return [path]


def _result(box: Box, shape_px: tuple[int, int], name: str) -> dict[str, Any]:
    height, width = shape_px
    result: dict[str, Any] = {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": box.x0 / width * 100,
            "y": box.y0 / height * 100,
            "width": (box.x1 - box.x0) / width * 100,
            "height": (box.y1 - box.y0) / height * 100,
            "rotation": 0,
            "rectanglelabels": [box.class_code],
        },
        "meta": {
            "text": [box.note] if box.note else [],
            "state": box.state.word,
            "reason": box.reason,
            "defect_id": box.id,
            "chosen": box.chosen,
        },
    }
    if box.score is not None:
        result["score"] = box.score
    if box.attributes:
        result["meta"]["attributes"] = box.attributes
    if box.outline is not None:
        native = _native(box, box.outline, shape_px) if fits(box) else None
        result |= native or {}
        result["meta"][EXTENSION] = extension(box)  # percentages are rounded
    return result


def _native(box: Box, outline: Outline, shape_px: tuple[int, int]) -> dict[str, Any] | None:
    """Type and value of an outline that Label Studio has a shape for."""
    height, width = shape_px
    if is_plain_polygon(outline):
        points = [[x / width * 100, y / height * 100] for y, x in outline.parts[0][0]]
        return {"type": "polygonlabels", "value": {"points": points, "polygonlabels": [box.class_code]}}
    if outline.kind == "ellipse":
        (cy, cx), (ry, rx) = outline.parts[0][0]
        sizes = {"x": cx / width, "y": cy / height, "radiusX": rx / width, "radiusY": ry / height}
        value = {**{name: share * 100 for name, share in sizes.items()}, "rotation": outline.angle_deg}
        return {"type": "ellipselabels", "value": {**value, "ellipselabels": [box.class_code]}}
    return None


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read exported tasks, in the long or the short form (JSON, JSON-MIN)."""
    return read_files(path, (".json",), partial(_read_file, sizes))


def _read_file(sizes: Mapping[str, tuple[int, int]], file: Path, folder: str, document: Document) -> None:
    tasks = read_json(file)
    if not isinstance(tasks, list) or (tasks and not any(_is_task(task) or _is_short(task) for task in tasks)):
        raise NotThisFormat(f"{file.name} is not a list of tasks of Label Studio.", hint="Choose its format by name.")
    for number, given in enumerate(tasks, start=1):
        document.at(file.name, "task", number)
        task = given if _is_task(given) else _long_form(given) if _is_short(given) else {}
        data = task.get("data")
        name = _picture_of(data, task) if isinstance(data, dict) else None
        if not name:
            document.skip("a task does not say which of its data is the picture")
            continue
        image = document.image(_picture_name(name), folder=folder)
        for group in [*as_list(task.get("annotations")), *as_list(task.get("predictions"))]:
            if isinstance(group, dict):
                _read_group(group, image, sizes, document)
    if tasks and not document.images:
        raise ExchangeError(
            f"{file.name}: no task says which of its data is the picture.",
            hint='Name that field "image" in the labelling configuration, and export it again.',
        )


def _read_group(
    group: dict[str, Any], image: ImageEntry, sizes: Mapping[str, tuple[int, int]], document: Document
) -> None:
    results = [result for result in as_list(group.get("result")) if isinstance(result, dict)]
    if group.get("was_cancelled"):
        document.skip("annotations that were cancelled in Label Studio", len(results))
        return
    # where shapes and labels are separate tools, both are results of one id
    named = {result.get("id"): result["value"].get("labels") for result in results
             if result.get("type") == "labels" and isinstance(result.get("value"), dict)
             and isinstance(result.get("id"), str)}  # fmt: skip
    shapes = {result.get("id") for result in results
              if result.get("type") in _PLAIN and isinstance(result.get("id"), str)}  # fmt: skip
    for result in results:
        kind, number = result.get("type"), result.get("id")
        if kind == "labels" and isinstance(number, str) and number in shapes:
            continue
        labels = named.get(number) if kind in _PLAIN and isinstance(number, str) else None
        _read_result(result, labels, image, sizes, document)


def _is_task(task: Any) -> bool:
    return isinstance(task, dict) and "data" in task and ("annotations" in task or "predictions" in task)


def _is_short(task: Any) -> bool:
    """Whether it is a task of JSON-MIN, which has its data and the regions of its labels side by side."""
    return isinstance(task, dict) and any(
        isinstance(item, dict) and not _KINDS.isdisjoint(item) for value in task.values() for item in as_list(value)
    )


def _long_form(task: dict[str, Any]) -> dict[str, Any]:
    items = [item for value in task.values() for item in as_list(value) if isinstance(item, dict)]
    results = [
        {
            "type": next((kind for kind in _KINDS if kind in item), None),
            "value": item,
            "original_width": item.get("original_width"),
            "original_height": item.get("original_height"),
        }
        for item in items
    ]
    data = {key: value for key, value in task.items() if isinstance(value, str)}
    return {"data": data, "annotations": [{"result": results}]}


def _picture_of(data: dict[Any, Any], task: dict[str, Any]) -> str | None:
    """Address of the task's picture: the field ``image``, else the one that its results mean, else that of a picture.

    A labelling configuration may call it anything (``<Image name="image" value="$scan"/>``), and the configuration is
    not in the file.
    """
    texts = {str(key): value for key, value in data.items() if isinstance(value, str) and value.strip()}
    for key in ("image", *_meant(task)):
        if key in texts:
            return texts[key]
    likely = [value for value in texts.values() if _picture_name(value).lower().endswith(PICTURE_SUFFIXES)]
    found = likely if len(set(likely)) == 1 else list(texts.values())
    return found[0] if len(set(found)) == 1 else None


def _meant(task: dict[str, Any]) -> list[str]:
    groups = [group for key in ("annotations", "predictions") for group in as_list(task.get(key))]
    results = [result for group in groups if isinstance(group, dict) for result in as_list(group.get("result"))]
    names = (result.get("to_name") for result in results if isinstance(result, dict))
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _picture_name(address: str) -> str:
    """Path of an address such as ``/data/local-files/?d=a/b.png`` or ``/data/upload/1/0a1b2c3d-b.png``.

    What is neither a web address nor begins with a slash is a path as it is.
    """
    if not (address.startswith("/") or "://" in address):
        return address
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no address of a computer
        return address
    query = parts.query.removeprefix("d=") if parts.query.startswith("d=") else ""
    return unquote(query or parts.path or address)


def _read_result(
    result: dict[str, Any], labels: Any, image: ImageEntry, sizes: Mapping[str, tuple[int, int]], document: Document
) -> None:
    kind = result.get("type")
    if not isinstance(kind, str) or (kind not in _KINDS and kind not in _PLAIN):
        document.skip(f"{one_line(str(kind))[:40]} instead of an area")
        return
    if result.get("image_rotation") not in (None, 0):
        document.skip("drawn on a picture that was turned in Label Studio")
        return
    shape = size_of(result.get("original_width"), result.get("original_height"))
    shape = shape or image.shape_px or size_for(image.path, sizes)
    if shape is None:
        document.skip("the picture's size is not known")
        return
    image = document.image(f"/{image.path}", shape)
    value = result.get("value")
    value = value if isinstance(value, dict) else {}
    meta = result.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    if kind in ("rectanglelabels", "rectangle") and not value.get("rotation"):
        sides, outline = _rectangle(value, shape), None
    else:
        sides, outline = outline_of(lambda: _outline(kind.removesuffix("labels"), value, shape))
        sides = whole(sides)
    sides, outline = from_extension(meta.get(EXTENSION), sides, outline)
    labels, texts, number = as_list(labels or value.get(kind)), meta.get("text"), meta.get("defect_id")
    if len(labels) > 1:
        document.note("has several classes, of which the first counts")
    document.take(
        image,
        labels[0] if labels else None,
        sides,
        score=result.get("score"),
        state=state_of(meta.get("state")),
        reason=meta.get("reason", ""),
        note="\n".join(text for text in texts if isinstance(text, str)) if isinstance(texts, list) else texts,
        chosen=meta.get("chosen") is True,
        id=number if type(number) is int else 0,
        attributes=attributes_from(meta.get("attributes")),
        outline=outline,
    )


def _rectangle(value: dict[str, Any], shape: tuple[int, int]) -> Sides:
    try:
        x, y, width, height = _pixels(value, shape, ("x", "y", "width", "height"))
    except (TypeError, ValueError, KeyError, OverflowError):
        return NO_SIDES
    return whole((y, x, y + height, x + width))


def _outline(kind: str, value: dict[str, Any], shape: tuple[int, int]) -> Outline:
    height, width = shape
    if kind == "polygon":
        return Outline.polygon([(float(y) / 100 * height, float(x) / 100 * width) for x, y in value["points"]])
    angle = float(value.get("rotation") or 0)
    if kind == "ellipse":
        x, y, rx, ry = _pixels(value, shape, ("x", "y", "radiusX", "radiusY"))
        return Outline.ellipse(y, x, ry, rx, angle_deg=angle)
    if kind == "brush":
        return read_brush(value["rle"], shape)
    return turned_rectangle(*_pixels(value, shape, ("x", "y", "width", "height")), angle_deg=angle)


def _pixels(value: dict[str, Any], shape: tuple[int, int], names: tuple[str, str, str, str]) -> list[float]:
    """Four percentages, by turns along x and y, in pixels."""
    return [float(value[name]) / 100 * shape[1 - number % 2] for number, name in enumerate(names)]


def _recognises(file: Candidate) -> Match:
    if not isinstance(file.json, list):
        return Match.NONE
    first = next((item for item in file.json if isinstance(item, dict)), {})
    return certain(_is_task(first) or any(_is_short(item) for item in file.json))


LABEL_STUDIO = AnnotationFormat("label-studio", "Label Studio", ".json", read, write, _recognises)
