"""One finding with its surroundings as a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import metric_text, round_length
from microscope_qc.reports.fonts import font

if TYPE_CHECKING:
    from microscope_qc.slides import Mosaic


def crop(
    mosaic: Mosaic,
    row: np.void,
    colour: str,
    *,
    side_px: int = 256,
    context: float = 1.8,
    um_per_px: float | None = None,
) -> np.ndarray:
    """Square picture (side, side, 3) uint8 around a box, with its outline.

    Parameters
    ----------
    context
        Shown side over the box's longer side.
    um_per_px
        Width of a pixel of the slide, for a scale bar; without it there is none.
    """
    import cv2

    y0, x0, y1, x1 = (float(row[name]) for name in ("y0", "x0", "y1", "x1"))
    shown = max((max(y1 - y0, x1 - x0)) * context, 48.0)
    top, left = round((y0 + y1 - shown) / 2), round((x0 + x1 - shown) / 2)
    region = Region(top, left, top + round(shown), left + round(shown))
    picture = np.ascontiguousarray(mosaic.read_scaled(region, (side_px, side_px)))
    scale = side_px / round(shown)
    corners = [round((value - start) * scale * 16) for value, start in ((x0, left), (y0, top), (x1, left), (y1, top))]
    rgb = int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
    width = max(2, side_px // 110)
    for thickness, tint in ((width + 2, (14, 16, 18)), (width, rgb)):
        cv2.rectangle(picture, corners[:2], corners[2:], tint, thickness, cv2.LINE_AA, 4)
    return picture if um_per_px is None else with_scale_bar(picture, um_per_px / scale)


def with_scale_bar(picture: np.ndarray, um_per_px: float) -> np.ndarray:
    """The picture with a bar of a round length, at most a third of its width, in the lower left corner."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    length_um = round_length(width / 3 * um_per_px)
    words, face = metric_text(length_um), font(max(10, width // 18))
    thick, margin = max(2, width // 85), width // 25
    long, wide = round(length_um / um_per_px), round(face.getlength(words))
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    bottom = height - margin
    top = bottom - thick - face.size - thick
    draw.rectangle(
        (margin // 2, top - thick, margin + max(long, wide) + margin // 2, bottom + thick), fill=(0, 0, 0, 150)
    )
    draw.rectangle((margin, bottom - thick, margin + long - 1, bottom - 1), fill="white")
    draw.text((margin, bottom - 2 * thick), words, font=face, fill="white", anchor="ls")
    return np.asarray(image)


def outlined_crop(
    mosaic: Mosaic, region: Region, marks: Sequence[tuple[str, Sequence[Sequence[float]]]], *, side_px: int = 256
) -> np.ndarray:
    """Square picture (side, side, 3) uint8 of a square region, with boxes (y0, x0, y1, x1) in several colours."""
    import cv2

    picture = np.ascontiguousarray(mosaic.read_scaled(region, (side_px, side_px)))
    scale = side_px / (region.y1 - region.y0)
    for colour, boxes in marks:
        rgb = int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
        for y0, x0, y1, x1 in boxes:
            sides = ((x0 - region.x0, y0 - region.y0), (x1 - region.x0, y1 - region.y0))
            one, other = ([round(value * scale * 16) for value in corner] for corner in sides)
            for thickness, tint in ((4, (14, 16, 18)), (2, rgb)):
                cv2.rectangle(picture, one, other, tint, thickness, cv2.LINE_AA, 4)
    return picture


def place_crop(
    mosaic: Mosaic,
    centre_px: tuple[float, float],
    shown_px: float,
    *,
    side_px: int = 256,
    box_px: tuple[float, float] | None = None,
    radius_px: float | None = None,
    colour: str = "#FFFFFF",
) -> np.ndarray:
    """Square picture around a place (y, x) with a cross, a box of (height, width) or a circle of expected error."""
    import cv2

    shown = max(round(shown_px), 8)
    top, left = round(centre_px[0] - shown / 2), round(centre_px[1] - shown / 2)
    picture = np.ascontiguousarray(mosaic.read_scaled(Region(top, left, top + shown, left + shown), (side_px, side_px)))
    scale = side_px / shown
    y, x = (centre_px[0] - top) * scale, (centre_px[1] - left) * scale
    rgb = int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
    for thickness, tint in ((4, (14, 16, 18)), (2, rgb)):
        if box_px is not None:
            half_y, half_x = max(box_px[0] * scale / 2, 4), max(box_px[1] * scale / 2, 4)
            corners = [round(v * 16) for v in (x - half_x, y - half_y, x + half_x, y + half_y)]
            cv2.rectangle(picture, corners[:2], corners[2:], tint, thickness, cv2.LINE_AA, 4)
        else:
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                start, stop = (round((x + dx * 6) * 16), round((y + dy * 6) * 16)), (
                    round((x + dx * 22) * 16), round((y + dy * 22) * 16),
                )  # fmt: skip
                cv2.line(picture, start, stop, tint, thickness, cv2.LINE_AA, 4)
        if radius_px is not None and 1 < radius_px * scale < side_px:
            white = (255, 255, 255) if thickness == 2 else tint
            cv2.circle(
                picture,
                (round(x * 16), round(y * 16)),
                round(radius_px * scale * 16),
                white,
                thickness - 1,
                cv2.LINE_AA,
                4,
            )
    return picture


def jpeg(picture: np.ndarray, *, quality: int = 86) -> bytes:
    """Code an RGB picture as JPEG."""
    import cv2

    coded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not coded:
        raise ValueError("a picture of this size cannot be coded as JPEG")
    return data.tobytes()


def bounded_jpeg(picture: np.ndarray, most_bytes: int) -> bytes:
    """Code an RGB picture as JPEG of at most so many bytes: coarser, and then smaller, where it must be."""
    import cv2

    while True:
        for quality in (80, 60, 40):
            data = jpeg(picture, quality=quality)
            if len(data) <= most_bytes or min(picture.shape[:2]) < 16:
                return data
        height, width = picture.shape[:2]
        picture = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def decoded(jpeg_bytes: bytes) -> np.ndarray:
    """RGB picture of :func:`jpeg`."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(jpeg_bytes, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("not a JPEG")
    return picture[..., ::-1]
