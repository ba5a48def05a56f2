"""Draws plots of statistics with the look of :mod:`microscope_qc.reports.plots`.

A window shows the same bars and dots as a file, and knows what lies under the mouse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.numbers import rounded
from microscope_qc.core.sheets import write_sheet
from microscope_qc.core.wording import count_text, significant_text
from microscope_qc.reports.control import draw_control
from microscope_qc.reports.coverage_map import draw_coverage
from microscope_qc.reports.plot_values import Plot, Series, Shape
from microscope_qc.reports.plots import DPI, PRINT, Chart, ChartLook, plain, save, size_ticks, style
from microscope_qc.reports.slide_dots import dot_places, draw_places
from microscope_qc.reports.triangle import draw_triangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TABLES = (".csv", ".xlsx")
WIDTH_IN, HEIGHT_IN = 8.4, 4.4
_LONGEST_TICK = 16
_MANY_TICKS = 8
"""With more names along an axis they stand aslant."""
_MANY_DOTS = 40
"""With more along a line they are small."""
_HIGHEST = 3.0
"""So many times as high as the highest value the axis reaches at most."""
_PALE, _HATCH = 0.55, "////"
_ROOM = 0.84
"""Of the place of a name along the axis its bars take so much."""


def write_plot(plot: Plot, path: Path | str, *, look: ChartLook = PRINT) -> Path:
    """Write a plot as SVG, PNG or PDF, or its values as CSV or XLSX, by the suffix.

    Raises
    ------
    InputError
        When the suffix is another one.
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() in TABLES:
        records = plot.records()
        rows = [[rounded(cell, 0) if isinstance(cell, float) else cell for cell in one.values()] for one in records]
        return write_sheet(path, list(records[0]) if records else ["series"], rows, title=plot.title)
    return save(drawn(plot, look=look), path)


# -- drawing -----------------------------------------------------------------------------------------------------------


def drawn(
    plot: Plot, *, look: ChartLook = PRINT, size_in: tuple[float, float] = (WIDTH_IN, HEIGHT_IN),
    decimal_comma: bool = False,
) -> Chart:  # fmt: skip
    """Draw a plot; the id of each mark is its key. Where there is nothing to draw, the reason stands there."""
    from matplotlib.figure import Figure

    with style(look):
        figure = Figure(figsize=size_in, dpi=DPI, layout="constrained")
        if plot.shape in _WHOLE and not plot.why_not:
            _WHOLE[plot.shape](figure, plot, look)
            _legend(figure, plot, look, size_in[0])
            if decimal_comma:
                for each in figure.axes:
                    _write_commas(each)
            return Chart(figure, plot.title, {key: mark.tip for key, _, mark in plot.marks()})
        axes = figure.add_subplot()
        axes.set_title(plain(plot.title, 90), loc="left", fontsize=10, fontweight="bold", color=look.ink)
        if plot.why_not:
            axes.set_axis_off()
            axes.text(0.5, 0.5, _wrapped(plot.why_not), ha="center", va="center", transform=axes.transAxes)
            return Chart(figure, plot.title)
        _DRAWERS[plot.shape](axes, plot, look)
        axes.set(xlabel=plain(plot.x, 60), ylabel=plain(plot.y, 60))
        axes.tick_params(axis="y", length=0)
        if plot.shape is not Shape.MAP:
            axes.grid(axis="y", color=look.rule, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        _legend(figure, plot, look, size_in[0])
        if decimal_comma:
            _write_commas(axes)
        return Chart(figure, plot.title, {key: mark.tip for key, _, mark in plot.marks()})


def _write_commas(axes: Axes) -> None:
    """Numbers along both axes with a decimal comma."""
    from matplotlib.ticker import FuncFormatter

    for axis in (axes.xaxis, axes.yaxis):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):
            point = formatter.func
            axis.set_major_formatter(
                FuncFormatter(lambda value, place, point=point: str(point(value, place)).replace(".", ","))
            )


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(plain(text, 400), 70))


def _draw_beside(axes: Axes, plot: Plot, look: ChartLook) -> None:
    wide = _ROOM / max(1, len(plot.series))
    for number, series in enumerate(plot.series):
        for place, mark in enumerate(series.marks):
            left = mark.x - _ROOM / 2 + number * wide
            _bar(axes, f"mark-{number}-{place}", series, (left, wide * 0.92), (0.0, mark.value), look)
            if mark.interval is not None:
                axes.vlines(left + wide * 0.46, *mark.interval, color=look.ink, linewidth=1.0)
            if mark.label:
                axes.annotate(
                    plain(mark.label), (left + wide * 0.46, mark.value), (0, 2), textcoords="offset points",
                    ha="center", va="bottom", fontsize=8, color=look.quiet,
                )  # fmt: skip
    _name_places(axes, plot, _top(axes, plot))


