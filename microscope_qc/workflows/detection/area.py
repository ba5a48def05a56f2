"""Where detections look on the slides of a project, as a person changed or drew it; kept with the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.area_mask import AreaMask, mask_from_dict, mask_to_dict
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import share_text
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.detection.mask_pictures import picture_for, read_mask_picture

CHANGED, DRAWN = KINDS = ("changed", "drawn")
"""What the program found, as the person changed it; and regions that the person drew."""

FILE = "file"
"""The mask comes from a picture."""

Masks = dict[str, AreaMask | None]


_UNUSED = {
    CHANGED: "The project's mask is not used.",
    DRAWN: "Regions are drawn in the project too: --drawn on the command line looks only at them.",
}


class NothingToLookAt(InputError):
    """A person's mask leaves nothing of a slide."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where a detection is to look on a slide.

    ``kind`` says which mask of the person it is, None where the program tells material from resin; ``share`` of the
    slide or region (0 to 1) is looked at, None where that is not known; ``words`` is what a person is told, "" without
    anything to tell.
    """

    mask: AreaMask | None = None
    kind: str | None = None
    share: float | None = None
    words: str = ""


def area_setting(slide_id: int) -> str:
    """Name of the project's setting that holds the masks of a slide."""
    return f"area:{slide_id}"


def masks_to_dict(masks: Mapping[str, AreaMask | None]) -> dict[str, Any]:
    """Plain values for the project."""
    return {kind: mask_to_dict(mask) for kind, mask in masks.items() if mask is not None}


def stored_masks(project: Project, slide: SlideRecord) -> tuple[Masks, dict[str, InputError]]:
    """The masks of a slide, None where the person made none; and why one that is there cannot be used."""
    stored = project.settings.get(area_setting(slide.id), {})
    masks: Masks = {}
    problems: dict[str, InputError] = {}
    for kind in KINDS:
        masks[kind] = None
        try:
            values = stored.get(kind) if isinstance(stored, dict) else stored
            if values is not None:
                masks[kind] = mask_from_dict(values, slide.shape_px)
        except InputError as error:
            problems[kind] = error
    return masks, problems


def chosen_look(project: Project, slide: SlideRecord, *, kind: str | None, region: Region | None = None) -> Look:
    """Where to look on a slide: as the person changed it, only where the person drew, or wherever there is material.

    Without a changed mask, and where it cannot be used (which is said), the program tells material from resin.

    Parameters
    ----------
    kind
        ``CHANGED`` or ``DRAWN``; None leaves what is stored with the project aside.

    Raises
    ------
    NothingToLookAt
        When nothing was drawn, or the mask leaves nothing to look at.
    InputError
        When what was drawn cannot be used.
    """
    masks, problems = stored_masks(project, slide)
    unused = [_UNUSED[other] for other in KINDS if other != kind and masks[other] is not None]
    mask = None if kind is None else masks[kind]
    if mask is None and kind == DRAWN:
        hint = "Draw some in the window: Detect, Drawn regions."
        raise problems.get(DRAWN) or NothingToLookAt(f"No regions are drawn on {slide.name}.", hint=hint)
    if mask is None or kind is None:
        problem = [str(problems[kind])] if kind in problems else []
        return Look(words=" ".join([*problem, *unused]))
    place = "the slide" if region is None else "the region"
    share = mask.share(region or mask.region)
    if share == 0:
        whose = "The project's mask leaves" if kind == CHANGED else "The drawn regions leave"
        hint = "Add at least one place in the window: Detect, Change."
        raise NothingToLookAt(f"{whose} nothing of {place} to look at on {slide.name}.", hint=hint)
    where = "where the project's mask says" if kind == CHANGED else "at the regions drawn in the project"
    said = f"Looks only {where}: {share_text(share)} of {place}."
    return Look(mask, kind, share, " ".join([said, *unused]))


def file_look(path: Path | str, slide: SlideRecord, *, region: Region | None = None) -> Look:
    """Where to scan a slide as a picture says: the file itself, or the one of the slide's name in a folder.

    Raises
    ------
    NothingToLookAt
        When it leaves nothing of the region to look at.
    InputError
        When it cannot be used for this slide.
    """
    picture = picture_for(path, slide.name)
    mask = read_mask_picture(picture, slide.shape_px)
    place = "the slide" if region is None else "the region"
    share = mask.share(region or mask.region)
    if share == 0:
        hint = "Choose another region or mask."
        raise NothingToLookAt(f"The mask {picture.name} leaves nothing of {place} to scan on {slide.name}.", hint=hint)
    return Look(mask, FILE, share, f"Scans only where {picture.name} says: {share_text(share)} of {place}.")
