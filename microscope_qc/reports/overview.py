"""The whole slide in one picture: circles and numbers on the defects, scale bar, legend, title line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, metric_text, round_length
from microscope_qc.reports.fonts import font_for
from microscope_qc.reports.labels import LabelPlacer

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic

PAPER = (255, 255, 255)
INK = (28, 34, 40)
QUIET = (98, 108, 118)
RULE = (214, 220, 226)
PDF_LONG_SIDE_MM = 400.0
"""Of the page of a PDF: it prints on A3, and smaller on A4."""
MOST_NUMBERS = 400
"""With more circles than this, numbers hide the slide and only the chosen defects keep theirs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels of the finished picture, all from one unit, so that it looks the same at any size."""

    unit: int
    width: int
    height: int
    title: int
    margin: int
    legend: int


def write_overview(
    mosaic: Mosaic,
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    path: Path | str,
    *,
    title: str,
    subtitle: str = "",
    pixel_size_um: tuple[float, float] | None = None,
    long_side_px: int = 4000,
) -> Job[Path]:
    """Render the overview and write it as PNG, TIFF or PDF, told by the suffix.

    Parameters
    ----------
    rows
        Box rows to mark.
    title, subtitle
        The bold line above the picture, and the quiet one below it.
    pixel_size_um
        (y, x) of the slide; None takes the mosaic's, and without one there is no scale bar.
    long_side_px
        Longer side of the slide in the picture.

    Raises
    ------
    InputError
        When the suffix is none of .png, .tif(f) and .pdf.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".tif", ".tiff", ".pdf"):
        raise InputError(
            f"{path.name} is not the name of a PNG, TIFF or PDF file.", hint="End the name with .png, .tif or .pdf."
        )
    size_um = pixel_size_um or mosaic.pixel_size_um
    picture = yield from read_whole(mosaic, long_side_px)
    scale = picture.shape[1] / mosaic.shape[1], picture.shape[0] / mosaic.shape[0]
    page = draw_overview(picture, rows, classes, scale=scale, title=title, subtitle=subtitle, pixel_size_um=size_um)
    yield Progress(1, 1, "pictures", f"writing {path.name}")
    with atomic_path(path) as temporary:
        _save(page, temporary, None if size_um is None else (size_um[1] / scale[0], size_um[0] / scale[1]), title)
    return path


