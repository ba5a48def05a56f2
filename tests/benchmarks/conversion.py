"""How fast a slide becomes a pyramid, and in how much memory: ``python -m tests.benchmarks.conversion [ROUNDS] [DIR]``

A deflate-packed tiled RGB TIFF of 8192 x 8192 noisy pixels is converted to five levels. All bars are measured in turn
in one process, in MB of level 0 per second:

- decode alone: all tiles of the file unpacked on as many threads as there are processors, by the codec's library itself
  and through this program's reader;
- write alone: all five levels from memory with the codec that conversion uses, by tensorstore and by this program's
  writer;
- conversion without and with the verifying pass, and ome-zarr-py's writer (which holds the whole picture in memory).

Limits: conversion without the pass at 70 % of min(decode alone, write alone) - where both stages keep all processors
busy less is possible, which is printed beside it; six times ome-zarr-py; memory under 1.5 GB, measured in a child
process, on a picture of 40,000 x 30,000 px computed on read as well. With ``--codecs`` the table of codecs, chunks and
shards by which the layout was chosen is printed instead.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 8192
TILE = 512
RATIO_LIMIT, TIMES_LIMIT, MEMORY_LIMIT_MB = 0.70, 6.0, 1500
THREADS = os.cpu_count() or 1
PACKAGES = ("numpy", "tensorstore", "zarr", "tifffile", "imagecodecs", "opencv-python-headless", "ome-zarr")


def micrograph(side: int, seed: int = 0) -> np.ndarray:
    """Grains with the noise of a camera: compresses by 1.2, as real micrographs do."""
    import cv2

    rng = np.random.default_rng(seed)
    pixels = np.empty((side, side, 3), np.uint8)
    y, x = np.mgrid[0:1024, 0:1024].astype(np.float32)
    base = 120 + 40 * np.sin(x / 37) * np.cos(y / 53)
    for y0 in range(0, side, 1024):
        for x0 in range(0, side, 1024):
            grains = base + cv2.GaussianBlur(rng.normal(0, 200, (1024, 1024)).astype(np.float32), (0, 0), 6)
            part = grains[..., None] + rng.normal(0, 4, (1024, 1024, 3)) + (0, 9, 18)
            pixels[y0 : y0 + 1024, x0 : x0 + 1024] = np.clip(part, 0, 255)
    return pixels


def levels_of(pixels: np.ndarray) -> list[np.ndarray]:
    """(c, y, x) of every level, as the program makes them."""
    from microscope_qc.slides.pyramid.write import halve, level_shapes

    levels = [np.ascontiguousarray(np.moveaxis(pixels, 2, 0))]
    for number in range(1, len(level_shapes(pixels.shape[:2]))):
        levels.append(halve(levels[-1], ties_up=number % 2 == 1))
    return levels


def decode_raw(path: Path) -> None:
    """Decode every tile with imagecodecs, and do nothing with it."""
    import imagecodecs
    import tifffile

    with tifffile.TiffFile(path) as file:
        spans = list(zip(file.pages[0].dataoffsets, file.pages[0].databytecounts, strict=True))
    handle = os.open(path, os.O_RDONLY)
    size = TILE * TILE * 3
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda s: len(imagecodecs.deflate_decode(os.pread(handle, s[1], s[0]), out=size)), spans):
            pass
    os.close(handle)


def decode_reader(path: Path) -> None:
    """Read everything through the program's reader."""
    from microscope_qc.core.geometry import Region, TileGrid
    from microscope_qc.slides import open_slide

    with open_slide(path) as slide, ThreadPoolExecutor(THREADS) as pool:
        mosaic = slide.scene()
        grid = TileGrid(Region(0, 0, *mosaic.shape), 1024, 0)
        for _ in pool.map(lambda region: mosaic.read(region).shape, grid):
            pass


def fresh(folder: Path) -> Path:
    """An empty folder of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def plan_of(levels: list[np.ndarray]) -> Any:
    """The program's own layout for these levels."""
    from microscope_qc.slides.pyramid.levels import PyramidPlan

    return PyramidPlan(levels[0].shape[1:], levels[0].dtype, 3, True)


def write_tensorstore(levels: list[np.ndarray], folder: Path) -> None:
    """Write all levels with tensorstore, shard by shard and a few at once."""
    from microscope_qc.slides.pyramid.levels import create_level

    plan = plan_of(levels)
    arrays = [create_level(fresh(folder) if not level else folder, plan, level) for level in range(len(levels))]
    pending = []
    for shard in plan.shards():
        region, level = plan.shard_region(shard), shard[0]
        part = (slice(None), slice(region.y0, region.y1), slice(region.x0, region.x1))
        pending.append(arrays[level][part].write(levels[level][part]))
        if len(pending) > THREADS:
            pending.pop(0).result()
    for write in pending:
        write.result()


