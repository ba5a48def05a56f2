"""Folds of a data set: every picture is measured on once, by a network that has not learned from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from microscope_qc.core.errors import ModelError
from microscope_qc.core.wording import things
from microscope_qc.ml.datasets.records import Dataset


def folds_of(dataset: Dataset, count: int, *, seed: int) -> list[tuple[Dataset, Dataset]]:
    """What is learned from and what is measured on, ``count`` times.

    Pictures of one group are in one fold; every class is as frequent in all folds as that allows.

    Raises
    ------
    ModelError
        When there are fewer groups than folds.
    """
    members: dict[str, list[int]] = {}
    for number, image in enumerate(dataset.images):
        members.setdefault(image.key, []).append(number)
    if len(members) < count:
        groups = things(len(members), "picture or specimen", "pictures or specimens")
        raise ModelError(
            f"{groups} cannot be divided into {count} folds.",
            hint="Add some, or ask for fewer folds.",
        )
    shown = {key: _counts(dataset, numbers) for key, numbers in members.items()}
    everywhere = np.sum(list(shown.values()), axis=0)
    keys = [list(members)[place] for place in np.random.default_rng([seed, 23]).permutation(len(members)).tolist()]
    keys.sort(key=lambda key: int(everywhere[shown[key] > 0].min()))  # what is rare first, while all folds have room
    folds: list[list[int]] = [[] for _ in range(count)]
    held = np.zeros((count, len(everywhere)), np.int64)
    for key in keys:
        place = min(range(count), key=lambda fold: (int(held[fold] @ shown[key]), len(folds[fold])))
        folds[place] += members[key]
        held[place] += shown[key]
    numbers = set(range(len(dataset.images)))
    return [(_only(dataset, sorted(numbers - set(fold))), _only(dataset, sorted(fold))) for fold in folds]


def _only(dataset: Dataset, numbers: list[int]) -> Dataset:
    return replace(dataset, images=[dataset.images[number] for number in numbers])


def _counts(dataset: Dataset, numbers: list[int]) -> np.ndarray:
    """How often each class is shown by some images, and how many of them show none."""
    none = len(dataset.classes)
    images = [dataset.images[number] for number in numbers]
    labels = [image.shown if len(image.shown) else np.array([none]) for image in images]
    found: np.ndarray = np.bincount(np.concatenate(labels).astype(np.int64), minlength=none + 1)
    return found
