"""A slide as one or more lazy multiscale mosaics, whatever its file format."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.orientation import AS_STORED, turned_shape
from microscope_qc.core.wording import things
from microscope_qc.slides.display import compose, default_channels, display_window
from microscope_qc.slides.fingerprint import fingerprint
from microscope_qc.slides.pixels import Channel, Level
from microscope_qc.slides.plane import FIRST, MOST_PLANES, WORDS, Plane, StackAxis, StackPlace, check_place, planes_in
from microscope_qc.slides.scaled import read_scaled

# a single read beyond this is a mistake in the caller or the file; 16 GiB would kill the process
MAX_READ_BYTES = 4 << 30


class Mosaic(ABC):
    """One scene of a slide at several resolutions: a picture, or a stack of pictures of one size.

    Parameters
    ----------
    path
        The slide's file or folder.
    levels
        From full resolution to coarse; at least one.
    pixel_size_um
        (y, x) of level 0, None where the file does not say.
    origin_px
        (y, x) of the mosaic's first pixel in the file's own coordinates.
    stage
        Position of the microscope stage (mm unless a name says otherwise), None where the file does not say.
    notes
        Sentences for the user about what cannot be shown, for example transparency.
    scale_note
        What is doubtful about the pixel size, "" where nothing is; one of the notes.
    background
        Value of pixels outside the image.
    stored_levels
        How many of the levels are stored in the file; the others are computed from the last stored one, which has to
        be read for them. All of them by default.
    piece_px
        (h, w) of what is decoded at once at full resolution: a tile, a chunk, a strip.
    stack
        The axes along which the scene has more than one picture, kept in the order z, t, page; such a mosaic
        overrides :meth:`_read_at`.
    file_orientation
        How the file says that its pixels are to be turned, one of :mod:`microscope_qc.core.orientation`. A reader
        leaves the pixels as they are stored; they are turned when the slide is opened.

    Attributes
    ----------
    orientation
        How the stored pixels were turned for this scene: 1 where they were not.
    """

    orientation = AS_STORED

    def __init__(
        self,
        *,
        path: Path,
        levels: Sequence[Level],
        dtype: np.dtype,
        name: str = "",
        rgb: bool = False,
        channels: Sequence[Channel] = (),
        pixel_size_um: tuple[float, float] | None = None,
        origin_px: tuple[int, int] = (0, 0),
        stage: dict[str, Any] | None = None,
        notes: Sequence[str] = (),
        background: float = 0,
        stored_levels: int | None = None,
        piece_px: tuple[int, int] = (512, 512),
        stack: Sequence[StackAxis] = (),
        file_orientation: int = AS_STORED,
        scale_note: str = "",
    ) -> None:
        order = list(WORDS)
        self.stack = tuple(sorted((axis for axis in stack if axis.size > 1), key=lambda axis: order.index(axis.key)))
        if planes_in(self.stack) > MOST_PLANES:
            raise SlideError(
                f"{path.name} says it holds {planes_in(self.stack)} pictures, which cannot be right.",
                hint="The file is damaged.",
            )
        self.name = name
        self.path = path
        self.levels = tuple(levels)
        self.dtype = np.dtype(dtype)
        self.rgb = rgb
        self.channels = tuple(channels) or ((Channel("RGB"),) if rgb else (Channel("Grey"),))
        self._default_channels = default_channels(self.channels)
        self.pixel_size_um = pixel_size_um
        self.origin_px = origin_px
        self.stage = stage
        self.scale_note = scale_note
        self.notes = (*notes, *([scale_note] if scale_note and scale_note not in notes else []))
        self.background = background
        self.stored_levels = len(self.levels) if stored_levels is None else stored_levels
        self.piece_px = piece_px
        self.file_orientation = file_orientation
        self._window_lock = threading.Lock()
        self._windows: dict[tuple[int, int], tuple[float, float]] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in full-resolution pixels."""
        return self.levels[0].shape

    @property
    def stored_shape_px(self) -> tuple[int, int]:
        """Height and width of the picture as it is stored, before it was turned."""
        return turned_shape(self.shape, self.orientation)

    def set_pixel_size(self, size_um: tuple[float, float]) -> None:
        """Replace what the file says by (y, x) that a user gave; what was doubtful about it is settled."""
        self.pixel_size_um = size_um
        self.notes = tuple(note for note in self.notes if note != self.scale_note)
        self.scale_note = ""

    @property
    def default_channels(self) -> tuple[int, ...]:
        """Indices of the channels that are shown, and given to a model, without a choice."""
        return self._default_channels

    @abstractmethod
    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        """Pixels of the first picture in a non-empty region completely inside the level; called from any thread."""

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        """As :meth:`_read`, of any picture of the stack."""
        return self._read(region, level, channel)

    def read(self, region: Region, *, level: int = 0, channel: int = 0, place: StackPlace = FIRST) -> np.ndarray:
        """Read pixels in the file's own type.

        Parameters
        ----------
        region
            In pixels of ``level``; pixels outside the level are returned as background.
        channel
            Index of the channel; an RGB mosaic has only channel 0.
        place
            The picture of the stack; the first without it.

        Returns
        -------
        ndarray
            (h, w), or (h, w, 3) for an RGB mosaic.

        Raises
        ------
        SlideError
            When the file cannot be decoded there.
        InputError
            When there is no such level, channel or picture, or the region does not fit into memory at once.
        """
        if not 0 <= level < len(self.levels):
            raise InputError(f"{self.path.name} has {len(self.levels)} levels; level {level} does not exist.")
        if not 0 <= channel < len(self.channels):
            raise InputError(f"{self.path.name} has {len(self.channels)} channels; channel {channel} does not exist.")
        if place is not FIRST:
            check_place(self.path.name, self.stack, place)
        height, width = region.shape
        shape = (height, width, 3) if self.rgb else (height, width)
        if height * width * (3 if self.rgb else 1) * self.dtype.itemsize > MAX_READ_BYTES:
            raise InputError(
                f"A region of {width} x {height} pixels is too large to be read at once.",
                hint="Read it in tiles, or at a coarser level.",
            )
        inside = region.clip(self.levels[level].shape)
        if inside == region and not region.empty:
            return self._read_one(region, level, channel, place)
        pixels = np.full(shape, self.background, self.dtype)
        if not inside.empty:
            y, x = inside.y0 - region.y0, inside.x0 - region.x0
            part = self._read_one(inside, level, channel, place)
            pixels[y : y + part.shape[0], x : x + part.shape[1]] = part
        return pixels

    def _read_one(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        if place is FIRST or place == FIRST:
            return self._read(region, level, channel)
        return self._read_at(region, level, channel, place)

    def on(self, plane: Plane, *, keep: Sequence[str] = ()) -> Mosaic:
        """The same scene with another picture of the stack, or with fewer channels: everything is read from there.

        Parameters
        ----------
        keep
            Axes of the stack that stay as they are; of the others, only the picture of ``plane`` is left.

        Raises
        ------
        InputError
            When it has no such picture or channel.
        """
        check_place(self.path.name, self.stack, plane.place)
        every = tuple(range(len(self.channels)))
        channels = every if plane.channels is None else plane.channels
        if not channels or not 0 <= min(channels) <= max(channels) < len(self.channels):
            raise InputError(
                f"{self.path.name} has {things(len(self.channels), 'channel')}; "
                f"channel {max(channels, default=0) + 1} does not exist."
            )
        stack = tuple(axis for axis in self.stack if axis.key in keep)
        as_it_is = plane.channels is None or (channels == every == self.default_channels)
        if plane.place == FIRST and as_it_is and stack in ((), self.stack):
            return self
        return _ChosenPlane(self, plane.place, channels, stack, blended=plane.channels is not None)

    def read_rgb8(self, region: Region, *, level: int = 0) -> np.ndarray:
        """Read pixels as they are shown to the user and to a model: (h, w, 3) uint8.

        A single grey channel is repeated three times. Several channels are blended additively in their colours, or only
        the first is taken where these could not be told apart: :func:`~microscope_qc.slides.display.default_channels`.
        """
        return compose(self, region, level)

    def window(self, channel: int = 0, *, page: int = 0) -> tuple[float, float]:
        """Values shown as black and white: from the file, else the range of the type (8 bit) or of the image.

        The same for all focus planes and time points, so that going through them shows what changes in the specimen.
        The pages of a stack may be pictures of different kinds, and each has its own.
        """
        with self._window_lock:
            if (channel, page) not in self._windows:
                pictures = self.on(Plane(StackPlace(page=page))) if page else self
                self._windows[channel, page] = display_window(pictures, channel)
            return self._windows[channel, page]

    def level_for(self, scale: float) -> int:
        """Index of the coarsest level whose downsample is at most ``scale`` (level 0 when there is none)."""
        fitting = [i for i, level in enumerate(self.levels) if max(level.downsample) <= scale * 1.001]
        return fitting[-1] if fitting else 0

    def read_scaled(self, region_level0: Region, shape: tuple[int, int]) -> np.ndarray:
        """Read a region resampled to another size, area-averaged from the best level, in bounded memory.

        Parameters
        ----------
        region_level0
            In full-resolution pixels.
        shape
            Height and width of the result in pixels.

        Returns
        -------
        ndarray
            (h, w, 3) uint8.
        """
        return read_scaled(self, region_level0, shape)

    def overview(self, longest_px: int) -> np.ndarray | None:
        """The whole first channel, coarse but at least ``longest_px`` long, where the format offers that cheaply.

        None for other formats: use the coarsest level there.
        """
        return None

    def fingerprint(self) -> str:
        """Hexadecimal digest of the metadata and 64 sampled blocks of pixels."""
        return fingerprint(self)


class _ChosenPlane(Mosaic):
    """One picture of a slide's stack, or some of its channels, as a mosaic of its own; made by :meth:`Mosaic.on`.

    It is the same slide: name, levels, fingerprint and display windows are those of the whole.
    """

    def __init__(
        self,
        whole: Mosaic,
        place: StackPlace,
        channels: tuple[int, ...],
        stack: tuple[StackAxis, ...],
        *,
        blended: bool,
    ) -> None:
        super().__init__(
            path=whole.path,
            name=whole.name,
            levels=whole.levels,
            dtype=whole.dtype,
            rgb=whole.rgb,
            channels=[whole.channels[i] for i in channels],
            pixel_size_um=whole.pixel_size_um,
            origin_px=whole.origin_px,
            stage=whole.stage,
            notes=whole.notes,
            background=whole.background,
            stored_levels=whole.stored_levels,
            piece_px=whole.piece_px,
            stack=stack,
            file_orientation=whole.file_orientation,
            scale_note=whole.scale_note,
        )
        self.orientation = whole.orientation
        self._whole, self._place, self._channels, self._blended = whole, place, channels, blended

    @property
    def default_channels(self) -> tuple[int, ...]:
        """All channels that were chosen."""
        return tuple(range(len(self.channels))) if self._blended else super().default_channels

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self._read_at(region, level, channel, FIRST)

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        return self._whole.read(region, level=level, channel=self._channels[channel], place=self._of_whole(place))

    def _of_whole(self, place: StackPlace) -> StackPlace:
        """The place in the whole stack."""
        found = self._place
        for axis in self.stack:
            found = found.moved(axis.key, place.along(axis.key))
        return found

    def window(self, channel: int = 0, *, page: int = 0) -> tuple[float, float]:
        """As the whole slide is shown."""
        return self._whole.window(self._channels[channel], page=self._of_whole(StackPlace(page=page)).page)

    def overview(self, longest_px: int) -> np.ndarray | None:
        """That of the whole slide where it shows this plane."""
        return self._whole.overview(longest_px) if self._place == FIRST and self._channels[0] == 0 else None

    def fingerprint(self) -> str:
        """That of the whole slide."""
        return self._whole.fingerprint()


class Slide:
    """An open slide: its scenes, and the file that is closed with them."""

    def __init__(
        self, path: Path, *, format: str, scenes: Sequence[Mosaic], on_close: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self.format = format
        self.scenes = tuple(scenes)
        self._on_close = on_close

    def scene(self, name: str | None = None) -> Mosaic:
        """The scene called ``name``; without a name the first.

        Raises
        ------
        InputError
            When there is no such scene.
        """
        if name is None:
            return self.scenes[0]
        for mosaic in self.scenes:
            if mosaic.name == name:
                return mosaic
        names = ", ".join(mosaic.name for mosaic in self.scenes[:20]) or "a single one, without a name"
        raise InputError(f"{self.path.name} has no scene called {name}.", hint=f"It has: {names}.")

    def close(self) -> None:
        """Close the file; reads fail afterwards."""
        if self._on_close is not None:
            self._on_close()
            self._on_close = None

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def downsample_of(full: tuple[int, int], level: tuple[int, int]) -> tuple[float, float]:
    """Factor between two sizes of an image: an integer where one explains the sizes, else their ratio."""

    def one(size: int, small: int) -> float:
        whole = round(size / small)
        return float(whole) if whole >= 1 and size // whole <= small <= -(-size // whole) else size / small

    return one(full[0], level[0]), one(full[1], level[1])


def checked_shape(path: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """Reject sizes that no micrograph has.

    Raises
    ------
    SlideError
        When a side is zero or beyond 10 million pixels.
    """
    height, width = int(shape[0]), int(shape[1])
    if not (0 < height <= 10_000_000 and 0 < width <= 10_000_000):
        raise SlideError(
            f"{path.name} says it is {width} x {height} pixels, which cannot be right.", hint="The file is damaged."
        )
    return height, width


def usable_size(size: float | None) -> float | None:
    """A pixel size in um, or None where it is missing, zero, infinite or implausible for a microscope."""
    if size is None or not np.isfinite(size) or not 1e-6 <= size <= 1e5:
        return None
    return float(size)


def unique_names(names: Sequence[str]) -> list[str]:
    """Make scene names unique: an empty name becomes the index, a repeated one gets the index in brackets.

    A single scene keeps its name, even an empty one.
    """
    if len(names) == 1:
        return list(names)
    seen = [name for name in names if name]
    return [str(i) if not name else f"{name} ({i})" if seen.count(name) > 1 else name for i, name in enumerate(names)]
