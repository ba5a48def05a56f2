"""The division of a project's slides that is kept with the project: which places are learned from and which never are.

A place is given to a part once. Slides of one specimen go together where there are enough specimens; a new slide of a
known specimen takes its part. Slides are known by their content, so that a copy of one has its part too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.ml.datasets.parts import ENOUGH_GROUPS, GUARD_PX, DataPart, PartTable, divide, pieces_of
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

SHARES: Mapping[DataPart, float] = {DataPart.VALIDATION: 0.15, DataPart.TEST: 0.15}
_SEED = 0
Frame = tuple[int, int, int]
"""Height, width and orientation of a slide."""


@dataclass(frozen=True, slots=True)
class JudgedSlide:
    """A slide as far as its part depends on it.

    Attributes
    ----------
    number
        Its number in the project.
    content
        What it is, wherever its file lies; slides of the same content are the same place.
    specimen
        "" where it is not known.
    frame
        Its height and width in pixels, and how it is turned: blocks are places of the turned picture.
    image
        With the true boxes.
    boxes
        The number of each true box in the project, (n,).
    """

    number: int
    content: str
    specimen: str
    frame: Frame
    image: AnnotatedImage
    boxes: np.ndarray


class _Stored(BaseModel):
    """The division as a project stores it."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    parts: dict[str, DataPart] = Field(default_factory=dict)
    block_px: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    frames: dict[str, Frame] = Field(default_factory=dict)
    slides: dict[int, str] = Field(default_factory=dict)


class _StoredHomes(BaseModel):
    """Where boxes were when their slide was divided, as a project stores it."""

    boxes: list[int] = Field(default_factory=list)
    y: list[int] = Field(default_factory=list)
    x: list[int] = Field(default_factory=list)


@dataclass(frozen=True)
class KeptParts:
    """The division of a project.

    Attributes
    ----------
    table
        The part of every slide, or of every block of one.
    frames
        Of every divided slide, when it was divided.
    slides
        The name in the table of every slide, by its number: it keeps its part also when its file is replaced.
    homes
        Middle (y, x) of each true box of a divided slide when it was first seen, by its number.
    """

    table: PartTable = field(default_factory=PartTable)
    frames: Mapping[str, Frame] = field(default_factory=dict)
    slides: Mapping[int, str] = field(default_factory=dict)
    homes: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.table.parts)

    def key(self, slide: JudgedSlide) -> str:
        """The name of a slide in the table."""
        return self.slides.get(slide.number, slide.content)

    def has(self, key: str) -> bool:
        """Whether a slide was given to a part, or its blocks were."""
        return key in self.table.parts or key in self.table.block_px

    def documents(self) -> tuple[dict[str, object], dict[str, object]]:
        """The division and the homes, as values that JSON can store."""
        frames = {key: list(frame) for key, frame in self.frames.items()}
        known = self.table.document() | {"frames": frames, "slides": {str(n): key for n, key in self.slides.items()}}
        places = list(self.homes.values())
        return known, {"boxes": list(self.homes), "y": [y for y, _ in places], "x": [x for _, x in places]}

    @classmethod
    def of_documents(cls, division: object, homes: object) -> KeptParts:
        """What :meth:`documents` stored; None for what was never stored.

        Raises
        ------
        ModelError
            When it is damaged.
        """
        try:
            stored = _Stored.model_validate({} if division is None else division)
            places = _StoredHomes.model_validate({} if homes is None else homes)
            middles = zip(places.y, places.x, strict=True)
            where = dict(zip(places.boxes, middles, strict=True))
        except (ValidationError, ValueError) as error:
            raise ModelError(
                "The division of this project into parts is damaged.",
                hint="Go back to a backup of the project from before.",
            ) from error
        return cls(PartTable(stored.parts, stored.block_px), stored.frames, stored.slides, where)


def assign(slides: Sequence[JudgedSlide], kept: KeptParts, *, shares: Mapping[DataPart, float] = SHARES) -> KeptParts:
    """Give every slide that has none to a part. The same slides and the same ``kept`` give the same division.

    Parameters
    ----------
    slides
        All slides of the project with something judged on them, in any order.
    shares
        Of validation and test; where there is too little for a test, only validation is held out.

    Raises
    ------
    InputError
        When the shares leave nothing to learn from, or nothing to validate on.
    ModelError
        When there is too little to hold anything out.
    """
    if min(shares.values()) < 0 or not shares.get(DataPart.VALIDATION) or sum(shares.values()) >= 1:
        raise InputError("The share to validate on must be above 0, and with the test's below 1.", hint="15 % is 0.15.")
    slides = sorted(slides, key=lambda slide: slide.number)
    names = {slide.number: kept.key(slide) for slide in slides}
    table = _with_known_specimens(slides, names, kept)
    new = {names[slide.number] for slide in slides} - _known(table)
    if new:
        table = _divided(_groups(slides, names, table, new), table, shares)
    frames = {
        key: kept.frames.get(key, slide.frame) for slide in slides if (key := names[slide.number]) in table.block_px
    } | dict(kept.frames)
    homes = dict(kept.homes)
    for slide in slides:
        if names[slide.number] in table.block_px:
            middles = np.floor((slide.image.boxes[:, :2] + slide.image.boxes[:, 2:]) / 2).astype(int)
            for number, (y, x) in zip(slide.boxes.tolist(), middles.tolist(), strict=True):
                homes.setdefault(number, (y, x))
    return KeptParts(table, frames, {**kept.slides, **names}, homes)


