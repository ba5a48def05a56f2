"""CVAT 1.1 XML for images: boxes, and areas of other shapes as the box around them."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # for writing; reading goes through defusedxml
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import printable
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import certain
from microscope_qc.exchange.document import Box, Document, ImageEntry, state_of
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.loading import NotThisFormat, read_files, read_xml, size_of
from microscope_qc.exchange.shapes import (
    EXTENSION,
    Sides,
    attributes_from,
    attributes_text,
    extension,
    fits,
    from_extension,
    is_plain_line,
    is_plain_polygon,
    mask_of_rows,
    outline_of,
    polygon_or_line,
    rows_of_mask,
    split_attributes,
    turned_rectangle,
)

_ATTRIBUTES = ("state", "reason", "note", "score", "chosen", "defect_id")
_AREAS = ("polygon", "polyline", "ellipse", "mask", "cuboid")  # a crack may be a line


def write(path: Path, document: Document) -> list[Path]:
    """Write one XML file."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    ET.SubElement(task, "size").text = str(len(document.images))
    labels = ET.SubElement(task, "labels")
    colours = {cls.code: cls.colour for cls in document.classes}
    for code in document.class_codes():
        _add_label(labels, code, colours.get(code, "#000000"))
    for number, image in enumerate(document.images):
        height, width = image.shape_px or (0, 0)
        entry = ET.SubElement(
            root, "image", id=str(number), name=printable(image.path), width=str(width), height=str(height)
        )
        for box in image.boxes:
            _add_box(entry, box)
    ET.indent(root)
    atomic_write(path, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")
    return [path]


def _add_label(labels: ET.Element, code: str, colour: str) -> None:
    label = ET.SubElement(labels, "label")
    ET.SubElement(label, "name").text = printable(code)
    ET.SubElement(label, "color").text = colour
    attributes = ET.SubElement(label, "attributes")
    for name in _ATTRIBUTES:
        attribute = ET.SubElement(attributes, "attribute")
        for tag, text in (("name", name), ("mutable", "False"), ("input_type", "text"), ("values", "")):
            ET.SubElement(attribute, tag).text = text


def _add_box(entry: ET.Element, box: Box) -> None:
    sides = {"xtl": box.x0, "ytl": box.y0, "xbr": box.x1, "ybr": box.y1}
    attributes = {
        "label": printable(box.class_code),
        "source": "manual" if box.score is None else "auto",
        "occluded": "0",
        **{name: repr(float(side)) for name, side in sides.items()},
        "z_order": "0",
    }
    native = _native(box.outline) if fits(box) and box.outline is not None else None
    if native is None:
        element = ET.SubElement(entry, "box", attributes)
    else:
        common = {name: text for name, text in attributes.items() if name not in sides}
        element = ET.SubElement(entry, native[0], {**common, **native[1]})
    plain, other = split_attributes(box.attributes, _ATTRIBUTES)
    values = {
        "state": box.state.word,
        "reason": box.reason,
        "note": box.note,
        "score": "" if box.score is None else repr(float(box.score)),
        "chosen": "true" if box.chosen else "",
        "defect_id": str(box.id),
        "attributes": attributes_text(other),
        EXTENSION: extension(box) if box.outline is not None and native is None else "",
        **plain,
    }
    for name, text in values.items():
        if text:
            ET.SubElement(element, "attribute", name=name).text = printable(text)


def _native(outline: Outline) -> tuple[str, dict[str, str]] | None:
    """Tag and attributes of an outline that CVAT has a shape for."""
    if is_plain_polygon(outline) or is_plain_line(outline):
        points = ";".join(f"{x!r},{y!r}" for y, x in outline.parts[0][0])
        return ("polygon" if outline.kind == "polygon" else "polyline"), {"points": points}
    if outline.kind == "ellipse":
        (cy, cx), (ry, rx) = outline.parts[0][0]
        numbers = {"cx": cx, "cy": cy, "rx": rx, "ry": ry, "rotation": outline.angle_deg}
        return "ellipse", {name: repr(value) for name, value in numbers.items() if name != "rotation" or value}
    if outline.kind == "mask" and outline.mask_px is not None:
        y, x, height, width = outline.mask_px
        rows = rows_of_mask(outline) if y == int(y) and x == int(x) else None
        if rows is not None:
            runs = ", ".join(map(str, rows))
            numbers = {"left": int(x), "top": int(y), "width": width, "height": height}
            return "mask", {"rle": runs, **{name: str(value) for name, value in numbers.items()}}
    return None


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read one file, or every CVAT file of a folder."""
    return read_files(path, (".xml",), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    root = read_xml(file)
    if root.tag != "annotations":
        raise NotThisFormat(
            f"{file.name} is not a CVAT file: it begins with <{root.tag[:40]}>, not <annotations>.",
            hint="Choose its format by name.",
        )
    for label in root.iter("label"):
        document.add_class(label.findtext("name") or "", colour=label.findtext("color"))
    number = 0
    for entry in root.iter("image"):
        shape = size_of(entry.get("width"), entry.get("height"))
        image = document.image(entry.get("name") or file.stem, shape, folder=folder)
        for child in entry:
            number += 1
            document.at(file.name, "shape", number)
            _read_shape(child, image, document)
    if root.find("track") is not None:
        document.skip("tracks of a video", len(root.findall("track")))


def _read_shape(shape: Any, image: ImageEntry, document: Document) -> None:
    outline: Outline | None = None
    sides: Sides
    if shape.tag == "box":
        y0, x0, y1, x1 = (shape.get(name) for name in ("ytl", "xtl", "ybr", "xbr"))
        sides = y0, x0, y1, x1
        if shape.get("rotation") not in (None, "0", "0.0"):
            sides, outline = outline_of(lambda: _turned(shape))
    elif shape.tag in _AREAS:
        sides, outline = outline_of(lambda: _outline(shape))
    elif shape.tag in ("points", "skeleton"):
        document.skip(f"{shape.tag} instead of an area")
        return
    else:
        return
    extra = {str(child.get("name")): child.text or "" for child in shape if child.tag == "attribute"}
    sides, outline = from_extension(extra.pop(EXTENSION, None), sides, outline)
    more = attributes_from(extra.pop("attributes", ""))
    number = extra.get("defect_id", "")
    document.take(
        image,
        shape.get("label"),
        sides,
        score=extra.get("score") or None,
        state=state_of(extra.get("state")),
        reason=extra.get("reason", ""),
        note=extra.get("note", ""),
        chosen=extra.get("chosen") == "true",
        id=int(number) if number.isdecimal() and len(number) < 18 else 0,
        attributes={name: text for name, text in extra.items() if name not in _ATTRIBUTES and text} | more,
        outline=outline,
    )


def _outline(shape: Any) -> Outline:
    if shape.tag == "ellipse":
        x, y, rx, ry = (float(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
        return Outline.ellipse(y, x, ry, rx, angle_deg=float(shape.get("rotation") or 0))
    if shape.tag == "mask":
        left, top, width, height = (int(float(shape.get(name))) for name in ("left", "top", "width", "height"))
        return mask_of_rows([int(part) for part in shape.get("rle").split(",")], left, top, width, height)
    if shape.tag in ("polygon", "polyline"):
        points = [pair.split(",") for pair in shape.get("points", "").split(";")]
        return polygon_or_line(points, closed=shape.tag == "polygon")
    names = sorted({key[1:] for key in shape.keys() if key[0] in "xy" and key[1:2] in "tb"})  # noqa: SIM118 - not a dict
    return Outline.lines([[(float(shape.get(f"y{name}")), float(shape.get(f"x{name}"))) for name in names]])


def _turned(shape: Any) -> Outline:
    """CVAT turns a box about its centre."""
    y0, x0, y1, x1 = (float(shape.get(name)) for name in ("ytl", "xtl", "ybr", "xbr"))
    angle = float(shape.get("rotation"))
    turned = turned_rectangle(0.0, 0.0, x1 - x0, y1 - y0, angle_deg=angle)
    (top, left, bottom, right) = turned.bounds
    return turned.moved((y0 + y1 - top - bottom) / 2, (x0 + x1 - left - right) / 2)


CVAT = AnnotationFormat("cvat", "CVAT 1.1", ".xml", read, write, lambda file: certain(file.xml_root == "annotations"))
