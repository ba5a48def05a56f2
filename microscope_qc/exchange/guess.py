"""Which format a file of a stranger has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.loading import files_of, read_json, read_text, read_xml


def guess(path: Path) -> str | None:
    """Return the name of the format of a file or folder, or None."""
    if path.is_dir():
        return _guess_folder(path)
    suffix = path.suffix.lower()
    if suffix in (".json", ".geojson"):
        return guess_json(read_json(path))
    if suffix == ".xml":
        return {"annotation": "voc", "annotations": "cvat"}.get(read_xml(path).tag)
    if suffix == ".csv":
        return "via" if "region_shape_attributes" in read_text(path)[:4096] else "csv"
    return "yolo" if suffix == ".txt" else None


def _guess_folder(folder: Path) -> str | None:
    for suffix in (".xml", ".json", ".geojson", ".txt", ".csv"):
        try:
            files = files_of(folder, suffix)
        except ExchangeError:
            continue
        for file in files[:20]:
            if suffix == ".txt" and file.name == "classes.txt":
                continue
            name = guess(file)
            if name:
                return name
    return None


def guess_json(value: Any) -> str | None:
    """Return the name of the format of parsed JSON, or None."""
    if isinstance(value, list):
        first = next((item for item in value if isinstance(item, dict)), {})
        if first.get("type") == "Feature":
            return "geojson"
        return "label-studio" if "data" in first and ("annotations" in first or "predictions" in first) else None
    if not isinstance(value, dict):
        return None
    if value.get("type") in ("FeatureCollection", "Feature"):
        return "geojson"
    if "annotations" in value and ("images" in value or "categories" in value):
        return "coco"
    if "shapes" in value:
        return "labelme"
    if "_via_img_metadata" in value or any(isinstance(v, dict) and "regions" in v for v in value.values()):
        return "via"
    return None
