"""Detection: a child process reads the slide, the project's owner takes in its findings, live and after a crash."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError, ProjectError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.tiles import tile_grid
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.library import load_card, model_folder
from microscope_qc.ml.tasks.kinds import TASKS, known_models
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.runs.journal import read_status, read_tile_errors
from microscope_qc.project.runs.mask_files import has_mask, read_mask, write_mask
from microscope_qc.project.runs.plan import EVERYTHING, RunPlan, write_plan
from microscope_qc.project.runs.speed import starts_of
from microscope_qc.slides.plane import Plane
from microscope_qc.workflows.detection.following import POLL_SECONDS, Following, Start
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size, pixel_fit_of_run
from microscope_qc.workflows.detection.places import plan_now, relative_path, slide_of, weights_fingerprint
from microscope_qc.workflows.intake.changes import require_unchanged_now
from microscope_qc.workflows.kept_child import Children

CANDIDATE_CONFIDENCE = 0.05
"""Findings down to this confidence are kept; those below the project's confidence limit do not count."""


@dataclass(frozen=True, slots=True)
class DetectResult:
    """Result of a detection.

    ``findings`` counts all findings of the run, ``shown`` those of them that count; ``seconds`` is the time it took,
    ``seconds_before`` the time of earlier starts of the run; ``share_skipped`` is the share of tiles in resin
    and empty area; ``status`` is the child's last report (speed, device, notes), see
    :func:`microscope_qc.ml.engine.engine.run_model`; ``pixel_fit`` says where the pixel sizes of model and slide do not
    fit, see :func:`microscope_qc.workflows.detection.pixel_fit.pixel_fit_words`.
    """

    run_id: int
    tiles: int
    findings: int
    seconds: float
    shown: int = 0
    damaged_tiles: int = 0
    state: str = "finished"
    share_skipped: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)
    seconds_before: float = 0.0
    pixel_fit: str = ""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model as runs refer to it: ``argument`` is the name of a bundled one or the absolute path of its folder.

    ``weights`` is a fingerprint of its weights.
    """

    argument: str
    folder: Path
    card: ModelCard
    weights: str

    @property
    def bundled(self) -> bool:
        """Whether it came with the program."""
        return self.argument != str(self.folder.resolve())


def choose_model(model: str | Path | ChosenModel) -> ChosenModel:
    """Read a model's card and weights, once for all slides.

    Parameters
    ----------
    model
        Name of a bundled model, or a model's folder.

    Raises
    ------
    ModelError
        When the model cannot be used.
    """
    if isinstance(model, ChosenModel):
        return model
    folder = model_folder(model)
    card = load_card(folder)
    if card.task not in TASKS:
        raise ModelError(f"The model {card.name} does not find defects.", hint=f"Choose {known_models()}.")
    bundled = Path(model).name == str(model) and not Path(model).exists()
    return ChosenModel(str(model) if bundled else str(folder.resolve()), folder, card, weights_fingerprint(folder))


def chosen_model(model: str | Path | ChosenModel, wait_s: float) -> Job[ChosenModel]:
    """Read a model as :func:`choose_model` does; where no step may wait (``wait_s`` is 0), in a thread."""
    if wait_s > 0 or isinstance(model, ChosenModel):
        return choose_model(model)
    with ThreadPoolExecutor(1, thread_name_prefix="model") as reader:
        reading = reader.submit(choose_model, model)
        while not reading.done():
            yield Progress(0, 0, "tiles", "reading the model")
    return reading.result()


def require_device(name: str) -> None:
    """Refuse a device that this computer does not have, before anything is begun.

    Raises
    ------
    InputError
        When there is no such device.
    """
    if name not in ("auto", "cpu"):  # torch is loaded only to look for a graphics card
        from microscope_qc.ml.devices import choose_device

        choose_device(name)


def prepare_run(
    project: Project,
    slide_id: int,
    model: str | Path | ChosenModel,
    *,
    region: Region | None = None,
    device: str = "auto",
    fresh: bool = False,
    everything: bool = False,
    mask: AreaMask | None = None,
    plane: Plane | None = None,
) -> RunRecord:
    """Start a run, or continue the last one of the same settings where it stopped, on whatever device.

    Parameters
    ----------
    model
        Name of a bundled model, a model's folder, or what :func:`choose_model` made of one of them.
    region
        Part of the slide in full-resolution pixels; the whole slide without it.
    device
        What computes; no part of the settings.
    fresh
        Start again; an older run of the same settings is switched off.
    everything
        Scan resin and empty area too.
    mask
        Scan only here, instead of where the program sees material.
    plane
        Look at this picture of a stack, in these channels; None takes the first, in the channels shown by default.

    Returns
    -------
    RunRecord
        Its state is "finished" where a run of the same settings is complete already.

    Raises
    ------
    InputError
        When the slide was moved away or has no pixel size, the region lies outside it, or the mask belongs to a slide
        of another size or leaves nothing to scan.
    ModelError
        When the model cannot be used.
    """
    chosen = choose_model(model)
    card = chosen.card
    slide = require_unchanged_now(project, slide_of(project, slide_id))
    scale, area = slide_scale(card.pixel_size_um, _pixel_size(slide, card)), _area(slide, region)
    grid = tile_grid(card, area, scale=scale)
    if mask is not None:
        _check_mask(mask, slide, grid)
    plan = RunPlan(
        model=chosen.argument,
        model_relative="" if chosen.bundled else relative_path(chosen.folder.resolve(), project.path),
        model_name=card.name,
        weights=chosen.weights,
        region=area,
        tile_px=grid.tile_px,
        overlap_px=grid.overlap_px,
        lattice_px=grid.lattice_px,
        scale=scale,
        classes=tuple(card.classes),
        class_names=tuple(card.class_names),
        confidence=card.confidence,
        candidate_confidence=CANDIDATE_CONFIDENCE,
        told_apart=True,
        device=device,
        skip_empty=not everything,
        area=area_key(everything=everything, mask=mask),
        plane=None if plane is None else plane.to_dict(),
    )
    same = [run for run in project.runs if run.slide_id == slide_id and run.settings == plan.settings]
    if same and not fresh:
        return _continued(project, same[-1], mask, device)
    for run in same:
        project.runs.show(run.id, False)
    run = project.runs.start(slide_id, plan)
    if mask is not None:
        write_mask(run.folder, mask)
    return run


def area_key(*, everything: bool = False, mask: AreaMask | None = None) -> str | None:
    """Name of the scan area in a run's plan; None where the program distinguishes material from resin."""
    return mask.fingerprint if mask is not None else EVERYTHING if everything else None


