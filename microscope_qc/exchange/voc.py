"""Pascal VOC, one XML file per picture.

The corners are whole numbers in the convention of LabelImg, which wrote most VOC files in use: ``xmin``, ``ymin``
are the left and upper edge and ``xmax``, ``ymax`` the right and lower edge of the box, counted from 0 at the
picture's corner, so that ``xmax - xmin`` is the width. (The original VOC challenge counted pixels from 1, both ends
included; a program that expects this is off by one pixel at the left and the top.) Sub-pixel corners are rounded to
the nearest edge; the exact ones, with state, note and score, are in a ``microscope_qc`` element that other programs
ignore, and are read back only while they agree with ``bndbox`` as far as rounding allows.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET  # for writing; reading goes through defusedxml
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from microscope_qc.core.cells import printable
from microscope_qc.core.files import atomic_write
from microscope_qc.core.outline import Outline
from microscope_qc.core.plugins import certain
from microscope_qc.exchange.document import Box, Document, ImageEntry, state_of
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.loading import NotThisFormat, read_files, read_xml, size_of
from microscope_qc.exchange.pictures import file_paths, picture_path
from microscope_qc.exchange.shapes import attributes_from, attributes_text, from_extension, outline_of, polygon_or_line
from microscope_qc.exchange.shapes import extension as exact_text

# a side moves by half a pixel when it is rounded, and by one more where a box thinner than a pixel is widened to one
ROUNDING_PX = 1.5


def write(path: Path, document: Document) -> list[Path]:
    """Write ``PATH/<picture>.xml`` for every picture (``PATH`` itself for one picture when it ends in .xml)."""
    if path.suffix.lower() == ".xml" and len(document.images) == 1:
        targets = [path]
    else:
        targets = [path / f"{stem}.xml" for stem in file_paths([image.path for image in document.images])]
    for target, image in zip(targets, document.images, strict=True):
        root = _annotation(image)
        ET.indent(root, "\t")
        atomic_write(target, ET.tostring(root, encoding="unicode") + "\n")
    return targets


def _add(parent: ET.Element, tag: str, text: object) -> ET.Element:
    element = ET.SubElement(parent, tag)
    element.text = printable(str(text))
    return element


def _annotation(image: ImageEntry) -> ET.Element:
    root = ET.Element("annotation")
    _add(root, "folder", image.path.rpartition("/")[0])
    _add(root, "filename", image.name)
    _add(ET.SubElement(root, "source"), "database", "Unknown")
    size = ET.SubElement(root, "size")
    height, width = image.shape_px or (0, 0)
    for tag, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, tag, value)
    _add(root, "segmented", 0)
    for box in image.boxes:
        entry = ET.SubElement(root, "object")
        _add(entry, "name", box.class_code)
        for tag, text in (("pose", "Unspecified"), ("truncated", 0), ("difficult", 0)):
            _add(entry, tag, text)
        corners = ET.SubElement(entry, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), _whole(box), strict=True):
            _add(corners, tag, value)
        entry.append(_extension(box))
    return root


def _whole(box: Box) -> tuple[int, int, int, int]:
    """Corners rounded to the nearest edge (halves up), at least one pixel apart."""
    x0, y0, x1, y1 = (math.floor(side + 0.5) for side in (box.x0, box.y0, box.x1, box.y1))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _extension(box: Box) -> ET.Element:
    extension = ET.Element("microscope_qc")
    _add(extension, "exact", " ".join(repr(float(side)) for side in (box.x0, box.y0, box.x1, box.y1)))
    _add(extension, "id", box.id)
    _add(extension, "state", box.state.word)
    if box.score is not None:
        _add(extension, "score", repr(float(box.score)))
    for tag in ("reason", "note"):
        if getattr(box, tag):
            _add(extension, tag, getattr(box, tag))
    if box.chosen:
        _add(extension, "chosen", "true")
    if box.attributes:
        _add(extension, "attributes", attributes_text(box.attributes))
    if box.outline is not None:
        _add(extension, "outline", exact_text(box))
    return extension


def read(path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
    """Read one XML file or a folder of them; files of the old LabelMe of MIT are read too."""
    return read_files(path, (".xml",), _read_file)


def _read_file(file: Path, folder: str, document: Document) -> None:
    root = read_xml(file)
    if root.tag != "annotation":
        raise NotThisFormat(
            f"{file.name} is not a Pascal VOC file: it begins with <{root.tag[:40]}>, not <annotation>.",
            hint="Choose its format by name.",
        )
    shape = size_of(root.findtext("size/width"), root.findtext("size/height"))
    shape = shape or size_of(root.findtext("imagesize/ncols"), root.findtext("imagesize/nrows"))  # LabelMe of MIT
    image = document.image(_picture_of(root, file), shape, folder=folder)
    for number, entry in enumerate(root.iter("object"), start=1):
        document.at(file.name, "object", number)
        if (entry.findtext("deleted") or "0").strip() not in ("0", ""):
            document.skip("deleted in LabelMe")
        elif entry.find("bndbox") is None and entry.find("polygon/pt") is not None:
            sides, outline = outline_of(partial(_polygon_of_mit, entry))
            document.take(image, (entry.findtext("name") or "").strip(), sides, outline=outline)
        else:
            _read_object(entry, image, document)


def _polygon_of_mit(entry: Any) -> Outline:
    points = [(point.findtext("x"), point.findtext("y")) for point in entry.find("polygon").iter("pt")]
    return polygon_or_line(points)


def _picture_of(root: Any, file: Path) -> str:
    """What the file calls its picture: LabelImg writes its whole path, others its folder."""
    name = (root.findtext("filename") or "").strip()
    whole = (root.findtext("path") or "").strip()
    if whole and (not name or picture_path(whole).rpartition("/")[2] == picture_path(name).rpartition("/")[2]):
        return whole
    folder = (root.findtext("folder") or "").strip()
    return f"{folder}/{name}" if folder and name else name or file.stem


def _read_object(entry: Any, image: ImageEntry, document: Document) -> None:
    corners = entry.find("bndbox")
    if corners is None:
        document.skip("no box")
        return
    whole = tuple(corners.findtext(tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    extension = entry.find("microscope_qc")
    columns: dict[str, Any] = {}
    if extension is not None:
        whole = _exact(extension.findtext("exact"), whole)
        number = extension.findtext("id") or ""
        columns = {
            "id": int(number) if number.isdecimal() and len(number) < 18 else 0,
            "state": state_of(extension.findtext("state")),
            "score": extension.findtext("score"),
            "reason": extension.findtext("reason") or "",
            "note": extension.findtext("note") or "",
            "chosen": extension.findtext("chosen") == "true",
            "attributes": attributes_from(extension.findtext("attributes")),
        }
    x0, y0, x1, y1 = whole
    if extension is not None:
        (y0, x0, y1, x1), columns["outline"] = from_extension(extension.findtext("outline"), (y0, x0, y1, x1))
    document.take(image, entry.findtext("name") or "", (y0, x0, y1, x1), **columns)


def _exact(text: str | None, whole: tuple[Any, ...]) -> tuple[Any, ...]:
    """Exact corners, unless the box has been moved since."""
    try:
        exact = tuple(float(part) for part in (text or "").split())
        agrees = len(exact) == 4 and all(abs(a - float(b)) <= ROUNDING_PX for a, b in zip(exact, whole, strict=True))
    except (TypeError, ValueError, OverflowError):
        return whole
    return exact if agrees else whole


VOC = AnnotationFormat(
    "voc", "Pascal VOC", ".xml", read, write, lambda file: certain(file.xml_root == "annotation"), is_folder=True
)
