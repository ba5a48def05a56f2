"""Commands ``stats``, ``report`` and ``overview``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import add_largest, add_slides, count, print_numbers, side_px, slides_of
from microscope_qc.cli.planes import add_plane_options, plane_choice

# as in reports.document, which is not imported for --help
REPORT_PARTS = (
    "specimens", "method", "models", "coverage", "numbers", "verdict", "plots", "maps", "where", "control",
    "severity", "worst", "gallery", "chosen",
    "compositions", "people", "hashes",
)  # fmt: skip

LEAST_PX, USUAL_PX, SMALL_PX = 200, 4000, 1200
"""Sides of an overview: the least, the usual one, and that to which a small slide is enlarged."""


def register(subparsers: Any) -> None:
    """Add the commands."""
    _add_stats(subparsers)
    _add_report(subparsers)
    _add_overview(subparsers)


def _add_stats(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "stats",
        description="Counts per class and state, and sizes, of all findings that count; densities on the area that was "
        "scanned or declared complete for the class, with their 95 % intervals. See coverage for these areas. Of "
        "slides together, three columns stand beside each other: raw, what models found; reviewed, what is left of it "
        "with what users drew; corrected, what is true if findings that nobody judged are like a random sample of the "
        "same model, class and confidence. Their intervals allow for the spread between specimens, or between "
        "slides where no or one specimen is named.",
    )
    parser.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc")
    add_slides(parser)
    parser.add_argument(
        "--group-by", dest="by", action="append", default=[], metavar="FIELD",
        help="groups of slides with the same batch or any other field of specimens, or slide, or project; class and "
        "class-group leave only the rows of these; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--where", metavar="CLASS",
        help="also where findings of a class, class group or all lie: squares with more than chance explains (5 %% of "
        "them at most are none), and whether they lie in clusters, by pair correlation and Ripley's K in the searched "
        "area against 99 patterns of chance; distances below the size of a finding are not read",
    )  # fmt: skip
    parser.add_argument(
        "--largest", metavar="CLASS",
        help="also the largest size of a class, class group or all that is expected on a larger area, with its 95 %% "
        "interval, from the largest finding of each section: Gumbel's distribution, by ASTM E2283 where the sections "
        "are as it has them",
    )  # fmt: skip
    add_largest(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--csv", type=Path, metavar="OUT.csv|xlsx", help="write a table, a line for each slide and class"
    )
    parser.set_defaults(handler=_stats)


def _add_report(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "report",
        description="Write one file with what there is to say of a project: specimens, method, models, coverage, "
        "counts and densities with their intervals, plots, maps, the worst and all findings of each class as pictures, "
        "what was chosen for the SEM, verdicts, compositions, people and hashes. All files are made from one document, "
        "which --json prints and --schema describes.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT.mqc")
    parser.add_argument("out", type=Path, metavar="OUT", help="ends in .html, .pdf, .docx or .json")
    add_slides(parser)
    parser.add_argument(
        "--template", type=Path, metavar="FILE",
        help="a lab's own: HTML with {{fields}} (for .html and .pdf; it may extend report.html.j2), or a Word file "
        "with {{fields}} (for .docx); a row or paragraph with a field of a list is repeated for each entry",
    )  # fmt: skip
    parser.add_argument(
        "--start-template", action="store_true",
        help="write the Word file to begin a template with, instead of the report",
    )  # fmt: skip
    parser.add_argument("--language", choices=("en", "de"), default="en", help="English or German (default en)")
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="PART",
        help=f"a part that the report does without; may be repeated: {', '.join(REPORT_PARTS)}",
    )  # fmt: skip
    parser.add_argument(
        "--group-by", dest="by", action="append", default=[], metavar="FIELD",
        help="numbers and a verdict for groups of slides with the same batch or any other field of specimens; may be "
        "repeated",
    )  # fmt: skip
    parser.add_argument(
        "--limits", type=Path, metavar="FILE.csv|xlsx", help="acceptance limits, as compare-batches takes them"
    )
    parser.add_argument(
        "--worst", type=count, default=4, metavar="N", help="findings of each class that are shown large (default 4)"
    )
    parser.add_argument(
        "--gallery", type=count, default=240, metavar="N",
        help="findings of each class on contact sheets, worst first (default 240)",
    )  # fmt: skip
    parser.add_argument(
        "--maps", type=count, default=12, metavar="N",
        help="slides with a map and tables of their own, those with the most findings first (default 12)",
    )  # fmt: skip
    parser.add_argument("--rejected", action="store_true", help="show rejected findings too")
    parser.add_argument("--json", action="store_true", help="print the document as JSON, and the file that was written")
    parser.add_argument("--schema", action=_PrintSchema, nargs=0, help="print the JSON schema of the document, and end")
    parser.set_defaults(handler=_report)


def _add_overview(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "overview",
        description="Write the whole slide as one picture with circles and numbers on its defects.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT.mqc")
    parser.add_argument("out", type=Path, metavar="OUT", help="ends in .png, .tif or .pdf")
    parser.add_argument("--selected", action="store_true", help="only findings chosen for the SEM")
    parser.add_argument("--rejected", action="store_true", help="rejected findings too")
    parser.add_argument("--slide", metavar="NAME")
    add_plane_options(parser, "show")
    parser.add_argument(
        "--size", type=side_px, metavar="PX",
        help="longer side of the slide, at least 200 and at most what it has (default 4000); of any size in a .tif",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(handler=_overview)


def _stats(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import slides_of_only
    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.workflows.open import opened_in_turn
    from microscope_qc.workflows.results.grouping import statistics_by
    from microscope_qc.workflows.results.grouping_text import grouped_lines, write_grouped_table
    from microscope_qc.workflows.results.statistics import statistics_job, statistics_of
    from microscope_qc.workflows.results.statistics_text import statistics_lines, write_statistics_table

    if args.largest is None and (args.in_mm2 or args.fields_mm2):
        raise InputError("--in-mm2 and --fields-mm2 are of --largest.")
    slide_ids, projects = slides_of_only(args.projects, args.slide), opened_in_turn(args.projects)
    lines, write = statistics_lines, write_statistics_table
    if args.by:
        found = run(statistics_by(projects, args.by, slide_ids), args)
        lines, write = grouped_lines, write_grouped_table
    elif len(args.projects) == 1:
        found = run(statistics_job(next(projects), slide_ids), args)
    else:
        found = run(statistics_of(projects), args)
    return print_numbers(args, {**found, **_beside(args, slide_ids)}, lines=_lines_with(lines), write=write)


def _beside(args: argparse.Namespace, slide_ids: list[int] | None) -> dict[str, Any]:
    """What was asked for beside the numbers: where findings lie, and the largest size expected."""
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.results.counted_findings import counted_projects
    from microscope_qc.workflows.results.largest import largest_found
    from microscope_qc.workflows.results.where import where_found

    if args.where is None and args.largest is None:
        return {}
    counted, found = run(counted_projects(args.projects, slide_ids), args), dict[str, Any]()
    if args.where is not None:
        found["where"] = run(where_found(counted, "" if args.where == "all" else args.where), args)
    if args.largest is not None:
        of = "" if args.largest == "all" else args.largest
        found["largest"] = largest_found(counted, of, in_mm2=args.in_mm2, fields_mm2=args.fields_mm2)
    return found


def _lines_with(lines: Callable[[dict[str, Any]], list[str]]) -> Callable[[dict[str, Any]], list[str]]:
    """Lines of numbers, and of what stands beside them."""
    from microscope_qc.workflows.results.largest import largest_lines
    from microscope_qc.workflows.results.where import where_lines

    def every(found: dict[str, Any]) -> list[str]:
        said = list(lines(found))
        if "where" in found:
            said += where_lines(found["where"])
        return [*said, *(largest_lines(found["largest"]) if "largest" in found else ())]

    return every


class _PrintSchema(argparse.Action):
    """Prints the schema and ends, whatever else is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """End with the schema on stdout."""
        from microscope_qc.cli.progress import print_json
        from microscope_qc.reports.document import ReportDocument

        print_json(ReportDocument.model_json_schema())
        parser.exit()


