"""The models at hand: those of the program, a user's own, and those of a project; renamed, copied, deleted, put in use.

A model's name stands in its card. Its folder keeps its name for good, because detections refer to it.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.files import temporary_prefix, write_error
from microscope_qc.core.wording import elapsed_text, listed
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.datasets.learned import LEARNED_NAME
from microscope_qc.ml.datasets.parts import PARTS_NAME
from microscope_qc.ml.library import bundled_folder, load_card, model_folder
from microscope_qc.project import Project
from microscope_qc.project.records import LogEntry, RunRecord
from microscope_qc.project.runs.journal import read_status

MODELS_FOLDER = "models"
"""In a project's folder, and in that of a user's data."""
LONGEST_NAME = 80
FILES = (CARD_NAME, WEIGHTS_NAME, "metrics.json", "curve.csv", PARTS_NAME, LEARNED_NAME)
"""What a model consists of; card and weights must be there."""
_FORBIDDEN = set('<>:"/\\|?*')
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


class ModelPlace(StrEnum):
    """Where a model lies."""

    PROGRAM = "program"
    USER = "user"
    PROJECT = "project"
    ELSEWHERE = "elsewhere"

    @property
    def words(self) -> str:
        """For the user."""
        return {
            "program": "comes with the program", "user": "yours", "project": "of the project",
            "elsewhere": "elsewhere",
        }[self.value]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model at hand.

    Attributes
    ----------
    argument
        What a detection takes: the name of a bundled model, or the path of a folder.
    card
        None where it cannot be read; ``problem`` then says why.
    in_use
        Whether it is the model in use of the project that was asked about.
    speed
        How fast it was when it was last run in that project; "" where it never was.
    """

    argument: str
    folder: Path
    place: ModelPlace
    card: ModelCard | None
    problem: str = ""
    in_use: bool = False
    speed: str = ""

    @property
    def name(self) -> str:
        """Its name, or that of its folder where the card cannot be read."""
        return self.folder.name if self.card is None else str(self.card.name)

    @property
    def licence(self) -> str:
        """Under which terms it may be used: its backbone's, where it was trained from one."""
        return "" if self.card is None else licence_text(self.card)

    def document(self) -> dict[str, Any]:
        """Values that JSON can store."""
        about: dict[str, Any] = {
            "name": self.name, "place": self.place.value, "folder": str(self.folder), "in_use": self.in_use,
            "problem": self.problem, "speed": self.speed,
        }  # fmt: skip
        card = self.card
        if card is None:
            return about
        return about | {
            "task": card.task, "classes": card.classes, "pixel_size_um": card.pixel_size_um,
            "architecture": card.architecture, "confidence": card.confidence, "trained_on": card.trained_on,
            "licence": self.licence,
        }  # fmt: skip


def licence_text(card: ModelCard) -> str:
    """What is to be said of the weights that a model was trained from."""
    backbone = card.training.get("backbone")
    if isinstance(backbone, str) and backbone:
        return backbone
    start = card.training.get("start")
    if isinstance(start, dict):
        return f"Started from the weights of {start.get('name')}, whose terms apply."
    return "No weights of others: trained from nothing on the data named here."


def user_folder() -> Path:
    """A user's own models; the variable MICROSCOPE_QC_MODELS sets another folder."""
    from platformdirs import user_data_path

    chosen = os.environ.get("MICROSCOPE_QC_MODELS")
    return Path(chosen) if chosen else user_data_path("microscope-qc", appauthor=False) / MODELS_FOLDER


def list_shelf(project: Project | None = None) -> list[ModelEntry]:
    """All models at hand: the project's, the user's, and those of the program; each by name.

    A folder without card and weights, such as that of a training that has not ended, is none.
    """
    return shelf_reader(project)()


def shelf_reader(project: Project | None) -> Callable[[], list[ModelEntry]]:
    """A function that reads what :func:`list_shelf` returns; it may run in any thread."""
    in_use = "" if project is None else project.models.argument
    runs = [] if project is None else list(project.runs)
    roots = _roots(project)

    def read() -> list[ModelEntry]:
        speeds = _speeds(runs)
        entries: list[ModelEntry] = []
        for place, root in roots:
            found = [_entry(folder, place, in_use, speeds) for folder in _folders(root)]
            entries += sorted(found, key=lambda entry: entry.name.casefold())
        if in_use and not any(entry.in_use for entry in entries):
            entries.insert(0, _entry(Path(in_use), ModelPlace.ELSEWHERE, in_use, speeds))
        return entries

    return read


