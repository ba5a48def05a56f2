"""Evaluations that a project keeps: how well a model did on it, when, and which findings it found and missed.

They lie in the project's folder under the fingerprint of the model's weights: an evaluation is about these weights,
wherever the model is and whatever it is called.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.ml.evaluation.outcomes import Outcome
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.project import Project
from microscope_qc.workflows.detection.places import weights_fingerprint
from microscope_qc.workflows.learning.evaluate import PART_WORDS, Evaluation, evaluate
from microscope_qc.workflows.learning.evaluation_page import write_evaluation_page
from microscope_qc.workflows.learning.from_project import is_project
from microscope_qc.workflows.learning.lists import places_by_outcome
from microscope_qc.workflows.learning.which_findings import ListedPlaces
from microscope_qc.workflows.models.about import figure
from microscope_qc.workflows.models.measured_data import measured_fingerprint

FOLDER = "evaluations"
FIGURES = {
    "map50": "mAP50", "map": "mAP50-95", "accuracy": "accuracy", "precision": "precision", "recall": "recall",
    "f1": "F1", "auroc": "AUROC", "auprc": "AUPRC",
}  # fmt: skip
"""Figures of all classes together, and their words."""
_COUNTED = (("truth", "defect"), ("places", "place"))
_REPORT, _PAGE = "evaluation.json", "page.html"


@dataclass(frozen=True, slots=True)
class KeptEvaluation:
    """An evaluation as a project keeps it.

    Attributes
    ----------
    document
        That of :class:`~microscope_qc.workflows.learning.evaluate.Evaluation`, with ``date`` and ``data``, the
        fingerprint of what was measured on.
    places
        Which findings of the project are right, missed and so on.
    folder
        Where it lies.
    """

    document: Mapping[str, Any]
    places: Mapping[Outcome, ListedPlaces]
    folder: Path

    @property
    def page(self) -> Path:
        """The page about it."""
        return self.folder / _PAGE


def evaluate_and_keep(
    model: str | Path,
    project: Path,
    *,
    confidence: float | None = None,
    iou: float = 0.5,
    part: str = "",
    device: str = "auto",
) -> Job[tuple[Evaluation, KeptEvaluation]]:
    """Measure a model on a project and keep figures, page and findings in the project's folder.

    The project's database is only read, so another process may have it open. The parameters are those of
    :func:`microscope_qc.workflows.learning.evaluate.evaluate`.

    Raises
    ------
    InputError
        When it is not a project.
    ModelError
        When the model or the project cannot be used.
    WriteError
        When the folder cannot be written.
    """
    if not is_project(project):
        raise InputError("An evaluation is kept with a project.", hint="Name a project.")
    # what is marked meanwhile was not measured on
    data = yield from measured_fingerprint(project, load_card(model).pixel_size_um, part)
    done = yield from evaluate(model, project, confidence=confidence, iou=iou, part=part, device=device)
    with Project.open(project, write=False) as opened:
        places = places_by_outcome(opened, done)
    folder = _folder(project, model)
    yield from write_evaluation_page(folder / _PAGE, done)
    document = done.document() | {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"), "data": data, "asked_part": part,
        "findings": {str(outcome): found.document() for outcome, found in places.items()},
    }  # fmt: skip
    atomic_write(folder / _REPORT, json.dumps(document, ensure_ascii=False) + "\n")
    return done, KeptEvaluation(document, places, folder)


def read_evaluation(project: Path, model: str | Path) -> KeptEvaluation | None:
    """What a project keeps of a model; None where that is nothing, or cannot be read."""
    try:
        folder = _folder(project, model)
        document = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        stored = document["findings"]
        places = {outcome: ListedPlaces.of_document(stored[outcome]) for outcome in Outcome if outcome in stored}
        for name in ("model", "pictures", "part", "date", "data", "classes", "notes"):
            document[name]
    except (OSError, MicroscopeQCError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return KeptEvaluation(document, places, folder)


def data_changed(project: Path, model: str | Path, kept: KeptEvaluation) -> Job[bool]:
    """Whether what the model was measured on is marked otherwise by now, or other places would be measured on.

    Opens no slide.

    Raises
    ------
    ModelError
        When nothing is marked any more.
    """
    part = str(kept.document.get("asked_part", ""))
    now = yield from measured_fingerprint(project, load_card(model).pixel_size_um, part)
    return bool(now != kept.document["data"])


def evaluation_words(document: Mapping[str, Any]) -> str:
    """``mAP50 0.612 [0.540, 0.683], ... on what is kept for the test: 48 defects in 12 places, 2026-11-30``."""
    said = [f"{words} {figure(document, name)}" for name, words in FIGURES.items() if document.get(name) is not None]
    where = PART_WORDS.get(str(document["part"]), str(document["part"]))
    counted = [things(int(document[name]), word) for name, word in _COUNTED if document.get(name)]
    return f"{', '.join(said)} on {where}: {' in '.join(counted)}, {str(document['date'])[:10]}"


def copy_page(kept: KeptEvaluation, out: Path | str) -> Path:
    """Write the page of an evaluation to a place of a user's choice.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    with atomic_path(out) as draft:
        shutil.copyfile(kept.page, draft)
    return Path(out)


def _folder(project: Path, model: str | Path) -> Path:
    return project / FOLDER / weights_fingerprint(model_folder(model))