def write_own(levels: list[np.ndarray], folder: Path) -> None:
    """Write all levels with the program's writer, chunk by chunk."""
    from microscope_qc.slides.pyramid.levels import split
    from microscope_qc.slides.pyramid.shards import ShardWriter

    plan = plan_of(levels)
    writer = ShardWriter(fresh(folder), plan, lambda shard, digest: None)
    chunks = [(s[0], chunk) for s in plan.shards() for chunk in split(plan.shard_region(s))]

    def put(level: int, region: Any) -> None:
        writer.put(level, region, levels[level][:, region.y0 : region.y1, region.x0 : region.x1])

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda item: put(*item), chunks):
            pass
    writer.settle()
    writer.close()


def convert_own(path: Path, folder: Path, *, verify: bool) -> None:
    """Convert as the command does."""
    from microscope_qc.core.jobs import run_job
    from microscope_qc.workflows.conversion.convert import convert

    run_job(convert(path, folder / "a.ome.zarr", verify=verify, resume=False))


def convert_ome_zarr_py(path: Path, folder: Path) -> None:
    """Read with tifffile and write with the reference library: the same number of levels, area-averaged too."""
    import tifffile
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    pixels = np.moveaxis(tifffile.imread(path), 2, 0)
    factors = (2, 4, 8, 16)
    write_image(
        pixels,
        str(folder / "b.ome.zarr"),
        scale_factors=factors,
        method=Methods.LOCAL_MEAN,
        axes="cyx",
        storage_options={"chunks": (3, TILE, TILE)},
    )


