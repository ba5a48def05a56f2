"""How the memory of normal places learns: nothing is trained in steps, places of normal pictures are remembered."""

from __future__ import annotations

import time
from typing import cast

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor, nn

from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.core.errors import ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.memory.fitting import fit_memory
from microscope_qc.ml.architectures.memory.network import NormalMemory
from microscope_qc.ml.architectures.memory.settings import MemorySettings
from microscope_qc.ml.architectures.memory.task import MemoryTask
from microscope_qc.ml.architectures.recipe import Recipe, TrainSettings
from microscope_qc.ml.backbones.weights import ABOUT_IMAGENET, IMAGENET, MEAN, STD, start_from
from microscope_qc.ml.cards import AnomalySettings, ModelCard, WindowSettings
from microscope_qc.ml.datasets.normal_tiles import NormalTile, NormalTiles
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.evaluation.on_windows import tally_windows
from microscope_qc.ml.evaluation.report import Report
from microscope_qc.ml.tasks.anomaly import ODD, ODD_NAME
from microscope_qc.ml.tasks.images import TaskScorer
from microscope_qc.ml.tasks.tail import Tail, tail_of

MOST_TILES = 1500
"""Tiles that are learned from; more of them cost time, and places are alike."""
MOST_MEASURED = 300
"""Tiles of the part that is held out from which it is taken how far normal places are from what is known."""
_PLACES = 200_000
"""Places that are kept in memory while it learns."""
_LEAST_PLACES = 200
_EDGE_PX = 48
"""At the edges of a tile, which are mirrored, places look stranger than on a slide: they are left out."""
_FLAT = 1.0
"""Standard deviation of the grey values of a picture, in grey levels, in which there is nothing to see."""
_LOWEST = 0.01
"""Confidence from which candidates count while a model is measured."""


