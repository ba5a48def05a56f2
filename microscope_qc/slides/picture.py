"""PNG, JPEG, BMP, WebP and JPEG 2000: decoded completely at the first read, then cached."""

from __future__ import annotations

import collections
import contextlib
import struct
import warnings
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.orientation import AS_STORED, checked_orientation
from microscope_qc.core.plugins import certain
from microscope_qc.slides.base import Mosaic, Slide, checked_shape
from microscope_qc.slides.claims import DEFLATE_TIMES, JPEG_TIMES, is_bomb
from microscope_qc.slides.piece_cache import PieceCache
from microscope_qc.slides.pixels import Channel, Level
from microscope_qc.slides.scale import settled
from microscope_qc.slides.sidecar import sidecar_statements
from microscope_qc.slides.slide_reader import SlideReader

if TYPE_CHECKING:
    from PIL.Image import Image

# such files are decoded as a whole: 400 megapixels of colour are 1.2 GB
MAX_PIXELS = 400_000_000
MOST_TIMES = {"png": 8 * DEFLATE_TIMES, "jpeg": JPEG_TIMES}  # a byte of a PNG may hold eight pixels
EXIF_ORIENTATION = 274
MAX_EXIF_BYTES = MAX_HEAD_BYTES = 1 << 16
CACHE = PieceCache(1 << 30)  # shared, so that many open images do not add up
_gone: collections.deque[object] = collections.deque()
FORMATS = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "BMP": "bmp", "WEBP": "webp", "JPEG2000": "jpeg2000"}
HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
OPENED = ("PNG", "JPEG", "BMP", "WEBP", "JPEG2000")  # Pillow opens what it calls MPO as JPEG
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
# Pillow's mode -> (mode to decode to, dtype, colour)
MODES: dict[str, tuple[str, type, bool]] = {
    "1": ("L", np.uint8, False),
    "L": ("L", np.uint8, False),
    "LA": ("L", np.uint8, False),
    "grey 16": ("", np.uint16, False),
    "colour 16": ("", np.uint16, True),
    "I": ("I", np.int32, False),
    "F": ("F", np.float32, False),
    "P": ("RGB", np.uint8, True),
    "PA": ("RGB", np.uint8, True),
    "RGB": ("RGB", np.uint8, True),
    "RGBA": ("RGB", np.uint8, True),
    "RGBX": ("RGB", np.uint8, True),
    "CMYK": ("RGB", np.uint8, True),
    "YCbCr": ("RGB", np.uint8, True),
}
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
)


