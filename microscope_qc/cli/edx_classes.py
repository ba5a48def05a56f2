"""Commands ``edx rules`` and ``edx classify``: from compositions to classes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def add(commands: Commands) -> None:
    """Add the commands to those of ``edx``."""
    rules = commands.add_parser(
        "rules",
        help="rules from composition to class: list them, take them from a file, write them to one",
        description="List the rules from composition to class, and for how many of the measured findings each holds. "
        "A project begins with the rules of the program.",
    )
    rules.add_argument("project", type=Path, metavar="PROJECT.mqc")
    acts = rules.add_mutually_exclusive_group()
    acts.add_argument("--load", type=Path, metavar="FILE", help="give the project the rules of a file")
    acts.add_argument("--shipped", action="store_true", help="give it the rules of the program again")
    acts.add_argument("--save", type=Path, metavar="FILE", help="write its rules as FILE.edx-rules.json")
    add_json(rules)
    rules.set_defaults(handler=_rules, json=False)

    classify = commands.add_parser(
        "classify",
        help="classes that the compositions of findings mean; --take gives them",
        description="List what the rules say of the findings that were measured, and why. Nothing is changed without "
        "--take, which is one step of the history.",
    )
    classify.add_argument("project", type=Path, metavar="PROJECT.mqc")
    classify.add_argument("findings", type=whole_number, nargs="*", metavar="FINDING", help="only these (default: all)")
    classify.add_argument("--take", action="store_true", help="give them the classes")
    classify.add_argument("--add-classes", action="store_true", help="with --take: add classes the project lacks")
    add_json(classify)
    classify.set_defaults(handler=_classify, json=False)


def _rules(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import table
    from microscope_qc.cli.progress import print_json
    from microscope_qc.correlation.edx_rules import load_rules, rules_to_json, save_rules
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.edx_classes import counts, keep_rules, rules_of

    loaded = None if args.load is None else load_rules(args.load)
    with Project.open(args.project, write=args.shipped or loaded is not None) as project:
        if args.shipped or loaded is not None:
            keep_rules(project, loaded)
        rules = rules_of(project)
        found, measured = counts(project, rules)
    if args.save is not None:
        save_rules(args.save, rules)
    if args.json:
        print_json({**rules_to_json(rules), "measured": measured, "holds_for": found})
        return 0
    rows = [[r.name, r.code, n, "" if r.used else "not used", r.when] for r, n in zip(rules.rules, found, strict=True)]
    print("\n".join(table(rows, ["Material", "Class", f"Of {measured}", "", "Condition"])))
    print(f"Left out as coating: {', '.join(rules.coating) or 'nothing'}.")
    return 0


def _classify(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show, step
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage import edx_classes

    if args.add_classes and not args.take:
        raise InputError("--add-classes goes with --take.", hint="Give both, or neither.")
    with Project.open(args.project, write=args.take) as project:
        rules = edx_classes.rules_of(project)
        found = edx_classes.proposals(project, rules, args.findings or None)
        codes = edx_classes.codes_of(project, [one.finding_id for one in found])
        entry = None
        if args.take:
            if args.add_classes:
                edx_classes.add_missing_classes(project, found)
            entry = step(project, lambda: edx_classes.take(project, found))
    rows = [edx_classes.proposal_json(one, codes) for one in found]
    if args.json:
        done = None if entry is None else {"number": entry.id, "title": entry.title}
        print_json({"findings": rows, "step": done})
        return 0
    for one, row in zip(found, rows, strict=True):
        row["words"] = one.words
    columns = {"finding": "Finding", "class": "Class", "proposed": "By composition", "words": "Why"}
    show(args, rows, columns, "No rule holds for what was measured.")
    if args.take:
        print(f"{entry.title}." if entry is not None else "Nothing had to be changed.")
    return 0
