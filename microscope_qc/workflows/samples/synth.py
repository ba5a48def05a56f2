"""Draws a synthetic slide into an OME-Zarr pyramid, with its truth as COCO beside it; or writes a virtual slide."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text
from microscope_qc.slides.pyramid.write import write_ome_zarr
from microscope_qc.slides.virtual.reader import is_virtual, write_virtual

KINDS = {
    "electrode": ("microscope_qc.synthetic.electrode", "ElectrodeSlide"),
    "magnet": ("microscope_qc.synthetic.magnet", "MagnetSlide"),
    "particles": ("microscope_qc.synthetic.particles", "ParticleSlide"),
}
SUFFIXES = (".ome.zarr", ".zarr")
DEFECTS_PER_PX = 150 / (8192 * 8192)
SMALLEST_PX = 64
LARGEST_PX = 200_000
_ALWAYS_TRIED, _PX_OF_ONE = 1_000, 2_000
"""Finding places for more defects than there is room for takes very long: so many, or one for as many pixels."""


def default_defects(shape: tuple[int, int]) -> int:
    """150 defects on 8192 x 8192 pixels, scaled by the area, at least one."""
    return max(1, round(DEFECTS_PER_PX * shape[0] * shape[1]))


def truth_path(out: Path) -> Path:
    """``x.ome.zarr`` -> ``x.truth.json`` beside it."""
    for suffix in SUFFIXES:
        if out.name.endswith(suffix):
            return out.with_name(f"{out.name.removesuffix(suffix)}.truth.json")
    return out.with_name(f"{out.name}.truth.json")


def written_by(out: Path) -> list[Path]:
    """The files that :func:`make` writes for ``out``; a virtual slide has no truth."""
    return [out] if is_virtual(out) else [out, truth_path(out)]


def make(
    kind: str,
    out: Path | str,
    *,
    shape: tuple[int, int] = (8192, 8192),
    seed: int = 0,
    defects: int | None = None,
) -> Job[Path]:
    """Draw a slide tile by tile; the same seed gives the same slide.

    Parameters
    ----------
    kind
        "electrode", "magnet" or "particles".
    out
        Folder of the OME-Zarr; a name that ends with ``.virtual.json`` makes a virtual slide, which may be much larger,
        is computed where it is read, and has no truth.
    shape
        Height and width in pixels.
    defects
        Number of defects; None takes 150 per 8192 x 8192 pixels, scaled by the area.

    Returns
    -------
    Job[Path]
        Yields progress in tiles and returns ``out``; the truth is at :func:`truth_path`.

    Raises
    ------
    InputError
        When the kind is unknown or a number is out of range.
    WriteError
        When the disk is full or read-only.
    """
    target = Path(out)
    if is_virtual(target):
        yield Progress(0, 1, "files")
        return _virtual(kind, target, shape, seed, defects)
    count = default_defects(shape) if defects is None else defects
    _check(kind, shape, seed, count)
    yield Progress(0, 0, "tiles", "preparing the specimen")
    slide = _draw(kind, shape, seed, count)
    yield from write_ome_zarr(
        target,
        shape=shape,
        dtype="uint8",
        rgb=True,
        read=lambda region: _pixels(slide, region),
        pixel_size_um=(slide.pixel_size_um, slide.pixel_size_um),
        name=target.name.removesuffix(".zarr").removesuffix(".ome"),
        workers=max(1, min(8, os.cpu_count() or 1)),
    )
    from microscope_qc.synthetic.truth import coco_truth

    atomic_write(truth_path(target), json.dumps(coco_truth(slide, target.name), indent=1))
    return target


def _virtual(kind: str, out: Path, shape: tuple[int, int], seed: int, defects: int | None) -> Path:
    if kind != "electrode":
        raise InputError(f"There is no virtual slide of the kind {kind}.", hint="Choose electrode.")
    if defects is not None:
        raise InputError(
            "The defects of a virtual slide cannot be chosen: it has no truth.",
            hint="Leave the number out, or make an OME-Zarr.",
        )
    return write_virtual(out, shape=shape, seed=seed)


def _check(kind: str, shape: tuple[int, int], seed: int, defects: int) -> None:
    if kind not in KINDS:
        raise InputError(f"There is no synthetic slide called {kind}.", hint=f"Choose {', '.join(KINDS)}.")
    if not all(SMALLEST_PX <= side <= LARGEST_PX for side in shape):
        raise InputError(
            f"A synthetic slide cannot be {shape[1]} x {shape[0]} pixels.",
            hint=f"Choose {SMALLEST_PX} to {count_text(LARGEST_PX)} for each side.",
        )
    if seed < 0 or defects < 0:
        raise InputError("The seed and the number of defects cannot be negative.")
    most = max(_ALWAYS_TRIED, shape[0] * shape[1] // _PX_OF_ONE)
    if defects > most:
        raise InputError(f"At most {count_text(most)} defects can be drawn on {shape[1]} x {shape[0]} pixels.")


def _draw(kind: str, shape: tuple[int, int], seed: int, defects: int) -> Any:
    import importlib

    module, name = KINDS[kind]
    try:
        slide_type = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"This version cannot draw slides of the kind {kind}.", hint="Choose electrode.") from error
    return slide_type(shape, seed=seed, defects=defects)


def _pixels(slide: Any, region: Region) -> Any:
    return slide.read(region.y0, region.x0, region.y1, region.x1)
