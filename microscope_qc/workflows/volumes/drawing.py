"""Draws a synthetic volume of particles into an OME-Zarr, with its labels and its truth beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from microscope_qc.core.blocks import Triple, blocks_of
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job
from microscope_qc.slides.volumes.zarr_store import create_store
from microscope_qc.synthetic.volume import CONTRAST_TO_NOISE, ParticleVolume
from microscope_qc.workflows.samples.synth import truth_path
from microscope_qc.workflows.volumes.parallel import in_parallel

SMALLEST, LARGEST = 32, 8192
MOST_PARTICLES = 1_000_000
_DRAWN = 128


def labels_path(out: Path) -> Path:
    """``x.ome.zarr`` -> ``x.labels.ome.zarr`` beside it."""
    return out.with_name(truth_path(out).name.removesuffix(".truth.json") + ".labels.ome.zarr")


def draw_volume(
    out: Path, shape: Triple, *, seed: int = 0, particles: int | None = None, cracked: float = 0.3
) -> Job[list[Path]]:
    """Draw touching particles, some of them cracked; see :class:`~microscope_qc.synthetic.volume.ParticleVolume`.

    Parameters
    ----------
    out
        Folder of the OME-Zarr (uint8, 64 nm voxels). Its labels (uint32, cracks included) lie beside it as
        ``OUT.labels.ome.zarr``, and as ``OUT.truth.json`` each particle with its centre (z, y, x), radius, voxels and
        whether it is cracked.
    particles
        About how many; None keeps them at 18 to 25 voxels radius.
    cracked
        Share of cracked ones.

    Returns
    -------
    Job[list of Path]
        Yields progress in blocks and returns what was written.

    Raises
    ------
    InputError
        When a number is out of range.
    WriteError
        When the disk is full or read-only.
    """
    if not all(SMALLEST <= side <= LARGEST for side in shape):
        raise InputError(
            f"A synthetic volume cannot have a side of {max(shape)} or {min(shape)} voxels.",
            hint=f"Choose {SMALLEST} to {LARGEST} for each side.",
        )
    if not 0 <= cracked <= 1 or (particles is not None and not 1 <= particles <= MOST_PARTICLES) or seed < 0:
        raise InputError(
            "The share of cracked particles is 0 to 1, and there are 1 to 1,000,000 of them.", hint="Change the number."
        )
    drawn = ParticleVolume(shape, seed=seed, particles=particles, cracked=cracked)
    voxel = (drawn.voxel_um,) * 3
    name = out.name.removesuffix(".zarr").removesuffix(".ome")
    grey = create_store(out, shape, np.uint8, voxel_um=voxel, name=name)
    labels = create_store(labels_path(out), shape, np.uint32, voxel_um=voxel, name=f"{name} labels", labels=True)
    blocks = blocks_of(shape, (_DRAWN,) * 3)
    voxels: dict[int, int] = {}

    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        block = blocks[index]
        grey.write(block, drawn.read(block))
        truth = drawn.labels(block)
        labels.write(block, truth)
        return np.unique(truth, return_counts=True)

    def count(found: tuple[np.ndarray, np.ndarray]) -> None:
        for number, many in zip(found[0].tolist(), found[1].tolist(), strict=True):
            voxels[number] = voxels.get(number, 0) + many

    workers = min(4, os.cpu_count() or 1)
    yield from in_parallel(range(len(blocks)), draw, workers, total=len(blocks), note="drawing", take=count)
    solid = 1 - voxels.get(0, 0) / float(np.prod(shape, dtype=float))
    document = {
        "shape": list(shape), "voxel_um": list(voxel), "seed": seed, "solid_fraction": solid,
        "contrast_to_noise": CONTRAST_TO_NOISE,
        "particles": [
            {"id": one.number, "centre_px": list(one.centre), "radius_px": one.radius, "cracked": one.cracked,
             "voxels": voxels[one.number]}
            for one in drawn.particles()
            if one.number in voxels
        ],
    }  # fmt: skip
    atomic_write(truth_path(out), json.dumps(document, indent=1))
    return [out, labels_path(out), truth_path(out)]
