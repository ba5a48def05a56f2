"""Opens any path as a volume with the right reader; the content decides, not only the name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from microscope_qc.core.blocks import Block, VoxelSize
from microscope_qc.core.errors import SlideError
from microscope_qc.slides.registry import HEAD_BYTES
from microscope_qc.slides.volumes.flat import RawLayout, open_raw
from microscope_qc.slides.volumes.metaimage import METAIMAGE
from microscope_qc.slides.volumes.mrc import MRC
from microscope_qc.slides.volumes.nrrd import NRRD
from microscope_qc.slides.volumes.slice_folder import SLICE_FOLDER, slices_in
from microscope_qc.slides.volumes.stack_volume import TIFF_VOLUME
from microscope_qc.slides.volumes.volume import Volume
from microscope_qc.slides.volumes.volume_reader import VolumeReader
from microscope_qc.slides.volumes.zarr_volume import OME_ZARR_VOLUME

VOLUME_READERS: tuple[VolumeReader, ...] = (TIFF_VOLUME, OME_ZARR_VOLUME, SLICE_FOLDER, NRRD, METAIMAGE, MRC)
"""The first that recognises a path opens it."""
RAW_SUFFIXES = (".raw", ".vol", ".bin")


def open_volume(path: Path | str, *, raw: RawLayout | None = None, voxel_um: VoxelSize | None = None) -> Volume:
    """Open a volume; only its metadata is read.

    Parameters
    ----------
    raw
        Shape and type of a raw file, which does not say them.
    voxel_um
        Edges (z, y, x) of a voxel that replace those in the file.

    Raises
    ------
    SlideError
        When the path is missing, damaged, or no volume.
    InputError
        When the layout or the voxel is impossible.
    """
    target = Path(path)
    head = _head(target)
    if raw is not None:
        volume: Volume = open_raw(target, raw)
    else:
        reader = next((one for one in VOLUME_READERS if one.recognises(target, head)), None)
        if reader is None:
            raise _not_a_volume(target)
        volume = reader.open(target)
    if voxel_um is not None:
        try:
            volume.set_voxel(voxel_um)
        except BaseException:
            volume.close()
            raise
    return volume


def is_volume_only(path: Path) -> bool:
    """Whether a path is a volume in a format that no slide has."""
    try:
        head = _head(path)
        if path.is_dir():
            return not OME_ZARR_VOLUME.recognises(path, head) and len(slices_in(path)) > 1
    except SlideError:
        return False
    return any(reader.recognises(path, head) for reader in (NRRD, METAIMAGE, MRC))


def volume_info(path: Path | str) -> dict[str, Any]:
    """Describe a volume as a JSON document; a slice in its middle is decoded, so that a damaged volume is an error.

    Returns
    -------
    dict
        ``{format, volume: {shape, dtype, voxel_um, voxel_source, notes}}``, shape and voxel as [z, y, x].

    Raises
    ------
    SlideError
        When the volume cannot be opened or decoded.
    """
    with open_volume(path) as volume:
        z, y, x = volume.shape
        volume.read(Block((z // 2, 0, 0), (z // 2 + 1, y, x)))
        described = {
            "shape": list(volume.shape),
            "dtype": volume.dtype.name,
            "voxel_um": None if volume.voxel_um is None else list(volume.voxel_um),
            "voxel_source": volume.voxel_source,
            "notes": list(volume.notes),
        }
        return {"format": volume.format, "volume": described}


def _head(path: Path) -> bytes:
    try:
        if not path.exists():
            raise SlideError(f"{path} does not exist.", hint="It may have been moved or renamed.")
        if path.is_dir():
            return b""
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device would not end
            raise SlideError(f"{path.name} is not a file, but a pipe or a device.", hint="Choose the file of a volume.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except SlideError:
        raise
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise SlideError(f"{path} cannot be read ({reason}).", hint="Check the disk or its permissions.") from error
    if not head:
        raise SlideError(f"{path.name} is empty.", hint="Copy it again from the microscope.")
    return head


def _not_a_volume(path: Path) -> SlideError:
    if path.suffix.lower() in RAW_SUFFIXES:
        return SlideError(
            f"{path.name} does not say what shape its voxels have.", hint="Give its shape, type and voxel size."
        )
    known = [suffix for reader in VOLUME_READERS for suffix in reader.suffixes]
    if path.name.lower().endswith(tuple(known)):
        return SlideError(f"{path.name} does not hold what its name says; it is damaged.", hint="Copy it again.")
    return SlideError(
        f"{path.name} is not a volume this program can read.",
        hint="Save it as a TIFF stack, OME-Zarr, NRRD, MetaImage, MRC or raw.",
    )
