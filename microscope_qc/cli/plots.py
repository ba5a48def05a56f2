"""Command ``plot``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import add_control, add_largest, add_slides

# as in workflows.results.plots, which is not imported for --help
NAMES = (
    "totals",
    "shares",
    "sizes",
    "dates",
    "field",
    "outcomes",
    "truth",
    "places",
    "by-hand",
    "coverage",
    "map",
    "distances",
    "control",
    "composition",
    "ternary",
    "largest",
)
LOOKS = ("print", "light", "dark")


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "plot",
        description="Draw one plot of all findings that count. totals: findings of each cross-section by class group. "
        "shares: of the classes, by cross-section. sizes: by the longer side and class. dates: against the production "
        "date. field: against a number that is known of the specimens, with Spearman's rank correlation. outcomes: "
        "what the review made of what models found. truth: what models found and missed in areas that users declared "
        "complete. places: a dot for each finding on a picture of its slide. by-hand: what users drew beside what "
        "detectors found, with the time that both took. coverage: what was scanned, left out, declared complete and "
        "viewed of the slides, and how closely. map: findings per mm2 in squares of the slide with the most of them. "
        "distances: pairs of findings at each distance by those of chance in the same area. control: a control chart "
        "over groups of slides, as spc has it. composition: means of what EDX measured, by class or what else. "
        "ternary: a dot for each measured finding between three elements. largest: the largest finding of each "
        "cross-section, and the largest size expected on a larger area (Gumbel). Bars and dots per mm2 have their 95 % "
        "intervals.",
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="ends in .svg, .png or .pdf; in .csv or .xlsx for the values"
    )
    add_slides(parser)
    parser.add_argument("--class", dest="of", default="", metavar="CODE", help="a class or class group (default: all)")
    parser.add_argument(
        "--group-by", dest="by", metavar="FIELD",
        help="what a bar of totals, shares, by-hand or composition, or a point of control, stands for: slide, project, "
        "or a field of specimens; of composition and ternary class, too (default slide; class of these two)",
    )  # fmt: skip
    parser.add_argument(
        "--field", default="", metavar="FIELD", help="of specimens: the number of field, the date of dates"
    )
    parser.add_argument(
        "--weight", choices=("mm2", "count"), default="mm2", help="findings per mm2, or findings (default mm2)"
    )
    parser.add_argument(
        "--detector", dest="detectors", action="append", default=[], metavar="NAME",
        help="totals as this detector found them; twice for two side by side; which are beside those drawn by hand",
    )  # fmt: skip
    parser.add_argument(
        "--unit",
        choices=("at", "wt"),
        default="at",
        help="of composition and ternary: atom %% or weight %% (default at)",
    )
    parser.add_argument(
        "--elements", default="", metavar="A,B,C", help="corners of ternary, such as Ni,Mn,Co (default: the most)"
    )
    add_largest(parser)
    add_control(parser)
    parser.add_argument("--look", choices=LOOKS, default="print", help="colours of text and ground (default print)")
    parser.add_argument("--json", action="store_true", help="print the values as JSON")
    parser.set_defaults(handler=_plot)


def _plot(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import slides_of_only
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.reports.marked import write_plot
    from microscope_qc.reports.plots import LOOKS as KNOWN_LOOKS
    from microscope_qc.workflows.results.counted_findings import counted_projects
    from microscope_qc.workflows.results.plot_parts import CLASS_OF, PlotChoice
    from microscope_qc.workflows.results.plots import make_plot

    found = run(counted_projects(args.projects, slides_of_only(args.projects, args.slide)), args)
    in_mm2, fields_mm2 = args.in_mm2 or 0.0, args.fields_mm2 or 0.0
    by = args.by or (CLASS_OF if args.name in ("composition", "ternary") else "slide")
    corners = tuple(element.strip() for element in args.elements.split(",") if element.strip())
    choice = PlotChoice(
        args.of, by, args.field, args.weight, tuple(args.detectors), in_mm2, fields_mm2, args.chart, args.rules,
        args.phase_1 or 0, args.unit, corners,
    )  # fmt: skip
    plot = make_plot(found, args.name, choice)
    written = write_plot(plot, args.out, look=KNOWN_LOOKS[args.look])
    if args.json:
        about = {"title": plot.title, "values": plot.records(), "notes": list(plot.notes), "why_not": plot.why_not}
        print_json({"file": written, **about})
        return 0
    print("\n".join([str(written), *filter(None, (plot.why_not, *plot.notes))]))
    return 0
