"""A volume: grey values on a grid of (z, y, x), read block by block, whatever its file format."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from microscope_qc.core.blocks import AXES, Block, Triple, VoxelSize, whole
from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.numbers import short_text
from microscope_qc.core.wording import count_text
from microscope_qc.slides.base import MAX_READ_BYTES, usable_size

LONGEST_SIDE = 100_000
SAMPLED_BLOCKS, SAMPLED_SIDE = 27, 16
USABLE_KINDS = "buif"


class Volume(ABC):
    """Grey values or labels on a grid, opened with its metadata only.

    Parameters
    ----------
    shape
        Voxels along z, y and x.
    voxel_um
        Edges (z, y, x) of a voxel, None where the file does not say.
    voxel_source
        Where that stands, in words for users; or why it is not known.
    piece
        What is decoded at once, (z, y, x): a slice, a chunk.
    notes
        Sentences for the user about what is not read, for example other channels.
    """

    def __init__(
        self,
        path: Path,
        *,
        format: str,
        shape: Triple,
        dtype: np.dtype,
        voxel_um: VoxelSize | None = None,
        voxel_source: str = "",
        piece: Triple | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.path, self.format = path, format
        self.shape = checked_volume_shape(path, shape)
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in USABLE_KINDS:
            raise SlideError(f"{path.name} has voxels of the type {self.dtype.name}, which is not supported.")
        self.voxel_um, self.voxel_source = voxel_um, voxel_source
        self.piece = piece or (1, self.shape[1], self.shape[2])
        self.notes = tuple(notes)

    @property
    def name(self) -> str:
        """Its file or folder, without what says the format."""
        name = self.path.name
        for suffix in (".ome.zarr", ".ome.tiff", ".ome.tif"):
            if name.lower().endswith(suffix):
                return name[: -len(suffix)]
        return self.path.stem or name

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return whole(self.shape).voxels

    @abstractmethod
    def _read(self, block: Block) -> np.ndarray:
        """Voxels of a block that is not empty and inside the volume, (z, y, x); called from any thread."""

    def read(self, block: Block) -> np.ndarray:
        """Read voxels in the file's own type.

        Parameters
        ----------
        block
            Inside the volume.

        Returns
        -------
        ndarray
            (z, y, x).

        Raises
        ------
        SlideError
            When the file cannot be decoded there.
        InputError
            When the block is empty, not inside the volume, or does not fit into memory at once.
        """
        if not all(0 <= a < b <= side for a, b, side in zip(block.start, block.stop, self.shape, strict=True)):
            raise InputError(f"{self.path.name} has {shape_words(self.shape)} voxels; that block is not inside it.")
        if block.voxels * self.dtype.itemsize > MAX_READ_BYTES:
            raise InputError("That block is too large to be read at once.", hint="Read it in parts.")
        found = self._read(block)
        if found.shape != block.shape:
            raise SlideError(f"A part of {self.path.name} is damaged or missing.", hint="Copy it again.")
        return np.ascontiguousarray(found, self.dtype)

    def set_voxel(self, size_um: VoxelSize) -> None:
        """Replace what the file says by (z, y, x) that a user gave."""
        if any(usable_size(side) is None for side in size_um):
            raise InputError(f"A voxel of {size_um} um is not possible.", hint="Give an edge such as 0.064.")
        self.voxel_um, self.voxel_source = size_um, "given by the user"

    def fingerprint(self) -> str:
        """Hexadecimal digest of shape, type and 27 sampled blocks."""
        digest = hashlib.sha256(f"{self.shape} {self.dtype.str}".encode())
        sides = [sorted({round((side - min(side, SAMPLED_SIDE)) * k / 2) for k in range(3)}) for side in self.shape]
        for z in sides[0]:
            for y in sides[1]:
                for x in sides[2]:
                    z1, y1, x1 = (min(a + SAMPLED_SIDE, side) for a, side in zip((z, y, x), self.shape, strict=True))
                    digest.update(self.read(Block((z, y, x), (z1, y1, x1))).tobytes())
        return digest.hexdigest()

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close its files; reads fail afterwards."""

    def __enter__(self) -> Volume:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArrayVolume(Volume):
    """A volume in memory, or in a file that the operating system maps into it.

    ``temporary`` is a file that goes with it when it is closed.
    """

    def __init__(
        self,
        path: Path,
        voxels: np.ndarray,
        *,
        format: str = "array",
        voxel_um: VoxelSize | None = None,
        voxel_source: str = "",
        notes: Sequence[str] = (),
        temporary: Path | None = None,
    ) -> None:
        z, y, x = voxels.shape
        super().__init__(
            path,
            format=format,
            shape=(z, y, x),
            dtype=voxels.dtype.newbyteorder("="),
            voxel_um=voxel_um,
            voxel_source=voxel_source,
            piece=(1, y, x),
            notes=notes,
        )
        self._voxels: np.ndarray | None = voxels
        self._remove = None if temporary is None else weakref.finalize(self, _unlink, temporary)

    def _read(self, block: Block) -> np.ndarray:
        if self._voxels is None:
            raise SlideError(f"{self.path.name} was closed.", hint="Open it again.")
        return self._voxels[block.slices]

    def close(self) -> None:
        """Forget the voxels; a file they were unpacked into is removed."""
        self._voxels = None
        if self._remove is not None:
            self._remove()


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


