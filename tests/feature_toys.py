"""Slides in memory whose features are quick to compute, in chunks of a few cells."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from tile_toys import ToyMosaic

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.features.embedding import embed
from microscope_qc.ml.features.grid import FeatureGrid
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.trunk import Trunk

CHUNK = 14
SLIDE = {"slide": "toy"}


def blurred(shape: tuple[int, int] = (500, 560), seed: int = 0) -> np.ndarray:
    """A colourful picture with structures of several sizes."""
    rng = np.random.default_rng(seed)
    coarse, fine = (rng.integers(0, 256, (shape[0] // k, shape[1] // k, 3)).astype(np.uint8) for k in (40, 6))
    parts = [cv2.resize(part, shape[::-1], interpolation=cv2.INTER_CUBIC) for part in (coarse, fine)]
    return cv2.addWeighted(parts[0], 0.5, parts[1], 0.5, 0)


def trunk() -> Trunk:
    """The network on the processor."""
    return Trunk(torch.device("cpu"))


def store_in(root: Path, mosaic: ToyMosaic, *, chunk: int = CHUNK, **about: str) -> FeatureStore:
    """A store of a mosaic."""
    return FeatureStore(root, FeatureGrid.of(mosaic, None, chunk=chunk), SLIDE | about)


def embedded(root: Path, mosaic: ToyMosaic, *, chunk: int = CHUNK, **about: str) -> FeatureStore:
    """A store that is complete."""
    store = store_in(root, mosaic, chunk=chunk, **about)
    run_job(embed(mosaic, store, trunk()))
    return store


def whole(store: FeatureStore, stride: int) -> np.ndarray:
    """The map of a stride."""
    return store.window(Region(0, 0, *store.grid.map_shape(stride)), stride).astype(np.float64)


if __name__ == "__main__":  # a process that is killed when so many chunks are there
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    toy = ToyMosaic(blurred())
    killed, written = store_in(folder, toy), FeatureStore.write

    def write(store: FeatureStore, *arguments: object, **more: object) -> None:
        if len(list(store.folder.glob("*.safetensors"))) >= count:
            os._exit(9)
        written(store, *arguments, **more)

    FeatureStore.write = write
    run_job(embed(toy, killed, trunk()))
