"""The one place that draws charts: matplotlib figures, for a page of HTML, a page of PDF or a file of their own.

Only matplotlib's objects are used, never pyplot, which keeps figures and a backend for the whole process. Text is never
read as a formula. The same chart gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import threading
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path
from microscope_qc.core.wording import count_text, metric_text, round_length
from microscope_qc.reports.document import ClassKey

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, RULE, DARK = "#1b2228", "#5c6873", "#dbe1e7", "#0c0f12"
PAPER = "#ffffff"
SUFFIXES = (".svg", ".png", ".pdf")
MANY_POINTS = 3_000
"""More points are one picture for each class in SVG and PDF: as drawings of their own they would be megabytes."""
LONGEST_LABEL = 36
DPI = 160
_LOCK = threading.RLock()
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with what only a browser shows of it.

    Attributes
    ----------
    title
        What it shows, in words.
    tips
        Words for parts of it, by their id, that come under the mouse.
    picture
        The JPEG that the figure's first image shows, "" without one: in SVG it stands as it is.
    """

    figure: Figure
    title: str
    tips: Mapping[str, str] = field(default_factory=dict)
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class ChartLook:
    """Colours of text, of axes, of lines behind, and of the ground."""

    ink: str
    quiet: str
    rule: str
    paper: str


@dataclass(frozen=True, slots=True, eq=False)
class PlacesOnSlide:
    """Positions of findings on a slide.

    Attributes
    ----------
    extent
        Height and width in ``unit`` ("um", or "px" where the pixel size is not known).
    points
        Columns x, y and place of the class, shape (N, 3).
    picture
        JPEG of the whole slide, b"" without one.
    """

    extent: tuple[float, float]
    unit: str
    points: np.ndarray
    picture: bytes = b""


LOOKS = {
    "print": ChartLook(INK, QUIET, RULE, PAPER),
    "light": ChartLook("#1c1e21", "#5f6670", "#d3d6db", "#ffffff"),
    "dark": ChartLook("#e6e8ea", "#a0a7b0", "#3d4249", "#1b1d20"),
}
PRINT = LOOKS["print"]


# -- style -------------------------------------------------------------------------------------------------------------


@contextmanager
def style(look: ChartLook = PRINT) -> Iterator[None]:
    """Thin lines, text as it stands; wanted both while a figure is made and while it is written.

    Matplotlib's settings belong to the whole process: threads that draw wait for each other.
    """
    import matplotlib

    settings: dict[Any, Any] = {
        "axes.edgecolor": look.quiet, "axes.facecolor": look.paper, "axes.labelcolor": look.quiet,
        "axes.linewidth": 0.8, "axes.spines.right": False, "axes.spines.top": False, "figure.facecolor": look.paper,
        "font.family": list(_families()), "font.size": 9.0, "legend.frameon": False, "svg.fonttype": "none",
        "svg.hashsalt": "microscope-qc", "text.color": look.ink, "text.parse_math": False, "text.usetex": False,
        "xtick.color": look.quiet, "ytick.color": look.quiet,
    }  # fmt: skip
    with _LOCK, matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that no font has is an empty square
        yield


@cache
def _families() -> tuple[str, ...]:
    """Matplotlib's own font, and those fonts for Chinese, Japanese and Korean that are installed."""
    from matplotlib import font_manager

    wide = (
        "Noto Sans CJK JP", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans GB",
        "Arial Unicode MS", "WenQuanYi Zen Hei",
    )  # fmt: skip
    there = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in wide if name in there))


