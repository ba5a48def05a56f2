"""Trainings that a project was asked for: each is the folder of its model, ``PROJECT.mqc/models/NAME``.

The owner of the project writes ``request.json``, which stays as it is, and ``stop`` when the training is to end with
the best so far. The process that trains writes everything else, and never the project's database.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.files import WriteError, atomic_write, write_error
from microscope_qc.core.jobs import run_job
from microscope_qc.exchange.pictures import file_name_of
from microscope_qc.ml.cards import CARD_NAME, ModelCard, first_problem, read_card
from microscope_qc.ml.training import CHECKPOINT_NAME
from microscope_qc.ml.training.examples import EXAMPLES_NAME
from microscope_qc.ml.training.examples import FOLDER as EXAMPLES_FOLDER
from microscope_qc.project.model_classes import read_model_classes, write_model_classes
from microscope_qc.project.runs.run_lock import RunLock

MODELS = "models"
REQUEST_NAME = "request.json"
STATUS_NAME = "status.json"
STOP_NAME = "stop"
_LONGEST_NAME = 80
_DISCARD_PATIENCE_S = 2.0


class TrainingRequest(BaseModel):
    """What a training is to do; its data are the project in whose folder it is.

    Attributes
    ----------
    slide_ids
        Slides that are learned from; None takes all.
    task, network
        As for :func:`microscope_qc.workflows.learning.train.train`; the network None takes the task's default.
    settings
        Further fields of :class:`microscope_qc.ml.architectures.recipe.TrainSettings`, and ``start``: the model whose
        weights it starts from, by the way from the project's folder where it is in there.
    trained_on
        One line about the data for the model's card; "" names the project.
    keep_bad
        Learn from slides that are out of focus or mostly black or white, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: str = ""
    slide_ids: tuple[int, ...] | None = None
    task: str = "detect"
    network: str | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    trained_on: str = ""
    keep_bad: bool = False


class TrainingState(StrEnum):
    """How far a training is; "running" also where its process was killed, which the lock of its folder tells."""

    ASKED = "asked"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class ExamplePicture:
    """A place of the validation part: its file, boxes (y0, x0, y1, x1, label), and what was found, with confidence."""

    file: Path
    name: str
    truth: list[list[float]]
    found: list[list[float]]


@dataclass(frozen=True, slots=True)
class Training:
    """What the folder of a training says.

    Attributes
    ----------
    curve
        Rows by name of column: epoch, loss, seconds, and after validations the figures of the report.
    examples
        After epoch ``examples_epoch``; their labels are indices into ``classes``.
    class_ids
        The classes of the project by their codes when it was asked for.
    notes
        Sentences for the user.
    message
        Why it failed.
    """

    folder: Path
    request: TrainingRequest
    state: TrainingState
    curve: list[dict[str, float]] = field(default_factory=list)
    examples: list[ExamplePicture] = field(default_factory=list)
    examples_epoch: float = 0.0
    classes: list[str] = field(default_factory=list)
    class_ids: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    message: str = ""
    minutes: float = 0.0
    share: float = 0.0
    card: ModelCard | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.name

    @property
    def has_learned(self) -> bool:
        """Whether there is something to continue from."""
        return (self.folder / CHECKPOINT_NAME).exists()


def models_folder(project: Path) -> Path:
    """Where the models of a project lie."""
    return project / MODELS


def free_name(project: Path, wanted: str) -> str:
    """The name, with a number where a model of this name is there already.

    Raises
    ------
    InputError
        When it cannot be the name of a folder.
    """
    wanted = wanted.strip().lstrip(".")
    name = file_name_of(wanted)[:_LONGEST_NAME].strip()
    if not wanted:
        raise InputError("The model needs a name.", hint="Enter one, such as the name of the sample.")
    taken = {folder.name.casefold() for folder in _folders(project)}
    number, free = 2, name
    while free.casefold() in taken:
        free, number = f"{name} {number}", number + 1
    return free


def ask_for_training(
    project: Path,
    name: str,
    *,
    slide_ids: Collection[int] | None = None,
    task: str = "detect",
    network: str | None = None,
    trained_on: str = "",
    keep_bad: bool = False,
    settings: Mapping[str, JsonValue] | None = None,
    classes: Mapping[str, int] | None = None,
) -> Path:
    """Make the folder of a training; return it.

    Parameters
    ----------
    classes
        The ids of the project's classes by their codes now: what the model will mean by them.

    Raises
    ------
    InputError
        When the name is none.
    WriteError
        When it cannot be written.
    """
    folder = models_folder(project) / free_name(project, name)
    request = TrainingRequest(
        made=datetime.now().astimezone().isoformat(timespec="seconds"),
        slide_ids=None if slide_ids is None else tuple(sorted(slide_ids)), task=task, network=network,
        settings=_to_be_found(project, settings or {}), trained_on=trained_on, keep_bad=keep_bad,
    )  # fmt: skip
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        write_model_classes(folder, classes or {})
        atomic_write(folder / REQUEST_NAME, request.model_dump_json(indent=1) + "\n")
    except WriteError:
        shutil.rmtree(folder, ignore_errors=True)  # without a request it would be nothing, and its name taken
        raise
    return folder


