"""Phases of a segmented volume: shares, specific surface, and tortuosity factors of one of them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.counts import LEVEL, t_quantile
from microscope_qc.analysis.particles.tally import AROUND, ParticleTally
from microscope_qc.analysis.transport import Tortuosity, tortuosity
from microscope_qc.core.blocks import AXES, Block, blocks_of, whole
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.core.wording import listed
from microscope_qc.slides.volumes.volume import Volume

MOST_PHASES = 16
MOST_MEMORY_VOXELS = 1 << 30
_PARTS = 3
"""The interval of a share comes from so many parts along each axis."""
_BLOCK = (64, 256, 256)


def structure(volume: Volume, *, phase: int | None = None, axes: str = "zyx") -> Job[dict[str, Any]]:
    """Describe the phases of a segmented volume, whose few values are the phases.

    Parameters
    ----------
    phase
        The value of the phase that conducts; None leaves tortuosity out.
    axes
        Along which its tortuosity factor is solved: "zyx", "z" ...

    Returns
    -------
    Job[dict]
        Shares with their intervals (95 %, Student's t over 27 parts of the volume), specific surface (interface inside
        the volume by its volume, per um or voxel) of each phase, and tortuosity factors with the bounds of the solver.

    Raises
    ------
    InputError
        When the volume is not segmented, there is no such phase or axis, or it does not fit into memory.
    """
    if not axes or set(axes) - set(AXES):
        raise InputError(f"“{axes}” are no axes.", hint="Give z, y, x or several of them.")
    counts = yield from _counted(volume)
    if phase is not None and phase not in counts:
        values = listed([str(value) for value in counts])
        raise InputError(f"{volume.path.name} has no phase {phase}; it has {values}.")
    surfaces = yield from _surfaces(volume, list(counts))
    voxel = volume.voxel_um or (1.0, 1.0, 1.0)
    unit = "um" if volume.voxel_um else "voxel"
    size = volume.voxels * float(np.prod(voxel))
    document: dict[str, Any] = {
        "volume": {
            "name": volume.path.name, "shape": list(volume.shape), "voxel_um": volume.voxel_um,
            "voxel_source": volume.voxel_source,
        },
        "unit": unit,
        "phases": [
            {
                "value": value, "share": float(parts.sum() / volume.voxels), "interval": _interval(volume, parts),
                "parts": int(parts.size), "voxels": int(parts.sum()), f"surface_per_{unit}": surfaces[value] / size,
            }
            for value, parts in counts.items()
        ],
    }  # fmt: skip
    if phase is not None:
        solved = yield from _tortuosities(volume, phase, axes)
        document["tortuosity"] = [{"phase": phase, **_words(one)} for one in solved]
    return document


def write_structure(document: dict[str, Any], out: Path) -> Path:
    """Write the document as JSON."""
    atomic_write(out, json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
    return out


def _counted(volume: Volume) -> Job[dict[int, np.ndarray]]:
    """Voxels of each phase in each of 27 parts."""
    if volume.dtype.kind not in "bui":
        raise InputError(f"{volume.path.name} has grey values, not phases.", hint="Segment it first.")
    size = tuple(-(-side // _PARTS) for side in volume.shape)
    parts = blocks_of(volume.shape, (size[0], size[1], size[2]))
    found: dict[int, np.ndarray] = {}
    for done, part in enumerate(parts):
        yield Progress(done, len(parts), "parts", "counting phases")
        for block in blocks_of(part.shape, _BLOCK):
            moved = Block(_sum(block.start, part.start), _sum(block.stop, part.start))
            values, counts = np.unique(volume.read(moved), return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                found.setdefault(int(value), np.zeros(len(parts), np.int64))[done] += count
            if len(found) > MOST_PHASES:
                raise InputError(
                    f"{volume.path.name} has more than {MOST_PHASES} values: grey values, not phases.",
                    hint="Segment it first.",
                )
    return dict(sorted(found.items()))


def _interval(volume: Volume, counts: np.ndarray) -> tuple[float, float] | None:
    """Interval of a share from its spread between the parts, each taken for as large as the others."""
    if len(counts) < _PARTS**3:
        return None
    size = tuple(-(-side // _PARTS) for side in volume.shape)
    voxels = np.array([part.voxels for part in blocks_of(volume.shape, (size[0], size[1], size[2]))], float)
    share = float(counts.sum() / voxels.sum())
    spread = float(np.sqrt(np.sum(voxels * (counts / voxels - share) ** 2) / voxels.sum() / (len(counts) - 1)))
    reach = t_quantile(len(counts) - 1, LEVEL) * spread
    return max(0.0, share - reach), min(1.0, share + reach)


def _surfaces(volume: Volume, values: list[int]) -> Job[dict[int, float]]:
    """Area between each phase and all others inside the volume."""
    blocks = blocks_of(volume.shape, _BLOCK)
    tallies = {value: ParticleTally(1, volume.shape, volume.voxel_um or (1.0, 1.0, 1.0)) for value in values}
    for done, block in enumerate(blocks):
        yield Progress(done, len(blocks), "blocks", "measuring surfaces")
        wide = block.grown(AROUND, volume.shape)
        missing = [
            (a - (low - AROUND), high + AROUND - b)
            for low, high, a, b in zip(block.start, block.stop, wide.start, wide.stop, strict=True)
        ]
        read = volume.read(wide)
        for value, tally in tallies.items():
            tally.add(np.pad((read == value).astype(np.uint32), missing, constant_values=tally.outside), block)
    return {value: tally.interface for value, tally in tallies.items()}


def _tortuosities(volume: Volume, phase: int, axes: str) -> Job[list[Tortuosity]]:
    if volume.voxels > MOST_MEMORY_VOXELS:
        raise InputError(
            f"{volume.path.name} is too large for a tortuosity factor to be solved.", hint="Choose a part of it."
        )
    mask = np.concatenate(
        [volume.read(block) == phase for block in blocks_of(volume.shape, (64, *whole(volume.shape).shape[1:]))]
    )
    found = []
    for name in axes:
        job = tortuosity(mask, AXES.index(name), volume.voxel_um or (1.0, 1.0, 1.0))
        found.append((yield from retold(job, partial(_along, name))))
    return found


def _along(name: str, step: Progress) -> Progress:
    return replace(step, note=f"{step.note} along {name}")


def _words(one: Tortuosity) -> dict[str, Any]:
    return {
        "axis": AXES[one.axis], "factor": one.factor, "bounds": one.bounds, "share": one.fraction,
        "share_through": one.through, "steps": one.steps,
    }  # fmt: skip


def _sum(first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int]:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]
