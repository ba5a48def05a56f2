"""Label Studio JSON: a list of tasks; positions in percent of the picture; models' boxes are predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.exchange.document import Box, Document, ImageEntry, state_of
from microscope_qc.exchange.loading import expect, files_of, read_json, size_of


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
                "data": {"image": image.name},
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
    return result


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read exported tasks; rotated rectangles become the box around them."""
    document = Document()
    for file in files_of(path, ".json"):
        tasks = read_json(file)
        for number, task in enumerate(expect(tasks, list, file, "the file")):
            expect(task, dict, file, f"task {number + 1}")
            data = expect(task.get("data"), dict, file, f'"data" of task {number + 1}')
            name = next((value for value in data.values() if isinstance(value, str)), None)
            if not name:
                raise ExchangeError(f"{file.name}: task {number + 1} names no picture.", hint="Export it again.")
            image = document.image(_picture_name(name))
            for key in ("annotations", "predictions"):
                for group in expect(task.get(key) or [], list, file, f'"{key}" of task {number + 1}'):
                    if not isinstance(group, dict) or group.get("was_cancelled"):
                        continue
                    for result in expect(group.get("result") or [], list, file, f'"result" of task {number + 1}'):
                        _read_result(result, image, sizes, document)
    return document


def _picture_name(address: str) -> str:
    """File name of an address such as ``/data/local-files/?d=a/b.png`` or ``/data/upload/1/0a1b2c3d-b.png``."""
    parts = urlsplit(address)
    query = parts.query.removeprefix("d=") if parts.query.startswith("d=") else ""
    return unquote(query or parts.path or address)


def _read_result(result: Any, image: ImageEntry, sizes: Mapping[str, tuple[int, int]], document: Document) -> None:
    kind = result.get("type") if isinstance(result, dict) else None
    if kind not in ("rectanglelabels", "polygonlabels", "ellipselabels"):
        document.skipped[f"{str(kind)[:40]} instead of an area"] += 1
        return
    shape = size_of(result.get("original_width"), result.get("original_height"))
    shape = shape or image.shape_px or sizes.get(image.name.rsplit(".", 1)[0])
    if shape is None:
        document.skipped["the picture's size is not known"] += 1
        return
    image.shape_px = image.shape_px or shape
    value = result.get("value")
    value = value if isinstance(value, dict) else {}
    meta = result.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    labels, texts, number = value.get(kind), meta.get("text"), meta.get("defect_id")
    document.take(
        image,
        labels[0] if isinstance(labels, list) and labels else None,
        _sides(kind, value, shape),
        score=result.get("score"),
        state=state_of(meta.get("state")),
        reason=meta.get("reason", ""),
        note="\n".join(map(str, texts)) if isinstance(texts, list) else str(texts or ""),
        chosen=meta.get("chosen") is True,
        id=number if type(number) is int else 0,
    )


def _sides(kind: str, value: dict[str, Any], shape: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    height, width = shape
    try:
        if kind == "polygonlabels":
            xs = [float(p[0]) / 100 * width for p in value["points"]]
            ys = [float(p[1]) / 100 * height for p in value["points"]]
        else:
            x, y = float(value["x"]) / 100 * width, float(value["y"]) / 100 * height
            if kind == "ellipselabels":
                rx, ry = float(value["radiusX"]) / 100 * width, float(value["radiusY"]) / 100 * height
                xs, ys = [x - rx, x + rx], [y - ry, y + ry]
            else:
                w, h = float(value["width"]) / 100 * width, float(value["height"]) / 100 * height
                turn = math.radians(float(value.get("rotation") or 0))
                corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]  # turned about the upper left corner
                xs = [x + cx * math.cos(turn) - cy * math.sin(turn) for cx, cy in corners]
                ys = [y + cx * math.sin(turn) + cy * math.cos(turn) for cx, cy in corners]
        sides = (min(ys), min(xs), max(ys), max(xs))
        # percentages are decimal fractions: what is a whole pixel up to their rounding was one
        return tuple(float(round(s)) if abs(s - round(s)) < 1e-6 else s for s in sides)  # type: ignore[return-value]
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return None, None, None, None
