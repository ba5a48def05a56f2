"""The directory of a CZI's sub-blocks, read at once: tens of thousands of tiles in milliseconds.

libCZI exposes neither the file position of a sub-block nor its metadata. The layout follows the published CZI file
format (segments with a header of 32 bytes; directory entries "DV" with dimension entries of 20 bytes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from microscope_qc.core.arrays import Flags, Ints

SEGMENT_BYTES = 32
MAX_DIRECTORY_BYTES = 1 << 30
MAX_DIMENSIONS = 20
MAX_METADATA_BYTES = 1 << 20
MAX_DATA_BYTES = 2 << 30
ABSENT = -(2**31)
_ENTRY = [
    ("schema", "S2"),
    ("pixel_type", "<i4"),
    ("position", "<i8"),
    ("part", "<i4"),
    ("compression", "<i4"),
    ("pyramid", "u1"),
    ("spare", "V5"),
    ("dimensions", "<i4"),
]
_DIMENSION = [("name", "S4"), ("start", "<i4"), ("size", "<i4"), ("coordinate", "<f4"), ("stored", "<i4")]
_ENTRY_BYTES = np.dtype(_ENTRY).itemsize
_DIMENSION_BYTES = np.dtype(_DIMENSION).itemsize


@dataclass(frozen=True)
class SubBlocks:
    """All sub-blocks of a file as columns, in the order of the file's directory.

    ``y``, ``x``, ``height``, ``width`` are what a sub-block covers in full-resolution pixels; ``stored`` (n, 2) is
    the number of rows and columns it holds. ``index`` gives the start of every other dimension (``ABSENT`` where there
    is none).
    """

    position: Ints
    compression: Ints
    pixel_type: Ints
    y: Ints
    x: Ints
    height: Ints
    width: Ints
    stored: Ints
    index: dict[str, Ints]

    def __len__(self) -> int:
        return len(self.position)

    def at(self, dimension: str) -> Ints:
        """Start of every sub-block in a dimension, ``ABSENT`` where it has none."""
        return self.index.get(dimension, np.full(len(self), ABSENT, np.int32))

    @property
    def full(self) -> Flags:
        """Which sub-blocks are at full resolution."""
        whole: Flags = (self.stored[:, 0] == self.height) & (self.stored[:, 1] == self.width)
        return whole

    @property
    def first_plane(self) -> Flags:
        """Which sub-blocks belong to the first channel, focus plane and time point."""
        chosen = np.ones(len(self), bool)
        for dimension in "CZT":
            chosen &= self.at(dimension) <= 0
        return chosen

    def within(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Indices of the sub-blocks, of any layer, that intersect a rectangle in the file's coordinates."""
        rows = (self.y < y + height) & (self.y.astype(np.int64) + self.height > y)
        columns = (self.x < x + width) & (self.x.astype(np.int64) + self.width > x)
        return np.flatnonzero(rows & columns)

    def layers(self, scene: int | None) -> list[int]:
        """Downsampling factors of a scene's pyramid layers (2, 4, 8 or 3, 9, ...), without the full-resolution one."""
        # an edge tile of a few pixels is not reliable: 5 of them stored as 3
        chosen = ~self.full & (self.stored.min(axis=1) >= 64)
        if scene is not None:
            chosen &= self.at("S") == scene
        ratios = np.rint(self.width[chosen] / self.stored[chosen, 1]).astype(int)
        return [int(ratio) for ratio in np.unique(ratios) if ratio >= 2]


