"""Plots of places: pictures of slides with a dot for each finding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.reports.plot_values import Plot
from microscope_qc.reports.plots import DARK, MANY_POINTS, ChartLook, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOT_PT, _FEW_DOTS = 6.0, 400
"""Diameter of a dot; with more of them they are half as large."""


def draw_places(figure: Figure, plot: Plot, look: ChartLook) -> None:
    """A picture of each slide with a dot for each finding, in as many rows as make them largest."""
    figure.suptitle(plain(plot.title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold", color=look.ink)
    columns = min(len(plot.panels), max(1, round(math.sqrt(2 * len(plot.panels)))))
    rows = -(-len(plot.panels) // columns)
    few = sum(len(series.marks) for series in plot.series) <= _FEW_DOTS
    for number, panel in enumerate(plot.panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        height, width = panel.extent
        if panel.picture is not None:
            axes.imshow(panel.picture, extent=(0, width, height, 0), interpolation="antialiased")
        axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", facecolor=look.paper, xticks=[], yticks=[])
        axes.set_title(plain(panel.name, 30), fontsize=8, color=look.quiet, loc="left")
        for spine in axes.spines.values():
            spine.set(visible=True, color=look.rule)
        for series in plot.series:
            here = [(mark.x, mark.value) for mark in series.marks if mark.panel == number]
            if here:
                x, y = np.array(here).T
                axes.scatter(
                    x, y, (_DOT_PT if few else _DOT_PT / 2) ** 2, color=series.colour,
                    edgecolors=DARK, linewidths=0.4, rasterized=len(here) > MANY_POINTS,
                )  # fmt: skip


def dot_places(plot: Plot, figure: Figure, height_px: int) -> dict[str, tuple[float, float, float, float]]:
    """Where the dots of a plot of places are, which are drawn as one for each slide and class."""
    reach = _DOT_PT / 2 * figure.dpi / 72
    found = {}
    for panel, axes in enumerate(figure.axes):
        here = [(key, mark) for key, _, mark in plot.marks() if mark.panel == panel]
        if here:
            places = axes.transData.transform([(mark.x, mark.value) for _, mark in here])
            for (key, _), (x, y) in zip(here, places.tolist(), strict=True):
                found[key] = x - reach, height_px - y - reach, x + reach, height_px - y + reach
    return found