def plain(text: str, longest: int = LONGEST_LABEL) -> str:
    """Text for a label: on one line, without characters that no file format takes, cut where it is too long."""
    kept = "".join(c if unicodedata.category(c) not in {"Cc", "Cs", "Cn"} else " " for c in text)
    line = " ".join(kept.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def legend_below(axes: Axes, entries: Sequence[tuple[str, str]], *, width_in: float, below: float = 0.0) -> None:
    """A dot and a label for each (colour, label), under the axes, in as many columns as fit in their width.

    ``below``: how far down, in inches.
    """
    from matplotlib.lines import Line2D

    if not entries:
        return
    labels = [plain(label) for _, label in entries]
    letters = max(sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in label) for label in labels)
    column_in = (letters * 5.5 + 30) / 72  # points: letters, then the dot and the gap between columns
    dots = [Line2D([], [], color=colour, marker="o", linestyle="", markeredgecolor=DARK, markeredgewidth=0.5)
            for colour, _ in entries]  # fmt: skip
    height_in = axes.bbox.height / axes.figure.dpi
    legend = axes.legend(
        dots, [str(i) for i in range(len(dots))], loc="upper left", bbox_to_anchor=(0, -below / height_in),
        ncols=max(1, min(len(dots), int(width_in / column_in))), borderpad=0, borderaxespad=0.8, columnspacing=1.6,
        handlelength=1.0, handletextpad=0.4, fontsize=8.5,
    )  # fmt: skip
    for words, label in zip(legend.get_texts(), labels, strict=True):
        words.set_text(label)  # a label that begins with "_" would be left out if it were given before


# -- axes --------------------------------------------------------------------------------------------------------------


def log_edges(sizes: np.ndarray, *, bins: int = 18) -> np.ndarray:
    """Edges of bins with equal steps of the logarithm over the sizes that occur."""
    low, high = float(sizes.min()), float(sizes.max())
    if high < low * 1.5:
        low, high = low / 1.3, high * 1.3
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges


