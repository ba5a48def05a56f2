"""The whole slide in one picture: circles and numbers on the defects, scale bar, legend, title line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
BAND_PX = 1024
"""The page is drawn in bands of so many rows."""
MOST_PX_PDF = 65_000
"""Sides of the picture in a PDF, which is coded as JPEG."""
MOST_PX_AT_ONCE = 500_000_000
"""Larger pages do not fit into memory: a TIFF of them is written in parts."""
LARGEST_TIFF = 4_000_000_000
"""Bytes of pixels; a larger file is a BigTIFF."""
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
    kind = path.suffix.lower()
    if kind not in (".png", ".tif", ".tiff", ".pdf"):
        raise InputError(
            f"{path.name} is not the name of a PNG, TIFF or PDF file.", hint="End the name with .png, .tif or .pdf."
        )
    size_um = pixel_size_um or mosaic.pixel_size_um
    shape = picture_shape(mosaic.shape, long_side_px)
    page = OverviewPage(shape, mosaic.shape, rows, classes, title=title, subtitle=subtitle, pixel_size_um=size_um)
    um_per_px = None if size_um is None else (size_um[1] / page.scale[0], size_um[0] / page.scale[1])
    height, width = page.layout.height, page.layout.width
    in_parts = kind in (".tif", ".tiff") and height * width > MOST_PX_AT_ONCE
    if not in_parts:
        _check_size(page, kind)
    with atomic_path(path) as temporary:
        parts = _tiff_in_parts(temporary, (height, width, 3), um_per_px, title) if in_parts else None
        whole = np.empty((height, width, 3), np.uint8) if parts is None else parts
        for top, band in page.bands(mosaic, BAND_PX):
            yield Progress(top, height, "rows", "drawing the slide")
            whole[top : top + len(band)] = band
        yield Progress(1, 1, "pictures", f"writing {path.name}")
        if parts is None:
            _save(whole, temporary, um_per_px, title)
        else:
            parts.flush()
            del parts, whole  # a mapped file cannot be renamed everywhere
    return path


def picture_shape(shape: tuple[int, int], long_side_px: int) -> tuple[int, int]:
    """Height and width of a slide in its overview: never more than it has, unless it is small (1200 px)."""
    longest = max(shape)
    factor = min(1.0, long_side_px / longest)
    if longest * factor < min(1200, long_side_px):
        factor = min(1200, long_side_px) / longest
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _check_size(page: OverviewPage, kind: str) -> None:
    """Refuse what a file of this kind cannot hold, or memory cannot."""
    height, width = page.layout.height, page.layout.width
    if height * width > MOST_PX_AT_ONCE or (kind == ".pdf" and max(height, width) > MOST_PX_PDF):
        raise InputError(
            f"An overview of {count_text(width)} x {count_text(height)} px is too large for a {kind[1:].upper()}.",
            hint="Write a .tif, which is written in parts, or choose a smaller size.",
        )


class OverviewPage:
    """The overview as a page of which any rows can be drawn, however large the whole is.

    Parameters
    ----------
    shape
        Height and width of the slide's picture on the page.
    slide_shape
        Those of the slide, in full-resolution pixels.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        slide_shape: tuple[int, int],
        rows: np.ndarray,
        classes: Sequence[DefectClass],
        *,
        title: str,
        subtitle: str = "",
        pixel_size_um: tuple[float, float] | None = None,
    ) -> None:
        self.shape, self.slide_shape = shape, slide_shape
        self.scale = shape[1] / slide_shape[1], shape[0] / slide_shape[0]
        self.layout = _layout(shape, rows, classes)
        self._title, self._subtitle = title, subtitle
        self._legend = _counts(rows, classes)
        self._circles, self._plates = _placed(shape, rows, classes, self.scale, self.layout)
        self._um_per_px = None if pixel_size_um is None else pixel_size_um[1] / self.scale[0]

    def draw(self, picture: np.ndarray, top: int, bottom: int) -> np.ndarray:
        """Draw the rows from ``top`` to ``bottom`` of the page; returns (bottom - top, width, 3) uint8.

        ``picture`` are those rows of the slide's picture that lie there, see :meth:`picture_rows`.
        """
        from PIL import Image, ImageDraw

        layout = self.layout
        first, last = self.picture_rows(top, bottom)
        page = np.full((bottom - top, layout.width, 3), PAPER, np.uint8)
        if last > first:
            marked = np.array(picture, np.uint8)
            _draw_circles(marked, self._circles, layout, first)
            image = Image.fromarray(marked)
            draw = ImageDraw.Draw(image)
            for plate in self._plates:
                if plate.meets(first, last):
                    _draw_number(draw, plate, layout, first)
            marked = np.asarray(image).copy()
            if self._um_per_px is not None:
                _draw_scale_bar(marked, self._um_per_px, self.shape, first, layout)
            start = layout.title + first - top
            page[start : start + last - first, layout.margin : layout.margin + self.shape[1]] = marked
        image = Image.fromarray(page)
        draw = ImageDraw.Draw(image)
        _draw_title(draw, self._title, self._subtitle, layout, -top)
        corner = layout.margin + self.shape[1] + layout.margin, layout.title - top
        _draw_legend(draw, self._legend, corner, layout)
        return np.asarray(image)

    def picture_rows(self, top: int, bottom: int) -> tuple[int, int]:
        """Return which rows of the slide's picture lie between two rows of the page."""
        first = min(max(top - self.layout.title, 0), self.shape[0])
        return first, min(max(bottom - self.layout.title, first), self.shape[0])

    def read(self, mosaic: Mosaic, first: int, last: int) -> np.ndarray:
        """Read rows of the slide's picture, (last - first, width, 3) uint8."""
        import cv2

        (height, width), scale = self.slide_shape, self.scale[1]
        if self.shape[0] > height:  # a small slide is enlarged as a whole, so that no seam shows
            small = mosaic.read_scaled(Region(0, 0, height, width), (height, width))
            large = cv2.resize(small, self.shape[::-1], interpolation=cv2.INTER_LINEAR)
            return np.asarray(large[first:last], np.uint8)
        region = Region(round(first / scale), 0, min(height, max(round(last / scale), round(first / scale) + 1)), width)
        return mosaic.read_scaled(region, (last - first, self.shape[1]))

    def bands(self, mosaic: Mosaic, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the page from top to bottom, so many rows at a time, each with its first row."""
        for top in range(0, self.layout.height, rows):
            bottom = min(top + rows, self.layout.height)
            first, last = self.picture_rows(top, bottom)
            picture = self.read(mosaic, first, last) if last > first else np.zeros((0, self.shape[1], 3), np.uint8)
            yield top, self.draw(picture, top, bottom)


def _counts(rows: np.ndarray, classes: Sequence[DefectClass]) -> list[tuple[DefectClass, int]]:
    """Classes that occur, with their numbers of boxes."""
    counted = [(cls, int((rows["class_id"] == cls.id).sum())) for cls in classes]
    return [(cls, count) for cls, count in counted if count]


def _layout(shape: tuple[int, int], rows: np.ndarray, classes: Sequence[DefectClass]) -> Layout:
    height, width = shape
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


Circle = tuple[float, float, float, DefectClass]
"""Middle (x, y) and radius on the picture, and the class."""


@dataclass(frozen=True, slots=True)
class _Plate:
    """A number beside its circle: text, where it stands (x0, y0, width, height) and what it belongs to."""

    text: str
    x0: float
    y0: float
    width: float
    height: float
    circle: Circle

    def meets(self, first: int, last: int) -> bool:
        """Whether any of it, or of its line to the circle, lies in these rows."""
        _, y, radius, _ = self.circle
        return min(self.y0, y - radius) - 2 < last and max(self.y0 + self.height, y + radius) + 2 > first


def _placed(
    shape: tuple[int, int],
    rows: np.ndarray,
    classes: Sequence[DefectClass],
    scale: tuple[float, float],
    layout: Layout,
) -> tuple[list[Circle], list[_Plate]]:
    """Where circles and numbers stand on the picture."""
    known = {cls.id: cls for cls in classes}
    unknown = DefectClass("?", "Unknown class", "#FFFFFF")
    crowded = len(rows) > MOST_NUMBERS
    smallest = (0.55 if crowded else 1.05) * layout.unit
    placer = LabelPlacer(shape[1], shape[0], cell_px=max(64, 4 * layout.unit))
    circles = []
    for row in rows:
        x = (row["x0"] + row["x1"]) / 2 * scale[0]
        y = (row["y0"] + row["y1"]) / 2 * scale[1]
        half = np.hypot((row["x1"] - row["x0"]) * scale[0], (row["y1"] - row["y0"]) * scale[1]) / 2
        radius = float(max(smallest, half + 0.35 * layout.unit))
        circles.append((float(x), float(y), radius, known.get(int(row["class_id"]), unknown)))
        placer.occupy(x - radius, y - radius, x + radius, y + radius)
    plates = []
    for circle, row in sorted(zip(circles, rows, strict=True), key=lambda one: -one[0][2]):
        if not crowded or row["chosen"]:
            text = str(int(row["id"]))
            left, top, right, bottom = _number_font(text, layout).getbbox(text)
            pad = 0.32 * layout.unit
            size = right - left + 2.2 * pad, bottom - top + 2 * pad
            plates.append(_Plate(text, *placer.place(*circle[:3], size, 0.15 * layout.unit), *size, circle))
    return circles, plates


def _number_font(text: str, layout: Layout) -> Any:
    return font_for(text, round(layout.unit * 1.05), bold=True)


def _draw_circles(picture: np.ndarray, circles: Sequence[Circle], layout: Layout, first: int) -> None:
    """Circles with a dark rim, on the rows of the picture from ``first``."""
    import cv2

    crowded = len(circles) > MOST_NUMBERS
    line = max(2, round(layout.unit * (0.12 if crowded else 0.2)))
    widest = line + max(2, line // 2 * 2)
    here = [
        one for one in circles if first - widest < one[1] + one[2] and one[1] - one[2] < first + len(picture) + widest
    ]
    for rim, of_class in ((widest, False), (line, True)):
        for x, y, radius, cls in here:
            colour = _rgb(cls.colour) if of_class else (16, 18, 20)
            centre = round(x * 16), round((y - first) * 16)  # sixteenths of a pixel
            cv2.circle(picture, centre, round(radius * 16), colour, rim, cv2.LINE_AA, 4)


def _draw_number(draw: Any, plate: _Plate, layout: Layout, first: int) -> None:
    """``first`` is the row of the picture that ``draw`` begins with."""
    unit, (x, y, radius, cls) = layout.unit, plate.circle
    face = _number_font(plate.text, layout)
    left, top, _, _ = face.getbbox(plate.text)
    pad = 0.32 * unit
    x0, y0, y = plate.x0, plate.y0 - first, y - first
    cx, cy = x0 + plate.width / 2, y0 + plate.height / 2
    distance = np.hypot(cx - x, cy - y)
    if distance > radius + 0.9 * plate.height + plate.width / 2:  # moved away: show where it belongs
        start = x + (cx - x) * radius / distance, y + (cy - y) * radius / distance
        draw.line([start, (cx, cy)], fill=(16, 18, 20), width=max(2, round(unit * 0.16)))
    draw.rounded_rectangle(
        [x0, y0, x0 + plate.width, y0 + plate.height],
        radius=0.35 * unit,
        fill=(16, 18, 20),
        outline=_rgb(cls.colour),
        width=max(1, round(unit * 0.11)),
    )
    draw.text((x0 + 1.1 * pad - left, y0 + pad - top), plate.text, font=face, fill=(255, 255, 255))


def _draw_scale_bar(picture: np.ndarray, um_per_px: float, shape: tuple[int, int], first: int, layout: Layout) -> None:
    """White bar on a dark plate in the lower left corner; ``picture`` are the rows from ``first``."""
    from PIL import Image, ImageDraw

    unit = layout.unit
    longest = min(shape[1] * 0.22, 24 * unit)
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
    x0, y1 = unit, shape[0] - unit
    y0 = y1 - plate_height
    if y0 < 0 or y1 <= first or y0 >= first + len(picture):
        return
    y0, y1 = y0 - first, y1 - first
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


def _draw_title(draw: Any, title: str, subtitle: str, layout: Layout, down: int) -> None:
    """``down`` is how far below the first row of ``draw`` the page begins."""
    unit = layout.unit
    face, small = font_for(title, round(1.9 * unit), bold=True), font_for(subtitle, round(1.15 * unit))
    width = layout.width - 2 * layout.margin
    draw.text((layout.margin, down + 2.0 * unit), _shortened(title, face, width), font=face, fill=INK, anchor="lm")
    draw.text(
        (layout.margin, down + 4.1 * unit), _shortened(subtitle, small, width), font=small, fill=QUIET, anchor="lm"
    )


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

    tifffile.imwrite(path, page, compression="zlib", predictor=True, metadata=None, **_tiff_tags(um_per_px, title))


def _tiff_tags(um_per_px: tuple[float, float] | None, title: str) -> dict[str, Any]:
    resolution = None if um_per_px is None else (1e4 / um_per_px[0], 1e4 / um_per_px[1])
    return {
        "photometric": "rgb",
        "resolution": resolution,
        "resolutionunit": "CENTIMETER" if resolution else None,
        "description": title.encode("ascii", "replace").decode(),
    }


def _tiff_in_parts(
    path: Path, shape: tuple[int, int, int], um_per_px: tuple[float, float] | None, title: str
) -> np.memmap[Any, Any]:
    """Return the pixels of a new file, to be written in any order; they are not compressed."""
    import tifffile

    large = int(np.prod(shape)) > LARGEST_TIFF
    tags = _tiff_tags(um_per_px, title)
    pixels: np.memmap[Any, Any] = tifffile.memmap(
        path, shape=shape, dtype=np.uint8, bigtiff=large, metadata=None, **tags
    )
    return pixels
