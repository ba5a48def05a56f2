"""Command ``edx``: compositions that were measured at the SEM, and the findings they belong to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import add_json, whole_number


def register(subparsers: Any) -> None:
    """Add the command."""
    from microscope_qc.cli import edx_classes

    edx = subparsers.add_parser(
        "edx",
        description="Take EDX measurements into a project, say which findings they belong to, and which classes they "
        "mean.",
    )
    commands = edx.add_subparsers(required=True, metavar="COMMAND")
    _add_import(commands)
    listed = commands.add_parser("list", help="list the measurements", description="List the measurements.")
    listed.add_argument("project", type=Path, metavar="PROJECT.mqc")
    listed.add_argument("--unplaced", action="store_true", help="only those that belong to no finding")
    listed.add_argument("--unit", choices=["at", "wt"], default="at", help="of the list (default %(default)s)")
    add_json(listed)
    listed.set_defaults(handler=_list, json=False)

    for name, about, handler in (
        ("link", "say which finding measurements belong to", _link),
        ("unlink", "say that measurements belong to no finding", _unlink),
        ("delete", "delete measurements", _delete),
    ):
        parser = commands.add_parser(name, help=about, description=f"{about}. “edx list” tells their numbers.")
        parser.add_argument("project", type=Path, metavar="PROJECT.mqc")
        if name == "link":
            parser.add_argument("finding", type=whole_number, metavar="FINDING", help="number of the finding")
        parser.add_argument("measurements", type=whole_number, nargs="+", metavar="MEASUREMENT")
        add_json(parser)
        parser.set_defaults(handler=handler, json=False)
    _add_spectra(commands)
    edx_classes.add(commands)


def _add_import(commands: Any) -> None:
    from microscope_qc.correlation.sites import USUAL_PATTERN

    imported = commands.add_parser(
        "import",
        help="match compositions with findings",
        description="Read a table of compositions (CSV or XLSX) and match its lines with findings: by their note or "
        "number, then by stage position within the expected error. Ambiguous lines are listed, never guessed; what "
        "belongs to no finding is kept, too. Spectra (.msa, .h5oina; several files at once) are matched alike, or "
        "belong to the composition of their label. It is one step of the history.",
    )
    imported.add_argument("project", type=Path, metavar="PROJECT.mqc")
    imported.add_argument("files", type=Path, nargs="+", metavar="FILE")
    imported.add_argument("--registration", metavar="NAME", help="alignment for lines matched by position")
    imported.add_argument("--slide", metavar="NAME")
    imported.add_argument(
        "--unit", choices=["at", "wt"], help="atom %% or weight %%, for a table that does not say which it holds"
    )
    imported.add_argument(
        "--sites",
        default=USUAL_PATTERN,
        metavar="PATTERN",
        help="how labels name a site and its points: point 1 lies on the defect, the others are references beside it; "
        "sites go to findings one to one. '' where labels name no sites (default %(default)s)",
    )
    imported.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="HEADING=WHAT",
        help="what a column holds, for tables that are read in no other way; once for each column that counts. WHAT "
        "is label, Ni at%% or Ni wt%%, x_mm, y_mm, x_um, y_um, kv; for a line for each element: element, and at%% or "
        "wt%%",
    )
    imported.add_argument(
        "--header-line", type=whole_number, default=1, metavar="N", help="line of the headings (default %(default)s)"
    )
    imported.add_argument(
        "--any-sum",
        action="store_true",
        help="import doubtful compositions, too: that do not add up to about 100 %% or to the total of the table, of "
        "which something is no element, or whose atom %% and weight %% do not agree (default: refuse the table)",
    )
    imported.add_argument("--dry-run", action="store_true", help="say what belongs to which finding, change nothing")
    imported.add_argument("--json", action="store_true", help="print the result as JSON")
    imported.set_defaults(handler=_import)


def _add_spectra(commands: Any) -> None:
    spectra = commands.add_parser(
        "spectra",
        help="write spectra as EMSA/MAS text, a file for each",
        description="Write the spectra of measurements as EMSA/MAS text (.msa), a file for each, with everything that "
        "their files said of them.",
    )
    spectra.add_argument("project", type=Path, metavar="PROJECT.mqc")
    spectra.add_argument("folder", type=Path, metavar="FOLDER")
    spectra.add_argument("measurements", type=whole_number, nargs="*", metavar="MEASUREMENT", help="(default: all)")
    add_json(spectra)
    spectra.set_defaults(handler=_spectra, json=False)


def _import(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.correlation.edx_columns import columns_of
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.edx import EdxImport, keep_edx, plan_edx, summary

    with Project.open(args.project, write=not args.dry_run) as project:
        slide_id = None if args.slide is None else project.slides.named(args.slide).id
        job = plan_edx(
            project,
            args.files,
            registration=args.registration,
            slide_id=slide_id,
            unit=args.unit,
            sites=args.sites,
            columns=columns_of(args.column, line=args.header_line) if args.column else None,
        )
        plan = run(job, args)
        result = EdxImport(len(plan.matching.placements), plan.matching)
        if not args.dry_run:
            result = keep_edx(project, plan, any_sum=args.any_sum)
    if args.json:
        print_json(summary(result))
        return 0
    found = result.matching
    print(f"{len(found.matched)} of {result.spectra} spectra matched with findings")
    for match in found.matched:
        amounts = ", ".join(f"{symbol} {value:.2f}" for symbol, value in match.spectrum.at_percent.items())
        how = ", computed from weight %" if match.spectrum.computed else ""
        kind = "" if match.kind == "point" else f", {match.kind}"
        parts = [f"at% {amounts}{how}"] if amounts else []
        parts += [match.spectrum.energy.words] if match.spectrum.energy is not None else []
        print(f"  {match.label}: finding {match.box_id} ({match.by}{kind}); {'; '.join(parts)}")
    for known in found.placements:
        if known.candidates:
            print(f"  {known.label}: {known.reason}; name it in the table, or use “edx link”")
    for label, reason in found.unmatched.items():
        print(f"  {label}: {reason}")
    if result.attached:
        print(f"  {things(result.attached, 'spectrum', 'spectra')} of measurements that were there before")
    if result.replaced:
        print(f"  {result.replaced} measurements of these lines were there before and have been replaced")
    for note in found.notes:
        print(f"  Note: {note}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.core.composition import composition_text, of_unit
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.edx_out import measurement_json

    with Project.open(args.project, write=False) as project:
        known = project.measurements.unplaced if args.unplaced else list(project.measurements)
        rows = [measurement_json(project, one) for one in known]
    if not args.json:
        for one, row in zip(known, rows, strict=True):
            row["composition"] = composition_text(of_unit(one.amounts, args.unit).values())
            row["counts"] = "yes" if row["spectrum"] else ""
    columns = {"id": "No.", "label": "Label", "kind": "Kind", "finding": "Finding", "matched_by": "By",
               "composition": "Composition", "counts": "Spectrum", "source": "File", "note": "Note"}  # fmt: skip
    show(args, rows, columns, "Nothing was measured." if not args.unplaced else "Every measurement has its finding.")
    return 0


def _spectra(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.edx_spectra import write_spectra

    with Project.open(args.project, write=False) as project:
        written = run(write_spectra(project, args.folder, args.measurements or None), args)
    if args.json:
        print_json({"files": [str(path) for path in written]})
    else:
        print(f"{things(len(written), 'spectrum', 'spectra')} written to {args.folder}")
    return 0


def _link(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    findings = dict.fromkeys(args.measurements, args.finding)
    return change(args, lambda p: p.measurements.link(findings), finding=args.finding, measurements=list(findings))


def _unlink(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    findings = dict.fromkeys(args.measurements)
    return change(args, lambda p: p.measurements.link(findings), measurements=list(findings))


def _delete(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda p: p.measurements.delete(args.measurements), measurements=args.measurements)
