"""Command ``second-review``: findings judged again by somebody who does not see how they were judged before."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, number, several, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands

_COLUMNS = {
    "number": "Second review", "user": "By", "begun": "On", "findings": "Findings", "judged": "Judged",
    "minutes": "Minutes", "ended": "Ended",
}  # fmt: skip


def register(subparsers: Commands) -> None:
    """Add the command."""
    part = Part(
        subparsers, "second-review", lists=_list,
        about="Second reviews: somebody judges findings again without seeing how they were judged before. Both are "
        "compared; the judgements of the project stay as they are.",
    )  # fmt: skip
    part.listing("list the second reviews of a project")
    begin = part.action("begin", "take judged findings, in an order of chance, to be judged again", _begin)
    which = begin.add_mutually_exclusive_group(required=True)
    which.add_argument("--where", metavar="QUERY", help="which findings, as review --where takes them")
    which.add_argument("--all", action="store_true", help="all findings")
    begin.add_argument("--count", type=several, metavar="N", help="of these, N at random (default: all)")
    begin.add_argument("--by", dest="user", default="", metavar="NAME", help="who judges again (default: you)")
    begin.add_argument(
        "--csv", type=Path, metavar="OUT.csv|xlsx", help="write their places, without how they were judged"
    )
    judge = part.action(
        "judge",
        "read what was said from a table with the columns finding and verdict: a class, or a reason to reject it",
        _judge,
    )
    judge.add_argument("number", type=whole_number, metavar="N")
    judge.add_argument("file", type=Path, metavar="FILE.csv|xlsx")
    end = part.action("end", "end a second review", _end)
    end.add_argument("number", type=whole_number, metavar="N")
    end.add_argument("--minutes", type=number, metavar="N", help="how long it took")
    compare = part.action(
        "compare", "agreement on what is a defect, 2 m / (n1 + n2), and kappa, with their intervals; where both differ",
        _compare,
    )  # fmt: skip
    compare.add_argument("number", type=whole_number, metavar="N")
    compare.add_argument("--csv", type=Path, metavar="OUT.csv|xlsx", help="write a table, a line for each finding")
    remove = part.action("remove", "remove a second review", _remove)
    remove.add_argument("number", type=whole_number, metavar="N")


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.second_review import second_reviews

    with Project.open(args.project, write=False) as project:
        rows = [
            {
                "number": one.number, "user": one.user, "begun": one.begun[:10], "findings": len(one.findings),
                "judged": len(one.second), "minutes": None if one.seconds is None else round(one.seconds / 60, 1),
                "ended": not one.is_open,
            }
            for one in second_reviews(project)
        ]  # fmt: skip
    show(args, rows, _COLUMNS, "There is no second review.")
    return 0


def _begin(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.second_agreement import write_places
    from microscope_qc.workflows.review import second_review
    from microscope_qc.workflows.review.matching import matching, read_query

    with Project.open(args.project) as project:
        matches = matching(project, None if args.where is None else read_query(project, args.where))
        entry = step(
            project, lambda: second_review.begin(project, matches.ids, count=args.count, user=args.user)
        )  # fmt: skip
        made = second_review.second_reviews(project)[-1]
        if args.csv is not None:
            write_places(args.csv, project, made.findings)
    done(args, entry, {"number": made.number, "findings": made.findings.tolist()})
    return 0


def _judge(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.second_review import judge, read_verdicts

    with Project.open(args.project) as project:
        verdicts = read_verdicts(project, args.file)
        entry = step(project, lambda: judge(project, args.number, verdicts))
    done(args, entry, {"number": args.number, "judged": len(verdicts)})
    return 0


def _end(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.review.second_review import end

    seconds = None if args.minutes is None else 60 * args.minutes
    return change(args, lambda project: end(project, args.number, seconds=seconds), number=args.number)


def _compare(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import print_numbers
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.second_agreement import again_lines, compared_again, write_again_table

    with Project.open(args.project, write=False) as project:
        found = compared_again(project, args.number)
    return print_numbers(args, found, lines=again_lines, write=write_again_table)


def _remove(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.review.second_review import remove

    return change(args, lambda project: remove(project, args.number), number=args.number)