def _report(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.project import Project
    from microscope_qc.reports.word_start import write_starting_template
    from microscope_qc.workflows.results.batches import read_limits
    from microscope_qc.workflows.results.report import check_names, report_document, write_document
    from microscope_qc.workflows.results.report_content import ReportChoice

    if args.start_template:
        return _say_file(args, write_starting_template(args.out, args.language))
    check_names(args.out, args.template)
    choice = ReportChoice(
        frozenset(args.leave_out), args.language, tuple(args.by),
        tuple(read_limits(args.limits) if args.limits else ()), args.worst, args.gallery, args.maps, args.rejected,
    )  # fmt: skip
    with Project.open(args.project, write=False) as project:
        document = run(report_document(project, choice, slide_ids=slides_of(project, args.slide)), args)
    run(write_document(document, args.out, template=args.template), args)
    if args.json:
        print_json(document.model_dump(mode="json") | {"file": args.out})
    else:
        print(args.out)
    return 0


def _overview(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.report import write_overview

    size = USUAL_PX if args.size is None else args.size
    if size < LEAST_PX:
        raise InputError(f"An overview has at least {LEAST_PX} px.", hint=f"Give --size {LEAST_PX} or more.")
    with Project.open(args.project, write=False) as project:
        slide_id = project.slides.named(args.slide).id
        longest = max(project.slides.by_id(slide_id).shape_px)
        if args.size is not None and size > max(longest, SMALL_PX):
            print(f"Note: the slide has {longest} px; it is not shown larger than that.", file=sys.stderr)
        job = write_overview(
            project,
            args.out,
            slide_id=slide_id,
            selected=args.selected,
            rejected=args.rejected,
            long_side_px=size,
            choice=plane_choice(args),
        )
        written = run(job, args)
    return _say_file(args, written)


def _say_file(args: argparse.Namespace, written: Path) -> int:
    from microscope_qc.cli.progress import print_json

    if args.json:
        print_json({"file": written})
    else:
        print(written)
    return 0
