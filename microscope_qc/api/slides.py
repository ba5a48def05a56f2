"""A slide as lazy arrays of dask, for napari, scikit-image and numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic, Slide
from microscope_qc.slides.plane import StackPlace

if TYPE_CHECKING:
    import dask.array

CHUNK_PX = 1024
"""Least side of a chunk of the arrays: smaller ones cost dask more than they hold."""


@dataclass(frozen=True)
class LazySlide:
    """A scene of a slide; close it, or use it in a ``with`` statement.

    Attributes
    ----------
    name
        Of the scene; "" for the only one of a file.
    levels
        From full resolution to coarse, arrays of dask in the file's own type, (y, x) and before it axes of a stack
        (``z``, ``t``, ``page``) and ``channel`` where there are several, behind it ``rgb`` of a colour picture.
        Nothing is read before it is computed.
    axes
        Their names.
    downsample
        (y, x) of each level, in pixels of the first one.
    pixel_size_um
        (y, x) of the first level; None where the file does not say.
    channels
        Names of the channels.
    notes
        Sentences about what cannot be shown or is doubtful.
    """

    name: str
    levels: list[dask.array.Array]
    axes: tuple[str, ...]
    downsample: list[tuple[float, float]]
    pixel_size_um: tuple[float, float] | None
    channels: tuple[str, ...]
    notes: tuple[str, ...]
    _slide: Slide = field(repr=False)

    def close(self) -> None:
        """Close the file; the arrays cannot be read any more."""
        self._slide.close()

    def __enter__(self) -> LazySlide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_slide(
    path: Path | str,
    *,
    scene: str | None = None,
    pixel_size_um: tuple[float, float] | None = None,
    orientation: int | None = None,
) -> LazySlide:
    """Open a slide of any format; its pixels are read when they are needed.

    Parameters
    ----------
    path
        A slide's file or folder.
    scene
        Name of one of several scenes; None takes the first.
    pixel_size_um
        (y, x), instead of what the file says.
    orientation
        How the stored picture is turned, 1 to 8 as in Exif; None as the file says.

    Raises
    ------
    SlideError
        When it cannot be read.
    InputError
        When there is no such file or scene.

    Examples
    --------
    >>> from microscope_qc import api
    >>> with api.open_slide("slide.png") as slide:
    ...     print(slide.axes, slide.levels[0].shape, slide.levels[0][:2, :3].compute().shape)
    ('y', 'x') (400, 600) (2, 3)
    """
    from microscope_qc.slides.opening import open_slide as opened

    slide = opened(path, pixel_size_um=pixel_size_um, orientation=orientation)
    try:
        mosaic = slide.scene(scene)
        axes = [axis.key for axis in mosaic.stack] + ["channel"] * (len(mosaic.channels) > 1) + ["y", "x"]
        levels = [_lazy(mosaic, number) for number in range(len(mosaic.levels))]
    except BaseException:
        slide.close()
        raise
    return LazySlide(
        mosaic.name, levels, (*axes, *(["rgb"] if mosaic.rgb else [])), [level.downsample for level in mosaic.levels],
        mosaic.pixel_size_um, tuple(channel.name for channel in mosaic.channels), mosaic.notes, slide,
    )  # fmt: skip


def _lazy(mosaic: Mosaic, level: int) -> dask.array.Array:
    import dask.array

    pixels = _Pixels(mosaic, level)
    height, width = mosaic.levels[level].shape
    y, x = (-(-CHUNK_PX // side) * side for side in mosaic.piece_px)
    chunks = (*([1] * pixels.leading), min(y, height), min(x, width), *([3] if mosaic.rgb else []))
    # any thread may read a mosaic; a name by its object, so that dask does not hash pixels to find one
    return dask.array.from_array(pixels, chunks, name=f"{mosaic.path.name}-{id(pixels):x}", asarray=False, lock=False)


class _Pixels:
    """One level of a mosaic, as much of an array as dask asks for."""

    def __init__(self, mosaic: Mosaic, level: int) -> None:
        self._mosaic, self._level = mosaic, level
        stack = tuple(axis.size for axis in mosaic.stack)
        channels = (len(mosaic.channels),) if len(mosaic.channels) > 1 else ()
        self.leading = len(stack) + len(channels)
        self.shape = (*stack, *channels, *mosaic.levels[level].shape, *((3,) if mosaic.rgb else ()))
        self.dtype = mosaic.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        parts = [range(size)[part] for part, size in zip(wanted, self.shape, strict=True)]
        before, (rows, columns) = parts[: self.leading], parts[self.leading : self.leading + 2]
        shape = tuple(len(part) for part in parts)
        found = np.zeros(shape, self.dtype)
        if not found.size:
            return found
        region = Region(rows.start, columns.start, rows[-1] + 1, columns[-1] + 1)
        steps = (slice(None, None, rows.step), slice(None, None, columns.step))
        for place in np.ndindex(*shape[: self.leading]):
            numbers = [part[i] for part, i in zip(before, place, strict=True)]
            at = {axis.key: number for axis, number in zip(self._mosaic.stack, numbers, strict=False)}
            channel = numbers[-1] if len(self._mosaic.channels) > 1 else 0
            pixels = self._mosaic.read(region, level=self._level, channel=channel, place=StackPlace(**at))
            found[place] = pixels[steps] if not self._mosaic.rgb else pixels[steps][..., parts[-1]]
        return found
