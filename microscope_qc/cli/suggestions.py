"""learn, suggest, similar: what is learned from labels while they are made."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, add_slides, number, slides_of, whole_number
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the commands."""
    learn = subparsers.add_parser(
        "learn",
        description="Say how good what is learned from the labels of a project is: labels are left out in turn, place "
        "after place, and looked for again; and what was made of its suggestions. The slides need features (embed).",
    )
    suggest = subparsers.add_parser(
        "suggest",
        description="Learn from all that is confirmed, drawn and rejected in a project, and suggest places on its "
        "slides. What was suggested before is replaced. Suggestions are no findings: nothing counts or exports them. "
        "The slides need features (embed).",
    )
    suggest.add_argument("--keep", action="store_true", help="keep them as a detection, whose findings count")
    similar = subparsers.add_parser(
        "similar",
        description="Find the findings of a project that look most like one, and give those that nobody has judged "
        "its class and judgement (--apply). The slides need features (embed).",
    )
    for parser in (learn, suggest, similar):
        parser.add_argument("project", type=Path, metavar="PROJECT.mqc", help="folder of the project")
    similar.add_argument("finding", type=whole_number, metavar="ID", help="number of a finding")
    similar.add_argument("--count", type=whole_number, default=24, metavar="N", help="how many (default 24)")
    similar.add_argument(
        "--apply",
        type=number,
        metavar="ALIKE",
        help="judge the unreviewed that are at least so alike (0 to 1)",
    )
    for parser, handler in ((learn, _learn), (suggest, _suggest), (similar, _similar)):
        add_slides(parser)
        add_json(parser)
        parser.set_defaults(handler=handler, json=False)


def _learn(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.project import Project
    from microscope_qc.workflows.suggestions.checking import check_project

    let_idle_threads_sleep(os.environ)
    with Project.open(args.project, write=False) as project:
        good = run(check_project(project, slide_ids=slides_of(project, args.slide)), args)
        codes = {defect.id: defect.code for defect in project.classes}
    if args.json:
        print_json(good.document(codes))
    else:
        print("\n".join(good.sentences(codes)))
    return 0


def _suggest(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import listed, things
    from microscope_qc.project import Project
    from microscope_qc.workflows.suggestions.keeping import keep_as_detection
    from microscope_qc.workflows.suggestions.round import suggest

    let_idle_threads_sleep(os.environ)
    kept = {}
    with Project.open(args.project, write=args.keep) as project:
        done = run(suggest(project, slide_ids=slides_of(project, args.slide)), args)
        if args.keep:
            kept = {one.name: keep_as_detection(project, one.slide_id).id for one in done.slides if one.count}
    if args.json:
        print_json({
            "labels": done.labels, "without_features": done.without,
            "slides": [
                {"slide": one.name, "suggestions": one.count, "run": kept.get(one.name)} for one in done.slides
            ],
        })  # fmt: skip
        return 0
    print(f"learned from {things(done.labels, 'label')}")
    for one in done.slides:
        print(f"{one.name}: {things(one.count, 'suggestion')}{f', kept as run {kept[one.name]}' if kept else ''}")
    if done.without:
        print(f"without features: {listed(done.without)}; compute them with embed")
    return 0


def _similar(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.project import Project
    from microscope_qc.workflows.suggestions.similar import looks_of_findings

    let_idle_threads_sleep(os.environ)
    if args.apply is not None:
        return _apply(args)
    with Project.open(args.project, write=False) as project:
        looks = run(looks_of_findings(project, slide_ids=slides_of(project, args.slide)), args)
        names = {slide.id: slide.name for slide in project.slides}
    found = looks.like(args.finding, count=args.count)
    if args.json:
        print_json([
            {"id": one.finding_id, "slide": names[one.slide_id], "alike": round(one.alike, 4)} for one in found
        ])  # fmt: skip
        return 0
    for one in found:
        print(f"{one.finding_id:>8}  {one.alike:5.2f}  {names[one.slide_id]}")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.suggestions.alike import alike_in, same_for

    with Project.open(args.project, write=True) as project:
        slide_ids = slides_of(project, args.slide)
        found = run(alike_in(project, args.finding, slide_ids=slide_ids, most=args.count), args)
        ids = found.least(args.apply)
        same_for(project, args.finding, ids)
    if args.json:
        print_json({"judged": ids.tolist()})
    else:
        print(f"{things(len(ids), 'finding')} judged like {args.finding}")
    return 0
