"""Control charts as plots: points in their order with a centre and limits, one chart below the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.core.wording import count_text, significant_text, things
from microscope_qc.reports.plot_values import Limits, Plot, PlotMark, Series, Shape
from microscope_qc.reports.plots import ChartLook, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USUAL, UNUSUAL = "usual", "unusual"
_COLOURS = {USUAL: "#0072b2", UNUSUAL: "#d55e00"}
_MOST_NAMES, _MANY_NAMES = 40, 8
"""With more points not each has its name; with more than a few the names stand aslant."""
_LONGEST_EVENT = 28
_NONE = np.zeros(0, np.int64)


def control_plot(
    found: Mapping[str, Any], *, title: str, x: str, findings: Sequence[Ints] = (), notes: Sequence[str] = (),
    table: Sequence[Mapping[str, Any]] = (),
) -> Plot:  # fmt: skip
    """Make a plot of a control chart.

    Parameters
    ----------
    found
        ``points``, ``charts``, ``frozen`` and ``phase_1``, see
        :func:`~microscope_qc.workflows.results.process_control.charted`.
    x
        What all names of points begin with: it stands below the axis instead.
    findings
        Numbers of the findings of each point.
    table
        What is saved as the values.
    """
    points = found["points"]
    names = [str(point["group"]).removeprefix(f"{x} ") for point in points]
    marks: dict[str, list[PlotMark]] = {USUAL: [], UNUSUAL: []}
    limits = []
    for panel, chart in enumerate(found["charts"]):
        y = _y(str(chart["title"]))
        rows = chart["points"]
        limits.append(Limits(y, chart["centre"], [row["lower"] for row in rows], [row["upper"] for row in rows]))
        for place, (point, row) in enumerate(zip(points, rows, strict=True)):
            if row["value"] is not None:
                mark = PlotMark(
                    names[place], float(place), float(row["value"]), findings[place] if len(findings) else _NONE,
                    tip=_tip(point, row, y), label="" if panel else str(point["event"] or ""), panel=panel,
                )  # fmt: skip
                marks[UNUSUAL if row["unusual"] else USUAL].append(mark)
    return Plot(
        "control", title, Shape.CONTROL, x, limits[0].y,
        [Series(name, _COLOURS[name], mine) for name, mine in marks.items() if mine], names, notes=notes,
        limits=limits, pointer=None if found["frozen"] else found["phase_1"] - 0.5, table=table, source=found,
    )  # fmt: skip


def _y(title: str) -> str:
    return {"moving range": "range per mm²", "quality index (nQI)": "nQI"}.get(title, "findings per mm²")


def _tip(point: Mapping[str, Any], row: Mapping[str, Any], y: str) -> str:
    value, low, high = (_number(row[name]) for name in ("value", "lower", "upper"))
    parts = [f"{point['group']}: {value} {y} (limits {low} to {high})"]
    area = f"{significant_text(point['area_mm2'])} mm²"
    if point["count"] is None:
        parts.append(f"{_number(point['anomalous_mm2'])} mm² of {area} are anomalous")
    else:
        parts.append(f"{things(point['count'], 'finding')} on {area}")
    if row["unusual"]:
        parts.append(f"unusual: {', '.join(row['unusual'])}")
    if point["event"]:
        parts.append(str(point["event"]))
    return "; ".join(parts)


def _number(value: float) -> str:
    return significant_text(value) if value else "0"


# -- drawing -----------------------------------------------------------------------------------------------------------


def draw_control(figure: Figure, plot: Plot, look: ChartLook) -> None:
    """Draw the charts; unusual points are diamonds, so that no one has to tell colours apart."""
    figure.suptitle(plain(plot.title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold", color=look.ink)
    heights = [2.0] + [1.0] * (len(plot.limits) - 1)
    rows = figure.subplots(len(plot.limits), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    for panel, (axes, limits) in enumerate(zip(rows[:, 0], plot.limits, strict=True)):
        _draw_limits(axes, plot, limits, look)
        mine = sorted(_of_panel(plot, panel), key=lambda one: one[2].x)
        axes.plot([mark.x for _, _, mark in mine], [mark.value for _, _, mark in mine], color=look.quiet,
                  linewidth=0.8, zorder=2)  # fmt: skip
        for key, series, mark in mine:
            unusual = series.colour == _COLOURS[UNUSUAL]  # its name may be in another language
            (dot,) = axes.plot(
                mark.x, mark.value, marker="D" if unusual else "o", markersize=7 if unusual else 5,
                color=series.colour, markeredgecolor=look.paper, markeredgewidth=0.6, linestyle="", zorder=3,
            )  # fmt: skip
            dot.set_gid(key)
            if mark.label:
                _draw_event(axes, mark, look)
        _scale(axes, limits, [mark.value for _, _, mark in mine])
        axes.set_ylabel(plain(limits.y, 60))
        axes.tick_params(axis="both", length=0)
        axes.grid(axis="y", color=look.rule, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    _name_points(rows[-1, 0], plot)


def _of_panel(plot: Plot, panel: int) -> Iterator[tuple[str, Series, PlotMark]]:
    return ((key, series, mark) for key, series, mark in plot.marks() if mark.panel == panel)


def _draw_limits(axes: Axes, plot: Plot, limits: Limits, look: ChartLook) -> None:
    """The centre, and steps that are as wide as a point's place."""
    edges = np.arange(len(limits.lower) + 1) - 0.5
    if plot.pointer is not None:
        axes.axvspan(-0.5, plot.pointer, color=look.rule, alpha=0.35, linewidth=0, zorder=0)
        axes.annotate(
            "phase I", (-0.5, 1), (3, -3), xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=8,
            color=look.quiet, va="top",
        )  # fmt: skip
    axes.axhline(limits.centre, color=look.quiet, linewidth=1.0, zorder=1)
    for side in (limits.lower, limits.upper):
        axes.stairs(side, edges, baseline=None, color=look.ink, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)


def _draw_event(axes: Axes, mark: PlotMark, look: ChartLook) -> None:
    axes.axvline(mark.x, color=look.quiet, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.annotate(
        plain(mark.label, _LONGEST_EVENT), (mark.x, 1), (0, 3), xycoords=axes.get_xaxis_transform(),
        textcoords="offset points", fontsize=8, color=look.ink, rotation=25, ha="left", va="bottom",
        rotation_mode="anchor", annotation_clip=False,
    )  # fmt: skip


def _scale(axes: Axes, limits: Limits, values: Sequence[float]) -> None:
    """All points and limits, and 0 where nothing lies below it."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = min(*limits.lower, *values, 0.0), max(*limits.upper, *values)
    gap = 0.08 * ((high - low) or 1.0)
    axes.set_ylim(low - gap if low < 0 else 0.0, high + gap)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    sign = "−" if value < 0 else ""
    return sign + (count_text(round(abs(value))) if abs(value) >= 1000 else significant_text(abs(value)))


def _name_points(axes: Axes, plot: Plot) -> None:
    count = len(plot.names)
    every = math.ceil(count / _MOST_NAMES)
    places = range(0, count, every)
    axes.set_xticks(list(places), [plain(plot.names[place], 24) for place in places])
    if len(places) > _MANY_NAMES:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, count - 0.4)
    axes.set_xlabel(plain(plot.x, 60))
