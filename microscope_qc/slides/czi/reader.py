"""Zeiss CZI through pylibCZIrw: scenes, channels, and levels that libCZI makes from the pyramid or from the tiles."""

from __future__ import annotations

import contextlib
import math
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import certain
from microscope_qc.core.wording import things
from microscope_qc.slides.base import Mosaic, Slide, checked_shape
from microscope_qc.slides.czi.directory import SubBlocks, check_sub_block, read_sub_blocks
from microscope_qc.slides.czi.metadata import CziMetadata, parse_metadata
from microscope_qc.slides.czi.stage import fit_stage
from microscope_qc.slides.czi.tiles import Bgr48Tiles, misread
from microscope_qc.slides.pixels import Channel, Level
from microscope_qc.slides.plane import FIRST, MOST_PLANES, StackAxis, StackPlace
from microscope_qc.slides.slide_reader import SlideReader

CACHE_BYTES = 128 << 20
SMALLEST_PX = 512
MAX_CHANNELS = 1000
MOST_OWN_PLANES = 64
DTYPES = {
    "Gray8": np.uint8,
    "Gray16": np.uint16,
    "Gray32Float": np.float32,
    "Bgr24": np.uint8,
    "Bgr48": np.uint16,
    "Bgr96Float": np.float32,
}
_KINDS = {"grey": "grey", "Bgr24": "colour", "Bgr48": "colour 16 bit", "Bgr96Float": "colour 32 bit"}
# what libCZI and its wrapper raise on damaged files, with messages for programmers
DAMAGE = (RuntimeError, ValueError, LookupError, OverflowError, MemoryError)
PAGE_WORDS = {"C": "channel", "H": "phase", "I": "illumination", "R": "rotation", "V": "view"}


def open_czi(path: Path) -> Slide:
    """Open a CZI; every scene becomes a mosaic of its own with its first pixel at (0, 0).

    Raises
    ------
    SlideError
        When libCZI cannot open it or its pixel type is not supported.
    """
    reader = _open(path)
    try:
        scenes = _scenes(path, reader)
    except SlideError:
        reader.close()
        raise
    except DAMAGE as error:
        reader.close()
        raise _damaged(path) from error
    return Slide(path, format="czi", scenes=scenes, on_close=reader.close)


class _Reader:
    """libCZI's reader, guarded: reading from a closed one would crash the process."""

    def __init__(self, path: Path) -> None:
        from pylibCZIrw.czi import CacheOptions, CacheType, CziReader

        cache = CacheOptions(type=CacheType.Standard, max_memory_usage=CACHE_BYTES, max_sub_block_count=100_000)
        self.path = path

        class PlainReader(CziReader):  # type: ignore[misc]  # pylibCZIrw has no types
            @classmethod
            def _get_array_from_bitmap(cls, pixel_data: Any) -> np.ndarray:
                """The bitmap itself; the wrapper would copy it only to check its shape."""
                return np.asarray(pixel_data)

        self.czi = PlainReader(str(path), cache_options=cache)
        self._unchecked: set[int] | None = None
        self._idle = threading.Condition()
        self._users = 0
        self._closed = False

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Any]:
        with self._idle:
            if self._closed:
                raise SlideError(f"{self.path.name} was closed.", hint="Open it again.")
            self._users += 1
        try:
            yield self.czi
        finally:
            with self._idle:
                self._users -= 1
                self._idle.notify_all()

    def check(self, blocks: SubBlocks, roi: tuple[int, int, int, int]) -> None:
        """Check the headers of the sub-blocks that a read will touch, each only once.

        Raises
        ------
        SlideError
            When one of them cannot be right.
        """
        if self._unchecked is None:
            self._unchecked = set(range(len(blocks)))
        if not self._unchecked:
            return
        x, y, width, height = roi
        new = self._unchecked.intersection(blocks.within(y, x, height, width).tolist())
        if not new:
            return
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                for number in sorted(new):
                    check_sub_block(file, blocks, number, file_bytes=size)
        except (ValueError, OSError, struct.error) as error:
            raise _part_damaged(self.path) from error
        self._unchecked -= new

    def close(self) -> None:
        with self._idle:
            if self._closed:
                return
            self._closed = True
            self._idle.wait_for(lambda: self._users == 0)
            self.czi.close()


def _open(path: Path) -> _Reader:
    try:
        return _Reader(path)
    except DAMAGE as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> SlideError:
    return SlideError(
        f"{path.name} is a damaged CZI, or it was not copied completely.", hint="Copy it again from the microscope."
    )


def _part_damaged(path: Path) -> SlideError:
    return SlideError(
        f"A part of {path.name} cannot be decoded; the file is damaged.", hint="Copy it again from the microscope."
    )


