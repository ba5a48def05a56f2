"""Pictures that are of no use are dropped and named: copies, damaged ones, those on which nothing can be made out."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.alike import OVERVIEW_PX, grouped, print_of
from microscope_qc.ml.datasets.quality import LARGEST_PX, Look, judge, look_at
from microscope_qc.ml.datasets.records import UNIFORM, AnnotatedImage, Dataset

COPY = "is a copy of {}"
_STEP = 20
_ONE_GREY = 2
"""What is seen nowhere brighter than elsewhere by more than that shows nothing."""
_Key = tuple[Path, str | None]
"""File and scene: what is shown in several pieces is judged once."""


def cleaned(dataset: Dataset, *, keep_bad: bool = False) -> Job[Dataset]:
    """Drop what is of no use, and put pictures of the same place into one group.

    Dropped are a picture whose file is there twice, one that cannot be decoded, one of a single grey, and one that,
    unlike others of the set, is out of focus or mostly black or white; a slide only where it is so all over.

    Parameters
    ----------
    keep_bad
        Keep what is out of focus or mostly black or white; it is named all the same.

    Returns
    -------
    Job[Dataset]
        What was dropped, and what is odd about the rest, is in its ``left_out``.
    """
    first: dict[str, AnnotatedImage] = {}
    fit: list[AnnotatedImage] = []
    prints: list[np.ndarray | None] = []
    looks: dict[_Key, Look] = {}
    dropped = dict(dataset.left_out.pictures)
    same_size = _files_of_one_size(dataset.images)
    names = Counter(path.name for path in {image.path for image in dataset.images})
    for number, image in enumerate(dataset.images):
        if number % _STEP == 0:
            yield Progress(number, len(dataset.images), "pictures", "looking for copies and bad pictures")
        name = _name(image, names)
        if image.path in same_size and not image.place:  # slides of projects are known by their content already
            with image.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest in first:
                dropped[name] = COPY.format(_name(first[digest], names))
                continue
            first[digest] = image
        try:
            pixels = _looked_at(image, looks)
        except MicroscopeQCError as error:
            dropped[name] = error.message.removesuffix(".")
            continue
        if pixels is not None and np.ptp(pixels) <= _ONE_GREY:
            looks.pop(_key(image), None)
            dropped[name] = UNIFORM
            continue
        fit.append(image)
        prints.append(None if pixels is None else print_of(pixels))
    bad, odd = _judged(looks)
    said = {_name(image, names): odd[_key(image)] for image in fit if _key(image) in odd}
    named = {_name(image, names): bad[_key(image)] for image in fit if _key(image) in bad}
    if keep_bad:
        said |= named
    else:
        dropped |= named
        prints = [mine for image, mine in zip(fit, prints, strict=True) if _key(image) not in bad]
        fit = [image for image in fit if _key(image) not in bad]
    left_out = replace(dataset.left_out, pictures=dropped, kept=dataset.left_out.kept | said)
    return replace(dataset, images=grouped(fit, prints), left_out=left_out)


def _key(image: AnnotatedImage) -> _Key:
    return image.path, image.scene


def _name(image: AnnotatedImage, names: Mapping[str, int]) -> str:
    """Name of the picture, with its folder where several are called so."""
    name = image.path.name
    return name if names[name] == 1 else f"{image.path.parent.name}/{name}"


def _files_of_one_size(images: Sequence[AnnotatedImage]) -> set[object]:
    """Files of which another one has as many bytes: only these can be copies."""
    by_size = defaultdict(list)
    for image in images:
        if image.path.is_file():
            by_size[image.path.stat().st_size].append(image.path)
    return {path for paths in by_size.values() if len(paths) > 1 for path in paths}


def _looked_at(image: AnnotatedImage, looks: dict[_Key, Look]) -> np.ndarray | None:
    """All of a picture with fewer pixels, uint8 (h, w, 3); None for slides and pieces of them. Adds what it shows.

    Raises
    ------
    MicroscopeQCError
        When it cannot be decoded.
    """
    height, width = image.shape
    if height * width <= LARGEST_PX and image.region is None:
        shape = min(height, OVERVIEW_PX[0]), min(width, OVERVIEW_PX[1])
        with image.opened() as mosaic:
            looks[_key(image)] = look_at(mosaic, image.pixel_size_um)
            return mosaic.read_scaled(Region(0, 0, height, width), shape)
    if _key(image) not in looks:
        with suppress(MicroscopeQCError), image.opened() as mosaic:  # places that can be read are learned from
            looks[_key(image)] = look_at(mosaic, image.pixel_size_um)
    return None


def _judged(looks: Mapping[_Key, Look]) -> tuple[dict[_Key, str], dict[_Key, str]]:
    """What is wrong with pictures, and what is odd about others."""
    verdicts = dict(zip(looks, judge(list(looks.values())), strict=True))
    return (
        {key: verdict.bad for key, verdict in verdicts.items() if verdict.bad},
        {key: verdict.odd for key, verdict in verdicts.items() if verdict.odd},
    )