def open_picture(path: Path) -> Slide:
    """Open an ordinary picture file.

    Raises
    ------
    SlideError
        When it is damaged, or too large to be decoded as a whole.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses more than twice this number
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=OPENED) as image:
                width, height = image.size
                mode, kind = _mode(path, image), FORMATS[image.format or "PNG"]
                transparent = "A" in image.mode or "transparency" in image.info
                orientation = _orientation(path, image)
                notes = ["transparency is not shown"] if transparent else []
                frames = getattr(image, "n_frames", 1) if kind in ("png", "webp") else 1
                notes += [f"first of {frames} frames"] if frames > 1 else []
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except DAMAGE as error:
        raise _damaged(path) from error
    if width * height > MAX_PIXELS:
        raise _too_large(path)
    if is_bomb(width * height * (3 if mode == "RGB" else 1), path.stat().st_size, MOST_TIMES.get(kind)):
        raise _damaged(path)
    if mode not in MODES:
        raise SlideError(f"{path.name} has pixels of a type that is not supported ({mode}).", hint="Save it as RGB.")
    mosaic = PictureMosaic(path, (height, width), mode=mode, kind=kind, notes=notes, orientation=orientation)
    return Slide(path, format=kind, scenes=[mosaic])


class PictureMosaic(Mosaic):
    """An ordinary image file as a mosaic with one level."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        *,
        mode: str,
        kind: str,
        notes: Sequence[str],
        orientation: int,
    ) -> None:
        decoded, dtype, rgb = MODES[mode]
        size_um, scale_note = settled(sidecar_statements(path, shape))
        super().__init__(
            path=path,
            levels=[Level(checked_shape(path, shape), (1.0, 1.0))],
            dtype=np.dtype(dtype),
            rgb=rgb,
            channels=[Channel("RGB" if rgb else "Grey")],
            notes=notes,
            piece_px=shape,
            file_orientation=orientation,
            pixel_size_um=size_um,
            scale_note=scale_note,
        )
        self._kind = kind
        self._mode = decoded
        self._key = object()
        # a finalizer may run in a thread that holds the cache's lock, so it only notes the key
        weakref.finalize(self, _gone.append, self._key).atexit = False

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        with contextlib.suppress(IndexError):
            while True:
                CACHE.drop(_gone.popleft())
        pixels = CACHE.get(self._key, self._decode)
        return pixels[region.y0 : region.y1, region.x0 : region.x1].copy()

    def overview(self, longest_px: int) -> np.ndarray | None:
        """A JPEG can be decoded at an eighth of its size in a fraction of the time and memory."""
        from PIL import Image

        if self._kind != "jpeg":
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(self.path, formats=("JPEG",)) as image:
                    scale = longest_px / max(image.size)
                    image.draft(None, (max(1, int(image.width * scale)), max(1, int(image.height * scale))))
                    return np.array(image if image.mode == self._mode else image.convert(self._mode), self.dtype)
        except DAMAGE as error:
            raise _damaged(self.path) from error

    def _decode(self) -> np.ndarray:
        from PIL import Image

        try:
            if self._kind == "png":
                check_png(self.path)
            elif self._kind == "jpeg2000":
                check_jpeg2000(self.path)
            if not self._mode:
                return self._decode_16()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(self.path, formats=OPENED) as image:
                    converted = image if image.mode == self._mode else image.convert(self._mode)
                    pixels = np.asarray(converted)
        except SlideError:
            raise
        except DAMAGE as error:
            raise _damaged(self.path) from error
        return self._checked(pixels)

    def _decode_16(self) -> np.ndarray:
        """Up to 16 bits per sample; Pillow would reduce 16-bit colour to 8."""
        import imagecodecs

        decode = imagecodecs.png_decode if self._kind == "png" else imagecodecs.jpeg2k_decode
        pixels = decode(self.path.read_bytes())
        if pixels.ndim == 3:
            pixels = pixels[..., :3] if self.rgb else pixels[..., 0]
        return self._checked(pixels)

    def _checked(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[:2] != self.shape:
            raise SlideError(f"{self.path.name} changed while it was open.", hint="Open it again.")
        return np.ascontiguousarray(pixels, self.dtype)


def check_png(path: Path) -> None:
    """Verify a PNG's checksums, which decoders ignore for pixel data.

    Raises
    ------
    ValueError
        When one is wrong or the file ends too early.
    """
    with path.open("rb") as file:
        file.seek(8)
        while True:
            head = file.read(8)
            if len(head) < 8:
                raise ValueError("ends too early")
            length, name = struct.unpack(">I4s", head)
            checksum = zlib.crc32(name)
            while length > 0:
                block = file.read(min(length, 1 << 20))
                if not block:
                    raise ValueError("ends too early")
                checksum = zlib.crc32(block, checksum)
                length -= len(block)
            if file.read(4) != struct.pack(">I", checksum):
                raise ValueError("wrong checksum")
            if name == b"IEND":
                return


def check_jpeg2000(path: Path) -> None:
    """Verify that the packed pixels have an end: decoders show what there is of them.

    Raises
    ------
    ValueError
        When they have none. Packed pixels never hold the marker of their end.
    """
    if path.read_bytes().rfind(b"\xff\xd9") < 0:
        raise ValueError("ends too early")


def _mode(path: Path, image: Image) -> str:
    """Pillow's mode, or "grey 16" and "colour 16" where a sample has more than 8 bits."""
    if image.format == "JPEG2000":
        return _mode_jpeg2000(path) or image.mode
    if image.format == "PNG":
        with path.open("rb") as file:
            header = file.read(26)  # signature, chunk length and name, width, height, bit depth, colour type
        if header[24] == 16:
            return "colour 16" if header[25] in (2, 6) else "grey 16"
    return image.mode


def _mode_jpeg2000(path: Path) -> str:
    """The mode of more than 8 bits per sample, "" for 8 bits."""
    with path.open("rb") as file:
        head = file.read(MAX_HEAD_BYTES)
    start = head.index(HEADS[-1]) + 40  # number of components, and for each its depth, dx and dy
    (count,) = struct.unpack_from(">H", head, start)
    depths = set(head[start + 2 : start + 2 + 3 * count : 3])
    if len(depths) > 1 or max(depths) & 0x80 or max(depths) >= 16:
        return f"{count} parts of different, signed or more than 16 bits"
    if max(depths) < 8:
        return ""
    return "colour 16" if count >= 3 else "grey 16"


def _orientation(path: Path, image: Image) -> int:
    """What the EXIF data say; damaged ones say nothing, since the pixels can be shown without them."""
    from PIL.Image import Exif

    try:
        if image.format != "PNG":
            return checked_orientation(image.getexif().get(EXIF_ORIENTATION))
        exif = Exif()  # Pillow would decode all pixels of a PNG to look behind them
        exif.load(image.info.get("exif") or _exif_behind_pixels(path) or b"")
        return checked_orientation(exif.get(EXIF_ORIENTATION))
    except DAMAGE:
        return AS_STORED


def _exif_behind_pixels(path: Path) -> bytes | None:
    """The EXIF data of a PNG that has them at its end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_EXIF_BYTES))
        tail = file.read(MAX_EXIF_BYTES)
    place = tail.rfind(b"eXIf")
    if place < 4:
        return None
    (length,) = struct.unpack_from(">I", tail, place - 4)
    end = place + 4 + length
    # the letters may also lie in the packed pixels: the checksum tells
    if tail[end : end + 4] != struct.pack(">I", zlib.crc32(tail[place:end])):
        return None
    return tail[place + 4 : end]


def _too_large(path: Path) -> SlideError:
    return SlideError(
        f"{path.name} is too large to be decoded as a whole (more than {MAX_PIXELS // 1_000_000} megapixels).",
        hint="Save it as a tiled TIFF or as OME-Zarr.",
    )


def _damaged(path: Path) -> SlideError:
    return SlideError(
        f"{path.name} is damaged, or it was not copied completely.", hint="Copy it again from where it came."
    )


def _is_picture(head: bytes) -> bool:
    if head.startswith(b"BM"):
        return len(head) >= 18 and int.from_bytes(head[14:18], "little") in BMP_HEADERS
    return head.startswith(HEADS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


PICTURE = SlideReader(
    "picture",
    "picture",
    (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".j2k"),
    lambda path, head: certain(_is_picture(head)),
    open_picture,
    saved_as=("PNG", "JPEG", "BMP", "WebP", "JPEG 2000"),
)
