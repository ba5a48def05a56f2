"""unusual: what is unlike the rest of a slide, without labels."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import add_json, add_slides, say_left_out, slides_of
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project


def register(subparsers: Commands) -> None:
    """Add the command."""
    unusual = subparsers.add_parser(
        "unusual",
        description="Find what is unlike the rest of a slide, without any label: what is normal is learned from the "
        "slide itself, without the share that deviates most, or from good slides. What users confirmed or drew, and "
        "what is outside the scan area, is not learned from. The findings are those of a detection, with outline and "
        "area; the most unusual are the most severe. What was interrupted continues.",
        epilog="What is unlike the rest is not always a defect. Defects of low contrast, such as secondary phase or "
        "large grains, are easily missed, and on battery electrodes such models point at much that is normal: for "
        "these, label some defects and use learn and suggest.",
    )
    unusual.add_argument("project", type=Path, metavar="PROJECT.mqc", help="folder of the project")
    add_slides(unusual)
    unusual.add_argument(
        "--good", metavar="NAME", action="append",
        help="learn from this slide of the project instead of each itself; may be given several times",
    )  # fmt: skip
    unusual.add_argument(
        "--learn-only", type=Path, metavar="FOLDER", help="only learn, into this folder of a model, for detect --model"
    )
    unusual.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="what computes (default auto)")
    unusual.add_argument("--fresh", action="store_true", help="learn and look again instead of continuing")
    add_json(unusual)
    unusual.set_defaults(handler=_unusual, json=False)


def _unusual(args: argparse.Namespace) -> int:
    from microscope_qc.core.errors import InputError

    let_idle_threads_sleep(os.environ)
    if args.learn_only is not None and args.good:
        raise InputError("--good and --learn-only do not go together.", hint="Name slides to learn from by --slide.")
    return _learn(args) if args.learn_only is not None else _find(args)


def _all_slides(project: Project, names: list[str] | None) -> list[int]:
    project.slides.named(None)  # raises when there is none
    return slides_of(project, names) or [slide.id for slide in project.slides]


def _learn(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.errors import InputError
    from microscope_qc.ml.cards import CARD_NAME
    from microscope_qc.project import Project
    from microscope_qc.workflows.unusual.learning import learn_normal

    if (args.learn_only / CARD_NAME).exists() and not args.fresh:
        raise InputError(f"{args.learn_only} already contains a model.", hint="Choose another folder, or use --fresh.")
    with Project.open(args.project, write=False) as project:
        slides = _all_slides(project, args.slide)
        card = run(learn_normal(project, slides, args.learn_only, device=args.device, tell=_say), args)
    about = card.training
    if args.json:
        print_json({
            "model": str(args.learn_only), "trained_on": card.trained_on, "tiles": about["tiles"],
            "places": about["places"], "left_out_places": about["left_out_places"], "known": about["known"],
            "pixel_size_um": card.pixel_size_um,
        })  # fmt: skip
    else:
        print(
            f"{args.learn_only}: learned from {about['places']} places in {about['tiles']} tiles; {about['known']} are "
            f"remembered, {about['left_out_places']} that deviate most are left out"
        )
    return 0


def _find(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import elapsed_text, things
    from microscope_qc.project import Project
    from microscope_qc.workflows.unusual.finding import WARNING, find_unusual_on

    with Project.open(args.project) as project:
        slides = _all_slides(project, args.slide)
        good = slides_of(project, args.good) or []
        job = find_unusual_on(project, slides, good=good, device=args.device, fresh=args.fresh, tell=_say)
        done, left_out = run(job, args)
        confidence = project.inclusion.current.confidence_limit
    if args.json:
        print_json({
            "slides": [
                {
                    "slide": slide.name, "run": one.detection.run_id, "model": str(one.model),
                    "trained_on": one.card.trained_on, "finds": one.detection.findings, "shown": one.detection.shown,
                    "confidence": confidence, "seconds": round(one.detection.seconds, 2),
                }
                for slide, one in done
            ],
            "left_out": [{"slide": left.slide, "why": str(left.error)} for left in left_out], "warning": WARNING,
        })  # fmt: skip
        return say_left_out(left_out, again=True)
    for slide, one in done:
        found = one.detection
        print(f"{slide.name}: {things(found.shown, 'unusual place')}, {found.findings} with the weaker ones")
        print(f"  run {found.run_id}, {elapsed_text(found.seconds)}; {one.card.trained_on}")
    print(WARNING)
    return say_left_out(left_out, again=True)


def _say(sentence: Any) -> None:
    print(sentence, file=sys.stderr, flush=True)
