"""Pascal VOC annotations: one XML file per image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, full_names

_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


def find_voc(root: Path) -> list[Path]:
    """XML files in ``root``, or in its first folder named "annotations" or similar."""
    own = sorted(root.glob("*.xml"))
    if own:
        return own
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name.lower() in ("annotations", "annotation", "xml"):
            return sorted(folder.glob("*.xml"))
    return []


def load_voc(root: Path, annotations: list[Path]) -> Dataset:
    """Read Pascal VOC files; object names are the class codes, sorted by name.

    Raises
    ------
    ModelError
        When a file is not a Pascal VOC annotation.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    images_by_stem = _find_images(root)
    raw: list[tuple[Path, tuple[int, int], list[tuple[str, list[float]]]]] = []
    for file in annotations:
        try:
            tree = parse(file).getroot()
            size = tree.find("size")
            shape = (int(size.findtext("height")), int(size.findtext("width")))
            objects = [_object(node) for node in tree.iter("object")]
        except (ParseError, DefusedXmlException, AttributeError, TypeError, ValueError) as error:
            raise ModelError(
                f"{file.name} is not a Pascal VOC annotation ({error}).", hint="Take it out of the folder."
            ) from error
        except OSError as error:
            raise ModelError(f"{file.name} cannot be read ({error}).") from error
        path = images_by_stem.get(file.stem.lower())
        if path is not None:
            raw.append((path, shape, objects))
    classes = sorted({code for _, _, objects in raw for code, _ in objects})
    images = []
    for path, shape, objects in raw:
        boxes = np.array([box for _, box in objects], float).reshape(-1, 4)
        labels = np.array([classes.index(code) for code, _ in objects], np.int64)
        proper = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        images.append(AnnotatedImage(path, shape, boxes[proper], labels[proper]))
    return Dataset(classes, images, full_names(classes))


def _object(node: Any) -> tuple[str, list[float]]:
    box = node.find("bndbox")
    x0, y0, x1, y1 = (float(box.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax"))
    # edges counted from 0, as LabelImg and this program's export write them
    return str(node.findtext("name")).strip(), [y0, x0, y1, x1]


def _find_images(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in [root, *sorted(path for path in root.iterdir() if path.is_dir())]:
        if "valid" in folder.name.lower() and folder != root:
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _SUFFIXES:
                found.setdefault(path.stem.lower(), path)
    return found
