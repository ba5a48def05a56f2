"""What of labelled particles adds up over blocks: voxels, moments, surface, neighbours, slices."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.core.blocks import Block, Triple, VoxelSize

AROUND = 2
"""Voxels around a block that its tally looks at."""
STEPS = tuple((z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0))
"""The 13 directions to the 26 neighbours of a voxel, each once."""


def direction_weights(voxel: VoxelSize) -> np.ndarray:
    """The share of all directions in space that each of the 13 stands for, by the area nearest to it on a sphere."""
    from scipy.spatial import SphericalVoronoi

    vectors = np.array(STEPS, float) * voxel
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    areas = np.asarray(SphericalVoronoi(np.concatenate([unit, -unit])).calculate_areas())
    return np.asarray((areas[:13] + areas[13:]) / (4 * np.pi))


@dataclass(eq=False)
class ParticleTally:
    """Sums over the blocks that were added, by the number of a particle; index 0 is unused.

    Parameters
    ----------
    count
        Highest number of a particle.
    shape
        Of the whole volume.
    voxel
        Edges (z, y, x), in any unit.

    Attributes
    ----------
    surface
        Of each particle, where it meets others, pores or the border.
    dark
        Voxels of each particle that are as dark as pores: holes and cracks inside it.
    interface
        Between all particles and the pores inside the volume.
    """

    count: int
    shape: Triple
    voxel: VoxelSize
    voxels: Ints = field(init=False)
    first_moments: np.ndarray = field(init=False)
    second_moments: np.ndarray = field(init=False)
    low: Ints = field(init=False)
    high: Ints = field(init=False)
    surface: np.ndarray = field(init=False)
    on_faces: Ints = field(init=False)
    dark: Ints = field(init=False)

    def __post_init__(self) -> None:
        size = self.count + 1
        self.voxels = np.zeros(size, np.int64)
        self.first_moments = np.zeros((size, 3))
        self.second_moments = np.zeros((size, 6))  # zz, yy, xx, zy, zx, yx
        self.low = np.full((size, 3), np.iinfo(np.int64).max)
        self.high = np.zeros((size, 3), np.int64)
        self.surface = np.zeros(size)
        self.on_faces = np.zeros((size, 6), np.int64)
        self.dark = np.zeros(size, np.int64)
        self._slices: list[list[tuple[Ints, Ints]]] = [[], [], []]
        self._contacts: list[tuple[Ints, Ints]] = []
        lengths = np.linalg.norm(np.array(STEPS, float) * self.voxel, axis=1)
        self.interface = 0.0
        sides = [[side - abs(s) for side, s in zip(self.shape, step, strict=True)] for step in STEPS]
        # slanted pairs of voxels are missing at the rim of the volume
        self._seen = np.array([math.prod(self.shape) / max(1, math.prod(one)) for one in sides])
        self._areas = 2 * direction_weights(self.voxel) * float(np.prod(self.voxel)) / lengths

    @property
    def outside(self) -> int:
        """What stands for voxels outside the volume."""
        return self.count + 1

    def add(self, around: np.ndarray, block: Block) -> None:
        """Add the labels of a block with ``AROUND`` voxels on each side; ``outside`` where the volume ends."""
        inner = around[(slice(AROUND, -AROUND),) * 3]
        present = np.flatnonzero(np.bincount(inner.ravel()))
        present = present[present > 0]
        if len(present):
            self._add_moments(inner, block, present)
        self._add_surface(around, block)

    def add_dark(self, inner: np.ndarray, flaws: np.ndarray) -> None:
        """Add the labels of a block, and where particles are as dark as pores."""
        self.dark += np.bincount(inner[flaws > 0], minlength=self.count + 1)

    def _add_moments(self, inner: np.ndarray, block: Block, present: Ints) -> None:
        places = np.nonzero(inner)
        small = np.zeros(int(present[-1]) + 1, np.int64)
        small[present] = np.arange(len(present))
        which, count = small[inner[places]], len(present)
        self.voxels[present] += np.bincount(which, minlength=count)
        along = [place + start for place, start in zip(places, block.start, strict=True)]
        for axis, (place, side) in enumerate(zip(places, inner.shape, strict=True)):
            profile = np.bincount(which * side + place, minlength=count * side).reshape(count, side)
            at = np.arange(side) + block.start[axis]
            self.first_moments[present, axis] += profile @ at
            self.second_moments[present, axis] += profile @ (at.astype(float) ** 2)
            seen = profile > 0
            self.low[present, axis] = np.minimum(self.low[present, axis], at[seen.argmax(axis=1)])
            self.high[present, axis] = np.maximum(self.high[present, axis], at[::-1][seen[:, ::-1].argmax(axis=1)] + 1)
            rows, columns = np.nonzero(seen)
            self._slices[axis].append(
                (present[rows] * self.shape[axis] + at[columns], profile[rows, columns].astype(np.int64))
            )
            if block.start[axis] == 0:
                self.on_faces[present, 2 * axis] += profile[:, 0]
            if block.stop[axis] == self.shape[axis]:
                self.on_faces[present, 2 * axis + 1] += profile[:, -1]
        for mixed, (a, b) in enumerate(((0, 1), (0, 2), (1, 2)), start=3):
            product = along[a].astype(float) * along[b]
            self.second_moments[present, mixed] += np.bincount(which, weights=product, minlength=count)

    def _add_surface(self, around: np.ndarray, block: Block) -> None:
        """Crossings of the surface along 13 directions; the surface of a particle closes where the volume ends.

        A pair of voxels belongs to the block of its first voxel; pairs that begin outside the volume to the block
        beside them.
        """
        first = [AROUND - (a == 0) for a in block.start]
        last = [
            side - AROUND + (b == whole) for side, b, whole in zip(around.shape, block.stop, self.shape, strict=True)
        ]
        here = around[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        for step, area, seen in zip(STEPS, self._areas, self._seen, strict=True):
            there = around[tuple(slice(a + s, b + s) for a, b, s in zip(first, last, step, strict=True))]
            differ = here != there
            one, other = here[differ].astype(np.int64), there[differ].astype(np.int64)
            crossings = np.bincount(one, minlength=self.count + 2) + np.bincount(other, minlength=self.count + 2)
            self.surface += area * crossings[:-1]
            beyond = np.maximum(one, other) == self.outside
            inside = int(crossings[0]) - int((beyond & (np.minimum(one, other) == 0)).sum())
            self.interface += area * seen * inside
            if sum(map(abs, step)) == 1:
                touching = (one > 0) & (other > 0) & ~beyond
                low, high = np.minimum(one, other)[touching], np.maximum(one, other)[touching]
                pairs, counts = np.unique(low * (self.count + 1) + high, return_counts=True)
                self._contacts.append((pairs, counts.astype(np.int64)))

    def contacts(self) -> tuple[Ints, Ints, Ints]:
        """Pairs of particles that share faces of voxels: the lower number, the higher, and how many faces."""
        pairs, counts = _summed(self._contacts)
        return pairs // (self.count + 1), pairs % (self.count + 1), counts

    def slice_areas(self, axis: int) -> tuple[Ints, Ints, Ints]:
        """Voxels of each particle in each slice across an axis: number of the particle, the slice, the voxels."""
        keys, counts = _summed(self._slices[axis])
        return keys // self.shape[axis], keys % self.shape[axis], counts

    def largest_slices(self) -> Ints:
        """Voxels of the largest cross-section of each particle across z, y and x, shape (count + 1, 3)."""
        largest = np.zeros((self.count + 1, 3), np.int64)
        for axis in range(3):
            particles, _, areas = self.slice_areas(axis)
            np.maximum.at(largest[:, axis], particles, areas)
        return largest


def _summed(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Keys, each once, and the sums of their counts."""
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys, place = np.unique(np.concatenate([one for one, _ in parts]), return_inverse=True)
    sums = np.zeros(len(keys), np.int64)
    np.add.at(sums, place, np.concatenate([counts for _, counts in parts]))
    parts[:] = [(keys, sums)]
    return keys, sums
