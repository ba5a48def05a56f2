"""Plots of three parts of a whole in a triangle: the nearer to a corner, the more of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from microscope_qc.reports.plot_values import Plot
from microscope_qc.reports.plots import ChartLook, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = math.sqrt(3) / 2
_STEPS = (20, 40, 60, 80)
_DOT_PT, _FEW_DOTS = 6.5, 400
"""Diameter of a dot; with more of them they are smaller."""


def place_in_triangle(first: float, second: float) -> tuple[float, float]:
    """Where parts in % lie, x and y: the first corner is left, the second right, the third above.

    Examples
    --------
    >>> place_in_triangle(100, 0), place_in_triangle(0, 100), place_in_triangle(0, 0)[0]
    ((0.0, 0.0), (1.0, 0.0), 0.5)
    """
    third = 100 - first - second
    return (second + third / 2) / 100, HEIGHT * third / 100


def draw_triangle(figure: Figure, plot: Plot, look: ChartLook) -> None:
    """Draw the triangle with lines every 20 %, and a dot for each finding; hollow are those of a pale series."""
    figure.suptitle(plain(plot.title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold", color=look.ink)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(-0.12, 1.12), ylim=(-0.1, HEIGHT + 0.1), aspect="equal")
    for step in _STEPS:
        for ends in (
            ((step, 0), (step, 100 - step)),
            ((0, step), (100 - step, step)),
            ((100 - step, 0), (0, 100 - step)),
        ):
            (x0, y0), (x1, y1) = (place_in_triangle(*end) for end in ends)
            axes.plot((x0, x1), (y0, y1), color=look.rule, linewidth=0.7, zorder=1)
        for (x, y), words, across, up in (
            (place_in_triangle(step, 100 - step), f"{step}", "center", "top"),
            (place_in_triangle(0, step), f"{step}", "left", "center"),
            (place_in_triangle(100 - step, 0), f"{step}", "right", "center"),
        ):
            axes.annotate(
                words, (x, y), ((-5, 0, 5)[("right", "center", "left").index(across)], -3 if up == "top" else 0),
                textcoords="offset points", ha=across, va=up, fontsize=7.5, color=look.quiet,
            )  # fmt: skip
    corners = [place_in_triangle(100, 0), place_in_triangle(0, 100), place_in_triangle(0, 0)]
    axes.plot(*zip(*corners, corners[0], strict=True), color=look.quiet, linewidth=1.0, zorder=2)
    aligned = (("right", "top"), ("left", "top"), ("center", "bottom"))
    for (x, y), name, (across, up) in zip(corners, plot.names, aligned, strict=True):
        axes.annotate(
            f"{plain(name, 20)} 100 %", (x, y), (0, 6 if up == "bottom" else -6), textcoords="offset points", ha=across,
            va=up, fontsize=9, fontweight="bold", color=look.ink,
        )  # fmt: skip
    few = sum(len(series.marks) for series in plot.series) <= _FEW_DOTS
    for number, series in enumerate(plot.series):
        for place, mark in enumerate(series.marks):
            x, y = place_in_triangle(mark.x, mark.value)
            (dot,) = axes.plot(
                x, y, marker="D" if series.pale else "o", markersize=_DOT_PT if few else _DOT_PT / 2, linestyle="",
                color=series.colour, markerfacecolor=look.paper if series.pale else series.colour,
                markeredgecolor=series.colour if series.pale else look.paper,
                markeredgewidth=1.6 if series.pale else 0.6, zorder=4 if series.pale else 3,
            )  # fmt: skip
            dot.set_gid(f"mark-{number}-{place}")
