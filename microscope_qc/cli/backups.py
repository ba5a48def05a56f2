"""Command ``backups``: the backups of a project's database."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    backups = Part(
        subparsers, "backups", lists=_list,
        about="List the backups of a project, make one, or go back to one. They are made at every start of the window "
        "and every hour, and thinned by their age.",
    )  # fmt: skip
    backups.listing("list the backups, newest first")
    backups.action("make", "make a backup now", _make)
    restore = backups.action("restore", "go back to a backup; a backup of what is there is made before", _restore)
    restore.add_argument("name", metavar="NAME", help="as the list shows it")


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project.backups import backups_of
    from microscope_qc.project.project import require_project

    rows = [
        {
            "name": backup.name,
            "made": backup.time_text,
            "findings": backup.findings if backup.findings >= 0 else None,
            "bytes": backup.file.stat().st_size,
            "damaged": backup.findings < 0,
        }
        for backup in backups_of(require_project(args.project))
    ]
    show(
        args, rows, {"name": "Backup", "made": "Made", "findings": "Findings", "bytes": "Bytes"}, "There is no backup."
    )
    return 0


def _make(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        made = project.back_up()
    if args.json:
        print_json({"file": made})
    else:
        print("Nothing was changed since the last backup." if made is None else made)
    return 0


def _restore(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project.backups import restore
    from microscope_qc.project.project import require_project

    said = restore(require_project(args.project), args.name)
    if args.json:
        print_json({"done": said})
    else:
        print("\n".join(said))
    return 0
