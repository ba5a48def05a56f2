"""How fast slides are read: ``python -m tests.benchmarks.reading [SIDE] [REPEATS]``.

Every figure is the median of paired repetitions, in alternating order, in one process: ours and the library it stands
on, both delivering the same contiguous (h, w, 3) array of R, G, B. The ratios count; the times depend on the machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import tensorstore as ts
import tifffile
from pylibCZIrw import czi as zeiss

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.slides.ome_zarr.reader import CACHE_BYTES
from microscope_qc.slides.pyramid.write import write_ome_zarr
from microscope_qc.slides.virtual.pattern import draw

VIEW = (1000, 1600)
Reader = Callable[[Region], np.ndarray]


def noisy(region: Region) -> np.ndarray:
    """A virtual electrode with the noise of a camera, so that it compresses as badly as a micrograph."""
    dice = np.random.default_rng((region.y0, region.x0))
    return cv2.add(draw(region, 0, 0), dice.integers(0, 24, (*region.shape, 3), np.uint8))


def write_zarr(path: Path, side: int) -> None:
    """An OME-Zarr as ``convert`` writes it."""
    run_job(write_ome_zarr(path, shape=(side, side), dtype="uint8", rgb=True, read=noisy))


def write_czi(path: Path, side: int, packed: str) -> None:
    """A CZI of tiles of 1024 x 1024."""
    with zeiss.create_czi(str(path), compression_options=packed) as czi:
        for y in range(0, side, 1024):
            for x in range(0, side, 1024):
                tile = noisy(Region(y, x, min(y + 1024, side), min(x + 1024, side)))
                czi.write(np.ascontiguousarray(tile[..., ::-1]), location=(x, y))


def write_tiff(path: Path, side: int) -> None:
    """A deflated TIFF of tiles of 512 x 512."""

    def tiles() -> Iterable[np.ndarray]:
        for y in range(0, side, 512):
            for x in range(0, side, 512):
                yield noisy(Region(y, x, y + 512, x + 512))

    tifffile.imwrite(
        path, tiles(), shape=(side, side, 3), dtype=np.uint8, tile=(512, 512), compression="zlib", photometric="rgb"
    )


def tensorstore_reader(path: Path, *, cache_bytes: int) -> Reader:
    """tensorstore on its own, then a transpose to contiguous Y, X, RGB."""
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path.as_posix()}/0/"}}
    context = ts.Context({"cache_pool": {"total_bytes_limit": cache_bytes}})
    array = ts.open({**spec, "recheck_cached_data": "open"}, read=True, open=True, context=context).result()

    def read(region: Region) -> np.ndarray:
        planes = array[:, region.y0 : region.y1, region.x0 : region.x1].read().result()
        return np.ascontiguousarray(planes.transpose(1, 2, 0))

    return read


def czi_reader(path: Path) -> Reader:
    """pylibCZIrw on its own with the same cache of sub-blocks, then OpenCV's swap of the channels."""
    cache = zeiss.CacheOptions(type=zeiss.CacheType.Standard, max_memory_usage=128 << 20, max_sub_block_count=100_000)
    reader = zeiss.CziReader(str(path), cache_options=cache)

    def read(region: Region) -> np.ndarray:
        height, width = region.shape
        return cv2.cvtColor(reader.read(roi=(region.x0, region.y0, width, height)), cv2.COLOR_BGR2RGB)

    return read


def tiff_reader(path: Path) -> Reader:
    """tifffile as a zarr store, as most programs read a region."""
    import zarr

    array = zarr.open(tifffile.imread(path, aszarr=True), mode="r")
    return lambda region: np.asarray(array[region.y0 : region.y1, region.x0 : region.x1])


def views(side: int, count: int) -> list[Region]:
    """Random viewports."""
    dice = np.random.default_rng(7)
    places = zip(dice.integers(0, side - VIEW[0], count), dice.integers(0, side - VIEW[1], count), strict=True)
    return [Region(int(y), int(x), int(y) + VIEW[0], int(x) + VIEW[1]) for y, x in places]


def bands(side: int) -> list[Region]:
    """The whole slide in pieces of 1024 x 2048."""
    return [
        Region(y, x, min(y + 1024, side), min(x + 2048, side))
        for y in range(0, side, 1024)
        for x in range(0, side, 2048)
    ]


