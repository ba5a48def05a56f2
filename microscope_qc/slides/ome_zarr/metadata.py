"""What an OME-Zarr folder says about its images; everything in it is checked, nothing is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.wording import things
from microscope_qc.slides.base import usable_size
from microscope_qc.slides.pixels import Channel
from microscope_qc.slides.plane import WORDS, StackAxis, StackPlace, planes_in

MAX_JSON_BYTES = 64 << 20
MAX_SCENES = 2000
MICROMETRES = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25_400.0,
}
PURE = ("ff0000", "00ff00", "0000ff")


@dataclass(frozen=True)
class MultiscaleImage:
    """One multiscale image of a folder."""

    name: str
    axes: tuple[str, ...]
    level_folders: tuple[Path, ...]
    pixel_size_um: tuple[float, float] | None
    omero: tuple[Mapping[str, Any], ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    voxel_um: tuple[float, float, float] | None = None

    @property
    def complete(self) -> bool:
        """Whether this program wrote the image and stored every chunk, including those that are all background."""
        return self.own.get("complete") is True

    @property
    def origin_px(self) -> tuple[int, int]:
        """(y, x) of the first pixel, where this program's writer stored it."""
        origin = self.own.get("origin_px")
        if isinstance(origin, list) and len(origin) == 2 and all(isinstance(v, int) for v in origin):
            return origin[0], origin[1]
        return 0, 0

    @property
    def stage(self) -> dict[str, Any] | None:
        """The stage position, where this program's writer stored it."""
        stage = self.own.get("stage")
        return stage if isinstance(stage, dict) else None

    def stack(self, sizes: Mapping[str, int]) -> list[StackAxis]:
        """The axes of the stack, of an array with these sizes along its axes."""
        merged: dict[str, StackAxis] = {}
        for _, axis in self._stack(sizes):
            if axis.size > 1:
                known = merged.get(axis.key)
                merged[axis.key] = axis if known is None else StackAxis(axis.key, known.size * axis.size)
        return list(merged.values())

    def indices(self, sizes: Mapping[str, int], place: StackPlace) -> dict[str, int]:
        """Index of a picture along each axis of the array that is not a channel, y or x."""
        rest = {key: place.along(key) for key in ("z", "t", "page")}
        found: dict[str, int] = {}
        step: dict[str, int] = {}
        for array_axis, axis in reversed(self._stack(sizes)):
            rest[axis.key], here = divmod(rest[axis.key], axis.size)
            found[array_axis] = found.get(array_axis, 0) + here * step.get(array_axis, 1)
            step[array_axis] = step.get(array_axis, 1) * axis.size
        return found

    def _stack(self, sizes: Mapping[str, int]) -> list[tuple[str, StackAxis]]:
        """Axes of the array and what lies along them, outermost first.

        OME-Zarr has no pages: this program's writer stores them along the time axis, and says so. Axes of other
        programs that are neither time nor space are taken for pages.
        """
        found: list[tuple[str, StackAxis]] = []
        for array_axis in self.axes:
            if array_axis in ("c", "y", "x"):
                continue
            size = sizes[array_axis]
            own = self._own_stack(array_axis)
            if own and planes_in(own) == size:
                found += [(array_axis, axis) for axis in own]
            else:
                known = array_axis in ("z", "t")
                found.append(
                    (array_axis, StackAxis(array_axis if known else "page", size, "" if known else array_axis))
                )
        return found

    def _own_stack(self, array_axis: str) -> list[StackAxis]:
        """What this program's writer stored along an axis of the array."""
        listed = self.own.get("stack")
        axes = []
        for entry in _dicts(listed):
            key, size, names = entry.get("axis"), entry.get("size"), entry.get("names", [])
            if entry.get("along") != array_axis or key not in WORDS:
                continue
            if not isinstance(size, int) or isinstance(size, bool) or size < 1 or not isinstance(names, list):
                return []
            axes.append(StackAxis(key, size, str(entry.get("word", "")), tuple(str(name) for name in names)))
        return axes

    def channels(self, count: int, dtype: np.dtype) -> tuple[bool, tuple[Channel, ...]]:
        """Whether the channels are red, green and blue of one colour image, and their names and colours."""
        colours = [str(entry.get("color", "")).lstrip("#").lower() for entry in self.omero]
        if count == 3 and self._is_rgb(colours, dtype):
            return True, (Channel("RGB", window=_window(self.omero[0], dtype) if self.omero else None),)
        default = ("ffffff",) if count == 1 else ("00ffff", "ff00ff", "ffff00", "ff0000", "00ff00", "0000ff")
        channels = []
        for i in range(count):
            entry = self.omero[i] if i < len(self.omero) else {}
            colour = colours[i] if i < len(colours) and _is_colour(colours[i]) else default[i % len(default)]
            label = str(entry.get("label", "")).strip() or ("Grey" if count == 1 else f"Channel {i + 1}")
            channels.append(Channel(label, f"#{colour}", _window(entry, dtype)))
        return False, tuple(channels)

    def _is_rgb(self, colours: list[str], dtype: np.dtype) -> bool:
        said = self.own.get("rgb")
        if isinstance(said, bool):
            return said
        if dtype != np.uint8:
            return False
        labels = [str(entry.get("label", "")).lower()[:1] for entry in self.omero]
        if not any(colours):
            return not self.omero or labels == ["r", "g", "b"]
        return tuple(colours) == PURE


