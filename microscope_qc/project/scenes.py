"""What is stored about a slide file when it becomes part of a project, scene by scene."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.orientation import AS_STORED
from microscope_qc.project.identity import Identifiable, same_file

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
    orientation: int = AS_STORED
    """How the stored pixels were turned; fingerprint, shape and pixel size are those of the turned ones."""
    scale_note: str = ""
    """What is doubtful about the pixel size, a clause; it is told when the slide is added, and not stored."""


def slide_stem(path: Path) -> str:
    """Return the file name without the suffixes of its format: ``a.ome.zarr`` -> ``a``."""
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.name[: -len(suffix)]
    return path.stem or path.name


def read_facts(path: Path | str, *, scene: str | None = None, orientation: int | None = None) -> list[SceneFacts]:
    """Open a slide and return what is stored about its scenes, or about one of them.

    Small files are read whole (:mod:`microscope_qc.slides.content`); of others the content is left open. An
    ``orientation`` turns the pixels in another way than the file says.

    Raises
    ------
    SlideError
        When it cannot be opened or has no such scene.
    """
    from microscope_qc.slides import open_slide
    from microscope_qc.slides.content import small_content

    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - a link stays a link
    with open_slide(place, orientation=orientation) as slide:
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
                orientation=m.orientation,
                scale_note=m.scale_note,
            )
            for m in wanted
        ]


def read_known(known: Identifiable, path: Path | str) -> SceneFacts:
    """Return what is stored about a file that may hold a known slide, with its pixels turned as those of that slide.

    A slide that was added when pictures were shown as they are stored keeps its boxes there, whatever its file says:
    its file is read as it is stored. Its copy in another format may be stored upright.

    Raises
    ------
    SlideError
        When it cannot be opened or has no such scene.
    """
    facts = read_facts(path, scene=known.scene)[0]
    if facts.orientation == known.orientation:
        return facts
    again = same_file(known, facts)
    if not again and facts.fingerprint == known.fingerprint:
        return facts
    as_known = read_facts(path, scene=known.scene, orientation=known.orientation)[0]
    return as_known if again or as_known.fingerprint == known.fingerprint else facts
