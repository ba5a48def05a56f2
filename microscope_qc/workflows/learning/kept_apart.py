"""Parts that the folders of a data set already keep apart: train, valid and test, as other programs lay them out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from microscope_qc.core.errors import ModelError
from microscope_qc.core.wording import listed, plural, things
from microscope_qc.ml.datasets.kept import held_back
from microscope_qc.ml.datasets.parts import DataPart, PartTable
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

LEARNED, VALIDATION, TEST = "train", "validation", "test"
ALL = "all"
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


def to_learn_from(data: Dataset, given: Dataset | None = None) -> tuple[Dataset, Dataset | None, list[str]]:
    """What is learned from, what is validated on (None: nothing is set aside), and what to tell the user.

    What is kept for the test is in neither.

    Parameters
    ----------
    given
        The validation set that the user has given; nothing of its places is learned from.
    """
    validation, test = _images(data, VALIDATION), _images(data, TEST)
    rest = [image for image in data.images if image.part not in (VALIDATION, TEST)]
    if given is not None:
        return _beside(data, given)
    if not rest or not (validation or test):
        return data, None, []
    said = []
    if validation:
        said.append(f"{_set_aside(validation, VALIDATION)}: measured on, and not learned from.")
    if test:
        said.append(f"{_set_aside(test, TEST)}: left aside.")
    both = sorted({image.group for image in rest if image.place} & {image.group for image in validation})
    if any(group.startswith("specimen ") for group in both):
        said.append(f"Both learned from and measured on, because there are too few specimens: {listed(both)}.")
    return replace(data, images=rest), replace(data, images=validation) if validation else None, said


def _beside(data: Dataset, given: Dataset) -> tuple[Dataset, Dataset, list[str]]:
    """Without the test of both, without what projects validate on, and without the places of the validation set."""
    measured = [image for image in given.images if image.part != TEST or not image.place]
    rest = [image for image in data.images if image.part != TEST and not (image.place and image.part == VALIDATION)]
    rest, _ = held_back(rest, [replace(image, part=VALIDATION) for image in measured])
    said = []
    for left, of, what in ((rest, data, ""), (measured, given, "Validation set: ")):
        if len(left) < len(of.images):
            said.append(f"{what}{things(len(of.images) - len(left), 'place')} kept to measure on: left aside.")
    return replace(data, images=rest), replace(given, images=measured), said


def to_measure_on(data: Dataset, part: str = "") -> tuple[Dataset, list[str]]:
    """What is measured on, and what to tell the user.

    Parameters
    ----------
    part
        "train", "validation" or "test": what is set aside for that. "all": everything. "" takes what is set aside for
        the test, else for validation, else everything.

    Raises
    ------
    ModelError
        When nothing is set aside for the part that was asked for.
    """
    if part == ALL:
        return data, []
    if part and not _images(data, part):
        raise ModelError(f"Nothing of the data set is set aside for {part}.", hint="Measure on all of it.")
    for chosen in (part,) if part else (TEST, VALIDATION):
        images = _images(data, chosen)
        if images and len(images) < len(data.images):
            others = len(data.images) - len(images)
            may = f"the {others} {plural(others, 'other')} may have been learned from"
            if chosen == LEARNED:
                may = "a model that was trained on them knows them"
            return replace(data, images=images), [f"Measured on {_set_aside(images, chosen)}; {may}."]
    return data, []


def other_classes(counts: Mapping[str, int]) -> list[str]:
    """What a user should know about boxes of classes that a model does not have; see :meth:`Dataset.known_to`."""
    if not counts:
        return []
    of = listed([f"{code} ({count})" for code, count in counts.items()])
    return [f"Boxes of classes that the model does not have count neither as found nor as missed: {of}."]


def _images(data: Dataset, part: str) -> list[AnnotatedImage]:
    return [image for image in data.images if image.part == part]


def _set_aside(images: Sequence[AnnotatedImage], part: str) -> str:
    """``3 pictures in test folders``, ``12 places of slides in the test part``."""
    places = sum(bool(image.place) for image in images)
    pictures = len(images) - places
    said = [f"{things(places, 'place')} of slides in the {part} part"] if places else []
    return listed(said + ([f"{things(pictures, 'picture')} in {part} folders"] if pictures else []))


def not_learned_from(data: Dataset, known: PartTable) -> tuple[Dataset, int]:
    """Without the places that a model's own division (parts.json) gave to learning, and how many these are.

    Places that it does not know were not there when the model was trained; slides of a project that keeps a division
    of its own are told apart by that.
    """
    images: list[AnnotatedImage] = []
    left_out = 0
    for image in data.images:
        pieces = [(None, image)] if image.place else known.pieces(image)
        mine = [piece for part, piece in pieces if part is not DataPart.TRAIN]
        images += mine
        left_out += len(pieces) - len(mine)
    return replace(data, images=images), left_out
