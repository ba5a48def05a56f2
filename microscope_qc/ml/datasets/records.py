"""Annotated images, independent of the annotation format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from microscope_qc.core.defect_class import CLASS_SETS
from microscope_qc.core.errors import ModelError


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
        Replaces the pixel size in the file unless None.
    region : (y0, x0, y1, x1) or None
        The part that belongs to the data set; None means all.
    """

    path: Path
    shape: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    pixel_size_um: tuple[float, float] | None = None
    region: tuple[int, int, int, int] | None = None

    @property
    def area(self) -> tuple[int, int, int, int]:
        """The part that belongs to the data set: y0, x0, y1, x1."""
        return self.region or (0, 0, *self.shape)


@dataclass(frozen=True)
class Dataset:
    """Annotated images and their classes.

    Attributes
    ----------
    classes : list of str
        Short codes; labels are indices into it.
    names : list of str
        Full names where the annotations have them, else the codes.
    """

    classes: list[str]
    images: list[AnnotatedImage]
    names: list[str] = field(default_factory=list)

    def fingerprint(self) -> str:
        """Hexadecimal digest of names, sizes, boxes and classes."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        for image in sorted(self.images, key=lambda item: (item.path.name, item.area)):
            digest.update(f"{image.path.name} {image.shape} {image.area}".encode())
            digest.update(np.round(image.boxes, 2).astype("<f8").tobytes() + image.labels.astype("<i4").tobytes())
        return digest.hexdigest()[:32]

    def counts(self) -> dict[str, int]:
        """Number of boxes of each class."""
        labels = np.concatenate([image.labels for image in self.images] or [np.zeros(0, int)])
        return dict(zip(self.classes, np.bincount(labels, minlength=len(self.classes)).tolist(), strict=True))

    def with_classes(self, classes: list[str]) -> Dataset:
        """The same images with labels as indices into other classes.

        Raises
        ------
        ModelError
            When a class of this data set is not among them.
        """
        missing = [code for code, count in self.counts().items() if code not in classes and count]
        if missing:
            raise ModelError(
                f"The model does not have the classes {', '.join(missing)} of this data set.",
                hint=f"It has: {', '.join(classes)}.",
            )
        index = np.array([classes.index(code) if code in classes else -1 for code in self.classes] or [0])
        images = [
            AnnotatedImage(p.path, p.shape, p.boxes, index[p.labels].astype(np.int64), p.pixel_size_um, p.region)
            for p in self.images
        ]
        return Dataset(list(classes), images, full_names(classes))


def split(dataset: Dataset, *, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Hold out a part for validation: whole images, or the bottom of the image if there is only one."""
    if len(dataset.images) >= 2:
        order = np.random.default_rng([seed, 17]).permutation(len(dataset.images))
        held = max(1, round(share * len(order)))
        chosen = set(order[:held].tolist())
        train = [image for i, image in enumerate(dataset.images) if i not in chosen]
        validation = [image for i, image in enumerate(dataset.images) if i in chosen]
    else:
        (image,) = dataset.images
        y0, x0, y1, x1 = image.area
        cut = round(y1 - share * (y1 - y0))
        train, validation = [_part(image, (y0, x0, cut, x1))], [_part(image, (cut, x0, y1, x1))]
    return Dataset(dataset.classes, train, dataset.names), Dataset(dataset.classes, validation, dataset.names)


def _part(image: AnnotatedImage, region: tuple[int, int, int, int]) -> AnnotatedImage:
    """Restrict a image to a region; boxes belong to the part that contains their centre."""
    middle = (image.boxes[:, :2] + image.boxes[:, 2:]) / 2
    inside = (middle >= region[:2]).all(1) & (middle < region[2:]).all(1)
    return AnnotatedImage(
        image.path, image.shape, image.boxes[inside], image.labels[inside], image.pixel_size_um, region
    )


def full_names(classes: list[str]) -> list[str]:
    """Names of the built-in class codes; other codes are used as names."""
    known = {defect.code: defect.name for group in CLASS_SETS.values() for defect in group}
    return [known.get(code, code) for code in classes]
