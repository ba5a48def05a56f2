"""Copy a slide of any format into OME-Zarr pyramids, without losing a grey value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.slides.pyramid import write_ome_zarr

SUFFIX = ".ome.zarr"


def convert(
    slide_path: Path | str, out_path: Path | str, *, scene: str | None = None, pixel_size_um: float | None = None
) -> Job[list[Path]]:
    """Write every scene of a slide, or one of them, as an OME-Zarr 0.5 pyramid.

    Parameters
    ----------
    out_path
        Folder to make. Several scenes make ``OUT_<scene>.ome.zarr`` each.
    scene
        Name of the only scene to convert.
    pixel_size_um
        Size of a pixel, over what the file says.

    Returns
    -------
    Job[list of Path]
        Yields progress in tiles of the scene at work and returns the folders written.

    Raises
    ------
    SlideError
        When the slide cannot be read.
    WriteError
        When the disk is full or read-only; what was there before stays.
    """
    source, out = Path(slide_path), Path(out_path)
    with open_slide(source, pixel_size_um=pixel_size_um) as slide:
        mosaics = list(slide.scenes) if scene is None else [slide.scene(scene)]
        targets = [out] if len(mosaics) == 1 else [_scene_path(out, mosaic.name) for mosaic in mosaics]
        if any(target.resolve() == source.resolve() for target in targets):
            raise InputError(f"{source.name} cannot be converted into itself.", hint="Choose another name.")
        written = []
        for mosaic, target in zip(mosaics, targets, strict=True):
            path = yield from write_ome_zarr(
                target,
                shape=mosaic.shape,
                dtype=mosaic.dtype,
                rgb=mosaic.rgb,
                read=_reader(mosaic),
                pixel_size_um=mosaic.pixel_size_um,
                channels=mosaic.channels,
                name=mosaic.name or source.stem,
                origin_px=mosaic.origin_px,
                stage=mosaic.stage,
                workers=max(1, min(8, os.cpu_count() or 1)),
            )
            written.append(path)
    return written


def _scene_path(out: Path, name: str) -> Path:
    stem = out.name.removesuffix(SUFFIX) if out.name.endswith(SUFFIX) else out.stem
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._") or "scene"
    return out.with_name(f"{stem}_{safe}{SUFFIX}")


def _reader(mosaic: Mosaic) -> Callable[[Region], np.ndarray]:
    count = len(mosaic.channels)
    if count == 1:
        return mosaic.read
    return lambda region: np.stack([mosaic.read(region, channel=i) for i in range(count)])
