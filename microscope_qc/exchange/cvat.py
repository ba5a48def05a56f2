"""CVAT 1.1 XML for images: boxes, and areas of other shapes as the box around them."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # for writing; reading goes through defusedxml
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import printable
from microscope_qc.core.defect_class import PALETTE, DefectClass
from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.files import atomic_write
from microscope_qc.exchange.document import Box, Document, ImageEntry, state_of
from microscope_qc.exchange.loading import files_of, read_xml, size_of

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
            root, "image", id=str(number), name=printable(image.name), width=str(width), height=str(height)
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
    element = ET.SubElement(entry, "box", attributes)
    values = {
        "state": box.state.word,
        "reason": box.reason,
        "note": box.note,
        "score": "" if box.score is None else repr(float(box.score)),
        "chosen": "true" if box.chosen else "",
        "defect_id": str(box.id),
    }
    for name, text in values.items():
        if text:
            ET.SubElement(element, "attribute", name=name).text = printable(text)


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read one file, or every CVAT file of a folder."""
    document = Document()
    for file in files_of(path, ".xml"):
        root = read_xml(file)
        if root.tag != "annotations":
            if path.is_dir():
                continue
            raise ExchangeError(
                f"{file.name} is not a CVAT file: it begins with <{root.tag[:40]}>, not <annotations>.",
                hint="Choose its format by name.",
            )
        _read_labels(root, document)
        for entry in root.iter("image"):
            image = document.image(entry.get("name") or file.stem, size_of(entry.get("width"), entry.get("height")))
            for shape in entry:
                _read_shape(shape, image, document)
        if root.find("track") is not None:
            document.skipped["tracks of a video"] += len(root.findall("track"))
    return document


def _read_labels(root: Any, document: Document) -> None:
    known = {cls.code for cls in document.classes}
    for label in root.iter("label"):
        code = (label.findtext("name") or "").strip()
        colour = label.findtext("color") or ""
        if code and code not in known:
            known.add(code)
            proper = len(colour) == 7 and colour.startswith("#")
            document.classes.append(DefectClass(code, code, colour if proper else PALETTE[0]))


def _read_shape(shape: Any, image: ImageEntry, document: Document) -> None:
    if shape.tag == "box":
        sides = tuple(shape.get(name) for name in ("ytl", "xtl", "ybr", "xbr"))
    elif shape.tag in _AREAS:
        sides = _around(shape)
    elif shape.tag in ("points", "skeleton"):
        document.skipped[f"{shape.tag} instead of an area"] += 1
        return
    else:
        return
    extra = {child.get("name"): child.text or "" for child in shape if child.tag == "attribute"}
    number = extra.get("defect_id", "")
    document.take(
        image,
        shape.get("label"),
        (sides[0], sides[1], sides[2], sides[3]),
        score=extra.get("score") or None,
        state=state_of(extra.get("state")),
        reason=extra.get("reason", ""),
        note=extra.get("note", ""),
        chosen=extra.get("chosen") == "true",
        id=int(number) if number.isdecimal() and len(number) < 18 else 0,
    )


def _around(shape: Any) -> tuple[Any, ...]:
    """Box y0, x0, y1, x1 around a polygon, ellipse, mask or cuboid; text that is no number stays None."""
    try:
        if shape.tag == "ellipse":
            x, y, rx, ry = (float(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
            return y - ry, x - rx, y + ry, x + rx
        if shape.tag == "mask":
            x, y, w, h = (float(shape.get(name)) for name in ("left", "top", "width", "height"))
            return y, x, y + h, x + w
        if shape.tag in ("polygon", "polyline"):
            points = [[float(v) for v in pair.split(",")] for pair in shape.get("points", "").split(";")]
            xs, ys = [p[0] for p in points], [p[1] for p in points]
        else:
            values = {k: float(v) for k, v in shape.items() if k[0] in "xy" and k[1:2] in "tb"}
            xs = [v for k, v in values.items() if k[0] == "x"]
            ys = [v for k, v in values.items() if k[0] == "y"]
        return min(ys), min(xs), max(ys), max(xs)
    except (TypeError, ValueError, IndexError):
        return None, None, None, None
