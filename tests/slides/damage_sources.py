"""One small slide of every kind, for the damaged-file campaign."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import zarr
from czi_files import Tile, write_czi
from PIL import Image
from pylibCZIrw import czi as zeiss

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides.pyramid.write import write_ome_zarr
from microscope_qc.slides.virtual.pattern import draw
from microscope_qc.slides.virtual.reader import write_virtual

SHAPE = (300, 420)
SVS = "Aperio Image Library v11.2.1\n420x300 [0,0 420x300] (128x128) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990"

IMAGEJ = {"unit": "micron", "Labels": ["SE"]}
ZEISS = "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.5 nm\r\nAP_WIDTH\r\nWidth = 1.05 um\r\n"
FEI = "[Beam]\r\nBeam=EBeam\r\n[Scan]\r\nPixelWidth=2e-08\r\nPixelHeight=2e-08\r\n[Image]\r\nResolutionX=420\r\n"


@dataclass(frozen=True)
class Source:
    """How a kind is made, and which of its bytes a checksum covers: all, the pixels, or none."""

    file_name: str
    make: Callable[[Path], object]
    checked: str = ""


def colour() -> np.ndarray:
    """Part of an electrode."""
    return draw(Region(700, 100, 700 + SHAPE[0], 100 + SHAPE[1]), 1, 3)


def grey16() -> np.ndarray:
    """The same with 16 bits."""
    return colour()[..., 0].astype(np.uint16) * 257


def _czi(path: Path, pixels: np.ndarray, packed: str) -> None:
    with zeiss.create_czi(str(path), compression_options=packed) as czi:
        for y in range(0, SHAPE[0], 150):
            for x in range(0, SHAPE[1], 140):
                part = pixels[y : y + 150, x : x + 140]
                czi.write(np.ascontiguousarray(part.reshape(*part.shape[:2], -1)), location=(x - 60, y - 20))
        czi.write_metadata("slide", scale_x=2e-7, scale_y=2e-7)


def _czi_pyramid(path: Path) -> None:
    pixels = colour()[..., ::-1]
    tiles = [
        Tile(pixels[:, x : x + 210], 0, x, order=x // 210, stage_um=(x / 2, 10.0), compression=5, pack=_zstd)
        for x in (0, 210)
    ]
    write_czi(path, [*tiles, Tile(pixels[::2, ::2], 0, 0, 2)])


def _zstd(pixels: np.ndarray) -> bytes:
    return imagecodecs.zstd_encode(np.ascontiguousarray(pixels).tobytes())


def _czi_jpeg_xr(path: Path) -> None:
    tiles = [
        Tile(colour()[:, x : x + 210, 0], 0, x, order=x // 210, compression=4, pack=imagecodecs.jpegxr_encode)
        for x in (0, 210)
    ]
    write_czi(path, tiles)


def _czi_16_bit_colour(path: Path) -> None:
    _czi(path, colour().astype(np.uint16) * 257, "zstd1:ExplicitLevel=1;PreProcess=HiLoByteUnpack")


def _tiff(**options: object) -> Callable[[Path], object]:
    pixels = options.pop("pixels", None)
    return lambda path: tifffile.imwrite(path, (pixels or colour)(), **options)


def _text_tag(code: int, text: str) -> tuple[int, int, int, str, bool]:
    return code, 2, len(text), text, True


def _ome_tiff(path: Path) -> None:
    pixels = np.stack([grey16(), grey16()[::-1]])
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3, "Channel": {"Name": ["SE", "BSE"]}}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, tile=(128, 128), compression="zlib", metadata=metadata)
        writer.write(pixels[:, ::2, ::2], subfiletype=1, tile=(128, 128), compression="zlib")


def _zarr(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        group = zarr.open_group(path, mode="w", zarr_format=version)
        planes = np.moveaxis(colour(), 2, 0)
        for level in (0, 1):
            group.create_array(str(level), data=planes[:, :: level + 1, :: level + 1], chunks=(1, 128, 128))
        axes = [{"name": "c", "type": "channel"}, *({"name": a, "unit": "micrometer"} for a in "yx")]
        datasets = [
            {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5 * 2**k, 0.5 * 2**k]}]}
            for k in (0, 1)
        ]
        document = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
        group.attrs.update(document if version == 2 else {"ome": {"version": "0.5", **document}})

    return make


def _own_zarr(path: Path) -> None:
    big = draw(Region(0, 0, 900, 1100), 1, 3)
    read = lambda r: big[r.y0 : r.y1, r.x0 : r.x1]  # noqa: E731
    run_job(write_ome_zarr(path, shape=(900, 1100), dtype="uint8", rgb=True, read=read, pixel_size_um=(0.5, 0.5)))


SOURCES = {
    "czi": Source("a.czi", lambda path: _czi(path, colour(), "uncompressed:")),
    "czi zstd0": Source("a.czi", lambda path: _czi(path, colour(), "zstd0:")),
    "czi zstd1": Source("a.czi", lambda path: _czi(path, grey16(), "zstd1:ExplicitLevel=1;PreProcess=HiLoByteUnpack")),
    "czi 48 bit": Source("a.czi", _czi_16_bit_colour),
    "czi pyramid": Source("a.czi", _czi_pyramid),
    "czi jpeg-xr": Source("a.czi", _czi_jpeg_xr),
    "tiff": Source("a.tif", _tiff(photometric="rgb")),
    "tiff deflate": Source("a.tif", _tiff(tile=(128, 128), compression="zlib", photometric="rgb"), "pixels"),
    "tiff strips": Source("a.tif", _tiff(rowsperstrip=32, compression="zlib", pixels=grey16), "pixels"),
    "tiff lzw": Source("a.tif", _tiff(tile=(128, 128), compression="lzw", predictor=True, pixels=grey16)),
    "tiff jpeg": Source("a.tif", _tiff(tile=(128, 128), compression="jpeg", photometric="ycbcr")),
    "tiff imagej": Source("a.tif", lambda path: tifffile.imwrite(path, grey16(), imagej=True, metadata=IMAGEJ)),
    "tiff zeiss": Source("a.tif", _tiff(extratags=[_text_tag(34118, ZEISS)], metadata=None)),
    "tiff fei": Source("a.tif", _tiff(extratags=[_text_tag(34682, FEI), (274, 3, 1, 6, True)], metadata=None)),
    "ome-tiff": Source("a.ome.tif", _ome_tiff, "pixels"),
    "svs": Source("a.svs", _tiff(tile=(128, 128), compression="jpeg", description=SVS, metadata=None)),
    "zarr v2": Source("a.ome.zarr", _zarr(2)),
    "zarr v3": Source("a.ome.zarr", _zarr(3)),
    "zarr ours": Source("a.ome.zarr", _own_zarr, "pixels"),
    "png": Source("a.png", lambda path: Image.fromarray(colour()).save(path), "all"),
    "png 16 bit": Source("a.png", lambda path: Image.fromarray(grey16()).save(path), "all"),
    "png 48 bit": Source(
        "a.png", lambda path: path.write_bytes(imagecodecs.png_encode(colour().astype(np.uint16) * 257)), "all"
    ),
    "jpeg": Source("a.jpg", lambda path: Image.fromarray(colour()).save(path, quality=92)),
    "bmp": Source("a.bmp", lambda path: Image.fromarray(colour()).save(path)),
    "webp": Source("a.webp", lambda path: Image.fromarray(colour()).save(path, lossless=True)),
    "jpeg 2000": Source("a.jp2", lambda path: Image.fromarray(colour()).save(path)),
    "virtual": Source("a.virtual.json", lambda path: write_virtual(path, shape=(2000, 3000), seed=4)),
}


def make_sources(folder: Path) -> None:
    """One sub-folder per kind, with the slide in it."""
    for number, source in enumerate(SOURCES.values()):
        place = folder / str(number)
        place.mkdir()
        source.make(place / source.file_name)


def source_path(folder: Path, kind: str) -> Path:
    """Where :func:`make_sources` put a kind."""
    return folder / str(list(SOURCES).index(kind)) / SOURCES[kind].file_name


def json_of(path: Path) -> dict:
    """A JSON document."""
    return json.loads(path.read_text())
