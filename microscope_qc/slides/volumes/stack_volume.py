"""A slide with a stack of pictures as a volume: OME-TIFF with z, multi-page TIFF, ImageJ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.blocks import VoxelSize
from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import things
from microscope_qc.slides.base import usable_size
from microscope_qc.slides.opening import open_slide
from microscope_qc.slides.plane import StackPlace
from microscope_qc.slides.scale import length_unit_um
from microscope_qc.slides.tag_text import local_name, number, parsed_xml
from microscope_qc.slides.tiff.metadata import OME_UNITS
from microscope_qc.slides.tiff.pages import DAMAGE
from microscope_qc.slides.volumes.volume import PlaneVolume
from microscope_qc.slides.volumes.volume_reader import VolumeReader


class StackVolume(PlaneVolume):
    """The focus planes of a slide, or its pages where it has no focus planes; its first channel."""

    def __init__(self, path: Path) -> None:
        slide = open_slide(path, orientation=1)
        try:
            mosaic = slide.scenes[0]
            axes = {axis.key: axis for axis in mosaic.stack}
            axis = axes.get("z") or axes.get("page") or axes.get("t")
            if axis is None:
                raise SlideError(f"{path.name} has a single picture; a volume has several.", hint="Open it as a slide.")
            if mosaic.rgb:
                raise SlideError(f"{path.name} is in colour; a volume has one grey value.", hint="Save it as grey.")
            notes = [f"first of {things(len(mosaic.channels), 'channel')}"] if len(mosaic.channels) > 1 else []
            notes += [f"first of {things(other.size, other.title)}" for other in axes.values() if other is not axis]
            if len(slide.scenes) > 1:
                notes.append(f"first of {len(slide.scenes)} scenes")
            voxel, source = _voxel(path, mosaic.pixel_size_um)
            super().__init__(
                path,
                format=slide.format,
                shape=(axis.size, *mosaic.shape),
                dtype=mosaic.dtype,
                voxel_um=voxel,
                voxel_source=source,
                notes=notes,
            )
        except BaseException:
            slide.close()
            raise
        self._slide, self._mosaic, self._axis = slide, mosaic, axis.key
        self._start_cache()

    def _plane(self, z: int) -> np.ndarray:
        return self._mosaic.read(Region(0, 0, *self.shape[1:]), place=StackPlace().moved(self._axis, z))

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()


def _voxel(path: Path, pixel_um: tuple[float, float] | None) -> tuple[VoxelSize | None, str]:
    if pixel_um is None:
        return None, "the file does not say"
    step = _step_um(path)
    if step is None:
        return None, "the file gives a pixel size, but no distance between the slices"
    return (step, *pixel_um), "the metadata of the file"


def _step_um(path: Path) -> float | None:
    """Distance between the slices of a TIFF, where OME or ImageJ say it."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ome:
                return _ome_step_um(file.pages[0].description)  # type: ignore[union-attr]
            told: dict[str, Any] = file.imagej_metadata or {}
    except DAMAGE:
        return None
    unit = length_unit_um(told.get("zunit") or told.get("unit"))
    spacing = told.get("spacing")
    return usable_size(float(spacing) * unit) if unit and isinstance(spacing, int | float) else None


def _ome_step_um(description: str) -> float | None:
    root = parsed_xml(description)
    for node in root.iter() if root is not None else ():
        if local_name(node) == "Pixels":
            size = number(node.get("PhysicalSizeZ"))
            unit = OME_UNITS.get(node.get("PhysicalSizeZUnit", "µm"))
            return None if size is None or unit is None else usable_size(size * unit)
    return None


TIFF_VOLUME = VolumeReader(
    "TIFF stack",
    (".tif", ".tiff"),
    lambda path, head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    StackVolume,
)