def read_request(folder: Path) -> TrainingRequest:
    """What a training is to do.

    Raises
    ------
    ModelError
        When the folder is none of a training, or its request is damaged.
    """
    try:
        return TrainingRequest.model_validate(json.loads((folder / REQUEST_NAME).read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ModelError(f"The training {folder.name} is damaged: {first_problem(error)}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder} is not the folder of a training ({error}).", hint="Train again.") from error


def _to_be_found(project: Path, settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The settings, with a model of the project to start from found again where the project was moved."""
    start = settings.get("start")
    if isinstance(start, str) and Path(start).is_relative_to(project):
        return {**settings, "start": Path(start).relative_to(project).as_posix()}
    return dict(settings)


def settings_of(request: TrainingRequest, project: Path) -> dict[str, Any]:
    """Its settings, with where the model to start from is now."""
    start = request.settings.get("start")
    if isinstance(start, str) and (project / start).is_dir():
        return {**request.settings, "start": str(project / start)}
    return dict(request.settings)


def end_with_best(folder: Path) -> None:
    """Have a training end at its next step, or when it is continued, with the best so far."""
    atomic_write(folder / STOP_NAME, "")


def is_to_end(folder: Path) -> bool:
    """Whether it was told to end."""
    return (folder / STOP_NAME).exists()


def go_on(folder: Path) -> None:
    """Take back that it is to end.

    Raises
    ------
    WriteError
        When the folder is read-only.
    """
    stop = folder / STOP_NAME
    try:
        stop.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(stop, error) from error


def discard(folder: Path) -> None:
    """Delete an unfinished training.

    Raises
    ------
    InputError
        When it has become a model meanwhile.
    ProjectError
        When another process is at it, such as that of another window.
    WriteError
        When something of it cannot be deleted.
    """
    if (folder / CARD_NAME).exists():
        raise InputError(f"{folder.name} is finished by now.", hint="Delete it among the models.")
    if not folder.exists():
        return
    lock = RunLock(folder, what="training")
    run_job(lock.acquire(patience_s=_DISCARD_PATIENCE_S))
    lock.release()  # Windows deletes no file that is open
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise write_error(folder, error) from error


def trainings(project: Path) -> list[Training]:
    """All trainings of a project, the newest last; those whose request cannot be read are left out."""
    found = []
    for folder in _folders(project):
        with contextlib.suppress(ModelError):
            found.append(read_training(folder))
    return sorted(found, key=lambda training: training.request.made)


def read_training(folder: Path) -> Training:
    """What the folder of a training says now.

    Raises
    ------
    ModelError
        When its request cannot be read; what else is damaged counts as not there.
    """
    request, status, shown = read_request(folder), _json(folder / STATUS_NAME), _json(folder / EXAMPLES_NAME)
    card = None
    with contextlib.suppress(ModelError):
        card = read_card(folder)
    told = str(status.get("state", TrainingState.ASKED))
    state = TrainingState(told) if told in list(TrainingState) else TrainingState.ASKED
    if card is not None:
        state = TrainingState.FINISHED
    elif state is TrainingState.FINISHED:  # the model was taken away
        state = TrainingState.ASKED
    return Training(
        folder, request, state, curve=_curve(folder), examples=_examples(folder, shown),
        examples_epoch=_number(shown.get("epoch")), classes=[str(code) for code in _list(shown.get("classes"))],
        class_ids=read_model_classes(folder),
        notes=[str(note) for note in _list(status.get("notes"))], message=str(status.get("message", "")),
        minutes=_number(status.get("minutes")), share=_number(status.get("share")), card=card,
    )  # fmt: skip


def _folders(project: Path) -> list[Path]:
    try:
        return sorted(folder for folder in models_folder(project).iterdir() if folder.is_dir())
    except OSError:
        return []


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _curve(folder: Path) -> list[dict[str, float]]:
    rows = []
    with contextlib.suppress(OSError, ValueError, csv.Error), (folder / "curve.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.append({name: float(value) for name, value in row.items() if value})
    return rows


def _examples(folder: Path, shown: dict[str, Any]) -> list[ExamplePicture]:
    pictures = []
    for entry in _list(shown.get("pictures")):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            truth, found = (
                [[float(value) for value in row] for row in entry[name] if len(row) >= least]
                for name, least in (("truth", 5), ("found", 6))
            )
            file = folder / EXAMPLES_FOLDER / Path(str(entry["file"])).name  # whatever else the file may name
            pictures.append(ExamplePicture(file, str(entry["name"]), truth, found))
    return pictures
