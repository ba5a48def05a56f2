"""Voxels that lie in a file one after the other: raw files, and what a header of NRRD, MetaImage or MRC describes."""

from __future__ import annotations

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from microscope_qc.core.blocks import Triple, VoxelSize
from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.wording import bytes_text
from microscope_qc.slides.base import usable_size
from microscope_qc.slides.volumes.volume import ArrayVolume, checked_volume_shape, shape_words

HEADER_BYTES = 1 << 20
_STEP = 1 << 22
_TYPES = {
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RawLayout:
    """What a raw file does not say of itself.

    Attributes
    ----------
    shape
        Voxels along z, y and x; x runs fastest.
    dtype
        "uint8", "int16", "float32" ...
    big_endian
        Whether the most significant byte comes first.
    offset
        Bytes before the first voxel.
    """

    shape: Triple
    dtype: str = "uint8"
    big_endian: bool = False
    offset: int = 0

    @property
    def numpy_dtype(self) -> np.dtype:
        """The type with its byte order.

        Raises
        ------
        InputError
            When there is no such type.
        """
        if self.dtype not in _TYPES:
            raise InputError(f"“{self.dtype}” is no type of voxels.", hint=f"Give one of {', '.join(_TYPES)}.")
        return np.dtype(_TYPES[self.dtype]).newbyteorder(">" if self.big_endian else "<")


def open_raw(path: Path, layout: RawLayout) -> ArrayVolume:
    """Open a raw file, whose size must fit the layout."""
    if layout.offset < 0:
        raise InputError("The voxels of a raw file cannot begin before the file.", hint="Give 0 or more bytes.")
    dtype = layout.numpy_dtype
    wanted = layout.offset + dtype.itemsize * int(np.prod(checked_volume_shape(path, layout.shape), dtype=object))
    size = path.stat().st_size
    if size != wanted:
        raise SlideError(
            f"{path.name} has {bytes_text(size)} ({size} bytes); {shape_words(layout.shape)} voxels of the type "
            f"{layout.dtype} need {wanted}.",
            hint="Check shape, type and offset.",
        )
    return mapped(path, path, layout.shape, dtype, layout.offset, format="raw")


def mapped(
    path: Path,
    data: Path,
    shape: Triple,
    dtype: np.dtype,
    offset: int,
    *,
    format: str,
    voxel_um: VoxelSize | None = None,
    voxel_source: str = "",
    notes: Sequence[str] = (),
    temporary: bool = False,
) -> ArrayVolume:
    """A volume whose voxels lie uncompressed in ``data``; what is not read takes no memory.

    ``temporary`` data is removed with the volume.

    Raises
    ------
    SlideError
        When the file is too short.
    """
    shape = checked_volume_shape(path, shape)
    needed = offset + dtype.itemsize * int(np.prod(shape, dtype=object))
    size = data.stat().st_size
    if size < needed:
        raise SlideError(
            f"{path.name} is cut off: its voxels need {bytes_text(needed)}, and there are {bytes_text(size)}.",
            hint="Copy it again.",
        )
    voxels = np.memmap(data, dtype, "r", offset, shape)
    return ArrayVolume(
        path,
        voxels,
        format=format,
        voxel_um=voxel_um,
        voxel_source=voxel_source,
        notes=notes,
        temporary=data if temporary else None,
    )


def unpacked(path: Path, data: Path, offset: int, size: int, *, kind: str) -> Path:
    """Unpack a compressed body into a file of the temporary folder, and return that; the system removes it.

    Parameters
    ----------
    size
        Bytes that there must be; more are never written.
    kind
        "gzip" or "zlib".

    Raises
    ------
    SlideError
        When the body is damaged or holds another number of bytes.
    """
    damaged = SlideError(f"{path.name} is damaged, or it was not copied completely.", hint="Copy it again.")
    written = 0
    with data.open("rb") as packed, tempfile.NamedTemporaryFile(prefix="volume-", delete=False) as out:
        packed.seek(offset)
        try:
            for part in _parts(packed, kind):
                written += len(part)
                if written > size:
                    raise damaged
                out.write(part)
        except (OSError, EOFError, zlib.error) as error:
            Path(out.name).unlink(missing_ok=True)
            raise damaged from error
    if written != size:
        Path(out.name).unlink(missing_ok=True)
        raise damaged
    return Path(out.name)


def _parts(packed: BinaryIO, kind: str) -> Iterator[bytes]:
    if kind == "gzip":
        with gzip.GzipFile(fileobj=packed) as file:
            while part := file.read(_STEP):
                yield part
        return
    unpacker = zlib.decompressobj()
    while part := packed.read(_STEP):
        yield unpacker.decompress(part)
    yield unpacker.flush()


def beside(path: Path, name: str) -> Path:
    """The data file that a header names: one in its own folder.

    Raises
    ------
    SlideError
        When it lies elsewhere or is missing.
    """
    if not name or re.search(r"[/\\:\0]", name) or name in (".", ".."):
        raise SlideError(f"{path.name} names a file in another folder, which is not opened.", hint="Put both together.")
    data = path.parent / name
    if not data.is_file():
        raise SlideError(f"{path.name} belongs to {name}, which is missing.", hint="Copy both files.")
    return data


def header_of(
    path: Path,
    *,
    format: str,
    shape_xyz: Sequence[float],
    dtype: np.dtype,
    data: Path,
    offset: int,
    packed: str = "",
    voxel_um: VoxelSize | None = None,
    voxel_source: str = "",
) -> ArrayVolume:
    """Open what a text header describes; ``packed`` is "gzip", "zlib" or "" for plain voxels."""
    if len(shape_xyz) != 3:
        raise SlideError(f"{path.name} has {len(shape_xyz)} axes; a volume has three.", hint="Export a single volume.")
    x, y, z = (int(side) for side in shape_xyz)
    shape = checked_volume_shape(path, (z, y, x))
    size = dtype.itemsize * x * y * z
    if packed:
        data, offset = unpacked(path, data, offset, size, kind=packed), 0
    return mapped(
        path, data, shape, dtype, offset, format=format, voxel_um=voxel_um, voxel_source=voxel_source,
        temporary=bool(packed),
    )  # fmt: skip


def numbers(text: str) -> list[float]:
    """The numbers of a line; empty where it holds something else."""
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []


def zyx(sides: Sequence[float | None], unit_um: float = 1.0) -> VoxelSize | None:
    """Edges given as x, y, z in a unit, as (z, y, x) in um; None unless all three are possible."""
    found = [usable_size(None if side is None else abs(side) * unit_um) for side in sides]
    if len(found) != 3 or found[0] is None or found[1] is None or found[2] is None:
        return None
    return found[2], found[1], found[0]