def resume_run(project: Project, run_id: int, *, device: str = "auto") -> RunRecord:
    """Continue a certain run where it stopped, with the area and the mask that it began with, on whatever device.

    Raises
    ------
    InputError, ModelError
        When its slide or its model no longer exists.
    ProjectError
        When its scan area is no longer known.
    """
    run = project.runs.by_id(run_id)
    require_unchanged_now(project, slide_of(project, run.slide_id))
    return _continued(project, run, None, device)


def _continued(project: Project, run: RunRecord, mask: AreaMask | None, device: str) -> RunRecord:
    """Continue a run that is not finished; ``mask`` is the one it began with, where that is known."""
    if run.state == "finished":
        return run
    plan = plan_now(project, run).model_copy(update={"device": device})
    area = run.settings.get("area")
    if area not in (None, EVERYTHING):
        if mask is not None and not has_mask(run.folder):  # killed before the mask was written
            write_mask(run.folder, mask)
        kept = read_mask(run.folder)
        if kept is None or kept.fingerprint != area:
            raise ProjectError("The scan area of this detection is no longer known.", hint="Start a new detection.")
    write_plan(run.folder, plan)  # the child and other machines take the paths of slide and model from it
    return replace(project.runs.finish(run.id, "running"), plan=plan)


def _check_mask(mask: AreaMask, slide: SlideRecord, grid: TileGrid) -> None:
    if mask.region.clip(slide.shape_px) != mask.region:
        raise InputError(
            f"The scan area was chosen on a slide of another size than {slide.name}.", hint="Choose it again."
        )
    if mask.tile_count(grid) == 0:
        raise InputError("The chosen area leaves nothing to scan.", hint="Add at least one place.")


