"""CZI files written from the published layout: pyramids, stage positions and overlaps that no library writes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIXEL_TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3, ("u2", 3): 4}


@dataclass
class Tile:
    """One sub-block; ``pixels`` (h, w) or (h, w, 3) in B, G, R. It covers ``factor`` times as many pixels."""

    pixels: np.ndarray
    y: int
    x: int
    factor: int = 1
    order: int = 0
    channel: int = 0
    scene: int | None = None
    stage_um: tuple[float, float] | None = None
    note: bytes | None = None
    compression: int = 0
    pack: Callable[[np.ndarray], bytes] = lambda pixels: np.ascontiguousarray(pixels).tobytes()


def write_czi(path: Path, tiles: Sequence[Tile], *, pixel_size_um: float = 0.5, xml: str | None = None) -> Path:
    """Write tiles as a CZI."""
    text = (xml if xml is not None else _xml(pixel_size_um)).encode()
    entries = []
    with path.open("wb") as file:
        file.write(bytes(32 + 512))
        for tile in tiles:
            entry = _entry(tile, file.tell())
            entries.append(entry)
            note = tile.note if tile.note is not None else _note(tile)
            data = tile.pack(tile.pixels)
            body = struct.pack("<iiq", len(note), 0, len(data)) + entry
            _segment(file, b"ZISRAWSUBBLOCK", body.ljust(256, b"\0") + note + data)
        metadata = file.tell()
        _segment(file, b"ZISRAWMETADATA", struct.pack("<ii", len(text), 0).ljust(256, b"\0") + text)
        directory = file.tell()
        _segment(file, b"ZISRAWDIRECTORY", struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries))
        file.seek(0)
        head = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, b"a" * 16, b"a" * 16, 0, directory, metadata, 0, 0)
        file.write(_head(b"ZISRAWFILE", 512) + head)
    return path


def _segment(file, name: bytes, body: bytes) -> None:
    padded = body.ljust(-(-len(body) // 32) * 32, b"\0")
    file.write(_head(name, len(padded), len(body)) + padded)


def _head(name: bytes, allocated: int, used: int | None = None) -> bytes:
    return struct.pack("<16sqq", name, allocated, allocated if used is None else used)


def _entry(tile: Tile, position: int) -> bytes:
    height, width = tile.pixels.shape[:2]
    kind = PIXEL_TYPES[tile.pixels.dtype.str[1:], tile.pixels.shape[2] if tile.pixels.ndim == 3 else 1]
    dimensions = [
        (b"X", tile.x, width * tile.factor, width),
        (b"Y", tile.y, height * tile.factor, height),
        (b"C", tile.channel, 1, 1),
        (b"M", tile.order, 1, 1),
    ]
    if tile.scene is not None:
        dimensions.append((b"S", tile.scene, 1, 1))
    if tile.factor > 1:
        dimensions = [dimension for dimension in dimensions if dimension[0] != b"M"]
    fixed = struct.pack(
        "<2siqiiB5xi", b"DV", kind, position, 0, tile.compression, 2 * (tile.factor > 1), len(dimensions)
    )
    return fixed + b"".join(struct.pack("<4siifi", n, start, size, 0.0, held) for n, start, size, held in dimensions)


def _note(tile: Tile) -> bytes:
    if tile.stage_um is None:
        return b""
    x, y = tile.stage_um
    tags = f"<StageXPosition>{x}</StageXPosition><StageYPosition>{y}</StageYPosition>"
    return f"<METADATA><Tags>{tags}</Tags></METADATA>".encode()


def _xml(pixel_size_um: float) -> str:
    items = "".join(f'<Distance Id="{a}"><Value>{pixel_size_um}E-6</Value></Distance>' for a in "XY")
    return f"<ImageDocument><Metadata><Scaling><Items>{items}</Items></Scaling></Metadata></ImageDocument>"
