"""The card of a data set: what is in it, how it is divided, what was dropped and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import count_text, pixel_size_text, significant_text, things
from microscope_qc.ml.datasets.cleaning import cleaned
from microscope_qc.ml.datasets.parts import DataPart, divide
from microscope_qc.ml.datasets.records import NO_CLASS, AnnotatedImage, Dataset, LeftOutOfData
from microscope_qc.workflows.learning.kept_apart import LEARNED
from microscope_qc.workflows.learning.reading import read_datasets

_SHARE = 0.15
_SEED = 0
_MOST_NAMED = 200


@dataclass(frozen=True, slots=True)
class PartOfCard:
    """One part of a data set.

    Attributes
    ----------
    pictures, background
        Pictures, slides or pieces of slides, and how many of them show no defect.
    boxes, whole
        Boxes of each class, and pictures of each class where that is said of whole pictures.
    rejected, open
        Boxes that are background, and those of which nobody has said what they are.
    """

    pictures: int
    background: int
    boxes: Mapping[str, int]
    whole: Mapping[str, int]
    rejected: int
    open: int

    def document(self) -> dict[str, JsonValue]:
        """The same as values that JSON can store."""
        return {
            "pictures": self.pictures, "background": self.background, "boxes": dict(self.boxes),
            "whole_pictures": dict(self.whole), "rejected": self.rejected, "open": self.open,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a data set is.

    Attributes
    ----------
    sources
        What was given.
    classes
        Code and name.
    parts
        By "train", "validation" and "test", as training divides it.
    divided
        How it is divided.
    picture_px, box_px
        Least, middle and largest of the longer sides of pictures and boxes, in pixels; None without any.
    pixel_sizes_um
        How many pictures have each pixel size (y, x); None: unknown.
    fingerprint
        The same data have the same one.
    left_out
        What was dropped: copies, bad pictures, boxes, each with its file and line.
    sentences
        What a user should know.
    """

    sources: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    parts: Mapping[str, PartOfCard]
    divided: str
    picture_px: tuple[float, float, float] | None
    box_px: tuple[float, float, float] | None
    pixel_sizes_um: Mapping[tuple[float, float] | None, int]
    fingerprint: str
    left_out: LeftOutOfData
    sentences: tuple[str, ...]

    @property
    def pictures(self) -> int:
        """Number of pictures in all parts."""
        return sum(part.pictures for part in self.parts.values())

    @property
    def boxes(self) -> int:
        """Number of boxes in all parts."""
        return sum(sum(part.boxes.values()) for part in self.parts.values())

    def counted(self) -> str:
        """What is distributed over the classes: "boxes", or "pictures" where only whole pictures have a class."""
        return "boxes" if self.boxes or not any(part.whole for part in self.parts.values()) else "pictures"

    def distribution(self) -> dict[str, list[int]]:
        """Number of boxes (or pictures, see :meth:`counted`) of every class in each part."""
        boxes = self.counted() == "boxes"
        return {
            name: [(part.boxes if boxes else part.whole).get(code, 0) for code, _ in self.classes]
            for name, part in self.parts.items()
        }

    def document(self) -> dict[str, JsonValue]:
        """Everything, as values that JSON can store."""
        return {
            "sources": list(self.sources), "fingerprint": self.fingerprint, "pictures": self.pictures,
            "boxes": self.boxes, "classes": [{"code": code, "name": name} for code, name in self.classes],
            "parts": {name: part.document() for name, part in self.parts.items()}, "divided": self.divided,
            "picture_px": _spread(self.picture_px), "box_px": _spread(self.box_px),
            "pixel_size_um": [
                {"um": None if size is None else list(size), "pictures": count}
                for size, count in self.pixel_sizes_um.items()
            ],
            "left_out": self.left_out.document(), "notes": list(self.sentences),
        }  # fmt: skip

    def facts(self) -> list[tuple[str, str]]:
        """Names and words of what is known of it, for a table."""
        sizes = [
            f"{'unknown' if size is None else pixel_size_text(size)}: {things(count, 'picture')}"
            for size, count in self.pixel_sizes_um.items()
        ]
        rows = [("Pictures", count_text(self.pictures)), ("Boxes", count_text(self.boxes))]
        for name, spread in (("Longer side of pictures", self.picture_px), ("Longer side of boxes", self.box_px)):
            if spread is not None:
                least, middle, largest = (significant_text(value) for value in spread)
                rows.append((name, f"{least} to {largest} px, half of them up to {middle} px"))
        return [*rows, ("Pixel size", "; ".join(sizes)), ("Division", self.divided), ("Fingerprint", self.fingerprint)]

    def dropped(self) -> list[tuple[str, str]]:
        """What was left out, by name, and why; some of very many."""
        left = self.left_out
        rows = [*left.pictures.items(), *left.files.items()]
        rows += [(f"{things(count, 'box', 'boxes')}", f"{why}: {'; '.join(left.places.get(why, []))}".rstrip(": "))
                 for why, count in left.boxes.items()]  # fmt: skip
        rows += [(things(count, "place"), why) for why, count in left.held.items()]
        more = len(rows) - _MOST_NAMED
        return rows[:_MOST_NAMED] + ([(f"{count_text(more)} more", "")] if more > 0 else [])


