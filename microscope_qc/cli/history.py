"""Commands ``history`` and ``runs``: what was done in a project, and what detections found."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, number, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project
    from microscope_qc.project.records import LogEntry
    from microscope_qc.workflows.review.runs import RunLine

LISTED = 20
_KINDS = {"command": "", "run": "detection", "made": "made with the project", "kept": "kept", "dropped": "undone"}


def register(subparsers: Commands) -> None:
    """Add the commands."""
    _register_history(subparsers)
    _register_runs(subparsers)


def _register_history(subparsers: Commands) -> None:
    history = Part(
        subparsers, "history", lists=_history,
        about="List the steps of a project's history, newest first; undo them, do them again, write them as a table.",
    )  # fmt: skip
    history.parser.set_defaults(limit=LISTED)
    listing = history.listing("list the newest steps")
    for parser in (history.parser, listing):
        parser.add_argument(
            "--limit",
            type=whole_number,
            metavar="N",
            default=argparse.SUPPRESS,
            help=f"so many (default {LISTED}; 0: all)",
        )
    for name, about, handler in (
        ("undo", "take the last step back, or the last N", _undo),
        ("redo", "do again what was undone last, or the last N", _redo),
    ):
        step = history.action(name, about, handler)
        step.add_argument("count", nargs="?", type=whole_number, default=1, metavar="N")
    export = history.action("export", "write who changed what and when, before and after, as a CSV table", _export)
    export.add_argument("out", metavar="OUT.csv")


def _register_runs(subparsers: Commands) -> None:
    runs = Part(
        subparsers, "runs", lists=_runs,
        about="List the detections of a project; say which of their findings count, or delete them.",
    )  # fmt: skip
    runs.listing("list the detections")
    for name, about, handler in (
        ("info", "what a detection was asked to do, and what became of it", _info),
        ("show", "switch the findings of a detection on", _show),
        ("hide", "switch off what only this detection found and nobody judged", _hide),
        ("only", "switch a detection on and the others of its slide off", _only),
    ):
        runs.action(name, about, handler).add_argument(
            "run", type=whole_number, metavar="RUN", help="number of the detection"
        )
    limit = runs.action("limit", "say, or set, from which confidence on findings of detections count", _limit)
    limit.add_argument(
        "confidence", type=number, nargs="?", metavar="C", help="0 to 1; what a user judged counts anyway"
    )
    rename = runs.action("rename", "give a detection a name; without one it is called by its model", _rename)
    rename.add_argument("run", type=whole_number, metavar="RUN", help="number of the detection")
    rename.add_argument("name", nargs="?", default="", metavar="NAME", help="its name")
    delete = runs.action("delete", "delete a detection with what only it found; what users judged stays", _delete)
    delete.add_argument("run", type=whole_number, metavar="RUN", help="number of the detection")
    delete.add_argument("--dry-run", action="store_true", help="say what would go and change nothing")


def _history(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project

    if args.limit < 0:
        raise InputError("The number of steps to list cannot be negative.")
    with Project.open(args.project, write=False) as project:
        rows = [_step(project, entry) for entry in project.history.entries(args.limit or None)]
    columns = {
        "number": "Step",
        "time": "Time",
        "user": "User",
        "slide": "Slide",
        "title": "What",
        "in_force": "In force",
    }
    if not args.json:
        rows = [row | {"time": str(row["time"])[:16].replace("T", " ")} for row in rows]
    show(args, rows, columns, "Nothing has been done yet.")
    return 0


def _step(project: Project, entry: LogEntry) -> dict[str, object]:
    slide = next((record.name for record in project.slides if record.id == entry.slide_id), None)
    return {
        "number": entry.id,
        "time": entry.time,
        "user": entry.user,
        "title": entry.title,
        "kind": entry.kind,
        "in_force": not entry.undone and entry.kind != "dropped",
        "slide": slide,
        "findings": entry.box_count,
        "run": entry.run_id,
    }


def _undo(args: argparse.Namespace) -> int:
    return _go(args, undo=True)


def _redo(args: argparse.Namespace) -> int:
    return _go(args, undo=False)


def _go(args: argparse.Namespace, *, undo: bool) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project

    if args.count < 1:
        raise InputError("The number of steps must be 1 or more.")
    done: list[LogEntry] = []
    with Project.open(args.project) as project:
        move = project.history.undo if undo else project.history.redo
        while len(done) < args.count and (entry := move()) is not None:
            done.append(entry)
            if not args.json:  # each is said at once: a later one may fail
                print(f"{'Undone' if undo else 'Done again'}: {entry.title}.")
        if args.json:
            print_json([_step(project, entry) for entry in done])
    if not args.json and len(done) < args.count:
        print(f"There is nothing {'more ' if done else ''}to {'undo' if undo else 'redo'}.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        lines = project.history.export(args.out)
    if args.json:
        print_json({"file": args.out, "lines": lines})
    else:
        print(f"{things(lines, 'line')} written to {args.out}")
    return 0


# -- runs -------------------------------------------------------------------------------------------------------------


def _runs(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.runs import run_lines

    with Project.open(args.project, write=False) as project:
        rows = [_run(line) for line in run_lines(project)]
    columns = {
        "number": "Run", "slide": "Slide", "name": "Name", "model": "Model", "area": "Area", "found": "Found",
        "new": "New", "left": "Left", "state": "State", "shown": "Shown", "started": "Started",
    }  # fmt: skip
    if not args.json:
        rows = [row | {"started": str(row["started"])[:16].replace("T", " ")} for row in rows]
    show(args, rows, columns, "Nothing has been detected yet.")
    return 0


def _run(line: RunLine) -> dict[str, object]:
    run = line.run
    return {
        "number": run.id,
        "slide": line.slide.name,
        "name": run.name,
        "model": run.plan.title,
        "area": line.area,
        "state": run.state,
        "shown": run.shown,
        "found": line.counts.found,
        "new": line.counts.new,
        "left": line.counts.left,
        "started": run.started,
        "finished": run.finished,
        "folder": run.folder,
    }


def _info(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import cell_text
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.runs import run_lines

    with Project.open(args.project, write=False) as project:
        run = project.runs.by_id(args.run)
        (line,) = [line for line in run_lines(project, [run.slide_id]) if line.run.id == run.id]
        document = {**_run(line), "plan": run.plan.document()}
    if args.json:
        print_json(document)
        return 0
    for name, value in document.items():
        if name != "plan":
            print(f"{name:<12} {cell_text(value)}")
    region = run.plan.region
    print(f"{'region':<12} y {region.y0} to {region.y1}, x {region.x0} to {region.x1} px" if region else "")
    return 0


def _show(args: argparse.Namespace) -> int:
    return _switch(args, shown=True)


def _hide(args: argparse.Namespace) -> int:
    return _switch(args, shown=False)


def _switch(args: argparse.Namespace, *, shown: bool) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        entry = step(project, lambda: project.runs.show(args.run, shown))
    done(args, entry, {"run": args.run, "shown": shown})
    return 0


def _only(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        entry = step(project, lambda: project.runs.show_only(args.run))
    done(args, entry, {"run": args.run, "shown": True})
    return 0


def _rename(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        entry = step(project, lambda: project.runs.rename(args.run, args.name))
        name = project.runs.by_id(args.run).name
    done(args, entry, {"run": args.run, "name": name})
    return 0


def _limit(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project

    limit = args.confidence
    with Project.open(args.project, write=limit is not None) as project:
        entry = None if limit is None else step(project, lambda: project.inclusion.set_limit(limit))
        now = project.inclusion.current.confidence_limit
    if limit is not None:
        done(args, entry, {"confidence_limit": now})
    elif args.json:
        print_json({"confidence_limit": now})
    else:
        print(f"Findings of detections count from a confidence of {now:g} on.")
    return 0


def _delete(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project, write=not args.dry_run) as project:
        deletion = project.runs.deleting(args.run)
        entry = None if args.dry_run else step(project, lambda: project.runs.delete(args.run))
    document = {
        "run": args.run, "findings": len(deletion.gone), "kept": len(deletion.kept), "shared": deletion.shared,
        "dry_run": args.dry_run,
    }  # fmt: skip
    if args.dry_run and not args.json:
        print(f"Run {args.run} would be deleted: {deletion.words}. Nothing was changed.")
    else:
        done(args, entry, document)
    return 0
