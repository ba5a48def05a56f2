"""OME-Zarr 0.1 to 0.5 (zarr v2 and v3, sharded or not): a folder with one multiscale image at its root, or several."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import Match
from microscope_qc.slides.base import Mosaic, Slide, checked_shape, downsample_of
from microscope_qc.slides.ome_zarr.metadata import MultiscaleImage, find_images
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.plane import FIRST, StackPlace
from microscope_qc.slides.slide_reader import SlideReader

if TYPE_CHECKING:
    import tensorstore as ts
    import zarr

    StoredArray = ts.TensorStore | zarr.Array[Any]

# for chunks that neighbouring reads share; what is viewed again is kept by the tile cache
CACHE_BYTES = 64 << 20


def open_ome_zarr(path: Path) -> Slide:
    """Open a folder; it has several scenes when it holds several images (bioformats2raw, HCS plates).

    Raises
    ------
    SlideError
        When it does not hold an OME-Zarr image, or one this program cannot read.
    """
    scenes = [_scene(path, image) for image in find_images(path)]
    return Slide(path, format="ome-zarr", scenes=scenes)


def _scene(path: Path, image: MultiscaleImage) -> OmeZarrMosaic:
    arrays = []
    for folder in image.level_folders:
        array = open_array(path, folder, complete=image.complete)
        if len(array.shape) != len(image.axes):
            raise SlideError(
                f"{path.name} says it has the axes {', '.join(image.axes)}, but its pixels have {len(array.shape)}.",
                hint="Export it again as OME-Zarr 0.4 or 0.5.",
            )
        arrays.append(array)
    return OmeZarrMosaic(path, image, arrays)


class OmeZarrMosaic(Mosaic):
    """A multiscale image; missing chunks are read as the fill value unless all are known to have been stored."""

    def __init__(self, path: Path, image: MultiscaleImage, arrays: Sequence[StoredArray]) -> None:
        y_axis, x_axis = image.axes.index("y"), image.axes.index("x")
        shapes = [checked_shape(path, (array.shape[y_axis], array.shape[x_axis])) for array in arrays]
        order = sorted(range(len(arrays)), key=lambda i: -shapes[i][0] * shapes[i][1])
        self._arrays = [arrays[i] for i in order]
        self._documents = [_document(image.level_folders[i]) for i in order]
        shapes = [shapes[i] for i in order]
        levels = [Level(shape, downsample_of(shapes[0], shape)) for shape in shapes]
        sizes = dict(zip(image.axes, self._arrays[0].shape, strict=True))
        if any(size == 0 for size in sizes.values()):
            raise SlideError(f"{path.name} has no pixels.", hint="Export it again.")
        dtype = numpy_dtype(self._arrays[0])
        if dtype.kind not in "biuf":
            raise SlideError(f"{path.name} has pixels of the type {dtype.name}, which is not supported.")
        rgb, channels = image.channels(sizes.get("c", 1), dtype)
        super().__init__(
            path=path,
            name=image.name,
            levels=levels,
            dtype=dtype,
            rgb=rgb,
            channels=channels,
            pixel_size_um=image.pixel_size_um,
            origin_px=image.origin_px,
            stage=image.stage,
            notes=image.notes,
            piece_px=_piece(self._arrays[0], y_axis, x_axis),
            stack=image.stack(sizes),
        )
        self._axes, self._image, self._sizes = image.axes, image, sizes

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self._read_at(region, level, channel, FIRST)

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        import tensorstore as ts

        array = self._arrays[level]
        along = self._image.indices(self._sizes, place)
        index: list[int | slice] = []
        for axis, size in zip(self._axes, array.shape, strict=True):
            if axis == "y":
                index.append(slice(region.y0, region.y1))
            elif axis == "x":
                index.append(slice(region.x0, region.x1))
            elif axis == "c":
                index.append(slice(0, 3) if self.rgb else channel)
            else:  # a coarser level may have fewer pictures: the nearest one
                index.append(min(along[axis] * int(size) // self._sizes[axis], int(size) - 1))
        kept = [axis for axis in self._axes if axis in ("y", "x") or (axis == "c" and self.rgb)]
        order = [kept.index(axis) for axis in (("y", "x", "c") if self.rgb else ("y", "x"))]
        try:
            if isinstance(array, ts.TensorStore):
                pixels = _copy(array[tuple(index)].transpose(order), self.dtype)
            else:  # zarr-python
                pixels = np.ascontiguousarray(np.asarray(array[tuple(index)]).transpose(order), self.dtype)
        except Exception as error:  # whatever a decoder raises on a damaged chunk
            self._check_there(level)
            raise SlideError(
                f"A part of {self.path.name} is damaged or missing.",
                hint="Copy it again, or convert it from its source.",
            ) from error
        self._check_there(level)
        return pixels

    def _check_there(self, level: int) -> None:
        # a missing chunk means background in this format, and so would a drive that was disconnected
        if not os.path.isfile(self._documents[level]):  # noqa: PTH113  (of any error of the drive, False)
            raise SlideError(f"{self.path.name} is no longer there.", hint="Connect its drive again, or open it again.")


def _document(folder: Path) -> Path:
    """The file that describes an array of zarr v3 or v2."""
    return folder / "zarr.json" if (folder / "zarr.json").is_file() else folder / ".zarray"


def _copy(view: ts.TensorStore, dtype: np.dtype) -> np.ndarray:
    """Pixels of a tensorstore view, written directly in the wanted order, which saves numpy's slow transpose."""
    import tensorstore as ts

    pixels = np.empty(view.shape, dtype)
    ts.array(pixels).write(view[ts.d[:].translate_to[0]]).result()
    return pixels


