"""Run in a child process: damage slides as listed on standard input, read them, print the outcome of each.

Usage: damage_child.py SOURCES SECONDS < CASES   Prints "start ID" and "end ID OUTCOME DETAIL" for every case.
"""

from __future__ import annotations

import faulthandler
import json
import math
import random
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from damage_sources import SOURCES, source_path
from damages import VANISH, damage, vanish

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Slide, open_slide

MEMORY_BYTES = 8 << 30


def pixels_of(slide: Slide) -> list[np.ndarray]:
    """What the window would show: every level and channel, and a preview size."""
    mosaic = slide.scene()
    if mosaic.pixel_size_um is not None:
        assert all(math.isfinite(size) and size > 0 for size in mosaic.pixel_size_um), mosaic.pixel_size_um
    found = []
    for level, facts in enumerate(mosaic.levels):
        whole = Region(0, 0, min(facts.shape[0], 2000), min(facts.shape[1], 2000))
        found += [mosaic.read(whole, level=level, channel=channel) for channel in range(len(mosaic.channels))]
    found.append(mosaic.read_rgb8(Region(-5, -5, 60, 60)))
    return found


def outcome(case: dict, sources: Path, folder: Path) -> tuple[str, str]:
    """Outcome of reading one damaged slide."""
    name, kind, dice = case["format"], case["damage"], random.Random(case["seed"])
    original = source_path(sources, name)
    path = folder / original.name
    shutil.copytree(original, path) if original.is_dir() else shutil.copyfile(original, path)
    truth = np.load(sources / f"{list(SOURCES).index(name)}.npz")
    covered = damage(name, path, kind, dice)
    try:
        slide = open_slide(path)
    except SlideError as error:
        assert error.hint, error
        return "refused at opening", str(error)
    with slide:
        try:
            if kind in VANISH:
                slide.scene().read(Region(0, 0, 20, 20))
                vanish(path, kind, dice)
            found = pixels_of(slide)
        except (SlideError, InputError) as error:
            return "refused at reading", str(error)
    expected = [truth[key] for key in truth.files]
    if len(found) == len(expected) and all(map(np.array_equal, found, expected)):
        return "same pixels", ""
    return ("WRONG SILENT" if covered else "changed, no checksum"), ""


def write_truth(sources: Path) -> None:
    """Keep what the undamaged slides show."""
    for number, name in enumerate(SOURCES):
        with open_slide(source_path(sources, name)) as slide:
            np.savez(sources / f"{number}.npz", *pixels_of(slide))


def main() -> None:
    """Do the cases one by one."""
    sources, seconds = Path(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    if not (sources / "0.npz").exists():
        write_truth(sources)
    faulthandler.enable()
    for case in json.load(sys.stdin):
        print("start", case["id"], flush=True)
        faulthandler.dump_traceback_later(seconds, exit=True)
        with tempfile.TemporaryDirectory(dir=sources) as folder:
            try:
                result, detail = outcome(case, sources, Path(folder))
            except Exception as error:  # noqa: BLE001  any error that is not ours is what the campaign searches for
                result, detail = "FOREIGN", f"{type(error).__name__}: {error}"
        faulthandler.cancel_dump_traceback_later()
        print("end", case["id"], json.dumps([result, detail.replace("\n", " ")]), flush=True)


main()
