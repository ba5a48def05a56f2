"""Rectangles of napari as a table or GeoJSON of findings, which ``import`` and the window take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.registry import FORMATS

FORMAT_OF = {".csv": "csv", ".geojson": "geojson"}
NO_CLASS = "NEW"
"""Class of what has none; the import asks what becomes of it."""


def write_findings(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a layer of shapes: each becomes the box around it, in pixels of its slide.

    Its features ``class``, ``note`` and ``confidence`` are kept where they are there.

    Raises
    ------
    InputError
        When the file ends in neither .csv nor .geojson, or no shape lies in two dimensions.
    WriteError
        When it cannot be written.
    """
    target = Path(path)
    kind = FORMAT_OF.get(target.suffix.lower())
    if kind is None:
        raise InputError(f"{target.name} does not end in .csv or .geojson.", hint="Choose one of these.")
    features = meta.get("features", {})
    document = Document()
    image = document.image(str(meta.get("metadata", {}).get("slide") or meta.get("name") or "slide"))
    for number, corners in enumerate(data):
        places = np.asarray(corners, float)[:, -2:] + 0.5  # napari's pixels have their centres at whole numbers
        said = {name: _value(features, name, number) for name in ("class", "note", "confidence")}
        score = said["confidence"]
        document.take(
            image, str(said["class"] or NO_CLASS), (*places.min(0), *places.max(0)), note=said["note"] or "",
            score=None if score is None or not np.isfinite(score) else float(score),
        )  # fmt: skip
    if not document.box_count:
        raise InputError("There is no shape to write.", hint="Draw rectangles around defects first.")
    return [str(file) for file in FORMATS.get(kind).write(target, document)]


def _value(features: Any, name: str, number: int) -> Any:
    try:
        return list(features[name])[number]
    except (KeyError, IndexError, TypeError):
        return None
