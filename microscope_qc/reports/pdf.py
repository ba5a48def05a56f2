"""The report as PDF, page by page with matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.files import atomic_path
from microscope_qc.core.wording import percent_text, things
from microscope_qc.reports.content import GalleryItem, ReportContent, SlideContent
from microscope_qc.reports.crops import decoded
from microscope_qc.reports.fonts import shortened, wrapped
from microscope_qc.reports.plots import INK, QUIET, draw_positions, draw_sizes, legend_below, plain, style

A4 = (8.27, 11.69)
PER_PAGE = (5, 4)
MEASURED_PER_PAGE = (4, 2)
MOST_ELEMENTS = 10
PER_TABLE = 5
PER_LIST = 48
LONGEST_WORDS = 400
_STATES = ("unreviewed", "confirmed", "rejected")
WARNING = "#b3491b"


def write_pdf(path: Path | str, content: ReportContent) -> Path:
    """Write the report: numbers, sizes, a line for each of many slides, maps, then the gallery."""
    from matplotlib.backends.backend_pdf import PdfPages

    about = {"Title": content.title, "CreationDate": None}
    with style(), atomic_path(path) as temporary, PdfPages(temporary, metadata=about) as pdf:
        for number, make in enumerate(_pages(content), start=1):
            make.text(0.93, 0.025, str(number), ha="right", color=QUIET, fontsize=8)
            make.text(0.07, 0.025, f"{content.software}  ·  {content.shown}", color=QUIET, fontsize=7)
            pdf.savefig(make)
    return Path(path)


def _pages(content: ReportContent) -> Iterator[Any]:
    """The pages, one at a time: a figure takes memory."""
    yield _first_page(content)
    if content.many:
        yield from (_slides_page(content, start) for start in range(0, len(content.slides), PER_LIST))
    yield from (_map_page(slide, content) for slide in content.detailed)
    per_page = PER_PAGE[0] * PER_PAGE[1]
    yield from (_gallery(content, start, per_page) for start in range(0, len(content.gallery), per_page))
    per_page = MEASURED_PER_PAGE[0] * MEASURED_PER_PAGE[1]
    yield from (_compositions(content, start, per_page) for start in range(0, len(content.measured), per_page))


def _page(title: str, subtitle: str = "") -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=A4)
    figure.text(0.07, 0.945, plain(title, 50), fontsize=17, weight="bold", va="center")
    figure.text(0.07, 0.918, plain(subtitle, 110), fontsize=9, color=QUIET, va="center")
    return figure


def _first_page(content: ReportContent) -> Any:
    figure = _page(content.title, f"{content.date}  ·  {content.shown}")
    total = content.total
    density = "–" if total["per_mm2"] is None else f"{total['per_mm2']:.2f}"
    share = "–" if total["reviewed_share"] is None else percent_text(total["reviewed_share"])
    facts = [
        (f"{total['kept']}", "findings kept"),
        (density, "per mm²"),
        (f"{total['states']['confirmed']}", "confirmed"),
        (f"{total['states']['rejected']}", "rejected"),
        (f"{total['states']['unreviewed']}", "not reviewed"),
        (share, "reviewed"),
    ]
    for column, (value, words) in enumerate(facts):
        x = 0.07 + column * 0.147
        figure.text(x, 0.872, value, fontsize=16, weight="bold")
        figure.text(x, 0.856, words, fontsize=8, color=QUIET)
    y = 0.825
    if total["per_mm2"] is None:
        y = _wrapped(figure, y, f"No density of all classes: {total['per_mm2_reason']}")
    else:
        low, high = total["per_mm2_interval"]
        area = f"on {total['area_mm2']:.3g} mm² of {things(total['sections'], 'slide')}"
        y = _wrapped(figure, y, f"{density} per mm² ({low:.2f} to {high:.2f}, 95 %) {area}")
    for slide in () if content.many else content.slides[:8]:
        known = slide.statistics
        looked = known["area_source"] or "nothing scanned or declared complete"
        if known["area_mm2"]:
            looked += f" ({percent_text(known['area_share'])} of the slide)"
        y = _wrapped(figure, y, f"{slide.name}: {slide.words}; area from {looked}")
        for warning in known["warnings"]:
            y = _wrapped(figure, y, warning, color=WARNING, size=8)
    for model in content.models[:6]:
        y = _wrapped(figure, y, f"Found by {model.name} ({model.when}). {model.trained_on}", color=QUIET)
    y = _class_tables(figure, content, y - 0.01)
    if y > 0.32:
        _size_axes(figure, content, max(0.09, y - 0.27))
    return figure


def _wrapped(figure: Any, y: float, words: str, *, color: str = INK, size: float = 9) -> float:
    """Write words over the width of the page, on as many lines as they need; returns where the next line goes."""
    for line in wrapped(plain(words, LONGEST_WORDS), size_pt=size, width_pt=0.86 * A4[0] * 72):
        figure.text(0.07, y, line, color=color, fontsize=size)
        y -= 0.017
    return y


def _class_tables(figure: Any, content: ReportContent, y: float) -> float:
    """Tables of counts and of statistics; returns where they end."""
    several = len(content.slides) > 1
    if content.many:
        return _total_tables(figure, content, y)
    rows = [(row, slide.name if several else "") for slide in content.slides for row in slide.statistics["classes"]]

    def counts(row: dict[str, Any]) -> list[str]:
        return [str(row["states"][word]) for word in _STATES] + [str(row["kept"])]

    y = _class_table(figure, ["Unrev.", "Conf.", "Rej.", "Kept"], [(*row, counts(row[0])) for row in rows], y)
    heads = ["In area", "Per mm²", "95 % interval", "Area, mm²", "Of slide"]
    y = _class_table(figure, heads, [(*row, _density_cells(row[0])) for row in rows], y - 0.03)
    for start in range(0, len(content.columns), PER_TABLE):
        columns = content.columns[start : start + PER_TABLE]
        cells = [(*row, [column.text(row[0]) for column in columns]) for row in rows]
        y = _class_table(figure, [column.head for column in columns], cells, y - 0.03)
    return y


def _total_tables(figure: Any, content: ReportContent, y: float) -> float:
    """The classes over all of many slides; returns where the table ends."""
    rows = [(row, "") for row in content.total["classes"]]
    counts = [(*row, [str(row[0]["states"][word]) for word in _STATES] + [str(row[0]["kept"])]) for row in rows]
    y = _class_table(figure, ["Unrev.", "Conf.", "Rej.", "Kept"], counts, y)
    heads = ["In area", "Per mm²", "95 % interval", "Area, mm²", "Slides"]
    cells = [(*row, [*_density_cells(row[0] | {"area_share": 0.0})[:4], str(row[0]["sections"])]) for row in rows]
    return _class_table(figure, heads, cells, y - 0.03)


def _slides_page(content: ReportContent, start: int) -> Any:
    """A line for each of some slides."""
    slides = content.slides[start : start + PER_LIST]
    figure = _page("Every slide", f"{start + 1} to {start + len(slides)} of {things(len(content.slides), 'slide')}")
    heads = ("Unrev.", "Conf.", "Rej.", "Kept", "Area, mm²", "Per mm²", "95 % interval")
    xs = (0.45, 0.52, 0.59, 0.66, 0.74, 0.81, 0.93)
    y = 0.885
    for x, head in zip(xs, heads, strict=True):
        figure.text(x, y, head, color=QUIET, fontsize=7, ha="right")
    figure.text(0.07, y, "Slide", color=QUIET, fontsize=8)
    last = start + PER_LIST >= len(content.slides)
    for name, row in [(s.name, s.statistics) for s in slides] + ([("All", content.total)] if last else []):
        y -= 0.0165
        known = _density_cells(row | {"area_share": 0.0})
        cells = [*(str(row["states"][word]) for word in _STATES), str(row["kept"]), known[3], known[1], known[2]]
        figure.text(0.07, y, plain(name, 40), fontsize=8)
        for x, text in zip(xs, cells, strict=True):
            figure.text(x, y, text, ha="right", fontsize=8)
    return figure


def _density_cells(row: dict[str, Any]) -> list[str]:
    share = percent_text(row["area_share"])
    if row["per_mm2"] is None:
        return [str(row["in_area"]), "–", "–", "–" if not row["area_mm2"] else f"{row['area_mm2']:.3g}", share]
    low, high = row["per_mm2_interval"]
    return [
        str(row["in_area"]), f"{row['per_mm2']:.2f}", f"{low:.2f}–{high:.2f}", f"{row['area_mm2']:.3g}", share,
    ]  # fmt: skip


def _class_table(figure: Any, heads: list[str], rows: list[tuple[dict[str, Any], str, list[str]]], y: float) -> float:
    """One table of classes; returns where it ends. Rows are the class, the slide's name or "", and the cells."""
    xs = [0.93 - 0.11 * place for place in reversed(range(len(heads)))]
    for x, head in zip(xs, heads, strict=True):
        figure.text(x, y, head, color=QUIET, fontsize=7, ha="right")
    figure.text(0.09, y, "Class", color=QUIET, fontsize=8)
    for place, (row, slide, cells) in enumerate(rows):
        y -= 0.0185
        if y < 0.08:
            figure.text(0.09, y, f"and {len(rows) - place} more", color=QUIET)
            break
        name = row["name"] + (f"  ({slide})" if slide else "")
        figure.text(0.07, y, "●", color=row["colour"], fontsize=10)
        figure.text(0.09, y, plain(row["code"], 12), weight="bold")
        room = (xs[0] - 0.17 - 0.045) * A4[0] * 72
        figure.text(0.17, y, shortened(plain(name), size_pt=9, width_pt=room))
        for x, text in zip(xs, cells, strict=True):
            figure.text(x, y, text, ha="right")
    return y