def paired(ours: Reader, theirs: Reader, regions: list[Region]) -> tuple[list[float], list[float]]:
    """Seconds of both for every region, the first to read alternating; what they deliver is compared once."""
    first, second = ours(regions[0]), theirs(regions[0])
    assert np.array_equal(first, second)
    assert first.flags.c_contiguous
    took: tuple[list[float], list[float]] = ([], [])
    for number, region in enumerate(regions):
        for which in ((0, 1), (1, 0))[number % 2]:
            start = time.perf_counter()
            (ours, theirs)[which](region)
            took[which].append(time.perf_counter() - start)
    return took


def line(name: str, ours_s: float, theirs_s: float, ratio: float, limit: float | None, unit: str) -> None:
    """Print a row of the table."""
    verdict = "" if limit is None else f"{limit:8.2f}  {'reached' if ratio <= limit else 'MISSED'}"
    print(f"{name:<46}{ours_s:10.1f}{theirs_s:10.1f} {unit:<6}{ratio:8.2f}{verdict}")


def compare_views(name: str, ours: Reader, theirs: Reader, regions: list[Region], limit: float | None) -> None:
    """Medians over single views, and the median of their ratios."""
    a, b = paired(ours, theirs, regions)
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    line(name, statistics.median(a) * 1e3, statistics.median(b) * 1e3, ratio, limit, "ms")


def compare_whole(
    name: str, ours: Reader, theirs: Reader, regions: list[Region], *, repeats: int, limit: float
) -> None:
    """Megabytes per second over the whole slide; the ratio is that of the times."""
    megabytes = sum(region.shape[0] * region.shape[1] * 3 for region in regions) / 1e6
    totals = [tuple(sum(part) for part in paired(ours, theirs, regions)) for _ in range(repeats)]
    ratio = statistics.median(a / b for a, b in totals)
    a, b = (statistics.median(total[i] for total in totals) for i in (0, 1))
    line(name, megabytes / a, megabytes / b, ratio, limit, "MB/s")


def reader_of(mosaic: Mosaic) -> Reader:
    """Full resolution as this program reads it."""
    return mosaic.read


def main(side: int, repeats: int, folder: Path) -> None:
    """Write the files, read them, print the table."""
    packages = ("numpy", "opencv-python-headless", "tensorstore", "zarr", "tifffile", "imagecodecs", "pylibCZIrw")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end="")
    for package in packages:
        try:
            print(f", {package} {importlib.metadata.version(package)}", end="")
        except importlib.metadata.PackageNotFoundError:
            continue
    print(f"\n{side} x {side} RGB, views of {VIEW[1]} x {VIEW[0]}, {repeats * 20} views, {repeats} whole readings\n")
    print(f"{'':<46}{'ours':>10}{'theirs':>10} {'':<6}{'ratio':>8}{'limit':>8}")
    regions = views(side, repeats * 20)
    stored = folder / "slide.ome.zarr"
    write_zarr(stored, side)
    with open_slide(stored) as slide:
        ours = reader_of(slide.scene())
        for cache, word in ((CACHE_BYTES, "same cache"), (0, "no cache")):
            theirs = tensorstore_reader(stored, cache_bytes=cache)
            compare_views(f"OME-Zarr view, tensorstore ({word})", ours, theirs, regions, 1.3)
            name = f"OME-Zarr whole, tensorstore ({word})"
            compare_whole(name, ours, theirs, bands(side), repeats=repeats, limit=1.2)
    for packed in ("uncompressed:", "zstd1:ExplicitLevel=1"):
        path = folder / f"{packed.partition(':')[0]}.czi"
        write_czi(path, side, packed)
        with open_slide(path) as slide:
            name = f"CZI view, {packed.partition(':')[0]}, pylibCZIrw"
            compare_views(name, reader_of(slide.scene()), czi_reader(path), regions, 1.2)
        path.unlink()
    path = folder / "slide.tif"
    write_tiff(path, side)
    with open_slide(path) as slide:
        name = "TIFF view, deflate, tifffile with zarr"
        compare_views(name, reader_of(slide.scene()), tiff_reader(path), regions, None)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 8192, int(sys.argv[2]) if len(sys.argv) > 2 else 3, Path(name))
