"""Trains in forked processes, each of which kills itself at a certain place; the program is loaded once for all.

A line of input is ``PLACE FOLDER``; the answer is "killed" or "ended".
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import scipy.linalg
import scipy.sparse
import torch._dynamo
import torchvision.ops

import microscope_qc.ml.training.loop as loop
from microscope_qc.core.jobs import Progress
from microscope_qc.workflows.learning.asked import train_as_asked

LOADED = (scipy.linalg, scipy.sparse, torch._dynamo, torchvision.ops)
"""Every training loads them, which takes longer than the training."""


def die() -> None:
    """As if the power had gone."""
    os.kill(os.getpid(), signal.SIGKILL)


def after_steps(count: int) -> Callable[[Progress], bool]:
    return lambda told: told.unit == "steps" and told.total > 0 and told.done >= count and "loss" in told.note


class After:
    """The second only after the first."""

    def __init__(self, first: Callable[[Progress], bool], second: Callable[[Progress], bool]) -> None:
        self._first, self._second, self._seen = first, second, False

    def __call__(self, told: Progress) -> bool:
        self._seen |= self._first(told)
        return self._seen and self._second(told)


PLACES: dict[str, Callable[[Progress], bool]] = {
    "reading": lambda told: told.note == "reading the data set",
    "loading": lambda told: told.note == "loading images",
    "first-step": after_steps(1),
    "second-epoch": After(lambda told: "validation" in told.note, lambda told: "loss" in told.note),
    "validation": lambda told: "validation" in told.note,
    "finish": lambda told: told.note == "choosing the default confidence",
    "never": lambda told: False,
}


def dying(function: Callable[..., object], *, before: bool) -> Callable[..., object]:
    def called(*arguments: object, **options: object) -> object:
        if before:
            die()
        function(*arguments, **options)
        die()
        return None

    return called


def train(place: str, folder: Path) -> None:
    """Train, and die at a place."""
    if place in ("before-card", "after-card"):
        loop.write_card = dying(loop.write_card, before=place == "before-card")
        place = "never"
    for told in train_as_asked(folder):
        if PLACES[place](told):
            die()


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        place, folder = line.rstrip("\n").split(" ", 1)
        child = os.fork()
        if child == 0:
            train(place, Path(folder))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "ended" if status == 0 else "failed", flush=True)


if __name__ == "__main__":
    main()
