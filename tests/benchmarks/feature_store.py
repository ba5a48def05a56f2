"""Computing the features of a slide against one pass of the network over its tiles without what overlaps; their use.

``python -m tests.benchmarks.feature_store [embedding] [prediction] [similar] [--folder DIR]``. The pass reads the same
pixels, in tiles of 1024 px, on as many cores, and stores nothing. A prediction is evidence and boxes of a head over a
whole slide, from the store against computing the features for it; fitting boxes to the pixels is no part of it. Limits
stand beside the figures. Processor seconds are printed too: they change less with what else the machine is doing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch

from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.engine.engine import one_image_thread
from microscope_qc.ml.engine.streams import stream_count
from microscope_qc.ml.features.embedding import embed
from microscope_qc.ml.features.grid import FINE, FeatureGrid
from microscope_qc.ml.features.learning import learn_head
from microscope_qc.ml.features.looks import LENGTH, standardised
from microscope_qc.ml.features.reading import read_cells
from microscope_qc.ml.features.standing import Lesson
from microscope_qc.ml.features.store import FeatureStore
from microscope_qc.ml.features.suggesting import find_places
from microscope_qc.ml.features.trunk import Trunk
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.workflows.suggestions.similar import Looks
from tests.benchmarks.few_labels import demo_place
from tests.benchmarks.inference import line, paired, repeated, took

REPEATS = 3
TILE = 1024 // FINE
TIMES = 6
"""The drawn slide is repeated so often in each direction: 9216 px at the pixel size of the network."""
SAMPLE_MM2, SAMPLE_UM = 457.0, 0.9
MOST_GB, MOST_MINUTES = 0.9, 8.0
LEAST_QUICKER = 8.0
FINDINGS, MOST_MS = 100_000, 50.0


def one_pass(mosaic: Mosaic, grid: FeatureGrid, trunk: Trunk) -> None:
    """The network over all tiles, of which none sees its neighbours."""

    def one(cells: Region) -> None:
        trunk.coarse(trunk.fine(read_cells(mosaic, grid, cells)[0]))

    rows, columns = grid.shape
    tiles = [
        Region(y, x, y + TILE, x + TILE).clip(grid.shape) for y in range(0, rows, TILE) for x in range(0, columns, TILE)
    ]
    threads, count = torch.get_num_threads(), stream_count(trunk.device)
    each = max(1, threads // count)
    with ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, each)) as pool, one_image_thread():
        list(pool.map(one, tiles))
    torch.set_num_threads(threads)


def embedding(folder: Path) -> None:
    """Computing features against one pass."""
    trunk = Trunk(torch.device("cpu"))
    with open_slide(repeated(folder, times=TIMES)) as slide:
        mosaic = slide.scene(None)
        grid, turn = FeatureGrid.of(mosaic, mosaic.pixel_size_um), iter(range(REPEATS))

        def whole() -> None:
            store = FeatureStore(folder, grid, {"turn": next(turn)})
            run_job(embed(mosaic, store, trunk))
            assert store.complete

        first, second, wall, busy = paired(whole, lambda: one_pass(mosaic, grid, trunk), repeats=REPEATS)
    mpx = np.prod(grid.shape) * FINE**2 / 1e6
    print(f"{mpx:.0f} megapixels, {torch.get_num_threads()} threads, {psutil.cpu_count()} processors")
    line("features to one pass, wall time", wall, "1.3", wall <= 1.3, f"{first[0]:.1f} s, {second[0]:.1f} s")
    line("features to one pass, processor time", busy, "1.3", busy <= 1.3, f"{first[1]:.1f} s, {second[1]:.1f} s")
    sample_mpx = SAMPLE_MM2 / SAMPLE_UM**2
    minutes = first[0] * sample_mpx / mpx / 60
    line(f"{SAMPLE_MM2:g} mm2 at {SAMPLE_UM:g} um, minutes", minutes, f"{MOST_MINUTES:g}", minutes <= MOST_MINUTES)
    size = sum(grid.nbytes(place) for place in grid.places) / 1e9 * sample_mpx / mpx
    line(f"{SAMPLE_MM2:g} mm2 at {SAMPLE_UM:g} um, GB", size, f"{MOST_GB:g}", size <= MOST_GB)


def prediction(folder: Path, anywhere: Path) -> None:
    """A head over a slide, from the store against computing the features for it."""
    place = demo_place(folder)
    boxes = place.boxes[np.random.default_rng(0).choice(len(place.boxes), 20, replace=False)]
    head, trunk = run_job(learn_head([Lesson(place.store, boxes)])), Trunk(torch.device("cpu"))
    with place.opened() as mosaic:
        turn = iter(range(REPEATS))

        def anew() -> None:
            store = FeatureStore(anywhere, place.store.grid, {"anew": next(turn)})
            run_job(embed(mosaic, store, trunk))
            run_job(find_places(head, store))

        def stored() -> None:
            store = FeatureStore(folder, place.store.grid, {"slide": place.path.name})
            run_job(find_places(head, store))

        first, second, wall, busy = paired(anew, stored, repeats=REPEATS)
    more = f"{first[0]:.2f} s, {second[0]:.2f} s"
    line("trunk and head to a prediction from the store, wall time", wall, "8", wall >= LEAST_QUICKER, more)
    more = f"{first[1]:.2f} s, {second[1]:.2f} s"
    line("trunk and head to a prediction, processor time", busy, "8", busy >= LEAST_QUICKER, more)


def similar() -> None:
    """The findings that look most like one, among many."""
    rng = np.random.default_rng(0)
    looks = Looks(
        np.arange(FINDINGS), np.zeros(FINDINGS, np.int64),
        standardised(rng.normal(size=(FINDINGS, LENGTH)).astype(np.float32)),
    )  # fmt: skip
    times = [took(lambda number=number: looks.like(number)) for number in range(20)]
    ms = [statistics.median(pair[kind] for pair in times) * 1000 for kind in (0, 1)]
    line(
        f"similar findings among {FINDINGS:,}, ms", ms[0], f"{MOST_MS:g}", ms[0] <= MOST_MS, f"processor {ms[1]:.1f} ms"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="embedding, prediction, similar; all if none is named")
    parser.add_argument("--folder", type=Path, help="keeps the slides")
    args = parser.parse_args()
    parts = args.parts or ["embedding", "prediction", "similar"]
    use_threads()
    with tempfile.TemporaryDirectory() as name:
        if "embedding" in parts:
            embedding(args.folder or Path(name))
        if "prediction" in parts:
            prediction(args.folder or Path(name), Path(name))
        if "similar" in parts:
            similar()


if __name__ == "__main__":
    main()
