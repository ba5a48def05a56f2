"""Copies a slide of any format into lossless OME-Zarr pyramids."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import WriteError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job
from microscope_qc.core.orientation import AS_STORED
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.slides.plane import FIRST, Plane, StackPlace
from microscope_qc.slides.plane_choice import PlaneChoice
from microscope_qc.slides.pyramid.part import Resuming
from microscope_qc.slides.pyramid.source import PictureStack, PixelSource
from microscope_qc.slides.pyramid.write import write_ome_zarr

SUFFIX = ".ome.zarr"


def convert(
    slide_path: Path | str,
    out_path: Path | str,
    *,
    scene: str | None = None,
    pixel_size_um: float | tuple[float, float] | None = None,
    as_stored: bool = False,
    choice: PlaneChoice | None = None,
    verify: bool = True,
    resume: bool = True,
    keep_stopped: bool = False,
) -> Job[list[Path]]:
    """Write every scene of a slide, or one of them, as an OME-Zarr 0.5 pyramid.

    A conversion that was killed, or whose source was disconnected, is continued by the next one of the same slide to
    the same place. Places of the slide that cannot be read are filled and listed by
    :func:`~microscope_qc.slides.pyramid.write.damaged_places`.

    Parameters
    ----------
    out_path
        Folder to write. Several scenes become ``OUT_<scene>.ome.zarr`` each.
    scene
        Name of the only scene to convert.
    pixel_size_um
        Pixel size that replaces the one in the file: one number, or (y, x).
    as_stored
        Copy the pixels as they are stored, where the file says that they are to be turned.
    choice
        Convert only this picture of a stack, or only these channels; everything without it.
    verify
        Read everything back at the end and compare it with what was written.
    resume
        Continue where an earlier conversion stopped; False starts again.
    keep_stopped
        Let the next conversion continue even when this job is closed; otherwise closing leaves nothing behind.

    Returns
    -------
    Job[list of Path]
        Yields progress in tiles of the current scene, then in files while verifying; returns the folders written.

    Raises
    ------
    SlideError
        When the slide, or more than 5 % of it, cannot be read.
    WriteError
        When the disk is full or read-only, or did not store what was written; what was there before stays.
    """
    source, out = Path(slide_path), Path(out_path)
    orientation = AS_STORED if as_stored else None
    with open_slide(source, pixel_size_um=pixel_size_um, orientation=orientation) as slide:
        mosaics = list(slide.scenes) if scene is None else [slide.scene(scene)]
        targets = [out] if len(mosaics) == 1 else [_scene_path(out, mosaic.name) for mosaic in mosaics]
        for target in targets:
            _check_apart(source, target)
        written = []
        for mosaic, target in zip(mosaics, targets, strict=True):
            plane = _chosen(mosaic, choice)
            chosen = {"plane": plane.to_dict()} if choice is not None else {}
            turned = {"orientation": mosaic.orientation} if mosaic.orientation != AS_STORED else {}
            key = {"name": source.name, "scene": mosaic.name, **_state(source), **turned, **chosen}
            resuming = Resuming(key, fresh=not resume, keep_stopped=keep_stopped)
            path = yield from _convert_scene(source, _only(mosaic, plane, choice), target, resuming, verify=verify)
            written.append(path)
    return written


def _chosen(mosaic: Mosaic, choice: PlaneChoice | None) -> Plane:
    """The plane of a choice; all channels where none was chosen."""
    if choice is None:
        return Plane()
    plane = choice.on(mosaic)
    return plane if choice.channels else Plane(plane.place)


def _only(mosaic: Mosaic, plane: Plane, choice: PlaneChoice | None) -> Mosaic:
    """The mosaic, or what was chosen of it; an axis along which nothing was chosen is kept whole."""
    return mosaic if choice is None else mosaic.on(plane, keep=choice.left_open(mosaic))


def _convert_scene(source: Path, mosaic: Mosaic, target: Path, resuming: Resuming, *, verify: bool) -> Job[Path]:
    origin = PixelSource(
        {"name": source.name, "scene": mosaic.name},
        strip_px=mosaic.piece_px[1],
        background=mosaic.background,
        is_there=source.exists,
    )
    return write_ome_zarr(
        target,
        shape=mosaic.shape,
        dtype=mosaic.dtype,
        rgb=mosaic.rgb,
        read=_readers(mosaic),
        pixel_size_um=mosaic.pixel_size_um,
        channels=mosaic.channels,
        name=mosaic.name or source.stem,
        origin_px=mosaic.origin_px,
        stage=mosaic.stage,
        stack=PictureStack(mosaic.stack, lambda place: _readers(mosaic, place)),
        source=origin,
        resuming=resuming,
        workers=max(1, min(8, os.cpu_count() or 1)),
        verify=verify,
    )


def _check_apart(source: Path, target: Path) -> None:
    """Refuse to write a slide over itself, into itself, or over the folder that contains it."""
    try:
        here, there = source.resolve(), target.resolve()
    except (OSError, RuntimeError) as error:
        raise WriteError(f"{target} cannot be written: it is a broken link.", hint="Choose another name.") from error
    if here == there or here in there.parents or there in here.parents:
        raise InputError(f"{source.name} cannot be converted into itself.", hint="Choose another name.")


def _state(source: Path) -> dict[str, int]:
    """What changes when the slide is written to."""
    facts = source.stat()
    return {"bytes": facts.st_size, "modified_ns": facts.st_mtime_ns}


def _scene_path(out: Path, name: str) -> Path:
    stem = out.name.removesuffix(SUFFIX) if out.name.endswith(SUFFIX) else out.stem
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._") or "scene"
    return out.with_name(f"{stem}_{safe}{SUFFIX}")


def _readers(mosaic: Mosaic, place: StackPlace = FIRST) -> list[Callable[[Region], np.ndarray]]:
    """One function for each channel of a picture."""
    return [partial(mosaic.read, channel=i, place=place) for i in range(len(mosaic.channels))]
