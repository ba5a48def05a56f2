"""NRRD: a text header, and the voxels behind it or in a file beside it.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from microscope_qc.core.blocks import VoxelSize
from microscope_qc.core.errors import SlideError
from microscope_qc.slides.scale import length_unit_um
from microscope_qc.slides.volumes.flat import HEADER_BYTES, beside, header_of, numbers, zyx
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.volume_reader import VolumeReader

MAGIC = b"NRRD000"
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_CODES = {name: code for code, names in _TYPES.items() for name in names}
_PACKED = {"raw": "", "gzip": "gzip", "gz": "gzip"}


def open_nrrd(path: Path) -> ArrayVolume:
    """Open a file ``.nrrd`` or ``.nhdr``; raises a SlideError of one sentence when it is damaged or foreign."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    fields, length = _fields(path, head)
    code = _known(path, "type", fields.get("type", ""), _CODES)
    single = code.endswith("1")  # a byte has no order
    order = "" if single else _known(path, "endian", fields.get("endian", ""), {"little": "<", "big": ">"})
    packed = _known(path, "encoding", fields.get("encoding", ""), _PACKED)
    named = fields.get("data file") or fields.get("datafile")
    skip = numbers(fields.get("byte skip", "0") + " " + fields.get("line skip", "0"))
    if skip != [0, 0]:
        raise SlideError(f"{path.name} skips a part of its data file, which is not read.", hint="Export it again.")
    voxel_um, source = _voxel(fields)
    return header_of(
        path,
        format="NRRD",
        shape_xyz=numbers(fields.get("sizes", "")),
        dtype=np.dtype(order + code),
        data=beside(path, named) if named else path,
        offset=0 if named else length,
        packed=packed,
        voxel_um=voxel_um,
        voxel_source=source,
    )


def _fields(path: Path, head: bytes) -> tuple[dict[str, str], int]:
    """The fields of the header, and where the data begin; without an empty line the header is all there is."""
    end, gap = min(
        ((place, len(gap)) for gap in (b"\n\n", b"\r\n\r\n") if (place := head.find(gap)) >= 0), default=(len(head), 0)
    )
    if not gap and len(head) >= HEADER_BYTES:
        raise SlideError(f"{path.name} is damaged: its header does not end.", hint="Copy it again.")
    fields = {}
    for line in head[:end].decode("utf-8", "replace").splitlines()[1:]:
        name, separator, value = line.partition(":")
        if separator and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    return fields, end + gap


def _known(path: Path, field: str, value: str, known: dict[str, str]) -> str:
    if value.lower() not in known:
        raise SlideError(f"{path.name} has the {field} “{value}”, which is not read.", hint="Save it as raw or gzip.")
    return known[value.lower()]


def _voxel(fields: dict[str, str]) -> tuple[VoxelSize | None, str]:
    if "space directions" in fields:
        vectors = fields["space directions"].replace("(", " ").replace(")", ";").split(";")[:3]
        sides = [math.hypot(*numbers(vector.replace(",", " "))) for vector in vectors]
    else:
        sides = numbers(fields.get("spacings", ""))
    units = fields.get("space units") or fields.get("units") or ""
    unit = length_unit_um(units.split('"')[1] if '"' in units else units)
    if not any(sides):
        return None, "the file does not say"
    if unit is None:
        return None, f"the file gives {' x '.join(f'{side:g}' for side in sides)} without a unit"
    return zyx(sides, unit), "the header (NRRD)"


NRRD = VolumeReader("NRRD", (".nrrd", ".nhdr"), lambda path, head: head.startswith(MAGIC), open_nrrd)
