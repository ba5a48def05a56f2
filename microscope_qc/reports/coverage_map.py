"""Maps of how much of slides was looked at: what was searched, and how closely users viewed it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.reports.plot_values import Panel, Plot
from microscope_qc.reports.plots import ChartLook, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEARCHED = (
    ("not looked at", "#f2f2f2"), ("left out by a mask", "#9a9a9a"), ("not done or unreadable", "#d55e00"),
    ("scanned", "#56b4e9"), ("declared complete", "#009e73"),
)  # fmt: skip
"""What became of a place, as :meth:`~microscope_qc.analysis.coverage.SlideCoverage.kinds` counts, and its colour."""
VIEWED = (
    ("not viewed", "#f2f2f2"), ("viewed, zoom unknown or below 10 %", "#fde725"), ("at 10 % or more", "#7ad151"),
    ("at 25 % or more", "#22a884"), ("at 50 % or more", "#2a788e"), ("at 100 % or more", "#414487"),
)  # fmt: skip
"""How closely a place was viewed, in pixels of the screen for one of the slide, and its colour (viridis)."""
_LEGEND_IN = 2.1
"""Width of a column of the legend."""
_SHINE = 0.35
"""So much of the slide's own brightness is seen through the colours."""


def painted(kinds: Ints, colours: tuple[tuple[str, str], ...], under: np.ndarray | None) -> np.ndarray:
    """Paint a grid of kinds, shape (rows, columns), over a picture of the slide (RGB), as RGB."""
    table = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for _, colour in colours], np.float32)
    painted = table[kinds]
    if under is not None:
        rows = np.linspace(0, len(kinds) - 1e-6, under.shape[0]).astype(int)
        columns = np.linspace(0, kinds.shape[1] - 1e-6, under.shape[1]).astype(int)
        grey = under.astype(np.float32).mean(axis=2, keepdims=True)
        painted = (1 - _SHINE) * painted[rows][:, columns] + _SHINE * grey
    return painted.astype(np.uint8)


def draw_coverage(figure: Figure, plot: Plot, look: ChartLook) -> None:
    """Two maps of each slide beside each other: what was searched, and what was viewed."""
    figure.suptitle(plain(plot.title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold", color=look.ink)
    slides = len(plot.panels) // 2
    width, height = figure.get_size_inches()
    beside = max(1, min(slides, round(math.sqrt(slides * width / (2 * height)))))
    axes = figure.subplots(-(-slides // beside), 2 * beside, squeeze=False)
    for each in axes.flat[len(plot.panels) :]:
        each.set_axis_off()
    for number, (each, panel) in enumerate(zip(axes.flat, plot.panels, strict=False)):
        _draw_panel(each, panel, look, key=f"mark-0-{number}")
    _draw_legends(figure, look)


def _draw_panel(axes: object, panel: Panel, look: ChartLook, *, key: str) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    assert panel.picture is not None
    height, width = panel.extent
    image = axes.imshow(panel.picture, extent=(0, width, height, 0), interpolation="nearest")
    image.set_gid(key)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
    axes.set_title(plain(panel.name, 30), fontsize=8, color=look.quiet, loc="left")
    for spine in axes.spines.values():
        spine.set(visible=True, color=look.rule)


def _draw_legends(figure: Figure, look: ChartLook) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=colour, edgecolor=look.quiet, linewidth=0.6, label=name) for name, colour in SEARCHED + VIEWED
    ]
    columns = max(1, min(len(patches), int(figure.get_size_inches()[0] / _LEGEND_IN)))
    figure.legend(
        handles=patches, loc="outside lower left", ncols=columns, fontsize=8, handlelength=1.0, handletextpad=0.5,
        columnspacing=1.2,
    )  # fmt: skip
