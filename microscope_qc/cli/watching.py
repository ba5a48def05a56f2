"""Command ``watch``: new slides of a folder are added to a project and scanned."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.workflows.watching import Watched


def register(subparsers: Commands) -> None:
    """Add the command."""
    watch = subparsers.add_parser(
        "watch",
        description="Watch a folder that a microscope writes into: each slide that appears is added to a project and "
        "scanned, until Ctrl-C. A file is taken once it has stopped growing. What was interrupted continues at the "
        "next start, and what is finished is not repeated.",
        epilog="Its exit code with --once, for schedulers: 0 when all slides were scanned, 2 when one could not be.",
    )
    watch.add_argument("folder", type=Path, metavar="FOLDER", help="folder that new slides appear in")
    watch.add_argument(
        "--project", type=Path, metavar="PROJECT.mqc", help="made when it is not there (default: FOLDER.mqc beside it)"
    )
    watch.add_argument("--model", metavar="MODEL", help="name or folder (default: the one in use in the project)")
    watch.add_argument(
        "--report",
        type=Path,
        metavar="OUT",
        help="report of the project after each new slide: .html, .pdf, .docx, .json",
    )
    watch.add_argument("--once", action="store_true", help="do what is there now, and end")
    watch.add_argument(
        "--settled", type=number, default=10.0, metavar="S", help="seconds without a change before a file is taken (10)"
    )
    watch.add_argument("--no-subfolders", action="store_true", help="leave out folders within the folder")
    watch.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="what computes (default auto)")
    add_json(watch)
    watch.set_defaults(handler=_watch, json=False)


def _watch(args: argparse.Namespace) -> int:
    import json

    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.workflows.detection.run import choose_model
    from microscope_qc.workflows.models.shelf import named_model
    from microscope_qc.workflows.results.report import check_names
    from microscope_qc.workflows.watching import project_of_folder, watch_folder

    if args.settled < 0:
        raise InputError("The number of seconds cannot be negative.")
    if args.report is not None:
        check_names(args.report, None)

    def tell(watched: Watched) -> None:
        if args.json:
            print(json.dumps(_document(watched), ensure_ascii=False), flush=True)
        else:
            print(_words(watched), flush=True)

    with project_of_folder(args.folder, args.project) as project:
        model = choose_model(named_model(args.model, project))
        job = watch_folder(
            project, args.folder, model, report=args.report, once=args.once, subfolders=not args.no_subfolders,
            settled_s=args.settled, device=args.device, tell=tell,
        )  # fmt: skip
        done = run(job, args)
    return 2 if done.failed else 0


def _document(watched: Watched) -> dict[str, object]:
    seconds = None if watched.seconds is None else round(watched.seconds, 2)
    return {
        "slide": watched.name, "path": str(watched.path), "findings": watched.findings, "seconds": seconds,
        "why_not": watched.why_not or None,
    }  # fmt: skip


def _words(watched: Watched) -> str:
    from microscope_qc.core.wording import elapsed_text, things

    if watched.why_not:
        return f"{watched.name}: left out. {watched.why_not}"
    return f"{watched.name}: {things(watched.findings or 0, 'finding')} in {elapsed_text(watched.seconds or 0)}"