def _pixel_size(slide: SlideRecord, card: ModelCard) -> tuple[float, float] | None:
    if lacks_pixel_size(card, slide.pixel_size_um):
        raise InputError(
            f"The pixel size of {slide.name} is not known, and the model {card.name} needs it.",
            hint="Enter the slide's pixel size first.",
        )
    return slide.pixel_size_um


def _area(slide: SlideRecord, region: Region | None) -> Region:
    height, width = slide.shape_px
    area = Region(0, 0, height, width) if region is None else region.clip((height, width))
    if area.empty:
        raise InputError(
            f"The region lies outside {slide.name}.", hint=f"The slide has {width} x {height} pixels (width x height)."
        )
    return area


def detect(
    project: Project,
    slide_id: int,
    model: str | Path,
    *,
    region: Region | None = None,
    device: str = "auto",
    fresh: bool = False,
    everything: bool = False,
    mask: AreaMask | None = None,
    plane: Plane | None = None,
    first: Region | None = None,
    children: Children | None = None,
    wait_s: float = POLL_SECONDS,
) -> Job[DetectResult]:
    """Find defects on a slide, or on a region of it; see :func:`prepare_run`.

    ``first`` is what the user is looking at: its tiles come first. ``wait_s`` is how long a step waits for the child,
    and ``children`` where it comes from, see :class:`Following`. When the job is closed the child is asked to end, its
    findings so far are kept, and the run is "stopped".

    Raises
    ------
    InputError
        When the computer does not have the device; nothing is begun then.
    DetectionFailed
        When the child ended early, with its last message.
    """

    require_device(device)
    chosen = yield from chosen_model(model, wait_s)

    def begin() -> RunRecord:
        return prepare_run(
            project, slide_id, chosen, region=region, device=device, fresh=fresh, everything=everything, mask=mask,
            plane=plane,
        )  # fmt: skip

    start = Start(slide_id, project.slides.by_id(slide_id).name, 0, begin, first)
    return (yield from _followed(project, start, wait_s, children))


def resume(
    project: Project,
    run_id: int,
    *,
    device: str = "auto",
    first: Region | None = None,
    children: Children | None = None,
    wait_s: float = POLL_SECONDS,
) -> Job[DetectResult]:
    """Continue a certain run, whatever its settings; see :func:`resume_run` and :func:`detect`."""
    require_device(device)
    slide = project.slides.by_id(project.runs.by_id(run_id).slide_id)
    start = Start(slide.id, slide.name, 0, lambda: resume_run(project, run_id, device=device), first)
    return (yield from _followed(project, start, wait_s, children))


def _followed(project: Project, start: Start, wait_s: float, children: Children | None) -> Job[DetectResult]:
    """Follow the only run."""
    results: list[DetectResult] = []
    errors: list[MicroscopeQCError] = []
    yield from Following(
        project, [start], wait_s=wait_s, children=children, failed=lambda _, error: errors.append(error),
        done=lambda _, run, began, computed: results.append(result_of(project, run.id, began, computed=computed)),
    ).job()  # fmt: skip
    if errors:
        raise errors[0]
    return results[0]


def result_of(project: Project, run_id: int, started: float, *, computed: bool = True) -> DetectResult:
    """Result of a run, from the project and the run's folder; ``started`` on the clock of ``time.monotonic``.

    ``computed`` is False where the run was finished before and nothing had to be done.
    """
    run = project.runs.by_id(run_id)
    status = read_status(run.folder)
    starts = starts_of(status)
    ids = project.opinions.of_run(run_id)["finding_id"]
    table = project.boxes.table(run.slide_id)
    rows = table.get(ids[table.has(ids)])
    return DetectResult(
        run_id=run_id,
        tiles=len(run.plan.grid()),
        findings=len(rows),
        seconds=time.monotonic() - started,
        shown=int(project.inclusion.current.mask(rows, rejected=True).sum()),
        damaged_tiles=len(read_tile_errors(run.folder)),
        state=run.state,
        share_skipped=float(status.get("share_skipped") or 0.0),
        status=status,
        seconds_before=sum(start["seconds"] for start in (starts[:-1] if computed else starts)),
        pixel_fit=pixel_fit_of_run(run, project.slides.by_id(run.slide_id)),
    )
