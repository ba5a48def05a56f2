"""Scan masks as pictures of a whole slide: PNG or TIFF, where every value but 0 says to scan there.

A picture with the slide's proportions is laid over the slide, and each of its pixels becomes a cell of the mask.
Pictures written here also say how large their cells are, so that they are read back unchanged even where cells do not
fill the slide exactly.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.area_mask import MOST_CELLS, AreaMask, mask_from, open_mask, read_frame
from microscope_qc.core.arrays import Flags
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_path, special_kind
from microscope_qc.core.geometry import Region

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".tif", ".tiff")
_FORMATS = ("PNG", "TIFF")  # lossless: in a JPEG hardly anything would be exactly 0 near edges
_FRAME = "microscope-qc mask"
_HINT = "Save it as PNG or TIFF with the slide's proportions, with 0 where nothing is to be scanned."


def read_mask_picture(path: Path | str, shape_px: tuple[int, int]) -> AreaMask:
    """Read the mask of a slide from a picture.

    Parameters
    ----------
    shape_px
        Height and width of the slide.

    Raises
    ------
    InputError
        When it is not such a picture, has other proportions or more pixels than the slide, or is 0 everywhere.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    kind = special_kind(path)
    if kind:
        raise InputError(f"{path.name} is {kind}, not a picture.", hint=_HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is checked here
            with Image.open(path, formats=_FORMATS) as picture:
                _check(path, picture, shape_px)
                scan, frame = _to_scan(picture), _frame(picture, shape_px)
    except UnidentifiedImageError as error:
        raise InputError(f"{path.name} is not a PNG or TIFF picture.", hint=_HINT) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no mask {path}.", hint="Check the path.") from error
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"The mask {path.name} cannot be read ({error}).", hint=_HINT) from error
    if not scan.any():
        raise InputError(f"The mask {path.name} is 0 everywhere: nothing would be scanned.", hint=_HINT)
    cell = frame or (shape_px[0] / scan.shape[0], shape_px[1] / scan.shape[1])
    return mask_from(scan, region=Region(0, 0, *shape_px), cell_px=cell)


def _check(path: Path, picture: Image, shape_px: tuple[int, int]) -> None:
    """Refuse what cannot be the mask of a slide, before a pixel is decoded."""
    width, height = picture.size
    if width < 1 or height < 1 or width * height > MOST_CELLS:
        raise InputError(
            f"The mask {path.name} has {width} x {height} pixels; at most {MOST_CELLS} are read.", hint=_HINT
        )
    if getattr(picture, "n_frames", 1) > 1:
        raise InputError(f"{path.name} holds {getattr(picture, 'n_frames', 1)} pictures.", hint="Save a single one.")
    if width > shape_px[1] or height > shape_px[0]:
        raise InputError(
            f"The mask {path.name} has {width} x {height} pixels, more than the slide ({shape_px[1]} x {shape_px[0]}).",
            hint="It belongs to another slide.",
        )
    # within a pixel of the mask, for sides that do not divide
    wanted_height, wanted_width = width * shape_px[0] / shape_px[1], height * shape_px[1] / shape_px[0]
    if abs(height - wanted_height) > 1 and abs(width - wanted_width) > 1:
        raise InputError(
            f"The mask {path.name} ({width} x {height} pixels) has other proportions than the slide "
            f"({shape_px[1]} x {shape_px[0]}).",
            hint=f"At this width it would be {max(1, round(wanted_height))} pixels high.",
        )


def _to_scan(picture: Image) -> Flags:
    """Where a picture is not 0; transparent pixels count as 0."""
    if picture.mode == "P" or picture.mode.startswith("PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("1", "L", "LA", "I", "F", "RGB", "RGBA") and not picture.mode.startswith("I;16"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    opaque = picture.mode in ("LA", "RGBA")
    colours = values[..., :-1] if opaque else values.reshape(*values.shape[:2], -1)
    found: Flags = ((colours != 0) & ~np.isnan(colours)).any(axis=-1)
    if opaque:
        found &= values[..., -1] != 0
    return found


def _frame(picture: Image, shape_px: tuple[int, int]) -> tuple[float, float] | None:
    """Size of a cell as this program wrote it into the picture, where it fits; a resized picture has none."""
    try:
        card = json.loads(picture.info[_FRAME])
        region, cell = read_frame(card, (picture.height, picture.width))
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        return None
    return cell if region == Region(0, 0, *shape_px) else None


def write_mask_picture(path: Path | str, mask: AreaMask | None, shape_px: tuple[int, int]) -> AreaMask:
    """Write a mask as a PNG of the whole slide, one pixel for each cell: 255 to scan, 0 not to.

    A mask of a part of the slide, or of cells that do not begin at its corner, is sampled at the centres of the
    picture's pixels; outside its part nothing is to be scanned.

    Parameters
    ----------
    mask
        None scans everything.

    Returns
    -------
    AreaMask
        The mask as the picture holds it.

    Raises
    ------
    InputError
        When its name does not end with .png.
    WriteError
        When it cannot be written.
    """
    from PIL import Image, PngImagePlugin

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"A mask is written as PNG, not as {path.name}.", hint="Let its name end with .png.")
    whole = open_mask(shape_px, scan=True) if mask is None else _over_slide(mask, shape_px)
    info = PngImagePlugin.PngInfo()
    info.add_text(_FRAME, json.dumps({"region": [0, 0, *shape_px], "cell_px": whole.cell_px}))
    picture = Image.fromarray(whole.scan.astype(np.uint8) * 255)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=info)
    return whole


def _over_slide(mask: AreaMask, shape_px: tuple[int, int]) -> AreaMask:
    """The mask on cells that begin at the slide's corner and cover all of it."""
    whole = Region(0, 0, *shape_px)
    rows, columns = (max(1, math.ceil(side / cell - 1e-9)) for side, cell in zip(shape_px, mask.cell_px, strict=True))
    if mask.region == whole and mask.scan.shape == (rows, columns):
        return mask
    y, x = ((np.arange(count) + 0.5) * cell for count, cell in zip((rows, columns), mask.cell_px, strict=True))
    region = mask.region
    inside = ((y >= region.y0) & (y < region.y1))[:, None] & ((x >= region.x0) & (x < region.x1))[None, :]
    scan = mask.at(y[:, None], x[None, :]) & inside
    return AreaMask(whole, mask.cell_px, scan)


def picture_name(slide_name: str) -> str:
    """Name of a slide's mask in a folder of masks, as :func:`picture_for` finds it.

    Raises
    ------
    InputError
        When no file can have the slide's name.
    """
    if Path(slide_name).name != slide_name:
        raise InputError(f"No file can be called {slide_name}.", hint="Rename the slide first.")
    return f"{slide_name}.png"


def picture_for(place: Path | str, slide_name: str) -> Path:
    """Return the mask of a slide: the file itself, or in a folder the one of the slide's name.

    Raises
    ------
    InputError
        When the folder has none for this slide.
    """
    place = Path(place)
    if not place.is_dir():
        return place
    for suffix in SUFFIXES if Path(slide_name).name == slide_name else ():
        if (place / f"{slide_name}{suffix}").is_file():
            return place / f"{slide_name}{suffix}"
    raise InputError(f"{place} holds no mask for {slide_name}.", hint=f"Its name must be {slide_name}.png or .tif.")