def find_model(name: str | Path, project: Project | None = None) -> ModelEntry:
    """A model by its name, by the name of its folder, or by the folder itself; a project's models come first.

    Raises
    ------
    InputError
        When several models have the name.
    ModelError
        When there is none.
    """
    text, path = str(name), Path(name)
    entries = list_shelf(project)
    if path.name == text:
        called = [entry for entry in entries if entry.name == text]
        for there in (called, [entry for entry in entries if entry.folder.name == text]):
            if len(there) > 1 and len({entry.place for entry in there}) < len(there):
                raise InputError(f"Several models are called {text}.", hint="Name the folder of one of them.")
            if there:
                return there[0]
    folder = path.resolve()
    for entry in entries:
        if entry.folder.resolve() == folder:
            return entry
    if not path.exists():
        raise ModelError(f"There is no model {text}.", hint=f"There are: {listed([entry.name for entry in entries])}.")
    return _entry(model_folder(path).resolve(), ModelPlace.ELSEWHERE, "", {})


def named_model(name: str | None, project: Project | None = None) -> str:
    """What a detection takes for a name: of a project's or the user's model its folder; None is the model in use.

    A folder, and what is nobody's name, stays as it is.

    Raises
    ------
    InputError
        When no model is in use.
    """
    if name is None:
        argument = "" if project is None else project.models.argument
        if not argument:
            raise InputError("No model is in use in this project.", hint="Choose one (--model on the command line).")
        return argument
    if Path(name).exists() or Path(name).name != name:
        return name
    own = (entry for entry in list_shelf(project) if name in (entry.name, entry.folder.name))
    return next((entry.argument for entry in own), name)


def rename_model(entry: ModelEntry, name: str, project: Project | None = None) -> ModelEntry:
    """Give a model another name; its folder stays, so that detections with it can be continued.

    Raises
    ------
    InputError
        When another model has the name, or it is no name; or the model came with the program.
    """
    card = _own(entry, "renamed")
    name = free_name(name, list_shelf(project), but=entry)
    write_card(card.model_copy(update={"name": name}), entry.folder)
    if project is not None and entry.in_use and not project.read_only:
        project.models.use(entry.argument, name=name)
    return find_model(entry.folder, project)


def duplicate_model(entry: ModelEntry, name: str, project: Project | None = None) -> ModelEntry:
    """Copy a model under another name: into the project, or else to the user's own models.

    Raises
    ------
    InputError
        When another model has the name, or it is no name.
    ModelError
        When the model cannot be read.
    """
    card = _readable(entry)
    name = free_name(name, list_shelf(project))

    def fill(folder: Path) -> None:
        for file in FILES:
            if (entry.folder / file).is_file():
                shutil.copyfile(entry.folder / file, folder / file)
        write_card(card.model_copy(update={"name": name}), folder)

    return find_model(add_folder(shelf_folder(project), name, fill), project)


def delete_model(entry: ModelEntry, project: Project | None = None) -> None:
    """Delete a model for good.

    Raises
    ------
    InputError
        When it is in use, came with the program, or lies outside the folders of models.
    """
    if entry.place not in (ModelPlace.USER, ModelPlace.PROJECT):
        why = "came with the program" if entry.place is ModelPlace.PROGRAM else "lies outside the folders of models"
        raise InputError(f"{entry.name} {why}: it is not deleted.", hint="Delete its folder yourself.")
    if entry.in_use:
        raise InputError(f"{entry.name} is the model in use.", hint="Put another model in use first.")
    gone = entry.folder.with_name(f"{temporary_prefix(entry.folder)}deleted")
    try:
        shutil.rmtree(gone, ignore_errors=True)
        entry.folder.rename(gone)  # at once: what is killed now leaves no half model
        shutil.rmtree(gone)
    except OSError as error:
        raise write_error(entry.folder, error) from error


