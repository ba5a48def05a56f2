"""Statistics, comparisons, charts and severity as tables of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.open import opened_in_turn

if TYPE_CHECKING:
    import pandas


def statistics(*projects: Path | str, by: Sequence[str] = ()) -> pandas.DataFrame:
    """Return counts, densities, shares and sizes of groups of slides, as ``stats --group-by`` has them.

    Parameters
    ----------
    projects
        Folders ``NAME.mqc``.
    by
        Fields of specimens, ``slide``, ``project``, ``class`` or ``class-group``; nothing takes all slides together.

    Returns
    -------
    pandas.DataFrame
        One row for each group and class, class group (``rows`` says which), and all classes. Its columns are those of
        the CSV: intervals (95 %) end in ``_low`` and ``_high``, densities are per mm2, sizes in um. What is not known
        is missing, and a column ``..._reason`` says why.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, or there is no such field.
    """
    import pandas as pd

    from microscope_qc.workflows.results.grouping import statistics_by
    from microscope_qc.workflows.results.grouping_text import group_records

    return pd.DataFrame(list(group_records(run_job(statistics_by(opened_in_turn(projects), by)))))


def compare_batches(*projects: Path | str, by: Sequence[str], reference: str | None = None) -> pandas.DataFrame:
    """Return ratios of densities of groups of slides, as ``compare-batches`` has them.

    Parameters
    ----------
    by
        Fields of specimens, ``slide`` or ``project``.
    reference
        The group that all others are compared with; None compares each with each.

    Returns
    -------
    pandas.DataFrame
        One row for each class, class group and all classes, and pair of groups: ``second`` by ``first``, with its
        interval (95 %), and ``p_corrected`` for all comparisons of its kind.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, there is no such field or group, or only one group.
    """
    import pandas as pd

    from microscope_qc.workflows.results import batches
    from microscope_qc.workflows.results.batches_text import ratio_records

    job = batches.compare_batches(opened_in_turn(projects), by, reference=reference)
    return pd.DataFrame(list(ratio_records(run_job(job))))


def verdicts(*projects: Path | str, by: Sequence[str], limits: Path | str) -> pandas.DataFrame:
    """Return what acceptance limits say of groups of slides and of each slide, as ``compare-batches --limits`` does.

    Parameters
    ----------
    limits
        A table, see :func:`microscope_qc.workflows.results.batches.read_limits`.

    Returns
    -------
    pandas.DataFrame
        One row for each limit and group, and for each limit and slide: ``pass``, ``fail`` or ``undecided``, why, and
        the numbers of the findings that decide.

    Raises
    ------
    MicroscopeQCError
        When a project or the table cannot be read, or there is no such field or class.
    """
    import pandas as pd

    from microscope_qc.workflows.results import batches
    from microscope_qc.workflows.results.batches_text import verdict_records

    job = batches.compare_batches(opened_in_turn(projects), by, limits=batches.read_limits(limits))
    return pd.DataFrame(list(verdict_records(run_job(job))))


def plot(
    name: str,
    *projects: Path | str,
    out: Path | str | None = None,
    of: str = "",
    by: str = "",
    field: str = "",
    weight: str = "mm2",
    detectors: Sequence[str] = (),
    in_mm2: float = 0.0,
    fields_mm2: float = 0.0,
    chart: str = "laney",
    rules: str = "limits",
    phase_1: int | None = None,
    unit: str = "at",
    elements: Sequence[str] = (),
) -> pandas.DataFrame:
    """Draw a plot, as the command ``plot`` does, and return its values.

    Parameters
    ----------
    name
        ``totals``, ``shares``, ``sizes``, ``dates``, ``field``, ``outcomes``, ``truth``, ``places``, ``by-hand``,
        ``coverage``, ``map``, ``distances``, ``control``, ``composition``, ``ternary`` or
        ``largest``.
    projects
        Folders ``NAME.mqc``.
    out
        Ends in .svg, .png or .pdf, or in .csv or .xlsx for the values; nothing is written without it.
    of
        Code of a class or name of a class group; "" takes all.
    by
        What a bar of ``totals``, or a point of ``control``, stands for: ``slide``, ``project`` or a field of specimens;
        of ``composition`` and ``ternary`` ``class``, too, which is their default.
    field
        Of specimens: the number of ``field``, the date of ``dates``.
    weight
        ``mm2`` for findings per mm2, ``count`` for findings.
    detectors
        ``totals`` as these found them.
    in_mm2, fields_mm2
        Of ``largest``, see :func:`largest`; 0 stands for None.
    chart, rules, phase_1
        Of ``control``, see :func:`process_control`.
    unit, elements
        Of ``composition`` and ``ternary``: ``at`` or ``wt``, and the three corners; none: those with the most.

    Returns
    -------
    pandas.DataFrame
        One row for each bar or dot: series, x, value, the limits of its 95 % interval, and the number of findings; of
        ``control`` as of :func:`process_control`.
        ``attrs`` has the ``notes``, and says in ``why_not`` why there is nothing to draw.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, there is no such plot, class, field or detector, or ``out`` cannot be written.
    """
    import pandas as pd

    from microscope_qc.reports.marked import write_plot
    from microscope_qc.workflows.results.counted_findings import counted_projects
    from microscope_qc.workflows.results.plot_parts import CLASS_OF, PlotChoice
    from microscope_qc.workflows.results.plots import make_plot

    by = by or (CLASS_OF if name in ("composition", "ternary") else "slide")
    choice = PlotChoice(
        of, by, field, weight, tuple(detectors), in_mm2, fields_mm2, chart, rules, phase_1 or 0, unit, tuple(elements)
    )
    made = make_plot(run_job(counted_projects(projects)), name, choice)
    if out is not None:
        write_plot(made, out)
    values = pd.DataFrame(made.records())
    values.attrs |= {"notes": list(made.notes), "why_not": made.why_not}
    return values


def process_control(
    *projects: Path | str, by: Sequence[str], of: str = "all", chart: str = "laney", rules: str = "limits",
    phase_1: int | None = None,
) -> pandas.DataFrame:  # fmt: skip
    """Return the points of a control chart of the density over groups of slides, as ``spc`` has them.

    Parameters
    ----------
    by
        Fields of specimens, ``slide`` or ``project``; each group is a point, in the order of the values.
    of
        Code of a class, name of a class group, or ``all``.
    chart, rules
        ``u``, ``laney``, ``individuals``, ``ewma`` or ``nqi`` (quality index of the area that the score map of an
        anomaly model has above its threshold); ``limits``, ``western-electric`` or ``nelson``.
    phase_1
        The limits are those of so many first points; None takes the frozen ones, or else all.

    Returns
    -------
    pandas.DataFrame
        One row for each point: density (per mm2) or index, centre, limits, and the rules by which it is unusual.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, or there is too little to draw limits from.
    """
    import pandas as pd

    from microscope_qc.workflows.results import process_control as charts

    job = charts.process_control(opened_in_turn(projects), by, of=of, chart=chart, rules=rules, phase_1=phase_1)
    return pd.DataFrame(list(charts.chart_records(run_job(job))))


def draw_areas(
    project: Path | str, *, count: int = 10, side_um: float = 500.0, seed: int | None = None
) -> pandas.DataFrame:
    """Draw squares at random where models have scanned, to be searched for what they missed; one undoable step.

    Parameters
    ----------
    count, side_um
        Number of squares, and their side in um.
    seed
        The same squares for the same number; None draws others each time.

    Returns
    -------
    pandas.DataFrame
        One row for each square: ``area`` (its number), ``slide``, ``y0``, ``x0``, ``y1`` and ``x1`` in pixels.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be written, or no slide with a pixel size was scanned.
    """
    import pandas as pd

    from microscope_qc.project import Project
    from microscope_qc.workflows.detection import random_areas

    with Project.open(project) as opened:
        drawn = run_job(random_areas.draw_areas(opened, count=count, side_um=side_um, seed=seed))
        names = {slide.id: slide.name for slide in opened.slides}
    sides = ("y0", "x0", "y1", "x1")
    return pd.DataFrame(
        [
            {"area": area.id, "slide": names[area.slide_id], **dict(zip(sides, area.outline.bounds, strict=True))}
            for area in drawn
        ]
    )


def areas_searched(project: Path | str, areas: Sequence[int], *, classes: Sequence[str] | None = None) -> None:
    """Declare areas that were drawn at random complete: every defect of some classes in them is marked.

    From 20 defects in them on, :func:`statistics` corrects for what models missed. Each is one undoable step.

    Parameters
    ----------
    areas
        Their numbers.
    classes
        Codes; None takes every class that the project has now.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be written, or there is no such area or class.
    """
    from microscope_qc.project import Project

    with Project.open(project) as opened:
        wanted = None if classes is None else [opened.classes.by_code(code).id for code in classes]
        for number in areas:
            opened.areas.searched(number, wanted)


def where(*projects: Path | str, of: str = "") -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Return squares with more findings than chance explains, and pairs at each distance, as ``stats --where`` does.

    Parameters
    ----------
    of
        Code of a class or name of a class group; "" takes all.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        One row for each square, with its ``findings``; one for each distance, with the pair correlation ``g`` (1 by
        chance), Ripley's L less the distance (0 by chance) and their envelopes. Its ``attrs`` hold ``p`` and ``words``,
        or the ``reason`` why there is none.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, or there is no such class.
    """
    import pandas as pd

    from microscope_qc.workflows.results.counted_findings import counted_projects
    from microscope_qc.workflows.results.where import where_found

    found = run_job(where_found(run_job(counted_projects(projects)), of))
    known = found["clustering"]
    distances = pd.DataFrame({name: value for name, value in known.items() if isinstance(value, list)})
    distances.attrs.update({name: value for name, value in known.items() if not isinstance(value, list)})
    return pd.DataFrame(found["hotspots"]), distances


