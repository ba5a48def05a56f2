"""Data sets that only their folders describe: a folder for each class, and the layout of MVTec AD.

::

    SET/CLASS/*.png                 SET/train/good/*.png
    SET/train/CLASS/*.png           SET/test/CLASS/*.png
    SET/valid/CLASS/*.png           SET/ground_truth/CLASS/NAME_mask.png

A mask, there or beside its picture with its name, says where in a picture the defects are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError, ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.exchange.loading import files_of
from microscope_qc.ml.cards import MOST_CLASSES
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset, LeftOutOfData, full_names
from microscope_qc.slides import open_slide
from microscope_qc.slides.registry import READERS
from microscope_qc.workflows.learning.kept_apart import LEARNED, TEST, part_of

_GOOD = {"good", "ok", "normal", "background", "none", "free"}
"""Last words of the names of folders with pictures without a defect."""
_INSIDE = {"imgs", "images", "img"}
"""Folders between that of a class and its pictures."""
_NO_CLASSES = _INSIDE | {"labels", "annotations", "masks", "ground_truth"}
_ANNOTATIONS = (".xml", ".json", ".geojson")
_STEP = 50
_LEAST_MASK_PX = 2
MASK_SIZE = "its mask has another size"


@dataclass(frozen=True, slots=True)
class LayoutPicture:
    """A picture, the class that its folder names ("" for a good one), its part, and its mask."""

    path: Path
    code: str
    part: str
    mask: Path | None


def is_mvtec(folder: Path) -> bool:
    """Whether a folder is laid out like MVTec AD."""
    return (folder / "train" / "good").is_dir() and (folder / "test").is_dir()


def read_layout(chosen: Path, pictures: list[LayoutPicture]) -> Job[Dataset]:
    """Read pictures of :func:`mvtec_pictures` or :func:`class_pictures`: their headers, and the masks.

    Raises
    ------
    ModelError
        When no picture can be used, or there are more classes than a model can have.
    """
    codes = sorted({picture.code for picture in pictures} - {""})
    if len(codes) > MOST_CLASSES:
        raise ModelError(f"{chosen.name} has {len(codes)} folders of classes; models have up to {MOST_CLASSES}.")
    images: list[AnnotatedImage] = []
    left: dict[str, str] = {}
    for number, picture in enumerate(pictures):
        if number % _STEP == 0:
            yield Progress(number, len(pictures), "pictures", f"opening the pictures of {chosen.name}")
        try:
            images.append(_opened(picture, codes))
        except MicroscopeQCError as error:
            left[picture.path.relative_to(chosen).as_posix()] = error.message.removesuffix(".")
    if not images:
        raise ModelError(f"None of the pictures of {chosen.name} can be used: {next(iter(left.values()))}.")
    return Dataset(codes, images, full_names(codes), LeftOutOfData(pictures=left))


def _opened(picture: LayoutPicture, codes: list[str]) -> AnnotatedImage:
    with open_slide(picture.path) as slide:
        mosaic = slide.scene(None)
        shape, size = (mosaic.shape[0], mosaic.shape[1]), mosaic.pixel_size_um
    boxes = np.zeros((0, 4)) if picture.mask is None else _boxes_of(picture.mask, shape)
    whole = codes.index(picture.code) if picture.code else NO_CLASS
    # somewhere in it is a defect, so that no place of it is background
    nobody_knows = whole != NO_CLASS and not len(boxes)
    return AnnotatedImage(
        picture.path, shape, boxes, np.full(len(boxes), max(whole, 0), np.int64), size, part=picture.part, whole=whole,
        open_boxes=np.array([[0.0, 0.0, *shape]]) if nobody_knows else np.zeros((0, 4)),
    )  # fmt: skip


def _boxes_of(mask: Path, shape: tuple[int, int]) -> np.ndarray:
    """A box around every spot of a mask, (n, 4)."""
    import cv2

    with open_slide(mask) as slide:
        mosaic = slide.scene(None)
        if (mosaic.shape[0], mosaic.shape[1]) != shape:
            raise ModelError(f"{MASK_SIZE}.")
        pixels = mosaic.read_scaled(Region(0, 0, *shape), shape)
    _, _, spots, _ = cv2.connectedComponentsWithStats((pixels.max(axis=2) > 127).astype(np.uint8), connectivity=8)
    found = [
        (y, x, y + height, x + width)
        for x, y, width, height, area in spots[1:].tolist()
        if area >= _LEAST_MASK_PX
    ]  # fmt: skip
    return np.array(found, float).reshape(-1, 4)


def mvtec_pictures(folder: Path) -> list[LayoutPicture]:
    """The pictures of a folder that is laid out like MVTec AD."""
    return list(_of_mvtec(folder))


def _of_mvtec(folder: Path) -> Iterator[LayoutPicture]:
    for part in (LEARNED, TEST):
        for kind in _folders(folder / part):
            code = _code(kind.name)
            for path in _pictures(kind):
                truth = folder / "ground_truth" / kind.name
                masks = (truth / f"{path.stem}{end}.png" for end in ("_mask", ""))
                yield LayoutPicture(path, code, part, next((mask for mask in masks if mask.is_file()), None))


def class_pictures(folder: Path) -> list[LayoutPicture]:
    """The pictures of a data set with a folder for each class; none where it is not one."""
    if not folder.is_dir():
        return []
    found: list[LayoutPicture] = []
    for place in [folder, *(inner for inner in _folders(folder) if part_of([inner.name]))]:
        for kind in _folders(place):
            if kind.name.casefold() in _NO_CLASSES or (place == folder and part_of([kind.name])):
                continue
            inner = [inside for inside in _folders(kind) if inside.name.casefold() in _INSIDE]
            for path, mask in _with_masks([p for where in (kind, *inner) for p in _pictures(where)]):
                found.append(
                    LayoutPicture(path, _code(kind.name), part_of([place.name]) if place != folder else "", mask)
                )
    kinds = {picture.path.parent for picture in found}
    if len({picture.code for picture in found}) < 2 or len(kinds) < 2 or _has_annotations(folder):
        return []
    return found


def _has_annotations(folder: Path) -> bool:
    for suffix in _ANNOTATIONS:
        try:
            if files_of(folder, suffix):
                return True
        except MicroscopeQCError:
            continue
    return False


def _with_masks(paths: list[Path]) -> Iterator[tuple[Path, Path | None]]:
    """Pictures with the mask of the same name beside each: ``a.jpg`` and ``a.png``."""
    photos = {path.with_suffix(""): path for path in paths if path.suffix.lower() in (".jpg", ".jpeg", ".bmp")}
    masks = {path.with_suffix(""): path for path in paths if path.suffix.lower() == ".png"}
    for path in paths:
        name = path.with_suffix("")
        if path is masks.get(name) and name in photos:
            continue
        yield path, masks.get(name) if path is photos.get(name) else None


def _code(folder: str) -> str:
    """The class that a folder's name means; "" for pictures without a defect."""
    return "" if re.split(r"[^a-z]+", folder.casefold())[-1] in _GOOD else folder


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir() and not path.name.startswith(".")]


def _pictures(folder: Path) -> list[Path]:
    kinds = tuple(suffix for reader in READERS.values() if not reader.is_folder for suffix in reader.suffixes)
    return [path for path in _entries(folder) if path.is_file() and path.name.lower().endswith(kinds)]


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, without links."""
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if not entry.is_symlink())
    except OSError:
        return []
