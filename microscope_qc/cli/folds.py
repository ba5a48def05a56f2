"""cross-validate: train on all folds of a data set but one and measure on that, in turn."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import DATASET, add_json, add_slides, number, slides_of_only, whole_number
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    from microscope_qc.cli.learning import add_network, add_training_settings

    folds = subparsers.add_parser(
        "cross-validate",
        description="Divide what there is to learn from into folds, train on all but one and measure on that one, in "
        "turn; mean, standard deviation and interval over the folds. With --alphas and --gammas for all pairs of them. "
        "What is kept for the test is left aside. What was interrupted continues.",
    )
    folds.add_argument("dataset", metavar="DATASET", nargs="+", help=DATASET)
    folds.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the models, and of the table")
    folds.add_argument("--folds", type=whole_number, default=5, metavar="N", help="how many (default 5)")
    folds.add_argument("--alphas", nargs="+", type=number, metavar="X", help="weights of defects to try in the loss")
    folds.add_argument("--gammas", nargs="+", type=number, metavar="X", help="gammas to try in the focal loss")
    add_network(folds, task="classify")
    add_training_settings(folds)
    add_slides(folds)
    add_json(folds)
    folds.set_defaults(handler=_cross_validate, json=False)


def _cross_validate(args: argparse.Namespace) -> int:
    from microscope_qc.cli.learning import start_of, training_settings
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.studies.cross_validation import cross_validate

    let_idle_threads_sleep(os.environ)
    grid = {name: values for name, values in (("alpha", args.alphas), ("gamma", args.gammas)) if values}
    job = cross_validate(
        args.dataset, args.out, folds=args.folds, grid=grid, task=args.task, network=args.network,
        start=start_of(args), slide_ids=slides_of_only(args.dataset, args.slide),
        tell=lambda sentence: print(f"Note: {sentence}", file=sys.stderr, flush=True), **training_settings(args),
    )  # fmt: skip
    found = run(job, args)
    if args.json:
        print_json(found.document())
        return 0
    print("\n".join(found.words()))
    return 0
