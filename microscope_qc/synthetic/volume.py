"""Synthetic tomogram of touching particles, some of them cracked, with its label truth: streamed at any size.

Particles sit on a jittered lattice and grow until they meet: touching ones share a flat contact, and more than half of
the volume is solid. Cracks run from the surface inwards or through, and are as dark as the pores they open to. The
camera blurs, adds noise (contrast-to-noise below 2) and the rings that a detector leaves around the axis of rotation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microscope_qc.core.blocks import Block, Triple

UNIT = 64
"""Noise is drawn for cubes of so many voxels, so that it does not depend on the block that is read."""
PITCH = 40.0
PORE_GREY, SOLID_GREY = 92.0, 150.0
NOISE = 32.0
RING_NOISE = 5.0
BLUR = 0.7
_MARGIN = 3
_JITTER = 0.13
_RADII = (0.46, 0.62)
_LOBES = 0.05
CONTRAST_TO_NOISE = (SOLID_GREY - PORE_GREY) / NOISE


@dataclass(frozen=True, slots=True)
class TrueParticle:
    """A particle as it was drawn.

    Attributes
    ----------
    number
        Its label.
    centre
        (z, y, x) in voxels.
    radius
        In voxels, before neighbours cut into it.
    cracked
        Whether cracks run through it.
    """

    number: int
    centre: tuple[float, float, float]
    radius: float
    cracked: bool


class ParticleVolume:
    """A volume that is computed where it is read; a block does not depend on how it is cut.

    Parameters
    ----------
    shape
        Voxels along z, y and x.
    seed
        The same seed gives the same volume.
    particles
        About how many; None keeps them at 18 to 25 voxels radius.
    cracked
        Share of cracked ones, 0 to 1.
    """

    voxel_um = 0.064

    def __init__(self, shape: Triple, *, seed: int = 0, particles: int | None = None, cracked: float = 0.3) -> None:
        self.shape, self.seed, self.cracked = shape, seed, cracked
        voxels = shape[0] * shape[1] * shape[2]
        self.pitch = PITCH if particles is None else (voxels / particles) ** (1 / 3)
        z, y, x = (max(1, math.ceil(side / self.pitch)) for side in shape)
        self._cells = z, y, x
        rings = np.random.default_rng([seed, 7])
        self._rings = rings.normal(0, RING_NOISE, (16, math.ceil(math.hypot(shape[1], shape[2])) + 2))

    def labels(self, block: Block) -> np.ndarray:
        """Numbers of the particles in a block, cracks included: uint32 (z, y, x), 0 in the pores."""
        return self._drawn(block)[0]

    def read(self, block: Block) -> np.ndarray:
        """Grey values of a block, uint8 (z, y, x)."""
        from scipy import ndimage

        wide = Block(
            tuple(a - _MARGIN for a in block.start),  # type: ignore[arg-type]
            tuple(b + _MARGIN for b in block.stop),  # type: ignore[arg-type]
        )
        labels, cracks = self._drawn(wide)
        grey = np.where((labels > 0) & ~cracks, SOLID_GREY, PORE_GREY).astype(np.float32)
        grey = ndimage.gaussian_filter(grey, BLUR)[(slice(_MARGIN, -_MARGIN),) * 3]
        grey += self._noise(block)
        grey += self._ring(block)
        return np.asarray(np.clip(grey + 0.5, 0, 255), np.uint8)

    def particle(self, cell: Triple) -> TrueParticle:
        """The particle of a cell of the lattice."""
        return _particle(self.seed, cell, self._cells, self.pitch, self.cracked)

    def particles(self) -> Iterator[TrueParticle]:
        """All particles; a few at the border may have no voxel inside."""
        for cell in np.ndindex(*self._cells):
            yield self.particle((int(cell[0]), int(cell[1]), int(cell[2])))

    def _drawn(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Labels, and where cracks are."""
        labels = np.zeros(block.shape, np.uint32)
        nearest = np.full(block.shape, np.inf, np.float32)
        cracks = np.zeros(block.shape, bool)
        reach = self.pitch * (_RADII[1] * (1 + 3 * _LOBES) + _JITTER)
        ranges = [
            range(
                max(0, math.floor((a - reach) / self.pitch - 0.5)),
                min(count, math.ceil((b + reach) / self.pitch + 0.5)),
            )
            for a, b, count in zip(block.start, block.stop, self._cells, strict=True)
        ]
        for z in ranges[0]:
            for y in ranges[1]:
                for x in ranges[2]:
                    self._draw(self.particle((z, y, x)), block, labels, nearest, cracks)
        return labels, cracks

    def _draw(
        self, particle: TrueParticle, block: Block, labels: np.ndarray, nearest: np.ndarray, cracks: np.ndarray
    ) -> None:
        reach = particle.radius * (1 + 3 * _LOBES) + 1
        sides = [
            (max(a, math.floor(c - reach)), min(b, math.ceil(c + reach) + 1))
            for a, b, c in zip(block.start, block.stop, particle.centre, strict=True)
        ]
        if any(a >= b for a, b in sides):
            return
        part = tuple(slice(a - origin, b - origin) for (a, b), origin in zip(sides, block.start, strict=True))
        z, y, x = np.ogrid[tuple(slice(a, b) for a, b in sides)]
        offset = [(axis - centre).astype(np.float32) for axis, centre in zip((z, y, x), particle.centre, strict=True)]
        rng = np.random.default_rng([self.seed, 3, particle.number])
        distance = np.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2)
        lobes = sum(
            np.cos(_along(offset, rng) * (2.5 / particle.radius) + rng.uniform(0, 2 * math.pi)) for _ in range(3)
        )
        depth = distance / (particle.radius * (1 + _LOBES * lobes))
        mine = (depth < 1) & (depth < nearest[part])
        nearest[part][mine] = depth[mine]
        labels[part][mine] = particle.number
        cracks[part][mine] = False
        if particle.cracked:
            for _ in range(int(rng.integers(1, 3))):
                cracks[part] |= mine & _crack(offset, particle.radius, rng)

    def _noise(self, block: Block) -> np.ndarray:
        noise = np.empty(block.shape, np.float32)
        starts = [range(a // UNIT * UNIT, b, UNIT) for a, b in zip(block.start, block.stop, strict=True)]
        for z in starts[0]:
            for y in starts[1]:
                for x in starts[2]:
                    rng = np.random.default_rng([self.seed, 5, z, y, x])
                    unit = rng.standard_normal((UNIT,) * 3, np.float32)
                    low = [max(a, b) for a, b in zip((z, y, x), block.start, strict=True)]
                    high = [min(a + UNIT, b) for a, b in zip((z, y, x), block.stop, strict=True)]
                    cube = Block((low[0], low[1], low[2]), (high[0], high[1], high[2]))
                    noise[cube.inside(block)] = unit[cube.inside(Block((z, y, x), (z, y, x)))]
        return noise * NOISE

    def _ring(self, block: Block) -> np.ndarray:
        (z0, y0, x0), (z1, y1, x1) = block.start, block.stop
        y, x = np.ogrid[y0:y1, x0:x1]
        radius = np.hypot(y - self.shape[1] / 2, x - self.shape[2] / 2).astype(np.intp)
        # a faulty pixel of the detector draws one ring, in the slices that its row takes
        return np.stack([self._rings[z // 8 % len(self._rings)][radius] for z in range(z0, z1)]).astype(np.float32)


def _crack(offset: list[np.ndarray], radius: float, rng: np.random.Generator) -> np.ndarray:
    """A wavy sheet: two thirds of them go through, the others begin at the surface and end behind the centre."""
    normal, along = _direction(rng), _direction(rng)
    across = sum(component * axis for component, axis in zip(normal, offset, strict=True))
    wave = _along(offset, rng) * (4.0 / radius)
    sheet = np.abs(across - rng.uniform(-0.2, 0.2) * radius + 0.06 * radius * np.sin(wave))
    crack = sheet < max(1.3, rng.uniform(0.05, 0.09) * radius)
    if rng.random() < 1 / 3:
        crack &= sum(component * axis for component, axis in zip(along, offset, strict=True)) > -0.3 * radius
    return np.asarray(crack)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _along(offset: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    z, y, x = (component * axis for component, axis in zip(_direction(rng), offset, strict=True))
    return np.asarray(z + y + x)


@lru_cache(maxsize=65536)
def _particle(seed: int, cell: Triple, cells: Triple, pitch: float, cracked: float) -> TrueParticle:
    number = (cell[0] * cells[1] + cell[1]) * cells[2] + cell[2] + 1
    rng = np.random.default_rng([seed, 1, number])
    shift = rng.uniform(-_JITTER, _JITTER, 3)
    z, y, x = ((place + 0.5 + move) * pitch for place, move in zip(cell, shift, strict=True))
    radius = pitch * float(rng.uniform(*_RADII))
    return TrueParticle(number, (float(z), float(y), float(x)), radius, bool(rng.random() < cracked))
