"""labels."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, count
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.core.jobs import Job
    from microscope_qc.workflows.volumes.correcting import Correction, LabelCorrections


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command about labels."""
    labels = subparsers.add_parser(
        "labels",
        description="Correct the particles that the command particles labelled; tables and plots are made again. "
        "Without an action: what was corrected.",
    )
    labels.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the results of particles")
    labels.set_defaults(handler=_list, json=False)
    add_json(labels)
    actions = labels.add_subparsers(required=False, metavar="ACTION", title="actions")
    for name, about, handler in (
        ("merge", "make one particle of several, with the number of the first", _merge),
        ("split", "divide a particle between voxels of its parts", _split),
        ("undo", "take back the last correction", _undo),
        ("measure", "make tables and plots again", _measure),
    ):
        action = actions.add_parser(name, help=about, description=f"{about.capitalize()}.")
        add_json(action)
        action.set_defaults(handler=handler)
        if name == "merge":
            action.add_argument("particles", nargs="+", type=count, metavar="NUMBER", help="of particles in the table")
        if name == "split":
            action.add_argument("particle", type=count, metavar="NUMBER", help="of the particle in the table")
            action.add_argument(
                "--seed", action="append", required=True, metavar="Z,Y,X", help="a voxel of a part; two or more"
            )


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.workflows.volumes.correcting import LabelCorrections

    rows = [{"number": one.number, "words": one.words} for one in LabelCorrections(args.folder).listed()]
    show(args, rows, {"number": "Number", "words": "Correction"}, "Nothing was corrected.")
    return 0


def _merge(args: argparse.Namespace) -> int:
    return _corrected(args, lambda labels: labels.merge(args.particles))


def _split(args: argparse.Namespace) -> int:
    seeds = []
    for text in args.seed:
        found = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
        if found is None:
            raise InputError(f"'{text}' is not a voxel.", hint="Give it as Z,Y,X, such as 20,31,5.")
        seeds.append((int(found[1]), int(found[2]), int(found[3])))
    return _corrected(args, lambda labels: labels.split(args.particle, seeds))


def _undo(args: argparse.Namespace) -> int:
    return _corrected(args, lambda labels: labels.undo())


def _measure(args: argparse.Namespace) -> int:
    return _measured(args, {})


def _corrected(args: argparse.Namespace, correct: Callable[[LabelCorrections], Job[Correction]]) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.volumes.correcting import LabelCorrections

    made = run(correct(LabelCorrections(args.folder)), args)
    return _measured(args, {"correction": made.number, "words": made.words})


def _measured(args: argparse.Namespace, document: dict[str, object]) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.cli.volumes import particle_lines
    from microscope_qc.workflows.volumes.particle_results import measured_again

    _, found = run(measured_again(args.folder), args)
    if args.json:
        print_json({**document, **found})
    else:
        print("\n".join([*([f"{document['words']}"] if document else []), *particle_lines(found, args.folder)]))
    return 0
