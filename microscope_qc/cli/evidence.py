"""explain: what a classifier takes a place for, and which pixels speak for that."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, region_argument, whole_number
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    explain = subparsers.add_parser(
        "explain",
        description="Say what a classifier takes a place of a slide for: its three likeliest classes, with the box "
        "around what speaks for each, and on request pictures of that (class activation maps).",
    )
    explain.add_argument("model", metavar="MODEL", help="a classifier: its name, or a model's folder")
    explain.add_argument("source", metavar="SLIDE|PROJECT.mqc", type=Path, help="a slide, or a project")
    explain.add_argument("--finding", type=whole_number, metavar="N", help="the window around a finding of the project")
    explain.add_argument("--region", type=region_argument, metavar="Y0,X0,Y1,X1", help="a place, in slide pixels")
    explain.add_argument("--slide", metavar="NAME", help="slide of the project for --region (default: the only one)")
    explain.add_argument("--out", type=Path, metavar="OUT.png", help="write the place and the maps of its classes")
    explain.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    add_json(explain)
    explain.set_defaults(handler=_explain, json=False)


def _explain(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.geometry import Region
    from microscope_qc.project import Project
    from microscope_qc.workflows.learning.from_project import is_project
    from microscope_qc.workflows.models.evidence import show_evidence, write_evidence
    from microscope_qc.workflows.models.shelf import named_model

    let_idle_threads_sleep(os.environ)
    model = named_model(args.model)
    if is_project(args.source):
        with Project.open(args.source, write=False) as project:
            model = named_model(args.model, project)
    job = show_evidence(
        model, args.source, finding=args.finding, slide=args.slide, device=args.device,
        region=None if args.region is None else Region(*args.region),
    )  # fmt: skip
    found = run(job, args)
    if args.out is not None:
        write_evidence(args.out, found)
    if args.json:
        print_json(found.document())
        return 0
    for one in found.document()["classes"]:
        y0, x0, y1, x1 = one["box"]
        print(f"{one['code']:<16} {one['confidence']:.2f}  x {x0:g} to {x1:g}, y {y0:g} to {y1:g}  {one['name']}")
    return 0
