"""Command ``severity``: how severe findings are, and the profile that this is worked out by."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import Part, add_slides, count, number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project

LISTED = 50
_COLUMNS = {
    "number": "Number", "slide": "Slide", "class": "Class", "state": "State", "severity": "Severity",
    "class_weight": "Class weight", "size": "Size", "anomaly": "Anomaly", "crowding": "Crowding",
    "neighbours": "Neighbours",
}  # fmt: skip


def register(subparsers: Commands) -> None:
    """Add the command."""
    severity = Part(
        subparsers, "severity", lists=_list,
        about="List findings by severity: 100 times the weight of the class and the weighted mean of size (longest "
        "side by the limit of the class, or by four times its median), anomaly (of findings with the attribute "
        "anomaly_p) and crowding (neighbours within 100 um). Parts that are not known drop out with their weight; "
        "confidence is none.",
    )  # fmt: skip
    listing = severity.listing("list findings, the most severe first")
    for parser in (severity.parser, listing):
        add_slides(parser)
        parser.add_argument(
            "--limit", type=count, default=LISTED, metavar="N", help=f"so many at most (default {LISTED})"
        )
    keep = severity.action(
        "keep", "keep the profile with the medians of the classes as they are now, so that later findings change none",
        _keep,
    )  # fmt: skip
    for name, usual in (("size", 0.6), ("anomaly", 0.25), ("crowding", 0.15)):
        keep.add_argument(f"--{name}", type=number, metavar="WEIGHT", help=f"weight of this part (usually {usual})")
    keep.add_argument("--radius", dest="radius_um", type=number, metavar="UM", help="of neighbours (usually 100)")
    keep.add_argument(
        "--half", type=number, metavar="N", help="so many neighbours are half of the crowding (usually 3)"
    )
    keep.add_argument(
        "--limits", type=Path, metavar="FILE",
        help="acceptance limits as compare-batches takes them: the largest sizes are those of the classes",
    )  # fmt: skip
    severity.action("profile", "show the profile", _profile)
    severity.action("forget", "work with the usual profile again", _forget)


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import slides_of, table
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.severity import severity_records

    with Project.open(args.project, write=False) as project:
        records = list(severity_records(project, slides_of(project, args.slide)))
    records.sort(key=lambda one: -1.0 if one["severity"] is None else one["severity"], reverse=True)
    if args.json:
        print_json({"findings": records})
        return 0
    rows = [[_cell(one[name]) for name in _COLUMNS] for one in records[: args.limit]]
    if rows:
        print("\n".join(table(rows, list(_COLUMNS.values()))))
    if len(records) > args.limit:
        print(f"{len(records) - args.limit} more are not listed (--limit N lists more).")
    return 0


def _cell(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _keep(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from microscope_qc.cli.parts import change, given
    from microscope_qc.workflows.results.batches import read_limits
    from microscope_qc.workflows.review.severity import keep_profile, profile_of

    limits = None if args.limits is None else read_limits(args.limits)
    new = given(args, ("size", "anomaly", "crowding", "radius_um", "half"))

    def keep(project: Project) -> object:
        return keep_profile(project, replace(profile_of(project), **new), limits=limits)

    return change(args, keep)


def _profile(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.severity import kept_profile, profile_of, profile_words

    with Project.open(args.project, write=False) as project:
        kept = kept_profile(project)
        if args.json:
            print_json({
                "profile": profile_of(project).to_json(), "user": kept and kept.user, "kept": kept and kept.kept
            })  # fmt: skip
        else:
            print(profile_words(project))
    return 0


def _forget(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.review.severity import kept_profile

    def forget(project: Project) -> None:
        kept = kept_profile(project)
        if kept is not None:
            project.standards.remove(kept.id)

    return change(args, forget)