def size_ticks(low: float, high: float, *, most: int = 10) -> list[float]:
    """Round sizes between two: 1, 2, 5 times powers of ten, fewer where they would crowd, others where too few."""
    from matplotlib.ticker import MaxNLocator

    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low * 0.999 <= f * 10.0**p <= high * 1.001]
        if len(found) <= most:
            break
    if len(found) < 3:
        found = [float(v) for v in MaxNLocator(nbins=5).tick_values(low, high) if low * 0.999 <= v <= high * 1.001]
    return found[:: -(-len(found) // most) or 1]


# -- positions ---------------------------------------------------------------------------------------------------------


def position_map(slide: PlacesOnSlide, classes: Sequence[ClassKey], *, only: int | None = None) -> Chart:
    """Positions on the slide: all classes over its picture with scale bar and legend, or one class in an outline."""
    from matplotlib.figure import Figure

    height, width = slide.extent
    long_side = 7.2 if only is None else 2.4
    scale = long_side / max(height, width)
    size = max(width * scale, 0.05 * long_side), max(height * scale, 0.05 * long_side)
    with style():
        figure = Figure(figsize=size, dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        shown = draw_positions(axes, slide, classes, only=only)
        if only is None:
            legend_below(axes, shown, width_in=size[0])
    title = "Map of positions" if only is None else f"Positions of {plain(classes[only].code)}"
    return Chart(figure, title, picture=slide.picture if only is None else b"")


def draw_positions(
    axes: Axes, slide: PlacesOnSlide, classes: Sequence[ClassKey], *, only: int | None = None
) -> list[tuple[str, str]]:
    """Draw positions; returns colour and label of each class that occurs."""
    from microscope_qc.reports.crops import decoded

    height, width = slide.extent
    if only is None and slide.picture:
        axes.imshow(decoded(slide.picture), extent=(0, width, height, 0), interpolation="antialiased", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal", facecolor="#f5f7f9")
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
    of_class = [slide.points[slide.points[:, 2] == index] for index in range(len(classes))]
    count = len(slide.points) if only is None else len(of_class[only])
    area = (30.0 if count <= 400 else 16.0 if count <= 3000 else 5.0) * (1.0 if only is None else 0.45)
    for index, points in enumerate(of_class):
        if len(points) and only in (None, index):
            axes.scatter(
                points[:, 0], points[:, 1], area, color=classes[index].colour, edgecolors=DARK, linewidths=0.5,
                rasterized=count > MANY_POINTS, clip_on=True,
            )  # fmt: skip
    if only is None and slide.unit == "um":
        _scale_bar(axes, width)
    return [(cls.colour, f"{cls.code}  {count_text(len(points))}")
            for cls, points in zip(classes, of_class, strict=True) if len(points)]  # fmt: skip


def _scale_bar(axes: Axes, width_um: float) -> None:
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length_um = round_length(width_um * 0.2)
    low, high = axes.get_ylim()
    bar = AnchoredSizeBar(
        axes.transData, length_um, metric_text(length_um), "lower left", pad=0.6, borderpad=0.6, sep=3,
        color="white", size_vertical=abs(high - low) * 0.006, label_top=True,
        fontproperties=FontProperties(size=9, weight="bold", family=list(_families())),
    )  # fmt: skip
    bar.patch.set(facecolor=DARK, edgecolor="none", alpha=0.85, boxstyle="round,pad=0,rounding_size=0.3")
    axes.add_artist(bar)


# -- files -------------------------------------------------------------------------------------------------------------


def save(chart: Chart, path: Path | str) -> Path:
    """Write a chart as SVG, PNG or PDF, by the suffix.

    Raises
    ------
    InputError
        When the suffix is another one.
    WriteError
        When the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path.name} is not the name of an SVG, PNG or PDF file.", hint="End the name with .svg.")
    with atomic_path(path) as temporary:
        if suffix == ".svg":
            temporary.write_text(svg(chart), encoding="utf-8")
        else:
            temporary.write_bytes(_rendered(chart.figure, suffix[1:]))
    return path


def as_png(chart: Chart) -> bytes:
    """A chart as a PNG."""
    return _rendered(chart.figure, "png")


def svg(chart: Chart, name: str = "") -> str:
    """A chart as an ``<svg>`` element, for a file or inside a page.

    It has no size of its own, only proportions; its title is read aloud; parts with a tip show it under the mouse.

    Parameters
    ----------
    name
        Begins all ids, so that several charts stand in one page.
    """
    from xml.etree import ElementTree

    from defusedxml.ElementTree import fromstring

    with _without_pixels(chart):
        root: Element = fromstring(_rendered(chart.figure, "svg"))
    if chart.picture:
        slide = next(root.iter(f"{{{_SVG}}}image"))
        slide.set(f"{{{_XLINK}}}href", "data:image/jpeg;base64," + base64.b64encode(chart.picture).decode("ascii"))
        slide.set("preserveAspectRatio", "none")
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", plain(chart.title, 200))
    for element in root.iter():
        tip = chart.tips.get(element.get("id", ""))
        if tip is not None:
            words = ElementTree.Element(f"{{{_SVG}}}title")
            words.text = plain(tip, 200)
            element.insert(0, words)
        if name:
            _name_ids(element, name)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _name_ids(element: Element, name: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


@contextmanager
def _without_pixels(chart: Chart) -> Iterator[None]:
    """One pixel instead of the slide's picture: matplotlib would write it as PNG, ten times as large as the JPEG is."""
    images = chart.figure.axes[0].images if chart.picture else []
    pixels = [(image, image.get_array(), image.get_interpolation()) for image in images]
    for image, _, _ in pixels:
        image.set(data=np.zeros((1, 1, 3), np.uint8), interpolation="none")
    try:
        yield
    finally:
        for image, array, interpolation in pixels:
            image.set(data=array, interpolation=interpolation)


def _rendered(figure: Figure, kind: str) -> bytes:
    """The bytes of a file, cut to what is drawn."""
    out = io.BytesIO()
    unsaid = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    with style():
        figure.savefig(out, format=kind, dpi=DPI, bbox_inches="tight", pad_inches=0.03, metadata=unsaid)
    return out.getvalue()
