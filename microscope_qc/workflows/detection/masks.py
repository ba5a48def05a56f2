"""Scan masks of a project's slides: reading, storing, and computing them."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.area_mask import AreaMask
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.runs.mask_files import has_mask, read_mask
from microscope_qc.slides import Mosaic
from microscope_qc.workflows.detection.area import DRAWN, area_setting, masks_to_dict, stored_masks


def stored_mask(project: Project, slide: SlideRecord, kind: str) -> AreaMask | None:
    """Return a mask of a slide that is stored with a project, None where there is none.

    Raises
    ------
    InputError
        When it cannot be used.
    """
    masks, problems = stored_masks(project, slide)
    if kind in problems:
        raise problems[kind]
    return masks[kind]


def store_mask(project: Project, slide: SlideRecord, kind: str, mask: AreaMask | None) -> None:
    """Replace or remove a mask of a slide; like other settings it is not part of undo."""
    masks, _ = stored_masks(project, slide)
    project.settings.set(area_setting(slide.id), masks_to_dict({**masks, kind: mask}))


def run_mask(run: RunRecord) -> AreaMask | None:
    """Return the mask of a detection, over the part of the slide that it covered.

    Returns
    -------
    AreaMask or None
        None when everything was scanned.

    Raises
    ------
    InputError
        When it ended before its scan area was settled.
    ProjectError
        When the mask is damaged.
    """
    if not has_mask(run.folder):
        hint = "Continue it first, or choose another."
        raise InputError(f"Run {run.id} ended before its scan area was settled.", hint=hint)
    mask, region = read_mask(run.folder), run.plan.region
    if mask is None and region is not None:
        import numpy as np

        return AreaMask(region, (float(region.shape[0]), float(region.shape[1])), np.ones((1, 1), bool))
    return mask


def material_mask(mosaic: Mosaic, model: str | Path | None) -> Job[AreaMask | None]:
    """Find where a slide shows material, as a detection without a mask does.

    Parameters
    ----------
    model
        Name or folder of the model of that detection; None is one that reads the slide's own pixels.

    Returns
    -------
    AreaMask or None
        None where nothing is clearly resin or empty: everything is scanned then.
    """
    from microscope_qc.ml.library import load_card, model_folder
    from microscope_qc.ml.tiling import slide_scale
    from microscope_qc.slides.material import material_job

    model_um = None if model is None else load_card(model_folder(model)).pixel_size_um
    if model_um is not None and mosaic.pixel_size_um is None:
        raise InputError(
            "The pixel size of the slide is not known.",
            hint="Enter it first (or leave out --model on the command line).",
        )
    height, width = mosaic.shape
    return (
        yield from material_job(mosaic, Region(0, 0, height, width), scale=slide_scale(model_um, mosaic.pixel_size_um))
    )


def found_mask(slide: SlideRecord, model: str | Path | None) -> Job[AreaMask | None]:
    """Find where a slide of a project shows material; see :func:`material_mask`."""
    from microscope_qc.workflows.scenes import open_scene

    with open_scene(slide) as mosaic:
        mosaic.pixel_size_um = slide.pixel_size_um
        return (yield from material_mask(mosaic, model))


def mask_of(
    project: Project, slide: SlideRecord, *, kind: str | None, model: str | Path | None
) -> Job[tuple[str, AreaMask | None]]:
    """Return which mask of a slide a detection would use, and the mask.

    Parameters
    ----------
    kind
        The stored mask of this kind, and where none is stored what the program finds; "drawn" only what is stored; None
        only what the program finds.

    Raises
    ------
    InputError
        When no regions are drawn, or the stored mask cannot be used.
    """
    stored = None if kind is None else stored_mask(project, slide, kind)
    if kind == DRAWN and stored is None:
        raise InputError(f"No regions are drawn on {slide.name}.", hint="Draw some in the window, or use mask set.")
    if kind is not None and stored is not None:
        return kind, stored
    return "found", (yield from found_mask(slide, model))
