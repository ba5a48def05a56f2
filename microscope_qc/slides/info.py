"""What ``microscope-qc info`` says about a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microscope_qc.core.geometry import Region
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.opening import open_slide

TILE_PX = 256


def slide_info(path: Path | str) -> dict[str, Any]:
    """Describe a slide as a JSON document; one tile of each scene is decoded, so that a damaged slide is an error.

    Returns
    -------
    dict
        ``{format, scenes: [{name, shape, levels, dtype, rgb, channels, colours, stack, pixel_size_um, origin_px,
        orientation, notes, stage}]}``, every pair as [y, x]. ``stack`` lists the axes along which there are
        several pictures: ``{axis: "z" | "t" | "page", size, word, names}``. ``orientation`` is that of the file (TIFF
        and EXIF number them 1 to 8); shape, levels and pixel size are those of the picture as it is shown, upright.

    Raises
    ------
    SlideError
        When the slide cannot be opened or decoded.
    """
    return describe_slide(path)[0]


def describe_slide(path: Path | str) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """The document of :func:`slide_info`, and the notes of every scene about what is not shown."""
    with open_slide(path) as slide:
        document = {"format": slide.format, "scenes": [_scene_info(mosaic) for mosaic in slide.scenes]}
        return document, [mosaic.notes for mosaic in slide.scenes]


def _scene_info(mosaic: Mosaic) -> dict[str, Any]:
    # the middle of a scene is more likely to have pixels than a corner
    y, x = ((side - min(side, TILE_PX)) // 2 for side in mosaic.shape)
    mosaic.read(Region(y, x, y + TILE_PX, x + TILE_PX).clip(mosaic.shape))
    return {
        "name": mosaic.name,
        "shape": list(mosaic.shape),
        "levels": [list(level.shape) for level in mosaic.levels],
        "dtype": mosaic.dtype.name,
        "rgb": mosaic.rgb,
        "channels": [channel.name for channel in mosaic.channels],
        "colours": [channel.colour for channel in mosaic.channels],
        "stack": [
            {"axis": axis.key, "size": axis.size, "word": axis.title, "names": list(axis.names)}
            for axis in mosaic.stack
        ],
        "pixel_size_um": list(mosaic.pixel_size_um) if mosaic.pixel_size_um else None,
        "origin_px": list(mosaic.origin_px),
        "orientation": mosaic.orientation,
        "notes": list(mosaic.notes),
        "stage": mosaic.stage,
    }