def find_images(root: Path) -> list[MultiscaleImage]:
    """The images of a folder: the one at its root, or those its layout lists.

    Raises
    ------
    SlideError
        When there is none.
    """
    attributes = read_attributes(root)
    if attributes is None:
        raise SlideError(f"{root} is a folder, but not an OME-Zarr.", hint="Open a slide file or a folder *.ome.zarr.")
    ome = _ome(attributes)
    if ome.get("multiscales"):
        return [_image(root, root, attributes, "")]
    images = []
    for name in _layout(root, attributes, ome):
        folder = _inside(root, root, name)
        inner = read_attributes(folder)
        if inner is not None and _ome(inner).get("multiscales"):
            images.append(_image(root, folder, inner, name))
        if len(images) >= MAX_SCENES:
            break
    if images:
        return images
    nested = sorted(
        p.parent
        for pattern in ("*/.zattrs", "*/zarr.json", "*/*/.zattrs", "*/*/zarr.json")
        for p in root.glob(pattern)
        if _ome(read_attributes(p.parent) or {}).get("multiscales")
    )
    hint = f"Open {nested[0]}." if nested else "Open the folder that holds the image itself."
    raise SlideError(f"{root.name} is a zarr folder without an image at its root.", hint=hint)


def read_attributes(folder: Path) -> dict[str, Any] | None:
    """The attributes of a zarr group (v3 or v2); None where there is no group.

    Raises
    ------
    SlideError
        When they are damaged.
    """
    for name in ("zarr.json", ".zattrs"):
        document = _json(folder / name)
        if document is not None:
            attributes = document.get("attributes", {}) if name == "zarr.json" else document
            return attributes if isinstance(attributes, dict) else {}
    return {} if (folder / ".zgroup").is_file() else None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_JSON_BYTES:
            raise SlideError(f"{path} is too large to be metadata.", hint="The slide is damaged.")
        document = json.loads(path.read_bytes())
    except PermissionError as error:
        raise SlideError(f"Permission denied: {path}.", hint="Change its permissions, or copy the slide.") from error
    except (ValueError, RecursionError) as error:
        raise SlideError(f"{path} is damaged.", hint="Copy the whole folder again.") from error
    if not isinstance(document, dict):
        raise SlideError(f"{path} is damaged.", hint="Copy the whole folder again.")
    return document


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def _layout(root: Path, attributes: Mapping[str, Any], ome: Mapping[str, Any]) -> Iterator[str]:
    """Paths of the images of a bioformats2raw folder, a plate or a well, relative to the root."""
    plate, well = ome.get("plate"), ome.get("well")
    if isinstance(plate, dict):
        for entry in _dicts(plate.get("wells")):
            path = str(entry.get("path", ""))
            inner = read_attributes(_inside(root, root, path)) or {}
            for image in _dicts((_ome(inner).get("well") or {}).get("images")):
                yield f"{path}/{image.get('path', '')}"
    elif isinstance(well, dict):
        for image in _dicts(well.get("images")):
            yield str(image.get("path", ""))
    elif "bioformats2raw.layout" in ome or "bioformats2raw.layout" in attributes:
        series = _ome(read_attributes(root / "OME") or {}).get("series")
        if isinstance(series, list):
            yield from (str(name) for name in series)
        else:
            for index in range(MAX_SCENES):
                if read_attributes(root / str(index)) is None:
                    return
                yield str(index)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _inside(root: Path, folder: Path, name: str) -> Path:
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
        raise SlideError(f"{root.name} points outside its own folder ({name!r}).", hint="The slide is damaged.")
    return folder.joinpath(*parts.parts)


