"""Trains a model on annotated images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed, pixel_size_text, significant_text
from microscope_qc.ml.architectures.base import architecture, trainable
from microscope_qc.ml.architectures.recipe import TrainSettings
from microscope_qc.ml.cards import CARD_NAME, ModelCard, first_problem
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.alike import without_copies
from microscope_qc.workflows.learning.from_project import is_project
from microscope_qc.workflows.learning.kept_apart import other_classes, to_learn_from
from microscope_qc.workflows.learning.project_parts import keep_parts_before_learning
from microscope_qc.workflows.learning.reading import read_datasets, without_pixel_size

MOST_SCALED = 32
"""How much larger or smaller than the model's the pixels of a picture may be."""


def train(
    dataset: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    task: str = "detect",
    network: str | None = None,
    validation: Path | str | Sequence[Path | str] | None = None,
    trained_on: str = "",
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
    end_now: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Job[ModelCard]:
    """Train a model; an unfinished training in ``out`` with the same data and settings is continued.

    Parameters
    ----------
    dataset, validation
        Projects, or folders or files of annotated pictures; one, or several that are learned from together. See
        :func:`microscope_qc.workflows.learning.reading.read_datasets`.
        Without a validation set it is what the projects keep for that, or the folders of the data set name so,
        else a part that is held out. What is kept for the test is never learned from.
    network
        Name of a network that can be trained for the task; None takes the task's default.
    out
        Folder for the model.
    trained_on
        One line about the data, for the user.
    overwrite
        Replace a finished model in ``out``.
    tell
        Called with sentences for the user: what of the data set is left out, what had to be changed.
    end_now
        Asked after every step; once it says True, the best model so far is finished.
    **settings
        Further fields of :class:`microscope_qc.ml.architectures.recipe.TrainSettings`.

    Raises
    ------
    InputError
        When the task or a setting is wrong, or ``out`` already contains a model.
    ExchangeError, ModelError
        When the data set cannot be used.
    """
    chosen = _settings(_network(task, network), settings)
    target = _free_folder(Path(out), overwrite=overwrite)
    yield Progress(0, 0, "steps", "reading the data set")
    data, held = yield from _read(dataset, validation, chosen.pixel_size_um, tell)
    if chosen.pixel_size_um is None:
        chosen = chosen.model_copy(update={"pixel_size_um": common_pixel_size(data)})
    for sentence in without_pixel_size(data, chosen.pixel_size_um):
        tell(sentence)
    _check_card(chosen, data, target, task)
    yield Progress(0, 0, "steps", "loading images")
    from microscope_qc.ml.training.loop import train_network

    return (
        yield from train_network(
            data, target, chosen, validation=held, trained_on=trained_on or _names(dataset), end_now=end_now, tell=tell
        )
    )


def _free_folder(target: Path, *, overwrite: bool) -> Path:
    if (target / CARD_NAME).exists() and not overwrite:
        raise InputError(
            f"{target} already contains a model.",
            hint="Choose another folder, or replace it (--overwrite on the command line).",
        )
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file.", hint="Choose a folder for the model.")
    return target


def _read(
    dataset: Path | str | Sequence[Path | str],
    validation: Path | str | Sequence[Path | str] | None,
    model_um: float | None,
    tell: Callable[[str], None],
) -> Job[tuple[Dataset, Dataset | None]]:
    """What is learned from, and what is validated on where that is set aside."""
    for path in _paths(dataset):
        for sentence in keep_parts_before_learning(path) if is_project(path) else ():
            tell(sentence)
    data = yield from without_copies((yield from read_datasets(dataset, model_um=model_um, assign_new=True)))
    held = None if validation is None else (yield from read_datasets(validation, model_um=model_um))
    for known, what in ((data, ""), (held, "Validation set: ")):
        for sentence in known.sentences() if known is not None else ():
            tell(f"{what}{sentence}")
    data, held, told = to_learn_from(data, held)
    for sentence in told:
        tell(sentence)
    data = _learned(data, tell)
    if held is not None:
        held, others = held.known_to(data.classes)
        for sentence in other_classes(others):
            tell(f"Validation: {sentence}")
    return data, held


def _check_card(settings: TrainSettings, data: Dataset, target: Path, task: str) -> None:
    """Refuse now what would not end, or what the card of the model could not hold hours later.

    Raises
    ------
    ModelError
        With what is wrong.
    """
    from pydantic import ValidationError

    model_um = settings.pixel_size_um
    for image in data.images:
        own = image.pixel_size_um
        if model_um is None or own is None or max(*own, model_um) <= MOST_SCALED * min(*own, model_um):
            continue
        raise ModelError(
            f"A pixel of {image.path.name} is {pixel_size_text(own)}; a model that works at "
            f"{significant_text(model_um)} µm cannot learn from it.",
            hint=f"Choose a pixel size that differs by less than {MOST_SCALED} times.",
        )
    try:
        ModelCard(
            name=target.name, task=task, architecture=settings.network, classes=data.classes or ["none"],
            class_names=data.names or ["none"], pixel_size_um=settings.pixel_size_um, tile_px=settings.tile_px,
            overlap_px=min(settings.overlap_px, settings.tile_px // 2), mean=(0, 0, 0), std=(1, 1, 1), confidence=0.5,
        )  # fmt: skip
    except ValidationError as error:
        raise ModelError(f"A model cannot be made of this: {first_problem(error)}.") from error


def _names(dataset: Path | str | Sequence[Path | str]) -> str:
    return listed([path.name for path in _paths(dataset)])


def _paths(dataset: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(dataset)] if isinstance(dataset, (str, Path)) else [Path(path) for path in dataset]


def _learned(data: Dataset, tell: Callable[[str], None]) -> Dataset:
    """Without the classes of which there is no box: a model that lists them would seem to look for them."""
    counts = data.counts()
    without = [code for code, count in counts.items() if not count]
    if not without or len(without) == len(counts):
        return data
    classes = "this class" if len(without) == 1 else "these classes"
    tell(f"There is no box of {listed(without)}: the model does not learn {classes}.")
    return data.known_to([code for code, count in counts.items() if count])[0]


def _network(task: str, network: str | None) -> str:
    known = trainable()
    if task not in known:
        raise InputError(f"The task {task} cannot be trained by this version.", hint=f"Choose: {', '.join(known)}.")
    names = [kind.name for kind in known[task]]
    if network is not None and network not in names:
        raise InputError(
            f"There is no network {network} that can be trained for the task {task}.",
            hint=f"Choose: {', '.join(names)}.",
        )
    return network or names[0]


def _settings(network: str, settings: dict[str, Any]) -> TrainSettings:
    from pydantic import ValidationError

    try:
        chosen = TrainSettings(
            network=network, **{name: value for name, value in settings.items() if value is not None}
        )
    except ValidationError as error:
        raise InputError(f"{first_problem(error)}.") from error
    kind = architecture(network)
    stride_px = kind.stride_px(kind.checked(chosen.network_settings))
    if chosen.crop_px % stride_px or chosen.tile_px % stride_px:
        raise InputError(f"The sides of crops and tiles must be multiples of {stride_px}.")
    return chosen


def common_pixel_size(dataset: Dataset) -> float | None:
    """Pixel size that all images of a data set share, None when none of them has one.

    Raises
    ------
    ModelError
        When only some have one, or they differ by more than 5 %: then the user must choose the model's.
    """
    pairs = [image.pixel_size_um for image in dataset.images]
    sizes = [None if pair is None else math.sqrt(pair[0] * pair[1]) for pair in pairs]
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    if len(known) < len(sizes) or max(known) > 1.05 * min(known):
        raise ModelError(
            "The images differ in pixel size.", hint="Choose the model's (--pixel-size on the command line)."
        )
    return sorted(known)[len(known) // 2]