def read_whole(mosaic: Mosaic, long_side_px: int) -> Job[np.ndarray]:
    """Read the slide as (h, w, 3) uint8, in bands so that it can be stopped; small slides are enlarged to 1200 px."""
    import cv2

    height, width = mosaic.shape
    longest = max(height, width)
    factor = min(1.0, long_side_px / longest)
    shape = max(1, round(height * factor)), max(1, round(width * factor))
    picture = np.empty((*shape, 3), np.uint8)
    bands = max(1, min(24, shape[0] // 64))
    edges = np.linspace(0, shape[0], bands + 1).round().astype(int)
    for band, (top, bottom) in enumerate(itertools.pairwise(edges)):
        yield Progress(band, bands, "bands", "reading the slide")
        region = Region(round(top * height / shape[0]), 0, round(bottom * height / shape[0]), width)
        picture[top:bottom] = mosaic.read_scaled(region, (int(bottom - top), shape[1]))
    if max(shape) < min(1200, long_side_px):
        enlarge = min(1200, long_side_px) / max(shape)
        size = max(1, round(shape[1] * enlarge)), max(1, round(shape[0] * enlarge))
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return picture


def draw_overview(
    picture: np.ndarray,
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    *,
    scale: tuple[float, float],
    title: str,
    subtitle: str = "",
    pixel_size_um: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw everything around and onto the slide's picture; returns (H, W, 3) uint8. ``scale`` is (x, y)."""
    from PIL import Image, ImageDraw

    layout = _layout(picture, rows, classes)
    marked = picture.copy()
    used = _draw_marks(marked, rows, classes, scale, layout)
    if pixel_size_um is not None:
        _draw_scale_bar(marked, pixel_size_um[1] / scale[0], layout)
    page = np.full((layout.height, layout.width, 3), PAPER, np.uint8)
    top, left = layout.title, layout.margin
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = marked
    image = Image.fromarray(page)
    draw = ImageDraw.Draw(image)
    _draw_title(draw, title, subtitle, layout)
    _draw_legend(draw, used, (left + picture.shape[1] + layout.margin, top), layout)
    return np.asarray(image)


def _counts(rows: np.ndarray, classes: Sequence[DefectClass]) -> list[tuple[DefectClass, int]]:
    """Classes that occur, with their numbers of boxes."""
    counted = [(cls, int((rows["class_id"] == cls.id).sum())) for cls in classes]
    return [(cls, count) for cls, count in counted if count]


def _layout(picture: np.ndarray, rows: np.ndarray, classes: Sequence[DefectClass]) -> Layout:
    height, width = picture.shape[:2]
    unit = max(9, round(max(height, width) / 115))
    counted = _counts(rows, classes)
    code_width = max([font_for(cls.code, unit, bold=True).getlength(cls.code) for cls, _ in counted], default=0)
    name_width = max([font_for(cls.name, unit).getlength(cls.name) for cls, _ in counted], default=6 * unit)
    # the name stands under the code, so the longer of the two and the count decide
    legend = int(2.4 * unit + max(code_width + 5 * unit, name_width) + unit)
    legend = min(max(legend, 12 * unit), 30 * unit)
    margin = round(1.6 * unit)
    title = round(5.6 * unit)
    needed = round((len(counted) * 3.1 + 5) * unit)
    return Layout(
        unit=unit,
        width=margin + width + margin + legend + margin,
        height=title + max(height, needed) + margin,
        title=title,
        margin=margin,
        legend=legend,
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    """RGB triple of "#RRGGBB"; OpenCV draws channels as they come, and the picture is RGB."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _draw_marks(
    picture: np.ndarray,
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    scale: tuple[float, float],
    layout: Layout,
) -> list[tuple[DefectClass, int]]:
    """Circles with a dark rim, then numbers; returns the legend's lines."""
    import cv2
    from PIL import Image, ImageDraw

    known = {cls.id: cls for cls in classes}
    unknown = DefectClass("?", "Unknown class", "#FFFFFF")
    crowded = len(rows) > MOST_NUMBERS
    smallest = (0.55 if crowded else 1.05) * layout.unit
    line = max(2, round(layout.unit * (0.12 if crowded else 0.2)))
    placer = LabelPlacer(picture.shape[1], picture.shape[0], cell_px=max(64, 4 * layout.unit))
    circles = []
    for row in rows:
        x = (row["x0"] + row["x1"]) / 2 * scale[0]
        y = (row["y0"] + row["y1"]) / 2 * scale[1]
        half = np.hypot((row["x1"] - row["x0"]) * scale[0], (row["y1"] - row["y0"]) * scale[1]) / 2
        radius = float(max(smallest, half + 0.35 * layout.unit))
        circles.append((float(x), float(y), radius, known.get(int(row["class_id"]), unknown), row))
        placer.occupy(x - radius, y - radius, x + radius, y + radius)
    for rim, of_class in ((line + max(2, line // 2 * 2), False), (line, True)):
        for x, y, radius, cls, _ in circles:
            colour = _rgb(cls.colour) if of_class else (16, 18, 20)
            centre = round(x * 16), round(y * 16)  # sixteenths of a pixel
            cv2.circle(picture, centre, round(radius * 16), colour, rim, cv2.LINE_AA, 4)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y, radius, cls, row in sorted(circles, key=lambda circle: -circle[2]):
        if not crowded or row["chosen"]:
            _draw_number(draw, str(int(row["id"])), (x, y, radius), cls, placer, layout)
    picture[:] = np.asarray(image)
    return _counts(rows, classes)


def _draw_number(
    draw: Any,
    text: str,
    circle: tuple[float, float, float],
    cls: DefectClass,
    placer: LabelPlacer,
    layout: Layout,
) -> None:
    unit = layout.unit
    face = font_for(text, round(unit * 1.05), bold=True)
    left, top, right, bottom = face.getbbox(text)
    pad = 0.32 * unit
    width, height = right - left + 2.2 * pad, bottom - top + 2 * pad
    x0, y0 = placer.place(*circle, (width, height), 0.15 * unit)
    x, y, radius = circle
    cx, cy = x0 + width / 2, y0 + height / 2
    distance = np.hypot(cx - x, cy - y)
    if distance > radius + 0.9 * height + width / 2:  # moved away: show where it belongs
        start = x + (cx - x) * radius / distance, y + (cy - y) * radius / distance
        draw.line([start, (cx, cy)], fill=(16, 18, 20), width=max(2, round(unit * 0.16)))
    draw.rounded_rectangle(
        [x0, y0, x0 + width, y0 + height],
        radius=0.35 * unit,
        fill=(16, 18, 20),
        outline=_rgb(cls.colour),
        width=max(1, round(unit * 0.11)),
    )
    draw.text((x0 + 1.1 * pad - left, y0 + pad - top), text, font=face, fill=(255, 255, 255))


def _draw_scale_bar(picture: np.ndarray, um_per_px: float, layout: Layout) -> None:
    """White bar on a dark plate in the lower left corner."""
    from PIL import Image, ImageDraw

    unit = layout.unit
    longest = min(picture.shape[1] * 0.22, 24 * unit)
    if longest < 3 * unit or not um_per_px > 0:
        return
    length_um = round_length(longest * um_per_px)
    length = length_um / um_per_px
    text = metric_text(length_um)
    face = font_for(text, round(1.35 * unit), bold=True)
    text_width = face.getlength(text)
    pad, bar = 0.9 * unit, 0.5 * unit
    plate_width = max(length, text_width) + 2 * pad
    plate_height = 1.35 * unit + 0.55 * unit + bar + 2 * pad
    x0, y1 = unit, picture.shape[0] - unit
    y0 = y1 - plate_height
    if y0 < 0:
        return
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    draw.rounded_rectangle([x0, y0, x0 + plate_width, y1], radius=0.5 * unit, fill=(12, 15, 18, 215))
    middle = x0 + plate_width / 2
    draw.text((middle, y0 + pad + 0.6 * unit), text, font=face, fill=(255, 255, 255), anchor="mm")
    draw.rectangle([middle - length / 2, y1 - pad - bar, middle + length / 2, y1 - pad], fill=(255, 255, 255))
    picture[:] = np.asarray(image)


def _shortened(text: str, face: Any, width: float) -> str:
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _draw_title(draw: Any, title: str, subtitle: str, layout: Layout) -> None:
    unit = layout.unit
    face, small = font_for(title, round(1.9 * unit), bold=True), font_for(subtitle, round(1.15 * unit))
    width = layout.width - 2 * layout.margin
    draw.text((layout.margin, 2.0 * unit), _shortened(title, face, width), font=face, fill=INK, anchor="lm")
    draw.text((layout.margin, 4.1 * unit), _shortened(subtitle, small, width), font=small, fill=QUIET, anchor="lm")


def _draw_legend(draw: Any, counted: list[tuple[DefectClass, int]], corner: tuple[int, int], layout: Layout) -> None:
    unit = layout.unit
    x, y = corner
    right = x + layout.legend
    head = font_for("", round(1.2 * unit), bold=True)
    draw.text((x, y + 0.7 * unit), "Marked", font=head, fill=INK, anchor="lm")
    total = count_text(sum(count for _, count in counted))
    draw.text((right, y + 0.7 * unit), total, font=head, fill=INK, anchor="rm")
    y += round(1.9 * unit)
    draw.line([x, y, right, y], fill=RULE, width=max(1, unit // 16))
    y += round(0.9 * unit)
    for cls, count in counted:
        radius = 0.62 * unit
        centre = x + radius + 0.1 * unit, y + 0.62 * unit
        box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
        draw.ellipse(box, fill=_rgb(cls.colour), outline=INK, width=max(1, unit // 14))
        text_x = x + 2.2 * unit
        code = font_for(cls.code, round(1.1 * unit), bold=True)
        draw.text(
            (text_x, centre[1]), _shortened(cls.code, code, layout.legend - 6 * unit), font=code, fill=INK, anchor="lm"
        )
        draw.text((right, centre[1]), str(count), font=font_for("", round(1.1 * unit)), fill=INK, anchor="rm")
        small = font_for(cls.name, round(0.92 * unit))
        name = _shortened(cls.name, small, right - text_x)
        draw.text((text_x, centre[1] + 1.3 * unit), name, font=small, fill=QUIET, anchor="lm")
        y += round(3.1 * unit)


def _save(page: np.ndarray, path: Path, um_per_px: tuple[float, float] | None, title: str) -> None:
    """``um_per_px`` is (x, y)."""
    if path.suffix.lower() == ".png":
        import cv2

        coded, data = cv2.imencode(".png", page[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
        if not coded:
            raise InputError("The overview cannot be coded as PNG.", hint="Write a TIFF instead.")
        path.write_bytes(data.tobytes())
        return
    if path.suffix.lower() == ".pdf":
        from PIL import Image

        px_per_mm = max(page.shape[:2]) / PDF_LONG_SIDE_MM
        Image.fromarray(page).save(path, format="PDF", resolution=25.4 * px_per_mm, quality=90, title=title)
        return
    import tifffile

    resolution = None if um_per_px is None else (1e4 / um_per_px[0], 1e4 / um_per_px[1])
    tifffile.imwrite(
        path,
        page,
        photometric="rgb",
        compression="zlib",
        predictor=True,
        resolution=resolution,
        resolutionunit="CENTIMETER" if resolution else None,
        description=title.encode("ascii", "replace").decode(),
        metadata=None,
    )
