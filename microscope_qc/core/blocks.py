"""Blocks of a volume: boxes of whole voxels in the order z, y, x."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Triple = tuple[int, int, int]
VoxelSize = tuple[float, float, float]
AXES = ("z", "y", "x")


@dataclass(frozen=True, slots=True)
class Block:
    """A half-open box of voxels from ``start`` to ``stop``, both (z, y, x)."""

    start: Triple
    stop: Triple

    @property
    def shape(self) -> Triple:
        """Voxels along z, y and x."""
        z, y, x = (max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """For indexing an array of the whole volume."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def grown(self, by: int, shape: Triple) -> Block:
        """The block with ``by`` more voxels on each side, as far as a volume of this shape reaches."""
        return Block(
            _triple(max(0, a - by) for a in self.start),
            _triple(min(side, b + by) for b, side in zip(self.stop, shape, strict=True)),
        )

    def inside(self, larger: Block) -> tuple[slice, slice, slice]:
        """Slices of this block in an array that holds a larger one."""
        z, y, x = (
            slice(a - origin, b - origin) for a, b, origin in zip(self.start, self.stop, larger.start, strict=True)
        )
        return z, y, x


def whole(shape: Triple) -> Block:
    """The block of all voxels."""
    return Block((0, 0, 0), shape)


def blocks_of(shape: Triple, size: Triple) -> list[Block]:
    """Blocks of a size that cover a volume without overlap, x running fastest; the last ones may be smaller."""
    return [
        Block((z, y, x), (min(z + size[0], shape[0]), min(y + size[1], shape[1]), min(x + size[2], shape[2])))
        for z in range(0, shape[0], size[0])
        for y in range(0, shape[1], size[1])
        for x in range(0, shape[2], size[2])
    ]


def _triple(values: Iterator[int]) -> Triple:
    z, y, x = values
    return z, y, x
