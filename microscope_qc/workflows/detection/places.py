"""Where the slide and the model of a run are now: projects, slides and models are moved and copied."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.files import special_kind
from microscope_qc.ml.cards import WEIGHTS_NAME
from microscope_qc.ml.library import model_folder
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.runs.plan import RunPlan, SlidePlace


def slide_of(project: Project, slide_id: int) -> SlideRecord:
    """Return a slide whose file exists.

    Raises
    ------
    InputError
        When it is gone.
    """
    slide = project.slides.by_id(slide_id)
    if slide.missing:
        raise InputError(
            f"The slide {slide.name} is no longer at {slide.path}.",
            hint="Put it back, or open the project in the window and say where it is.",
        )
    return slide


def plan_now(project: Project, run: RunRecord) -> RunPlan:
    """Return the plan of a run with the present paths of slide and model.

    Raises
    ------
    InputError, ModelError
        When one of them is gone, or the model's weights have changed since the run began.
    """
    slide = slide_of(project, run.slide_id)
    then = run.plan.slide or SlidePlace(path=str(slide.path), scene=slide.scene)
    model = _model_now(project, run, slide_then=Path(then.path), slide_now=slide.path)
    now = then.model_copy(update={"path": str(slide.path), "orientation": slide.orientation})
    return run.plan.model_copy(update={"slide": now, "model": model})


def _model_now(project: Project, run: RunRecord, *, slide_then: Path, slide_now: Path) -> str:
    """Name or folder of a run's model: its old path, else the same path relative to the project or the slide."""
    plan, weights = run.plan, run.settings.get("weights")
    changed: ModelError | None = None
    for place in _places(plan, project.path, slide_then=slide_then, slide_now=slide_now):
        try:
            found = weights_fingerprint(model_folder(place))
        except MicroscopeQCError:
            continue
        if weights in (None, "", found):
            return place
        changed = ModelError("The model was trained again since this detection began.", hint="Start a new detection.")
    raise changed or ModelError(
        f"The model {plan.title} is no longer at {plan.model}.",
        hint="Put it back, or start a new detection with another model.",
    )


def _places(plan: RunPlan, project: Path, *, slide_then: Path, slide_now: Path) -> list[str]:
    places = [plan.model]
    if plan.model_relative:
        places.append(os.path.normpath(project / plan.model_relative))
    if (
        Path(plan.model).is_absolute() and slide_then != slide_now
    ):  # runs of version 0.1 have no path relative to the project
        relative = relative_path(Path(plan.model), slide_then.parent)
        if relative:
            places.append(os.path.normpath(slide_now.parent / relative))
    return places


def relative_path(path: Path, folder: Path) -> str:
    """Path relative to a folder, with slashes; "" where there is none, as between two drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return ""


def weights_fingerprint(model: Path) -> str:
    """Return a fingerprint of the weights in a model folder.

    Raises
    ------
    ModelError
        When they cannot be read.
    """
    path = model / WEIGHTS_NAME
    kind = special_kind(path)
    if kind:
        raise ModelError(f"The weights {path} are {kind}, not a file.", hint="Copy the model again.")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ModelError(f"The weights {path} cannot be read ({error}).", hint="Copy the model again.") from error
