"""``microscope-qc demo``: a drawn slide through the whole program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from microscope_qc.cli.parts import whole_number


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        description="Draw a sample slide, find its defects, write every kind of result, open the window on it.",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for slide, project and results")
    parser.add_argument("--no-window", action="store_true", help="end after the files are written")
    parser.add_argument(
        "--ready",
        action="store_true",
        help="take the small slide that comes with the program, with its findings, as the window's sample does",
    )
    parser.add_argument(
        "--size", type=whole_number, default=None, metavar="N", help="side of the slide in pixels (8192)"
    )
    parser.add_argument("--seed", type=whole_number, default=None, metavar="N", help="another slide")
    parser.add_argument("--model", default=None, metavar="MODEL", help="another detector, by name or folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:0")
    parser.add_argument("--json", action="store_true", help="print one JSON document; opens no window")
    parser.set_defaults(handler=run_demo)


def run_demo(args: argparse.Namespace) -> int:
    """Make the demo, say what it found, open the window."""
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.errors import InputError
    from microscope_qc.core.wording import elapsed_text, things
    from microscope_qc.workflows.samples.demo import BUNDLED_DETECTOR, DEMO_SEED, DEMO_SIZE_PX, demo, sample_folder

    if args.ready and any(value is not None for value in (args.size, args.seed, args.model)):
        raise InputError(
            "The sample that comes with the program is drawn and searched already.",
            hint="Leave out --ready, or --size, --seed and --model.",
        )
    out = (args.out or sample_folder()).expanduser()
    seed = DEMO_SEED if args.seed is None else args.seed
    size = DEMO_SIZE_PX if args.size is None else args.size
    model = args.model or BUNDLED_DETECTOR
    job = demo(out, size=size, seed=seed, model=model, device=args.device, ready=args.ready)
    result = run(job, args)
    if args.json:
        print_json({
            "slide": result.slide, "project": result.project, "findings": result.findings, "defects": result.defects,
            "confidence": result.confidence, "precision": result.precision, "recall": result.recall,
            "chosen": result.chosen, "seconds": round(result.seconds, 2), "files": result.files,
        })  # fmt: skip
        return 0
    print(
        f"{things(result.findings, 'finding')} on {result.slide} at confidence {result.confidence:.2f} and above;",
        end=" ",
    )
    print(f"{result.defects} defects were drawn. It took {elapsed_text(result.seconds)}.")
    print(f"precision {result.precision:.3f}")
    print(f"recall {result.recall:.3f}")
    print(f"The {result.chosen} chosen for the SEM, and everything else, in {out}:")
    for path in result.files:
        print(f"  {path.name}{'/' if path.is_dir() else ''}")
    if args.no_window:
        return 0
    return _open_window(result.project)


def _open_window(project: Path) -> int:
    from microscope_qc.cli.window import display_is_there, open_window

    if not display_is_there():
        print(f"There is no display here. Open the window with: microscope-qc {project}", file=sys.stderr)
        return 0
    return open_window([project])
