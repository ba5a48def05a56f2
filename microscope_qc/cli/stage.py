"""Commands of ``stage``: fit, drift, export, where."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import number


def register(subparsers: Any) -> None:
    """Add the commands."""
    from microscope_qc.correlation.registry import STAGE_FORMATS
    from microscope_qc.workflows.stage.options import ORDERS, UNITS, StageOptions

    default = StageOptions()
    stage = subparsers.add_parser("stage", description="Turn slide positions into microscope stage positions.")
    commands = stage.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="align a slide with a stage from marks",
        description="Read marks (columns name, slide_x_px, slide_y_px, stage_x_mm, stage_y_mm), fit the alignment and "
        "store both in the project. Four to six marks near the corners give the best estimate of the error. A column "
        "check says with “yes” which marks are kept out of the fit, to tell how far off it is.",
    )
    fit.add_argument("project", type=Path, metavar="PROJECT.mqc")
    fit.add_argument("--marks", type=Path, required=True, metavar="MARKS.csv")
    fit.add_argument("--name", required=True, help="name of the alignment, such as R1")
    fit.add_argument("--slide", metavar="NAME")
    fit.add_argument("--model", choices=["auto", "rigid", "similarity", "affine"], default="auto")
    fit.add_argument("--mirror", choices=["auto", "yes", "no"], default="auto", help="needed with two marks")
    fit.add_argument("--repeatability", type=number, default=0.0, metavar="UM", help="of the stage, root mean square")
    fit.add_argument("--json", action="store_true", help="print the alignment as JSON")
    fit.set_defaults(handler=_fit)

    drift = commands.add_parser(
        "drift",
        help="how the stage has moved since an alignment, from marks visited again",
        description="Read where marks are on the stage now (columns name, stage_x_mm, stage_y_mm) and say how it has "
        "moved since an alignment: one mark tells a shift, two or more a turn, too. With --name the moved alignment is "
        "stored. A sample that was mounted again needs all marks and “stage fit”.",
    )
    drift.add_argument("project", type=Path, metavar="PROJECT.mqc")
    drift.add_argument("--marks", type=Path, required=True, metavar="MARKS.csv")
    drift.add_argument("--registration", metavar="NAME", help="alignment (default: the one that was added last)")
    drift.add_argument("--slide", metavar="NAME")
    drift.add_argument("--name", metavar="NAME", help="store the alignment as it is now")
    drift.add_argument("--json", action="store_true", help="print the result as JSON")
    drift.set_defaults(handler=_drift)

    export = commands.add_parser(
        "export",
        help="write the chosen findings' stage positions",
        description="Write the stage positions of the findings chosen for the SEM (rejected ones are left out).",
    )
    export.add_argument("project", type=Path, metavar="PROJECT.mqc")
    export.add_argument("path", type=Path, metavar="PATH")
    export.add_argument("--registration", metavar="NAME", help="alignment (default: the one that was added last)")
    export.add_argument("--format", choices=[*STAGE_FORMATS.usable(), "sheet"], required=True)
    export.add_argument("--slide", metavar="NAME")
    export.add_argument(
        "--order",
        choices=ORDERS,
        default=default.order,
        help="short: a short route from the first mark; worst: worst first; number: by number (default %(default)s)",
    )
    export.add_argument(
        "--unit", choices=UNITS, default=default.unit, help="of the stage in tables (default %(default)s)"
    )
    export.add_argument("--stage-z", type=number, metavar="MM", help="stage height to write")
    export.add_argument(
        "--from", dest="start", metavar="'X Y'", help="where the stage is, in mm: a short way begins there"
    )
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    export.set_defaults(handler=_export)

    where = commands.add_parser(
        "where",
        help="what lies at a stage position",
        description="Say what lies at a stage position: the place on the slide, and the nearest finding.",
    )
    where.add_argument("project", type=Path, metavar="PROJECT.mqc")
    where.add_argument("position", metavar="'X Y'", help="in mm, or with a unit")
    where.add_argument("--registration", metavar="NAME", help="alignment (default: the one that was added last)")
    where.add_argument("--slide", metavar="NAME")
    where.add_argument("--json", action="store_true", help="print the result as JSON")
    where.set_defaults(handler=_where)


def _fit(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import plural
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.stage import fit_registration, read_marks, registration_summary, store_marks

    marks = read_marks(args.marks)
    with Project.open(args.project) as project:
        slide = project.slides.named(args.slide)
        store_marks(project, slide.id, marks)
        fitted = fit_registration(
            project,
            slide.id,
            name=args.name,
            model=args.model,
            mirror={"auto": None, "yes": True, "no": False}[args.mirror],
            repeatability_um=args.repeatability,
            mark_names=[mark.name for mark in marks],
        )
    summary = registration_summary(args.name, slide.name, fitted)
    if args.json:
        print_json(summary)
        return 0
    print(f"Alignment {args.name} of {slide.name}: {fitted.model}, {fitted.n} marks, {fitted.handedness}")
    print(
        f"  rotation {fitted.rotation_deg:.3f} deg, scale {(fitted.observed_scale - 1) * 100:+.3f} % off the pixel size"
    )
    if fitted.sigma_um is None:
        print("  error not estimable: the marks just determine the map")
    else:
        freedom = f"{fitted.degrees_of_freedom} {plural(fitted.degrees_of_freedom, 'degree')} of freedom"
        print(f"  error of locating a mark {fitted.sigma_text} (1 sigma, {freedom})")
    for mark in summary["marks"]:
        left_out = mark["leave_one_out_um"]
        text = "" if left_out is None else f", left out {left_out:.2f} um"
        print(f"  {mark['name']}: residual {mark['residual_um']:.2f} um{text}")
    for check in fitted.checks:
        print(f"  check {check.words}")
    for warning in fitted.warnings:
        print(f"  Note: {warning}")
    return 0


def _drift(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.drift import drift_json, keep_drifted, read_visits, visit

    visits = read_visits(args.marks)
    with Project.open(args.project, write=args.name is not None) as project:
        slide_id = None if args.slide is None else project.slides.named(args.slide).id
        found = visit(project, visits, registration=args.registration, slide_id=slide_id)
        if args.name is not None:
            keep_drifted(project, found, name=args.name)
    if args.json:
        print_json(drift_json(found, kept_as=args.name))
        return 0
    print(f"Since {found.registration}: {found.drift.words}")
    for name, left in zip(found.drift.names, found.drift.residuals_um, strict=True):
        print(f"  {name}: {left:.2f} um are left")
    if args.name is not None:
        print(f"Alignment {args.name} takes it into account.")
    return 0


def _where(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.correlation.positions import position_in
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.navigator import where_is

    with Project.open(args.project, write=False) as project:
        slide_id = None if args.slide is None else project.slides.named(args.slide).id
        found = where_is(project, position_in(args.position), registration=args.registration, slide_id=slide_id)
    if args.json:
        print_json(found)
        return 0
    error = "" if found["r95_um"] is None else f", ± {found['r95_um']} um (95 %)"
    print(f"{found['slide']}: x {found['x_px']}, y {found['y_px']} px by {found['registration']}{error}")
    if found["nearest"] is not None:
        print(f"The nearest finding is {found['nearest']}, {found['distance_um']} um away.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.correlation.positions import position_in
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.options import StageOptions
    from microscope_qc.workflows.stage.stage import export_stage

    start = None if args.start is None else position_in(args.start)
    options = StageOptions(order=args.order, unit=args.unit, stage_z_mm=args.stage_z, start_mm=start)
    with Project.open(args.project, write=False) as project:
        slide_id = None if args.slide is None else project.slides.named(args.slide).id
        job = export_stage(
            project,
            args.path,
            registration=args.registration,
            format=args.format,
            slide_id=slide_id,
            options=options,
        )
        result = run(job, args)
    if args.json:
        print_json(
            {
                "file": result.path,
                "slide": result.slide,
                "registration": result.registration,
                "positions": result.positions,
                "outside_marks": result.outside_marks,
                "largest_r95_um": result.largest_r95_um,
                "warnings": result.warnings,
            }
        )
        return 0
    error = "not estimable (no check possible)" if result.largest_r95_um is None else f"{result.largest_r95_um:.1f} um"
    print(f"{result.positions} positions written to {result.path}; largest expected error (95 %): {error}")
    print(f"Aligned by {result.registration} of {result.slide}.")
    if result.outside_marks:
        print(f"{result.outside_marks} of them are outside the marks.")
    return 0
