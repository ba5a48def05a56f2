"""GeoJSON as QuPath reads and writes it: polygons in full-resolution pixels, origin top left, x to the right, y down.

``classification`` carries class code and colour, ``measurements`` the numbers, ``metadata`` (text only, as QuPath
wants it) state, reason, note and slide. QuPath loads a file into the picture that is open there: export slides one by
one for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import one_line
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline, Ring
from microscope_qc.core.plugins import certain
from microscope_qc.exchange.document import Box, Document, ImageEntry, json_text, plain_number, rgb_of, state_of
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.loading import NotThisFormat, as_list, expect, read_files, read_json, size_of
from microscope_qc.exchange.shapes import (
    EXTENSION,
    Sides,
    as_yx,
    attributes_from,
    attributes_text,
    extension,
    fits,
    from_extension,
    outline_of,
    split_attributes,
)

_NAMESPACE = uuid.UUID("8f8c4a51-5a0c-4a6c-9d5e-0d8e1c1f7b11")
_METADATA = ("state", "slide", "defect_id", "reason", "note", "chosen")
_AREAS = ("Polygon", "MultiPolygon", "LineString", "MultiLineString")  # a crack may be a line


def write(path: Path, document: Document) -> list[Path]:
    """Write one feature collection."""
    known = {cls.code: cls for cls in document.classes}
    features = [
        _feature(image, box, known, number) for image in document.images for number, box in enumerate(image.boxes)
    ]
    pictures = [
        {"name": image.path, "shape_px": list(image.shape_px) if image.shape_px else None} for image in document.images
    ]
    classes = [{"code": cls.code, "name": cls.name, "colour": cls.colour} for cls in document.classes]
    root = {"type": "FeatureCollection", "pictures": pictures, "classes": classes, "features": features}
    atomic_write(path, json_text(root))
    return [path]


def _feature(image: ImageEntry, box: Box, known: dict[str, DefectClass], number: int) -> dict[str, Any]:
    y0, x0, y1, x1 = (plain_number(side) for side in (box.y0, box.x0, box.y1, box.x1))
    measurements: dict[str, float] = {"Width px": box.x1 - box.x0, "Height px": box.y1 - box.y0}
    if image.pixel_size_um:
        size_y, size_x = image.pixel_size_um
        measurements |= {"Width um": (box.x1 - box.x0) * size_x, "Height um": (box.y1 - box.y0) * size_y}
    if box.score is not None:
        measurements["Confidence"] = box.score
    measurements |= box.measured
    metadata = {"state": box.state.word, "slide": image.path, "defect_id": str(box.id)}
    metadata |= {key: text for key, text in (("reason", box.reason), ("note", box.note)) if text}
    if box.chosen:
        metadata["chosen"] = "true"
    plain, other = split_attributes(box.attributes, _METADATA)
    metadata |= plain
    if other:
        metadata["attributes"] = attributes_text(other)
    geometry = _geometry(box.outline) if fits(box) and box.outline is not None else None
    if geometry is None:
        geometry = {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]}
    if box.outline is not None and (not fits(box) or box.outline.kind in ("mask", "ellipse") or _is_box(geometry)):
        metadata[EXTENSION] = extension(box)
    colour = known[box.class_code].colour if box.class_code in known else "#000000"
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, f"{image.path}/{box.id}/{number}")),
        "geometry": geometry,
        "properties": {
            "objectType": "annotation",
            "name": str(box.id) if box.id else f"{box.class_code} {number + 1}",
            "classification": {"name": box.class_code, "color": list(rgb_of(colour))},
            "isLocked": False,
            "measurements": measurements,
            "metadata": metadata,
        },
    }


def _geometry(outline: Outline) -> dict[str, Any] | None:
    """Geometry of an outline; masks and ellipses become the polygons around them."""

    def ring(points: Ring, *, close: bool = True) -> list[list[float]]:
        listed = [[plain_number(x), plain_number(y)] for y, x in points]
        return [*listed, listed[0]] if close else listed

    if outline.kind == "line":
        lines = [ring(rings[0], close=False) for rings in outline.parts]
        single = {"type": "LineString", "coordinates": lines[0]}
        return single if len(lines) == 1 else {"type": "MultiLineString", "coordinates": lines}
    parts = outline.parts if outline.kind == "polygon" else tuple((points,) for points in outline.rings())
    polygons = [[ring(points) for points in rings] for rings in parts]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons} if polygons else None


def _is_box(geometry: dict[str, Any]) -> bool:
    """Whether a geometry is a rectangle along the axes: QuPath writes its rectangles so."""
    rings = geometry.get("coordinates")
    if geometry.get("type") != "Polygon" or not isinstance(rings, list) or len(rings) != 1:
        return False
    points = list(_points(rings))
    xs, ys = {x for x, _ in points}, {y for _, y in points}
    return len(points) == 5 and len(set(points)) == 4 and len(xs) == len(ys) == 2


def _outline(geometry: dict[str, Any]) -> Outline:
    kind, value = geometry["type"], geometry["coordinates"]
    if kind in ("LineString", "MultiLineString"):
        return Outline.lines([as_yx(line) for line in ([value] if kind == "LineString" else value)])
    polygons = [value] if kind == "Polygon" else value
    return Outline.polygons([[as_yx(ring) for ring in rings] for rings in polygons])


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read feature collections, single features or lists of features; points are counted as skipped."""
    return read_files(path, (".geojson", ".json"), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    root = read_json(file)
    if file.suffix.lower() == ".json" and not _is_geojson(root):
        raise NotThisFormat(f"{file.name} is not a GeoJSON file.", hint="Choose its format by name.")
    if isinstance(root, dict):
        _read_lists(root, document, folder)
        root = root.get("features") if root.get("type") == "FeatureCollection" else [root]
    for number, feature in enumerate(expect(root, list, file, '"features"'), start=1):
        document.at(file.name, "feature", number)
        if isinstance(feature, dict):
            _read_feature(feature, file, document, folder)
        else:
            document.skip("it is not an object")


def _read_lists(root: dict[str, Any], document: Document, folder: str) -> None:
    for entry in as_list(root.get("pictures")):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            shape = entry.get("shape_px")
            size = size_of(shape[1], shape[0]) if isinstance(shape, list) and len(shape) == 2 else None
            document.image(entry["name"], size, folder=folder)
    for entry in as_list(root.get("classes")):
        if isinstance(entry, dict):
            document.add_class(entry.get("code"), entry.get("name"), entry.get("colour"))


def _read_feature(feature: dict[str, Any], file: Path, document: Document, folder: str) -> None:
    geometry = feature.get("geometry") or {}
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in _AREAS:
        document.skip(f"{one_line(str(kind or 'nothing'))[:40]} instead of an area")
        return
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    metadata = properties.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    points = list(_points(geometry.get("coordinates")))
    if not points:
        document.skip("coordinates are not numbers")
        return
    xs, ys = zip(*points, strict=True)
    sides: Sides = (min(ys), min(xs), max(ys), max(xs))
    outline = None if _is_box(geometry) else outline_of(lambda: _outline(geometry))[1]
    sides, outline = from_extension(metadata.get(EXTENSION), sides, outline)
    code, colour = _class_of(properties.get("classification"))
    number = str(metadata.get("defect_id", ""))
    slide = metadata.get("slide")
    slide = slide if isinstance(slide, str) and slide.strip() else ""
    image = document.image(slide or file.stem, folder=folder)
    image.named = bool(slide)
    document.take(
        image,
        code,
        sides,
        score=_measurement(properties.get("measurements"), "Confidence"),
        state=state_of(metadata.get("state")),
        reason=metadata.get("reason", ""),
        note=metadata.get("note", ""),
        chosen=metadata.get("chosen") == "true",
        id=int(number) if number.isdecimal() and len(number) < 18 else 0,
        attributes={k: v for k, v in metadata.items() if k not in (*_METADATA, EXTENSION, "attributes")}
        | attributes_from(metadata.get("attributes")),
        outline=outline,
    )
    document.add_class(code, colour=colour)


def _points(value: Any) -> Iterator[tuple[float, float]]:
    """All x, y pairs of nested coordinate lists."""
    stack = [value]
    while stack:
        item = stack.pop()
        if not isinstance(item, list):
            continue
        if len(item) >= 2 and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in item[:2]):
            yield item[0], item[1]
        else:
            stack.extend(item)