def _image(root: Path, folder: Path, attributes: Mapping[str, Any], name: str) -> MultiscaleImage:
    damaged = SlideError(f"{root.name} has damaged OME-Zarr metadata.", hint="Export it again as OME-Zarr 0.4 or 0.5.")
    ome = _ome(attributes)
    multiscales = _dicts(ome.get("multiscales"))
    if not multiscales:
        raise damaged
    first = multiscales[0]
    datasets = _dicts(first.get("datasets"))
    axes, units = _axes(first.get("axes"))
    if not datasets or not {"y", "x"} <= set(axes) or len(set(axes)) != len(axes):
        raise damaged
    folders = tuple(_inside(root, folder, str(entry.get("path", ""))) for entry in datasets)
    omero = ome.get("omero", attributes.get("omero"))
    own = attributes.get("microscope_qc")
    notes: tuple[str, ...] = (f"first of {len(multiscales)} multiscale images",) if len(multiscales) > 1 else ()
    filled = own.get("damaged") if isinstance(own, dict) else None
    if isinstance(filled, list) and filled:
        # stored by this program's writer when parts of the source slide could not be read
        notes += (f"{things(len(filled), 'damaged place')} of its source, filled with background",)
    pixel = _sizes_um("yx", axes, units, datasets[0], first)
    voxel = _sizes_um("zyx", axes, units, datasets[0], first) if "z" in axes else None
    return MultiscaleImage(
        name=name or str(first.get("name") or ""),
        axes=axes,
        level_folders=folders,
        pixel_size_um=None if pixel is None else (pixel[0], pixel[1]),
        omero=tuple(_dicts(omero.get("channels")) if isinstance(omero, dict) else ()),
        own=own if isinstance(own, dict) else {},
        notes=notes,
        voxel_um=None if voxel is None else (voxel[0], voxel[1], voxel[2]),
    )


def _axes(axes: Any) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    if not isinstance(axes, list):  # before 0.3 the axes were fixed
        return ("t", "c", "z", "y", "x"), (None,) * 5
    if all(isinstance(axis, str) for axis in axes):
        return tuple(axes), (None,) * len(axes)
    named = _dicts(axes)
    units = [axis.get("unit") for axis in named]
    names = ["c" if axis.get("type") == "channel" else str(axis.get("name", "")) for axis in named]
    return tuple(names), tuple(unit if isinstance(unit, str) else None for unit in units)


def _sizes_um(
    wanted: str,
    axes: tuple[str, ...],
    units: tuple[str | None, ...],
    dataset: dict[str, Any],
    multiscale: dict[str, Any],
) -> list[float] | None:
    """The distance of pixels along each wanted axis; None where one of them is not known."""
    scales = np.ones(len(axes))
    for holder in (dataset, multiscale):
        for transform in _dicts(holder.get("coordinateTransformations")):
            scale = transform.get("scale")
            if transform.get("type") != "scale" or not isinstance(scale, list) or len(scale) != len(axes):
                continue
            if not all(isinstance(value, int | float) for value in scale):
                return None
            scales = scales * scale
    sizes = []
    for axis in wanted:
        i = axes.index(axis)
        size = usable_size(float(scales[i]) * MICROMETRES.get((units[i] or "").lower(), np.nan))
        if size is None:
            return None
        sizes.append(size)
    return sizes


def _is_colour(digits: str) -> bool:
    return len(digits) == 6 and all(digit in "0123456789abcdef" for digit in digits)


def _window(entry: Mapping[str, Any], dtype: np.dtype) -> tuple[float, float] | None:
    window = entry.get("window")
    if not isinstance(window, dict):
        return None
    low, high = window.get("start"), window.get("end")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not high > low:
        return None
    return float(low), float(high)