def _draw_stacked(axes: Axes, plot: Plot, look: ChartLook) -> None:
    base, highest = np.zeros(len(plot.names)), 0.0
    for number, series in enumerate(plot.series):
        for place, mark in enumerate(series.marks):
            at = round(mark.x)
            span = mark.x - _ROOM / 2, _ROOM
            _bar(axes, f"mark-{number}-{place}", series, span, (base[at], mark.value), look)
            base[at] += mark.value
            if plot.shape is Shape.MEANS and mark.interval is not None:  # beside each other, as parts may be thin
                x = mark.x + _ROOM * ((number + 1) / (len(plot.series) + 1) - 0.5)
                low, high = (base[at] - mark.value + limit for limit in mark.interval)
                axes.vlines(x, low, high, color=look.paper, linewidth=2.6)
                axes.vlines(x, low, high, color=look.ink, linewidth=1.0)
                highest = max(highest, high)
    _name_places(axes, plot, max(highest, float(base.max(initial=0))))


def _draw_bins(axes: Axes, plot: Plot, look: ChartLook) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    edges = plot.edges
    assert edges is not None
    base = np.zeros(len(edges) - 1)
    gap = (edges[1] / edges[0]) ** 0.04
    for number, series in enumerate(plot.series):
        for place, mark in enumerate(series.marks):
            at = round(mark.x)
            left, right = edges[at] * gap, edges[at + 1] / gap
            _bar(axes, f"mark-{number}-{place}", series, (left, right - left), (base[at], mark.value), look)
            base[at] += mark.value
    axes.set(xscale="log", xlim=(edges[0] / gap, edges[-1] * gap))
    axes.xaxis.set_major_locator(FixedLocator(size_ticks(edges[0], edges[-1])))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant_text(value)))
    _count_up(axes, float(base.max(initial=0)))


def _draw_dots(axes: Axes, plot: Plot, look: ChartLook) -> None:
    if plot.line is not None:
        axes.plot(plot.line[::2], plot.line[1::2], color=look.quiet, linewidth=1.0, zorder=1)
    for number, series in enumerate(plot.series):
        for place, mark in enumerate(series.marks):
            if mark.interval is not None:
                axes.vlines(mark.x, *mark.interval, color=series.colour, linewidth=1.0)
            (dot,) = axes.plot(
                mark.x, mark.value, marker="o", markersize=6, color=series.colour, markeredgecolor=look.paper,
                markeredgewidth=0.6, linestyle="",
            )  # fmt: skip
            dot.set_gid(f"mark-{number}-{place}")
    axes.margins(x=0.05)
    _count_up(axes, _top(axes, plot))


def _draw_dates(axes: Axes, plot: Plot, look: ChartLook) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    _draw_dots(axes, plot, look)
    locator = AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _draw_lines(axes: Axes, plot: Plot, look: ChartLook) -> None:
    if plot.pointer is not None:
        axes.axvline(plot.pointer, color=look.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
    few = max(len(series.marks) for series in plot.series) <= _MANY_DOTS
    for number, series in enumerate(plot.series):
        axes.plot([mark.x for mark in series.marks], [mark.value for mark in series.marks], color=series.colour,
                  linewidth=1.4)  # fmt: skip
        for place, mark in enumerate(series.marks):
            if mark.interval is not None:
                axes.vlines(mark.x, *mark.interval, color=series.colour, linewidth=1.0)
            (dot,) = axes.plot(
                mark.x, mark.value, marker="o", markersize=5 if few else 2, color=series.colour, linestyle=""
            )
            dot.set_gid(f"mark-{number}-{place}")
    if plot.log_x:
        axes.set_xscale("log")
    _count_up(axes, _top(axes, plot))


def _draw_map(axes: Axes, plot: Plot, look: ChartLook) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    scale = Normalize(0, max(mark.value for _, _, mark in plot.marks()) or 1.0)
    colours = colormaps["cividis"]
    several = len(plot.series) > 1
    for number, series in enumerate(plot.series):
        edge, line = (series.colour, 1.8) if several and number == 0 else (look.paper, 0.3)
        for place, mark in enumerate(series.marks):
            assert mark.box is not None
            y0, x0, y1, x1 = mark.box
            face = colours(scale(mark.value))
            axes.add_patch(
                Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=face, edgecolor=edge, linewidth=line,
                          zorder=3 - number, gid=f"mark-{number}-{place}")
            )  # fmt: skip
    boxes = np.array([mark.box for _, _, mark in plot.marks()])
    axes.set(xlim=(boxes[:, 1].min(), boxes[:, 3].max()), ylim=(boxes[:, 2].max(), boxes[:, 0].min()), aspect="equal")
    bar = axes.figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.8)
    bar.set_label(plain(plot.scale, 60))
    bar.outline.set_visible(False)


