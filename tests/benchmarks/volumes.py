"""Particles of volumes: ``python tests/benchmarks/volumes.py pair|table|large|truth|tortuosity [SIDE]``.

pair        the classical way beside scipy and scikit-image called directly on the same block (256^3), processor seconds
table       the table of 10,000 labelled particles
large       1024^3 in blocks from a raw file: seconds, and the most memory that it took
truth       400 drawn particles, 30 % of them cracked: average precision over 50 slices, flawed share
tortuosity  an electrode in MICROSCOPE_QC_DATA beside taufactor, where that is installed
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from microscope_qc.analysis.particles.particle_table import particle_table
from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.analysis.transport import tortuosity
from microscope_qc.core.blocks import blocks_of, whole
from microscope_qc.core.jobs import run_job
from microscope_qc.slides.volumes.flat import RawLayout
from microscope_qc.slides.volumes.opening import open_volume
from microscope_qc.slides.volumes.volume import ArrayVolume
from microscope_qc.slides.volumes.zarr_store import create_store, open_store
from microscope_qc.synthetic.volume import ParticleVolume
from microscope_qc.workflows.volumes.particle_results import summary
from microscope_qc.workflows.volumes.particles import find_particles, measure

SETTINGS = ParticleSettings(filter_size=1.5)
SLICES = 50


def processor() -> str:
    """What it ran on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def volume_of(grey: np.ndarray) -> ArrayVolume:
    """A volume in memory."""
    return ArrayVolume(Path("drawn"), grey, voxel_um=(0.064,) * 3, voxel_source="drawn")


