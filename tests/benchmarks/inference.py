"""Whole-slide inference against the obvious ways of doing it, paired and interleaved in one process.

``python -m tests.benchmarks.inference [PART ...]``; parts: engine, windows, autoencoder, sahi, memory, start. Limits
stand beside the figures. Processor seconds are printed too: they change less with what else the machine is doing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.engine.engine import one_image_thread
from microscope_qc.ml.engine.pipeline import Pipeline
from microscope_qc.project.runs.plan import RunPlan, write_plan

REPEATS = 5
Took = tuple[float, float]  # seconds on the wall, seconds of the processor


def took(call: Callable[[], object]) -> Took:
    """Time a call."""
    wall, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - busy


def paired(
    one: Callable[[], object], other: Callable[[], object], *, repeats: int = REPEATS
) -> tuple[Took, Took, float, float]:
    """Median times of two calls that take turns, and the medians of the ratios of each pair (wall, processor)."""
    pairs = [(took(one), took(other)) for _ in range(repeats)]
    medians = [
        (statistics.median(pair[i][0] for pair in pairs), statistics.median(pair[i][1] for pair in pairs))
        for i in (0, 1)
    ]
    ratios = [statistics.median(pair[0][k] / max(pair[1][k], 1e-9) for pair in pairs) for k in (0, 1)]
    return medians[0], medians[1], ratios[0], ratios[1]


def line(name: str, value: float, limit: str, ok: bool, more: str = "") -> None:
    """Print a figure beside its limit."""
    print(f"{name:<58} {value:9.3f}   limit {limit:<8} {'ok ' if ok else 'NO '} {more}")


def electrode(folder: Path, side: int = 4608) -> Path:
    """A drawn slide, or the existing one."""
    from microscope_qc.workflows.samples import synth

    path = folder / f"electrode{side}.ome.zarr"
    if not path.exists():
        run_job(synth.make("electrode", path, shape=(side, side), seed=300))
    return path


def repeated(folder: Path, *, times: int = 2, side: int = 4608) -> Path:
    """A drawn slide several times beside and below itself: large enough for the first batches not to count."""
    from microscope_qc.slides import open_slide
    from microscope_qc.slides.pyramid.write import write_ome_zarr

    path = folder / f"electrode{side}x{times}.ome.zarr"
    if not path.exists():
        with open_slide(electrode(folder, side)) as slide:
            whole = np.tile(slide.scene(None).read_rgb8(Region(0, 0, side, side)), (times, times, 1))

        def read(region: Region) -> np.ndarray:
            return whole[region.y0 : region.y1, region.x0 : region.x1]

        shape = (side * times, side * times)
        run_job(write_ome_zarr(path, shape=shape, dtype="uint8", rgb=True, read=read, pixel_size_um=(0.3, 0.3)))
    return path


def run_plan(
    path: Path, model: str | Path, *, side: int, tile_px: int, overlap_px: int, um: float = 0.3, **further: Any
) -> RunPlan:
    """A run over a square slide."""
    settings = {"region": [0, 0, side, side], "tile_px": tile_px, "overlap_px": overlap_px} | further
    return RunPlan(slide={"path": str(path), "pixel_size_um": [um, um]}, model=str(model), device="cpu", **settings)


def batches(pipeline: Pipeline, size: int) -> list[list[int]]:
    """All tiles in batches."""
    tiles = list(range(len(pipeline.grid)))
    return [tiles[start : start + size] for start in range(0, len(tiles), size)]


def everything(pipeline: Pipeline, size: int = 4) -> list[Any]:
    """End to end: read, compute, results; nothing is decoded yet."""
    records: list[Any] = []
    pipeline.reader.clear()
    for _ in pipeline.work(batches(pipeline, size), records.extend):
        pass
    return records


def engine(folder: Path) -> None:
    """The bundled detector, and one of the network that is trained by default, end to end."""
    path = repeated(folder)
    end_to_end(path, "li-ion-ssd", "SSD")
    end_to_end(path, str(untrained(folder, "lite0")), "Lite0")


def end_to_end(path: Path, model: str, name: str) -> None:
    """End to end against the forward pass alone on the same batches."""
    import torch

    from microscope_qc.ml.engine.feed import Batch
    from microscope_qc.ml.engine.streams import Streams
    from microscope_qc.project.runs.speed import Meter

    with Pipeline(run_plan(path, model, side=9216, tile_px=1536, overlap_px=384)) as pipeline:
        groups = batches(pipeline, 4)
        prepared = []
        for group in groups:
            slots = torch.zeros((len(group), 512, 512, 3))
            for slot, tile in zip(slots, group, strict=True):
                pipeline.task.prepare(pipeline.reader.read([pipeline.grid[tile]])[0], slot.numpy())
            prepared.append(slots)

        def forward() -> None:
            for slots in prepared:
                pipeline.fallback.compute(slots, pipeline.shape)

        def beside() -> None:
            streams = Streams(
                lambda slots: pipeline.fallback.compute(slots, pipeline.shape), device=pipeline.task.device
            )
            for slots in prepared:
                streams.put(Batch([], slots, {}, slots))
                list(streams.finished())
            list(streams.finished(all_of_them=True))
            streams.close()

        forward(), beside()
        rounds = [[took(call) for call in (lambda: everything(pipeline), forward, beside)] for _ in range(REPEATS)]
        whole, alone, own = (
            [statistics.median(taken[place][kind] for taken in rounds) for kind in (0, 1)] for place in (0, 1, 2)
        )
        (ratio, busy), (own_ratio, own_busy) = (
            [statistics.median(taken[0][kind] / taken[place][kind] for taken in rounds) for kind in (0, 1)]
            for place in (1, 2)
        )
        meter = Meter()
        pipeline.reader.clear()
        for _ in pipeline.work(groups, lambda records: None, meter=meter):
            pass
        figures = meter.figures()
    tiles = sum(map(len, groups))
    line(f"end to end / forward alone, {name} 512 px", ratio, "<= 1.15", ratio <= 1.15, f"processor {busy:.3f}")
    line(
        "the same, forward in streams as the engine's", own_ratio, "<= 1.15", own_ratio <= 1.15,
        f"processor {own_busy:.3f}",
    )  # fmt: skip
    for kind, clock in enumerate(("wall", "processor")):
        each = [1e3 * seconds[kind] / tiles for seconds in (whole, alone, own)]
        print(f"    {clock}, ms a tile: end to end {each[0]:.1f}, forward {each[1]:.1f}, in streams {each[2]:.1f}")
    print(f"    {tiles} tiles; computed {figures['share_computed']:.0%}, waited {figures['share_waited']:.0%}")


def window_model(folder: Path, *, stride_px: int) -> Path:
    """An untrained light classifier: windows of 64 px at its own size, which is half the slide's."""
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, WindowSettings, write_card
    from microscope_qc.ml.weights import save_weights

    torch.manual_seed(0)
    out = folder / f"windows{stride_px}"
    out.mkdir(exist_ok=True)
    save_weights(build_network("light", {}, classes=6).state_dict(), out / WEIGHTS_NAME)
    codes = [f"C{number}" for number in range(6)]
    card = ModelCard(
        name=out.name, task="classify", architecture="light", classes=codes, class_names=codes, pixel_size_um=0.6,
        tile_px=64 + 60 * 16, overlap_px=64 - stride_px, mean=(0.5,) * 3, std=(0.2,) * 3, confidence=0.5,
        windows=WindowSettings(window_px=64, stride_px=stride_px),
    )  # fmt: skip
    write_card(card, out)
    return out


