"""TIFF of every kind: OME-TIFF, Aperio SVS and other tiled pyramids, ImageJ, SEM files, plain strips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.plugins import certain
from microscope_qc.core.wording import things
from microscope_qc.slides.base import Mosaic, Slide, checked_shape, downsample_of, unique_names
from microscope_qc.slides.piece_cache import PieceCache
from microscope_qc.slides.pixels import Channel, Level
from microscope_qc.slides.plane import FIRST, StackPlace
from microscope_qc.slides.slide_reader import SlideReader
from microscope_qc.slides.tiff.metadata import OmeImage, TiffFacts, file_facts, is_sound_ome
from microscope_qc.slides.tiff.pages import DAMAGE, PageReader, check_complete, damaged, is_cut_off, piece_of
from microscope_qc.slides.tiff.samples import RGB, YCBCR, SampleValues, UnshownSamplesError, check_samples
from microscope_qc.slides.tiff.stack import StackLayout, missing_pages

CACHE_BYTES = 128 << 20
MAX_PAGES = 100_000
MOST_COPIES = 256
"""A page has fewer reduced copies: each of a damaged list would be looked for."""
LOOKED_AT = 64

# the user gets one sentence; without a handler every odd tag of a damaged file would be printed as well
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(path: Path) -> Slide:
    """Open a TIFF; its series become the scenes, without the label and overview images of slide scanners.

    Raises
    ------
    SlideError
        When it is damaged or has no image this program can show.
    """
    import tifffile

    notes: tuple[str, ...] = ()
    try:
        file = tifffile.TiffFile(path)
        first: Any = file.pages[0]
        if file.is_ome and not is_sound_ome(first.description):
            file.close()
            # planes in other folders are never opened, and broken XML is not passed to another parser
            file = tifffile.TiffFile(path, is_ome=False)
            notes = ("its OME metadata cannot be used",)
    except DAMAGE as error:
        raise damaged(path) from error
    try:
        slide = _slide(path, file, notes)
    except SlideError:
        file.close()
        raise
    except DAMAGE as error:
        file.close()
        raise damaged(path) from error
    return slide


def _slide(path: Path, file: Any, notes: tuple[str, ...]) -> Slide:
    if len(file.pages) > MAX_PAGES:
        raise SlideError(
            f"{path.name} has more than {MAX_PAGES} pages, which this program does not read.",
            hint="Save it as several files, or as OME-Zarr.",
        )
    if not len(file.pages):
        raise damaged(path)
    if is_cut_off(file) or any(len(page.subifds or ()) > MOST_COPIES for page in file.pages[:LOOKED_AT]):
        raise damaged(path)
    check_complete(path, file.pages[-1], 0)
    facts = file_facts(file)
    series = _pictures(file)
    pages = PageReader(path, PieceCache(CACHE_BYTES))
    scenes: list[Mosaic] = []
    refused: list[SlideError] = []
    names = unique_names([str(one[0].name or "") if len(series) > 1 or file.is_ome else "" for one in series])
    for index, (one, name) in enumerate(zip(series, names, strict=True)):
        if {"Y", "X"} <= set(one[0].axes):
            try:
                scenes.append(TiffMosaic(path, pages, one, facts, index=index, name=name, notes=notes))
            except UnshownSamplesError as error:  # the other pictures can still be shown
                refused.append(error)
    if not scenes:
        raise refused[0] if refused else SlideError(f"{path.name} has no image.", hint="Export it again as TIFF.")
    for scene in scenes:
        scene.notes += tuple(f"another picture is left out: {error.message}" for error in refused)

    def close() -> None:
        pages.close()
        file.close()

    kind = "svs" if file.is_svs else "ome-tiff" if file.is_ome else "tiff"
    return Slide(path, format=kind, scenes=scenes, on_close=close)


def _pictures(file: Any) -> list[list[Any]]:
    """The series that are pictures, each with its reduced copies, without the small pictures that stand for others."""
    if file.is_svs or file.is_ndpi or file.is_scn or file.is_bif or file.is_philips:
        return [list(file.series[0].levels)]
    found: list[list[Any]] = []
    for series in file.series:
        # tifffile takes any page of half the size for a reduced copy: it may be the picture of another detector
        copies = [level for level in series.levels[1:] if series.kind != "generic" or _is_copy(series, level)]
        found.append([series, *copies])
        found += [[level] for level in series.levels[1:] if level not in copies]
    pictures = [one for one in found if not (one[0].keyframe.is_reduced or one[0].keyframe.is_mask)]
    return pictures or found


def _is_copy(series: Any, level: Any) -> bool:
    keyframe = level.keyframe
    return bool(keyframe.is_reduced or keyframe.is_subifd or series.keyframe.is_tiled)


class TiffMosaic(Mosaic):
    """One series of a TIFF with all its levels: ``stored`` are the series and its reduced copies."""

    def __init__(
        self,
        path: Path,
        pages: PageReader,
        stored: Sequence[Any],
        facts: TiffFacts,
        *,
        index: int,
        name: str,
        notes: Sequence[str],
    ) -> None:
        series = stored[0]
        levels = [series, *(level for level in stored[1:] if _alike(series, level))]
        shapes = [checked_shape(path, _plane_shape(level)) for level in levels]
        keyframe = series.keyframe
        ome = facts.image(index)
        self._pages, self._levels = pages, levels
        dtype = np.dtype(series.dtype)
        check_samples(path, keyframe, dtype)
        self._values = SampleValues(keyframe, dtype, scientific=facts.scientific)
        samples = _size(series, "S") if "S" in keyframe.axes else 1
        palette = self._values.colormap is not None
        rgb = palette or (samples >= 3 and int(keyframe.photometric) in (RGB, YCBCR))
        self._samples = 1 if rgb else samples  # each is a channel of its own
        self._layout = StackLayout.of(series, rgb=rgb)
        size_um, scale_note = facts.scale(index, keyframe, path=path)
        count = self._samples * (1 if rgb else _size(series, "C"))
        super().__init__(
            path=path,
            name=name,
            levels=[Level(shape, downsample_of(shapes[0], shape)) for shape in shapes],
            dtype=self._values.dtype,
            rgb=rgb,
            channels=_channels(rgb, count, ome),
            pixel_size_um=size_um,
            scale_note=scale_note,
            stage=facts.stage_of(index),
            notes=[*notes, *_notes(series, rgb=rgb, samples=samples)],
            piece_px=piece_of(keyframe),
            stack=self._layout.axes(names=facts.names_of(index)),
            file_orientation=facts.orientation_of(keyframe),
        )
        self._check_planes()

    def _check_planes(self) -> None:
        """Reject a truncated file; note channels and pictures that it never had."""
        missing = []
        self._first: dict[tuple[int, int], tuple[Any, int]] = {}
        for index, channel in enumerate(self.channels):
            for number in range(len(self._levels)):
                page, _ = self._first[number, index] = self._page(number, index, FIRST)
                if page is None and number == 0:
                    missing.append(channel.name)
        self.notes += tuple(f"{name} is not in the file" for name in missing)
        absent = 0 if missing else missing_pages(self._levels[0])
        if absent:
            self.notes += (f"{things(absent, 'picture')} of the stack not in the file (shown black)",)

    def _page(self, level: int, channel: int, place: StackPlace) -> tuple[Any, int]:
        """The page that holds a channel of a picture, and its index in that page."""
        number, within = self._layout.page_of(self._levels[level], channel // self._samples, place)
        return self._pages.page(self._levels[level], number, within), within

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        return self._read_at(region, level, channel, FIRST)

    def _read_at(self, region: Region, level: int, channel: int, place: StackPlace) -> np.ndarray:
        sample = channel % self._samples
        samples = range(3) if self.rgb and self._values.colormap is None else range(sample, sample + 1)
        page, within = self._first[level, channel] if place is FIRST else self._page(level, channel, place)
        if page is None:
            shape = (*region.shape, 3) if self.rgb else region.shape
            return np.zeros(shape, self.dtype)
        pixels = self._values.of(self._pages.read(page, region, samples=samples, plane=within))
        pixels = pixels if self.rgb else pixels[..., 0]
        return np.ascontiguousarray(pixels, self.dtype)


def _alike(series: Any, level: Any) -> bool:
    """Whether a level has the same planes as its series, and is smaller."""
    if level.axes != series.axes or level.keyframe.axes != series.keyframe.axes or level.dtype != series.dtype:
        return False
    rest = [(a, b) for axis, a, b in zip(series.axes, series.shape, level.shape, strict=True) if axis not in ("Y", "X")]
    return all(a == b for a, b in rest) and all(
        b <= a for a, b in zip(_plane_shape(series), _plane_shape(level), strict=True)
    )


def _plane_shape(series: Any) -> tuple[int, int]:
    return _size(series, "Y"), _size(series, "X")


def _size(series: Any, axis: str) -> int:
    return int(series.shape[series.axes.index(axis)]) if axis in series.axes else 1


def _channels(rgb: bool, count: int, ome: OmeImage | None) -> list[Channel]:
    if rgb:
        return [Channel("RGB")]
    default = ("#ffffff",) if count == 1 else ("#00ffff", "#ff00ff", "#ffff00", "#ff0000", "#00ff00", "#0000ff")
    channels = []
    for i in range(count):
        name, colour = ome.channels[i] if ome and i < len(ome.channels) else ("", None)
        name = name or ("Grey" if count == 1 else f"Channel {i + 1}")
        channels.append(Channel(name, colour or default[i % len(default)]))
    return channels


def _notes(series: Any, *, rgb: bool, samples: int) -> list[str]:
    notes = []
    for axis in series.keyframe.axes:  # a page of several planes of its own
        if axis not in "YXS" and _size(series, axis) > 1:
            notes.append(f"first of {_size(series, axis)} planes of each page")
    if rgb and samples > 3:
        notes.append("transparency is not shown")
    return notes


TIFF = SlideReader(
    "tiff",
    "TIFF",
    (".tif", ".tiff", ".svs"),
    lambda path, head: certain(head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    open_tiff,
    saved_as=("OME-TIFF", "SVS", "TIFF"),
)
