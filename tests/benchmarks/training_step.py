"""What a training step costs beside its arithmetic: ``python -m tests.benchmarks.training_step [--rounds N]``.

By turns, on the same crops: the network forward, a sum as its loss, and back; and the whole step of the training loop
with data, targets, losses, gradient norm, optimiser and averaged weights. Prints milliseconds on the clock, their
ratio, and the share of the time in which the step waited for its data.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

LIMIT, WAITING_LIMIT = 1.1, 0.02


def make_data(folder: Path, *, pictures: int = 24, side: int = 400) -> Path:
    """Grey pictures with bright rectangles, as COCO."""
    import json

    import cv2

    rng = np.random.default_rng(0)
    document: dict[str, list[dict[str, object]]] = {
        "images": [], "annotations": [], "categories": [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}],
    }  # fmt: skip
    for number in range(pictures):
        picture = rng.normal(110, 20, (side, side)).clip(0, 255).astype(np.uint8)
        for label in (1, 2, 1, 2):
            y, x = rng.integers(0, side - 60, 2)
            height, width = rng.integers(12, 50, 2)
            picture[y : y + height, x : x + width] += np.uint8(60 * label)
            box = [int(x), int(y), int(width), int(height)]
            document["annotations"].append({
                "id": len(document["annotations"]) + 1, "image_id": number + 1, "category_id": label, "bbox": box,
                "area": int(width * height), "iscrowd": 0,
            })  # fmt: skip
        name = f"{number:02}.png"
        cv2.imwrite(str(folder / name), picture)
        document["images"].append({"id": number + 1, "file_name": name, "height": side, "width": side})
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def timed(action: Callable[[], object]) -> float:
    """Milliseconds on the clock."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--network", default="")
    rounds, name = (args := parser.parse_args()).rounds, args.network
    import torch

    from microscope_qc.core.jobs import run_job
    from microscope_qc.ml.architectures.base import trainable
    from microscope_qc.ml.architectures.recipe import TrainSettings
    from microscope_qc.ml.training.ahead import BatchesAhead
    from microscope_qc.ml.training.loop import _Training
    from microscope_qc.workflows.learning.reading import read_dataset

    with tempfile.TemporaryDirectory(prefix="training-step-") as folder:
        data = run_job(read_dataset(make_data(Path(folder))))
        settings = TrainSettings(network=name or trainable()["detect"][0].name, device="cpu")
        training = _Training(
            data, data, Path(folder) / "model", settings, start=None, end_now=lambda: False, tell=print
        )
        run_job(training.recipe.fit_once(training.network))
        batches = BatchesAhead(training.recipe)
        example = batches.take(0)
        sides = (len(example), 3, *example[0].pixels.shape[:2])
        images = torch.randn(sides).contiguous(memory_format=torch.channels_last)

        def bare() -> None:
            training.network.zero_grad(set_to_none=True)
            sum(output.mean() for output in training.network(images)).backward()  # type: ignore[union-attr]

        waits: list[float] = []

        def step() -> None:
            start = time.perf_counter()
            batch = batches.take(training.course.step)
            waits.append((time.perf_counter() - start) * 1e3)
            training._one_step(batch)
            training.course.stepped(0.0)

        alone, whole = [], []
        for number in range(rounds + 2):
            for action, kept in (bare, alone), (step, whole):
                took = timed(action)
                if number > 1:
                    kept.append(took)
        batches.close()
    ratio = statistics.median(two / one for one, two in zip(alone, whole, strict=True))
    waiting = sum(waits[2:]) / sum(whole)
    machine, threads = platform.processor() or platform.machine(), torch.get_num_threads()
    print(f"{machine}, {threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"{settings.network}, {sides[0]} crops of {sides[2]} px, {rounds} rounds")
    print(f"forward and backward {statistics.median(alone):7.1f} ms")
    print(f"step of the training {statistics.median(whole):7.1f} ms")
    print(f"ratio                {ratio:7.3f}     limit {LIMIT}{' !' if ratio > LIMIT else ''}")
    print(f"waiting for data     {waiting:7.1%}     limit {WAITING_LIMIT:.0%}{' !' if waiting > WAITING_LIMIT else ''}")


if __name__ == "__main__":
    main()
