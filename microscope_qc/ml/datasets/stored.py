"""A data set in one file: an interrupted training goes on with what it began with, whatever was judged meanwhile."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, LeftOutOfData

_TUPLES = ("shape", "pixel_size_um", "region")


def write_datasets(path: Path, datasets: dict[str, Dataset | None], **about: Any) -> None:
    """Write data sets by name, and what else is to be known as values that JSON can store."""
    stored = {name: None if data is None else _document(data, path.parent) for name, data in datasets.items()}
    atomic_write(path, json.dumps({**about, "datasets": stored}, ensure_ascii=False))


def read_datasets_of(path: Path) -> tuple[dict[str, Dataset | None], dict[str, Any]] | None:
    """Read what was written; None where there is no such file.

    A picture that is not where it was is looked for from the folder of the file, which may have moved with it.

    Raises
    ------
    ModelError
        When the file is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        stored = document.pop("datasets")
        return {name: None if data is None else _dataset(data, path.parent) for name, data in stored.items()}, document
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}).", hint="Delete the folder of the model and train it again."
        ) from error


def _document(data: Dataset, folder: Path) -> dict[str, Any]:
    left_out = {field.name: getattr(data.left_out, field.name) for field in fields(LeftOutOfData)}
    return {
        "classes": data.classes, "names": data.names, "left_out": left_out,
        "images": [_image_document(image, folder) for image in data.images],
    }  # fmt: skip


def _image_document(image: AnnotatedImage, folder: Path) -> dict[str, Any]:
    known = {field.name: getattr(image, field.name) for field in fields(AnnotatedImage)}
    document = {
        name: {"kind": str(value.dtype), "shape": value.shape, "values": value.ravel().tolist()}
        if isinstance(value, np.ndarray)
        else value
        for name, value in known.items()
    }
    absolute = Path(os.path.abspath(image.path))  # noqa: PTH100 - a link stays a link
    return document | {"path": absolute.as_posix(), "from_here": place_from(absolute, folder)}


def place_from(path: Path, folder: Path) -> str:
    """The way from a folder to a path; the whole path where there is none, as from one drive to another."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link stays a link
    try:
        return Path(os.path.relpath(absolute, os.path.abspath(folder))).as_posix()  # noqa: PTH100
    except ValueError:
        return Path(absolute).as_posix()


def _dataset(document: dict[str, Any], folder: Path) -> Dataset:
    images = [_image(entry, folder) for entry in document["images"]]
    return Dataset(document["classes"], images, document["names"], LeftOutOfData(**document["left_out"]))


def _image(document: dict[str, Any], folder: Path) -> AnnotatedImage:
    known: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            known[name] = np.array(value["values"], value["kind"]).reshape(value["shape"])
        else:
            known[name] = tuple(value) if name in _TUPLES and value is not None else value
    path, moved = Path(known.pop("path")), known.pop("from_here")
    if not path.exists() and (folder / moved).exists():
        path = folder / moved
    return AnnotatedImage(path=path, **known)
