"""Charts of the report as inline SVG: sharp in print, light in weight, in the page's own colours."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from microscope_qc.core.wording import metric_text, round_length
from microscope_qc.reports.content import ReportClass, SlideContent


def size_chart(slides: Sequence[SlideContent], classes: Sequence[ReportClass]) -> str:
    """Distribution of sizes, stacked by class, in equal steps of the logarithm; "" without sizes."""
    sizes = np.concatenate([slide.sizes_um for slide in slides]) if slides else np.zeros(0)
    numbers = np.concatenate([slide.points[:, 2] for slide in slides]) if slides else np.zeros(0)
    good = np.isfinite(sizes) & (sizes > 0)
    sizes, numbers = sizes[good], numbers[good].astype(int)
    if len(sizes) == 0:
        return ""
    edges = log_edges(sizes)
    counts = np.array([np.histogram(sizes[numbers == i], edges)[0] for i in range(len(classes))])
    width, height, left, right, top, bottom = 760, 250, 46, 10, 12, 44
    inner_w, inner_h = width - left - right, height - top - bottom
    highest = nice_ceiling(int(counts.sum(axis=0).max()))
    step = inner_w / counts.shape[1]
    parts = [_open(width, height, "Size distribution")]
    for tick in ticks(highest):
        y = top + inner_h * (1 - tick / highest)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
    for column in range(counts.shape[1]):
        base = 0
        for index, cls in enumerate(classes):
            count = int(counts[index, column])
            if count == 0:
                continue
            y1 = top + inner_h * (1 - base / highest)
            y0 = top + inner_h * (1 - (base + count) / highest)
            words = escape(f"{cls.code}: {count}, {edges[column]:.1f} to {edges[column + 1]:.1f} µm")
            parts.append(
                f'<rect x="{left + column * step + 1:.1f}" y="{y0:.1f}" width="{step - 2:.1f}" '
                f'height="{max(y1 - y0 - 0.6, 0.6):.1f}" rx="1.5" fill="{cls.colour}"><title>{words}</title></rect>'
            )
            base += count
    for value in size_ticks(edges[0], edges[-1]):
        x = left + inner_w * np.log(value / edges[0]) / np.log(edges[-1] / edges[0])
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top + inner_h}" y2="{top + inner_h + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{top + inner_h + 18}" text-anchor="middle">{value:g}</text>')
    base_y = top + inner_h
    parts.append(f'<line class="axis" x1="{left}" x2="{width - right}" y1="{base_y}" y2="{base_y}"/>')
    parts.append(
        f'<text class="label" x="{left + inner_w / 2}" y="{height - 6}" text-anchor="middle">longer side, µm</text>'
    )
    return "".join(parts) + "</svg>"


def log_edges(sizes: np.ndarray, *, bins: int = 18) -> np.ndarray:
    """Edges of bins with equal steps of the logarithm over the sizes that occur."""
    low, high = float(sizes.min()), float(sizes.max())
    if high < low * 1.5:
        low, high = low / 1.3, high * 1.3
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    return edges


def nice_ceiling(value: int) -> int:
    """Smallest of 1, 2, 4, 5, 10 times a power of ten that is not below ``value``."""
    power = 1
    while True:
        for factor in (1, 2, 4, 5):
            if factor * power >= value:
                return factor * power
        power *= 10


def ticks(highest: int) -> list[int]:
    """Whole numbers from 0 to ``highest`` in two to five equal steps."""
    steps = next((n for n in (4, 5, 2, 1) if highest % n == 0), 1)
    return [highest * i // steps for i in range(steps + 1)]


def size_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten between two sizes."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [f * 10.0**p for p in powers for f in (1, 2, 5) if low * 0.999 <= f * 10.0**p <= high * 1.001]


def position_map(slide: SlideContent, classes: Sequence[ReportClass], *, only: int | None = None) -> str:
    """Positions on the slide: all classes over its picture, or one class over an empty outline.

    All points of a class are one path of dots, so that tens of thousands stay a small file.
    """
    height, width = slide.extent
    long_side = 720.0 if only is None else 240.0
    scale = long_side / max(height, width)
    w, h = max(width * scale, 1.0), max(height * scale, 1.0)
    label = "Map of positions" if only is None else f"Positions of {classes[only].code}"
    parts = [_open(w, h, label)]
    if only is None and slide.thumbnail:
        data = base64.b64encode(slide.thumbnail).decode("ascii")
        parts.append(
            f'<image href="data:image/jpeg;base64,{data}" x="0" y="0" width="{w:.1f}" height="{h:.1f}" '
            'preserveAspectRatio="none"/>'
        )
    else:
        parts.append(f'<rect class="slide" x="0.5" y="0.5" width="{w - 1:.1f}" height="{h - 1:.1f}" rx="2"/>')
    count = int((slide.points[:, 2] == only).sum()) if only is not None else len(slide.points)
    dot = (9.0 if count <= 400 else 6.0 if count <= 3000 else 3.0) * (1.0 if only is None else 0.75)
    for index, cls in enumerate(classes):
        points = slide.points[slide.points[:, 2] == index]
        if len(points) == 0 or only not in (None, index):
            continue
        path = "".join(f"M{x * scale:.1f} {y * scale:.1f}h0" for x, y, _ in points)
        rim = 3.0 if only is None else 1.6
        parts.append(f'<path d="{path}" class="rim" stroke-width="{dot + rim:.1f}"/>')
        parts.append(f'<path d="{path}" class="dots" stroke="{cls.colour}" stroke-width="{dot:.1f}"/>')
    if only is None:
        parts.append(_scale_bar(slide, scale, w, h))
    return "".join(parts) + "</svg>"


def _scale_bar(slide: SlideContent, scale: float, w: float, h: float) -> str:
    if slide.unit != "um" or w < 80 or h < 50:
        return ""
    length_um = round_length(min(w * 0.25, 160) / scale)
    length = length_um * scale
    plate = max(length, 52) + 20
    middle = 10 + plate / 2
    return (
        f'<rect x="10" y="{h - 46:.1f}" width="{plate:.1f}" height="36" rx="5" fill="#0c0f12" fill-opacity="0.85"/>'
        f'<text x="{middle:.1f}" y="{h - 29:.1f}" text-anchor="middle" class="bar">{metric_text(length_um)}</text>'
        f'<rect x="{middle - length / 2:.1f}" y="{h - 21:.1f}" width="{length:.1f}" height="4" fill="#fff"/>'
    )


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" role="img" '
        f'aria-label="{escape(label, quote=True)}">'
    )
