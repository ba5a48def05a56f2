"""The metadata of a pyramid: OME-Zarr 0.5, and this program's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microscope_qc.slides.pixels import Channel
from microscope_qc.slides.plane import StackAxis


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """Describes the image of a pyramid; see :class:`~microscope_qc.slides.base.Mosaic`."""

    rgb: bool
    channels: Sequence[Channel] = ()
    pixel_size_um: tuple[float, float] | None = None
    name: str = ""
    origin_px: tuple[int, int] = (0, 0)
    stage: Mapping[str, Any] | None = None
    stack: Sequence[StackAxis] = ()


def attributes(image: ImageDescription, shapes: Sequence[tuple[int, int]], more: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes in the group's ``zarr.json``: the pyramid, the channels, and ``more`` of this program's own."""
    y_um, x_um = image.pixel_size_um or (1.0, 1.0)
    unit = {"unit": "micrometer"} if image.pixel_size_um else {}
    axes: list[dict[str, str]] = [
        {"name": "c", "type": "channel"},
        *({"name": axis, "type": "space", **unit} for axis in "yx"),
    ]
    before, after = [1.0], [0.0]
    if image.stack:
        axes = [{"name": "t", "type": "time"}, axes[0], {"name": "z", "type": "space"}, *axes[1:]]
        before, after = [1.0] * 3, [0.0] * 3
    datasets = []
    for index in range(len(shapes)):
        factor = 2.0**index
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*before, y_um * factor, x_um * factor]}]
        if index:
            # the centre of a coarse pixel is the middle of the pixels it covers
            shift = (factor - 1) / 2
            transforms.append({"type": "translation", "translation": [*after, y_um * shift, x_um * shift]})
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    multiscale = {"name": image.name, "axes": axes, "datasets": datasets, "type": "mean"}
    if image.rgb:
        window = image.channels[0].window if image.channels else None
        shown = [Channel(*entry, window) for entry in (("Red", "#ff0000"), ("Green", "#00ff00"), ("Blue", "#0000ff"))]
    else:
        shown = list(image.channels) or [Channel("Grey")]
    omero = {"channels": [_omero_channel(channel) for channel in shown]}
    own: dict[str, Any] = {"rgb": image.rgb, "origin_px": list(image.origin_px), "stage": image.stage, "complete": True}
    if image.stack:
        own["stack"] = [_stack_entry(axis) for axis in sorted(image.stack, key=lambda axis: axis.key == "page")]
    return {"ome": {"version": "0.5", "multiscales": [multiscale], "omero": omero}, "microscope_qc": {**own, **more}}


def _stack_entry(axis: StackAxis) -> dict[str, Any]:
    """An axis of the stack, and along which axis of the array it is stored: OME-Zarr has no pages."""
    along = "z" if axis.key == "z" else "t"
    return {"axis": axis.key, "along": along, "size": axis.size, "word": axis.word, "names": list(axis.names)}


def _omero_channel(channel: Channel) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": channel.name, "color": channel.colour.lstrip("#").upper(), "active": True}
    if channel.window is not None:
        low, high = channel.window
        entry["window"] = {"start": low, "end": high, "min": low, "max": high}
    return entry