def windows(folder: Path) -> None:
    """Windows of 128 slide px at two strides, against the loop that reads, resizes and computes one patch at a time."""
    import cv2
    import torch

    path = electrode(folder)
    for stride, limit in ((32, 20.0), (96, 0.0)):
        model = window_model(folder, stride_px=stride // 2)
        side = 4096
        overlap = 2 * (64 - stride // 2)
        plan = run_plan(
            path, model, side=side, tile_px=2 * (64 + 60 * 16), overlap_px=overlap, candidate_confidence=0.99
        )
        with Pipeline(plan) as pipeline:
            count = ((side - 128) // stride + 1) ** 2
            chance = np.random.default_rng(0)
            places = chance.integers(0, (side - 128) // stride + 1, (400, 2)) * stride
            network: Any = pipeline.task

            def one_by_one(places: np.ndarray = places, pipeline: Pipeline = pipeline, network: Any = network) -> None:
                for y, x in places:
                    patch = pipeline.mosaic.read_rgb8(Region(int(y), int(x), int(y) + 128, int(x) + 128))
                    small = cv2.resize(patch, (64, 64), interpolation=cv2.INTER_AREA)
                    tensor = torch.from_numpy(small).permute(2, 0, 1)[None].float()
                    with torch.inference_mode():
                        network._network((tensor - network._mean) / network._std).softmax(1)

            everything(pipeline, 1)
            ours, loop, _, _ = paired(lambda pipeline=pipeline: everything(pipeline, 1), one_by_one, repeats=3)
        gain = (loop[0] / len(places)) / (ours[0] / count)
        busy = (loop[1] / len(places)) / (ours[1] / count)
        asked = f">= {limit:.0f}" if limit else "-"
        line(
            f"windows of 128 px, stride {stride}: gain over one by one",
            gain,
            asked,
            gain >= limit,
            f"processor {busy:.1f}",
        )
        print(f"    {count:,} windows: {count / ours[0]:,.0f} against {len(places) / loop[0]:,.0f} windows/s")


def anomaly_model(folder: Path, network: Any, *, shared: bool = True) -> Path:
    """An autoencoder's model folder: windows of 256 px at its own size, which is half the slide's, at stride 0.75."""
    from microscope_qc.ml.cards import WEIGHTS_NAME, AnomalySettings, ModelCard, WindowSettings, write_card
    from microscope_qc.ml.weights import save_weights

    out = folder / ("autoencoder" if shared else "autoencoder-alone")
    out.mkdir(exist_ok=True)
    save_weights(network.state_dict(), out / WEIGHTS_NAME)
    card = ModelCard(
        name=out.name, task="anomaly", architecture="autoencoder", classes=["ODD"], class_names=["Odd"],
        pixel_size_um=0.6, tile_px=256 + 5 * 192, overlap_px=256 - 192, mean=(0.5,) * 3, std=(0.2,) * 3, confidence=0.5,
        windows=WindowSettings(window_px=256, stride_px=192, shared=shared),
        anomaly=AnomalySettings(threshold=0.5, spread=0.05),
    )  # fmt: skip
    write_card(card, out)
    return out


def briefly_trained(folder: Path, *, steps: int = 60) -> Any:
    """An autoencoder that has seen enough of the slide for its errors to depend on what a window shows."""
    import cv2
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.slides import open_slide

    with open_slide(electrode(folder)) as slide:
        whole = slide.scene(None).read_rgb8(Region(0, 0, 4096, 4096))
    half = cv2.resize(whole, (2048, 2048), interpolation=cv2.INTER_AREA)
    torch.manual_seed(0)
    network = build_network("autoencoder", {}, classes=1).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for corners in np.random.default_rng(0).integers(0, 2048 - 256, (steps, 8, 2)):
        crops = torch.from_numpy(np.stack([half[y : y + 256, x : x + 256] for y, x in corners]))
        pictures = ((crops.float() / 255 - 0.5) / 0.2).permute(0, 3, 1, 2)
        loss = (network(pictures) - pictures).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def autoencoder(folder: Path) -> None:
    """Windows of 512 slide px at stride 384, given back at half the size, against one at a time."""
    import cv2
    import torch

    path, side, window, stride = repeated(folder), 9216, 512, 384
    network = briefly_trained(folder)
    pipelines = []
    for shared in (True, False):
        model = anomaly_model(folder, network, shared=shared)
        pipelines.append(Pipeline(run_plan(path, model, side=side, tile_px=2 * (256 + 5 * 192), overlap_px=128)))
    starts = [*range(0, side - window, stride), side - window]  # the last one ends with the slide, as the engine's does
    count = len(starts) ** 2
    places = [(y, x) for y in starts for x in starts][::11]

    def one_by_one(layout: torch.memory_format) -> None:
        for y, x in places:
            patch = pipelines[0].mosaic.read_rgb8(Region(y, x, y + window, x + window))
            small = cv2.resize(patch, (256, 256), interpolation=cv2.INTER_AREA)
            picture = torch.from_numpy(small).permute(2, 0, 1)[None].contiguous(memory_format=layout)
            picture = (picture.float() / 255 - 0.5) / 0.2
            with torch.inference_mode():
                float((network(picture) - picture).square().mean())

    with pipelines[0] as pipeline, pipelines[1] as alone:
        candidates = sum(len(record.candidates) for record in everything(pipeline, 1))
        for other, layout, name, limit in (
            (pipeline, torch.contiguous_format, "autoencoder 512 -> 256, stride 384: gain over one by one", 6.0),
            (pipeline, torch.channels_last, "the same, over one by one with the colours last", 0.0),
            (alone, torch.contiguous_format, "every window in a pass of its own: gain over one by one", 0.0),
        ):
            network.to(memory_format=layout)
            one_by_one(layout), everything(other, 1)
            pairs = [
                (took(lambda layout=layout: one_by_one(layout)), took(lambda other=other: everything(other, 1)))
                for _ in range(REPEATS)
            ]
            gains = [[loop[kind] / ours[kind] * count / len(places) for loop, ours in pairs] for kind in (0, 1)]
            gain, busy = map(statistics.median, gains)
            line(name, gain, f">= {limit:.0f}" if limit else "-", gain >= limit, f"processor {busy:.1f}")
            loop_s, ours_s = (statistics.median(pair[place][0] for pair in pairs) for place in (0, 1))
            print(f"    {count / ours_s:,.0f} against {len(places) / loop_s:,.0f} windows/s; pairs", end=" ")
            print(", ".join(f"{value:.1f}" for value in sorted(gains[0])))
        print(f"    {count} windows, {candidates} candidates; {border_difference(pipeline, alone)}")


def border_difference(pipeline: Pipeline, alone: Pipeline) -> str:
    """How much a window's score depends on what lies beyond its border, where windows share a pass."""
    import torch

    (tile,), scores = pipeline.reader.read([pipeline.grid[0]]), []
    for task in (pipeline.task, alone.task):
        (height, width), kind = task.slot(tile.shape[:2])
        slot = np.zeros((height, width, 3), kind)
        task.prepare(tile, slot)
        scores.append(task.compute(torch.from_numpy(slot)[None], tile.shape[:2]).tensors[0].numpy().ravel())
    apart = np.abs(scores[0] - scores[1]) / scores[1]
    least, most = scores[1].min(), scores[1].max()
    return f"scores ({least:.2f} to {most:.2f}) differ by {apart.mean():.1%}, at most {apart.max():.1%}"


def untrained(folder: Path, network: str) -> Path:
    """A detector that finds hardly anything."""
    import torch

    from microscope_qc.ml.architectures.base import build_network
    from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
    from microscope_qc.ml.weights import save_weights

    torch.manual_seed(0)
    out = folder / network
    out.mkdir(exist_ok=True)
    codes = [f"C{number}" for number in range(10)]
    save_weights(build_network(network, {}, classes=10).state_dict(), out / WEIGHTS_NAME)
    card = ModelCard(
        name=network, task="detect", architecture=network, classes=codes, class_names=codes, pixel_size_um=0.9,
        tile_px=512, overlap_px=128, mean=(0.5,) * 3, std=(0.2,) * 3, confidence=0.5,
    )  # fmt: skip
    write_card(card, out)
    return out


def against_sahi(folder: Path) -> None:
    """The same network and slicing through SAHI: a picture in memory, merging included."""
    try:
        from sahi.annotation import ObjectAnnotation  # noqa: F401
        from sahi.models.base import DetectionModel
        from sahi.predict import get_sliced_prediction
        from sahi.prediction import ObjectPrediction
    except ImportError:
        print("against SAHI: not installed")
        return
    from microscope_qc.core.merge import CANDIDATE_DTYPE, merge_candidates
    from microscope_qc.ml.architectures.loading import open_task
    from microscope_qc.ml.engine.batch_size import by_trial
    from microscope_qc.ml.engine.streams import as_one_stream
    from microscope_qc.ml.tasks.base import TileResult
    from microscope_qc.ml.tasks.images import TaskFinder
    from microscope_qc.ml.tiling import merge_settings

    class Through(DetectionModel):
        """Our detector behind SAHI's interface."""

        finder: Any = None

        def load_model(self) -> None:
            self.model = self.finder

        def perform_inference(self, image: np.ndarray) -> None:
            self._original_predictions = self.finder(image)

        @property
        def num_categories(self) -> int:
            return 10

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any = None, full_shape_list: Any = None
        ) -> None:
            shift = (
                (shift_amount_list or [[0, 0]])[0]
                if isinstance((shift_amount_list or [[0]])[0], list)
                else shift_amount_list
            )
            full = full_shape_list[0] if full_shape_list and isinstance(full_shape_list[0], list) else full_shape_list
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=[float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])],
                        category_id=int(row["label"]), category_name=str(int(row["label"])),
                        score=float(row["confidence"]), shift_amount=shift, full_shape=full,
                    )
                    for row in self._original_predictions
                ]
            ]  # fmt: skip

    # at the model's own pixel size, so that both read the same pixels and nothing is resized
    side = 3072
    slide = electrode(folder)
    from microscope_qc.slides import open_slide

    path = folder / "small.ome.zarr"
    with open_slide(slide) as opened:
        picture = opened.scene(None).read_scaled(Region(0, 0, 4608, 4608), (side, side))
    if not path.exists():
        from microscope_qc.slides.pyramid.write import write_ome_zarr

        run_job(
            write_ome_zarr(
                path, shape=(side, side), dtype="uint8", rgb=True, pixel_size_um=(0.9, 0.9),
                read=lambda region: picture[region.y0 : region.y1, region.x0 : region.x1],
            )
        )  # fmt: skip
    detector = TaskFinder(open_task("li-ion-ssd", device="cpu"))
    rng = np.random.default_rng(0)
    fixed = np.zeros(20, CANDIDATE_DTYPE)
    corner = rng.random((2, 20)) * 440
    fixed["y0"], fixed["x0"], fixed["y1"], fixed["x1"] = corner[0], corner[1], corner[0] + 40, corner[1] + 40
    fixed["confidence"], fixed["label"] = rng.random(20), rng.integers(0, 10, 20)

    class Nothing:
        """A network that costs nothing: twenty boxes for every tile."""

        def __init__(self, task: Any) -> None:
            self._task = task

        def __getattr__(self, name: str) -> Any:
            return getattr(self._task, name)

        def prepare(self, pixels: Any, slot: Any) -> None:
            return None  # what a network makes of its pixels is a part of its cost

        def compute(self, slots: Any, size: Any) -> Any:
            return len(slots)

        def results(self, computed: Any, size: Any) -> list[TileResult]:
            return [TileResult(fixed) for _ in range(computed)]

    light = untrained(folder, "ssd-tiny")
    small = TaskFinder(open_task(light, device="cpu"))
    for name, model_name, find, limit in (
        ("SSD", "li-ion-ssd", lambda image: detector.find([image])[0], 1.0),
        ("a light SSD", light, lambda image: small.find([image])[0], 3.0),
        ("a network that costs nothing", "li-ion-ssd", lambda image: fixed, 1.0),
    ):
        with Pipeline(run_plan(path, model_name, side=side, tile_px=512, overlap_px=128, um=0.9)) as pipeline:
            if "nothing" in name:
                pipeline.task = pipeline.fallback._task = Nothing(pipeline.task)
            with as_one_stream(pipeline.task.device):
                size = by_trial(pipeline.task, pipeline.shape)  # as a run does once on every machine

            def ours(pipeline: Pipeline = pipeline, size: int = size) -> None:
                records = everything(pipeline, size)
                rows = np.concatenate([record.candidates for record in records])
                merge_candidates(rows, pipeline.grid, merge_settings(pipeline.scale))

            model = Through(model_path="", confidence_threshold=0.05, device="cpu", load_at_init=False)
            model.finder = find

            def theirs(model: Any = model) -> None:
                from microscope_qc.slides import open_slide

                with open_slide(path) as opened:  # it, too, begins with a file
                    whole = opened.scene(None).read_rgb8(Region(0, 0, side, side))
                get_sliced_prediction(
                    whole, model, slice_height=512, slice_width=512, overlap_height_ratio=0.25,
                    overlap_width_ratio=0.25, perform_standard_pred=False, verbose=0,
                )  # fmt: skip

            ours(), theirs()
            mine, sahi, ratio, busy = paired(theirs, ours, repeats=3)
        line(f"SAHI / this, {name}", ratio, f">= {limit:.0f}", ratio >= limit, f"processor {busy:.2f}")
        print(
            f"    {len(pipeline.grid)} slices of 512 px: SAHI {mine[0]:.2f} s, "
            f"this {sahi[0]:.2f} s in batches of {size}"
        )


