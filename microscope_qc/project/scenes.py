"""What is stored about a slide file when it becomes part of a project, scene by scene."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".ome.zarr", ".ome.tiff", ".ome.tif", ".ome.tf2", ".ome.btf")


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """What the project stores about one scene of a slide."""

    path: Path
    scene: str | None
    fingerprint: str
    shape_px: tuple[int, int]
    pixel_size_um: tuple[float, float] | None
    content: str = ""
    """Digest of the whole file, "" where it was not read."""


def slide_stem(path: Path) -> str:
    """Return the file name without the suffixes of its format: ``a.ome.zarr`` -> ``a``."""
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.name[: -len(suffix)]
    return path.stem or path.name


def read_facts(path: Path | str, *, scene: str | None = None) -> list[SceneFacts]:
    """Open a slide and return what is stored about its scenes, or about one of them.

    Small files are read whole (:mod:`microscope_qc.slides.content`); of others the content is left open.

    Raises
    ------
    SlideError
        When it cannot be opened or has no such scene.
    """
    from microscope_qc.slides import open_slide
    from microscope_qc.slides.content import small_content

    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
    with open_slide(place) as slide:
        wanted = slide.scenes if scene is None else (slide.scene(scene),)
        several, content = len(slide.scenes) > 1, small_content(place)
        return [
            SceneFacts(
                path=place,
                scene=m.name if several else None,
                fingerprint=m.fingerprint(),
                shape_px=(m.shape[0], m.shape[1]),
                pixel_size_um=m.pixel_size_um,
                content=content,
            )
            for m in wanted
        ]
