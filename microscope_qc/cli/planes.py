"""The options that choose a focus plane, time point, page or channel of a slide."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import whole_number

if TYPE_CHECKING:
    from microscope_qc.slides.plane_choice import PlaneChoice


def add_plane_options(parser: argparse.ArgumentParser, what: str, *, several: bool = False) -> None:
    """Give a parser ``--channel``, ``--z``, ``--t`` and ``--page``.

    Parameters
    ----------
    what
        What the command does with them: "look at", "copy only".
    several
        Whether a command without them takes every picture, and not the first.
    """
    rest = "" if several else " (default 1)"
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="NAME|N",
        help=f"{what} this channel; several times for several (default all)",
    )
    for name, word in (("z", "focus plane"), ("t", "time point"), ("page", "page")):
        parser.add_argument(
            f"--{name}", type=whole_number, metavar="N", help=f"{what} this {word}, counted from 1{rest}"
        )


def plane_choice(args: argparse.Namespace) -> PlaneChoice | None:
    """What the options choose; None where none was given."""
    from microscope_qc.slides.plane_choice import PlaneChoice

    choice = PlaneChoice(tuple(args.channel), args.z, args.t, args.page)
    return None if choice.empty else choice
