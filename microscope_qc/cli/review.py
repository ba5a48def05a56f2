"""Command ``review``: judge the findings that a query means."""

from __future__ import annotations

import argparse
import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, count, whole_number
from microscope_qc.core.numbers import rounded

if TYPE_CHECKING:
    import numpy as np

    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.workflows.review.matching import Matches

LISTED = 50
_COLUMNS = {
    "number": "Number", "slide": "Slide", "class": "Class", "confidence": "Confidence", "state": "State",
    "size_um": "Size µm", "x_px": "x px", "y_px": "y px", "found_by": "Found by", "chosen": "Chosen", "note": "Note",
}  # fmt: skip
_QUERY = """\
What --where takes: terms with spaces between them, all of which must hold.
  class=CRK confidence<0.5 state=unreviewed slide=S1 size_um>20 note~"near the tab" run=3 chosen=yes
Operators are = != < <= > >= and ~ (contains); = != and ~ take several values: class=CRK,COP. Text with spaces, commas
or quotes in it stands in quotes. What is not known of a finding fits no comparison with a number.

Fields:
"""


def register(subparsers: Commands) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "review",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Judge the findings that a query means, in one step that undo takes back; without an action, list "
        "them.\nFindings that do not count (of runs switched off, or below the project's confidence limit) are left\n"
        "out unless --hidden is given. The window's filter changes nothing here.",
        epilog=_QUERY + _fields(),
    )
    parser.add_argument("project", type=Path, metavar="PROJECT.mqc", help="folder of the project")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--where", metavar="QUERY", help="which findings are meant")
    which.add_argument("--all", action="store_true", help="all findings are meant")
    parser.add_argument("--hidden", action="store_true", help="also those that do not count")
    parser.add_argument(
        "--sample", type=count, metavar="N",
        help="of these, N that nobody judged, drawn at random in bands of confidence; how many of all of them are true "
        "is estimated from those that were judged so, which a review of the worst first does not allow; --where may "
        "ask for class, slide and state then",
    )  # fmt: skip
    acts = parser.add_argument_group("actions").add_mutually_exclusive_group()
    acts.add_argument("--confirm", action="store_true", help="they are defects")
    acts.add_argument("--reject", metavar="REASON", help="they are none: false positive, duplicate, ... or a letter")
    acts.add_argument("--unreview", action="store_true", help="take the judgement back")
    acts.add_argument("--class", dest="code", metavar="CODE", help="give them this class")
    acts.add_argument("--choose", action="store_true", help="choose them for the SEM")
    acts.add_argument("--unchoose", action="store_true", help="leave them out for the SEM")
    acts.add_argument("--note", metavar="TEXT", help='write this note; "" takes notes away')
    acts.add_argument("--delete", action="store_true", help="delete them")
    parser.add_argument("--dry-run", action="store_true", help="say what would be changed and change nothing")
    parser.add_argument(
        "--limit", type=whole_number, metavar="N", help=f"list at most so many (default {LISTED}; JSON: all)"
    )
    add_json(parser)
    parser.set_defaults(handler=_review, json=False)


def _fields() -> str:
    from microscope_qc.core.query_words import FIELD_WORDS

    words = FIELD_WORDS | {"Ni, O, ...": "what EDX measured of an element, in at% or wt%: Ni>20at%"}
    return "\n".join(f"  {name:<11} {said}" for name, said in words.items())


def _review(args: argparse.Namespace) -> int:
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.matching import matching, read_query

    if args.where is None and not args.all:
        hint = 'Write --where "class=CRK confidence<0.5", or --all.'
        raise InputError("Which findings are meant is not said.", hint=hint)
    if args.limit is not None and args.limit < 0:
        raise InputError("The number of findings to list cannot be negative.")
    acting = _action(args) is not None
    with Project.open(args.project, write=acting and not args.dry_run) as project:
        query = None if args.where is None else read_query(project, args.where)
        matches = matching(project, query, hidden=args.hidden)
        if args.sample is not None:
            args.estimate, matches = matches.estimate(), matches.sample(args.sample)
        if acting:
            return _act(args, project, matches)
        return _list(args, project, matches)


def _action(args: argparse.Namespace) -> str | None:
    flags = ("confirm", "unreview", "choose", "unchoose", "delete")
    texts = {"reject": args.reject, "class": args.code, "note": args.note}
    named = [name for name in flags if getattr(args, name)] + [name for name, text in texts.items() if text is not None]
    return named[0] if named else None