class MemoryRecipe(Recipe[None]):
    """Fills a :class:`NormalMemory`; there is nothing to do in steps."""

    steps_per_epoch = 1

    def __init__(self, settings: TrainSettings, dataset: Dataset, *, network: MemorySettings) -> None:
        self.settings, self._network = settings, network
        self._dataset = dataset
        self._about: dict[str, JsonValue] = {}
        self._anomaly: AnomalySettings | None = None

    def batch(self, step: int) -> None:
        """See :class:`Recipe`; never asked for."""

    def losses(self, network: nn.Module, batch: None, turn: int) -> dict[str, Tensor]:
        """See :class:`Recipe`; never asked for."""
        return {}

    def optimisers(self, network: nn.Module) -> list[torch.optim.Optimizer]:
        """None."""
        return []

    def notes(self) -> list[str]:
        """See :class:`Recipe`."""
        return [ABOUT_IMAGENET]

    # -- learning ----------------------------------------------------------------------------------------------------

    def fit_once(self, network: nn.Module) -> Job[None]:
        """Look at tiles, leave out what deviates most, and remember the rest."""
        memory = cast(NormalMemory, network)
        start_from(memory.trunk, IMAGENET)
        tiles = self._tiles(self._dataset, MOST_TILES)
        per_tile = max(1, _PLACES // max(1, len(tiles)))
        rng = np.random.default_rng([self.settings.seed, 59])
        seen: list[Tensor] = []
        contrast, began = 0.0, time.monotonic()
        for number, tile in enumerate(tiles):
            yield Progress(number, len(tiles), "tiles", "learning what is normal")
            contrast = max(contrast, float(tile.pixels.std()))
            places = _places_of(memory, tile)
            seen.append(places[torch.from_numpy(rng.permutation(len(places))[:per_tile])].half())
        spent = time.monotonic() - began
        places = torch.cat([torch.zeros(0), *(part.float() for part in seen)]) if seen else torch.zeros(0)
        self._require(places, contrast)
        yield Progress(len(tiles), len(tiles), "tiles", "remembering")
        fitted = fit_memory(places, memory, seed=self.settings.seed)
        self._about = {
            "tiles": len(tiles), "places": len(places), "left_out_places": fitted, "known": len(memory.known),
            "backbone": ABOUT_IMAGENET, "seconds_per_tile": round(spent / max(1, len(tiles)), 5),
        }  # fmt: skip

    def _tiles(self, dataset: Dataset, most: int) -> NormalTiles:
        return NormalTiles(
            dataset, model_um=self.settings.pixel_size_um, side_px=self.settings.crop_px, most=most,
            seed=self.settings.seed,
        )  # fmt: skip

    def _require(self, places: Tensor, contrast: float) -> None:
        """Refuse what nothing can be learned from."""
        if len(places) < _LEAST_PLACES:
            raise ModelError(
                f"There is too little to learn what is normal from: {len(places)} places where nothing is marked, and "
                f"{_LEAST_PLACES} are the least.",
                hint="Learn from larger pictures, or from more of them.",
            )
        if contrast < _FLAT:
            raise ModelError(
                "The pictures are of one grey all over: there is nothing to learn from.",
                hint="Choose pictures that show the material.",
            )

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, network: nn.Module, dataset: Dataset) -> Job[ModelCard]:
        """Take from what is held out how far normal places are from what is known, and write the card."""
        memory = cast(NormalMemory, network)
        found: list[Floats] = []
        tiles = self._tiles(dataset, MOST_MEASURED)
        for number, tile in enumerate(tiles):
            yield Progress(number, len(tiles), "tiles", "measuring what is normal")
            found.append(_distances_of(memory, tile))
        distances = np.concatenate([np.zeros(0), *found])
        if len(distances) < _LEAST_PLACES:
            raise ModelError(
                "The pictures that are held out are too small to say from when on a place is unusual.",
                hint="Learn from more pictures.",
            )
        tail = tail_of(distances)
        self._anomaly = tail.settings
        return self._card(memory, tail)

    def _card(self, network: NormalMemory, tail: Tail) -> ModelCard:
        settings, cell = self.settings, network.settings.cell_px
        return ModelCard(
            name=settings.network, task="anomaly", architecture=settings.network,
            network=network.settings.model_dump(mode="json"), classes=[ODD], class_names=[ODD_NAME],
            pixel_size_um=settings.pixel_size_um, tile_px=settings.tile_px, overlap_px=settings.overlap_px,
            mean=MEAN, std=STD, confidence=0.5, windows=WindowSettings(window_px=cell, stride_px=cell),
            anomaly=tail.settings, training={**self._about, "measured_places": tail.places},
        )  # fmt: skip

    def validate(self, network: nn.Module, dataset: Dataset) -> Job[Report]:
        """See :class:`Recipe`."""
        if self._anomaly is None:  # it is measured before the threshold is known: in a training in steps only
            yield from self.finish(network, dataset)
        assert self._anomaly is not None
        memory = cast(NormalMemory, network)
        card = self._card(memory, Tail(self._anomaly, 0))
        task = MemoryTask(card, memory, device=next(memory.buffers()).device, threshold=_LOWEST)
        tally = yield from tally_windows(TaskScorer(task), dataset.as_one_class(ODD))
        return tally.report(confidence=card.confidence)

    def score(self, report: Report) -> float:
        """See :class:`Recipe`."""
        return report.figures["auroc"]


def _images_of(memory: NormalMemory, tile: NormalTile) -> Tensor:
    device = memory.centre.device
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (MEAN, STD))
    pixels = torch.from_numpy(np.ascontiguousarray(tile.pixels)).to(device)
    return (pixels.permute(2, 0, 1)[None].float() - mean) / std


@torch.inference_mode()
def _places_of(memory: NormalMemory, tile: NormalTile) -> Tensor:
    """Features (n, channels) of the normal places of a tile, on the CPU."""
    features = memory.describe(_images_of(memory, tile))[0].cpu()
    normal = _inner(tile.normal(*features.shape[1:], cell_px=memory.settings.cell_px), memory.settings.cell_px)
    return features.flatten(1).T[torch.from_numpy(normal.ravel())]


@torch.inference_mode()
def _distances_of(memory: NormalMemory, tile: NormalTile) -> Floats:
    """Distances (n,) of the normal places of a tile."""
    found = memory(_images_of(memory, tile))[0].cpu().numpy()
    normal = _inner(tile.normal(*found.shape, cell_px=memory.settings.cell_px), memory.settings.cell_px)
    distances: Floats = found[normal].astype(float)
    return distances


def _inner(normal: Flags, cell_px: int) -> Flags:
    """Without the places at the edges, as far as 16 by 16 of them are left."""
    edge = min(_EDGE_PX // cell_px, (min(normal.shape) - 16) // 2)
    if edge < 1:
        return normal
    inside = np.zeros_like(normal)
    inside[edge:-edge, edge:-edge] = normal[edge:-edge, edge:-edge]
    return inside
