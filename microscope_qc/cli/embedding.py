"""embed: the features of a project's slides, computed once."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, add_slides, say_left_out, slides_of
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    embed = subparsers.add_parser(
        "embed",
        description="Look at slides once and keep what a network sees (its features), so that what is learned from "
        "labels needs no pixels. They lie in your cache folder, which the variable MICROSCOPE_QC_CACHE moves, and "
        "take at most 20 GB or a tenth of the free disk; those that were used the longest ago go first. What was "
        "interrupted continues.",
    )
    embed.add_argument("project", type=Path, metavar="PROJECT.mqc", help="folder of the project")
    add_slides(embed)
    embed.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="what computes (default auto)")
    add_json(embed)
    embed.set_defaults(handler=_embed, json=False)


def _embed(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import bytes_text, things
    from microscope_qc.project import Project
    from microscope_qc.workflows.suggestions.embedding import embed_project

    let_idle_threads_sleep(os.environ)
    with Project.open(args.project, write=False) as project:
        done = run(embed_project(project, slide_ids=slides_of(project, args.slide), device=args.device), args)
    if args.json:
        print_json({
            "slides": [
                {"slide": one.slide.name, "folder": one.folder, "bytes": one.nbytes, "unread": one.unread}
                for one in done.slides
            ],
            "left_out": [{"slide": left.slide, "why": str(left.error)} for left in done.left_out],
        })  # fmt: skip
    else:
        for one in done.slides:
            damaged = f"; {things(one.unread, 'part')} could not be read" if one.unread else ""
            print(f"{one.slide.name}: {bytes_text(one.nbytes)}{damaged}")
    return say_left_out(done.left_out, again=True)
