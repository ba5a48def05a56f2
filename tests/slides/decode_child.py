"""Run in a child process: damage a slide in many ways; each must end in one of our errors or in pixels.

Usage: decode_child.py FOLDER COUNT FILE ...   Prints a line per damage; another exception ends it.
"""

from __future__ import annotations

import faulthandler
import random
import sys
from pathlib import Path

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import open_slide, slide_info

faulthandler.enable()


def damages(content: bytes, count: int, seed: int):
    """Truncations at 1, 50 and 99 %, then ``count`` copies with a few bytes replaced."""
    for percent in (1, 50, 99):
        yield f"cut at {percent} %", content[: max(1, len(content) * percent // 100)]
    dice = random.Random(seed)
    for number in range(count):
        damaged = bytearray(content)
        # headers and directories are at the start and at the end, pixels between them
        reach = dice.choice([1000, 10_000, len(content)])
        for _ in range(dice.choice([1, 4, 40])):
            at = dice.randrange(min(reach, len(content)))
            damaged[at if dice.random() < 0.6 else len(content) - 1 - at] = dice.choice(
                [0, 1, 255, dice.randrange(256)]
            )
        yield f"damage {number}", bytes(damaged)


def outcome(path: Path) -> str:
    """Read what the window would read."""
    try:
        slide_info(path)
        with open_slide(path) as slide:
            for mosaic in slide.scenes[:2]:
                for level in range(len(mosaic.levels)):
                    shape = mosaic.levels[level].shape
                    mosaic.read_rgb8(Region(0, 0, 300, 300).clip(shape), level=level)
                    mosaic.read(Region(shape[0] - 100, shape[1] - 100, shape[0], shape[1]), level=level)
    except SlideError as error:
        return str(error)
    return "readable"


def main() -> None:
    """Damage every file named on the command line."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    for index, name in enumerate(sys.argv[3:]):
        source = Path(name)
        for number, (what, content) in enumerate(damages(source.read_bytes(), count, index)):
            path = folder / f"{number}-{source.name}"
            path.write_bytes(content)
            print(f"{source.name}: {what}: ", end="", flush=True)
            print(outcome(path), flush=True)
            path.unlink()


main()
