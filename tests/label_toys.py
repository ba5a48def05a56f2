"""A task and a network that another package could bring: every place of a slide is dark, grey or bright."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from microscope_qc.core import plugins
from microscope_qc.core.geometry import Region
from microscope_qc.core.merge import CANDIDATE_DTYPE
from microscope_qc.ml.architectures.base import ARCHITECTURES, Architecture, NetworkSettings
from microscope_qc.ml.cards import WEIGHTS_NAME, ModelCard, write_card
from microscope_qc.ml.tasks.base import Answers, CellGrid, Found, Size
from microscope_qc.ml.tasks.kinds import TASKS, TaskKind
from microscope_qc.ml.tasks.on_device import OnDevice
from microscope_qc.ml.weights import save_weights

CELL = 4
CLASSES = ["DARK", "GREY", "BRIGHT"]
EDGES = (80.0, 160.0)
"""Grey values between the classes."""


class Segmentation(TaskKind):
    """A label for every place."""

    name, title, does, model = "segment", "Segmentation", "labels every place", "a segmentation model"
    on_lattice = True


class BandSettings(NetworkSettings):
    """``pause_s``: how long a batch takes."""

    pause_s: float = 0.0


class Bands(nn.Module):
    """Tells by the mean of a cell which band of grey it is in."""

    def __init__(self, settings: BandSettings) -> None:
        super().__init__()
        self.pause_s = settings.pause_s
        self.edges = nn.Parameter(torch.tensor(EDGES) / 255, requires_grad=False)

    def forward(self, pictures: Tensor) -> Tensor:
        time.sleep(self.pause_s)
        grey = functional.avg_pool2d(pictures.float().mean(dim=1, keepdim=True), CELL)[:, 0]
        return torch.bucketize(grey, self.edges.float())


class BandTask(OnDevice[Tensor]):
    """The network as the engine runs it."""

    stride = CELL
    labels = CellGrid(0, CELL)

    def read_out(self, said: Tensor) -> tuple[Tensor, ...]:
        return (said,)

    def results(self, answers: Answers, size: Size) -> list[Found]:
        (labels,) = self.fetched(answers)
        rows, columns = (-(-side // CELL) for side in size)
        return [Found(np.zeros(0, CANDIDATE_DTYPE), labels=own[:rows, :columns].numpy()) for own in labels]

    def parts(self, shape: Size) -> list[Region]:
        return []

    def join(self, founds: Sequence[Found], parts: Sequence[Region], shape: Size) -> Found:
        raise AssertionError("it is never taken apart")


class BandArchitecture(Architecture[BandSettings]):
    """Nothing is learned."""

    name, task, title, settings = "bands", "segment", "Bands of grey", BandSettings

    def stride_px(self, settings: BandSettings) -> int:
        return CELL

    def build(self, settings: BandSettings, classes: int) -> Bands:
        return Bands(settings)

    def task_of(self, card, network, *, device, threshold, scale) -> BandTask:
        return BandTask(card, network, device=device)


SEGMENT, BANDS = Segmentation(), BandArchitecture()


def install(folder: Path) -> Path:
    """What an installer leaves behind of a package with these two, to be put on the path."""
    about = folder / "label_toys-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: label-toys\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[microscope_qc.tasks]\nsegment = label_toys:SEGMENT\n\n"
        "[microscope_qc.architectures]\nbands = label_toys:BANDS\n"
    )
    return folder


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package in this process, as if it had been installed before it began."""
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    monkeypatch.setattr(plugins, "_entry_points", plugins._entry_points.__wrapped__)
    for registry in (TASKS, ARCHITECTURES):
        monkeypatch.setattr(registry, "_plugins", None)
        monkeypatch.setattr(registry, "_problems", [])
        monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    sys.modules.setdefault("label_toys", sys.modules[__name__])


def band_model(folder: Path, *, pause_s: float = 0.0, pixel_um: float | None = None) -> Path:
    """A model folder."""
    folder.mkdir(parents=True)
    save_weights(Bands(BandSettings()).state_dict(), folder / WEIGHTS_NAME, half=False)
    card = ModelCard(
        name=folder.name, task="segment", architecture="bands", network={"pause_s": pause_s}, classes=CLASSES,
        class_names=["Dark", "Grey", "Bright"], pixel_size_um=pixel_um, tile_px=64, overlap_px=16, mean=(0, 0, 0),
        std=(1, 1, 1), confidence=0.5,
    )  # fmt: skip
    write_card(card, folder)
    return folder
