"""Volumes that this program writes: an OME-Zarr 0.5 of (z, y, x), filled block by block.

Labels are stored like any volume, as uint32 with ``image-label`` in their metadata; 0 is what belongs to nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.blocks import Block, Triple, VoxelSize
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write, write_error

CHUNK = 64
ARRAY = "0"


class ZarrStore:
    """An array on disk that can be read and written block by block, from any thread.

    Blocks whose corners lie on multiples of ``CHUNK`` never share a chunk: they can be written at the same time.
    """

    def __init__(self, path: Path, array: Any) -> None:
        self.path, self._array = path, array
        z, y, x = (int(side) for side in array.shape)
        self.shape: Triple = (z, y, x)

    def write(self, block: Block, voxels: np.ndarray) -> None:
        """Store the voxels of a block; raises a WriteError when the disk is full or was disconnected."""
        try:
            self._array[block.slices].write(voxels).result()
        except Exception as error:  # tensorstore has no errors of its own for a full disk
            cause = error if isinstance(error, OSError) else OSError(str(error))
            raise write_error(self.path, cause) from error

    def read(self, block: Block) -> np.ndarray:
        """Voxels of a block."""
        return np.asarray(self._array[block.slices].read().result())


def create_store(
    path: Path,
    shape: Triple,
    dtype: np.dtype | type | str,
    *,
    voxel_um: VoxelSize | None,
    name: str,
    labels: bool = False,
    more: dict[str, Any] | None = None,
) -> ZarrStore:
    """Make a new, empty volume; one that lies there is replaced.

    Parameters
    ----------
    labels
        Whether its values are numbers of objects.
    more
        Facts of this program's own that are stored with it.

    Raises
    ------
    InputError
        When something else lies at ``path``.
    WriteError
        When nothing can be written there.
    """
    import tensorstore as ts

    make_room(path)
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{(path / ARRAY).as_posix()}/"},
        "metadata": {
            "shape": list(shape),
            "data_type": np.dtype(dtype).name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK] * 3}},
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
            ],
            "fill_value": 0,
            "dimension_names": ["z", "y", "x"],
        },
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        array = ts.open(spec, create=True, delete_existing=True).result()
    except Exception as error:
        raise write_error(path, error if isinstance(error, OSError) else OSError(str(error))) from error
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": _attributes(voxel_um, name, labels=labels, more=more or {}),
    }
    atomic_write(path / "zarr.json", json.dumps(document, indent=2))
    return ZarrStore(path, array)


def open_store(path: Path) -> ZarrStore | None:
    """Open a volume of this program for reading and writing; None where there is none."""
    import tensorstore as ts

    if not (path / "zarr.json").is_file():
        return None
    kvstore = {"driver": "file", "path": f"{(path / ARRAY).as_posix()}/"}
    try:
        return ZarrStore(path, ts.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result())
    except Exception:  # what is damaged is made again
        return None


def make_room(path: Path) -> None:
    """Remove a zarr folder that lies at ``path``; anything else there is refused."""
    if not path.exists():
        return
    if not path.is_dir() or not any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
        if path.is_dir() and not any(path.iterdir()):
            return
        raise InputError(f"{path} exists and is not an OME-Zarr.", hint="Choose another name.")
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise write_error(path, error) from error


def _attributes(voxel_um: VoxelSize | None, name: str, *, labels: bool, more: dict[str, Any]) -> dict[str, Any]:
    unit = {"unit": "micrometer"} if voxel_um else {}
    scale = [{"type": "scale", "scale": list(voxel_um or (1.0, 1.0, 1.0))}]
    multiscale = {
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
        "datasets": [{"path": ARRAY, "coordinateTransformations": scale}],
    }
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if labels:
        ome["image-label"] = {"version": "0.5"}
    return {"ome": ome, "microscope_qc": more}
