"""MetaImage (``.mhd`` with ``.raw`` or ``.zraw``, ``.mha``), as ITK, ParaView and Fiji write it.

The format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.slides.scale import length_unit_um
from microscope_qc.slides.volumes.flat import HEADER_BYTES, beside, header_of, numbers, zyx
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.volume_reader import VolumeReader

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def open_metaimage(path: Path) -> ArrayVolume:
    """Open a header or a file with both; raises a SlideError of one sentence when it is damaged or foreign."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    end = re.search(rb"^ElementDataFile[ \t]*=[ \t]*([^\r\n]*)\r?\n?", head, re.MULTILINE)
    if end is None:
        raise SlideError(f"{path.name} does not name its voxels (ElementDataFile).", hint="Export it again.")
    fields = {}
    for line in head[: end.start()].decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        fields[name.strip()] = value.strip()
    kind = fields.get("ElementType", "")
    if kind not in _TYPES or fields.get("ElementNumberOfChannels", "1") != "1":
        raise SlideError(f"{path.name} has voxels of the type “{kind}” or several channels, which is not read.")
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")).lower() == "true"
    named = end.group(1).decode("utf-8", "replace").strip()
    local = named.upper() == "LOCAL"
    if not local and (named.upper().startswith("LIST") or "%" in named):
        raise SlideError(f"{path.name} names a list of files, which is not read.", hint="Open the folder of slices.")
    spacing = numbers(fields.get("ElementSpacing", fields.get("ElementSize", "")))
    unit = length_unit_um(fields.get("DistanceUnits"))
    source = "the file does not say"
    if spacing:
        given = " x ".join(f"{side:g}" for side in spacing)
        source = "the header (MetaImage)" if unit else f"the file gives {given} without a unit"
    return header_of(
        path,
        format="MetaImage",
        shape_xyz=numbers(fields.get("DimSize", "")),
        dtype=np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<"),
        data=path if local else beside(path, named),
        offset=end.end() if local else 0,
        packed="zlib" if fields.get("CompressedData", "False").lower() == "true" else "",
        voxel_um=zyx(spacing, unit) if unit else None,
        voxel_source=source,
    )


METAIMAGE = VolumeReader(
    "MetaImage",
    (".mhd", ".mha"),
    lambda path, head: path.suffix.lower() in (".mhd", ".mha") and re.search(rb"^NDims\s*=", head, re.M) is not None,
    open_metaimage,
)
