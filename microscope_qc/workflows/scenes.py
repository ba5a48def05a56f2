"""Small steps that several workflows share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import ReviewState
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.slides.plane import Plane
from microscope_qc.slides.plane_choice import PlaneChoice, default_plane


@contextlib.contextmanager
def open_scene(record: SlideRecord, choice: PlaneChoice | None = None) -> Iterator[Mosaic]:
    """Open the mosaic of a project's slide, or the plane of it that was chosen.

    Raises
    ------
    InputError
        When the slide has no such picture or channel.
    SlideError
        When it cannot be opened.
    """
    with open_slide(record.path, orientation=record.orientation) as slide:
        mosaic = slide.scene(record.scene)
        yield mosaic if choice is None else mosaic.on(choice.on(mosaic))


def chosen_plane(record: SlideRecord, choice: PlaneChoice | None) -> Plane | None:
    """The plane of a project's slide that a user chose; None for what is read without a choice.

    Raises
    ------
    InputError
        When the slide has no such picture or channel.
    SlideError
        When it cannot be opened.
    """
    if choice is None:
        return None
    with open_scene(record) as mosaic:
        plane = choice.on(mosaic)
        return None if plane == default_plane(mosaic) else plane


def kept(rows: np.ndarray) -> np.ndarray:
    """Leave out rejected findings."""
    keep: Flags = rows["state"] != ReviewState.REJECTED
    return rows[keep]
