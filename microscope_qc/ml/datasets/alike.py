"""Pictures of the same thing: copies are dropped, other exposures of one place stay together in one part."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

COPY = "is a copy of {}"
UNIFORM = "is of one grey all over"
_CELLS = 16
_ALIKE_BITS = 20
"""Of 256 bits. Of 951 magnetic tiles, photographed at six exposures each, 79 % are then in a group with the exposure
they resemble most, and no group grows beyond a few tiles."""
_LARGEST_PX = 16_000_000
"""Larger pictures are slides; nobody has hundreds of them."""
_STEP = 20
_FINER = 16
"""A picture is looked at in so many pixels along the side of a cell."""
_ONE_GREY = 2
"""What is seen nowhere brighter than elsewhere by more than that shows nothing."""


def without_copies(dataset: Dataset) -> Job[Dataset]:
    """Drop copies and pictures on which nothing can be seen, and put pictures of the same place into one group.

    A picture whose file is there twice, one that cannot be decoded, and one of a single grey are dropped.

    Pictures resemble each other when, of neighbouring cells of a coarse grid, the same ones are the brighter ones: that
    does not depend on the exposure (difference hash, Krawetz 2013).

    Returns
    -------
    Job[Dataset]
        What was dropped is in its ``left_out``.
    """
    first: dict[str, AnnotatedImage] = {}
    kept: list[AnnotatedImage] = []
    prints: list[np.ndarray | None] = []
    dropped = dict(dataset.left_out.pictures)
    same_size = _files_of_one_size(dataset.images)
    names = Counter(image.path.name for image in dataset.images)
    for number, image in enumerate(dataset.images):
        if number % _STEP == 0:
            yield Progress(number, len(dataset.images), "pictures", "looking for copies")
        name = _name(image, names)
        if image.path in same_size and not image.place:  # slides of projects are known by their content already
            with image.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in first:
                dropped[name] = COPY.format(_name(first[digest], names))
                continue
            first[digest] = image
        try:
            pixels = _looked_at(image)
        except MicroscopeQCError as error:
            dropped[name] = error.message.removesuffix(".")
            continue
        if pixels is not None and np.ptp(pixels) <= _ONE_GREY:
            dropped[name] = UNIFORM
            continue
        kept.append(image)
        prints.append(None if pixels is None else _print_of(pixels))
    images = _grouped(kept, prints)
    return replace(dataset, images=images, left_out=replace(dataset.left_out, pictures=dropped))


def _name(image: AnnotatedImage, names: Mapping[str, int]) -> str:
    """Name of the picture, with its folder where several are called so."""
    name = image.path.name
    return name if names[name] == 1 else f"{image.path.parent.name}/{name}"


def _files_of_one_size(images: list[AnnotatedImage]) -> set[object]:
    """Files of which another one has as many bytes: only these can be copies."""
    by_size = defaultdict(list)
    for image in images:
        if image.path.is_file():
            by_size[image.path.stat().st_size].append(image.path)
    return {path for paths in by_size.values() if len(paths) > 1 for path in paths}


def _looked_at(image: AnnotatedImage) -> np.ndarray | None:
    """All of a picture with fewer pixels, uint8 (h, w, 3); None for slides and pieces of them.

    Raises
    ------
    MicroscopeQCError
        When it cannot be decoded.
    """
    height, width = image.shape
    if height * width > _LARGEST_PX or image.region is not None:
        return None
    with image.opened() as mosaic:
        return mosaic.read_scaled(
            Region(0, 0, height, width), (min(height, _CELLS * _FINER), min(width, (_CELLS + 1) * _FINER))
        )


def _print_of(pixels: np.ndarray) -> np.ndarray:
    """256 bits (32 bytes)."""
    cells = cv2.resize(pixels, (_CELLS + 1, _CELLS), interpolation=cv2.INTER_AREA)
    grey = cells.astype(np.int32).sum(2)
    return np.packbits(grey[:, 1:] > grey[:, :-1])


def _grouped(images: list[AnnotatedImage], prints: list[np.ndarray | None]) -> list[AnnotatedImage]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    known = [number for number, found in enumerate(prints) if found is not None]
    if len(known) < 2:
        return images
    table = np.stack([found for found in prints if found is not None])
    one, other = [], []
    for place, row in enumerate(table):
        near = np.flatnonzero(np.bitwise_count(table[place:] ^ row).sum(1) <= _ALIKE_BITS) + place
        one += [place] * len(near)
        other += near.tolist()
    links = coo_matrix((np.ones(len(one)), (one, other)), shape=(len(table), len(table)))
    _, labels = connected_components(links, directed=False)
    result = list(images)
    names: dict[int, str] = {}
    for number, label in zip(known, labels.tolist(), strict=True):
        if not images[number].group:  # what the user has said of it counts more
            result[number] = replace(images[number], group=names.setdefault(label, images[number].key))
    return result