_MEMORY = """
import json, sys, threading, psutil
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.engine.engine import run_model
from microscope_qc.ml.architectures.loading import open_task
open_task("li-ion-ssd", device="cpu")
process = psutil.Process()
before, marks, end = process.memory_info().rss, [], threading.Event()
def look():
    while not end.wait(0.01):
        marks.append(process.memory_info().rss)
watcher = threading.Thread(target=look)
watcher.start()
status = run_job(run_model(sys.argv[1]))
end.set()
watcher.join()
half = max(marks[: len(marks) // 2])
print(json.dumps([before / 1e9, (max(marks) - before) / 1e9, (half - before) / 1e9, status["tiles_done"]]))
"""
MEMORY_TILES = 80


def memory(folder: Path) -> None:
    """Peak memory beyond program and model, on virtual slides of three sizes.

    As many tiles of each, from all over the slide and none beside another: unpacked pieces are of no further use.
    """
    from microscope_qc.core.area_mask import mask_from
    from microscope_qc.project.runs.mask_files import write_mask
    from microscope_qc.slides.virtual.reader import write_virtual

    peaks = []
    for shape in ((20_000, 20_000), (60_000, 60_000), (170_000, 200_000)):
        path = write_virtual(folder / f"v{shape[1]}.virtual.json", shape=shape, pixel_size_um=(0.3, 0.3))
        run = folder / f"memory{shape[1]}"
        run.mkdir()
        region = [0, 0, *shape]
        write_plan(
            run, run_plan(path, "li-ion-ssd", side=0, tile_px=1536, overlap_px=384, region=region, skip_empty=True)
        )
        grid = TileGrid(Region(0, 0, *shape), 1536, 384)
        apart = [row * grid.columns + column for row in range(0, grid.rows, 2) for column in range(0, grid.columns, 2)]
        chosen = np.random.default_rng(0).choice(apart, MEMORY_TILES, replace=False)
        scan = np.zeros((shape[0] // 256 + 1, shape[1] // 256 + 1), bool)
        for number in chosen:  # the middle of a tile is in no other tile
            scan[(grid[int(number)].y0 + 768) // 256, (grid[int(number)].x0 + 768) // 256] = True
        write_mask(run, mask_from(scan, region=grid.region, cell_px=(256, 256)))
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY, str(run)], capture_output=True, text=True, check=True,
            env=dict(os.environ, OMP_WAIT_POLICY="PASSIVE"),
        )  # fmt: skip
        before, peak, half, _ = json.loads(done.stdout.splitlines()[-1])
        peaks.append(peak)
        name = f"peak memory beyond the model, {shape[1]:,} x {shape[0]:,} px: GB"
        line(name, peak, "< 2", peak < 2, f"{len(grid):,} tiles; {half:.3f} after half; program and model {before:.2f}")
    line("largest slide / smallest", peaks[-1] / peaks[0], "-", True, f"{MEMORY_TILES} tiles each")


_START = """
import sys, time
import torch, torchvision
from microscope_qc.ml.engine import run_model
started = time.perf_counter()
job = run_model(sys.argv[1])
while next(job).done == 0:
    pass
print(time.perf_counter() - started)
"""


def start(folder: Path) -> None:
    """From the call to the first tile in the journal, torch being imported."""
    path = electrode(folder)
    seconds = []
    for number in range(4):
        run = folder / f"start{number}"
        run.mkdir()
        write_plan(run, run_plan(path, "li-ion-ssd", side=1536, tile_px=1536, overlap_px=384))
        done = subprocess.run([sys.executable, "-c", _START, str(run)], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout.split()[-1]))
    value = statistics.median(seconds[1:])
    line("engine start, torch imported, to the first tile done: s", value, "< 1", value < 1)