def divided(slide: JudgedSlide, kept: KeptParts, *, guard_px: float) -> list[AnnotatedImage] | None:
    """The pieces of a slide, each with its part; the whole slide where it has one part, or none yet.

    None where its pixels lie elsewhere than when it was divided, so that nobody knows which were learned from.
    """
    key = kept.key(slide)
    image = replace(slide.image, place=key)
    if key not in kept.table.block_px:
        return [replace(image, part=str(kept.table.parts.get(key, "")))]
    if kept.frames.get(key, slide.frame) != slide.frame:
        return None
    middles = (image.boxes[:, :2] + image.boxes[:, 2:]) / 2
    for row, number in enumerate(slide.boxes.tolist()):
        middles[row] = kept.homes.get(number, middles[row])
    pieces = pieces_of(replace(image, homes=middles), key, kept.table, guard_px=guard_px)
    return [replace(piece, part=str(part)) for part, piece in pieces]


def guard_px(model_um: float | None, pixel_size_um: tuple[float, float] | None) -> float:
    """The strip between blocks of two parts in the pixels of a slide: as wide as a network sees."""
    return GUARD_PX if model_um is None or pixel_size_um is None else GUARD_PX * model_um / min(pixel_size_um)


def _known(table: PartTable) -> set[str]:
    return set(table.block_px) | set(table.parts)


def _with_known_specimens(slides: Sequence[JudgedSlide], names: Mapping[int, str], kept: KeptParts) -> PartTable:
    """New slides of a specimen that is in one part take it."""
    of_specimen: dict[str, set[DataPart | None]] = {}
    for slide in slides:
        if slide.specimen and kept.has(names[slide.number]):
            of_specimen.setdefault(slide.specimen, set()).add(kept.table.parts.get(names[slide.number]))
    parts = dict(kept.table.parts)
    for slide in slides:
        found = of_specimen.get(slide.specimen, set())
        if not kept.has(names[slide.number]) and len(found) == 1 and (part := next(iter(found))) is not None:
            parts[names[slide.number]] = part
    return replace(kept.table, parts=parts)


@dataclass(frozen=True, slots=True)
class _Groups:
    """What is divided: one image for each name in the table, and the names that go together."""

    images: list[AnnotatedImage]
    members: Mapping[str, list[str]]


def _groups(slides: Sequence[JudgedSlide], names: Mapping[int, str], table: PartTable, new: set[str]) -> _Groups:
    by_name: dict[str, list[JudgedSlide]] = {}
    for slide in slides:
        by_name.setdefault(names[slide.number], []).append(slide)
    specimens = {name: next((s.specimen for s in some if s.specimen), "") for name, some in by_name.items()}
    settled = {specimens[name] for name in by_name if name not in new}
    groups = {
        name: f"specimen {specimens[name]}" if name in new and specimens[name] and specimens[name] not in settled
        else name
        for name in by_name
    }  # fmt: skip
    if len(set(groups.values())) < ENOUGH_GROUPS:  # too few specimens: slide by slide, large slides in blocks
        groups = {name: name for name in by_name}
    members: dict[str, list[str]] = {}
    for name in new:
        members.setdefault(groups[name], []).append(name)
    images = []
    for name, some in by_name.items():
        boxes = np.concatenate([slide.image.boxes for slide in some])
        labels = np.concatenate([slide.image.labels for slide in some])
        images.append(replace(some[0].image, boxes=boxes, labels=labels, homes=None, group=groups[name]))
    return _Groups(images, members)


def _divided(groups: _Groups, table: PartTable, shares: Mapping[DataPart, float]) -> PartTable:
    most = max((int(image.labels.max()) for image in groups.images if len(image.labels)), default=0)
    data = Dataset([str(number) for number in range(most + 1)], groups.images)
    try:
        found = _with_a_box_in_each(data, shares, table)
    except ModelError:
        if table.parts or DataPart.TEST not in shares:
            raise
        less: Mapping[DataPart, float] = {DataPart.VALIDATION: shares[DataPart.VALIDATION]}
        found = _with_a_box_in_each(data, less, table)
    parts = dict(table.parts)
    for name, part in found.parts.items():
        if name not in parts:
            parts |= dict.fromkeys(groups.members.get(name, [name]), part)
    return PartTable(parts, found.block_px)


def _with_a_box_in_each(data: Dataset, shares: Mapping[DataPart, float], table: PartTable) -> PartTable:
    division = divide(data, shares, seed=_SEED, known=table)
    boxes = {part: sum(found.counts().values()) for part, found in division.parts.items()}
    # what is cut from top to bottom has no table: nothing can be added to it
    if not division.table.parts or (not table.parts and not all(boxes.values())):
        raise ModelError("The project is too small to hold out a part.", hint="Judge findings on more slides.")
    return division.table


def held_back(images: Sequence[AnnotatedImage], others: Iterable[AnnotatedImage]) -> tuple[list[AnnotatedImage], int]:
    """Without places of which another project keeps pixels for something that comes first, and how many these were.

    The test comes before validation, and validation before learning; a strip around what is kept counts too.
    """
    rank = {str(part): number for number, part in enumerate((DataPart.TRAIN, DataPart.VALIDATION, DataPart.TEST))}
    kept: dict[str, list[AnnotatedImage]] = {}
    for other in others:
        if other.place and rank.get(other.part, 0):
            kept.setdefault(other.place, []).append(other)
    left = [
        image
        for image in images
        if not any(
            rank[other.part] > rank.get(image.part, 0) and _near(image.area, other.area, GUARD_PX)
            for other in kept.get(image.place, ())
        )
    ]
    return left, len(images) - len(left)


def _near(one: Sequence[int], other: Sequence[int], distance: float) -> bool:
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one, other
    return max(c0 - a1, a0 - c1) < distance and max(d0 - b1, b0 - d1) < distance
