"""Find out what a path is and open it with the reader that fits; the content decides, not only the name."""

from __future__ import annotations

import os
from pathlib import Path

from microscope_qc.core.errors import SlideError
from microscope_qc.slides.base import Slide, usable_size

READABLE = "CZI, OME-Zarr, OME-TIFF, SVS, TIFF, PNG or JPEG"


def open_slide(path: Path | str, *, pixel_size_um: float | None = None) -> Slide:
    """Open a slide; only its metadata is read.

    Parameters
    ----------
    path
        A file, or the folder of an OME-Zarr.
    pixel_size_um
        Says how large a pixel is, over what the file says.

    Raises
    ------
    SlideError
        One sentence and what to do, when the path is missing, unreadable, damaged or no slide.
    """
    target = Path(path)
    slide = _open(target)
    if pixel_size_um is not None:
        size = usable_size(pixel_size_um)
        if size is None:
            slide.close()
            raise SlideError(f"A pixel cannot be {pixel_size_um} um large.", hint="Give a size such as 0.5.")
        for mosaic in slide.scenes:
            mosaic.pixel_size_um = (size, size)
    return slide


def _open(path: Path) -> Slide:
    try:
        if not path.exists():
            raise SlideError(f"{path} does not exist.", hint="It may have been moved or renamed.")
        if path.is_dir():
            from microscope_qc.slides.ome_zarr.reader import open_ome_zarr

            return open_ome_zarr(path)
        if path.stat().st_size == 0:
            raise SlideError(f"{path.name} is empty.", hint="Copy it again from the microscope.")
        with path.open("rb") as file:
            head = file.read(16)
    except PermissionError as error:
        raise SlideError(f"You may not read {path}.", hint="Change its permissions, or copy it.") from error
    except SlideError:
        raise
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise SlideError(f"{path} cannot be read ({reason}).", hint="Check the disk or the network.") from error
    return _open_file(path, head)


def _open_file(path: Path, head: bytes) -> Slide:
    from microscope_qc.slides.virtual.reader import is_virtual, open_virtual

    if head.startswith(b"ZISRAWFILE"):
        from microscope_qc.slides.czi.reader import open_czi

        return open_czi(path)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        from microscope_qc.slides.tiff.reader import open_tiff

        return open_tiff(path)
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        from microscope_qc.slides.picture import open_picture

        return open_picture(path)
    if is_virtual(path):
        return open_virtual(path)
    if path.name in ("zarr.json", ".zattrs", ".zgroup"):
        raise SlideError(f"{path.name} is one file of an OME-Zarr.", hint=f"Open its folder {path.parent}.")
    if path.suffix.lower() in (".czi", ".tif", ".tiff", ".svs", ".png", ".jpg", ".jpeg"):
        raise SlideError(
            f"{path.name} does not hold what its name says; it is damaged or was not copied completely.",
            hint="Copy it again from the microscope.",
        )
    raise SlideError(f"{path.name} is no slide this program can read.", hint=f"Save it as {READABLE}.")