@dataclass(frozen=True)
class _Layout:
    """What the scenes of a file have in common whose pixels are of one kind."""

    channels: tuple[int, ...]  # libCZI's channel indices; of colour pictures, each is a picture of the stack
    rgb: bool
    dtype: np.dtype
    dimensions: tuple[tuple[str, int, int], ...]  # libCZI's other dimensions: name, start, size
    blocks: SubBlocks | None
    notes: tuple[str, ...]
    title: str = ""  # what tells its scenes from those of pixels of another kind

    def stack(self, metadata: CziMetadata) -> list[StackAxis]:
        """The axes along which there is more than one picture."""
        axes = [StackAxis(d.lower(), size) for d, _, size in self.dimensions if d in "ZT" and size > 1]
        pages = [(name, size) for name, _, size in self._pages if size > 1]
        if len(pages) == 1:
            name, size = pages[0]
            names = tuple(metadata.channel(i, self.dtype).name for i in self.channels) if name == "C" else ()
            axes.append(StackAxis("page", size, PAGE_WORDS[name], names))
        elif pages:
            axes.append(StackAxis("page", math.prod(size for _, size in pages)))
        return axes

    @property
    def _pages(self) -> list[tuple[str, int, int]]:
        own = [("C", 0, len(self.channels))] if self.rgb else []
        return own + [dimension for dimension in self.dimensions if dimension[0] in PAGE_WORDS]

    def plane(self, channel: int, place: StackPlace) -> dict[str, int]:
        """libCZI's coordinates of a channel of a picture."""
        plane = {name: start for name, start, _ in self.dimensions}
        for name in "ZT":
            if name in plane:
                plane[name] += place.along(name.lower())
        rest = place.page
        for name, start, size in reversed(self._pages):
            rest, here = divmod(rest, size)
            if name == "C":
                channel = here
            else:
                plane[name] = start + here
        return plane | {"C": self.channels[channel]}

    def factors(self, scene: int | None, shape: tuple[int, int]) -> tuple[list[int], int]:
        """Downsampling factors of the levels, and how many of them are stored in the file."""
        factors = [1, *(self.blocks.layers(scene) if self.blocks is not None else ())]
        stored = len(factors)
        while min(shape) // factors[-1] > SMALLEST_PX:
            factors.append(factors[-1] * 2)
        return [factor for factor in factors if min(shape) // factor > 0], stored


def _scenes(path: Path, reader: _Reader) -> list[CziMosaic]:
    czi = reader.czi
    blocks = _sub_blocks(path)
    metadata = parse_metadata(path, czi.raw_metadata, blocks)
    layouts = _layouts(path, czi, blocks)
    rectangles: dict[int | None, Any] = dict(czi.scenes_bounding_rectangle_no_pyramid)
    names: dict[int | None, str] = {}
    if rectangles:
        names |= dict(metadata.scene_names(sorted(index for index in rectangles if index is not None)).items())
    else:
        rectangles, names = {None: czi.total_bounding_rectangle_no_pyramid}, {None: ""}
    return [
        CziMosaic(reader, layout, metadata, scene=index, rectangle=rectangles[index], name=_named(name, layout.title))
        for layout in layouts
        for index, name in names.items()
    ]


def _named(scene: str, kind: str) -> str:
    return f"{scene}, {kind}" if scene and kind else scene or kind


def _sub_blocks(path: Path) -> SubBlocks | None:
    """None where only libCZI understands the directory: levels and stage are then not taken from it."""
    try:
        return read_sub_blocks(path)
    except (ValueError, OSError, struct.error):
        return None


def _layouts(path: Path, czi: Any, blocks: SubBlocks | None) -> list[_Layout]:
    """One for the channels of each kind of pixels; the kind of the first channel comes first."""
    box = czi.total_bounding_box
    if not 0 < box["C"][1] <= MAX_CHANNELS:  # one wrong number in a tile would mean a billion calls of libCZI
        raise _damaged(path)
    pixel_types = czi.pixel_types
    types = {index: str(kind) for index, kind in pixel_types.items() if kind in DTYPES}
    if not types:
        found = ", ".join(sorted({str(kind) for kind in pixel_types.values()})) or "none"
        raise SlideError(
            f"{path.name} has pixels of a type that is not supported ({found}).",
            hint="Export it from ZEN as 8 or 16 bit.",
        )
    notes = []
    if len(types) < len(pixel_types):
        notes.append(f"{things(len(pixel_types) - len(types), 'channel')} of an unsupported type of pixels")
    dimensions = []
    for axis in ("Z", "T", *PAGE_WORDS, "B"):
        start, stop = box.get(axis, (0, 0))
        if axis == "C" or axis not in box:
            continue
        if not 0 <= stop - start <= MOST_PLANES:
            raise _damaged(path)
        dimensions.append((axis, int(start), int(stop - start)))
    groups: dict[str, list[int]] = {}
    for index, kind in types.items():
        groups.setdefault(kind if kind.startswith("Bgr") else "grey", []).append(index)
    return [
        _Layout(
            tuple(chosen),
            kind != "grey",
            np.result_type(*(DTYPES[types[index]] for index in chosen)),
            tuple(dimensions),
            blocks,
            tuple(notes),
            title=_KINDS.get(kind, kind) if len(groups) > 1 else "",
        )
        for kind, chosen in groups.items()
    ]


class CziMosaic(Mosaic):
    """One scene of a CZI."""

    def __init__(
        self,
        reader: _Reader,
        layout: _Layout,
        metadata: CziMetadata,
        *,
        scene: int | None,
        rectangle: Any,
        name: str = "",
    ) -> None:
        height, width = checked_shape(reader.path, (rectangle.h, rectangle.w))
        factors, stored = layout.factors(scene, (height, width))
        channels = [Channel("RGB")] if layout.rgb else [metadata.channel(i, layout.dtype) for i in layout.channels]
        super().__init__(
            path=reader.path,
            name=name,
            levels=[Level((height // factor, width // factor), (float(factor),) * 2) for factor in factors],
            dtype=layout.dtype,
            rgb=layout.rgb,
            channels=channels,
            pixel_size_um=metadata.pixel_size_um,
            origin_px=(rectangle.y, rectangle.x),
            stage=_stage(metadata.stage(scene), layout.blocks, (rectangle.y, rectangle.x)),
            notes=[*layout.notes, *metadata.notes],
            stored_levels=min(stored, len(factors)),
            stack=layout.stack(metadata),
        )
        self._reader, self._layout, self._scene, self._factors = reader, layout, scene, factors
        self._decodes_itself = (
            layout.rgb and layout.dtype == np.uint16 and layout.blocks is not None and misread(layout.blocks)
        )
        self._own: dict[StackPlace, Bgr48Tiles] = {}

    def _tiles_at(self, place: StackPlace) -> Bgr48Tiles:
        found = self._own.get(place)
        if found is None:
            blocks = self._layout.blocks
            assert blocks is not None
            plane = self._layout.plane(0, place)
            found = Bgr48Tiles(self.path, blocks, scene=self._scene, plane=plane, origin_px=self.origin_px)
            if len(self._own) >= MOST_OWN_PLANES:
                self._own = {}
            self._own[place] = found
        return found

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self._read_at(region, level, channel, FIRST)

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        import cv2

        factor, layer = self._factors[level], self._factors[min(level, self.stored_levels - 1)]
        if self._decodes_itself:
            with self._reader.in_use():
                return self._tiles_at(place).read_scaled(region, layer, factor // layer)
        # libCZI takes the nearest pixel when it zooms; averaging up to 4 x 4 of them avoids the worst aliasing
        finer = min(factor // layer, 4)
        y, x = region.y0 * factor + self.origin_px[0], region.x0 * factor + self.origin_px[1]
        height, width = region.shape
        plane = self._layout.plane(channel, place)
        roi = (x, y, width * factor, height * factor)
        with self._reader.in_use() as czi:
            if self._layout.blocks is not None:
                self._reader.check(self._layout.blocks, roi)
            try:
                pixels: np.ndarray = czi.read(roi=roi, plane=plane, scene=self._scene, zoom=finer / factor)
            except DAMAGE as error:
                raise _part_damaged(self.path) from error
            pixels = pixels[: height * finer, : width * finer]
            # the bitmap is libCZI's memory: it is copied, because a view would keep all of it alive
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if self.rgb else pixels[..., 0].copy()
        if finer > 1:
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        return pixels.astype(self.dtype, copy=False)


def _stage(stage: dict[str, Any] | None, blocks: SubBlocks | None, origin_px: tuple[int, int]) -> dict[str, Any] | None:
    if stage is None or blocks is None or "tiles" not in stage:
        return stage
    tile_px = float(np.median(np.minimum(blocks.height, blocks.width)[blocks.full]))
    return {**stage, **fit_stage(stage["tiles"], origin_px=origin_px, tile_px=tile_px)}


CZI = SlideReader(
    "czi", "CZI", (".czi",), lambda path, head: certain(head.startswith(b"ZISRAWFILE")), open_czi, saved_as=("CZI",)
)