def _class_of(value: Any) -> tuple[str | None, str | None]:
    """Class name and colour; QuPath writes ``name`` or ``names``, and ``color`` or (older) ``colorRGB``."""
    if not isinstance(value, dict):
        return None, None
    names = value.get("names")
    name = value.get("name") or (": ".join(n for n in names if isinstance(n, str)) if isinstance(names, list) else None)
    name = name if isinstance(name, str) else None
    colour = value.get("color")
    if isinstance(colour, list) and len(colour) == 3 and all(type(c) is int and 0 <= c <= 255 for c in colour):
        return name, "#{:02X}{:02X}{:02X}".format(*colour)
    packed = value.get("colorRGB")
    return name, f"#{packed & 0xFFFFFF:06X}" if type(packed) is int else None


def _measurement(value: Any, name: str) -> Any:
    """A measurement by name; older QuPath versions write a list of name and value."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list):
        return next((m.get("value") for m in value if isinstance(m, dict) and m.get("name") == name), None)
    return None


def _is_geojson(root: Any) -> bool:
    if isinstance(root, list):
        first = next((item for item in root if isinstance(item, dict)), {})
        return first.get("type") == "Feature"
    return isinstance(root, dict) and root.get("type") in ("FeatureCollection", "Feature")


GEOJSON = AnnotationFormat(
    "geojson",
    "GeoJSON (QuPath)",
    ".geojson",
    read,
    write,
    lambda file: certain(_is_geojson(file.json)),
    also=(".json",),
)
