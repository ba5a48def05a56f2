"""Learns what is normal from slides of a project: from the slide itself, or from good ones that were chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.boxes import coordinates
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset
from microscope_qc.ml.features.grid import PIXEL_UM
from microscope_qc.ml.tasks.anomaly import ODD, ODD_NAME
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.detection.area import CHANGED
from microscope_qc.workflows.detection.masks import stored_mask
from microscope_qc.workflows.intake.changes import require_unchanged_now
from microscope_qc.workflows.learning.dataset import trusted
from microscope_qc.workflows.models.shelf import MODELS_FOLDER
from microscope_qc.workflows.scenes import open_scene

NETWORK = "memory"
_OF_SLIDES: dict[str, object] = {"per_picture": False, "strides": [4, 8], "known": 0}
"""Of its settings: on drawn magnets fine features, and how they vary together, tell most."""
VERSION = 2
"""Of what is learned and how: with another one a model is learned again."""
_PIECE_PX = 1024
"""Side of the pieces of a slide, in pixels of the model."""
_LEAST_ACROSS = 6
"""Pieces along the shorter side, at least: some of them are held out."""
_HELD = 6
"""One piece of so many is not learned from: how far its places are from what is known says what is usual."""


def model_folder_for(project: Project, slide_ids: Sequence[int]) -> Path:
    """Where the model is, or will be, that learned from slides as they are now: pixels, scan area, defects."""
    digest = hashlib.blake2b(digest_size=6)
    names = []
    for number in slide_ids:
        slide = project.slides.by_id(number)
        names.append(slide.name)
        mask = stored_mask(project, slide, CHANGED)
        about = [
            VERSION, slide.fingerprint, slide.scene, slide.orientation, slide.pixel_size_um,
            None if mask is None else mask.fingerprint,
        ]  # fmt: skip
        digest.update(json.dumps(about).encode())
        digest.update(_defects(project, slide).round(1).tobytes())
    name = "normal-" + ("".join(letter if letter.isalnum() else "-" for letter in "-".join(names))[:40].strip("-"))
    return project.path / MODELS_FOLDER / f"{name}-{digest.hexdigest()}"


def _defects(project: Project, slide: SlideRecord) -> np.ndarray:
    """What users confirmed or drew, (n, 4) in slide pixels: it is not learned from."""
    return np.asarray(coordinates(trusted(project.boxes.rows(slide.id, every=True))), float).reshape(-1, 4)


def learn_normal(
    project: Project,
    slide_ids: Sequence[int],
    out: Path,
    *,
    device: str = "auto",
    tell: Callable[[str], None] = lambda sentence: None,
) -> Job[ModelCard]:
    """Learn what is normal on slides of a project; nothing is written into its database.

    What users confirmed or drew, and what is outside the scan area, is left out; of the rest the share that deviates
    most.

    Raises
    ------
    InputError
        When a slide has no pixel size while others have one, or the computer does not have the device.
    ModelError
        When there is too little to learn from.
    SlideError
        When a slide cannot be read.
    """
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.devices import choose_device
    from microscope_qc.ml.training.loop import train_network
    from microscope_qc.workflows.learning.train import train_settings

    choose_device(device)
    slides = [require_unchanged_now(project, project.slides.by_id(number)) for number in slide_ids]
    model_um = _pixel_size(slides)
    pieces: list[AnnotatedImage] = []
    for slide in slides:
        yield Progress(0, 0, "tiles", f"looking for material on {slide.name}")
        pieces += yield from _pieces(project, slide, model_um)
    chosen: TrainSettings = train_settings(
        "anomaly", NETWORK, {"pixel_size_um": model_um, "device": device, "network_settings": _OF_SLIDES}
    )
    order = np.random.default_rng(VERSION).permutation(len(pieces)).tolist()
    held = set(order[: max(1, len(pieces) // _HELD)])
    parts = [
        Dataset([ODD], [piece for number, piece in enumerate(pieces) if (number in held) == measured], [ODD_NAME])
        for measured in (False, True)
    ]
    return (
        yield from train_network(
            parts[0], out, chosen, validation=parts[1], tell=tell,
            trained_on=f"What is usual on {listed([slide.name for slide in slides])}",
        )
    )  # fmt: skip


def _pixel_size(slides: Sequence[SlideRecord]) -> float | None:
    """That of the model: as the bundled models look at slides, but not finer than a slide is."""
    sizes = [slide.pixel_size_um for slide in slides]
    known = [float(np.sqrt(size[0] * size[1])) for size in sizes if size is not None]
    if not known:
        return None
    if len(known) < len(sizes):
        without = [slide.name for slide in slides if slide.pixel_size_um is None]
        raise InputError(
            f"The pixel size of {listed(without)} is not known, that of the others is.",
            hint="Enter it first, or choose other slides.",
        )
    return max(PIXEL_UM, *known)


def _pieces(project: Project, slide: SlideRecord, model_um: float | None) -> Job[list[AnnotatedImage]]:
    """Parts of a slide where it is scanned, with its known defects."""
    from microscope_qc.slides.material import material_job

    scale = slide_scale(model_um, slide.pixel_size_um)
    height, width = slide.shape_px
    mask: AreaMask | None = stored_mask(project, slide, CHANGED)
    if mask is None:
        with open_scene(slide) as mosaic:
            mask = yield from material_job(mosaic, Region(0, 0, height, width), scale=scale)
    shorter = min(height / scale[0], width / scale[1])
    side = min(_PIECE_PX, max(1, int(shorter // _LEAST_ACROSS)))
    rows, columns = (_edges(length, side * factor) for length, factor in zip((height, width), scale, strict=True))
    boxes = _defects(project, slide)
    regions = [Region(y0, x0, y1, x1) for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns)]
    return [
        AnnotatedImage(
            slide.path, slide.shape_px, boxes, np.zeros(len(boxes), np.int64), slide.pixel_size_um,
            region=(part.y0, part.x0, part.y1, part.x1), group=f"slide {slide.fingerprint}",
            place=f"slide {slide.fingerprint}", scene=slide.scene, orientation=slide.orientation,
        )
        for part in regions
        if mask is None or mask.share(part) > 0
    ]  # fmt: skip


def _edges(length: int, side: float) -> list[int]:
    count = max(1, round(length / side))
    edges: list[int] = np.linspace(0, length, count + 1).round().astype(int).tolist()
    return edges