def read_sub_blocks(path: Path) -> SubBlocks:
    """Read the directory.

    Raises
    ------
    ValueError
        When it is damaged or its layout is unknown.
    OSError
        When the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        (position,) = struct.unpack("<q", _bytes(file, SEGMENT_BYTES + 52, 8))
        if not 0 < position < size or _bytes(file, position, 16).rstrip(b"\0") != b"ZISRAWDIRECTORY":
            raise ValueError("no directory")
        (count,) = struct.unpack("<i", _bytes(file, position + SEGMENT_BYTES, 4))
        _, used = struct.unpack("<qq", _bytes(file, position + 16, 16))
        if not 0 < count <= used // _ENTRY_BYTES or not used <= MAX_DIRECTORY_BYTES:
            raise ValueError("impossible directory")
        blob = _bytes(file, position + SEGMENT_BYTES + 128, min(used, size - position) - 128)
    return _columns(*_entries(blob, count))


def check_sub_block(file: BinaryIO, blocks: SubBlocks, number: int, *, file_bytes: int) -> None:
    """Compare a sub-block's own header with the directory and with the file's size.

    libCZI trusts the header: a wrong length in it crashed the process.

    Raises
    ------
    ValueError
        When the header cannot be right.
    OSError
        When the file cannot be read.
    """
    position = int(blocks.position[number])
    if not 0 < position < file_bytes:
        raise ValueError("sub-block beyond the file")
    start, notes, length = _parts(file, position)
    if start + notes + length > file_bytes:
        raise ValueError("sub-block reaches beyond the file")
    entry = _bytes(file, position + SEGMENT_BYTES, max(256, start - position - SEGMENT_BYTES))[16:]
    head, dimensions = _entries(entry, 1)
    own = _columns(head, dimensions)
    same = (
        own.pixel_type[0] == blocks.pixel_type[number]
        and own.compression[0] == blocks.compression[number]
        and (own.stored[0] == blocks.stored[number]).all()
        and own.height[0] == blocks.height[number]
        and own.width[0] == blocks.width[number]
    )
    if not same:
        raise ValueError("sub-block and directory disagree")


def tile_metadata(file: BinaryIO, position: int) -> bytes:
    """The XML of the sub-block at a file position; empty where it has none.

    Raises
    ------
    ValueError
        When there is no sub-block.
    """
    start, notes, _ = _parts(file, position)
    return _bytes(file, start, notes) if notes else b""


def tile_data(file: BinaryIO, position: int) -> bytes:
    """The packed pixels of the sub-block at a file position.

    Raises
    ------
    ValueError
        When there is no sub-block, or it is cut off.
    """
    start, notes, length = _parts(file, position)
    return _bytes(file, start + notes, length)


def _parts(file: BinaryIO, position: int) -> tuple[int, int, int]:
    """Where a sub-block's metadata begins, how long it is, and how long the pixels after it are."""
    head = _bytes(file, position, SEGMENT_BYTES + 16 + _ENTRY_BYTES)
    if head[:16].rstrip(b"\0") != b"ZISRAWSUBBLOCK":
        raise ValueError("no sub-block")
    notes, attached, length = struct.unpack_from("<iiq", head, SEGMENT_BYTES)
    (dimensions,) = struct.unpack_from("<i", head, len(head) - 4)
    if not 0 <= notes <= MAX_METADATA_BYTES or not 0 <= length <= MAX_DATA_BYTES or attached < 0:
        raise ValueError("impossible sub-block")
    if not 0 < dimensions <= MAX_DIMENSIONS:
        raise ValueError("impossible sub-block")
    fixed = max(256, 16 + _ENTRY_BYTES + dimensions * _DIMENSION_BYTES)
    return position + SEGMENT_BYTES + fixed, notes, length


def _bytes(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    found = file.read(count)
    if len(found) < count:
        raise ValueError("cut off")
    return found


def _entries(blob: bytes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Entries (n,) and their dimensions (n, d); shorter entries are padded with unnamed dimensions."""
    (dimensions,) = struct.unpack_from("<i", blob, _ENTRY_BYTES - 4)
    if 0 < dimensions <= MAX_DIMENSIONS and len(blob) >= count * (_ENTRY_BYTES + dimensions * _DIMENSION_BYTES):
        kind = np.dtype([*_ENTRY, ("entries", _DIMENSION, (dimensions,))])
        table = np.frombuffer(blob, kind, count)
        if (table["schema"] == b"DV").all() and (table["dimensions"] == dimensions).all():
            return table, table["entries"]
    heads, rows, at = [], [], 0
    for _ in range(count):
        if at + _ENTRY_BYTES > len(blob):
            raise ValueError("cut off")
        head = np.frombuffer(blob, np.dtype(_ENTRY), 1, at)
        dimensions = int(head["dimensions"][0])
        end = at + _ENTRY_BYTES + dimensions * _DIMENSION_BYTES
        if head["schema"][0] != b"DV" or not 0 < dimensions <= MAX_DIMENSIONS or end > len(blob):
            raise ValueError("unknown entry")
        row = np.zeros(MAX_DIMENSIONS, np.dtype(_DIMENSION))
        row[:dimensions] = np.frombuffer(blob, np.dtype(_DIMENSION), dimensions, at + _ENTRY_BYTES)
        heads.append(head)
        rows.append(row)
        at = end
    return np.concatenate(heads), np.stack(rows)


def _columns(heads: np.ndarray, dimensions: np.ndarray) -> SubBlocks:
    index: dict[str, np.ndarray] = {}
    sizes: dict[str, np.ndarray] = {}
    stored: dict[str, np.ndarray] = {}
    for name in np.unique(dimensions["name"]):
        if not name:
            continue
        here = dimensions["name"] == name
        has = here.any(axis=1)
        first = here.argmax(axis=1)
        rows = np.arange(len(heads))
        key = name.decode("ascii", "replace")
        index[key] = np.where(has, dimensions["start"][rows, first], ABSENT)
        sizes[key] = np.where(has, dimensions["size"][rows, first], 0)
        stored[key] = np.where(has, dimensions["stored"][rows, first], 0)
    if not {"X", "Y"} <= set(index) or min(sizes["X"].min(), sizes["Y"].min()) <= 0:
        raise ValueError("sub-blocks without a size")
    held = np.stack([stored["Y"], stored["X"]], axis=1)
    # some writers omit the stored size where it equals the size
    held = np.where(held > 0, held, np.stack([sizes["Y"], sizes["X"]], axis=1))
    return SubBlocks(
        position=heads["position"].astype(np.int64),
        compression=heads["compression"].astype(np.int32),
        pixel_type=heads["pixel_type"].astype(np.int32),
        y=index.pop("Y"),
        x=index.pop("X"),
        height=sizes["Y"],
        width=sizes["X"],
        stored=held,
        index=index,
    )
