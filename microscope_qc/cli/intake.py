"""What the commands that take slides into a project share: flags, words about files left out, and child processes."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.workflows.intake.adding import IntakePlan

SLIDES_HELP = "slides, folders with all slides in and below them, or patterns such as 'scans/**/S1*.png'"
LISTED = 20
"""Of more new slides than these the others are only counted."""


def register(subparsers: Commands) -> None:
    """Add the command of the child processes that read slides."""
    reader = subparsers.add_parser("reader", description="Read the slides named on stdin (started by the program).")
    reader.set_defaults(handler=_serve)


def _serve(_args: argparse.Namespace) -> int:
    from microscope_qc.workflows.intake.reading import serve

    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what libraries print is no answer
    serve(sys.stdin.buffer, answers)
    return 0


def add_intake_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags about what is taken as a slide."""
    parser.add_argument(
        "--masks", action="store_true", help="take masks (ground_truth/, *_mask.png, x.png beside x.jpg) as slides too"
    )
    parser.add_argument("--again", action="store_true", help="also add pictures that are the same as others")
    parser.add_argument(
        "--no-subfolders", dest="subfolders", action="store_false", help="leave the folders within a folder alone"
    )


def print_left_out(plan: IntakePlan, args: argparse.Namespace) -> None:
    """Say what was left out and why: on stderr what a user may have to act on, on stdout what was only skipped."""
    from microscope_qc.workflows.intake.summary import problem_lines, same_words, scale_lines, skipped_lines

    for line in problem_lines(plan):
        print(f"Left out: {line}", file=sys.stderr)
    for line in scale_lines(plan):
        print(line, file=sys.stderr)
    if plan.same and not args.again:
        print(f"Left out: {same_words(plan)} --again adds them too.", file=sys.stderr)
    if not args.json:
        for line in skipped_lines(plan):
            print(f"Left out: {line}")


def left_out_rows(plan: IntakePlan, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every file that was left out, for JSON."""
    rows = [{"path": left.path, "reason": left.reason.value, "words": left.words} for left in plan.left_out]
    same = () if args.again else plan.same
    return rows + [
        {"path": one.path, "reason": "identical picture", "words": one.words, "same_as": one.other} for one in same
    ]
