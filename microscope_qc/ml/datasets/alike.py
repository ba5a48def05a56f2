"""Pictures of the same thing: copies are dropped, other exposures of one place stay together in one part."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset

COPY = "is a copy of {}"
_CELLS = 16
_ALIKE_BITS = 20
"""Of 256 bits. Of 951 magnetic tiles, photographed at six exposures each, 79 % are then in a group with the exposure
they resemble most, and no group grows beyond a few tiles."""
_LARGEST_PX = 16_000_000
"""Larger pictures are slides; nobody has hundreds of them."""
_STEP = 20


def without_copies(dataset: Dataset) -> Job[Dataset]:
    """Drop pictures whose file is there twice, and put pictures of the same place into one group.

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
    copies = dict(dataset.left_out.pictures)
    same_size = _files_of_one_size(dataset.images)
    for number, image in enumerate(dataset.images):
        if number % _STEP == 0:
            yield Progress(number, len(dataset.images), "pictures", "looking for copies")
        if image.path in same_size and not image.place:  # slides of projects are known by their content already
            with image.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in first:
                copies[image.path.name] = COPY.format(first[digest].path.name)
                continue
            first[digest] = image
        kept.append(image)
        prints.append(_print_of(image))
    images = _grouped(kept, prints)
    return replace(dataset, images=images, left_out=replace(dataset.left_out, pictures=copies))


def _files_of_one_size(images: list[AnnotatedImage]) -> set[object]:
    """Files of which another one has as many bytes: only these can be copies."""
    by_size = defaultdict(list)
    for image in images:
        if image.path.is_file():
            by_size[image.path.stat().st_size].append(image.path)
    return {path for paths in by_size.values() if len(paths) > 1 for path in paths}


def _print_of(image: AnnotatedImage) -> np.ndarray | None:
    """256 bits (32 bytes); None for slides, and for pictures that cannot be read, of which training will say so."""
    height, width = image.shape
    if height * width > _LARGEST_PX or image.region is not None:
        return None
    try:
        with image.opened() as mosaic:
            pixels = mosaic.read_scaled(Region(0, 0, height, width), (_CELLS, _CELLS + 1))
    except MicroscopeQCError:
        return None
    grey = pixels.astype(np.int32).sum(2)
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
