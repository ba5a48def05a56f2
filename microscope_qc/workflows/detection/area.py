"""Scan areas of detections: the masks that a user changed or drew, stored with the project, or pictures."""

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
from microscope_qc.workflows.left_out import NothingToScan

CHANGED, DRAWN = KINDS = ("changed", "drawn")
"""The material that the program found, as changed by the user; and regions that the user drew."""

FILE = "file"
"""The kind of a mask from a picture."""

Masks = dict[str, AreaMask | None]


_UNUSED = {
    CHANGED: "The project's mask is not used.",
    DRAWN: "Regions are drawn in the project too: --drawn on the command line scans only them.",
}


@dataclass(frozen=True, slots=True)
class ScanArea:
    """What a detection is to scan of a slide.

    ``kind`` says which mask of the user it is, None where the program distinguishes material from resin; ``share`` of
    the slide or region (0 to 1) is scanned, None where that is not known; ``words`` is a text for the user, "" where
    there is nothing to say.
    """

    mask: AreaMask | None = None
    kind: str | None = None
    share: float | None = None
    words: str = ""


def area_setting(slide_id: int) -> str:
    """Name of the project's setting that holds the masks of a slide."""
    return f"area:{slide_id}"


def masks_to_dict(masks: Mapping[str, AreaMask | None]) -> dict[str, Any]:
    """Masks as plain values for the project's setting."""
    return {kind: mask_to_dict(mask) for kind, mask in masks.items() if mask is not None}


def stored_masks(project: Project, slide: SlideRecord) -> tuple[Masks, dict[str, InputError]]:
    """Masks of a slide, None where the user made none, and for those that cannot be used the reason."""
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


def chosen_scan_area(
    project: Project, slide: SlideRecord, *, kind: str | None, region: Region | None = None
) -> ScanArea:
    """Return what to scan of a slide: the mask as the user changed it, the regions the user drew, or all material.

    Without a changed mask, or with one that cannot be used (``words`` says so), the program finds the material.

    Parameters
    ----------
    kind
        ``CHANGED`` or ``DRAWN``; None ignores what is stored with the project.

    Raises
    ------
    NothingToScan
        When nothing was drawn, or the mask leaves nothing to scan.
    InputError
        When what was drawn cannot be used.
    """
    masks, problems = stored_masks(project, slide)
    unused = [_UNUSED[other] for other in KINDS if other != kind and masks[other] is not None]
    mask = None if kind is None else masks[kind]
    if mask is None and kind == DRAWN:
        hint = "Draw some in the window: Detect, Drawn regions."
        raise problems.get(DRAWN) or NothingToScan(f"No regions are drawn on {slide.name}.", hint=hint)
    if mask is None or kind is None:
        problem = [str(problems[kind])] if kind in problems else []
        return ScanArea(words=" ".join([*problem, *unused]))
    place = "the slide" if region is None else "the region"
    share = mask.share(region or mask.region)
    if share == 0:
        whose = "The project's mask leaves" if kind == CHANGED else "The drawn regions leave"
        hint = "Add at least one place in the window: Detect, Change."
        raise NothingToScan(f"{whose} nothing of {place} to scan on {slide.name}.", hint=hint)
    where = "where the project's mask says" if kind == CHANGED else "the regions drawn in the project"
    said = f"Scans only {where}: {share_text(share)} of {place}."
    return ScanArea(mask, kind, share, " ".join([said, *unused]))


def scan_area_of_picture(path: Path | str, slide: SlideRecord, *, region: Region | None = None) -> ScanArea:
    """Return what to scan of a slide according to a picture: a file, or the one with the slide's name in a folder.

    Raises
    ------
    NothingToScan
        When it leaves nothing of the region to scan.
    InputError
        When it cannot be used for this slide.
    """
    picture = picture_for(path, slide.name)
    mask = read_mask_picture(picture, slide.shape_px)
    place = "the slide" if region is None else "the region"
    share = mask.share(region or mask.region)
    if share == 0:
        hint = "Choose another region or mask."
        raise NothingToScan(f"The mask {picture.name} leaves nothing of {place} to scan on {slide.name}.", hint=hint)
    return ScanArea(mask, FILE, share, f"Scans only where {picture.name} says: {share_text(share)} of {place}.")
