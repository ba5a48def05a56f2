"""A volume in an OME-Zarr, read in its own chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from microscope_qc.core.blocks import Block
from microscope_qc.core.errors import SlideError
from microscope_qc.slides.ome_zarr.metadata import find_images
from microscope_qc.slides.ome_zarr.reader import numpy_dtype, open_array
from microscope_qc.slides.volumes.volume import Volume
from microscope_qc.slides.volumes.volume_reader import VolumeReader


class ZarrVolume(Volume):
    """The finest level of a multiscale image with z; the first time point and channel of several."""

    def __init__(self, path: Path) -> None:
        images = find_images(path)
        image = images[0]
        array = open_array(path, image.level_folders[0], complete=image.complete)
        sizes = dict(zip(image.axes, (int(side) for side in array.shape), strict=True))
        if "z" not in sizes:
            raise SlideError(f"{path.name} has no axis z; a volume has one.", hint="Open it as a slide.")
        chunks = dict(zip(image.axes, _chunks(array), strict=True))
        others = [f"first of {size} along {axis}" for axis, size in sizes.items() if axis not in "zyx" and size > 1]
        if len(images) > 1:
            others.append(f"first of {len(images)} images")
        voxel = image.voxel_um
        super().__init__(
            path,
            format="OME-Zarr",
            shape=(sizes["z"], sizes["y"], sizes["x"]),
            dtype=numpy_dtype(array),
            voxel_um=voxel,
            voxel_source="the metadata (OME-Zarr)" if voxel else "the file does not say",
            piece=(chunks["z"], chunks["y"], chunks["x"]),
            notes=others,
        )
        self._array, self._axes = array, image.axes

    def _read(self, block: Block) -> np.ndarray:
        along = dict(zip("zyx", block.slices, strict=True))
        index = tuple(along.get(axis, 0) for axis in self._axes)
        kept = [axis for axis in self._axes if axis in along]
        try:
            found = np.asarray(self._array[index])
        except Exception as error:  # whatever a decoder raises on a damaged chunk
            raise SlideError(f"A part of {self.path.name} is damaged or missing.", hint="Copy it again.") from error
        if not self.path.is_dir():  # a missing chunk means background, and so would a drive that was disconnected
            raise SlideError(f"{self.path.name} is no longer there.", hint="Connect its drive again.")
        return found.transpose([kept.index(axis) for axis in "zyx"])


def _chunks(array: object) -> tuple[int, ...]:
    import tensorstore as ts

    if isinstance(array, ts.TensorStore):
        return tuple(side or 1 for side in array.chunk_layout.read_chunk.shape or array.shape)
    return tuple(array.chunks)  # type: ignore[attr-defined]


def _is_zarr(path: Path, head: bytes) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zgroup"))


OME_ZARR_VOLUME = VolumeReader("OME-Zarr", (".zarr",), _is_zarr, ZarrVolume)