CHILD = """
    import sys
    from pathlib import Path
    import numpy as np
    from microscope_qc.core.jobs import run_job
    from microscope_qc.workflows.conversion.convert import convert
    from microscope_qc.slides.pyramid.write import write_ome_zarr
    source, out = sys.argv[1:3]
    if source == "virtual":
        noise = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)
        size = (30_000, 40_000)
        read = lambda region: noise[: region.shape[0], : region.shape[1]]
        run_job(write_ome_zarr(out, shape=size, dtype="uint8", rgb=True, read=read, verify=True, workers=2))
    else:
        run_job(convert(source, out))
    try:
        status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory too
        print(status.split("VmHWM:")[1].split()[0])
    except OSError:
        import resource
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_memory_mb(source: str, folder: Path) -> float:
    """Peak of the resident memory of a process that only converts, with the verifying pass."""
    out = folder / "memory.ome.zarr"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), source, str(out)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(out)
    return int(said) / 1e3


def run_bars(rounds: int, folder: Path) -> None:
    """Measure all bars in turn and print them."""
    import tifffile

    pixels = micrograph(SIDE)
    path = folder / "source.tif"
    tifffile.imwrite(path, pixels, tile=(TILE, TILE), compression="zlib", photometric="rgb", metadata=None)
    levels = levels_of(pixels)
    megabytes = pixels.nbytes / 1e6
    packed = path.stat().st_size / 1e6
    print(f"source: {SIDE} x {SIDE} RGB, {megabytes:.0f} MB, packed to {packed:.0f} MB; {THREADS} threads")
    bars: dict[str, Callable[[], None]] = {
        "decode alone, imagecodecs": lambda: decode_raw(path),
        "decode alone, our reader": lambda: decode_reader(path),
        "write alone, tensorstore": lambda: write_tensorstore(levels, folder / "ts"),
        "write alone, our writer": lambda: write_own(levels, folder / "own"),
        "conversion": lambda: convert_own(path, folder, verify=False),
        "conversion, verified": lambda: convert_own(path, folder, verify=True),
        "ome-zarr-py": lambda: convert_ome_zarr_py(path, folder),
    }
    convert_own(path, folder, verify=True)  # what is imported late is not what is measured
    rates: dict[str, list[float]] = {name: [] for name in bars}
    busy: dict[str, list[float]] = {name: [] for name in bars}
    for number in range(rounds):
        for name, run in bars.items():
            if name == "ome-zarr-py" and number % 3:
                continue  # it takes as long as all the others together
            for made in ("a.ome.zarr", "b.ome.zarr"):
                shutil.rmtree(folder / made, ignore_errors=True)
            start, start_busy = time.perf_counter(), time.process_time()
            run()
            rates[name].append(megabytes / (time.perf_counter() - start))
            busy[name].append(time.process_time() - start_busy)
    for name, found in rates.items():
        spread = f"{min(found):.0f} - {max(found):.0f}"
        seconds = statistics.median(busy[name])
        print(f"{name:28}{statistics.median(found):8.0f} MB/s   {spread:12} processor {seconds:5.2f} s")
    for write in ("tensorstore", "our writer"):
        shares, bounds = [], []
        for i in range(rounds):
            decode = max(rates["decode alone, imagecodecs"][i], rates["decode alone, our reader"][i])
            slower = min(decode, rates[f"write alone, {write}"][i])
            shares.append(rates["conversion"][i] / slower)
            # no conversion takes fewer processor seconds than both stages together, spread over all processors
            least_s = (busy["decode alone, imagecodecs"][i] + busy[f"write alone, {write}"][i]) / THREADS
            bounds.append(megabytes / least_s / slower)
        text = f"share of min(decode, {write})"
        print(
            f"{text:36}{statistics.median(shares):6.2f}   limit {RATIO_LIMIT}, possible {statistics.median(bounds):.2f}"
        )
    times = statistics.median(rates["conversion"]) / statistics.median(rates["ome-zarr-py"])
    print(f"times ome-zarr-py                   {times:6.1f}   limit {TIMES_LIMIT}")
    print(f"peak memory, this slide             {peak_memory_mb(str(path), folder):6.0f} MB limit {MEMORY_LIMIT_MB}")
    print(f"peak memory, 40,000 x 30,000        {peak_memory_mb('virtual', folder):6.0f} MB limit {MEMORY_LIMIT_MB}")


CODECS: dict[str, dict[str, Any]] = {
    "zstd 1": {"name": "zstd", "configuration": {"level": 1}},
    "blosc zstd 1": {"cname": "zstd", "clevel": 1, "shuffle": "noshuffle"},
    "blosc zstd 1, bits": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"},
    "blosc lz4": {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle"},
    "blosc lz4, bits": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle"},
}


def open_layout(folder: Path, side: int, codec: dict[str, Any], chunk: int, shard: int | None) -> Any:
    """An array of one layout, written and read by tensorstore without a cache."""
    import tensorstore as ts

    if "name" not in codec:
        codec = {"name": "blosc", "configuration": {**codec, "typesize": 1, "blocksize": 0}}
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    codecs: list[dict[str, Any]] = [little, codec, {"name": "crc32c"}]
    if shard:
        inner = {"chunk_shape": [3, chunk, chunk], "codecs": codecs, "index_codecs": [little, {"name": "crc32c"}]}
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    metadata = {
        "shape": [3, side, side],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3, shard or chunk, shard or chunk]}},
        "codecs": codecs,
    }
    kvstore = {"driver": "file", "path": f"{folder}/"}
    spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}
    return ts.open(spec, create=True, delete_existing=True).result()


def run_codecs(rounds: int, folder: Path) -> None:
    """Print how fast each layout is written and read, and how large it is."""
    side = SIDE // 2
    planes = np.ascontiguousarray(np.moveaxis(micrograph(side), 2, 0))
    megabytes = planes.nbytes / 1e6
    places = np.random.default_rng(1).integers(0, side - 1600, (20, 2))
    layouts = [(name, chunk, shard) for name in CODECS for chunk in (512, 1024) for shard in (None, 4096)]
    found: dict[tuple[str, int, int | None], list[tuple[float, float, float]]] = {layout: [] for layout in layouts}
    facts = {}
    for _ in range(rounds):
        for layout in layouts:
            name, chunk, shard = layout
            array = open_layout(fresh(folder / "layout"), side, CODECS[name], chunk, shard)
            start = time.perf_counter()
            array.write(planes).result()
            written = time.perf_counter()
            array.read().result()
            read = time.perf_counter()
            for y, x in places:
                array[:, y : y + 1000, x : x + 1600].read().result()
            viewed = time.perf_counter()
            rates = megabytes / (written - start), megabytes / (read - written), (viewed - read) / len(places) * 1e3
            found[layout].append(rates)
            files = [path for path in (folder / "layout").rglob("*") if path.is_file() and path.name != "zarr.json"]
            facts[layout] = (sum(path.stat().st_size for path in files) / planes.nbytes, len(files))
    print(
        f"{'codec':20}{'chunk':>6}{'shard':>7}{'write MB/s':>12}{'read MB/s':>11}{'view ms':>9}{'size':>7}{'files':>7}"
    )
    for layout in layouts:
        write, read, view = (statistics.median(values) for values in zip(*found[layout], strict=True))
        size, files = facts[layout]
        name, chunk, shard = layout
        print(f"{name:20}{chunk:6}{shard or '-':>7}{write:12.0f}{read:11.0f}{view:9.1f}{size:7.3f}{files:7}")


def main() -> None:
    """Print the bars, or the table of codecs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    parser.add_argument("folder", type=Path, nargs="?", default=None)
    parser.add_argument("--codecs", action="store_true")
    args = parser.parse_args()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        (run_codecs if args.codecs else run_bars)(args.rounds, Path(name))


if __name__ == "__main__":
    main()
