"""The default anomaly model on magnetic tiles (Huang et al., 2018): pictures told apart, split by tile and at random.

Each tile was photographed at six exposures, with running numbers: a random split shows the model the very tile that it
is asked about. Here good tiles are divided into blocks of ten by their numbers; four tiles on each side of the block
that is measured on are left out of learning. The settings were chosen on block 0; the other four were looked at once.

    python -m tests.benchmarks.magnetic_tile --data FOLDER_WITH_MT_FREE
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from microscope_qc.core.geometry import Region
from microscope_qc.ml.architectures.memory.architecture import MEMORY
from microscope_qc.ml.architectures.memory.fitting import fit_memory
from microscope_qc.ml.architectures.memory.network import NormalMemory
from microscope_qc.ml.architectures.memory.settings import MemorySettings
from microscope_qc.ml.backbones.weights import IMAGENET, MEAN, STD, start_from
from microscope_qc.ml.devices import use_threads
from microscope_qc.ml.evaluation.unusual_pictures import away_from_border, picture_score
from microscope_qc.ml.tasks.tail import confidences, tail_of
from microscope_qc.slides import open_slide

BLOCKS, TILES_PER_BLOCK, GUARD = 5, 10, 4
PLACES = 200_000
DRAWS = 500
FAR = 150
"""Pictures of one tile have numbers that differ by less."""
KINDS = {"Free": "good", "Blowhole": "blowhole", "Crack": "crack"}


@dataclass(frozen=True)
class Picture:
    """A picture: what it shows, and the number of its tile."""

    path: Path
    kind: str
    exposure: int
    number: int
    tile: int = -1


def pictures(data: Path) -> list[Picture]:
    """All pictures, good ones and others, in the order of their numbers, with their tiles."""
    found = [
        Picture(path, kind, int(known[1]), int(known[2]))
        for folder, kind in KINDS.items()
        for path in (data / f"MT_{folder}" / "Imgs").glob("*.jpg")
        if (known := re.match(r"exp(\d+)_num_(\d+)", path.stem))
    ]
    found.sort(key=lambda picture: (picture.kind, picture.number))
    return list(_with_tiles(found))


def _with_tiles(found: Sequence[Picture]) -> Iterator[Picture]:
    """A tile ends where an exposure comes again, or the numbers jump."""
    tile, seen, before = -1, {-1}, found[0]
    for picture in found:
        far = picture.number - before.number > FAR or picture.kind != before.kind
        if far or picture.exposure in seen or tile < 0:
            tile, seen = tile + 1, set()
        seen.add(picture.exposure)
        before = picture
        yield Picture(picture.path, picture.kind, picture.exposure, picture.number, tile)


def splits(all_of_them: Sequence[Picture]) -> Iterator[tuple[str, list[int], list[int]]]:
    """Name, places of pictures to learn from, and of good ones to measure on."""
    good = [place for place, picture in enumerate(all_of_them) if picture.kind == "good"]
    tiles = sorted({all_of_them[place].tile for place in good})
    order = {tile: rank for rank, tile in enumerate(tiles)}
    block = np.array([rank // TILES_PER_BLOCK % BLOCKS for rank in range(len(tiles))])
    for number in range(BLOCKS):
        near = np.convolve(block == number, np.ones(2 * GUARD + 1), "same") > 0
        ranks = np.array([order[all_of_them[place].tile] for place in good])
        learned = [place for place, rank in zip(good, ranks, strict=True) if not near[rank]]
        measured = [place for place, rank in zip(good, ranks, strict=True) if block[rank] == number]
        yield f"block {number}", learned, measured
    mixed = np.random.default_rng(0).permutation(good)
    fifth = len(mixed) // BLOCKS
    yield "random", sorted(mixed[fifth:].tolist()), sorted(mixed[:fifth].tolist())


@torch.inference_mode()
def described(memory: NormalMemory, path: Path) -> torch.Tensor:
    """Features of the places of a picture, float16 (channels, rows, columns)."""
    with open_slide(path) as slide:
        mosaic = slide.scene(None)
        pixels = mosaic.read_rgb8(Region(0, 0, *mosaic.shape))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (MEAN, STD))
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
    return memory.describe((images - mean) / std)[0].half()


def kept(memory: NormalMemory, picture: Picture, folder: Path | None) -> torch.Tensor:
    """Features of a picture, from a folder of earlier ones where they are there."""
    if folder is None:
        return described(memory, picture.path)
    about = json.dumps(memory.settings.model_dump(exclude={"numbers", "known", "smoothing"}), sort_keys=True)
    file = folder / hashlib.blake2b(about.encode(), digest_size=6).hexdigest() / f"{picture.path.stem}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, described(memory, picture.path).numpy())
    return torch.from_numpy(np.load(file))


def masks(picture: Picture, shape: tuple[int, int]) -> np.ndarray:
    """Which places (rows, columns) show a defect."""
    import cv2

    pixels = cv2.imread(str(picture.path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
    return cv2.resize((pixels > 127).astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.25


def aupro(maps: Sequence[np.ndarray], truth: Sequence[np.ndarray], *, most_false: float = 0.3) -> float:
    """Area under the mean share of each defect that is found, up to a share of false places (Bergmann et al., 2020)."""
    import cv2

    false = np.sort(np.concatenate([found[~there] for found, there in zip(maps, truth, strict=True)]))[::-1]
    rates = np.linspace(0, most_false, 61)[1:]
    limits = false[np.minimum((rates * len(false)).astype(int), len(false) - 1)]
    shares = []
    for found, there in zip(maps, truth, strict=True):
        count, labels = cv2.connectedComponents(there.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            values = found[labels == label]
            shares.append([(values > limit).mean() for limit in limits])
    return float(np.trapezoid(np.mean(shares, axis=0), rates) / (rates[-1] - rates[0]))


def score(sure: np.ndarray, cell_px: int) -> float:
    """How unusual a picture is, as ``evaluate`` says it."""
    inside = [away_from_border((np.arange(side) + 0.5) * cell_px, side * cell_px) for side in sure.shape]
    return picture_score(sure[np.ix_(*inside)])


def interval(scores: np.ndarray, truth: np.ndarray, tiles: np.ndarray) -> tuple[float, float]:
    """95 % interval of an area under the curve, of draws of tiles."""
    rng, groups = np.random.default_rng(0), [np.flatnonzero(tiles == tile) for tile in np.unique(tiles)]
    drawn = []
    for _ in range(DRAWS):
        chosen = np.concatenate([groups[number] for number in rng.integers(0, len(groups), len(groups))])
        if 0 < truth[chosen].sum() < len(chosen):
            drawn.append(roc_auc_score(truth[chosen], scores[chosen]))
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=None, help="the folder that holds MT_Free")
    arguments.add_argument("--settings", type=json.loads, default={}, help="of the network, as JSON")
    arguments.add_argument("--keep", type=Path, default=None, help="folder for features, which a second run takes")
    arguments.add_argument("--only", nargs="*", default=None, help="only these splits, such as 'block 0'")
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args()
    data = args.data or Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "anomaly" / "magnetic-tile"
    if not (data / "MT_Free").is_dir():
        sys.exit("Name the folder that holds MT_Free with --data, or its parent's parent with MICROSCOPE_QC_DATA.")
    use_threads()
    settings = MemorySettings.model_validate({**MEMORY.for_pictures.model_dump(), **args.settings})
    all_of_them = pictures(data)
    memory = NormalMemory(settings)
    start_from(memory.trunk, IMAGENET)
    began = time.monotonic()
    features = [kept(memory, picture, args.keep) for picture in all_of_them]
    print(f"{len(features)} pictures looked at in {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows = []
    for name, learned, measured in splits(all_of_them):
        if args.only is None or name in args.only:
            rows.append(measure(name, settings, all_of_them, features, learned, measured))
            print(words(rows[-1]), flush=True)
    blocks = [row for row in rows if row["split"].startswith("block")]
    if len(blocks) == BLOCKS:
        for title, chosen in (("mean of five", blocks), ("mean of 1 to 4", blocks[1:])):
            rows.append({"split": title} | {
                name: float(np.mean([row[name] for row in chosen])) for name in blocks[0] if name not in ("split", "of")
            })  # fmt: skip
            print(words(rows[-1]))
    if args.json:
        print(json.dumps(rows, indent=1))


def measure(
    name: str, settings: MemorySettings, all_of_them: Sequence[Picture], features: Sequence[torch.Tensor],
    learned: Sequence[int], measured: Sequence[int],
) -> dict[str, float | str]:  # fmt: skip
    """Learn from some pictures; what becomes of good ones and of all that show a defect."""
    began, rng = time.monotonic(), np.random.default_rng(0)
    each = PLACES // len(learned)
    memory = NormalMemory(settings)
    places = torch.cat([
        features[place].flatten(1).T[torch.from_numpy(rng.permutation(features[place][0].numel())[:each])].float()
        for place in learned
    ])  # fmt: skip
    fit_memory(places, memory, seed=0)
    spent = time.monotonic() - began
    odd = [place for place, picture in enumerate(all_of_them) if picture.kind != "good"]
    tested = [*measured, *odd]
    used = {*learned, *tested}
    between = [place for place in range(len(all_of_them)) if place not in used] or learned[::10]
    with torch.inference_mode():
        maps = [memory.distances(features[place][None].float())[0].numpy() for place in tested]
        guard = [memory.distances(features[place][None].float())[0].numpy().ravel() for place in between]
    anomaly = tail_of(np.concatenate(guard).astype(float)).settings  # neither learned from nor measured on
    scores = np.array([score(confidences(found, anomaly), settings.cell_px) for found in maps])
    single = np.array([found.max() for found in maps])
    kinds = np.array([all_of_them[place].kind for place in tested])
    tiles = np.array([all_of_them[place].tile for place in tested])
    truth = kinds != "good"
    low, high = interval(scores, truth, tiles)
    row: dict[str, float | str] = {
        "split": name, "auroc": roc_auc_score(truth, scores), "low": low, "high": high,
        "auprc": average_precision_score(truth, scores), "learned_s": spent,
    }  # fmt: skip
    row["single_auroc"] = roc_auc_score(truth, single)
    for kind in ("blowhole", "crack"):
        some = (kinds == kind) | ~truth
        row[kind] = roc_auc_score(truth[some], scores[some])
    there = [masks(all_of_them[place], found.shape) for place, found in zip(tested, maps, strict=True)]
    flat, mask = (np.concatenate([part.ravel() for part in parts]) for parts in (maps, there))
    row["pixel_auroc"], row["pixel_auprc"] = roc_auc_score(mask, flat), average_precision_score(mask, flat)
    row["pixel_aupro"] = aupro(maps, there)
    return row


def words(row: dict[str, float | str]) -> str:
    """A line of the table."""
    return (
        f"{row['split']:<15} AUROC {row['auroc']:.3f} [{row['low']:.3f}, {row['high']:.3f}]  blowhole "
        f"{row['blowhole']:.3f}  crack {row['crack']:.3f}  AUPRC {row['auprc']:.3f}  by the strongest place "
        f"{row['single_auroc']:.3f}  pixels: AUROC {row['pixel_auroc']:.3f}  AUPRO {row['pixel_aupro']:.3f}  "
        f"AUPRC {row['pixel_auprc']:.3f}"
    )


if __name__ == "__main__":
    main()