def use_model(project: Project, entry: ModelEntry) -> LogEntry | None:
    """Put a model in use in a project, as one step of its history; None where it is already.

    Raises
    ------
    ModelError
        When the model cannot be read.
    """
    _readable(entry)
    return project.models.use(entry.argument, name=entry.name)


def free_name(name: str, entries: Iterable[ModelEntry], *, but: ModelEntry | None = None) -> str:
    """A name that no other model has.

    Raises
    ------
    InputError
        When one has it, or it cannot be the name of a folder on every computer.
    """
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    bad = not name or len(name) > LONGEST_NAME or not name.isprintable() or name[0] == "." or name[-1] == "."
    if bad or _FORBIDDEN & set(name) or name.casefold().split(".")[0] in _RESERVED:
        raise InputError(
            f"{name[:LONGEST_NAME] or 'Nothing'} is no name for a model.",
            hint=f'Up to {LONGEST_NAME} letters, none of < > : " / \\ | ? *.',
        )
    for entry in entries:
        same = but is not None and entry.folder == but.folder
        if not same and name.casefold() in (entry.name.casefold(), entry.folder.name.casefold()):
            where = "" if entry.name == entry.folder.name else f", in a folder called {entry.folder.name},"
            raise InputError(f"There is a model {entry.name}{where} already.", hint="Choose another name.")
    return name


def shelf_folder(project: Project | None) -> Path:
    """Where new models go: into the project, or else to the user's own."""
    if project is None:
        return user_folder()
    if project.read_only:
        raise InputError(
            f"{project.name} is open for reading only.", hint="Close it elsewhere, or keep the model yours."
        )
    return project.path / MODELS_FOLDER


def add_folder(root: Path, name: str, fill: Callable[[Path], None]) -> Path:
    """Make a model's folder: all of it or nothing.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    target = root / name
    draft = root / f"{temporary_prefix(target)}new"
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        fill(draft)
        draft.rename(target)
    except OSError as error:
        raise error if isinstance(error, MicroscopeQCError) else write_error(target, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _roots(project: Project | None) -> list[tuple[ModelPlace, Path]]:
    roots = [] if project is None else [(ModelPlace.PROJECT, project.path / MODELS_FOLDER)]
    roots.append((ModelPlace.USER, user_folder()))
    bundled = bundled_folder()
    return roots if bundled is None else [*roots, (ModelPlace.PROGRAM, bundled)]


def _folders(root: Path) -> list[Path]:
    try:
        inside = [folder for folder in root.iterdir() if not folder.name.startswith(".")]
    except OSError:
        return []
    return [folder for folder in inside if (folder / CARD_NAME).is_file() and (folder / WEIGHTS_NAME).is_file()]


def _entry(folder: Path, place: ModelPlace, in_use: str, speeds: Mapping[str, str]) -> ModelEntry:
    argument = folder.name if place is ModelPlace.PROGRAM else str(folder)
    card, problem = None, ""
    try:
        card = load_card(folder)
    except MicroscopeQCError as error:
        problem = str(error)
    speed = speeds.get(argument, "")
    return ModelEntry(argument, folder, place, card, problem, bool(in_use) and argument == in_use, speed)


def _speeds(runs: list[RunRecord]) -> dict[str, str]:
    """How fast each model was in its newest run that measured it, by what runs call it."""
    found: dict[str, str] = {}
    for run in reversed(runs):
        if run.plan.model in found:
            continue
        status = read_status(run.folder)
        rate, device = status.get("mm2_per_min"), status.get("device_name")
        if isinstance(rate, int | float) and rate > 0:
            where = f" on {device}" if isinstance(device, str) and device else ""
            found[run.plan.model] = f"{elapsed_text(60 / rate)} per mm²{where}"
    return found


def _own(entry: ModelEntry, what: str) -> ModelCard:
    card = _readable(entry)
    if entry.place is ModelPlace.PROGRAM:
        raise InputError(
            f"{entry.name} came with the program: it is not {what}.", hint="Duplicate it; the copy is yours."
        )
    return card


def _readable(entry: ModelEntry) -> ModelCard:
    if entry.card is None:
        raise ModelError(f"{entry.name} cannot be used: {entry.problem}")
    return entry.card
