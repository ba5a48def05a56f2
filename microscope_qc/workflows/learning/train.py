"""Trains a model on annotated images."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.files import remove_half_written
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed, pixel_size_text, significant_text, things
from microscope_qc.ml.architectures.base import Architecture, architecture, trainable
from microscope_qc.ml.architectures.recipe import OF_CLASSIFIERS, TrainSettings
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, ModelCard, first_problem
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.cleaning import cleaned
from microscope_qc.ml.datasets.stored import place_from, read_datasets_of, write_datasets
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.ml.training.start import START_NAME, StartModel
from microscope_qc.workflows.learning.from_project import is_project, only_slides
from microscope_qc.workflows.learning.kept_apart import other_classes, to_learn_from
from microscope_qc.workflows.learning.project_parts import keep_parts_before_learning
from microscope_qc.workflows.learning.reading import read_datasets, without_pixel_size
from microscope_qc.workflows.learning.starting import chosen_start, require_start, settings_from

DATA_NAME = "data.json"
MOST_SCALED = 32
"""How much larger or smaller than the model's the pixels of a picture may be."""


def train(
    dataset: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    task: str = "detect",
    network: str | None = None,
    validation: Path | str | Sequence[Path | str] | None = None,
    start: Path | str | None = None,
    trained_on: str = "",
    overwrite: bool = False,
    slide_ids: Collection[int] | None = None,
    keep_bad: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
    end_now: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Job[ModelCard]:
    """Train a model; an unfinished training in ``out`` with the same data and settings is continued.

    It goes on with what it began with, whatever was judged meanwhile. When the job is closed no step is lost.

    Parameters
    ----------
    dataset, validation
        Projects, or folders or files of annotated pictures; one, or several that are learned from together. See
        :func:`microscope_qc.workflows.learning.reading.read_datasets`.
        Without a validation set it is what the projects keep for that, or the folders of the data set name so,
        else a part that is held out. What is kept for the test is never learned from.
    network
        Name of a network that can be trained for the task; None takes that of ``start``, else the task's default.
    start
        Trained model whose weights it starts from: name of a bundled one, or a folder. Network, pixel size and
        normalisation are that model's, classes those of the data set: it looks only for what there is to learn from
        now. None starts as the network does by itself.
    out
        Folder for the model.
    trained_on
        One line about the data, for the user.
    overwrite
        Replace a finished model in ``out``.
    slide_ids
        Only these slides, of a single project; None takes all.
    keep_bad
        Learn from pictures that are out of focus or mostly black or white, too.
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
        When the data set cannot be used, or the training cannot start from ``start``.
    """
    target = _free_folder(Path(out), overwrite=overwrite)
    begun = None if start is None else chosen_start(start, target)
    chosen = train_settings(task, network, settings, begun)
    asked = _asked(target, dataset, validation, slide_ids) | ({"keep_bad": True} if keep_bad else {})
    prepared = _as_begun(target, asked, chosen, tell)
    if prepared is None:
        prepared = yield from prepare(dataset, validation, chosen, begun, slide_ids, tell, keep_bad=keep_bad)
        _check_card(prepared.settings, prepared.data, target, task)
        _keep(target, asked, prepared)
    yield Progress(0, 0, "steps", "loading images")
    from microscope_qc.ml.training.loop import train_network

    try:
        card = yield from train_network(
            prepared.data, target, prepared.settings, validation=prepared.held, start=begun,
            trained_on=trained_on or _names(dataset), end_now=end_now, tell=tell,
        )  # fmt: skip
    except MicroscopeQCError:
        if not is_unfinished(target):
            forget_beginning(target)
        raise
    forget_beginning(target)
    return card


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is learned from, what is measured on where that is set aside, and the settings with the pixel size."""

    data: Dataset
    held: Dataset | None
    settings: TrainSettings


def prepare(
    dataset: Path | str | Sequence[Path | str],
    validation: Path | str | Sequence[Path | str] | None,
    chosen: TrainSettings,
    begun: StartModel | None,
    slide_ids: Collection[int] | None,
    tell: Callable[[str], None],
    *,
    keep_bad: bool,
) -> Job[Prepared]:
    """Read what a training learns from; see :func:`train`."""
    yield Progress(0, 0, "steps", "reading the data set")
    data, held = yield from _read(
        dataset, validation, chosen.pixel_size_um, slide_ids, tell, keep_bad=keep_bad,
        of_pictures=TASKS.get(architecture(chosen.network).task).learns_from_pictures,
    )  # fmt: skip
    if chosen.pixel_size_um is None:
        chosen = chosen.model_copy(update={"pixel_size_um": common_pixel_size(data)})
    said = [] if begun is None else begun.sentences(data.classes, chosen.pixel_size_um)
    for sentence in [*said, *without_pixel_size(data, chosen.pixel_size_um)]:
        tell(sentence)
    return Prepared(data, held, chosen)


def is_unfinished(folder: Path) -> bool:
    """Whether a training in a model's folder was interrupted and can be continued."""
    return (folder / CHECKPOINT_NAME).exists()


def _asked(
    target: Path,
    dataset: Path | str | Sequence[Path | str],
    validation: Path | str | Sequence[Path | str] | None,
    slide_ids: Collection[int] | None,
) -> dict[str, Any]:
    """What tells a training that is continued from another one; folders may have moved together."""
    learned, held = (
        [place_from(path, target) for path in ([] if some is None else _paths(some))] for some in (dataset, validation)
    )
    return {"learned": learned, "validation": held, "slides": None if slide_ids is None else sorted(slide_ids)}


def _as_begun(
    target: Path, asked: dict[str, Any], chosen: TrainSettings, tell: Callable[[str], None]
) -> Prepared | None:
    """What an interrupted training began with; None where there is none, or it was asked for something else."""
    kept = read_datasets_of(target / DATA_NAME) if is_unfinished(target) else None
    if kept is None or kept[1]["asked"] != asked:
        return None
    (data, held), about = (kept[0][name] for name in ("learned", "validation")), kept[1]
    assert data is not None
    boxes = things(
        sum(len(image.boxes) for part in (data, held) if part is not None for image in part.images), "defect"
    )
    tell(f"Continued with the {boxes} that it began with; what was judged since then is not among them.")
    if chosen.pixel_size_um is None:
        chosen = chosen.model_copy(update={"pixel_size_um": about["pixel_size_um"]})
    return Prepared(data, held, chosen)


def _keep(target: Path, asked: dict[str, Any], prepared: Prepared) -> None:
    target.mkdir(parents=True, exist_ok=True)
    write_datasets(
        target / DATA_NAME, {"learned": prepared.data, "validation": prepared.held}, asked=asked,
        pixel_size_um=prepared.settings.pixel_size_um,
    )  # fmt: skip


def forget_beginning(folder: Path) -> None:
    """Delete what a training is continued from, and the folder where nothing else is in it."""
    (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
    (folder / START_NAME).unlink(missing_ok=True)
    (folder / DATA_NAME).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def _free_folder(target: Path, *, overwrite: bool) -> Path:
    if (target / CARD_NAME).exists() and not overwrite:
        raise InputError(
            f"{target} already contains a model.",
            hint="Choose another folder, or replace it (--overwrite on the command line).",
        )
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file.", hint="Choose a folder for the model.")
    remove_half_written(*(target / name for name in (CHECKPOINT_NAME, WEIGHTS_NAME, DATA_NAME)))
    return target


def _read(
    dataset: Path | str | Sequence[Path | str],
    validation: Path | str | Sequence[Path | str] | None,
    model_um: float | None,
    slide_ids: Collection[int] | None,
    tell: Callable[[str], None],
    *,
    keep_bad: bool,
    of_pictures: bool,
) -> Job[tuple[Dataset, Dataset | None]]:
    """What is learned from, and what is validated on where that is set aside."""
    for path in _paths(dataset):
        for sentence in keep_parts_before_learning(path) if is_project(path) else ():
            tell(sentence)
    read = yield from read_datasets(dataset, model_um=model_um, assign_new=True)
    chosen = read if slide_ids is None else only_slides(read, _paths(dataset), slide_ids)
    data = yield from cleaned(chosen, keep_bad=keep_bad)
    held = None if validation is None else (yield from read_datasets(validation, model_um=model_um))
    for known, what in ((data, ""), (held, "Validation set: ")):
        for sentence in known.sentences() if known is not None else ():
            tell(f"{what}{sentence}")
    data, held, told = to_learn_from(data, held)
    for sentence in told:
        tell(sentence)
    data = learned_classes(data, tell, of_pictures=of_pictures)
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


def learned_classes(
    data: Dataset, tell: Callable[[str], None] = lambda sentence: None, *, of_pictures: bool = False
) -> Dataset:
    """Without the classes of which there is no box: a model that lists them would seem to look for them.

    Where ``of_pictures`` a picture that has the class as a whole is enough.
    """
    pictures = data.pictures_by_class() if of_pictures else {}
    counts = {code: count + pictures.get(code, 0) for code, count in data.counts().items()}
    without = [code for code, count in counts.items() if not count]
    if not without or len(without) == len(counts):
        return data
    classes = "this class" if len(without) == 1 else "these classes"
    tell(f"There is no {'picture' if pictures else 'box'} of {listed(without)}: the model does not learn {classes}.")
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


def train_settings(
    task: str, network: str | None, settings: Mapping[str, Any], begun: StartModel | None = None
) -> TrainSettings:
    """Settings of a training from those that were chosen; None among them stands for a default.

    Raises
    ------
    InputError
        When the task, the network or a setting is wrong.
    ModelError
        When the training cannot start from ``begun``.
    """
    from pydantic import ValidationError

    if begun is not None:
        require_start(begun.card, task)
        network, settings = network or begun.card.architecture, settings_from(begun.card, settings)
    kind = architecture(_network(task, network))
    given = {name: value for name, value in settings.items() if value is not None}
    _require_used(given, kind)
    try:
        chosen = TrainSettings(network=kind.name, **{**kind.defaults, **given})
    except ValidationError as error:
        raise InputError(f"{first_problem(error)}.") from error
    stride_px = kind.stride_px(kind.checked(chosen.network_settings))
    if chosen.crop_px % stride_px or chosen.tile_px % stride_px:
        raise InputError(f"The sides of crops and tiles must be multiples of {stride_px}.")
    if begun is not None:
        begun.require_fitting(chosen)
    return chosen


def _require_used(given: Mapping[str, Any], kind: Architecture[Any]) -> None:
    """Refuse settings that would change nothing."""
    useless = sorted(OF_CLASSIFIERS & set(given))
    if useless and kind.task != "classify":
        raise InputError(
            f"Only classifiers have the setting {useless[0]}; {kind.name} is {TASKS.get(kind.task).model}.",
            hint="Leave it out, or train a classifier (--task classify on the command line).",
        )
    loss = given.get("loss", "cross-entropy")
    if loss not in kind.losses and loss in Architecture.losses:
        raise InputError(
            f"{kind.title} cannot be trained with the loss {loss}.", hint=f"Choose {' or '.join(kind.losses)}."
        )
    for name, losses in (("alpha", ("weighted", "focal")), ("gamma", ("focal",))):
        if name in given and loss not in losses:
            raise InputError(
                f"The loss {loss} has no {name}.", hint=f"Choose {' or '.join(losses)} (--loss on the command line)."
            )


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
