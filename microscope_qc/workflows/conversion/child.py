"""A conversion from the window: where the copy goes, how large it is, and the child process that writes it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import MicroscopeQCError, SlideError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.orientation import AS_STORED
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.scenes import SceneFacts, read_known, slide_stem
from microscope_qc.slides.base import Mosaic
from microscope_qc.workflows.child import CommandChild
from microscope_qc.workflows.open import documents_folder

SUFFIX = ".ome.zarr"
LEVELS_SHARE = 4 / 3
"""Ratio of all pixels of a pyramid to those of its full resolution."""
WRITING_SHARE = 0.75
"""Share of a conversion's time for writing; the rest is for reading back (measured)."""
LOOK_SECONDS = 0.2
MOST_NAMES = 99


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """Where a conversion would write, and how much.

    ``decoded_bytes`` is the size of the full-resolution pixels, ``needed_bytes`` an upper limit for the copy, which is
    usually smaller. ``copy`` describes a copy of the slide that already exists there.
    """

    out: Path
    decoded_bytes: int
    needed_bytes: int
    free_bytes: int
    copy: SceneFacts | None = None


def plan_conversion(slide: SlideRecord, mosaic: Mosaic) -> ConversionPlan:
    """Find the place for a copy, and whether it exists already (may take a while on a network drive).

    It goes beside the slide, or into the documents folder when the slide's folder is read-only.

    Raises
    ------
    SlideError
        When neither folder can be written.
    """
    from microscope_qc.slides.preview import decoded_bytes

    stem = slide_stem(slide.path) + (f" {_safe(slide.scene)}" if slide.scene else "")
    folder = next((f for f in (slide.path.parent, documents_folder()) if _writable(f)), None)
    if folder is None:
        raise SlideError(
            f"There is nowhere to put a copy of {slide.name}: its folder and {documents_folder()} are read-only.",
            hint="Convert it with “microscope-qc convert” to a folder that you can write to.",
        )
    names = [f"{stem}{SUFFIX}", *(f"{stem} ({number}){SUFFIX}" for number in range(2, MOST_NAMES))]
    out, copy = folder / names[-1], None
    for name in names:
        out = folder / name
        if not os.path.lexists(out):
            break
        copy = None if out == slide.path else read_copy(out, slide)
        if copy is not None:
            break
    pixels = decoded_bytes(mosaic)
    free = shutil.disk_usage(folder).free
    return ConversionPlan(out, pixels, round(pixels * LEVELS_SHARE), free, copy)


def read_copy(path: Path, slide: SlideRecord) -> SceneFacts | None:
    """What the project stores about a copy of a slide; None where ``path`` is something else."""
    try:
        facts = read_known(slide, path)
    except (MicroscopeQCError, OSError):  # whatever is there, it is not a usable copy
        return None
    return facts if facts.fingerprint == slide.fingerprint else None


def convert_in_child(slide: SlideRecord, out: Path) -> Job[SceneFacts]:
    """Convert a slide of a project through the command line.

    Returns
    -------
    Job[SceneFacts]
        Yields the child's progress; returns what the project stores about the copy. Closing it stops the child; the
        next conversion to the same place continues from there, unless :func:`discard_unfinished` was called.

    Raises
    ------
    SlideError
        When the child ended early, with its last message, or the copy differs from the slide.
    """
    arguments = ["convert", str(slide.path), str(out), "--keep"]
    if slide.scene is not None:
        arguments += ["--scene", slide.scene]
    if slide.orientation == AS_STORED:
        arguments.append("--as-stored")
    if slide.pixel_size_um is not None:
        y, x = (float(side) for side in slide.pixel_size_um)
        arguments += ["--pixel-size", repr(x) if x == y else f"{x!r}x{y!r}"]
    return _follow(lambda: CommandChild(arguments, name="conversion"), slide, out)


def discard_unfinished(out: Path) -> None:
    """Delete what a stopped conversion left for being continued."""
    from microscope_qc.slides.pyramid.part import part_folder

    shutil.rmtree(part_folder(out), ignore_errors=True)


def _follow(start: Callable[[], CommandChild], slide: SlideRecord, out: Path) -> Job[SceneFacts]:
    child = start()
    try:
        while child.running:
            yield _as_one(child.progress)
            child.wait(LOOK_SECONDS)
    finally:
        child.stop()
    if child.code != 0:
        raise SlideError(
            f"The conversion of {slide.name} ended early: {child.last_words}",
            hint="Start it again to continue from there.",
        )
    facts = read_copy(out, slide)
    if facts is None:
        raise SlideError(f"{out.name} was written, but its pixels differ from {slide.name}.", hint="Delete it.")
    return facts


def _as_one(status: Mapping[str, Any]) -> Progress:
    """Writing and checking on one scale, so that the remaining time is that of the whole conversion."""
    part = Progress(status.get("done") or 0, status.get("total") or 0)
    unit, note = str(status.get("unit") or ""), str(status.get("note") or "")
    if unit == "tiles":
        return Progress(WRITING_SHARE * part.fraction, 1, "", note)
    if unit == "files":
        return Progress(WRITING_SHARE + (1 - WRITING_SHARE) * part.fraction, 1, "", note)
    return Progress(part.done, part.total, "", note)  # not begun, or at the end


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in name).strip() or "scene"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
