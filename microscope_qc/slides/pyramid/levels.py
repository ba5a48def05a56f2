"""The levels of a pyramid: their sizes, how one is made from the finer one, how they are cut into chunks and shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.core.geometry import Region

CHUNK_PX = 512
SHARD_PX = 4096
# measured on micrographs: smaller by 2 % than plain zstd of the same level and a third faster to read; lz4 packs noise
# not at all. tests/benchmarks/conversion.py prints the table
CODEC_NAME, CODEC_LEVEL = "zstd", 1
MAX_TILE_BYTES = 16 << 20
MAX_ROW_BYTES = 256 << 20
MIN_STRIP_PX = 2048
_RESIZED_EXACTLY = (np.uint8, np.uint16, np.int16, np.float32, np.float64)

Shard = tuple[int, ...]  # level, row, column; in a stack also the indices of the picture along t and z


def level_shapes(shape: tuple[int, int], *, smallest_px: int = CHUNK_PX) -> list[tuple[int, int]]:
    """Sizes of a pyramid that halves (rounding up) until the smaller side is at most ``smallest_px``."""
    shapes = [shape]
    while min(shapes[-1]) > smallest_px:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def halve(planes: np.ndarray, *, ties_up: bool = True) -> np.ndarray:
    """Average blocks of 2 x 2 pixels of (c, y, x); the last row or column of an odd side is repeated.

    Integers are rounded to the nearest; ``ties_up`` says whether a mean halfway between two values is rounded up or
    down. A pyramid alternates: always rounding up would brighten noise by 1/8 grey value per level.
    """
    height, width = planes.shape[1:]
    if height % 2 or width % 2:
        planes = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    if planes.dtype in _RESIZED_EXACTLY:
        return _resize(planes, ties_up=ties_up)
    corners = [planes[:, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    if planes.dtype.kind == "f":
        mean: Floats = np.mean([corner.astype(np.float32) for corner in corners], axis=0)
        return mean.astype(planes.dtype)
    kind = planes.dtype
    if kind.kind == "b":
        corners = [corner.view(np.uint8) for corner in corners]
    # quarters first, so that no sum overflows, even for 64-bit numbers: (a + b + c + d) / 4
    rest = np.sum([(corner & 3).astype(np.uint8) for corner in corners], axis=0, dtype=np.uint8)
    carry = (rest + (2 if ties_up else 1)) >> 2
    quarters = [carry.astype(corners[0].dtype), *(corner >> 2 for corner in corners)]
    total: Ints = np.sum(quarters, axis=0, dtype=corners[0].dtype)
    return total.astype(kind)


def _resize(planes: np.ndarray, *, ties_up: bool) -> np.ndarray:
    import cv2

    # OpenCV rounds ties up, which is down for the complement
    turned = planes.dtype.kind in "iu" and not ties_up
    half = np.empty((len(planes), planes.shape[1] // 2, planes.shape[2] // 2), planes.dtype)
    for source, out in zip(planes, half, strict=True):
        cv2.resize(~source if turned else source, out.shape[::-1], dst=out, interpolation=cv2.INTER_AREA)
    return np.invert(half, out=half) if turned else half


@dataclass(frozen=True)
class PyramidPlan:
    """What is written, and how it is divided: tiles are processed, chunks are compressed, shards are files.

    ``strip_px`` is the width of the pieces in which the source is stored: decoding a strip for one tile decodes it for
    all tiles of the row. A stack has ``counts`` of pictures along t and z; tiles are those of the picture ``at``.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    planes: int
    rgb: bool
    strip_px: int = 0
    counts: tuple[int, int] | None = None
    at: tuple[int, int] = (0, 0)

    def pictures(self) -> Iterator[PyramidPlan]:
        """The plan for each picture of a stack; itself where there is only one."""
        if self.counts is None:
            yield self
            return
        for t in range(self.counts[0]):
            for z in range(self.counts[1]):
                yield replace(self, at=(t, z))

    @property
    def picture_count(self) -> int:
        """Number of pictures."""
        return 1 if self.counts is None else self.counts[0] * self.counts[1]

    def cut(self, array: Any, region: Region) -> Any:
        """The planes (c, h, w) of a region in the array of a level."""
        place = (slice(region.y0, region.y1), slice(region.x0, region.x1))
        if self.counts is None:
            return array[(slice(None), *place)]
        return array[(self.at[0], slice(None), self.at[1], *place)]

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Height and width of every level, the finest first."""
        return level_shapes(self.shape)

    @property
    def top(self) -> int:
        """Number of the coarsest level."""
        return len(self.shapes) - 1

    @cached_property
    def tile_px(self) -> int:
        """Side of what is read and held at once: smaller for many channels, so that memory stays bounded."""
        large = 2 * CHUNK_PX
        if self.by_rows:
            return CHUNK_PX
        return large if large**2 * self.planes * self.dtype.itemsize <= MAX_TILE_BYTES else CHUNK_PX

    @cached_property
    def by_rows(self) -> bool:
        """Whether to process the image row by row; half a row of tiles is then held on each level."""
        held = self.shape[1] * CHUNK_PX * self.planes * self.dtype.itemsize
        return self.strip_px > MIN_STRIP_PX and held <= MAX_ROW_BYTES

    @property
    def depth(self) -> int:
        """Planes of one chunk: an RGB tile is one chunk, other channels have separate chunks."""
        return 3 if self.rgb else 1

    def tiles(self, level: int) -> Iterator[tuple[int, int]]:
        """Rows and columns of the tiles of a level."""
        rows, columns = (-(-side // self.tile_px) for side in self.shapes[level])
        return ((y, x) for y in range(rows) for x in range(columns))

    def tile_region(self, level: int, tile: tuple[int, int]) -> Region:
        """Pixels of a tile in its level."""
        return self._region(level, tile, self.tile_px)

    def children(self, level: int, tile: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Tiles of the finer level that a tile is made from."""
        for dy in (0, 1):
            for dx in (0, 1):
                child = (2 * tile[0] + dy, 2 * tile[1] + dx)
                if not self.tile_region(level - 1, child).empty:
                    yield child

    def shard_of(self, level: int, region: Region) -> Shard:
        """The shard that a tile or chunk belongs to."""
        return level, region.y0 // SHARD_PX, region.x0 // SHARD_PX, *self._picture

    @property
    def _picture(self) -> tuple[int, ...]:
        return () if self.counts is None else self.at

    def shards(self) -> Iterator[Shard]:
        """All shards of all pictures, the finest level of each first."""
        for picture in self.pictures():
            yield from picture.own_shards()

    def own_shards(self) -> Iterator[Shard]:
        """The shards of the picture ``at``, the finest level first."""
        for level, shape in enumerate(self.shapes):
            rows, columns = (-(-side // SHARD_PX) for side in shape)
            yield from ((level, y, x, *self._picture) for y in range(rows) for x in range(columns))

    def of_shard(self, shard: Shard) -> PyramidPlan:
        """The plan for the picture that a shard belongs to."""
        return self if self.counts is None else replace(self, at=(shard[3], shard[4]))

    def shard_region(self, shard: Shard) -> Region:
        """Pixels of a shard in its level."""
        return self._region(shard[0], (shard[1], shard[2]), SHARD_PX)

    def shard_shape(self, level: int) -> tuple[int, int]:
        """Height and width of the shards of a level as they are stored: whole chunks."""
        height, width = (min(SHARD_PX, -(-side // CHUNK_PX) * CHUNK_PX) for side in self.shapes[level])
        return height, width

    def shard_files(self, folder: Path, shard: Shard) -> list[Path]:
        """Where a shard's planes are stored: one file for a colour image, else one for each channel."""
        level, y, x, *picture = shard
        before, after = ([str(picture[0])], [str(picture[1])]) if picture else ([], [])
        return [
            folder.joinpath(str(level), "c", *before, str(plane), *after, str(y), str(x))
            for plane in range(self.planes // self.depth)
        ]

    def ties_up(self, level: int) -> bool:
        """Whether ties are rounded up when this level is made from the finer one."""
        return level % 2 == 1

    def settings(self) -> dict[str, Any]:
        """Everything that determines the content of the pixel files."""
        stack = {} if self.counts is None else {"stack": list(self.counts)}
        return stack | {
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "planes": self.planes,
            "rgb": self.rgb,
            "chunk_px": CHUNK_PX,
            "shard_px": SHARD_PX,
            "codec": [CODEC_NAME, CODEC_LEVEL],
        }

    def _region(self, level: int, index: tuple[int, int], side: int) -> Region:
        y0, x0 = index[0] * side, index[1] * side
        return Region(y0, x0, y0 + side, x0 + side).clip(self.shapes[level])


def split(region: Region, side: int = CHUNK_PX) -> Iterator[Region]:
    """Cut a region that starts on the grid into squares of the grid; the last of a row or column may be smaller."""
    for y0 in range(region.y0, region.y1, side):
        for x0 in range(region.x0, region.x1, side):
            yield Region(y0, x0, min(y0 + side, region.y1), min(x0 + side, region.x1))


def create_level(folder: Path, plan: PyramidPlan, level: int) -> Any:
    """Write the metadata of one level, or keep it if it exists."""
    import tensorstore as ts

    little = {"name": "bytes", "configuration": {"endian": "little"}}
    size = plan.dtype.itemsize
    shuffle = "shuffle" if size > 1 else "noshuffle"
    blosc = {"cname": CODEC_NAME, "clevel": CODEC_LEVEL, "shuffle": shuffle, "typesize": size, "blocksize": 0}
    sharding = {
        "chunk_shape": _sizes(plan, plan.depth, (CHUNK_PX, CHUNK_PX)),
        "codecs": [little, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}],
        "index_codecs": [little, {"name": "crc32c"}],
    }
    shard = _sizes(plan, plan.depth, plan.shard_shape(level))
    metadata = {
        "shape": _sizes(plan, plan.planes, plan.shapes[level], counts=plan.counts or (1, 1)),
        "data_type": plan.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if plan.dtype.kind == "b" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": list("cyx" if plan.counts is None else "tczyx"),
    }
    spec = {"driver": "zarr3", "kvstore": _kvstore(folder, level), "metadata": metadata}
    return ts.open(spec, create=True, open=True).result()


def _sizes(plan: PyramidPlan, planes: int, side: tuple[int, int], *, counts: tuple[int, int] = (1, 1)) -> list[int]:
    """Along the axes of the array: c, y, x, or t, c, z, y, x of a stack."""
    return [planes, *side] if plan.counts is None else [counts[0], planes, counts[1], *side]


def open_level(folder: Path, level: int) -> Any:
    """Open one level for reading, with an empty cache."""
    import tensorstore as ts

    return ts.open({"driver": "zarr3", "kvstore": _kvstore(folder, level)}, read=True, open=True).result()


def _kvstore(folder: Path, level: int) -> dict[str, str]:
    return {"driver": "file", "path": f"{(folder / str(level)).as_posix()}/"}
