"""Comparisons of two models that a project keeps, each in a folder of its own, the newest first.

The models are known by their weights: a comparison is about these,
wherever the models are and whatever they are called.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.jobs import Job
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.workflows.detection.places import weights_fingerprint
from microscope_qc.workflows.learning.from_project import is_project
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.compare import ModelComparison, compare_models
from microscope_qc.workflows.models.comparison_page import write_comparison_page
from microscope_qc.workflows.models.comparison_text import class_table, figure_table, measured_text, names_of
from microscope_qc.workflows.models.measured_data import measured_fingerprint
from microscope_qc.workflows.models.shelf import ModelEntry
from microscope_qc.workflows.models.wrong_places import KINDS, SIDES, wrong_places_of

FOLDER = "comparisons"
_REPORT, _PAGE = "comparison.json", "page.html"


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """A comparison as a project keeps it.

    Attributes
    ----------
    document
        That of :class:`~microscope_qc.workflows.models.compare.ModelComparison`, with ``date`` and ``data``, the
        fingerprint of what was measured on.
    folder
        Where it lies.
    new, old
        The models; None for one that is not at hand any more, or has learned something else since.
    """

    document: Mapping[str, Any]
    folder: Path
    new: ModelEntry | None = None
    old: ModelEntry | None = None

    @property
    def page(self) -> Path:
        """The page about it."""
        return self.folder / _PAGE

    @property
    def names(self) -> tuple[str, str]:
        """The new model and the old one."""
        return names_of(self.document)

    @property
    def date(self) -> str:
        """``2026-11-30 14:05``."""
        return str(self.document["date"])[:16].replace("T", " ")

    @property
    def verdict(self) -> str:
        """One sentence."""
        return str(self.document["verdict"])

    def places(self, what: str) -> ListedPlaces:
        """Where models are wrong: one of KINDS, or who is right there, of SIDES."""
        stored = [*self.document["disagreements"], *self.document["both_wrong"]]
        return wrong_places_of(stored, SIDES.get(what, (what,)))


def compare_and_keep(
    new: str | Path, old: str | Path, project: Path, *, iou: float = 0.5, device: str = "auto"
) -> Job[tuple[ModelComparison, KeptComparison]]:
    """Compare two models on a project, and keep figures, page and findings in the project's folder.

    The project's database is only read, so another process may have it open. The parameters are those of
    :func:`microscope_qc.workflows.models.compare.compare_models`.

    Raises
    ------
    InputError
        When it is not a project.
    ModelError
        When a model or the project cannot be used.
    WriteError
        When the folder cannot be written.
    """
    if not is_project(project):
        raise InputError("A comparison is kept with a project.", hint="Name a project.")
    # what is learned or marked meanwhile was not measured
    weights = {name: weights_fingerprint(model_folder(model)) for name, model in (("new", new), ("old", old))}
    model_um = load_card(new).pixel_size_um
    data = yield from measured_fingerprint(project, model_um)
    done = yield from compare_models(new, old, project, iou=iou, device=device)
    now = datetime.now().astimezone()
    folder = project / FOLDER / f"{now:%Y%m%dT%H%M%S%f}"
    document = done.document() | {
        "date": now.isoformat(timespec="seconds"), "data": data, "model_um": model_um, "weights": weights,
    }  # fmt: skip
    try:
        yield from write_comparison_page(folder / _PAGE, done)
        atomic_write(folder / _REPORT, json.dumps(document, ensure_ascii=False) + "\n")
    except BaseException:  # cancelled, too: half a comparison is none
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return done, KeptComparison(document, folder)


def read_comparisons(project: Path, models: Sequence[ModelEntry]) -> list[KeptComparison]:
    """What a project keeps, the newest first; what cannot be read is left out.

    Parameters
    ----------
    models
        Those at hand.
    """
    try:
        folders = sorted((project / FOLDER).iterdir(), reverse=True)
    except OSError:
        return []
    by_weights: dict[str, list[ModelEntry]] = {}
    for entry in models if folders else ():
        with suppress(ModelError):
            by_weights.setdefault(weights_fingerprint(entry.folder), []).append(entry)
    found = (_read(folder, by_weights) for folder in folders)
    return [kept for kept in found if kept is not None]


def comparison_changed(project: Path, kept: KeptComparison) -> Job[bool]:
    """Whether what the models were compared on is marked otherwise by now; opens no slide.

    Raises
    ------
    ModelError
        When nothing is marked any more.
    """
    now = yield from measured_fingerprint(project, kept.document["model_um"])
    return bool(now != kept.document["data"])


def copy_comparison_page(kept: KeptComparison, out: Path | str) -> Path:
    """Write the page of a comparison to a place of a user's choice.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    with atomic_path(out) as draft:
        shutil.copyfile(kept.page, draft)
    return Path(out)


def _read(folder: Path, models: Mapping[str, Sequence[ModelEntry]]) -> KeptComparison | None:
    try:
        document = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        new, old = (_called(str(document[name]["model"]), models, document["weights"][name]) for name in ("new", "old"))
        kept = KeptComparison(document, folder, new, old)
        for what in KINDS:
            kept.places(what)
        for told in (kept.date, kept.verdict, measured_text(document), figure_table(document), class_table(document)):
            str(told)
        document["data"], float(document["model_um"] or 1.0), list(document["notes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return kept


def _called(name: str, models: Mapping[str, Sequence[ModelEntry]], weights: object) -> ModelEntry | None:
    """Of the models with the same weights that of this name, else any."""
    same = models.get(str(weights), [])
    return next((entry for entry in same if entry.name == name), same[0] if same else None)
