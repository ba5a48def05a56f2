"""Write a mosaic of any size as an OME-Zarr 0.5 pyramid: every pixel is read once, memory stays bounded."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.files import atomic_write, write_error
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.slides.fingerprint import SampledPixels, fingerprint, sampled_blocks
from microscope_qc.slides.ome_zarr.metadata import read_attributes
from microscope_qc.slides.ome_zarr.reader import open_ome_zarr
from microscope_qc.slides.pixels import Channel
from microscope_qc.slides.pyramid.check import check_levels
from microscope_qc.slides.pyramid.levels import PyramidPlan, create_level, halve, level_shapes
from microscope_qc.slides.pyramid.metadata import ImageDescription, attributes
from microscope_qc.slides.pyramid.part import PartFolder, Resuming
from microscope_qc.slides.pyramid.shards import ShardWriter
from microscope_qc.slides.pyramid.source import PictureStack, PixelSource, Read, SourceReader, merged
from microscope_qc.slides.pyramid.walk import PyramidWalk, UnsoundShard

__all__ = ["damaged_places", "halve", "level_shapes", "write_ome_zarr"]

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_ome_zarr(
    out: Path | str,
    *,
    shape: tuple[int, int],
    dtype: np.dtype | type | str,
    rgb: bool,
    read: Read | Sequence[Read],
    pixel_size_um: tuple[float, float] | None = None,
    channels: Sequence[Channel] = (),
    name: str = "",
    origin_px: tuple[int, int] = (0, 0),
    stage: Mapping[str, Any] | None = None,
    stack: PictureStack | None = None,
    source: PixelSource | None = None,
    resuming: Resuming | None = None,
    workers: int = 2,
    verify: bool = False,
) -> Job[Path]:
    """Write a pyramid as OME-Zarr 0.5 (zarr v3, axes c, y, x; RGB as three channels).

    One of a stack has the axes t, c, z, y, x, and each of its pictures its own levels. Its pages lie along t, inside
    its time points: OME-Zarr knows no pages.

    Each level is the mean over 2 x 2 pixels of the finer one, see :func:`halve`. Every chunk and every index carries
    a checksum (CRC-32C).

    Parameters
    ----------
    out
        Folder to write. A zarr of that name is replaced at the very end; anything else is never overwritten.
    shape
        Height and width in pixels.
    read
        Returns the full-resolution pixels of a region inside the image: (h, w, 3) for RGB, (h, w) for one channel,
        (c, h, w) for several; or one function for each channel. Called from ``workers`` threads, never twice for a
        pixel unless it raises OSError: then the region is read again in smaller pieces, and what cannot be read is
        filled with the source's background; the places are stored, see :func:`damaged_places`.
    stack
        The pictures of a stack; ``read`` is then that of the first of them.
    source
        What the pyramid is made from; its facts are stored together with its fingerprint.
    verify
        Read everything back at the end, and compare it.

    Returns
    -------
    Job[Path]
        Yields progress in tiles, then in files while verifying, and returns ``out``.

    Raises
    ------
    InputError
        When ``out`` exists and is not a zarr.
    SlideError
        When more than 5 % of the source cannot be read, or it has disappeared.
    WriteError
        When the disk is full or the folder is read-only, when another conversion is writing there, or when the drive
        did not store what was written. What was there before stays.
    """
    target, source, resuming = _checked_target(Path(out), shape), source or PixelSource(), resuming or Resuming()
    planes = 3 if rgb else max(1, len(channels))
    pictures = PictureStack() if stack is None else stack
    plan = PyramidPlan(
        (int(shape[0]), int(shape[1])), np.dtype(dtype), planes, rgb, source.strip_px, counts=pictures.counts
    )
    image = ImageDescription(rgb, channels, pixel_size_um, name, origin_px, stage, pictures.axes)
    with _as_write_error(target), _open_part(PartFolder(target, plan, resuming.key), resuming) as part:
        sampled = SampledPixels(plan.shape)
        title = str(source.facts.get("name") or name or "The source")
        reader_of = partial(_reader_of, read, pictures, source, part, sampled, title)
        yield from _write_levels(part, plan, reader_of, workers)
        if verify:
            checks = check_levels(part.folder, plan, part.shards, name=target.name, workers=workers, on_bad=part.forget)
            yield from checks
        yield from _describe(part, plan, image, source, sampled)
        part.publish()
    return Path(out)


def _reader_of(
    read: Read | Sequence[Read],
    pictures: PictureStack,
    source: PixelSource,
    part: PartFolder,
    sampled: SampledPixels,
    title: str,
    picture: PyramidPlan,
) -> SourceReader:
    """What reads one picture of the source; ``read`` is that of the first."""
    first = picture.at == (0, 0)
    return SourceReader(
        read if first else pictures.read(pictures.place(picture.at)),
        picture,
        source,
        name=title,
        on_damage=partial(part.add_damaged, at=picture.at),
        on_first_channel=sampled.add if first else lambda tile, pixels: None,
    )


@contextlib.contextmanager
def _open_part(part: PartFolder, resuming: Resuming) -> Iterator[PartFolder]:
    """The part folder; decides what is kept of it when it was not published."""
    part.open(fresh=resuming.fresh)
    try:
        yield part
    except GeneratorExit:  # stopped
        part.leave() if resuming.keep_stopped else part.discard()
        raise
    except UnsoundShard as error:
        part.forget([error.shard])
        part.leave()
        raise
    except OSError as error:
        # on a full disk a hidden folder would only hinder the user who tries to free space
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        part.discard() if cause.errno in DISK_IS_FULL else part.leave()
        raise
    except BaseException:
        part.leave()
        raise


def _write_levels(
    part: PartFolder, plan: PyramidPlan, reader_of: Callable[[PyramidPlan], SourceReader], workers: int
) -> Iterator[Progress]:
    for level in range(len(plan.shapes)):
        create_level(part.folder, plan, level)
    before = set(part.shards)
    for number, picture in enumerate(plan.pictures()):
        own = set(picture.own_shards())
        done = own & before
        if plan.picture_count > 1 and done == own:
            continue
        writer = ShardWriter(part.folder, picture, part.add_shard)
        walk = PyramidWalk(part.folder, picture, reader_of(picture), writer, done=done, workers=workers)
        for step in walk.run():
            whole = plan.picture_count * step.total
            yield Progress(number * step.total + step.done, whole, step.unit, step.note)


def _describe(
    part: PartFolder, plan: PyramidPlan, image: ImageDescription, source: PixelSource, sampled: SampledPixels
) -> Iterator[Progress]:
    """Write the pyramid's metadata; yields a note when places of the source were filled."""
    damaged = merged(part.damaged)
    if damaged:
        yield Progress(1, 1, "", damage_sentence(damaged))
    own: dict[str, Any] = {"damaged": [[p.y0, p.x0, p.y1, p.x1] for p in damaged]} if damaged else {}
    _write_attributes(part.folder, attributes(image, plan.shapes, own))
    if source.facts:  # the fingerprint is taken from the pyramid, which must be complete for it
        own["source"] = {**source.facts, "fingerprint": _fingerprint(part, sampled)}
        _write_attributes(part.folder, attributes(image, plan.shapes, own))