def _act(args: argparse.Namespace, project: Project, matches: Matches) -> int:
    from microscope_qc.cli.parts import step
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.review import judging

    ids = matches.ids
    name = _action(args)
    reason = judging.reject_reason(args.reject) if args.reject is not None else ""
    class_id = project.classes.by_code(args.code).id if args.code is not None else 0
    at_random = args.sample is not None and matches.of_all
    actions = {
        "confirm": lambda: judging.confirm(project, ids, at_random=at_random),
        "reject": lambda: judging.reject(project, ids, reason, at_random=at_random),
        "unreview": lambda: judging.unreview(project, ids),
        "class": lambda: judging.relabel(project, ids, class_id, at_random=at_random),
        "choose": lambda: judging.choose(project, ids, True),
        "unchoose": lambda: judging.choose(project, ids, False),
        "note": lambda: judging.set_note(project, ids, args.note),
        "delete": lambda: judging.delete(project, ids),
    }
    entry = None
    if len(ids) and not args.dry_run:
        entry = step(project, actions[str(name)])
    changed = 0 if entry is None else entry.box_count
    if args.json:
        print_json({
            **_counts(matches), "action": name, "changed": changed, "dry_run": args.dry_run,
            "step": None if entry is None else {"number": entry.id, "title": entry.title},
        })  # fmt: skip
        return 0
    found = things(len(ids), "finding")
    if args.dry_run:
        print(f"{found} would be taken; nothing was changed.")
    elif entry is None:
        print("No finding fits; nothing was changed." if len(ids) == 0 else f"{found} are like that already.")
    else:
        same = len(ids) - changed
        print(f"{entry.title}" + (f" ({same} of them were like that already)" if same else "") + ".")
    _print_counts(matches)
    return 0


def _list(args: argparse.Namespace, project: Project, matches: Matches) -> int:
    from microscope_qc.cli.parts import table
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import things

    limit = args.limit if args.limit is not None else None if args.json else LISTED
    codes = {defect.id: defect.code for defect in project.classes}
    listed = [_finding(project, slide, row, codes) for slide, row in islice(matches, limit)]
    if args.json:
        print_json({**_counts(matches), "action": None, "findings": listed, **_estimate(args)})
        return 0
    if args.sample is not None:
        from microscope_qc.analysis.sampling import estimate_words

        print(estimate_words(args.estimate))
    print(things(len(matches), "finding"))
    _print_counts(matches)
    if listed:
        print("\n".join(table([[found[key] for key in _COLUMNS] for found in listed], list(_COLUMNS.values()))))
    if len(listed) < len(matches):
        print(f"{len(matches) - len(listed)} more are not listed (--limit N lists more).")
    return 0


def _estimate(args: argparse.Namespace) -> dict[str, object]:
    if args.sample is None:
        return {}
    found = args.estimate
    now = {"count": found.now.count, "interval": found.now.interval, "of": found.of, "judged": found.judged}
    return {"estimate": now if found.judged else None}


def _counts(matches: Matches) -> dict[str, object]:
    return {
        "matching": len(matches),
        "hidden": matches.hidden,
        "slides": {slide.name: len(rows) for slide, rows in matches.slides},
    }


def _print_counts(matches: Matches) -> None:
    if len(matches.slides) > 1:
        for slide, rows in matches.slides:
            print(f"  {slide.name}: {len(rows)}")
    if matches.hidden:
        print(f"  {matches.hidden} more fit, but do not count in the project (--hidden takes them too)")


def _finding(project: Project, slide: SlideRecord, row: np.void, codes: dict[int, str]) -> dict[str, object]:
    from microscope_qc.core.boxes import ReviewState
    from microscope_qc.project.wording import finder_words

    confidence = float(row["confidence"])
    sides = [float(row["y1"] - row["y0"]), float(row["x1"] - row["x0"])]
    size = None if slide.pixel_size_um is None else max(a * b for a, b in zip(sides, slide.pixel_size_um, strict=True))
    return {
        "number": int(row["id"]),
        "slide": slide.name,
        "class": codes.get(int(row["class_id"]), "?"),
        "confidence": None if math.isnan(confidence) else round(confidence, 3),
        "state": ReviewState(int(row["state"])).word,
        "reason": str(row["reason"]),
        "size_um": None if size is None else rounded(size, 2, digits=3),
        "x_px": round(float(row["x0"] + row["x1"]) / 2, 1),
        "y_px": round(float(row["y0"] + row["y1"]) / 2, 1),
        "found_by": finder_words(project, row),
        "run": int(row["run_id"]) or None,
        "opinions": [
            _opinion(project, said, codes, leads=said["run_id"] == row["run_id"])
            for said in project.opinions.of_finding(int(row["id"]))
        ],
        "chosen": bool(row["chosen"]),
        "note": str(row["note"]),
    }


def _opinion(project: Project, said: np.void, codes: dict[int, str], *, leads: bool) -> dict[str, object]:
    """What a run says of a finding; its box as in a COCO file."""
    run = project.runs.by_id(int(said["run_id"]))
    y0, x0, y1, x1 = (float(said[side]) for side in ("y0", "x0", "y1", "x1"))
    return {
        "run": run.id,
        "name": run.title,
        "model": run.plan.title,
        "started": run.started,
        "counts": run.shown,
        "leads": bool(leads),
        "class": codes.get(int(said["class_id"]), "?"),
        "confidence": round(float(said["confidence"]), 3),
        "bbox": [round(value, 1) for value in (x0, y0, x1 - x0, y1 - y0)],
    }
