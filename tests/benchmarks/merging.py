"""Merging of candidates: how long it takes, and which strategy counts best on slides with known truth.

``python -m tests.benchmarks.merging [--quality]``; limits: 100,000 boxes in 0.25 s, 1,000,000 in 4 s, and where plain
suppression is the strategy the same boxes as torchvision's batched_nms.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from microscope_qc.core.geometry import Region, TileGrid, touching_pairs
from microscope_qc.core.merge import CANDIDATE_DTYPE, MergeSettings, merge_candidates

LIMITS = {100_000: 0.25, 1_000_000: 4.0}
IOU = 0.45


def crowd(count: int, *, seed: int = 0) -> tuple[np.ndarray, TileGrid]:
    """Candidates as a detector gives them: every defect two or three times, on a slide that grows with their number."""
    rng = np.random.default_rng(seed)
    side = int(40_000 * (count / 100_000) ** 0.5)
    defects = count // 5 * 2
    centre = rng.random((defects, 2)) * side
    size = np.exp(rng.normal(3.8, 0.5, (defects, 2)))
    which = rng.integers(0, defects, count)
    rows = np.zeros(count, CANDIDATE_DTYPE)
    jitter = rng.normal(0, 0.08, (count, 4)) * size[which].mean(axis=1, keepdims=True)
    rows["y0"], rows["y1"] = (
        centre[which, 0] - size[which, 0] / 2 + jitter[:, 0],
        centre[which, 0] + size[which, 0] / 2 + jitter[:, 1],
    )
    rows["x0"], rows["x1"] = (
        centre[which, 1] - size[which, 1] / 2 + jitter[:, 2],
        centre[which, 1] + size[which, 1] / 2 + jitter[:, 3],
    )
    rows["confidence"] = rng.permutation(count).astype(np.float32) / count
    rows["label"] = rng.integers(0, 10, defects)[which]
    grid = TileGrid(Region(0, 0, side, side), 1536, 384)
    tops, lefts = grid.starts
    middle_y, middle_x = (rows["y0"] + rows["y1"]) / 2, (rows["x0"] + rows["x1"]) / 2
    row = np.clip(np.searchsorted(tops, middle_y, side="right") - 1, 0, len(tops) - 1)
    column = np.clip(np.searchsorted(lefts, middle_x, side="right") - 1, 0, len(lefts) - 1)
    rows["tile"] = row * len(lefts) + column
    return rows[np.argsort(rows["tile"], kind="stable")], grid  # tile by tile, as a journal has them


PLAIN = MergeSettings(iou=IOU, inside=2.0, across_iou=2.0, border_px=0.0, fragment_confidence=2.0)
"""Greedy suppression within a class and nothing else."""


def torchvision_nms(rows: np.ndarray) -> np.ndarray:
    """The same by torchvision."""
    import torch
    from torchvision.ops import batched_nms

    boxes = torch.from_numpy(np.stack([rows[name] for name in ("x0", "y0", "x1", "y1")], axis=1))
    keep = batched_nms(
        boxes, torch.from_numpy(rows["confidence"].astype(float)), torch.from_numpy(rows["label"].copy()).long(), IOU
    )
    return rows[keep.numpy()]


def nmm(rows: np.ndarray, *, inside: float = 0.5) -> np.ndarray:
    """Greedy non-maximum merging as SAHI has it: what lies by half in a stronger box of its class widens that box."""
    order = np.argsort(-rows["confidence"], kind="stable")
    rows = rows[order].copy()
    boxes = np.stack([rows[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    first, second = touching_pairs(boxes)
    height = np.minimum(boxes[first, 2], boxes[second, 2]) - np.maximum(boxes[first, 0], boxes[second, 0])
    width = np.minimum(boxes[first, 3], boxes[second, 3]) - np.maximum(boxes[first, 1], boxes[second, 1])
    match = (height * width > inside * np.minimum(area[first], area[second])) & (
        rows["label"][first] == rows["label"][second]
    )
    by_first = np.lexsort((second[match], first[match]))
    gone = np.zeros(len(rows), bool)
    for winner, loser in zip(first[match][by_first].tolist(), second[match][by_first].tolist(), strict=True):
        if not gone[winner] and not gone[loser]:
            gone[loser] = True
            boxes[winner, :2] = np.minimum(boxes[winner, :2], boxes[loser, :2])
            boxes[winner, 2:] = np.maximum(boxes[winner, 2:], boxes[loser, 2:])
    for column, name in enumerate(("y0", "x0", "y1", "x1")):
        rows[name] = boxes[:, column]
    return rows[~gone]


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def speed() -> None:
    """Times beside their limits."""
    print(f"{'boxes':>10} {'strategy':<28} {'seconds':>8} {'limit':>6}  kept")
    for count, limit in LIMITS.items():
        rows, grid = crowd(count)
        repeats = 5 if count <= 100_000 else 3
        for name, settings in (("joined + suppression", MergeSettings()), ("suppression only", PLAIN)):
            kept = merge_candidates(rows, grid, settings)
            seconds = timed(partial(merge_candidates, rows, grid, settings), repeats)
            verdict = "ok" if seconds <= limit else "TOO SLOW"
            print(f"{count:>10,} {name:<28} {seconds:8.3f} {limit:6.2f}  {len(kept):,} {verdict}")
        if count <= 100_000:
            other = torchvision_nms(rows)
            seconds = timed(partial(torchvision_nms, rows), 1)
            names = ["y0", "x0", "y1", "x1"]
            same = set(map(tuple, kept[names].tolist())) == set(map(tuple, other[names].tolist()))
            print(f"{count:>10,} {'torchvision batched_nms':<28} {seconds:8.3f} {'':>6}  {len(other):,}", end=" ")
            print("the same boxes as suppression only" if same else "OTHER BOXES than suppression only")


def quality(side: int, seeds: int, shifts: tuple[int, ...]) -> None:
    """Findings against truth for every strategy, and how they change with the origin of the grid."""
    import json

    from microscope_qc.core.jobs import run_job
    from microscope_qc.ml.cards import read_card
    from microscope_qc.ml.engine.pipeline import Pipeline, TileRecord
    from microscope_qc.ml.evaluation.detection import Tally
    from microscope_qc.ml.library import model_folder
    from microscope_qc.ml.tiling import merge_settings
    from microscope_qc.project.runs.plan import RunPlan
    from microscope_qc.workflows.samples import synth

    card = read_card(model_folder("li-ion-ssd"))
    own = merge_settings((3.0, 3.0))
    plain = replace(PLAIN, iou=0.5)
    strategies: dict[str, Callable[[np.ndarray, TileGrid], np.ndarray]] = {
        "joined + suppression (default)": lambda rows, grid: merge_candidates(rows, grid, own),
        "plain suppression, IoU 0.5": lambda rows, grid: merge_candidates(rows, grid, plain),
        "merging (NMM), half inside": lambda rows, grid: nmm(rows),
    }
    tallies = {name: [Tally(list(card.classes)) for _ in shifts] for name in strategies}
    counts = {name: [0] * len(shifts) for name in strategies}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            path = Path(folder) / f"{seed}.ome.zarr"
            run_job(synth.make("electrode", path, shape=(side, side), seed=300 + seed))
            document = json.loads(synth.truth_path(path).read_text(encoding="utf-8"))
            codes = {entry["id"]: entry["name"] for entry in document["categories"]}
            truth = np.array(
                [[b[1], b[0], b[1] + b[3], b[0] + b[2]] for b in (a["bbox"] for a in document["annotations"])]
            )
            labels = np.array([card.classes.index(codes[a["category_id"]]) for a in document["annotations"]])
            for number, shift in enumerate(shifts):
                plan = RunPlan(
                    slide={"path": str(path), "pixel_size_um": [0.3, 0.3]}, model="li-ion-ssd", device="cpu",
                    region=[-shift, -shift, side, side], tile_px=1536, overlap_px=384,
                )  # fmt: skip
                records: list[TileRecord] = []
                with Pipeline(plan) as pipeline:
                    tiles = range(len(pipeline.grid))
                    for _ in pipeline.work([list(tiles[i : i + 4]) for i in tiles[::4]], records.extend):
                        pass
                    grid = pipeline.grid
                rows = np.concatenate([record.candidates for record in records if record.candidates is not None])
                for name, strategy in strategies.items():
                    merged = strategy(rows, grid)
                    boxes = np.stack([merged[key] for key in ("y0", "x0", "y1", "x1")], axis=1)
                    tallies[name][number].add(
                        boxes=boxes, labels=merged["label"], confidence=merged["confidence"], truth=truth,
                        truth_labels=labels,
                    )  # fmt: skip
                    counts[name][number] += int((merged["confidence"] >= card.confidence).sum())
    print(f"\n{seeds} drawn slides of {side} px, grid begun at {', '.join(str(-shift) for shift in shifts)} px")
    print(f"{'strategy':<34} {'precision':>9} {'recall':>7} {'F1':>6} {'mAP50':>6}  findings for each grid")
    for name in strategies:
        reports = [tally.report(confidence=card.confidence, iou=0.5) for tally in tallies[name]]
        figures = [statistics.mean(report[key] for report in reports) for key in ("precision", "recall", "f1", "map50")]
        print(f"{name:<34} {figures[0]:9.3f} {figures[1]:7.3f} {figures[2]:6.3f} {figures[3]:6.3f}  {counts[name]}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quality", action="store_true", help="compare strategies on slides with known truth")
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    import torch
    import torchvision

    versions = f"numpy {np.__version__}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {versions}")
    speed()
    if arguments.quality:
        from microscope_qc.ml.devices import use_threads

        use_threads()
        quality(arguments.side, arguments.seeds, (0, 465, 780))


if __name__ == "__main__":
    main()
