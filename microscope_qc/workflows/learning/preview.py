"""What a network sees while it learns: crops as its training draws them, as a picture of many or one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.class_colours import class_colour
from microscope_qc.core.defect_class import CLASS_SETS
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.base import Architecture, architecture
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.datasets.cleaning import cleaned
from microscope_qc.ml.datasets.crops import CropSampler, TrainingCrop
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.windows import TrainingWindow, WindowSampler
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.project import Project
from microscope_qc.reports.contact_sheet import SheetCell, SheetMark, write_contact_sheet
from microscope_qc.workflows.learning.from_project import is_project, only_slides
from microscope_qc.workflows.learning.kept_apart import to_learn_from
from microscope_qc.workflows.learning.reading import read_datasets
from microscope_qc.workflows.learning.starting import settings_from
from microscope_qc.workflows.learning.train import common_pixel_size, learned_classes, train_settings

MOST = 200
CAPTION = "Dashed: pasted. Grey: neither defect nor background."
IGNORED_COLOUR = "#9aa0a6"


@dataclass(frozen=True, slots=True)
class CropPreview:
    """Crops, with the codes of the classes that their labels are indices into, and the colour of each."""

    crops: list[TrainingCrop]
    classes: list[str]
    colours: list[str]

    @property
    def pasted(self) -> int:
        """How many of the defects were pasted."""
        return sum(crop.pasted for crop in self.crops)

    @property
    def defects(self) -> int:
        """How many defects there are to learn."""
        return sum(len(crop.boxes) for crop in self.crops)


def preview_crops(
    dataset: Path | str | Sequence[Path | str],
    *,
    count: int = 24,
    draw: int = 0,
    task: str = "detect",
    network: str | None = None,
    slide_ids: Collection[int] | None = None,
    keep_bad: bool = False,
    start: Path | str | None = None,
    **settings: Any,
) -> Job[CropPreview]:
    """Draw crops as a training with these settings does.

    Parameters
    ----------
    dataset, task, network, slide_ids, keep_bad, start, settings
        As for :func:`microscope_qc.workflows.learning.train.train`. What is held out is in no crop.
    count
        How many.
    draw
        Another number draws others; 0 are those of the first steps.

    Raises
    ------
    InputError
        When a setting is wrong.
    ExchangeError, ModelError
        When the data set cannot be used.
    """
    if not 1 <= count <= MOST:
        raise InputError(f"A preview shows 1 to {MOST} crops, not {count}.")
    if start is not None:
        card = load_card(start)
        network, settings = network or card.architecture, settings_from(card, settings)
    chosen = train_settings(task, network, settings)
    paths = [Path(dataset)] if isinstance(dataset, (str, Path)) else [Path(path) for path in dataset]
    data = yield from read_datasets(paths, model_um=chosen.pixel_size_um, assign_new=True)
    if slide_ids is not None:
        data = only_slides(data, paths, slide_ids)
    data = yield from cleaned(data, keep_bad=keep_bad)
    kind = architecture(chosen.network)
    learns = TASKS.get(kind.task)
    data = learned_classes(to_learn_from(data)[0], of_pictures=learns.learns_from_pictures)
    if not learns.examples(data):
        raise ModelError("The data set has no boxes.", hint="Draw some first.")
    if chosen.pixel_size_um is None:
        chosen = chosen.model_copy(update={"pixel_size_um": common_pixel_size(data)})
    if start is None:
        chosen = kind.suited(chosen, data)
    drawn = _crops_of(kind, chosen, data)
    steps = -(-count // chosen.batch)
    crops: list[TrainingCrop] = []
    for step in range(draw * steps, (draw + 1) * steps):
        yield Progress(len(crops), count, "crops", "drawing crops")
        crops += drawn(step, min(chosen.batch, count - len(crops)))
    return CropPreview(crops, data.classes, _colours(paths, data.classes))


def _crops_of(
    kind: Architecture[Any], chosen: TrainSettings, data: Dataset
) -> Callable[[int, int], list[TrainingCrop]]:
    """Draws the crops of a step; a window of a classifier is one whole box where it shows a defect."""
    stride_px = kind.stride_px(kind.checked(chosen.network_settings))
    if kind.task != "classify":
        return CropSampler(
            data, side=chosen.crop_px, model_um=chosen.pixel_size_um, seed=chosen.seed, augment=chosen.augment,
            paste=chosen.paste, most_bytes=0, stride_px=stride_px,
        ).batch  # fmt: skip
    windows = WindowSampler(
        data, side=chosen.crop_px, model_um=chosen.pixel_size_um, seed=chosen.seed, sampling=chosen.sampling,
        most_bytes=0, stride_px=stride_px, rotate=kind.turns_windows and len(data.classes) > 1,
        largest_scale=max(chosen.scales),
    )  # fmt: skip

    def draw(step: int, count: int) -> list[TrainingCrop]:
        return [_as_crop(window, none=len(data.classes)) for window in windows.batch(step, count)]

    return draw


def _as_crop(window: TrainingWindow, *, none: int) -> TrainingCrop:
    side, nothing = float(len(window.pixels)), np.zeros((0, 4))
    if window.label == none:
        return TrainingCrop(window.pixels, nothing, np.zeros(0, np.int64), nothing)
    return TrainingCrop(window.pixels, np.array([[0.0, 0.0, side, side]]), np.array([window.label]), nothing)


def write_preview(path: Path | str, preview: CropPreview) -> Path:
    """Write crops as one picture: defects in the colours of their classes, pasted ones dashed.

    Raises
    ------
    InputError
        When the file is no PNG by its name.
    WriteError
        When it cannot be written.
    """
    return write_contact_sheet(path, [_cell(crop, preview) for crop in preview.crops], caption=CAPTION)


def _cell(crop: TrainingCrop, preview: CropPreview) -> SheetCell:
    first_pasted = len(crop.boxes) - crop.pasted
    marks = [SheetMark(box, IGNORED_COLOUR) for box in crop.ignore.tolist()]
    marks += [
        SheetMark(box, preview.colours[label], preview.classes[label], dashed=number >= first_pasted)
        for number, (box, label) in enumerate(zip(crop.boxes.tolist(), crop.labels.tolist(), strict=True))
    ]
    return SheetCell(crop.pixels, marks)


def _colours(paths: Sequence[Path], classes: Sequence[str]) -> list[str]:
    """Those of the projects, else of the built-in classes, else of the palette."""
    known = {defect.code: defect.colour for group in CLASS_SETS.values() for defect in group}
    for path in paths:
        if is_project(path):
            with Project.open(path, write=False) as project:
                known |= {defect.code: defect.colour for defect in project.classes}
    return [known.get(code, class_colour(place)) for place, code in enumerate(classes)]
