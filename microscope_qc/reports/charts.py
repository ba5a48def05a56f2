"""Charts about data sets and models, with the look of :mod:`microscope_qc.reports.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.wording import UNKNOWN, count_text
from microscope_qc.reports import marked
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.reports.plots import DPI, INK, PAPER, QUIET, RULE, Chart, legend_below, plain, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#5c6873")
"""Of Okabe and Ito: told apart also by people who do not see red or green."""
_MOST_LINES = 24
_DARK = 0.6
"""From this share on a cell is dark."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its points (n, 2) as x and y, and where known the interval (n, 2) of each y."""

    name: str
    points: np.ndarray
    intervals: np.ndarray | None = None
    tips: Sequence[str] = ()


def bars_by_class(classes: Sequence[str], parts: Mapping[str, Sequence[int]], *, unit: str) -> Chart | None:
    """One bar for each class and part, with its count above; None without counts.

    Parameters
    ----------
    parts
        Counts of every class by the name of the part.
    unit
        What is counted: "boxes".
    """
    if not any(map(any, parts.values())):
        return None
    series = [
        Series(
            part, COLOURS[number],
            [
                PlotMark(code, place, count, tip=f"{code}, {part}: {count_text(count)} {unit}", label=count_text(count))
                for place, (code, count) in enumerate(zip(classes, counts, strict=True))
            ],
        )
        for number, (part, counts) in enumerate(parts.items())
    ]  # fmt: skip
    title = f"Number of {unit} of each class and part"
    return marked.drawn(Plot("bars", title, Shape.BESIDE, y=unit, series=series, names=classes))


def curves(title: str, lines: Sequence[Line], *, x: str, y: str, diagonal: bool = False) -> Chart | None:
    """Curves between 0 and 1; points with their intervals where they have some. None without a point.

    Parameters
    ----------
    x, y
        What the axes show.
    diagonal
        Draw the line on which both are equal.
    """
    from matplotlib.figure import Figure

    drawn = [line for line in lines if len(line.points)][:_MOST_LINES]
    if not drawn:
        return None
    with style():
        figure = Figure(figsize=(5.2, 5.0), dpi=DPI)
        axes = figure.add_axes((0.12, 0.24, 0.85, 0.74))
        tips = {}
        if diagonal:
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        for number, line in enumerate(drawn):
            colour = COLOURS[number % len(COLOURS)]
            dashes = ("-", (0, (5, 2)), (0, (1, 1)))[number // len(COLOURS) % 3]
            (path,) = axes.plot(*line.points.T, color=colour, linewidth=1.4, linestyle=dashes)
            path.set_gid(f"line-{number}")
            tips[f"line-{number}"] = line.name
            if line.intervals is not None:
                low, high = line.intervals.T
                axes.vlines(line.points[:, 0], low, high, color=colour, linewidth=1.0)
            for place, tip in enumerate(line.tips):
                (dot,) = axes.plot(*line.points[place], marker="o", markersize=4, color=colour)
                dot.set_gid(f"dot-{number}-{place}")
                tips[f"dot-{number}-{place}"] = tip
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
        _plain_axes(axes)
        entries = [(COLOURS[n % len(COLOURS)], line.name) for n, line in enumerate(drawn)]
        legend_below(axes, entries if len(drawn) > 1 else [], width_in=4.4, below=0.45)
        return Chart(figure, title, tips)


def confusion_chart(classes: Sequence[str], table: Sequence[Sequence[int]]) -> Chart:
    """A table of true class against found class, each row shaded by its shares."""
    from matplotlib.figure import Figure

    counts = np.asarray(table, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(9.0, 2.2 + 0.55 * len(classes))
    with style():
        figure = Figure(figsize=(side, side), dpi=DPI)
        axes = figure.add_axes((0.2, 0.14, 0.78, 0.78))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(column, row, count_text(int(count)), ha="center", va="center", fontsize=8,
                          color=PAPER if shares[row, column] > _DARK else INK)  # fmt: skip
        names = [plain(code, 14) for code in classes]
        axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 6 else 0)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.set(xlabel="found", ylabel="true")
        return Chart(figure, "True class against found class")


def share_text(value: float | None, intervals: Mapping[str, tuple[float, float] | None], name: str) -> str:
    """``0.712 (0.650 to 0.770)``, "–" where it is not known.

    Parameters
    ----------
    intervals
        By name; None where there is too little to estimate one.
    """
    if value is None:
        return UNKNOWN
    text, sides = f"{value:.3f}", intervals.get(name)
    if sides is not None:
        return f"{text} ({sides[0]:.3f} to {sides[1]:.3f})"
    return f"{text} (interval not estimable)" if name in intervals else text


def _plain_axes(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