def _size_axes(figure: Any, content: ReportContent, y: float) -> None:
    if not any((np.isfinite(slide.sizes_um) & (slide.sizes_um > 0)).any() for slide in content.slides):
        return
    axes = figure.add_axes((0.1, y, 0.82, 0.2))
    draw_sizes(axes, content.slides, content.classes)
    axes.set_title("Size distribution", loc="left", fontsize=10, weight="bold")


def _map_page(slide: SlideContent, content: ReportContent) -> Any:
    figure = _page(f"Positions: {slide.name}", slide.words)
    axes = figure.add_axes((0.07, 0.2, 0.86, 0.69))
    axes.set_anchor("NW")
    shown = draw_positions(axes, slide, content.classes)
    axes.apply_aspect()
    legend_below(axes, shown, width_in=0.86 * A4[0])
    return figure


def _gallery(content: ReportContent, start: int, count: int) -> Any:
    items = content.gallery[start : start + count]
    words = (
        f"{start + 1} to {start + len(items)} of {content.gallery_of} findings, by class weight, size and confidence"
    )
    figure = _page("Gallery, worst first", words)
    rows, columns = PER_PAGE
    side_x, side_y = 0.195, 0.195 * A4[0] / A4[1]
    for place, item in enumerate(items):
        row, column = divmod(place, columns)
        x, y = 0.07 + column * 0.222, 0.9 - side_y - row * (0.86 / rows)
        axes = figure.add_axes((x, y - 0.005, side_x, side_y))
        axes.imshow(decoded(item.picture))
        axes.axis("off")
        for line, (text, colour) in enumerate(_caption(item)):
            figure.text(x, y - 0.017 - line * 0.0115, text, fontsize=7, color=colour)
    return figure