class PlaneVolume(Volume):
    """A volume stored as slices; the last slices that were decoded are kept for the next block."""

    KEPT_BYTES = 256 << 20

    def _start_cache(self) -> None:
        self._kept: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _plane(self, z: int) -> np.ndarray:
        """All pixels of a slice, (y, x)."""

    def _read(self, block: Block) -> np.ndarray:
        _, rows, columns = block.slices
        return np.stack([self._whole_plane(z)[rows, columns] for z in range(block.start[0], block.stop[0])])

    def _whole_plane(self, z: int) -> np.ndarray:
        with self._lock:
            known = self._kept.pop(z, None)
            if known is not None:
                self._kept[z] = known  # the last used comes last
                return known
        plane = self._plane(z)
        if plane.shape != self.shape[1:]:
            raise SlideError(
                f"Slice {z + 1} of {self.path.name} has {' x '.join(map(str, plane.shape[::-1]))} pixels, the others "
                f"have {self.shape[2]} x {self.shape[1]}.",
                hint="All slices must be of one size.",
            )
        with self._lock:
            self._kept[z] = plane
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.KEPT_BYTES:
                self._kept.pop(next(iter(self._kept)))
        return plane


def checked_volume_shape(path: Path, shape: Sequence[int]) -> Triple:
    """Reject sizes that no volume has.

    Raises
    ------
    SlideError
        When it has fewer than two slices, or a side is zero or beyond 100,000 voxels.
    """
    z, y, x = (int(side) for side in shape)
    if not all(0 < side <= LONGEST_SIDE for side in (z, y, x)):
        raise SlideError(
            f"{path.name} says it has {shape_words((z, y, x))} voxels, which cannot be right.",
            hint="The file is damaged, or its shape was given wrongly.",
        )
    if z < 2:
        raise SlideError(f"{path.name} has a single slice; a volume has several.", hint="Open it as a slide.")
    return z, y, x


def shape_words(shape: Sequence[int]) -> str:
    """``605 x 761 x 366 (z, y, x)``."""
    return f"{' x '.join(count_text(side) for side in shape)} ({', '.join(AXES)})"


def voxel_words(voxel_um: Sequence[float] | None) -> str:
    """``0.064 um``, or all three edges where they differ; ``size unknown``."""
    if voxel_um is None:
        return "size unknown"
    sides = [short_text(side) for side in voxel_um]
    return f"{sides[0]} um" if len(set(sides)) == 1 else f"{' x '.join(sides)} um ({', '.join(AXES)})"
