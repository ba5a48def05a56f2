"""How much the shape of a phase slows diffusion through it: the tortuosity factor along an axis.

Steady diffusion from one face of the volume to the opposite one, on the voxels of the phase: finite volumes, each voxel
exchanging with its six neighbours, solved by conjugate gradients. The tortuosity factor is the share of the phase times
the diffusivity of the free phase by the effective one.

S. J. Cooper et al., "TauFactor: An open-source application for calculating tortuosity factors from tomographic data",
SoftwareX 5 (2016) 203.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.blocks import VoxelSize
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text

MOST_VOXELS = 40_000_000
"""More conducting voxels need more than 8 GB."""
_CHECKED_EVERY = 20
_AGREES = 2e-3
"""The flow in and the flow out agree this well when it is solved."""
_SETTLED = 2e-4
_MOST_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Tortuosity:
    """Transport through a phase along an axis.

    Attributes
    ----------
    axis
        0, 1 or 2 for z, y or x.
    fraction
        Share of the phase, and of what of it goes through from face to face.
    factor
        Tortuosity factor; None where nothing goes through.
    bounds
        Between them the factor lies, by what flows in and out after the last step.
    steps
        Of the solver.
    """

    axis: int
    fraction: float
    through: float
    factor: float | None
    bounds: tuple[float, float] | None
    steps: int


def tortuosity(phase: np.ndarray, axis: int, voxel: VoxelSize = (1.0, 1.0, 1.0)) -> Job[Tortuosity]:
    """Solve for one axis.

    Parameters
    ----------
    phase
        Where the phase is, bool (z, y, x).
    voxel
        Edges (z, y, x), in any unit.

    Returns
    -------
    Job[Tortuosity]
        Yields progress in the logarithm of the disagreement of the flows.

    Raises
    ------
    InputError
        When the phase fills too many voxels to be solved in memory.
    """
    along = np.moveaxis(phase, axis, 0)
    fraction = float(along.mean())
    first, second = (voxel[k] for k in range(3) if k != axis)
    edges = voxel[axis], first, second
    yield Progress(0, 0, "", "looking for ways through")
    through = _through(along)
    count = int(through.sum())
    if not count:
        return Tortuosity(axis, fraction, 0.0, None, None, 0)
    if count > MOST_VOXELS:
        raise InputError(
            f"{count_text(count)} voxels are too many to be solved at once.",
            hint=f"Choose a part of the volume with at most {count_text(MOST_VOXELS)} voxels of the phase.",
        )
    system = _system(through, edges)
    length, section = along.shape[0] * edges[0], along.shape[1] * along.shape[2] * edges[1] * edges[2]
    flows, steps = yield from _solved(*system)
    bounds = sorted(fraction * section / (length * flow) if flow > 0 else math.inf for flow in flows)
    factor = fraction * section / (length * float(np.mean(flows)))
    return Tortuosity(axis, fraction, count / along.size, factor, (bounds[0], bounds[1]), steps)


def _through(along: np.ndarray) -> np.ndarray:
    """The parts of the phase that reach from the first to the last slice."""
    from scipy import ndimage

    parts, _ = ndimage.label(along)
    both = np.intersect1d(parts[0], parts[-1])
    return np.isin(parts, both[both > 0])


def _system(through: np.ndarray, edges: VoxelSize) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, float]:
    """The matrix, its right side, which voxels lie at the inlet and at the outlet, and the conductance there."""
    from scipy import sparse

    count = int(through.sum())
    number = np.full(through.shape, -1, np.int32)
    number[through] = np.arange(count, dtype=np.int32)
    diagonal = np.zeros(count)
    rows, columns, values = [], [], []
    volume = math.prod(edges)
    for axis, edge in enumerate(edges):
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        joined = through[tuple(low)] & through[tuple(high)]
        first, second = number[tuple(low)][joined], number[tuple(high)][joined]
        conductance = volume / edge**2
        rows += [first, second]
        columns += [second, first]
        values.append(np.full(2 * len(first), -conductance))
        diagonal += conductance * (np.bincount(first, minlength=count) + np.bincount(second, minlength=count))
    at_face = 2 * volume / edges[0] ** 2  # half a voxel from the centre to the face
    inlet, outlet = number[0][through[0]], number[-1][through[-1]]
    right = np.zeros(count)
    np.add.at(diagonal, inlet, at_face)
    np.add.at(diagonal, outlet, at_face)
    right[inlet] += at_face
    own = np.arange(count, dtype=np.int32)
    matrix = sparse.csr_matrix(
        (np.concatenate([*values, diagonal]), (np.concatenate([*rows, own]), np.concatenate([*columns, own]))),
        shape=(count, count),
    )
    return matrix, right, inlet, outlet, at_face


def _solved(
    matrix: Any, right: np.ndarray, inlet: np.ndarray, outlet: np.ndarray, at_face: float
) -> Job[tuple[tuple[float, float], int]]:
    """Conjugate gradients with the diagonal as preconditioner, until what flows in flows out.

    M. R. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409.
    """
    inverse = 1 / matrix.diagonal()
    values = np.full(len(right), 0.5)
    rest = right - matrix @ values
    step = inverse * rest
    direction, product = step.copy(), float(rest @ step)
    before, goal = math.inf, math.log(1 / _AGREES)
    flows = (0.0, 0.0)
    for steps in range(1, _MOST_STEPS + 1):
        image = matrix @ direction
        length = product / max(float(direction @ image), 1e-300)
        values += length * direction
        rest -= length * image
        step = inverse * rest
        new = float(rest @ step)
        if steps % _CHECKED_EVERY == 0 or new < 1e-24:
            flows = at_face * float((1 - values[inlet]).sum()), at_face * float(values[outlet].sum())
            mean = sum(flows) / 2
            apart = abs(flows[0] - flows[1]) / max(mean, 1e-300)
            yield Progress(min(goal, math.log(1 / max(apart, _AGREES))), goal, "", "solving diffusion")
            if new < 1e-24 or (apart < _AGREES and abs(mean - before) < _SETTLED * mean):
                break
            before = mean
        direction *= new / product
        direction += step
        product = new
    return flows, steps
