"""Small steps that several workflows share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides import Mosaic, open_slide


@contextlib.contextmanager
def open_scene(record: SlideRecord) -> Iterator[Mosaic]:
    """Open the mosaic of a project's slide.

    Raises
    ------
    SlideError
        When it cannot be opened.
    """
    with open_slide(record.path) as slide:
        yield slide.scene(record.scene)


def kept(rows: np.ndarray) -> np.ndarray:
    """Leave out rejected findings."""
    keep: Flags = rows["state"] != ReviewState.REJECTED
    return rows[keep]
