"""MRC (``.mrc``, ``.rec``, ``.map``), the format of electron tomography.

A. Cheng et al., "MRC2014: Extensions to the MRC format header for electron cryo-microscopy and tomography",
Journal of Structural Biology 192 (2015) 146.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.slides.volumes.flat import header_of, zyx
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.volume_reader import VolumeReader

HEADER = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2"}
_LITTLE, _BIG = (b"\x44\x44", b"\x44\x41"), (b"\x11\x11",)
_ANGSTROM_UM = 1e-4


def open_mrc(path: Path) -> ArrayVolume:
    """Open a file; raises a SlideError of one sentence when it is damaged or holds complex or packed values."""
    with path.open("rb") as file:
        head = file.read(HEADER)
    if len(head) < HEADER:
        raise SlideError(f"{path.name} is cut off within its header.", hint="Copy it again.")
    order = ">" if head[212:214] in _BIG else "<"
    x, y, z, mode = struct.unpack(f"{order}4i", head[:16])
    grid = struct.unpack(f"{order}3i", head[28:40])
    cell = struct.unpack(f"{order}3f", head[40:52])
    along = struct.unpack(f"{order}3i", head[64:76])
    (extended,) = struct.unpack(f"{order}i", head[92:96])
    if mode not in _MODES:
        raise SlideError(f"{path.name} has values of MRC's mode {mode}, which is not read.", hint="Save it as numbers.")
    if along not in ((1, 2, 3), (0, 0, 0)) or extended < 0:
        raise SlideError(f"{path.name} stores its axes in another order than x, y, z.", hint="Save it in that order.")
    sides = [length / count if count > 0 and length > 0 else None for length, count in zip(cell, grid, strict=True)]
    voxel = zyx(sides, _ANGSTROM_UM)
    return header_of(
        path,
        format="MRC",
        shape_xyz=(x, y, z),
        dtype=np.dtype(order + _MODES[mode]),
        data=path,
        offset=HEADER + extended,
        voxel_um=voxel,
        voxel_source="the header (MRC)" if voxel else "the file does not say",
    )


def _is_mrc(path: Path, head: bytes) -> bool:
    if head[208:212] == b"MAP " and head[212:214] in (*_LITTLE, *_BIG):
        return True
    return path.suffix.lower() in MRC.suffixes and len(head) >= HEADER


MRC = VolumeReader("MRC", (".mrc", ".rec", ".map", ".st"), _is_mrc, open_mrc)
