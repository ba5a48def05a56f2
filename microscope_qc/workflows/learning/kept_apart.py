"""Parts that the folders of a data set already keep apart: train, valid and test, as other programs lay them out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from microscope_qc.core.wording import plural, things
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

LEARNED, VALIDATION, TEST = "train", "validation", "test"
_WORDS = {
    "train": LEARNED, "training": LEARNED, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip


def part_of(folders: Sequence[str]) -> str:
    """Which part the folders of a picture name: ``val2017``, ``Validation_Images``, ``images/test``; "" for none."""
    for folder in folders:
        first = re.split(r"[^a-z]+", folder.casefold())[0]
        if first in _WORDS:
            return _WORDS[first]
    return ""


def to_learn_from(data: Dataset) -> tuple[Dataset, Dataset | None, list[str]]:
    """What is learned from, what its folders set aside for validation (None: nothing), and what to tell the user."""
    validation, test = _images(data, VALIDATION), _images(data, TEST)
    rest = [image for image in data.images if image.part not in (VALIDATION, TEST)]
    if not rest or not (validation or test):
        return data, None, []
    said = []
    if validation:
        said.append(f"{_pictures(validation)} in validation folders: measured on, and not learned from.")
    if test:
        said.append(f"{_pictures(test)} in test folders: left aside.")
    return replace(data, images=rest), replace(data, images=validation) if validation else None, said


def to_measure_on(data: Dataset) -> tuple[Dataset, list[str]]:
    """The pictures in test folders, else those in validation folders, else all; and what to tell the user."""
    for part in (TEST, VALIDATION):
        images = _images(data, part)
        if images and len(images) < len(data.images):
            others = len(data.images) - len(images)
            may = f"the {others} {plural(others, 'other')} may have been learned from"
            return replace(data, images=images), [f"Measured on {_pictures(images)} in {part} folders; {may}."]
    return data, []


def _images(data: Dataset, part: str) -> list[AnnotatedImage]:
    return [image for image in data.images if image.part == part]


def _pictures(images: Sequence[AnnotatedImage]) -> str:
    return things(len(images), "picture")
