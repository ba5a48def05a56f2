"""A folder of slices: one picture for each, in the order of the numbers in their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.numbers import natural
from microscope_qc.core.wording import things
from microscope_qc.slides.tiff.pages import DAMAGE
from microscope_qc.slides.volumes.volume import PlaneVolume
from microscope_qc.slides.volumes.volume_reader import VolumeReader

SUFFIXES = (".tif", ".tiff", ".png", ".bmp")
_DAMAGED = (*DAMAGE, OSError, SyntaxError)


class SliceFolder(PlaneVolume):
    """Slices of one size and type; the sizes of all are looked at when it is opened, so that a foreign one is named."""

    def __init__(self, path: Path) -> None:
        self._files = slices_in(path)
        known = [_facts(file) for file in self._files]
        first = known[0]
        for file, facts in zip(self._files, known, strict=True):
            if facts != first:
                raise SlideError(
                    f"The slices in {path.name} are not alike: {file.name} has {_words(facts)}, {self._files[0].name} "
                    f"has {_words(first)}.",
                    hint="Take out what is no slice.",
                )
        shape, dtype = first
        super().__init__(
            path,
            format="folder of slices",
            shape=(len(self._files), *shape),
            dtype=dtype,
            voxel_source="pictures do not say the distance between slices",
        )
        self._start_cache()

    def _plane(self, z: int) -> np.ndarray:
        file = self._files[z]
        try:
            if file.suffix.lower() in (".tif", ".tiff"):
                import tifffile

                return _with_pixels(tifffile.imread(file, key=0))
            from PIL import Image

            with Image.open(file) as picture:
                return _with_pixels(picture)
        except _DAMAGED as error:
            raise SlideError(
                f"Slice {z + 1} of {self.path.name} ({file.name}) is damaged or missing.", hint="Copy it again."
            ) from error


def _with_pixels(picture: Any) -> np.ndarray:
    pixels = np.asarray(picture)
    if pixels.size == 0:  # what tifffile makes of a file without pages
        raise ValueError("no pixels")
    return pixels


def slices_in(folder: Path) -> list[Path]:
    """The pictures of the kind of which there are most, in the order of their numbers.

    Raises
    ------
    SlideError
        When there are fewer than two.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    kinds: dict[str, list[Path]] = {}
    for file in files:
        kinds.setdefault(file.suffix.lower().replace("tiff", "tif"), []).append(file)
    most = max(kinds.values(), key=len, default=[])
    if len(most) < 2:
        raise SlideError(
            f"{folder.name} has {things(len(most), 'picture')}; a volume has a picture for each slice.",
            hint="Choose the folder of the slices.",
        )
    return sorted(most, key=lambda file: natural(file.name))


def _facts(file: Path) -> tuple[tuple[int, int], np.dtype]:
    """Height, width and type of a slice, without its pixels."""
    try:
        if file.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            with tifffile.TiffFile(file) as tiff:
                page = tiff.pages[0]
                shape, dtype = tuple(page.shape), page.dtype
        else:
            from PIL import Image

            with Image.open(file) as picture:
                modes = {"1": "bool", "L": "uint8", "I;16": "uint16", "I": "int32", "F": "float32"}
                shape, dtype = (picture.height, picture.width), np.dtype(modes.get(picture.mode, "V1"))
    except _DAMAGED as error:
        raise SlideError(f"The slice {file.name} is damaged.", hint="Copy it again.") from error
    if len(shape) != 2 or dtype is None or dtype.kind not in "buif":
        raise SlideError(f"The slice {file.name} is in colour or has a type that is not read.", hint="Save it as grey.")
    return (int(shape[0]), int(shape[1])), dtype


def _words(facts: tuple[tuple[int, int], np.dtype]) -> str:
    (height, width), dtype = facts
    return f"{width} x {height} pixels of the type {dtype.name}"


SLICE_FOLDER = VolumeReader("folder of slices", (), lambda path, head: path.is_dir(), SliceFolder)