def _caption(item: GalleryItem) -> list[tuple[str, str]]:
    confidence = "drawn" if item.confidence is None else f"{item.confidence:.2f}"
    first = plain(f"{plain(item.code, 14)}  #{item.defect_id}  {item.size_words}", 40)
    return [(first, "black"), (plain(f"{confidence}  {item.state}  {item.reason}", 34), QUIET)]


def _compositions(content: ReportContent, start: int, count: int) -> Any:
    """Picture and composition of some findings."""
    found = content.measured[start : start + count]
    words = f"{start + 1} to {start + len(found)} of {things(content.measured_of, 'finding')} that EDX measured"
    figure = _page("Compositions", words)
    rows, columns = MEASURED_PER_PAGE
    side_x, side_y = 0.17, 0.17 * A4[0] / A4[1]
    for place, one in enumerate(found):
        row, column = divmod(place, columns)
        x, top = 0.07 + column * 0.44, 0.895 - row * (0.85 / rows)
        axes = figure.add_axes((x, top - side_y, side_x, side_y))
        axes.imshow(decoded(one.item.picture))
        axes.axis("off")
        text_x = x + side_x + 0.015
        figure.text(text_x, top - 0.012, plain(f"{plain(one.item.code, 14)}  #{one.item.defect_id}", 30), weight="bold")
        for x_head, head in ((text_x + 0.11, "at%"), (text_x + 0.21, "wt%")):
            figure.text(x_head, top - 0.028, head, color=QUIET, fontsize=7, ha="right")
        for line, (element, at, wt) in enumerate(one.rows[:MOST_ELEMENTS], start=1):
            y = top - 0.028 - line * 0.0135
            figure.text(text_x, y, element, fontsize=8)
            figure.text(text_x + 0.11, y, at, fontsize=8, ha="right")
            figure.text(text_x + 0.21, y, wt, fontsize=8, ha="right")
        figure.text(x, top - side_y - 0.014, plain(one.words, 60), fontsize=6.5, color=QUIET)
    return figure
