"""A share of a data set, to see how much more data would bring."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from microscope_qc.ml.datasets.records import Dataset


def share_of(dataset: Dataset, share: float, *, seed: int) -> Dataset:
    """As many images as this share, drawn at random; those of a smaller share are among those of a larger one.

    Parameters
    ----------
    share
        Above 0, at most 1; at least one image is left.
    """
    if share >= 1:
        return dataset
    order = np.random.default_rng([seed, 29]).permutation(len(dataset.images))
    kept = sorted(order[: max(1, math.ceil(share * len(order) - 1e-9))].tolist())
    return replace(dataset, images=[dataset.images[index] for index in kept])