def pair(folder: Path, side: int) -> None:
    """Processor seconds of both ways on the same block, in turns."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    shape = (side,) * 3
    drawn = ParticleVolume(shape, seed=1)
    grey = drawn.read(whole(shape))

    def direct() -> int:
        values = ndimage.gaussian_filter(grey.astype(np.float32), 1.5)
        mask = ndimage.binary_fill_holes(values >= threshold_otsu(values))
        distance = ndimage.distance_transform_edt(mask)
        markers, _ = ndimage.label(h_maxima(distance, 1.5))
        return int(watershed(-distance, markers, mask=mask).max())

    def ours() -> int:
        settings = ParticleSettings(filter_size=1.5, block=min(1024, -(-side // 64) * 64))
        return len(run_job(find_particles(volume_of(grey), folder / "pair", settings, fresh=True, workers=1)).table)

    for name, way in (("ours, with labels on disk and the table", ours), ("scipy and scikit-image", direct)) * 2:
        start = time.process_time()
        count = way()
        print(f"{side}^3, {name}: {time.process_time() - start:.1f} processor seconds, {count} particles", flush=True)


def table(folder: Path, side: int) -> None:
    """Measure and table the particles of a label volume."""
    shape = (side,) * 3
    drawn = ParticleVolume(shape, seed=1, particles=10_000)
    store = create_store(folder / "labels.ome.zarr", shape, np.uint32, voxel_um=None, name="labels", labels=True)
    highest = 0
    for block in blocks_of(shape, (128,) * 3):
        labels = drawn.labels(block)
        highest = max(highest, int(labels.max()))
        store.write(block, labels)
    start, used = time.perf_counter(), time.process_time()
    found = particle_table(run_job(measure(store, highest, voxel=(0.064,) * 3)), unit="um")
    seconds, used = time.perf_counter() - start, time.process_time() - used
    print(f"table of {len(found)} particles in {side}^3: {seconds:.1f} s, {used:.1f} processor seconds")


def large(folder: Path, side: int) -> None:
    """A raw file larger than what is held in memory: a drawn block of 256^3, mirrored again and again."""
    base = ParticleVolume((256,) * 3, seed=1).read(whole((256,) * 3))
    path = folder / "large.raw"
    voxels = np.memmap(path, np.uint8, "w+", shape=(side,) * 3)
    for block in blocks_of((side,) * 3, (256,) * 3):
        flips = tuple(slice(None, None, -1 if start // 256 % 2 else 1) for start in block.start)
        voxels[block.slices] = base[flips][tuple(slice(0, length) for length in block.shape)]
    voxels.flush()
    del voxels, base
    start, used = time.perf_counter(), time.process_time()
    with open_volume(path, raw=RawLayout((side,) * 3), voxel_um=(0.064,) * 3) as volume:
        print(f"opened in {time.perf_counter() - start:.3f} s", flush=True)
        found = run_job(find_particles(volume, folder / "found", SETTINGS), lambda p: print(p, end="\r", flush=True))
    seconds, used = time.perf_counter() - start, time.process_time() - used
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{side}^3: {seconds:.0f} s, {used:.0f} processor seconds, {len(found.table)} found, at most {most:.2f} GB")


def truth(folder: Path, side: int) -> None:
    """How the classical way does on drawn particles."""
    shape = (side,) * 3
    drawn = ParticleVolume(shape, seed=3, particles=400)
    volume = volume_of(drawn.read(whole(shape)))
    known = drawn.labels(whole(shape)).astype(np.int64)
    sizes = np.bincount(known.ravel())
    cracked = {one.number for one in drawn.particles() if one.cracked}
    for closing in (0, 2):
        settings = ParticleSettings(filter_size=1.5, closing=closing)
        found = run_job(find_particles(volume, folder / "truth", settings, fresh=True))
        store = open_store(found.labels)
        assert store is not None
        labels = store.read(whole(shape)).astype(np.int64)
        together = {True: [], False: []}
        for number in np.flatnonzero(sizes[1:] > 1000) + 1:
            parts = np.bincount(labels[known == number])[1:]
            together[int(number) in cracked].append((parts >= 0.1 * sizes[number]).sum() < 2)
        said = summary(found)["flawed"]
        low, high = said["interval"]
        print(f"closing {closing}: {len(found.table)} particles found of {(sizes[1:] > 0).sum()}")
        print(f"  AP@50 over {SLICES} slices: {average_precision(known, labels):.3f}")
        for name, kept in (("cracked", together[True]), ("sound", together[False])):
            print(f"  {name} particles that stay one: {np.mean(kept):.1%} of {len(kept)}")
        share = len(cracked & set(np.flatnonzero(sizes))) / (sizes[1:] > 0).sum()
        print(f"  flawed: {said['share']:.1%} ({low:.1%} to {high:.1%}) of {said['of']}, drawn {share:.1%}")


def average_precision(known: np.ndarray, labels: np.ndarray) -> float:
    """Area under precision over recall of the outlines in slices, the largest first: a match has an IoU above 0.5."""
    scores, hits, total = [], [], 0
    for z in np.linspace(0, len(known) - 1, SLICES).round().astype(int):
        true, given = known[z], labels[z]
        true_area, area = np.bincount(true.ravel()), np.bincount(given.ravel())
        total += int((true_area[1:] > 0).sum())
        width = len(area)
        pairs, common = np.unique(true * width + given, return_counts=True)
        matched = set()
        for pair_of, count in zip(pairs.tolist(), common.tolist(), strict=True):
            one, other = divmod(pair_of, width)
            if one and other and count > 0.5 * (true_area[one] + area[other] - count):
                matched.add(other)
        for number in np.flatnonzero(area[1:]) + 1:
            scores.append(area[number])
            hits.append(number in matched)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits)[order])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(right, prepend=0) * precision) / total)


def tortuosities(side: int) -> None:
    """An electrode's pores, beside taufactor."""
    data = Path(os.environ["MICROSCOPE_QC_DATA"])
    with open_volume(data / "volumes/taufactor-electrode/docs/notebooks/electrode.tiff") as volume:
        phase = volume.read(whole(volume.shape))[:side, :side, :side] == 0
    for axis in range(3):
        start = time.process_time()
        found = run_job(tortuosity(phase, axis))
        print(f"axis {'zyx'[axis]}: {found} in {time.process_time() - start:.1f} processor seconds", flush=True)
    try:
        import taufactor  # type: ignore[import-not-found]
    except ImportError:
        print("taufactor is not installed")
        return
    for axis in range(3):
        start = time.process_time()
        solver = taufactor.Solver(np.ascontiguousarray(np.moveaxis(phase, axis, 0)).astype(np.uint8), device="cpu")
        solver.solve(verbose=False)
        print(f"taufactor, axis {'zyx'[axis]}: {float(np.mean(solver.tau)):.4f} in {time.process_time() - start:.1f}")


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "pair"
    defaults = {"pair": 256, "table": 512, "large": 1024, "truth": 256, "tortuosity": 128}
    length = int(sys.argv[2]) if len(sys.argv) > 2 else defaults[what]
    print(processor())
    with tempfile.TemporaryDirectory() as made:
        if what == "tortuosity":
            tortuosities(length)
        else:
            {"pair": pair, "table": table, "large": large, "truth": truth}[what](Path(made), length)
