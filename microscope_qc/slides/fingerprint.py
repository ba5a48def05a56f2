"""Recognise a slide that was moved or renamed, without reading all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from microscope_qc.slides.base import Mosaic

GRID = 8
WORKERS = 4
BLOCK_PX = 64


def fingerprint(mosaic: Mosaic) -> str:
    """See :meth:`Mosaic.fingerprint`; blocks lie on a grid of 8 x 8 over the full resolution of the first channel.

    The name and the pixel size stay out: a person may correct both without making it another slide.
    """
    digest = hashlib.blake2b(digest_size=16)
    facts = {
        "shape": list(mosaic.shape),
        "dtype": mosaic.dtype.name,
        "rgb": mosaic.rgb,
        "channels": len(mosaic.channels),
        "origin": list(mosaic.origin_px),
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="fingerprint") as pool:  # a network drive answers slowly
        for block in pool.map(mosaic.read, sampled_blocks(mosaic.shape)):
            digest.update(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def sampled_blocks(shape: tuple[int, int]) -> Iterator[Region]:
    """The places whose pixels decide."""
    height, width = shape
    for y in np.linspace(0, max(0, height - BLOCK_PX), GRID).astype(int):
        for x in np.linspace(0, max(0, width - BLOCK_PX), GRID).astype(int):
            yield Region(int(y), int(x), int(y) + BLOCK_PX, int(x) + BLOCK_PX).clip(shape)
