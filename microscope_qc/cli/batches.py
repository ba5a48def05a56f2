"""Commands ``compare-batches`` and ``spc``: groups of slides against each other, against limits, and in their order."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import add_control, print_numbers


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "compare-batches",
        description="Compare the densities of groups of slides after the review: ratios with 95 % intervals that "
        "allow for the spread between specimens or slides, and whether they differ, corrected for all classes (Holm). "
        "With limits, say of each group and slide whether it passes, fails or is undecided, and which findings decide; "
        "the exit code says only whether the comparison was made.",
    )
    parser.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc")
    parser.add_argument(
        "--group-by", dest="by", action="append", required=True, metavar="FIELD",
        help="groups are slides with the same batch or any other field of specimens, or slide, or project; may be "
        "repeated",
    )  # fmt: skip
    parser.add_argument(
        "--reference", metavar="GROUP", help="compare all others with this group (default: each with each)"
    )
    parser.add_argument(
        "--limits", type=Path, metavar="FILE",
        help="CSV or XLSX with the columns class (a code, a class group or all), per_mm2, largest_um, none_at_all "
        "(yes) and source",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--csv", type=Path, metavar="OUT.csv|xlsx", help="write a table of the ratios, with limits of the verdicts"
    )
    parser.set_defaults(handler=_compare)

    parser = subparsers.add_parser(
        "spc",
        description="Draw up a control chart of the density after the review, or of the quality index of anomalous "
        "area: one point for each batch, production date or other group of slides, in their order, with limits, and "
        "the rules by which points are unusual. plot control draws it.",
    )
    parser.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc")
    parser.add_argument(
        "--group-by", dest="by", action="append", required=True, metavar="FIELD",
        help="points are slides with the same value of this field of specimens, or slide, or project; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--class", dest="of", default="all", metavar="CODE", help="a class or class group (default: all)"
    )
    add_control(parser)
    frozen = parser.add_mutually_exclusive_group()
    frozen.add_argument(
        "--freeze", action="store_true",
        help="keep these limits in the first project, with date and author, so that later points do not move them",
    )  # fmt: skip
    frozen.add_argument("--thaw", action="store_true", help="forget the frozen limits of this chart")
    parser.add_argument(
        "--event", nargs=2, action="append", default=[], metavar=("POINT", "TEXT"),
        help='keep in the first project what happened at a point, as "batch 7" "new mill"; "" removes it',
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--csv", type=Path, metavar="OUT.csv|xlsx", help="write a table, a line for each point")
    parser.set_defaults(handler=_spc)


def _compare(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.open import opened_in_turn
    from microscope_qc.workflows.results.batches import compare_batches, read_limits
    from microscope_qc.workflows.results.batches_text import batch_lines, write_batch_table

    limits = [] if args.limits is None else read_limits(args.limits)
    job = compare_batches(opened_in_turn(args.projects), args.by, limits=limits, reference=args.reference)
    found = run(job, args)
    return print_numbers(args, found, lines=batch_lines, write=write_batch_table)


def _spc(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.project import Project
    from microscope_qc.workflows.open import opened_in_turn
    from microscope_qc.workflows.results.process_control import (
        chart_lines,
        freeze_limits,
        note_event,
        process_control,
        thaw_limits,
        write_chart_table,
    )

    def draw(phase_1: int | None) -> dict[str, Any]:
        projects = opened_in_turn(args.projects)
        job = process_control(projects, args.by, of=args.of, chart=args.chart, rules=args.rules, phase_1=phase_1)
        return run(job, args)

    found = draw(args.phase_1)
    if args.freeze or args.thaw or args.event:
        with Project.open(args.projects[0]) as project:
            for point, text in args.event:
                note_event(project, found, point, text)
            if args.freeze:
                freeze_limits(project, found)
            elif args.thaw:
                thaw_limits(project, found)
        found = draw(None if args.freeze else args.phase_1)
    return print_numbers(args, found, lines=chart_lines, write=write_chart_table)
