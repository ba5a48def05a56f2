"""Annotated images, independent of the annotation format."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from microscope_qc.core.defect_class import CLASS_SETS
from microscope_qc.core.errors import ModelError
from microscope_qc.core.wording import listed, plural, things

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic

_NAMED = 10
_REASONS = 5
NO_CLASS = -1
"""Of a picture without a defect."""
UNIFORM, BLURRED, SATURATED = "is of one grey all over", "is out of focus", "is mostly black or white"
BAD = (UNIFORM, BLURRED, SATURATED)
"""Why pictures that can be read are not learned from all the same."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One annotated image or slide.

    Attributes
    ----------
    path : Path
        Anything that `microscope_qc.slides.open_slide` opens.
    shape : (height, width)
        Full-resolution pixels.
    boxes : ndarray, (n, 4)
        y0, x0, y1, x1 in full-resolution pixels.
    labels : ndarray of int, (n,)
        Indices into the data set's classes.
    pixel_size_um : (y, x) or None
        None where neither the annotations nor the file give it.
    region : (y0, x0, y1, x1) or None
        The part that belongs to the data set; None means all.
    open_boxes : ndarray, (k, 4)
        Places of which nobody has said whether they are defects: neither defects nor background.
    group
        What is never both learned from and measured on: a specimen, or pictures of the same place; "" for an image by
        itself.
    homes : ndarray, (n, 2), or None
        Where each box was (y, x) when its place was given to a part; None where it still is.
    part
        What its folders set it aside for: "train", "validation" or "test"; "" where they say nothing.
    hard_boxes : ndarray, (k, 4)
        Background that a model has taken for defects: learned from more often than other background.
    place
        What a slide of a project is, wherever its file lies; "" for other pictures. Pieces of one slide have one place.
    whole
        Class of the whole picture, as an index; NO_CLASS where it shows no defect. None where only boxes say.
    scene, orientation
        Which picture of the file, and how it is turned; None for the only one, and for what the file says.
    """

    path: Path
    shape: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    pixel_size_um: tuple[float, float] | None = None
    region: tuple[int, int, int, int] | None = None
    open_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    group: str = ""
    homes: np.ndarray | None = None
    hard_boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    part: str = ""
    place: str = ""
    whole: int | None = None
    scene: str | None = None
    orientation: int | None = None

    @contextmanager
    def opened(self) -> Iterator[Mosaic]:
        """Open the picture.

        Raises
        ------
        SlideError
            When it cannot be opened.
        """
        from microscope_qc.slides import open_slide

        with open_slide(self.path, orientation=self.orientation) as slide:
            yield slide.scene(self.scene)

    @property
    def key(self) -> str:
        """Its group, or its own name where it is by itself."""
        return self.group or self.path.as_posix()

    @property
    def shown(self) -> np.ndarray:
        """Classes of its boxes, or its own where only that is known, (n,)."""
        said = len(self.labels) or self.whole in (None, NO_CLASS)
        return self.labels if said else np.array([self.whole], np.int64)

    @property
    def area(self) -> tuple[int, int, int, int]:
        """The part that belongs to the data set: y0, x0, y1, x1."""
        return self.region or (0, 0, *self.shape)


@dataclass(frozen=True, slots=True)
class LeftOutOfData:
    """What annotations contain that is not in the data set.

    Attributes
    ----------
    pictures
        Why each picture, by its path in the annotations, could not be used.
    boxes, noted
        How many boxes could not be used, by reason, and how many something is to be known of.
    places
        Where that was first, for each reason: lines of files, or pictures.
    files
        What is wrong with each file of annotations that could not be read.
    rejected, unreviewed, crowds
        Boxes that are no truth: what a user rejected is background; what a model found and nobody has judged, and what
        marks many defects at once, is neither defect nor background.
    held
        How many places of slides were kept from their use, by reason, so that nothing is learned from and measured on.
    kept
        What is wrong with pictures that are in the data set all the same.
    """

    pictures: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    rejected: int = 0
    unreviewed: int = 0
    crowds: int = 0
    held: dict[str, int] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[LeftOutOfData]) -> LeftOutOfData:
        """Of several data sets together; what has one name in two of them is told apart by a number."""
        pictures: dict[str, str] = {}
        files: dict[str, str] = {}
        kept: dict[str, str] = {}
        places: dict[str, list[str]] = {}
        for part in parts:
            for mine, theirs in ((pictures, part.pictures), (files, part.files), (kept, part.kept)):
                for path, why in theirs.items():
                    mine[_free(path, mine)] = why
            for reason, known in part.places.items():
                places.setdefault(reason, []).extend(known)
        boxes = sum((Counter(part.boxes) for part in parts), Counter[str]())
        noted = sum((Counter(part.noted) for part in parts), Counter[str]())
        held = sum((Counter(part.held) for part in parts), Counter[str]())
        return cls(
            pictures, boxes, noted, places, files,
            rejected=sum(part.rejected for part in parts), unreviewed=sum(part.unreviewed for part in parts),
            crowds=sum(part.crowds for part in parts), held=dict(held), kept=kept,
        )  # fmt: skip

    def counts(self) -> dict[str, JsonValue]:
        """How many of each."""
        return {
            "rejected": self.rejected, "unreviewed": self.unreviewed, "crowds": self.crowds, "boxes": dict(self.boxes),
            "noted": dict(self.noted), "held": dict(self.held),
            "pictures": len(self.pictures), "files": len(self.files),
        }  # fmt: skip

    def document(self) -> dict[str, JsonValue]:
        """The same with the name of each picture, as values that JSON can store."""
        return self.counts() | {
            "places": {reason: list(known) for reason, known in self.places.items()},
            "pictures": [{"picture": path, "why": why} for path, why in self.pictures.items()],
            "files": [{"file": path, "why": why} for path, why in self.files.items()],
            "kept": [{"picture": path, "why": why} for path, why in self.kept.items()],
        }

    @property
    def picture_words(self) -> str:
        """``a.png, b.png: not found; c.png: is empty``, with some of many names."""
        return _words_of(_by_reason(self.pictures))

    def sentences(self, pictures: int) -> list[str]:
        """What a user should know, where ``pictures`` are in the data set."""
        named, kept = _by_reason(self.pictures), _by_reason(self.kept)
        said = [_counted(why, named.pop(why), "left out") for why in BAD if why in named]
        if named:
            how_many = f"{sum(map(len, named.values()))}{' more' if said else ''}"
            in_all = things(pictures + len(self.pictures), "picture")
            said.append(f"{how_many} of {in_all} left out. {_words_of(named)}.")
        said += [_counted(why, kept.pop(why), "learned from all the same") for why in BAD if why in kept]
        if kept:
            said.append(f"Learned from all the same: {_words_of(kept)}.")
        if self.held:
            said.append(f"{things(sum(self.held.values()), 'place')} left out: {self._reasons(self.held)}.")
        if self.boxes:
            said.append(f"{things(sum(self.boxes.values()), 'box', 'boxes')} left out: {self._reasons(self.boxes)}.")
        if self.noted:
            said.append(f"Noted: {self._reasons(self.noted)}.")
        if self.files:
            why = "; ".join(list(self.files.values())[:_REASONS])
            said.append(f"{things(len(self.files), 'file')} of annotations left out: {why}.")
        parts = [f"{things(self.rejected, 'rejected finding')} as background"] if self.rejected else []
        for count, what in (
            (self.unreviewed, f"{things(self.unreviewed, 'finding')} of which nobody has said whether it is a defect"),
            (self.crowds, things(self.crowds, "crowd annotation")),
        ):
            parts += [f"{what} as neither defect nor background"] if count else []
        return [*said, f"No truth: {listed(parts)}."] if parts else said

    def _reasons(self, counts: dict[str, int]) -> str:
        """``no area (3: a.json, annotation 4; a.json, annotation 9)``."""
        words = []
        for why, count in counts.items():
            where = "; ".join(self.places.get(why, []))
            words.append(f"{why} ({count}: {where})" if where else f"{why} ({count})")
        return ", ".join(words)


def _by_reason(pictures: dict[str, str]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for path, why in pictures.items():
        named.setdefault(why, []).append(path)
    return named


def _words_of(named: dict[str, list[str]]) -> str:
    groups = list(named.items())
    words = [f"{_some(paths)}: {why}" for why, paths in groups[:_REASONS]]
    if len(groups) > _REASONS:
        words.append(f"{things(sum(len(paths) for _, paths in groups[_REASONS:]), 'other')} for other reasons")
    return "; ".join(words)


def _counted(why: str, names: list[str], what: str) -> str:
    """``2 pictures are out of focus and are left out: a.png, b.png.``"""
    verb = plural(len(names), "is", "are")
    return f"{things(len(names), 'picture')} {verb} {why.removeprefix('is ')} and {verb} {what}: {_some(names)}."


def _free(path: str, taken: Container[str]) -> str:
    name, number = path, 2
    while name in taken:
        name, number = f"{path} ({number})", number + 1
    return name


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


@dataclass(frozen=True)
class Dataset:
    """Annotated images and their classes.

    Attributes
    ----------
    classes : list of str
        Short codes; labels are indices into it.
    names : list of str
        Full names where the annotations have them, else the codes.
    left_out : LeftOutOfData
        What the annotations contain besides.
    """

    classes: list[str]
    images: list[AnnotatedImage]
    names: list[str] = field(default_factory=list)
    left_out: LeftOutOfData = field(default_factory=LeftOutOfData)

    @property
    def background(self) -> int:
        """Number of images without a defect: all of them is background."""
        return sum(not len(image.boxes) and image.whole in (None, NO_CLASS) for image in self.images)

    def sentences(self) -> list[str]:
        """What a user should know about it: what was left out, and what counts as background."""
        said = self.left_out.sentences(len(self.images))
        if self.background:
            verb = "has no box and counts" if self.background == 1 else "have no boxes and count"
            said.append(f"{self.background} of {things(len(self.images), 'picture')} {verb} as background.")
        return said

    def fingerprint(self) -> str:
        """Hexadecimal digest of names, sizes, boxes and classes."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for image in sorted(self.images, key=lambda item: (item.path.name, item.area)):
            digest.update(f"{image.path.name} {image.shape} {image.area}".encode())
            digest.update(np.round(image.boxes, 2).astype("<f8").tobytes() + image.labels.astype("<i4").tobytes())
            digest.update(np.round(image.open_boxes, 2).astype("<f8").tobytes())
            digest.update(np.round(image.hard_boxes, 2).astype("<f8").tobytes())
            if image.whole is not None:
                digest.update(f"whole {image.whole}".encode())
        return digest.hexdigest()[:32]

    def counts(self) -> dict[str, int]:
        """Number of boxes of each class."""
        labels = np.concatenate([image.labels for image in self.images] or [np.zeros(0, int)])
        return dict(zip(self.classes, np.bincount(labels, minlength=len(self.classes)).tolist(), strict=True))

    def pictures_by_class(self) -> dict[str, int]:
        """Number of images of each class, where that is said of whole images; without classes that have none."""
        found = Counter(image.whole for image in self.images)
        return {code: found[index] for index, code in enumerate(self.classes) if found[index]}

    def with_classes(self, classes: list[str]) -> Dataset:
        """The same images with labels as indices into other classes.

        Raises
        ------
        ModelError
            When a class of this data set is not among them.
        """
        shown = {code for code, count in self.counts().items() if count} | set(self.pictures_by_class())
        missing = [code for code in self.classes if code in shown and code not in classes]
        if missing:
            raise ModelError(
                f"The model does not have the classes {', '.join(missing)} of this data set.",
                hint=f"It has: {', '.join(classes)}.",
            )
        index = np.array([classes.index(code) if code in classes else -1 for code in self.classes] or [0])
        images = [
            replace(
                image, labels=index[image.labels].astype(np.int64),
                whole=image.whole if image.whole in (None, NO_CLASS) else int(index[image.whole]),
            )
            for image in self.images
        ]  # fmt: skip
        own = dict(zip(self.classes, self.names, strict=False))
        names = [own.get(code, name) for code, name in zip(classes, full_names(classes), strict=True)]
        return replace(self, classes=list(classes), images=images, names=names)

    def as_one_class(self, code: str) -> Dataset:
        """The same images, where every defect is of one class."""
        images = [
            replace(
                image, labels=np.zeros(len(image.boxes), np.int64),
                whole=image.whole if image.whole in (None, NO_CLASS) else 0,
            )
            for image in self.images
        ]  # fmt: skip
        return replace(self, classes=[code], images=images, names=full_names([code]))

    def known_to(self, classes: list[str]) -> tuple[Dataset, dict[str, int]]:
        """As :meth:`with_classes`, where boxes of other classes are neither defects nor background.

        Returns
        -------
        Dataset
        dict of str to int
            How many boxes of each other class there are.

        Raises
        ------
        ModelError
            When no class is known of which there is a box.
        """
        counts = {code: count for code, count in self.counts().items() if count}
        other = {code: count for code, count in counts.items() if code not in classes}
        if other and len(other) == len(counts):
            return self.with_classes(classes), {}
        unknown = [index for index, code in enumerate(self.classes) if code not in classes]
        images = []
        for image in self.images:
            mine = ~np.isin(image.labels, unknown)
            still_open = np.concatenate([image.open_boxes, image.boxes[~mine]])
            homes = None if image.homes is None else image.homes[mine]
            whole = None if image.whole in unknown else image.whole
            images.append(replace(
                image, boxes=image.boxes[mine], labels=image.labels[mine], open_boxes=still_open, homes=homes,
                whole=whole,
            ))  # fmt: skip
        return replace(self, images=images).with_classes(classes), other


def full_names(classes: list[str]) -> list[str]:
    """Names of the built-in class codes; other codes are used as names."""
    known = {defect.code: defect.name for group in CLASS_SETS.values() for defect in group}
    return [known.get(code, code) for code in classes]
