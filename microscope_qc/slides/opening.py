"""Opens any path with the right reader; the content decides, not only the name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from microscope_qc.core.errors import MicroscopeQCError, SlideError
from microscope_qc.slides.base import Slide, usable_size
from microscope_qc.slides.registry import HEAD_BYTES, READERS, file_suffixes, inside_folders, readable, reader_of
from microscope_qc.slides.slide_reader import SlideReader
from microscope_qc.slides.upright import turned


def open_slide(
    path: Path | str, *, pixel_size_um: float | tuple[float, float] | None = None, orientation: int | None = None
) -> Slide:
    """Open a slide; only its metadata is read.

    Parameters
    ----------
    path
        A file, or the folder of an OME-Zarr.
    pixel_size_um
        Pixel size that replaces the one in the file: one number, or (y, x).
    orientation
        How the stored pixels are turned, one of :mod:`microscope_qc.core.orientation`; as the file says without it.

    Raises
    ------
    SlideError
        When the path is missing, unreadable, damaged or not a slide.
    """
    target = Path(path)
    slide = _open(target)
    slide.scenes = tuple(
        turned(mosaic, mosaic.file_orientation if orientation is None else orientation) for mosaic in slide.scenes
    )
    if pixel_size_um is not None:
        y, x = pixel_size_um if isinstance(pixel_size_um, tuple) else (pixel_size_um, pixel_size_um)
        size_y, size_x = usable_size(y), usable_size(x)
        if size_y is None or size_x is None:
            slide.close()
            wrong = x if size_x is None else y
            raise SlideError(f"A pixel size of {wrong} um is not possible.", hint="Give a size such as 0.5.")
        for mosaic in slide.scenes:
            mosaic.set_pixel_size((size_y, size_x))
    return slide


def _open(path: Path) -> Slide:
    try:
        if not path.exists():
            raise SlideError(f"{path} does not exist.", hint="It may have been moved or renamed.")
        if path.is_dir():
            head = b""
        elif not stat.S_ISREG(path.stat().st_mode):  # reading a pipe or a device would not end
            raise SlideError(f"{path.name} is not a file, but a pipe or a device.", hint="Choose the file of a slide.")
        elif path.stat().st_size == 0:
            raise SlideError(f"{path.name} is empty.", hint="Copy it again from the microscope.")
        else:
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
    except PermissionError as error:
        raise SlideError(f"Permission denied: {path}.", hint="Change its permissions, or copy it.") from error
    except SlideError:
        raise
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise SlideError(f"{path} cannot be read ({reason}).", hint="Check the disk or the network.") from error
    reader = reader_of(path, head)
    if reader is None:
        raise _not_a_slide(path)
    return _opened(reader, path)


def _opened(reader: SlideReader, path: Path) -> Slide:
    package = READERS.package_of(reader.name)
    try:
        return reader.open(path)
    except MicroscopeQCError:
        raise
    except Exception as error:
        if not package:
            raise
        raise SlideError(
            f"{path.name} cannot be read: the reader {reader.name} of {package} failed ({error}).",
            hint=f"The makers of {package} may know why.",
        ) from error


def _not_a_slide(path: Path) -> SlideError:
    owner = inside_folders().get(path.name)
    if owner is not None:
        article = "an" if owner.title[0] in "AEIOU" else "a"
        return SlideError(
            f"{path.name} is one file of {article} {owner.title}.", hint=f"Open its folder {path.parent}."
        )
    if path.name.lower().endswith(file_suffixes()):
        return SlideError(
            f"{path.name} does not hold what its name says; it is damaged or was not copied completely.",
            hint="Copy it again from the microscope.",
        )
    return SlideError(f"{path.name} is not a slide this program can read.", hint=f"Save it as {readable()}.")