_DRAWERS = {
    Shape.BESIDE: _draw_beside, Shape.STACKED: _draw_stacked, Shape.BINS: _draw_bins, Shape.DOTS: _draw_dots,
    Shape.MEANS: _draw_stacked, Shape.DATES: _draw_dates, Shape.LINES: _draw_lines, Shape.MAP: _draw_map,
}  # fmt: skip
_WHOLE = {Shape.PLACES: draw_places, Shape.CONTROL: draw_control, Shape.COVERAGE: draw_coverage,
          Shape.TERNARY: draw_triangle}  # fmt: skip
"""Those that take the whole figure."""


def _bar(
    axes: Axes, key: str, series: Series, span: tuple[float, float], up: tuple[float, float], look: ChartLook
) -> None:
    """A bar; a pale one is hatched, so that no one has to tell colours apart."""
    (left, wide), (base, height) = span, up
    (bar,) = axes.bar(
        left, height, wide, base, align="edge", color=series.colour, linewidth=0, alpha=_PALE if series.pale else 1.0,
        hatch=_HATCH if series.pale else None, edgecolor=look.paper,
    )  # fmt: skip
    bar.set_gid(key)


def _name_places(axes: Axes, plot: Plot, top: float) -> None:
    aslant = len(plot.names) > _MANY_TICKS or max((len(name) for name in plot.names), default=0) > _LONGEST_TICK
    axes.set_xticks(range(len(plot.names)), [plain(name, 24) for name in plot.names])
    axes.tick_params(axis="x", length=0)
    if aslant:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(plot.names) - 0.4)
    _count_up(axes, top)


def _top(axes: Axes, plot: Plot) -> float:
    """How high the y axis reaches: not so high for the sake of intervals that the values cannot be told apart."""
    marks = [mark for _, _, mark in plot.marks()]
    values, limits = (
        max(mark.value for mark in marks),
        max(mark.interval[1] if mark.interval else 0.0 for mark in marks),
    )
    highest = max(values, limits)
    if not values or highest <= _HIGHEST * values:
        return highest
    axes.text(1.0, 1.01, "some intervals reach higher", ha="right", va="bottom", fontsize=8, transform=axes.transAxes)
    return _HIGHEST * values


def _count_up(axes: Axes, top: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    whole = top >= 5
    axes.set_ylim(0, 1.08 * top or 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=whole, min_n_ticks=2))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: count_text(round(value)) if whole else significant_text(value) if value else "0")
    )


def _legend(figure: Figure, plot: Plot, look: ChartLook, width_in: float) -> None:
    from matplotlib.patches import Patch

    if len(plot.series) < 2 or plot.shape is Shape.MAP:
        return
    labels = [plain(series.name) for series in plot.series]
    patches = [
        Patch(
            facecolor=one.colour, edgecolor=look.paper, alpha=_PALE if one.pale else 1.0,
            hatch=_HATCH if one.pale else None, linewidth=0,
        )
        for one in plot.series
    ]  # fmt: skip
    column_in = (max(map(len, labels)) * 5.5 + 34) / 72
    legend = figure.legend(
        patches, [str(number) for number in range(len(labels))], loc="outside lower left",
        ncols=max(1, min(len(labels), int(width_in / column_in))), fontsize=8.5, handlelength=1.0, handletextpad=0.5,
        columnspacing=1.4,
    )  # fmt: skip
    for words, label in zip(legend.get_texts(), labels, strict=True):
        words.set_text(label)  # a label that begins with "_" would be left out if it were given before


# -- for a window ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A drawn plot in pixels.

    Attributes
    ----------
    pixels
        RGBA, shape (height, width, 4).
    places
        Left, top, right and bottom of each mark in pixels, by its key.
    """

    pixels: np.ndarray
    places: Mapping[str, tuple[float, float, float, float]]


def picture(plot: Plot, width_px: int, height_px: int, *, look: ChartLook = PRINT, dpi: float = 96.0) -> Picture:
    """Draw a plot to fill a place on a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    size_in = (width_px + 0.01) / dpi, (height_px + 0.01) / dpi  # it cuts what is not whole
    chart = drawn(plot, look=look, size_in=size_in)
    with style(look):
        figure = chart.figure
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba()).copy()
        artists = {artist.get_gid(): artist for artist in figure.findobj(lambda one: one.get_gid() in chart.tips)}
        places = {}
        for key, artist in artists.items():
            box = artist.get_window_extent()
            places[str(key)] = box.x0, pixels.shape[0] - box.y1, box.x1, pixels.shape[0] - box.y0
        if plot.shape is Shape.PLACES and not plot.why_not:
            places = dot_places(plot, figure, pixels.shape[0])
    return Picture(pixels, places)
