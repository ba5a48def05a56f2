"""Which places a model learned from, kept beside its weights: its figures there say little of other pictures.

Pictures are known by their pixels, as slides of projects are, wherever their files lie and whatever they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from microscope_qc.core.errors import MicroscopeQCError, ModelError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, things
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

LEARNED_NAME = "learned.json"
_STEP = 20

Area = tuple[int, int, int, int]
"""y0, x0, y1, x1 in full-resolution pixels."""


class Learned(BaseModel):
    """What a model learned from, itself and by the models that it started from.

    Attributes
    ----------
    places
        Parts of pictures.
    complete
        False where one of these models does not say what it learned from: there may be more.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    places: dict[str, list[Area]]
    complete: bool = True

    def parts_of(self, place: str, area: Area) -> list[Area]:
        """The parts of a picture that reach into one of its areas."""
        return [part for part in self.places.get(place, ()) if _meet(part, area)]


@dataclass(frozen=True, slots=True)
class LearnedShare:
    """How much of a data set a model learned from.

    Attributes
    ----------
    pictures, boxes
        Pictures of which it knows a part, and boxes whose middles lie in such parts.
    all_pictures, all_boxes
        Of the data set.
    complete
        False where the model may know more of it, see :class:`Learned`.
    """

    pictures: int
    boxes: int
    all_pictures: int
    all_boxes: int
    complete: bool = True

    def document(self) -> dict[str, int | bool]:
        """As values that JSON can store."""
        return {
            "pictures": self.pictures, "boxes": self.boxes, "all_boxes": self.all_boxes, "complete": self.complete,
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What a user should know of it."""
        said = []
        if self.pictures:
            said.append(
                f"The model learned from {self.words}: on pictures that it does not know its figures are lower."
            )
        if not self.complete:
            said.append("It started from a model that does not say what it learned from: it may know more of them.")
        return said

    @property
    def words(self) -> str:
        """``3 of 5 pictures, with 12 of 30 boxes``."""
        boxes = f"{count_text(self.boxes)} of {things(self.all_boxes, 'box', 'boxes')}"
        return f"{count_text(self.pictures)} of {things(self.all_pictures, 'picture')}, with {boxes}"


def write_learned(data: Dataset, folder: Path, *, before: Learned | None = None) -> Job[None]:
    """Keep in a model's folder what it learned from, with what the model that it started from had learned from."""
    places = yield from _places(data.images)
    known = before or Learned(places={})
    parts = {place: list(areas) for place, areas in known.places.items()}
    for place, image in zip(places, data.images, strict=True):
        if place and image.area not in parts.setdefault(place, []):
            parts[place].append(image.area)
    atomic_write(folder / LEARNED_NAME, Learned(places=parts, complete=known.complete).model_dump_json() + "\n")


def read_learned(folder: Path) -> Learned | None:
    """What the model in a folder learned from; None where that is not known.

    Raises
    ------
    ModelError
        When the list is damaged.
    """
    path = folder / LEARNED_NAME
    try:
        return Learned.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path} cannot be read, which says what the model learned from.",
            hint="Copy the model again, or delete this file: the model works without it.",
        ) from error


def learned_share(data: Dataset, learned: Learned) -> Job[LearnedShare]:
    """How much of a data set is among what was learned from."""
    places = yield from _places(data.images)
    pictures = boxes = 0
    for place, image in zip(places, data.images, strict=True):
        known = learned.parts_of(place, image.area)
        pictures += bool(known)
        boxes += _within(image.boxes, known)
    every = sum(len(image.boxes) for image in data.images)
    return LearnedShare(pictures, boxes, len(data.images), every, learned.complete)


def without_learned(data: Dataset, learned: Learned) -> Job[tuple[Dataset, int]]:
    """Without the pictures of which a part was learned from, and how many these are."""
    places = yield from _places(data.images)
    images = [
        image for place, image in zip(places, data.images, strict=True) if not learned.parts_of(place, image.area)
    ]
    return replace(data, images=images), len(data.images) - len(images)


def _places(images: Sequence[AnnotatedImage]) -> Job[list[str]]:
    """What each picture is; "" for one that cannot be read."""
    found: dict[tuple[object, ...], str] = {}  # several pieces may be of one picture
    places = []
    for number, image in enumerate(images):
        if number % _STEP == 0:
            yield Progress(number, len(images), "pictures", "looking what was learned from")
        file = image.path, image.scene, image.orientation
        if image.place:
            places.append(image.place)
            continue
        if file not in found:
            found[file] = _read_place(image)
        places.append(found[file])
    return places


def _read_place(image: AnnotatedImage) -> str:
    """As slides of projects are called, see :class:`microscope_qc.ml.datasets.kept.JudgedSlide`."""
    try:
        with image.opened() as mosaic:
            return f"slide {mosaic.fingerprint()}"
    except MicroscopeQCError:
        return ""


def _meet(one: Area, other: Area) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])


def _within(boxes: np.ndarray, parts: Sequence[Area]) -> int:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = np.zeros(len(boxes), bool)
    for part in parts:
        inside |= np.all((middle >= part[:2]) & (middle < part[2:]), axis=1)
    return int(inside.sum())
