"""Slides as lazy images of napari, and findings of projects as layers over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.api.projects import OpenProject, open_project
from microscope_qc.api.slides import LazySlide, open_slide
from microscope_qc.project import SUFFIX
from microscope_qc.slides.registry import HEAD_BYTES, reader_of

LayerData = tuple[Any, dict[str, Any], str]
"""Data, settings of the layer, and its kind."""
MOST_RECTANGLES = 2000
"""Of more findings their centres are shown: napari takes seconds for each thousand rectangles."""
SLIDE_KEY, PATH_KEY = "microscope_qc slide", "microscope_qc path"
"""What the layers' metadata hold: the open slide, and what it was opened from."""


def layer_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the function that reads these paths, None where one is neither a slide nor a project."""
    paths = [path] if isinstance(path, str) else list(path)
    return read_layers if paths and all(_is_ours(Path(one)) for one in paths) else None


def _is_ours(path: Path) -> bool:
    if path.suffix.lower() == SUFFIX:
        return path.is_dir()
    try:
        head = b"" if path.is_dir() else path.open("rb").read(HEAD_BYTES)
    except OSError:
        return False
    return reader_of(path, head) is not None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Return the layers of slides and projects.

    A slide gives one image, its first scene at all its resolutions; a project every slide that is there, the first of
    them shown, and over it a layer of its findings.

    Raises
    ------
    SlideError, ProjectError
        When one cannot be read.
    """
    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        layers += _of_project(Path(one)) if Path(one).suffix.lower() == SUFFIX else [_image(open_slide(one), Path(one))]
    return layers


def _image(slide: LazySlide, path: Path, *, name: str = "", visible: bool = True) -> LayerData:
    colour = "rgb" in slide.axes
    um = slide.pixel_size_um or (1.0, 1.0)
    leading = [axis for axis in slide.axes if axis not in ("y", "x", "rgb", "channel")]
    settings: dict[str, Any] = {
        "name": name or slide.name or path.stem, "scale": (*([1.0] * len(leading)), *um), "visible": visible,
        "multiscale": True, "metadata": {SLIDE_KEY: slide, PATH_KEY: path},
    }  # fmt: skip
    if slide.pixel_size_um is not None:
        settings["units"] = (*(["pixel"] * len(leading)), "um", "um")
    if colour:
        settings["rgb"] = True
    elif "channel" in slide.axes:
        settings["channel_axis"] = slide.axes.index("channel")
        settings["name"] = [f"{settings['name']}: {channel}" for channel in slide.channels]
    return slide.levels, settings, "image"


def _of_project(path: Path) -> list[LayerData]:
    with open_project(path) as project:
        layers: list[LayerData] = []
        slides, found = project.slides(), project.findings()
        colours = dict(project.classes()[["code", "colour"]].itertuples(index=False))
        shown = True
        for slide in slides.itertuples():
            if slide.missing:
                continue
            image = _image(project.open_slide(slide.slide), path, name=slide.slide, visible=shown)
            layers.append(image)
            here = found[found["slide"] == slide.slide].reset_index(drop=True)
            layers.append(_findings(project, here, colours, slide.slide, image[1]["scale"][-2:], visible=shown))
            shown = False
        return layers


def _findings(
    project: OpenProject, found: Any, colours: dict[str, str], slide: str, um: Sequence[float], *, visible: bool
) -> LayerData:
    """Findings as rectangles, or as points where there are too many; half-open pixels become edges of pixels."""
    edges = found[["y0", "x0", "y1", "x1"]].to_numpy(float).reshape(-1, 4) - 0.5
    colour = [colours.get(code, "#ffffff") for code in found["class"]]
    settings: dict[str, Any] = {
        "name": f"{slide}: findings", "features": found, "scale": tuple(um), "visible": visible,
        "metadata": {PATH_KEY: project.path, "slide": slide},
    }  # fmt: skip
    if len(found) > MOST_RECTANGLES:
        centres = (edges[:, :2] + edges[:, 2:]) / 2
        sizes = (edges[:, 2:] - edges[:, :2]).max(1)
        return centres, settings | {"face_color": "transparent", "border_color": colour, "size": sizes}, "points"
    corners = np.stack([edges[:, [0, 1]], edges[:, [0, 3]], edges[:, [2, 3]], edges[:, [2, 1]]], axis=1)
    more = {"shape_type": "rectangle", "face_color": "transparent", "edge_color": colour or "white", "edge_width": 2}
    return list(corners), settings | more, "shapes"