PARTS: dict[str, Callable[[Path], None]] = {
    "engine": engine, "windows": windows, "autoencoder": autoencoder, "sahi": against_sahi, "memory": memory,
    "start": start,
}  # fmt: skip


def versions(names: Sequence[str]) -> str:
    """Names and versions of what is installed."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--folder", type=Path, help="keep drawn slides here")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    import torch

    from microscope_qc.ml.devices import fast_bfloat16, use_threads
    from microscope_qc.ml.engine.batch_size import device_name

    use_threads()
    processor = torch.device("cpu")
    print(f"{device_name(processor)}, {torch.get_num_threads()} threads, bf16 {fast_bfloat16(processor)}", end="; ")
    print(f"load before {os.getloadavg()[0]:.1f}; Python {platform.python_version()}", end=", ")
    print(versions(["torch", "torchvision", "numpy", "opencv-python-headless", "zarr", "tensorstore", "sahi"]))
    with tempfile.TemporaryDirectory() as temporary, one_image_thread():
        for part in arguments.parts or PARTS:
            folder = Path(temporary)
            if arguments.folder is not None:
                for name in ("electrode4608.ome.zarr", "electrode4608x2.ome.zarr", "small.ome.zarr"):
                    kept = arguments.folder / name
                    if kept.exists() and not (folder / name).exists():
                        (folder / name).symlink_to(kept)  # an existing one saves time
            PARTS[part](folder)


if __name__ == "__main__":
    main()