def _write_attributes(folder: Path, attributes: Mapping[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    atomic_write(folder / "zarr.json", json.dumps(group, indent=1))


def _fingerprint(part: PartFolder, sampled: SampledPixels) -> str | None:
    """The source's fingerprint from the pixels that were read; None where the source itself cannot have one.

    Reading the source would decode its tiles a second time, which took an eighth of a whole conversion.
    """
    with open_ome_zarr(part.folder) as slide:
        mosaic = slide.scene()
        if any(_overlap(place, block) for place in merged(part.damaged) for block in sampled_blocks(mosaic.shape)):
            return None

        def read(block: Region) -> np.ndarray:
            kept = sampled.get(block)
            return mosaic.read(block) if kept is None else kept  # stored by an earlier conversion

        return fingerprint(mosaic, read=read)


def _overlap(a: Region, b: Region) -> bool:
    return max(a.y0, b.y0) < min(a.y1, b.y1) and max(a.x0, b.x0) < min(a.x1, b.x1)


def damaged_places(store: Path | str) -> list[Region]:
    """Where a pyramid is filled because its source could not be read there, in full-resolution pixels."""
    own = (read_attributes(Path(store)) or {}).get("microscope_qc")
    listed = own.get("damaged") if isinstance(own, dict) else None
    if not isinstance(listed, list):
        return []
    places = [place for place in listed if isinstance(place, list) and len(place) == 4]
    return [Region(*place) for place in places if all(isinstance(value, int) for value in place)]


def damage_sentence(places: Sequence[Region]) -> str:
    """What the user is told about places that were filled."""
    first = places[0]
    where = f"at x {first.x0}, y {first.y0}, {first.shape[1]} x {first.shape[0]} pixels"
    if len(places) == 1:
        return f"One place of the source could not be read and is filled with background ({where})"
    return f"{len(places)} places of the source could not be read and are filled with background (the first {where})"


def _checked_target(out: Path, shape: tuple[int, int]) -> Path:
    """The folder that is really written, with links resolved."""
    if out.exists() and not (out / "zarr.json").is_file() and not (out / ".zattrs").is_file():
        raise InputError(f"{out} exists and is not an OME-Zarr; it is not overwritten.", hint="Choose another name.")
    if min(shape) < 1:
        raise InputError(f"A slide of {shape[1]} x {shape[0]} pixels cannot be written.")
    return out.resolve()


@contextlib.contextmanager
def _as_write_error(target: Path) -> Iterator[None]:
    """WriteError for a full or read-only disk, which the storage library raises as ValueError or RuntimeError."""
    words = {"No space left": errno.ENOSPC, "Disk quota": errno.ENOSPC, "Permission denied": errno.EACCES}
    try:
        yield
    except MicroscopeQCError:
        raise
    except OSError as error:
        raise write_error(target, error) from error
    except (ValueError, RuntimeError) as error:
        code = next((code for word, code in words.items() if word in str(error)), None)
        if code is None:
            raise
        raise write_error(target, OSError(code, os.strerror(code))) from error
