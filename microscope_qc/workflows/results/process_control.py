"""Control charts over batches, or any other groups of slides, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.control_charts import (
    CHARTS,
    RULE_SETS,
    TITLES,
    WANTED_POINTS,
    Baseline,
    ControlChart,
    signals,
)
from microscope_qc.analysis.stack import Stack
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job
from microscope_qc.core.numbers import rounded, short_text
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import listed, plural
from microscope_qc.project import Project
from microscope_qc.project.parts.standards import CHART, EVENT
from microscope_qc.project.records import Standard
from microscope_qc.workflows.results.anomalous import anomalous_areas
from microscope_qc.workflows.results.grouping import (
    CountedSlides,
    classes_named,
    count_slides,
    group_words,
    members_of,
    slide_keys,
)
from microscope_qc.workflows.results.grouping_text import text_table

_ONLY_LIMITS = ("ewma",)
QUALITY_INDEX = "nqi"


def process_control(
    projects: Iterable[Project],
    by: Sequence[str],
    *,
    of: str = "all",
    chart: str = "laney",
    rules: str = "limits",
    phase_1: int | None = None,
) -> Job[dict[str, Any]]:
    """Count the findings of projects and draw up a control chart; see :func:`charted`."""
    kept: list[Standard] = []
    known = yield from count_slides(_noting(projects, kept))
    return charted(known, by, of=of, chart=chart, rules=rules, phase_1=phase_1, kept=kept)


def _noting(projects: Iterable[Project], kept: list[Standard]) -> Iterator[Project]:
    """Pass projects on, and note the frozen limits and events of the first one."""
    for number, project in enumerate(projects):
        if number == 0:
            kept += [*project.standards.of(CHART), *project.standards.of(EVENT)]
        yield project


def freeze_limits(project: Project, found: Mapping[str, Any]) -> Standard:
    """Keep the limits of a chart, so that later points do not move them (undoable)."""
    name = chart_name(found["of"], found["chart"], found["by"])
    return project.standards.keep(CHART, name, found["base"], words=chart_words(name))


def thaw_limits(project: Project, found: Mapping[str, Any]) -> None:
    """Forget the frozen limits of a chart (undoable).

    Raises
    ------
    InputError
        When they are not frozen.
    """
    known = project.standards.named(CHART, chart_name(found["of"], found["chart"], found["by"]))
    if known is None:
        raise InputError("The limits of this chart are not frozen.")
    project.standards.remove(known.id, words=chart_words(known.name))


def note_event(project: Project, found: Mapping[str, Any], group: str, text: str) -> None:
    """Keep what happened at a point of a chart; an empty text removes it (undoable).

    Raises
    ------
    InputError
        When the chart has no such point.
    """
    points = [point["group"] for point in found["points"]]
    if group not in points:
        raise InputError(f"The chart has no point {group}.", hint=f"There are {listed(points)}.")
    known = project.standards.named(EVENT, group)
    if text:
        project.standards.keep(EVENT, group, {"text": text})
    elif known is not None:
        project.standards.remove(known.id)


def chart_named(name: str) -> tuple[str, str, list[str]]:
    """What frozen limits are of, by their name: the chart, the class, and the fields that make its points.

    Raises
    ------
    InputError
        When it is not the name of a chart.
    """
    chart, _, rest = name.partition(" of ")
    of, _, by = rest.rpartition(" by ")
    if not (chart and of and by):
        raise InputError(f"“{name}” is not a control chart.")
    return chart, of, by.split(", ")


def chart_words(name: str) -> str:
    """Say what frozen limits are of, by their name; the name where it is not that of a chart."""
    try:
        chart, of, by = chart_named(name)
    except InputError:
        return name
    what = "anomalous area" if chart == QUALITY_INDEX else "all classes" if of == "all" else of
    fields = ", ".join(one.replace("_", " ") for one in by)
    return f"{TITLES.get(chart, chart)} of {what} by {fields}"


def _baseline(kept: Standard) -> Baseline:
    try:
        data = kept.data
        return Baseline(float(data["centre"]), float(data["spread"]), float(data.get("least", 0.0)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "The frozen limits cannot be read.", hint="Say how many points are phase I, and freeze them again."
        ) from error


def chart_name(of: str, chart: str, keys: Sequence[str]) -> str:
    """The name of frozen limits, see :func:`chart_named`."""
    return f"{chart} of {of} by {', '.join(keys)}"


def charted(
    known: CountedSlides, by: Sequence[str], *, of: str = "all", chart: str = "laney", rules: str = "limits",
    phase_1: int | None = None, kept: Sequence[Standard] = (),
) -> dict[str, Any]:  # fmt: skip
    """Work out a control chart of the density after the review, or of the quality index of anomalous area (``nqi``).

    Parameters
    ----------
    by
        Fields of specimens, ``slide`` or ``project``; each group is a point, in the order of the values.
    of
        Code of a class, name of a class group, or ``all``.
    chart, rules
        Name of the chart (:data:`~microscope_qc.analysis.control_charts.CHARTS`) and of the set of rules
        (:data:`~microscope_qc.analysis.control_charts.RULE_SETS`).
    phase_1
        The limits are those of so many first points; None takes the frozen ones, or else all.
    kept
        Frozen limits and events of a project.

    Returns
    -------
    dict
        ``base`` (what is usual: ``centre``, ``spread`` and ``least``), ``frozen`` (by whom and when, None where limits
        are not), ``projects``, ``by``, ``of``, ``chart``, ``rules`` (with the mean number of usual points to a false
        alarm), ``phase_1``, ``points`` (group, slides that were searched and that were left out, count or else
        anomalous area, area, event), ``charts`` (title, centre, and of each point value, lower and upper limit, and
        the rules by which it is unusual) and ``remarks``.

    Raises
    ------
    InputError
        When there is no such field, class, chart or set of rules, or too little to draw limits from.
    """
    if chart not in CHARTS or rules not in RULE_SETS:
        raise InputError(
            f"There is no chart {chart} with rules {rules}.",
            hint=f"Charts are {listed(list(CHARTS))}, rules {listed(list(RULE_SETS))}.",
        )
    if chart in _ONLY_LIMITS and rules != "limits":
        raise InputError(f"The points of {chart} are not independent: only its limits say something.")
    keys = slide_keys(known, by)
    name = chart_name(of, chart, keys)
    frozen = next((one for one in kept if one.kind == CHART and one.name == name), None) if phase_1 is None else None
    base = None if frozen is None else _baseline(frozen)
    of_model = "" if frozen is None else str(frozen.data.get("model", ""))
    points = _points(known, keys, of, chart, of_model)
    there = [point for point in points.rows if point["area_mm2"]]
    if len(there) < 2:
        names = listed([point["group"] for point in there]) or "none"
        raise InputError(f"There are fewer than two points: {names}.")
    phase = len(there) if phase_1 is None else phase_1
    areas, amounts = (np.array([point[name] for point in there]) for name in ("area_mm2", points.amount))
    drawn = CHARTS[chart](amounts, areas, phase_1=phase, frozen=base)
    events = {one.name: str(one.data.get("text", "")) for one in kept if one.kind == EVENT}
    return {
        "projects": known.heads, "by": keys, "of": of, "chart": chart,
        "rules": {"name": rules, "rules": list(RULE_SETS[rules].rules), "run_length": RULE_SETS[rules].run_length},
        "phase_1": phase,
        "base": {
            "centre": drawn[0].base.centre, "spread": drawn[0].base.spread, "least": drawn[0].base.least,
            **({"model": points.model} if points.model else {}),
        },
        "frozen": frozen and {"user": frozen.user, "kept": frozen.kept},
        "points": [point | {"event": events.get(point["group"])} for point in there],
        "charts": [_chart(one, rules if number == 0 else "limits") for number, one in enumerate(drawn)],
        "remarks": [*points.remarks, *_remarks(points, phase, phase_1, frozen)],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Points:
    """Points of a chart, also those without an area: ``amount`` names what is drawn by area, ``model`` whose maps."""

    amount: str
    rows: list[dict[str, Any]]
    remarks: list[str]
    model: str = ""


def _points(known: CountedSlides, keys: Sequence[str], of: str, chart: str, model: str) -> _Points:
    """Count what a chart draws, of each group of slides; ``model`` is that of frozen limits of a quality index."""
    members = members_of(known, keys)
    listed_slides = [slide for _, slides in members for slide in slides]
    owner = np.repeat(np.arange(len(members)), [len(slides) for _, slides in members])
    stack = Stack([slide.section for slide in listed_slides], len(known.book.classes))
    wanted = classes_named(of, known.book)
    remarks: list[str] = []
    areas, amounts = np.zeros((2, len(listed_slides)))
    if chart == QUALITY_INDEX:
        if of != "all":
            raise InputError(f"{QUALITY_INDEX} is of the area that a score map calls anomalous, not of a class.")
        found = anomalous_areas(listed_slides, model=model)
        model = found.model
        searched = np.isfinite(found.scanned_mm2) & (found.scanned_mm2 > 0)
        areas[searched], amounts[searched] = found.scanned_mm2[searched], found.anomalous_mm2[searched]
        remarks = [f"anomalous area by the score maps of {found.model}", *found.problems]
        if found.others:
            remarks.append(f"maps of {listed(found.others)} left out")
    else:
        over = stack.searched(wanted.key)
        searched = over.known
        areas[searched] = over.areas_mm2
        amounts = stack.inside[:, wanted.level, list(wanted.places)].sum(axis=1) * searched
    sums = [np.bincount(owner, weights=each, minlength=len(members)).tolist() for each in (searched, amounts, areas)]
    amount = "anomalous_mm2" if chart == QUALITY_INDEX else "count"
    rows = [
        {
            "group": group_words(values), "slides": int(slides), "count": None, "area_mm2": area, "anomalous_mm2": None,
            "left_out": len(mine) - int(slides), amount: value if chart == QUALITY_INDEX else int(value),
        }
        for (values, mine), slides, value, area in zip(members, *sums, strict=True)
    ]  # fmt: skip
    return _Points(amount, rows, remarks, model)


def _chart(one: ControlChart, rules: str) -> dict[str, Any]:
    unusual = signals(one, RULE_SETS[rules].rules)
    return {
        "title": one.title,
        "centre": one.centre,
        "points": [
            {"value": None if np.isnan(value) else value, "lower": low, "upper": high, "unusual": list(why)}
            for value, low, high, why in zip(
                one.values.tolist(), one.lower.tolist(), one.upper.tolist(), unusual, strict=True
            )
        ],
    }


def _remarks(points: _Points, phase: int, given: int | None, frozen: Standard | None) -> Iterator[str]:
    without = [point["group"] for point in points.rows if not point["area_mm2"]]
    left_out = sum(point["left_out"] for point in points.rows if point["area_mm2"])
    lacks = f"no score map of {points.model}, or no pixel size" if points.model else ""
    if without:
        yield f"no point for {listed(without)}: {lacks or 'no area was searched for it'}"
    if left_out:
        why = lacks or "not searched for all that is counted"
        yield f"{left_out} {plural(left_out, 'slide')} left out of the points: {why}"
    if frozen is not None:
        yield f"limits frozen by {frozen.user}, {frozen.kept[:10]}: later points do not move them"
        return
    if phase < WANTED_POINTS:
        yield f"limits from {phase} {plural(phase, 'point')} are uncertain: {WANTED_POINTS} or more are wanted"
    if given is None:
        yield "the limits are those of all points: what is unusual now has widened them"


def chart_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of a control chart: a table of its points, and what is unusual."""
    lines = [f"{head['project']}  (counted: {head['included']})" for head in found["projects"]]
    rules = found["rules"]
    lines += [
        "", f"{found['of']}, {found['chart']} chart, {_limits_from(found)}; rules "
        f"{rules['name']}: {', '.join(rules['rules'])} (a false alarm every {rules['run_length']} points)",
    ]  # fmt: skip
    counted = "anomalous mm2" if found["chart"] == QUALITY_INDEX else "count"
    for chart in found["charts"]:
        lines += ["", f"{chart['title']}, centre {_number(chart['centre'])}"]
        rows = [
            [
                point["group"], _amount(point), _number(point["area_mm2"]), _number(one["value"]),
                _number(one["lower"]), _number(one["upper"]), ", ".join(one["unusual"]), point["event"] or "",
            ]
            for point, one in zip(found["points"], chart["points"], strict=True)
        ]  # fmt: skip
        lines += text_table(["", counted, "mm2", "value", "lower", "upper", "unusual", "event"], rows)
    return [*lines, *(f"  {remark}" for remark in found["remarks"])]


def _limits_from(found: Mapping[str, Any]) -> str:
    return "frozen limits" if found["frozen"] else f"limits from the first {found['phase_1']} points"


def _amount(point: Mapping[str, Any]) -> str:
    return _number(point["anomalous_mm2"]) if point["count"] is None else str(point["count"])


def _number(value: float | None) -> str:
    return "-" if value is None else short_text(float(value), 4)


def chart_records(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return one record for each point of each chart."""
    for chart in found["charts"]:
        for number, (point, one) in enumerate(zip(found["points"], chart["points"], strict=True)):
            yield {
                "chart": chart["title"], **point, "phase_1": not found["frozen"] and number < found["phase_1"],
                "value": one["value"],
                "centre": chart["centre"], "lower": one["lower"], "upper": one["upper"],
                "unusual": "; ".join(one["unusual"]),
            }  # fmt: skip


def write_chart_table(path: Path | str, found: Mapping[str, Any]) -> Path:
    """Write the points of a control chart as XLSX or CSV.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    records = list(chart_records(found))
    lines = [[rounded(cell, 0) if isinstance(cell, float) else cell for cell in record.values()] for record in records]
    return write_sheet(path, list(records[0]), lines, title="Control chart")