def dataset_card(sources: Path | str | Sequence[Path | str], *, keep_bad: bool = False) -> Job[DataCard]:
    """Read a data set and say what it is.

    Parameters
    ----------
    sources
        As for training: projects, folders, files of annotations.
    keep_bad
        See :func:`microscope_qc.ml.datasets.cleaning.cleaned`.

    Raises
    ------
    ExchangeError, ModelError
        When it cannot be read.
    """
    data = yield from cleaned((yield from read_datasets(sources, assign_new=True)), keep_bad=keep_bad)
    parts, divided = _parts(data)
    sides = [max(y1 - y0, x1 - x0) for y0, x0, y1, x1 in (image.area for image in data.images)]
    boxes = [side for image in data.images for side in (image.boxes[:, 2:] - image.boxes[:, :2]).max(axis=1).tolist()]
    given = [sources] if isinstance(sources, (str, Path)) else sources
    return DataCard(
        tuple(str(path) for path in given), tuple(zip(data.classes, data.names, strict=True)),
        {part: _part(found) for part, found in parts.items()}, divided, _quantiles(sides), _quantiles(boxes),
        Counter(image.pixel_size_um for image in data.images), data.fingerprint(), data.left_out,
        tuple(data.sentences()),
    )  # fmt: skip


def _parts(data: Dataset) -> tuple[dict[str, Dataset], str]:
    """The parts that the data set keeps, else those that training makes of it."""
    by_part: dict[str, list[AnnotatedImage]] = {}
    for image in data.images:
        by_part.setdefault(image.part or LEARNED, []).append(image)
    order = [str(part) for part in DataPart if str(part) in by_part]
    kept = {part: Dataset(data.classes, by_part[part], data.names) for part in order}
    if any(image.part for image in data.images):
        said = "by the project" if all(image.place for image in data.images) else "by the data set"
        return kept, f"{said}, as it stays"
    try:
        division = divide(data, {DataPart.VALIDATION: _SHARE}, seed=_SEED)
    except ModelError as error:
        return kept, error.message
    return {str(part): division.parts[part] for part in DataPart if part in division.parts}, division.words


def _part(data: Dataset) -> PartOfCard:
    boxes = {code: count for code, count in data.counts().items() if count}
    whole = data.pictures_by_class()
    good = sum(image.whole == NO_CLASS for image in data.images)
    return PartOfCard(
        len(data.images), good or data.background, boxes, whole, sum(len(image.hard_boxes) for image in data.images),
        sum(len(image.open_boxes) for image in data.images if image.whole is None),
    )  # fmt: skip


def _quantiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    known = [value for value in values if math.isfinite(value)]
    return (float(min(known)), float(np.median(known)), float(max(known))) if known else None


def _spread(values: tuple[float, float, float] | None) -> JsonValue:
    return None if values is None else dict(zip(("least", "middle", "largest"), values, strict=True))