_context_lock = threading.Lock()
_context: ts.Context | None = None


def _shared_context() -> ts.Context:
    """One cache of decoded chunks for all slides, so that many open slides do not add up."""
    import tensorstore as ts

    global _context  # noqa: PLW0603
    with _context_lock:
        if _context is None:
            _context = ts.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})
        return _context


def _piece(array: StoredArray, y_axis: int, x_axis: int) -> tuple[int, int]:
    """(h, w) of a chunk, or of the inner chunks where they are sharded."""
    import tensorstore as ts

    if isinstance(array, ts.TensorStore):
        sizes = cast("tuple[int, ...]", array.chunk_layout.read_chunk.shape)  # complete for stored arrays
    else:
        sizes = array.shards or array.chunks
    return int(sizes[y_axis]), int(sizes[x_axis])


def numpy_dtype(array: StoredArray) -> np.dtype:
    import tensorstore as ts

    return np.dtype(array.dtype.numpy_dtype if isinstance(array, ts.TensorStore) else array.dtype)


def open_array(path: Path, folder: Path, *, complete: bool) -> StoredArray:
    """Open with tensorstore, or with zarr-python for codecs that tensorstore does not support.

    ``complete`` means that every chunk was stored, so that a missing one has been lost.
    """
    import tensorstore as ts

    driver = "zarr3" if (folder / "zarr.json").is_file() else "zarr"
    if driver == "zarr" and not (folder / ".zarray").is_file():
        raise SlideError(
            f"{path.name} lists the level {folder.name}, which is missing.", hint="Copy the whole folder again."
        )
    kvstore = {"driver": "file", "path": f"{folder.as_posix()}/"}
    spec: dict[str, Any] = {"driver": driver, "kvstore": kvstore, "recheck_cached_data": "open"}
    if complete and driver == "zarr3":
        spec["fill_missing_data_reads"] = False
    try:
        return ts.open(spec, read=True, open=True, context=_shared_context()).result()
    except Exception as first:
        try:
            import zarr

            return zarr.open_array(folder, mode="r")
        except Exception:  # the first error is the one that explains the problem
            raise SlideError(
                f"{path.name} cannot be read: its level {folder.name} is damaged or packed in a way this program "
                "does not know.",
                hint="Export it again as OME-Zarr 0.4 or 0.5.",
            ) from first


# any folder: what it lacks is said when it is opened
OME_ZARR = SlideReader(
    "ome-zarr",
    "OME-Zarr",
    (".zarr",),
    lambda path, head: Match.POSSIBLE if path.is_dir() else Match.NONE,
    open_ome_zarr,
    saved_as=("OME-Zarr",),
    is_folder=True,
    inside=("zarr.json", ".zattrs", ".zgroup"),
)