def largest(
    *projects: Path | str, of: str = "", in_mm2: float | None = None, fields_mm2: float | None = None
) -> pandas.DataFrame:
    """Return the largest size that is expected on a larger area, as ``stats --largest`` does.

    Parameters
    ----------
    of
        Code of a class or name of a class group; "" takes all.
    in_mm2
        The larger area; None takes 1,000 times one that was searched.
    fields_mm2
        Sections are cut into squares of this area; None takes each section as one area.

    Returns
    -------
    pandas.DataFrame
        One row for each section or field: project, slide, specimen, ``area_mm2``, ``largest_um``, its finding, and
        whether somebody judged it. ``attrs`` hold ``expected_um``, its ``interval`` (95 %), ``design`` (ASTM E2283 or
        not), and the ``reason`` where nothing can be said.

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened, there is no such class, or the area is not larger.
    """
    import pandas as pd

    from microscope_qc.workflows.results.counted_findings import counted_projects
    from microscope_qc.workflows.results.largest import expected_of, largest_found

    found = largest_found(run_job(counted_projects(projects)), of, in_mm2=in_mm2, fields_mm2=fields_mm2)
    areas = pd.DataFrame(found["each"])
    areas.attrs |= expected_of(found)
    return areas


def agreement(
    project: Path | str, first: int | None = None, second: int | None = None, *, people: bool = False
) -> pandas.DataFrame:
    """Return who found what in blind inspections, as ``inspect compare`` does.

    Parameters
    ----------
    first, second
        Numbers of inspections; None takes all, and what models found.
    people
        All inspections of the same area by different people.

    Returns
    -------
    pandas.DataFrame
        One row for each place: ``who`` found it (both, first or second), slide, the class that each gave, its finding,
        and its box. ``attrs`` hold the agreement on ``finding`` and on ``naming`` with their intervals, the counts, and
        all of it in ``words``.

    Raises
    ------
    MicroscopeQCError
        When the project cannot be opened, or there is no such inspection, or none with an area in common.
    """
    import pandas as pd

    from microscope_qc.project import Project
    from microscope_qc.workflows.results.agreement import agreement_words, compared
    from microscope_qc.workflows.review.inspection import pairs_to_compare

    with Project.open(project, write=False) as opened:
        found = compared(opened, pairs_to_compare(opened, first, second, people=people))
    places = pd.DataFrame(found.pop("each"))
    places.attrs |= {**found, "words": agreement_words(found)}
    return places


def severity(*projects: Path | str) -> pandas.DataFrame:
    """Return how severe findings are and of what that is made, as the command ``severity`` has it.

    Parameters
    ----------
    projects
        Folders ``NAME.mqc``.

    Returns
    -------
    pandas.DataFrame
        One row for each finding that counts and is not rejected, the most severe first: ``severity`` (0 to 100), the
        weight of its class, ``size``, ``anomaly`` and ``crowding`` (0 to 1; missing where they are not known).

    Raises
    ------
    MicroscopeQCError
        When a project cannot be opened.
    """
    import pandas as pd

    from microscope_qc.workflows.review.severity import severity_records

    records = [
        {"project": project.name, **record}
        for project in opened_in_turn(projects)
        for record in severity_records(project)
    ]
    found = pd.DataFrame(records)
    return found.sort_values("severity", ascending=False, ignore_index=True) if records else found
